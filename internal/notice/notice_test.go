package notice_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A146: what was sent stands in the list of the order, with what became of it.
func TestANotificationIsSentAndListed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		o := issued("kari@example.org")
		o.Recipients[0].Name, o.Recipients[0].Language = "Registrar", notice.Norwegian
		sameOutcomes(t, w.send(o), notice.Queued)
		if list := w.of(admin, "ord-1"); len(list) != 1 || list[0].State != outbox.Waiting {
			t.Fatalf("%+v", list)
		}
		got := w.delivered()
		if len(got) != 1 || got[0].To != "kari@example.org" || got[0].Subject != "Sertifikat utstedt: www.example.com" ||
			!strings.HasPrefix(got[0].Body.Reveal(), "Hei Registrar\n\nEt sertifikat er utstedt.\n\n  Sertifikat:    www.example.com\n") {
			t.Fatalf("%+v\n%s", got, got[0].Body.Reveal())
		}
		list := w.of(admin, "ord-1")
		e := list[0]
		if len(list) != 1 || e.State != outbox.Delivered || e.Event != notice.Issued || e.Kind != notice.Issuance || e.To != "kari@example.org" ||
			e.Language != notice.Norwegian || e.Subject != got[0].Subject || !e.Done.Equal(noon) || !e.At.Equal(noon) || e.By == "" {
			t.Errorf("%+v", e)
		}
	})
}

func TestNothingIsSentIfTheActDoesNotHappen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		boom := errors.New("boom")
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := w.desk.Send(tx, issued("kari@example.org"))
			return errors.Join(err, boom)
		})
		if !errors.Is(err, boom) || len(w.delivered()) != 0 || len(w.of(admin, "ord-1")) != 0 {
			t.Errorf("%v, sent %d", err, len(w.delivered()))
		}
	})
}

// A146, A200: the list says why a notification was not sent.
func TestTheLogSaysWhyANotificationWasNotSent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, test := range []struct {
			name   string
			change func(*notice.Occasion)
			want   notice.Outcome
		}{
			{"switched off by the product", func(o *notice.Occasion) { o.SwitchedOff = true }, notice.SwitchedOff},
			{"no address", func(o *notice.Occasion) { o.Recipients[0].Email = " " }, notice.NoAddress},
			{"an address that is none", func(o *notice.Occasion) { o.Recipients[0].Email = "kari at example" }, notice.BadAddress},
			{"an address with a header in it", func(o *notice.Occasion) { o.Recipients[0].Email = "kari@example.org\r\nBcc: eve@example.org" }, notice.BadAddress},
			{"an operator who muted what others do", func(o *notice.Occasion) {
				o.Actor = "op-2"
				o.Recipients[0].Kind, o.Recipients[0].Operator, o.Recipients[0].Muted = notice.Operators, "op-1", true
			}, notice.Muted},
			{"a reminder when there is a successor", func(o *notice.Occasion) { o.Event, o.Successor = notice.ExpiryReminder, "ord-2" }, notice.Replaced},

			{"an operator who muted, about what they did themselves", func(o *notice.Occasion) {
				o.Actor = "op-1"
				o.Recipients[0].Kind, o.Recipients[0].Operator, o.Recipients[0].Muted = notice.Operators, "op-1", true
			}, notice.Queued},
			{"an operator who did not mute", func(o *notice.Occasion) {
				o.Actor = "op-2"
				o.Recipients[0].Kind, o.Recipients[0].Operator = notice.Operators, "op-1"
			}, notice.Queued},
			{"a revocation when there is a successor", func(o *notice.Occasion) { o.Event, o.Successor = notice.Revoked, "ord-2" }, notice.Queued},
		} {
			t.Run(test.name, func(t *testing.T) {
				w := newWorld(t, db)
				o := issued("kari@example.org")
				o.ObjectID = "ord-" + test.name
				test.change(&o)
				for range 3 { // a stage that is run again does not fill the log
					w.send(o)
				}
				list := w.of(admin, o.ObjectID)
				want := []notice.Outcome{test.want}
				if test.want == notice.Queued {
					want = []notice.Outcome{notice.Duplicate, notice.Queued}
				}
				sameOutcomes(t, list, want...)
				if sent := len(w.delivered()); (sent > 0) != (test.want == notice.Queued) {
					t.Errorf("%d messages were sent", sent)
				}
			})
		}
	})
}

