package outbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func TestMobileNumbersAreNormalised(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"+47 900 00 000", "+4790000000"},
		{"0047 90000000", "+4790000000"},
		{"+47-900-00-000", "+4790000000"},
		{"+44 (7700) 900.123", "+447700900123"},
		{"+12345678", "+12345678"},
		{"+123456789012345", "+123456789012345"},
		{"+1234567", ""},
		{"+1234567890123456", ""},
		{"90000000", ""},
		{"+47 900 00 00x", ""},
		{"+0047 90000000", ""},
		{"++4790000000", ""},
		{"+47+90000000", ""},
		{"", ""},
		{"+", ""},
		{"+४७९००००००००", ""},
		{"+4790000000\n", ""},
		{"+4790000000;+4790000001", ""},
		{"+47" + strings.Repeat(" ", 50) + "90000000", ""},
	} {
		got, err := outbox.ParseMobile(c.in)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("ParseMobile(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
		if err != nil && (fault.Of(err).Code != "mobile.malformed" || fault.Of(err).Next == "") {
			t.Errorf("ParseMobile(%q) fails without telling what to do: %v", c.in, err)
		}
	}
}

func FuzzParseMobile(f *testing.F) {
	for _, s := range []string{"+47 900 00 000", "0047 90000000", "+", "00", "+1-2-3-4-5-6-7-8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := outbox.ParseMobile(s)
		if err != nil {
			return
		}
		if len(got) < 9 || len(got) > 16 || got[0] != '+' || strings.Trim(got[1:], "0123456789") != "" {
			t.Fatalf("%q gives %q", s, got)
		}
		if again, err := outbox.ParseMobile(got); err != nil || again != got {
			t.Fatalf("%q is not stable: %q, %v", got, again, err)
		}
	})
}

func FuzzCheckEmail(f *testing.F) {
	for _, s := range []string{"kari@example.org", "a@b", "Kari <kari@example.org>", "a@b\r\nBcc: c@d", `"x y"@example.org`, "ø@exämple.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if outbox.CheckEmail(s) == nil && (strings.Count(s, "@") != 1 || strings.ContainsAny(s, "\r\n\x00 <>,;")) {
			t.Fatalf("%q counts as an address", s)
		}
	})
}

func TestWhatCannotBeSentIsRefusedBeforeItIsWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := dev(t, db)
		mail := func(change func(*outbox.Message)) outbox.Message {
			m := letter("kari@example.org")
			change(&m)
			return m
		}
		hook := func(to, body string) outbox.Message {
			return outbox.Message{Channel: outbox.Webhook, To: to, Body: body}
		}
		for _, c := range []struct {
			name, code string
			m          outbox.Message
		}{
			{"an address without a domain", "email.malformed", letter("kari")},
			{"an address with a name", "email.malformed", letter("Kari <kari@example.org>")},
			{"two addresses", "email.malformed", letter("a@example.org,b@example.org")},
			{"an address that goes on in the next line", "email.malformed", letter("a@example.org\r\nBcc: b@example.org")},
			{"a very long address", "email.malformed", letter(strings.Repeat("a", 250) + "@example.org")},
			{"a malformed number", "mobile.malformed", outbox.Message{Channel: outbox.SMS, To: "12", Body: "x"}},
			{"a very long SMS", "outbox.message", outbox.Message{Channel: outbox.SMS, To: "+4790000000", Body: strings.Repeat("x", 1001)}},
			{"an unknown channel", "outbox.message", outbox.Message{Channel: "fax", To: "+4790000000", Body: "x"}},
			{"a relative webhook", "webhook.malformed", hook("/hook", "{}")},
			{"a webhook to a file", "webhook.malformed", hook("file:///etc/passwd", "{}")},
			{"a webhook with a password", "webhook.malformed", hook("https://u:p@example.org/", "{}")},
			{"a webhook that is not JSON", "outbox.message", hook("https://example.org/", "{")},
			{"an empty text", "outbox.message", mail(func(m *outbox.Message) { m.Body = "" })},
			{"a text that is not UTF-8", "outbox.message", mail(func(m *outbox.Message) { m.Body = "\xff" })},
			{"a text that is too long", "outbox.message", mail(func(m *outbox.Message) { m.Body = strings.Repeat("x", 1<<20) })},
			{"times the wrong way round", "outbox.message", mail(func(m *outbox.Message) { m.NotBefore, m.NotAfter = start.Add(time.Hour), start })},
			{"a subject with a second header in it", "outbox.header", mail(func(m *outbox.Message) { m.Subject = "Hi\r\nBcc: b@example.org" })},
			{"a header value with a line break", "outbox.header", mail(func(m *outbox.Message) { m.Headers = map[string]string{"X-A": "a\nb"} })},
			{"a header name with a colon", "outbox.header", mail(func(m *outbox.Message) { m.Headers = map[string]string{"X-A: b\r\nBcc": "a"} })},
			{"a header that is ours", "outbox.header", mail(func(m *outbox.Message) { m.Headers = map[string]string{"message-ID": "a"} })},
			{"a secret without its place", "outbox.secret", mail(func(m *outbox.Message) { m.Secret = secret.New("abcdefghijkl") })},
			{"a secret in clear in the text", "outbox.secret", mail(func(m *outbox.Message) { m.Secret, m.Body = secret.New("abcdefghijkl"), "{secret} abcdefghijkl" })},
			{"a secret in clear in the subject", "outbox.secret", mail(func(m *outbox.Message) {
				m.Secret, m.Body, m.Subject = secret.New("abcdefghijkl"), "{secret}", "abcdefghijkl"
			})},
		} {
			if _, err := w.try(c.m); fault.Of(err).Code != c.code {
				t.Errorf("%s: %v, want %s", c.name, err, c.code)
			}
		}
		list, _, err := w.o.List(db.View(t.Context()), outbox.Filter{}, store.Page{})
		if err != nil || len(list) != 0 {
			t.Fatalf("%d rows, %v", len(list), err)
		}
	})
}

