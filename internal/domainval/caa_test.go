package domainval_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func (f *fixture) caa(order string, public bool, names ...string) domainval.CAAReport {
	f.t.Helper()
	r, err := f.desk.CheckCAA(f.t.Context(), order, domainval.CAARequest{Realm: realm, Client: acme, Names: names, Public: public})
	f.check(err)
	return r
}

// A16, A35, rule 9: every name of the order, with evidence and a log of refusals.
func TestCAAOfAnOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.net.caa["good.dk"] = []string{"0 issue ca.site.dk", "0 iodef mailto:a@good.dk"}
		f.net.caa["bad.dk"] = []string{"0 issue ca.other.dk", "0 iodef mailto:a@bad.dk"}
		f.net.caa["wild.dk"] = []string{"0 issue ca.site.dk", "0 issuewild ;"}
		f.net.fail["broken.dk"] = perspective.Failure{Kind: "servfail", Text: "The servers failed."}
		if r := f.caa("ord-1", true, "a.good.dk", "*.good.dk", "none.dk", "9.9.9.9", "A.good.dk"); !r.Allowed || r.Temporary || len(r.Results) != 3 || r.Fault() != nil || r.Until != noon.Add(8*time.Hour) {
			t.Errorf("%+v", r)
		}
		r := f.caa("ord-2", true, "a.good.dk", "x.bad.dk", "www.wild.dk", "*.wild.dk", "a.broken.dk")
		if r.Allowed || r.Temporary || !strings.Contains(r.Why, "x.bad.dk: ") || !strings.Contains(r.Why, "*.wild.dk: ") || strings.Contains(r.Why, "www.wild.dk") {
			t.Errorf("%+v", r)
		}
		if err := r.Fault(); !errors.Is(err, fault.Invalid) || fault.Of(err).Next == "" {
			t.Error(err)
		}
		if r := f.caa("ord-3", true, "a.broken.dk"); r.Allowed || !r.Temporary || !errors.Is(r.Fault(), fault.Unavailable) {
			t.Errorf("rule 8: SERVFAIL: %+v", r)
		}
		kept, err := f.desk.CAAOfOrder(db.View(t.Context()), "ord-2")
		f.check(err)
		if len(kept) != 5 {
			t.Fatalf("%d results were kept", len(kept))
		}
		for _, c := range kept {
			want := map[string]domainval.CAAOutcome{"x.bad.dk": domainval.CAARefused, "*.wild.dk": domainval.CAARefused, "a.broken.dk": domainval.CAAUnknown}[c.Name]
			if want == "" {
				want = domainval.CAAPermitted
			}
			if c.Outcome != want || c.Why == "" || len(c.Detail.Seen) == 0 {
				t.Errorf("%+v", c)
			}
		}
		log := audit.New(db, f.clock, nil, "test/audit")
		entries, _, err := log.List(db.View(t.Context()), audit.Filter{AllClients: true, Action: "caa.check"}, store.Page{})
		f.check(err)
		if len(entries) != 4 {
			t.Fatalf("%d refusals were logged", len(entries))
		}
		iodef := ""
		for _, e := range entries {
			iodef += e.Entry.Detail["iodef"]
			if e.Entry.Result != audit.Refused || e.Entry.ObjectKind != "order" {
				t.Errorf("%+v", e)
			}
		}
		if iodef != "mailto:a@bad.dk" {
			t.Errorf("iodef %q", iodef)
		}
	})
}

// Rule 9: a permission is used again while the answers live, 8 hours at most; a refusal never.
func TestCAAAnswersAreUsedAgainWhileTheyLive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		looks := func() int { return f.net.looks["caa site.dk"] }
		f.net.caa["site.dk"] = []string{"0 issue ;"}
		f.caa("ord-1", true, "site.dk")
		if r := f.caa("ord-2", true, "site.dk"); r.Allowed || looks() != 2 {
			t.Errorf("a refusal was used again: %d looks", looks())
		}
		f.net.caa["site.dk"] = []string{"0 issue ca.site.dk"}
		f.caa("ord-3", true, "site.dk")
		r := f.caa("ord-4", true, "site.dk")
		if !r.Allowed || looks() != 3 || r.Results[0].Source == "" || r.Until != noon.Add(8*time.Hour) {
			t.Errorf("%d looks, %+v", looks(), r)
		}
		f.caa("ord-5", true, "*.site.dk") // another question
		f.caa("ord-6", false, "site.dk")  // and another
		if looks() != 5 {
			t.Errorf("%d looks", looks())
		}
		f.clock.Advance(time.Hour - time.Microsecond) // the TTL is an hour
		f.caa("ord-7", true, "site.dk")
		f.clock.Advance(time.Microsecond)
		if f.caa("ord-8", true, "site.dk"); looks() != 6 {
			t.Errorf("%d looks", looks())
		}
		f.net.ttl = 100 * time.Hour
		f.clock.Advance(day)
		f.caa("ord-9", true, "site.dk")
		f.clock.Advance(8 * time.Hour)
		if f.caa("ord-10", true, "site.dk"); looks() != 8 {
			t.Errorf("an answer was used for more than 8 hours: %d looks", looks())
		}
	})
}

