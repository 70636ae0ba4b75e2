package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// SMSConfig describes a provider's HTTP interface. Body is a template
// (text/template) over .To (E.164), .Digits (the same without plus), .Text and
// .ID, with the functions json (a quoted JSON string) and urlquery:
//
//	{"to": {{json .To}}, "text": {{json .Text}}, "reference": {{json .ID}}}
//	to={{urlquery .To}}&text={{urlquery .Text}}
//
// The text goes into the body only: addresses end up in logs on the way.
type SMSConfig struct {
	URL         string
	Method      string                 // empty: POST
	ContentType string                 // empty: application/json
	Headers     map[string]secret.Text // such as Authorization
	Body        string
	Success     []int        // statuses that mean "taken over"; empty: 200 to 299
	Client      *http.Client // through package egress
}

// HTTPSMS is a [Transport] to an SMS provider over HTTP. Each request carries
// the outbox id as Idempotency-Key. See [Webhook] for which answers are
// permanent.
type HTTPSMS struct {
	config SMSConfig
	body   *template.Template
}

// NewHTTPSMS checks the configuration and tries the template.
func NewHTTPSMS(c SMSConfig) (*HTTPSMS, error) {
	if err := checkURL(c.URL); err != nil {
		return nil, fault.Invalidf("sms.url", "The SMS gateway needs an absolute https address.").WithField("url")
	}
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, c.Method) {
		return nil, fault.Invalidf("sms.method", "The method %q sends no body; use POST, PUT or PATCH.", c.Method).WithField("method")
	}
	if c.ContentType == "" {
		c.ContentType = "application/json"
	}
	body, err := smsTemplate(c.Body)
	if err != nil || c.Body == "" {
		return nil, fault.Invalidf("sms.body", "The template of the SMS gateway's body cannot be used: %v.", err).WithField("body")
	}
	return &HTTPSMS{config: c, body: body}, nil
}

// smsFields are what the templates see.
type smsFields struct{ To, Digits, Text, ID string }

func smsTemplate(text string) (*template.Template, error) {
	t, err := template.New("sms").Option("missingkey=error").Funcs(template.FuncMap{"json": func(s string) (string, error) {
		b, err := json.Marshal(s)
		return string(b), err
	}}).Parse(text)
	if err != nil {
		return nil, err
	}
	return t, t.Execute(io.Discard, smsFields{To: "+4790000000", Digits: "4790000000", Text: "text", ID: "out-1"})
}

func fields(e Envelope) smsFields {
	return smsFields{To: e.To, Digits: strings.TrimPrefix(e.To, "+"), Text: e.Body.Reveal(), ID: e.ID}
}

// Deliver implements [Transport].
func (s *HTTPSMS) Deliver(ctx context.Context, e Envelope) error {
	var body bytes.Buffer
	if err := s.body.Execute(&body, fields(e)); err != nil {
		return jobs.Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, s.config.Method, s.config.URL, &body)
	if err != nil {
		return jobs.Permanent(err)
	}
	for name, value := range s.config.Headers {
		req.Header.Set(name, value.Reveal())
	}
	req.Header.Set("Content-Type", s.config.ContentType)
	req.Header.Set("Idempotency-Key", e.ID)
	return exchange(s.config.Client, req, s.config.Success, e.Confidential)
}

// exchange makes the request and judges the answer.
func exchange(client *http.Client, req *http.Request, success []int, confidential bool) error {
	resp, err := client.Do(req)
	if err != nil {
		return egress.Explain(err)
	}
	defer resp.Body.Close()
	// Enough to reuse the connection and to show what the other side said.
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status alone decides
	ok := resp.StatusCode >= 200 && resp.StatusCode <= 299
	if len(success) > 0 {
		ok = slices.Contains(success, resp.StatusCode)
	}
	if ok {
		return nil
	}
	text := fmt.Sprintf("%s answered %d %s", req.URL.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
	if excerpt := strings.TrimSpace(string(said[:min(len(said), 300)])); excerpt != "" && !confidential {
		text += ": " + strings.ToValidUTF8(excerpt, "")
	}
	return judgeStatus(resp, text)
}

// judgeStatus tells permanent refusals from those that may pass. 401, 403 and
// 407 are about our credentials, which an operator mends; the message waits.
func judgeStatus(resp *http.Response, text string) error {
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired,
		code >= 500:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // a date, or nothing, gives 0: our own back-off
		f := fault.Unavailablef(nil, "outbox.refused", "%s", text)
		f.RetryAfter = time.Duration(min(max(after, 0), 3600)) * time.Second
		return f
	}
	return jobs.Permanent(errors.New(text))
}

// MailSMS is a [Transport] for providers that take an SMS as an e-mail.
type MailSMS struct {
	address *template.Template
	subject string
	mail    Transport
}

// NewMailSMS makes one from a template of the address, such as
// "{{.Digits}}@sms.example.org", the subject that the provider asks for (often
// none), and the transport for the mail.
func NewMailSMS(address, subject string, mail Transport) (*MailSMS, error) {
	t, err := smsTemplate(address)
	if err != nil {
		return nil, fault.Invalidf("sms.address", "The address template of the SMS gateway cannot be used: %v.", err).WithField("address")
	}
	s := &MailSMS{address: t, subject: subject, mail: mail}
	if _, err := s.addressOf(Envelope{To: "+4790000000"}); err != nil {
		return nil, err
	}
	return s, nil
}

// Deliver implements [Transport].
func (s *MailSMS) Deliver(ctx context.Context, e Envelope) error {
	to, err := s.addressOf(e)
	if err != nil {
		return jobs.Permanent(err)
	}
	e.To, e.Subject, e.HTML = to, s.subject, secret.Text{}
	return s.mail.Deliver(ctx, e)
}

func (s *MailSMS) addressOf(e Envelope) (string, error) {
	var b strings.Builder
	f := fields(e)
	f.Text = "" // never in an address
	if err := s.address.Execute(&b, f); err != nil {
		return "", err
	}
	return b.String(), CheckEmail(b.String())
}
