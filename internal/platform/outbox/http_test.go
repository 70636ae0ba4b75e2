package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A request as the other side got it.
type request struct {
	method, path, body string
	header             http.Header
}

// gateway is an HTTP server that answers with a list of handlers in turn, and
// 200 after them.
type gateway struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	got     []request
}

func newGateway(t *testing.T, answers ...http.HandlerFunc) *gateway {
	g := &gateway{answers: answers}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a cut-off body shows in the comparison
		g.mu.Lock()
		g.got = append(g.got, request{r.Method, r.URL.String(), string(body), r.Header})
		var answer http.HandlerFunc
		if len(g.answers) > 0 {
			answer, g.answers = g.answers[0], g.answers[1:]
		}
		g.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) take() []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.got
	g.got = nil
	return got
}

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "because of code 778899 "+strings.Repeat("x", 10_000)) // the client may have gone
	}
}

// hang answers nothing until the client is gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// cut closes the connection without an answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const smsBody = `{"to":{{json .To}},"text":{{json .Text}},"ref":{{json .ID}}}`

func smsWorld(t *testing.T, db *store.DB, g *gateway, change func(*outbox.SMSConfig)) *world {
	t.Helper()
	client := g.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := outbox.SMSConfig{URL: g.URL + "/send", Body: smsBody, Client: client, Headers: map[string]secret.Text{"Authorization": secret.New("Bearer tok-1")}}
	if change != nil {
		change(&c)
	}
	tr, err := outbox.NewHTTPSMS(c)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, db, clock.NewFake(start), map[outbox.Channel]outbox.Transport{outbox.SMS: tr})
}

func text() outbox.Message {
	return outbox.Message{Channel: outbox.SMS, To: "+47 900 00 000", ObjectKind: "order", ObjectID: "ord-1", Body: "Koden er \"{secret}\"\n& blåbær", Secret: secret.New("778899")}
}

func TestAnSMSReachesTheGatewayAsItsTemplateSays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGateway(t)
		w := smsWorld(t, db, g, nil)
		id := w.send(text())
		w.drain()
		w.wantState(id, outbox.Delivered)
		got := g.take()
		if len(got) != 1 || got[0].method != "POST" || got[0].path != "/send" || got[0].header.Get("Idempotency-Key") != id || got[0].header.Get("Authorization") != "Bearer tok-1" || got[0].header.Get("Content-Type") != "application/json" {
			t.Fatalf("%+v", got)
		}
		var body map[string]string
		if err := json.Unmarshal([]byte(got[0].body), &body); err != nil || body["to"] != "+4790000000" || body["text"] != "Koden er \"778899\"\n& blåbær" || body["ref"] != id {
			t.Fatalf("%q, %v", got[0].body, err)
		}

		w = smsWorld(t, db, g, func(c *outbox.SMSConfig) {
			c.Method, c.ContentType, c.Body = "PUT", "application/x-www-form-urlencoded", `to={{urlquery .Digits}}&text={{urlquery .Text}}`
		})
		w.send(text())
		w.drain()
		got = g.take()
		form, err := url.ParseQuery(got[0].body)
		if err != nil || got[0].method != "PUT" || form.Get("to") != "4790000000" || form.Get("text") != "Koden er \"778899\"\n& blåbær" {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

func TestWhatTheGatewayAnswersDecidesWhatBecomesOfAnSMS(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		quick := func(c *outbox.SMSConfig) {
			client := *c.Client
			client.Timeout = 50 * time.Millisecond
			c.Client = &client
		}
		for _, c := range []struct {
			name    string
			answers []http.HandlerFunc
			change  func(*outbox.SMSConfig)
			state   string
			pause   time.Duration // until the next attempt at least
		}{
			{"accepted", []http.HandlerFunc{status(202)}, nil, outbox.Delivered, 0},
			{"not a status that means success here", []http.HandlerFunc{status(202)}, func(c *outbox.SMSConfig) { c.Success = []int{201} }, outbox.Failed, 0},
			{"a bad request", []http.HandlerFunc{status(400)}, nil, outbox.Failed, 0},
			{"an unknown number", []http.HandlerFunc{status(422)}, nil, outbox.Failed, 0},
			{"a redirect", []http.HandlerFunc{status(307, "Location", "/other")}, nil, outbox.Failed, 0},
			{"a token that the operator must renew", []http.HandlerFunc{status(401)}, nil, outbox.Waiting, 2 * time.Second},
			{"too many requests", []http.HandlerFunc{status(429, "Retry-After", "120")}, nil, outbox.Waiting, 2 * time.Minute},
			{"a very long Retry-After", []http.HandlerFunc{status(503, "Retry-After", "9999999")}, nil, outbox.Waiting, time.Hour},
			{"a server error", []http.HandlerFunc{status(500)}, nil, outbox.Waiting, 2 * time.Second},
			{"a request time-out", []http.HandlerFunc{status(408)}, nil, outbox.Waiting, 2 * time.Second},
			{"too early", []http.HandlerFunc{status(425)}, nil, outbox.Waiting, 2 * time.Second},
			{"no answer in time", []http.HandlerFunc{hang}, quick, outbox.Waiting, 2 * time.Second},
			{"a connection that breaks", []http.HandlerFunc{cut}, nil, outbox.Waiting, 2 * time.Second},
		} {
			t.Run(c.name, func(t *testing.T) {
				g := newGateway(t, c.answers...)
				w := smsWorld(t, db, g, c.change)
				id := w.send(text())
				w.drain()
				e := w.wantState(id, c.state)
				if strings.Contains(e.LastError, "778899") || strings.Contains(e.LastError, "tok-1") || strings.Contains(e.LastError, "/send") {
					t.Fatalf("the reason tells too much: %s", e.LastError)
				}
				if c.state == outbox.Waiting {
					if wait := e.DueAt.Sub(start); wait < c.pause || wait > c.pause+c.pause/5+time.Second {
						t.Fatalf("the next attempt is in %s, want about %s", wait, c.pause)
					}
					w.clock.Set(e.DueAt)
					w.drain()
					w.wantState(id, outbox.Delivered)
				}
				for _, r := range g.take() { // what was sent twice can be recognised
					if r.header.Get("Idempotency-Key") != id {
						t.Fatalf("%+v", r.header)
					}
				}
			})
		}
	})
}

