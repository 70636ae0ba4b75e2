package outbox_test

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
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

// through makes the transport to the server.
func through(t *testing.T, s *mailServer, change func(*outbox.SMTPConfig)) *outbox.SMTP {
	t.Helper()
	c := outbox.SMTPConfig{Host: mailHost, From: "Sealwright <noreply@example.org>", Roots: s.roots, Timeout: 5 * time.Second, Dial: s.dial}
	if change != nil {
		change(&c)
	}
	tr, err := outbox.NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func mailWorld(t *testing.T, db *store.DB, tr outbox.Transport) *world {
	return newWorld(t, db, clock.NewFake(start), map[outbox.Channel]outbox.Transport{outbox.Email: tr})
}

func TestAMailArrivesWholeOverTLS(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newMailServer(t)
		w := mailWorld(t, db, through(t, s, nil))
		m := letter("kari@example.org")
		m.Subject, m.Body, m.HTML = "Blåbær på vei – 1", "Hei Kåre!\n.\nSe {secret}\n", "<p>Hei Kåre! {secret}</p>"
		m.Secret, m.Headers = secret.New("https://ra.example.org/a?b=1&c=2"), map[string]string{"X-Order": "ord-1"}
		id := w.send(m)
		w.drain()
		w.wantState(id, outbox.Delivered)
		got := s.take()
		if len(got) != 1 || !got[0].encrypted || !strings.Contains(got[0].from, "<noreply@example.org>") || !strings.Contains(got[0].to, "<kari@example.org>") {
			t.Fatalf("%+v", got)
		}
		for name, want := range map[string]string{
			"Message-Id": "<" + id + "@example.org>", "Auto-Submitted": "auto-generated", "X-Order": "ord-1", "To": "<kari@example.org>",
			"From": `"Sealwright" <noreply@example.org>`, "Date": start.Format(time.RFC1123Z), "Mime-Version": "1.0",
		} {
			if v := got[0].header.Get(name); v != want {
				t.Errorf("%s is %q, want %q", name, v, want)
			}
		}
		if subject, err := new(mime.WordDecoder).DecodeHeader(got[0].header.Get("Subject")); err != nil || subject != m.Subject {
			t.Errorf("subject %q, %v", subject, err)
		}
		text, html := alternatives(t, got[0].raw)
		if text != "Hei Kåre!\r\n.\r\nSe https://ra.example.org/a?b=1&c=2\r\n" || html != "<p>Hei Kåre! https://ra.example.org/a?b=1&amp;c=2</p>" {
			t.Errorf("text %q, html %q", text, html)
		}
	})
}

// alternatives reads the two forms of a multipart/alternative mail.
func alternatives(t *testing.T, raw string) (text, html string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts["text/plain; charset=UTF-8"], parts["text/html; charset=UTF-8"]
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		parts[p.Header.Get("Content-Type")] = string(b)
	}
}

// once answers a stage in another way the first time.
func once(stage, reply string) func(string) string {
	done := false
	return func(s string) string {
		if s == stage && !done {
			done = true
			return reply
		}
		return ""
	}
}

