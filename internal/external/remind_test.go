package external_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/external/opensslca"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// watchFor lets days pass with two looks at each of them.
func (f *fixture) watchFor(n int) {
	f.t.Helper()
	for range 2 * n {
		f.must(f.Remind(f.t.Context()))
		f.must(f.Remind(f.t.Context())) // another node
		f.clock.Advance(12 * time.Hour)
	}
}

var ops = external.Fields{Owner: "Operations", Recipients: []string{"ops@example.org"}}

// A67: people are reminded 60, 30, 14, 7 and 1 days before the end, once each, and not
// for days that were past at import.
func TestRemindersComeOnTheirDaysAndOnce(t *testing.T) {
	l := servers(t)
	www, api := leaf(l, "www", "DNS:www.example.com", 90), leaf(l, "api", "DNS:api.example.com", 40)
	old := leaf(l, "old", "DNS:old.example.com", -1)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.take(www, ops)
		f.take(api, external.Fields{Recipients: []string{"a@example.org", "b@example.org"}})
		f.take(old, ops)
		f.watchFor(100)
		subject := func(name string, days ...string) (out []string) {
			for _, d := range days {
				out = append(out, fmt.Sprintf("Certificate %s.example.com expires %s", name, d))
			}
			return out
		}
		var got []string
		for _, m := range f.mail() {
			to, s, _ := strings.Cut(m, ": ")
			if strings.Contains(s, "www") {
				got = append(got, s)
				if to != "ops@example.org" {
					t.Error(m)
				}
			}
		}
		f.equal("reminders of www", got, subject("www", "in 60 days", "in 30 days", "in 14 days", "in 7 days", "tomorrow"))
		got = nil
		for _, m := range f.mail() {
			if s, ok := strings.CutPrefix(m, "b@example.org: "); ok {
				got = append(got, s)
			}
		}
		f.equal("reminders of api to the second", got, subject("api", "in 30 days", "in 14 days", "in 7 days", "tomorrow"))
		if n := len(f.mail()); n != 5+8 {
			t.Errorf("%d messages: %q", n, f.mail())
		}
		f.equal("acts", f.acts("certificate", "days", "to")[3:], []string{
			"remind certificate=api.example.com days=30 to=a@example.org, b@example.org", "remind certificate=api.example.com days=14 to=a@example.org, b@example.org",
			"remind certificate=www.example.com days=60 to=ops@example.org", "remind certificate=api.example.com days=7 to=a@example.org, b@example.org",
			"remind certificate=api.example.com days=1 to=a@example.org, b@example.org", "remind certificate=www.example.com days=30 to=ops@example.org",
			"remind certificate=www.example.com days=14 to=ops@example.org", "remind certificate=www.example.com days=7 to=ops@example.org",
			"remind certificate=www.example.com days=1 to=ops@example.org",
		})
	})
}

func TestAReminderSaysAllThatIsNeeded(t *testing.T) {
	l := servers(t)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	c := f.take(leaf(l, "www", "DNS:www.example.com,DNS:example.com", 70), external.Fields{Owner: "Web team", Comment: "behind the\nload balancer", Recipients: ops.Recipients, Address: "127.0.0.1:1"})
	f.must(f.Watch(t.Context()))
	f.clock.Advance(days(11))
	f.must(f.Remind(t.Context()))
	var body, kind, id, client string
	var end int64
	f.must(f.db.View(t.Context()).QueryRow(`SELECT body, object_kind, object_id, client, not_after FROM outbox`).Scan(&body, &kind, &id, &client, &end))
	for _, part := range []string{"www.example.com", "expires in 59 days: on 30 January 2027 12:00 UTC", "example.com", "CN=Other Issuing", c.Serial, c.SHA256, "Web team", "load balancer", "127.0.0.1:1", "refuses the connection"} {
		if !strings.Contains(body, part) {
			t.Errorf("nothing of %q in\n%s", part, body)
		}
	}
	if kind != "external" || id != c.ID || client != f.north.ID || end != store.Micros(c.NotAfter) {
		t.Errorf("%s %s %s %d", kind, id, client, end)
	}
}

// Nobody is reminded of a certificate that has a successor.
func TestRemindersAreSilentOnceThereIsASuccessor(t *testing.T) {
	l := servers(t)
	www, api, app := leaf(l, "www", "DNS:www.example.com", 90), leaf(l, "api", "DNS:api.example.com", 91), leaf(l, "app", "DNS:app.example.com", 92)
	next := leaf(l, "next", "DNS:www.example.com", 400)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		type question struct {
			realm  access.Realm
			client string
			names  []string
			end    time.Time
		}
		var asked []question
		f := newFixture(t, db, func(o *external.Options) {
			o.Replaced = func(_ context.Context, realm access.Realm, client string, names []string, end time.Time) (bool, error) {
				asked = append(asked, question{realm, client, names, end})
				return slices.Equal(names, []string{"api.example.com"}), nil
			}
		})
		f.take(www, ops)
		f.take(api, ops)
		f.take(app, ops)
		f.clock.Advance(days(40))
		f.take(next, ops)
		f.watchFor(12)
		f.equal("acts", f.acts("certificate", "days", "silent", "to")[4:], []string{
			"remind certificate=www.example.com days=50 silent=replaced by " + f.idOf("next.example.com"),
			"remind certificate=api.example.com days=51 silent=replaced by a certificate that was issued here",
			"remind certificate=app.example.com days=52 to=ops@example.org",
		})
		f.equal("mail", f.mail(), []string{"ops@example.org: Certificate app.example.com expires in 52 days"})
		if len(asked) != 2 || asked[0].realm != realm || asked[0].client != f.north.ID || !asked[0].end.Equal(noon.Add(days(91))) {
			t.Errorf("%+v", asked)
		}
	})
}