func TestTheReasonOfARefusalIsShownWhenThereIsNoSecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGateway(t, status(400))
		w := smsWorld(t, db, g, nil)
		m := text()
		m.Body, m.Secret = "Hello", secret.Text{}
		id := w.send(m)
		w.drain()
		if e := w.wantState(id, outbox.Failed); !strings.Contains(e.LastError, "because of") || len(e.LastError) > 500 {
			t.Fatal(e.LastError)
		}
	})
}

func TestAnSMSCanGoByMail(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newMailServer(t)
		tr, err := outbox.NewMailSMS("{{.Digits}}@sms.example.org", "", through(t, s, nil))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, db, clock.NewFake(start), map[outbox.Channel]outbox.Transport{outbox.SMS: tr})
		id := w.send(text())
		w.drain()
		if e := w.wantState(id, outbox.Delivered); e.To != "+4790000000" {
			t.Fatalf("%+v", e)
		}
		if got := s.take(); len(got) != 1 || !strings.Contains(got[0].to, "<4790000000@sms.example.org>") || !strings.Contains(got[0].raw, "778899") {
			t.Fatalf("%+v", got)
		}
	})
}

func TestGatewaySettingsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name, code string
		config     outbox.SMSConfig
	}{
		{"no address", "sms.url", outbox.SMSConfig{Body: "x"}},
		{"a method without a body", "sms.method", outbox.SMSConfig{URL: "https://example.org", Method: "GET", Body: "x"}},
		{"no template", "sms.body", outbox.SMSConfig{URL: "https://example.org"}},
		{"a broken template", "sms.body", outbox.SMSConfig{URL: "https://example.org", Body: "{{.To"}},
		{"an unknown field", "sms.body", outbox.SMSConfig{URL: "https://example.org", Body: "{{.Number}}"}},
	} {
		if _, err := outbox.NewHTTPSMS(c.config); fault.Of(err).Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for address, code := range map[string]string{"{{.Digits": "sms.address", "no address": "email.malformed", "{{.Text}}@example.org": "email.malformed"} {
		if _, err := outbox.NewMailSMS(address, "", nil); fault.Of(err).Code != code {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAWebhookIsSignedAndCanBeVerified(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g, c, key := newGateway(t, status(503)), clock.NewFake(start), secret.New("shared-key")
		find := func(_ context.Context, e outbox.Envelope) (secret.Text, error) {
			if e.Service != "web" {
				return secret.Text{}, errors.New("no such service")
			}
			return key, nil
		}
		w := newWorld(t, db, c, map[outbox.Channel]outbox.Transport{outbox.Webhook: outbox.NewHook(g.Client(), c, find)})
		m := outbox.Message{Channel: outbox.Webhook, Service: "web", To: g.URL + "/hook?a=1", Body: `{"token":"{secret}"}`, Secret: secret.New(`a"b\c`), Headers: map[string]string{"X-Tenant": "7"}}
		id := w.send(m)
		other := m
		other.Service = "unknown"
		w.send(other)
		w.drain()
		c.Advance(10 * time.Second)
		w.drain()
		w.wantState(id, outbox.Delivered)
		got := g.take()
		if len(got) != 2 {
			t.Fatalf("%d requests", len(got))
		}
		for i, r := range got {
			now, h := start.Add(time.Duration(i)*10*time.Second), r.header
			if r.body != `{"token":"a\"b\\c"}` || r.path != "/hook?a=1" || h.Get("X-Tenant") != "7" || h.Get(outbox.MessageIDHeader) != id {
				t.Fatalf("%+v", r)
			}
			signature := h.Get(outbox.SignatureHeader)
			if err := outbox.VerifyHook(key, signature, id, []byte(r.body), now, time.Minute); err != nil {
				t.Fatal(err)
			}
			for name, err := range map[string]error{
				"another key":  outbox.VerifyHook(secret.New("x"), signature, id, []byte(r.body), now, time.Minute),
				"another id":   outbox.VerifyHook(key, signature, "out-x", []byte(r.body), now, time.Minute),
				"another body": outbox.VerifyHook(key, signature, id, []byte("{}"), now, time.Minute),
				"another time": outbox.VerifyHook(key, "t=1"+signature[strings.Index(signature, ","):], id, []byte(r.body), now, time.Minute),
				"a replay":     outbox.VerifyHook(key, signature, id, []byte(r.body), now.Add(2*time.Minute), time.Minute),
				"no signature": outbox.VerifyHook(key, "", id, []byte(r.body), now, time.Minute),
			} {
				if fault.Of(err).Code != "webhook.signature" {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}

func FuzzVerifyHook(f *testing.F) {
	for _, s := range []string{"", "t=1,v1=00", "t=,v1=", "v1=00,t=1", "t=1772368200,v1=" + strings.Repeat("00", 32)} {
		f.Add(s, "out-1", []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, signature, id string, body []byte) {
		if outbox.VerifyHook(secret.New("a key that nobody guesses"), signature, id, body, start, time.Hour) == nil {
			t.Fatalf("a guessed signature %q is accepted", signature)
		}
	})
}