func TestWhatTheMailServerSaysDecidesWhatBecomesOfAMail(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, c := range []struct {
			name   string
			answer func(string) string
			state  string // after the first attempt
			copies int    // in the end
		}{
			{"busy at the door", once("CONNECT", "421 4.3.2 come back later"), outbox.Waiting, 1},
			{"greylisted", once("RCPT", "451 4.7.1 greylisted"), outbox.Waiting, 1},
			{"no such mailbox", once("RCPT", "550 5.1.1 no such user"), outbox.Failed, 0},
			{"the sender is refused", once("MAIL", "553 5.1.8 not you"), outbox.Failed, 0},
			{"the text cannot be taken now", once("END", "452 4.3.1 disk full"), outbox.Waiting, 1},
			{"the text is refused", once("END", "554 5.6.0 looks like spam"), outbox.Failed, 0},
			{"the data command is refused for now", once("DATA", "451 4.3.0 later"), outbox.Waiting, 1},
			{"the connection drops at the greeting", once("CONNECT", drop), outbox.Waiting, 1},
			{"the connection drops in the middle of the text", once("LINE", drop), outbox.Waiting, 1},
			{"the connection drops before the text is answered", once("END", drop), outbox.Waiting, 1},
			{"the text is taken but the answer is lost", once("AFTER", drop), outbox.Waiting, 2},
			{"the connection drops after the text was taken", once("RSET", drop), outbox.Delivered, 1},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := newMailServer(t)
				w := mailWorld(t, db, through(t, s, nil))
				s.setAnswer(c.answer)
				m := letter("kari@example.org")
				m.Body, m.Secret = "Here: {secret}", secret.New("never-in-an-error")
				id := w.send(m)
				w.drain()
				e := w.wantState(id, c.state)
				if c.state == outbox.Failed && (!e.SecretErased || e.LastError == "") {
					t.Fatalf("%+v", e)
				}
				w.clock.Advance(10 * time.Second)
				w.drain()
				if c.state != outbox.Failed {
					w.wantState(id, outbox.Delivered)
				}
				got := s.take()
				if len(got) != c.copies {
					t.Fatalf("%d copies arrived, want %d", len(got), c.copies)
				}
				for _, m := range got {
					if m.header.Get("Message-Id") != "<"+id+"@example.org>" {
						t.Fatalf("a copy cannot be recognised: %v", m.header)
					}
				}
			})
		}
	})
}

// "SMTP down for an hour: nothing lost."
func TestMailsWaitForAServerThatIsDownForAnHour(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newMailServer(t)
		w := mailWorld(t, db, through(t, s, nil))
		first := w.send(letter("first@example.org"))
		w.drain()
		s.down()
		var ids []string
		for range 5 {
			ids = append(ids, w.send(letter("kari@example.org")))
		}
		code := letter("late@example.org")
		code.NotAfter = start.Add(30 * time.Minute)
		late := w.send(code)
		for range 60 {
			w.drain()
			w.clock.Advance(time.Minute)
		}
		for _, id := range ids {
			if e := w.wantState(id, outbox.Waiting); e.Attempts < 5 || e.Attempts > 20 {
				t.Fatalf("%d attempts in an hour", e.Attempts)
			}
		}
		s.up(t)
		w.clock.Advance(12 * time.Minute) // the longest pause
		w.drain()
		for _, id := range append(ids, first) {
			w.wantState(id, outbox.Delivered)
		}
		w.wantState(late, outbox.Expired)
		if got := s.take(); len(got) != 6 {
			t.Fatalf("%d mails arrived, want one of each", len(got))
		}
	})
}

func TestAMailIsGivenUpAfterThreeDaysAndCanBeSentAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newMailServer(t)
		w := mailWorld(t, db, through(t, s, nil))
		s.down()
		id := w.send(letter("kari@example.org"))
		for range 73 * 2 {
			w.drain()
			w.clock.Advance(30 * time.Minute)
		}
		if e := w.wantState(id, outbox.Failed); !strings.Contains(e.LastError, "three days") {
			t.Fatal(e.LastError)
		}
		s.up(t)
		if again, err := w.resend(id); err != nil || again != id {
			t.Fatal(again, err)
		}
		w.drain()
		if e := w.wantState(id, outbox.Delivered); e.Attempts != 1 || e.LastError != "" {
			t.Fatalf("%+v", e)
		}
	})
}

func TestABurstOfMailsSharesAConnection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newMailServer(t)
		w := mailWorld(t, db, through(t, s, nil))
		for range 20 {
			w.send(letter("kari@example.org"))
		}
		w.drain()
		if got := len(s.take()); got != 20 || s.connections != 1 {
			t.Fatalf("%d mails over %d connections", got, s.connections)
		}
		// The server closes the idle connection: the next mail does not suffer.
		s.mu.Lock()
		s.hangUp()
		s.mu.Unlock()
		id := w.send(letter("kari@example.org"))
		w.drain()
		if e := w.wantState(id, outbox.Delivered); e.Attempts != 1 || s.connections != 2 {
			t.Fatalf("%d attempts, %d connections", e.Attempts, s.connections)
		}
	})
}

