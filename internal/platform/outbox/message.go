package outbox

import (
	"encoding/json"
	"html"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Limits of a message, in bytes unless said otherwise.
const (
	maxSubject = 500
	maxBody    = 256 << 10
	maxSMS     = 1000 // characters; longer texts cost many parts and are cut by some gateways
	maxURL     = 2048
	maxKey     = 200
)

// check validates the message and brings a mobile number to its normal form.
func (m *Message) check() error {
	if err := m.checkRecipient(); err != nil {
		return err
	}
	if len(m.Body) > maxBody || len(m.HTML) > maxBody || len(m.Key) > maxKey {
		return fault.Invalidf("outbox.message", "A text of the message is longer than %d bytes, or its key than %d.", maxBody, maxKey)
	}
	if m.Body == "" || !utf8.ValidString(m.Body) || !utf8.ValidString(m.HTML) || strings.ContainsRune(m.Body+m.HTML, 0) {
		return fault.Invalidf("outbox.message", "The text of a message must not be empty and must be UTF-8.")
	}
	if !m.NotAfter.IsZero() && m.NotAfter.Before(m.NotBefore) {
		return fault.Invalidf("outbox.message", "The message is of no use any more before it may be sent.")
	}
	if err := m.checkHeaders(); err != nil {
		return err
	}
	return m.checkSecret()
}

func (m *Message) checkRecipient() (err error) {
	switch m.Channel {
	case Email:
		return CheckEmail(m.To)
	case SMS:
		if utf8.RuneCountInString(m.Body) > maxSMS {
			return fault.Invalidf("outbox.message", "An SMS has at most %d characters.", maxSMS)
		}
		m.To, err = ParseMobile(m.To)
		return err
	case Webhook:
		if !json.Valid([]byte(m.Body)) {
			return fault.Invalidf("outbox.message", "The body of a webhook must be JSON.")
		}
		return checkURL(m.To)
	}
	return fault.Invalidf("outbox.message", "There is no channel %q.", m.Channel)
}

// CheckEmail accepts a bare address such as "kari@example.org" (RFC 5322,
// addr-spec, at most 254 bytes), without a display name, a quoted local part or
// a domain literal. Otherwise it returns a fault with code "email.malformed".
func CheckEmail(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 || strings.ContainsAny(s, "\"[]<>(),;: \t\r\n") || strings.ContainsFunc(s, unicode.IsControl) {
		return fault.Invalidf("email.malformed", "%q is not an e-mail address.", clip(s)).
			WithNext("Write it like name@example.org.").WithField("email")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || len(s) > maxURL {
		return fault.Invalidf("webhook.malformed", "A webhook needs an absolute https address without user name and fragment.").
			WithNext("Write it like https://example.org/hooks/certificates.").WithField("url")
	}
	return nil
}

// reserved are the header fields that the transports write themselves.
var reserved = map[string]bool{
	"from": true, "sender": true, "to": true, "cc": true, "bcc": true, "subject": true, "date": true, "message-id": true, "mime-version": true,
	"return-path": true, "received": true, "auto-submitted": true, "host": true, "connection": true, "transfer-encoding": true, "idempotency-key": true,
}

// checkHeaders refuses what could end a header field and begin another
// (RFC 5322, section 2.2; RFC 9110, section 5.5).
func (m *Message) checkHeaders() error {
	if len(m.Subject) > maxSubject || strings.ContainsFunc(m.Subject, unicode.IsControl) || !utf8.ValidString(m.Subject) {
		return fault.Invalidf("outbox.header", "A subject is one line of at most %d bytes.", maxSubject).WithField("subject")
	}
	for name, value := range m.Headers {
		lower := strings.ToLower(name)
		if name == "" || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			reserved[lower] || strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "sealwright-") {
			return fault.Invalidf("outbox.header", "The header field %q cannot be set.", clip(name))
		}
		if len(value) > 900 || strings.ContainsFunc(value, unicode.IsControl) || !utf8.ValidString(value) {
			return fault.Invalidf("outbox.header", "The value of the header field %s is not one line.", name)
		}
	}
	return nil
}

// checkSecret sees to it that the secret is where it can be kept sealed.
func (m *Message) checkSecret() error {
	if m.Secret.Empty() {
		return nil
	}
	if !strings.Contains(m.Body, Placeholder) {
		return fault.Invalidf("outbox.secret", "The message has a secret but no %s in its text.", Placeholder)
	}
	// A short code may stand in a reference or number by chance; a link or
	// password cannot.
	if len(m.Secret.Reveal()) < 12 {
		return nil
	}
	stored := []string{m.Body, m.HTML, m.Subject, m.To, m.Key, m.ObjectID}
	for _, v := range m.Headers {
		stored = append(stored, v)
	}
	for _, text := range stored {
		if strings.Contains(text, m.Secret.Reveal()) {
			return fault.Invalidf("outbox.secret", "The message's secret stands in clear in a part that is stored.")
		}
	}
	return nil
}

// fill puts the secret into a text, escaped for where it goes.
func fill(text, secret string, escape func(string) string) string {
	return strings.ReplaceAll(text, Placeholder, escape(secret))
}

func asIs(s string) string { return s }

func asHTML(s string) string { return html.EscapeString(s) }

// asJSON escapes for the inside of a JSON string.
func asJSON(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b[1 : len(b)-1])
}

// clip shortens what somebody typed before it is shown again.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