// A98, A99, A100, A101: the same goes to one address once, whoever it is meant for; another
// round, event or order is another matter.
func TestTheSameIsSentOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		o := issued("kari@example.org", "KARI@example.org", "ole@example.org")
		sameOutcomes(t, w.send(o), notice.Queued, notice.Duplicate, notice.Queued)
		sameOutcomes(t, w.send(o), notice.Duplicate, notice.Duplicate, notice.Duplicate)
		reminder := issued("kari@example.org")
		reminder.Event, reminder.Data.Days = notice.ExpiryReminder, 30
		for i, round := range []string{"30", "14", "14"} {
			reminder.Round = round
			want := notice.Queued
			if i == 2 {
				want = notice.Duplicate
			}
			sameOutcomes(t, w.send(reminder), want)
		}
		other := issued("kari@example.org")
		other.ObjectID = "ord-2"
		sameOutcomes(t, w.send(other), notice.Queued)
		if n := len(w.delivered()); n != 5 {
			t.Errorf("%d messages were sent", n)
		}
	})
}

func TestTheSameIsSentOnceWhenTwoNodesSendAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := w.try(issued("kari@example.org")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(w.delivered()); n != 1 {
			t.Errorf("%d messages were sent", n)
		}
	})
}

// The link or PIN is in the delivered message and nowhere else.
func TestSecretsStayInTheSealedPartOfTheOutbox(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		token := "https://pki.example.com/renew/" + secret.NewToken().Reveal()
		o := issued("kari@example.org")
		o.Event, o.Secret, o.Until = notice.RenewalLink, secret.New(token), noon.AddDate(0, 0, 7)
		o.Data.Name = "{secret} www.example.com" // what a stranger wrote is not filled in
		w.send(o)
		for table, text := range storetest.Dump(t, db) {
			if strings.Contains(text, token) {
				t.Errorf("the secret stands in table %s", table)
			}
		}
		got := w.delivered()
		if len(got) != 1 || strings.Count(got[0].Body.Reveal(), token) != 1 || strings.Contains(got[0].Subject, token) {
			t.Fatalf("%v\n%s", got, got[0].Body.Reveal())
		}
		if _, err := w.desk.Resend(t.Context(), admin, w.of(admin, "ord-1")[0].ID); !errors.Is(err, fault.Gone) {
			t.Errorf("a message whose secret is gone: %v", err)
		}
	})
}

func TestAPINGoesBySMSWhereThereIsNoAddress(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	o := issued()
	o.Event, o.Secret = notice.P12PIN, secret.New("493817")
	o.Recipients = []notice.Recipient{
		{Kind: notice.Subscriber, Mobile: "+45 12 34 56 78", Language: notice.Danish},
		{Kind: notice.Subscriber, Mobile: "a phone"},
		{Kind: notice.Subscriber},
	}
	sameOutcomes(t, w.send(o), notice.Queued, notice.BadAddress, notice.NoAddress)
	got := w.delivered()
	if len(got) != 1 || got[0].Channel != outbox.SMS || got[0].To != "+4512345678" ||
		got[0].Body.Reveal() != "PIN-kode til nøglefilen for www.example.com: 493817. Giv den aldrig videre; slet denne besked efter installationen." {
		t.Errorf("%+v %s", got, got[0].Body.Reveal())
	}
	other := issued()
	other.Recipients = []notice.Recipient{{Kind: notice.Issuance, Mobile: "+4512345678"}}
	sameOutcomes(t, w.send(other), notice.NoAddress) // nothing but the PIN goes by SMS
}