func TestMailIsProtectedAsConfigured(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		strangers, _ := authority(t)
		login := func(c *outbox.SMTPConfig) { c.Username, c.Password = "mailer", secret.New("correct-horse") }
		mode := func(m outbox.TLSMode) func(*outbox.SMTPConfig) {
			return func(c *outbox.SMTPConfig) { c.TLS = m }
		}
		for _, c := range []struct {
			name      string
			server    func(*mailServer)
			client    func(*outbox.SMTPConfig)
			delivered bool
			encrypted bool
		}{
			{"STARTTLS is required by default", func(s *mailServer) { s.noTLS = true }, nil, false, false},
			{"opportunistic uses it when there", nil, mode(outbox.Opportunistic), true, true},
			{"opportunistic goes without", func(s *mailServer) { s.noTLS = true }, mode(outbox.Opportunistic), true, false},
			{"a certificate of another CA is refused", nil, func(c *outbox.SMTPConfig) { c.Roots = strangers }, false, false},
			{"a certificate of another host is refused", nil, func(c *outbox.SMTPConfig) { c.Host = "other.example.org" }, false, false},
			{"TLS from the first byte", func(s *mailServer) { s.implicit = true }, mode(outbox.ImplicitTLS), true, true},
			{
				"TLS from the first byte with a log-in", func(s *mailServer) { s.implicit, s.password = true, "correct-horse" },
				func(c *outbox.SMTPConfig) { c.TLS = outbox.ImplicitTLS; login(c) }, true, true,
			},
			{"a server on this machine in clear", nil, func(c *outbox.SMTPConfig) { c.Host, c.TLS = "127.0.0.1", outbox.Plain }, true, false},
			{"a log-in over STARTTLS", func(s *mailServer) { s.password = "correct-horse" }, login, true, true},
			{"a wrong password waits for the operator", func(s *mailServer) { s.password = "another" }, login, false, false},
			{
				"a password is never sent in clear", func(s *mailServer) { s.noTLS, s.password = true, "correct-horse" },
				func(c *outbox.SMTPConfig) { c.TLS = outbox.Opportunistic; login(c) }, false, false,
			},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := newMailServer(t)
				if c.server != nil {
					c.server(s)
				}
				w := mailWorld(t, db, through(t, s, c.client))
				m := letter("kari@example.org")
				m.NotAfter = start.Add(time.Hour)
				id := w.send(m)
				w.drain()
				got := s.take()
				if c.delivered {
					w.wantState(id, outbox.Delivered)
					if len(got) != 1 || got[0].encrypted != c.encrypted || (s.password != "") != (got[0].user == "mailer") {
						t.Fatalf("%+v", got)
					}
					return
				}
				e := w.wantState(id, outbox.Waiting)
				if len(got) != 0 || strings.Contains(e.LastError, "correct-horse") || e.LastError == "" {
					t.Fatalf("%d mails, %s", len(got), e.LastError)
				}
				if err := db.Update(t.Context(), func(tx *store.Tx) error { _, err := w.o.Cancel(tx, "order", "ord-1"); return err }); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

func TestMailSettingsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name, code string
		config     outbox.SMTPConfig
	}{
		{"no sender", "smtp.from", outbox.SMTPConfig{Host: mailHost}},
		{"clear text to another machine", "smtp.tls", outbox.SMTPConfig{Host: mailHost, From: "a@example.org", TLS: outbox.Plain}},
		{"an unknown mode", "smtp.tls", outbox.SMTPConfig{Host: mailHost, From: "a@example.org", TLS: "ssl"}},
		{"no host", "smtp.config", outbox.SMTPConfig{From: "a@example.org"}},
		{"an impossible port", "smtp.config", outbox.SMTPConfig{Host: mailHost, From: "a@example.org", Port: 70000}},
	} {
		if _, err := outbox.NewSMTP(c.config); fault.Of(err).Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestSeveralMailsAtOnceArriveOnceEach(t *testing.T) {
	s := newMailServer(t)
	tr := through(t, s, nil)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			e := outbox.Envelope{ID: "out-" + string(rune('a'+i%26)) + string(rune('a'+i/26)), To: "kari@example.org", Subject: "x", Body: secret.New("y"), Date: start}
			if err := tr.Deliver(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range s.take() {
		seen[m.header.Get("Message-Id")] = true
	}
	if len(seen) != 40 {
		t.Fatalf("%d different mails", len(seen))
	}
}