func (f *fixture) idOf(title string) string {
	f.t.Helper()
	found, _, err := f.List(f.t.Context(), system, external.Filter{Search: title}, store.Page{})
	f.must(err)
	for _, c := range found {
		if c.Title() == title {
			return c.ID
		}
	}
	f.t.Fatalf("no %s", title)
	return ""
}

func TestAfterALongStopOnlyTheLastReminderIsSent(t *testing.T) {
	l := servers(t)
	www, api := leaf(l, "www", "DNS:www.example.com", 90), leaf(l, "api", "DNS:api.example.com", 85)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.take(www, ops)
		f.take(api, ops)
		f.must(f.Remind(t.Context()))
		f.clock.Advance(days(80)) // 10 and 5 days left
		f.watchFor(1)
		f.equal("mail", f.mail(), []string{"ops@example.org: Certificate www.example.com expires in 10 days", "ops@example.org: Certificate api.example.com expires in 5 days"})
	})
}

// Many certificates that end at the same moment are all reminded of, by two nodes at once.
func TestManyCertificatesAreRemindedOfOnceEach(t *testing.T) {
	l := servers(t)
	var file []byte
	const n = 12
	for i := range n {
		file = append(file, l.Issue(opensslca.Request{File: numbered(i), Issuer: "sub", Names: "DNS:" + numbered(i) + ".example.com", To: noon.Add(days(100))})...)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		results, err := f.Import(t.Context(), system, external.File{Client: f.north.ID, Data: file, Fields: ops})
		f.must(err)
		if len(results) != n {
			t.Fatal(outcomes(results))
		}
		f.clock.Advance(days(41))
		done := make(chan error)
		for range 3 {
			node := f.node()
			go func() { done <- node.Remind(t.Context()) }()
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		f.must(f.Remind(t.Context()))
		mail := f.mail()
		slices.Sort(mail)
		if len(slices.Compact(mail)) != n || len(f.mail()) != n {
			t.Errorf("%d messages: %q", len(f.mail()), mail)
		}
	})
}

// broken refuses some messages.
type broken struct {
	box  external.Outbox
	fail error
}

func (b *broken) Send(tx *store.Tx, m outbox.Message) (string, error) {
	if b.fail != nil {
		return "", b.fail
	}
	return b.box.Send(tx, m)
}

func TestAReminderThatFailedIsSentLaterAndABadAddressStopsNobody(t *testing.T) {
	l := servers(t)
	www, api := leaf(l, "www", "DNS:www.example.com", 61), leaf(l, "api", "DNS:api.example.com", 61)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		box := &broken{}
		f := newFixture(t, db, func(o *external.Options) {
			box.box, o.Outbox = o.Outbox, box
			o.Notify = func(context.Context, access.Realm, string) ([]string, error) {
				return []string{"OPS@example.org", "not an address", strings.Repeat("l", 60) + "@" + strings.Repeat("d", 60) + "." + strings.Repeat("d", 60) + ".example.org"}, nil
			}
		})
		f.take(www, ops)
		f.take(api, external.Fields{})
		f.clock.Advance(days(1))
		box.fail = errors.New("no space left")
		if err := f.Remind(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Fatal(err)
		}
		if f.count("external_reminders") != 0 {
			t.Error("the mark moved without a reminder")
		}
		box.fail = nil
		f.must(f.Remind(t.Context()))
		f.must(f.Remind(t.Context()))
		if n := len(f.mail()); n != 4 {
			t.Errorf("%q", f.mail())
		}
		f.equal("acts", f.acts("refused")[2:], []string{"remind refused=not an address", "remind refused=not an address"})
	})
}

func TestWithoutAnybodyToTellTheAuditLogSaysSo(t *testing.T) {
	l := servers(t)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), func(o *external.Options) { o.Reminders = []int{3, 20, 3} })
	f.take(leaf(l, "www", "DNS:www.example.com", 61), external.Fields{})
	f.watchFor(62)
	f.equal("acts", f.acts("days", "silent")[1:], []string{"remind days=20 silent=there is nobody to tell", "remind days=3 silent=there is nobody to tell"})
}