// Header injection is impossible: whatever stands in a request, the subject is one
// line and the paragraphs are ours.
func TestHostileDataCannotShapeTheMessage(t *testing.T) {
	hostile := []string{
		"www.example.com\r\nBcc: eve@example.org\r\n\r\nDear customer", "a\nb", "a\u2028b\u2029c\u0085d", "\x00\x1b[31m\u202ereversed\u2066",
		strings.Repeat("å", 5000), "{{.Secret}}{{range .}}", "{secret}", "\xff\xfe", "%s%n", "   ",
	}
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	for i, h := range hostile {
		for _, e := range notice.Events() {
			o := issued("kari@example.org")
			o.Event, o.Round = e, h[:min(len(h), 10)]+string(rune('a'+i))
			o.Recipients[0].Name = h
			o.Data = notice.Data{
				Name: h, Names: []string{h, h}, Serial: h, Issuer: h, Order: h, Product: h, Client: h, Actor: h, Reason: h, Domain: h, Token: h,
				Where: h, Link: h, Support: h, Days: -5,
			}
			switch e {
			case notice.RenewalLink, notice.PINLink, notice.MailboxConfirmation, notice.DomainEmailLink, notice.RevocationCode:
				o.Secret = secret.New("https://example.com/the-secret-link")
			}
			if list := w.send(o); list[0].Outcome != notice.Queued || list[0].Note != "" {
				t.Fatalf("%q %s: %+v", h, e, list)
			}
		}
	}
	for _, m := range w.delivered() {
		body := m.Body.Reveal()
		if strings.ContainsAny(m.Subject, "\r\n\x00\x1b\u2028\u202e") || m.Subject == "" || strings.ContainsAny(body, "\r\x00\x1b\u2028\u202e\u2066") {
			t.Errorf("subject %q, body %q", m.Subject, body)
		}
		if strings.Contains(body, "\nBcc:") || strings.Contains(body, "\nDear customer") || strings.Count(body, "the-secret-link") > 1 {
			t.Errorf("the data shaped the body:\n%s", body)
		}
	}
}

func TestAWrongOccasionIsAFaultOfTheCaller(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	for name, test := range map[string]struct {
		change func(*notice.Occasion)
		code   string
	}{
		"an unknown event":           {func(o *notice.Occasion) { o.Event = "party" }, "notice.event"},
		"no object":                  {func(o *notice.Occasion) { o.ObjectID = "" }, "notice.occasion"},
		"a secret where none goes":   {func(o *notice.Occasion) { o.Secret = secret.New("x") }, "notice.occasion"},
		"no secret where one must":   {func(o *notice.Occasion) { o.Event = notice.PINLink }, "notice.occasion"},
		"half a thousand and one":    {func(o *notice.Occasion) { o.Recipients = make([]notice.Recipient, 501) }, "notice.occasion"},
		"an event that is an SMS":    {func(o *notice.Occasion) { o.Event = "p12-pin.sms" }, "notice.event"},
		"an event in capitals":       {func(o *notice.Occasion) { o.Event = "ISSUED" }, "notice.event"},
		"an event with a line break": {func(o *notice.Occasion) { o.Event = "issued\n" }, "notice.event"},
	} {
		o := issued("kari@example.org")
		test.change(&o)
		if err := w.try(o); err == nil || fault.Of(err).Code != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMessageThatIsOfNoUseAnyMoreIsNotDelivered(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	o := issued("kari@example.org")
	o.Until = noon.Add(time.Hour)
	w.send(o)
	w.clock.Advance(2 * time.Hour)
	if n := len(w.delivered()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	if list := w.of(admin, "ord-1"); list[0].State != outbox.Expired {
		t.Errorf("%+v", list)
	}
}