// TLS BR 4.2.2.1: when a failed look-up is permission, and that it is not by itself.
func TestAnUnreachableCAARecordPermitsOnlyByTheRule(t *testing.T) {
	excused := perspective.Failure{Kind: "servfail", Text: "x", Insecure: true, Retried: true, Outside: true}
	for _, c := range []struct {
		name    string
		change  func(f *perspective.Failure)
		setting bool
		allowed bool
	}{
		{"all conditions hold and the setting allows it", func(*perspective.Failure) {}, true, true},
		{"the setting does not allow it", func(*perspective.Failure) {}, false, false},
		{"the zone is not proven to be unsigned", func(f *perspective.Failure) { f.Insecure = false }, true, false},
		{"it was asked once only", func(f *perspective.Failure) { f.Retried = false }, true, false},
		{"our own network may be at fault", func(f *perspective.Failure) { f.Outside = false }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), func(o *domainval.Options) { o.Settings.PermitUnreachableCAA = c.setting })
			failure := excused
			c.change(&failure)
			f.net.fail["site.dk"] = failure
			r := f.caa("ord-1", true, "www.site.dk")
			if r.Allowed != c.allowed || r.Results[0].Detail.Exception != c.allowed || !c.allowed && !r.Temporary {
				t.Errorf("%+v", r)
			}
			delete(f.net.fail, "site.dk")
			f.net.caa["site.dk"] = []string{"0 issue ;"}
			if r := f.caa("ord-2", true, "www.site.dk"); r.Allowed {
				t.Error("the exception was used again")
			}
		})
	}
}

// Rule 10 for CAA: a quorum must be permitted too.
func TestCAANeedsAQuorum(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db, mpic)
		strict := newNetwork()
		strict.caa["site.dk"] = []string{"0 issue ca.other.dk"}
		f.remotes[0].net = strict
		r := f.caa("ord-1", true, "site.dk")
		if !r.Allowed || r.Results[0].Detail.Corroboration.Quorum != "3/4" {
			t.Errorf("%+v", r)
		}
		f.clock.Advance(day)
		f.remotes[1].down = true
		if r = f.caa("ord-2", true, "site.dk"); r.Allowed || !strings.Contains(r.Why, "2/4") {
			t.Errorf("%+v", r)
		}
		if r = f.caa("ord-3", false, "site.dk"); !r.Allowed || r.Results[0].Detail.Corroboration != nil {
			t.Errorf("private trust: %+v", r)
		}
	})
}

// RFC 8657: the client's account, and the method by which the name was validated.
func TestCAAAsksForAccountAndMethod(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.proven("site.dk")
		f.order("ord-1", true, "a.site.dk", "*.b.site.dk")
		for value, want := range map[string]bool{
			"ca.site.dk; accounturi=https://ca.site.dk/clients/" + acme: true, "ca.site.dk; accounturi=https://ca.site.dk/clients/other": false,
			"ca.site.dk; validationmethods=ca-dns-txt": true, "ca.site.dk; validationmethods=dns-01,ca-http-file": false,
		} {
			f.net.caa["site.dk"] = []string{"0 issue " + value}
			if r := f.caa("ord-1", true, "a.site.dk", "*.b.site.dk"); r.Allowed != want {
				t.Errorf("%s: %+v", value, r)
			}
			f.clock.Advance(day)
		}
		f.net.caa["site.dk"] = []string{"0 issue ca.site.dk; validationmethods=dns-01; accounturi=https://ca.site.dk/acme/7"}
		r, err := f.desk.CheckCAA(t.Context(), "ord-1", domainval.CAARequest{Realm: realm, Client: acme, Names: []string{"a.site.dk"}, Method: "dns-01", Account: "https://ca.site.dk/acme/7"})
		f.check(err)
		if !r.Allowed {
			t.Errorf("what the caller says does not overrule: %+v", r)
		}
	})
}

// RFC 9495, rule 28.
func TestCAAForMail(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.net.caa["site.dk"] = []string{"0 issue ;", "0 issuemail ca.site.dk"}
	f.net.caa["other.dk"] = []string{"0 issue ca.site.dk", "0 issuemail ;"}
	for address, want := range map[string]bool{"a@mail.site.dk": true, "a@other.dk": false, "a@none.dk": true} {
		r, err := f.desk.CheckCAA(t.Context(), "ord-1", domainval.CAARequest{Realm: realm, Client: acme, Names: []string{address}, Mail: true, Public: true})
		f.check(err)
		if r.Allowed != want {
			t.Errorf("%s: %+v", address, r)
		}
	}
	if _, err := f.desk.CheckCAA(t.Context(), "ord-1", domainval.CAARequest{Realm: realm, Client: acme, Names: []string{"no address"}, Mail: true}); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