func TestResendingDependsOnWhatBecameOfTheMessage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, d := dev(t, db)
		delivered := w.send(letter("kari@example.org"))
		w.drain()
		copied, err := w.resend(delivered)
		if err != nil || copied == delivered {
			t.Fatalf("a delivered message went out under its old id: %v", err)
		}
		w.drain()
		if e := w.wantState(copied, outbox.Delivered); e.ResendOf != delivered || e.Body != "Good day." {
			t.Fatalf("%+v", e)
		}

		waiting := letter("later@example.org")
		waiting.NotBefore = start.Add(time.Hour)
		id := w.send(waiting)
		if same, err := w.resend(id); err != nil || same != id {
			t.Fatal(err)
		}
		w.drain()
		w.wantState(id, outbox.Delivered)

		cancelled := letter("never@example.org")
		cancelled.ObjectID, cancelled.Body, cancelled.Secret, cancelled.NotBefore = "ord-2", "{secret}", secret.New("4711"), start.Add(time.Hour)
		id = w.send(cancelled)
		plain := cancelled
		plain.Body, plain.Secret = "no secret", secret.Text{}
		plainID := w.send(plain)
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			n, err := w.o.Cancel(tx, "order", "ord-2")
			if n != 2 {
				t.Errorf("%d messages cancelled", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Hour)
		w.drain()
		if e := w.wantState(id, outbox.Cancelled); !e.SecretErased {
			t.Fatalf("%+v", e)
		}
		if _, err := w.resend(id); fault.Of(err).Code != "outbox.secret_erased" {
			t.Fatal(err)
		}
		if same, err := w.resend(plainID); err != nil || same != plainID {
			t.Fatal(err)
		}
		if _, err := w.resend("out-x"); fault.Of(err).Code != "outbox.not_found" {
			t.Fatal(err)
		}

		short := letter("short@example.org")
		short.NotAfter = w.clock.Now().Add(time.Minute)
		id = w.send(short)
		w.drain()
		w.clock.Advance(time.Minute)
		if _, err := w.resend(id); fault.Of(err).Code != "outbox.expired" {
			t.Fatal(err)
		}
		if d.Total() != 5 {
			t.Fatalf("%d deliveries", d.Total())
		}
	})
}

func TestMessagesAreListedByScopeAndPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := dev(t, db)
		var ids []string
		for i := range 7 {
			m := letter("kari@example.org")
			if i%2 == 1 {
				m.Client, m.Realm, m.Service, m.ObjectKind, m.ObjectID, m.To = "other", "preprod", "demo", "certificate", "crt-1", "ola@example.org"
			}
			ids = append(ids, w.send(m))
		}
		w.send(outbox.Message{Channel: outbox.SMS, To: "+4790000000", Body: "x", NotBefore: start.Add(time.Hour)})
		view := db.View(t.Context())
		if b, err := w.o.Backlog(view); err != nil || len(b) != 1 || b[0] != (outbox.Backlog{Channel: outbox.Email, Count: 7, Oldest: start}) {
			t.Fatalf("%+v, %v", b, err)
		}
		w.drain()
		for _, c := range []struct {
			name string
			f    outbox.Filter
			want int
		}{
			{"everything", outbox.Filter{}, 8},
			{"one client", outbox.Filter{Client: "acme"}, 4},
			{"one realm", outbox.Filter{Realm: "preprod"}, 3},
			{"one service", outbox.Filter{Service: "demo"}, 3},
			{"one channel", outbox.Filter{Channel: outbox.SMS}, 1},
			{"one state", outbox.Filter{State: outbox.Waiting}, 1},
			{"one recipient", outbox.Filter{To: "ola@example.org"}, 3},
			{"one object", outbox.Filter{ObjectKind: "order", ObjectID: "ord-1"}, 4},
			{"another client's object", outbox.Filter{Client: "acme", ObjectID: "crt-1"}, 0},
			{"failed", outbox.Filter{State: outbox.Failed}, 0},
		} {
			list, next, err := w.o.List(view, c.f, store.Page{})
			if err != nil || len(list) != c.want || next != "" {
				t.Errorf("%s: %d messages, %q, %v", c.name, len(list), next, err)
			}
		}
		first, next, err := w.o.List(view, outbox.Filter{Client: "acme"}, store.Page{Limit: 3})
		if err != nil || len(first) != 3 || first[0].ID != ids[6] {
			t.Fatalf("%+v, %v", first, err)
		}
		rest, next, err := w.o.List(view, outbox.Filter{Client: "acme"}, store.Page{Limit: 3, Cursor: next})
		if err != nil || len(rest) != 1 || rest[0].ID != ids[0] || next != "" {
			t.Fatalf("%+v, %v", rest, err)
		}
		if _, _, err := w.o.List(view, outbox.Filter{State: "' OR 1=1"}, store.Page{}); fault.Of(err).Code != "outbox.state" {
			t.Fatal(err)
		}
		w.clock.Advance(400*24*time.Hour + time.Hour)
		w.drain() // delivers what waited, then sweeps
		w.clock.Advance(time.Hour)
		w.drain()
		list, _, err := w.o.List(view, outbox.Filter{}, store.Page{})
		if err != nil || len(list) != 1 || list[0].Channel != outbox.SMS {
			t.Fatalf("%+v, %v", list, err)
		}
	})
}

func TestDevelopmentKeepsTheLatestMessages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := dev(t, db)
		d := outbox.NewDev(w.clock, 3)
		w = newWorld(t, db, w.clock, everywhere(d))
		var ids []string
		for range 5 {
			ids = append(ids, w.send(letter("kari@example.org")))
			w.drain()
		}
		got := d.List(outbox.DevFilter{To: "KARI"})
		if len(got) != 3 || got[0].ID != ids[4] || got[2].ID != ids[2] || d.Total() != 5 {
			t.Fatalf("%d messages of %d", len(got), d.Total())
		}
		if _, ok := d.Get(ids[0]); ok {
			t.Fatal("the ring is not bounded")
		}
		if got := d.List(outbox.DevFilter{Limit: 1, ObjectID: "ord-1"}); len(got) != 1 {
			t.Fatalf("%d messages", len(got))
		}
	})
}

func TestTheSweepGetsPastMessagesThatStillWait(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := dev(t, db)
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			for range 600 { // more than one bite
				m := letter("later@example.org")
				m.NotBefore = start.AddDate(5, 0, 0)
				if _, err := w.o.Send(tx, m); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		id := w.send(letter("kari@example.org"))
		w.drain()
		w.clock.Advance(400*24*time.Hour + time.Hour)
		w.drain()
		if _, err := w.o.Get(db.View(t.Context()), id); fault.Of(err).Code != "outbox.not_found" {
			t.Fatalf("an old message was kept: %v", err)
		}
		if b, _, err := w.o.List(db.View(t.Context()), outbox.Filter{State: outbox.Waiting}, store.Page{Limit: 500}); err != nil || len(b) != 500 {
			t.Fatalf("%d messages wait, %v", len(b), err)
		}
	})
}
