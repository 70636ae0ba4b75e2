package domainval_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A51, A182, A183, A184, A185, A186, A187, contract section 5: register, publish, validate, covered, expired.
func TestADomainTravelsThroughItsStates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		wants := func(x domainval.Domain, want domainval.DomainStatus, state, next string) {
			t.Helper()
			w := x.Words(f.clock.Now())
			if got := x.Status(f.clock.Now()); got != want || !strings.Contains(w.State, state) || !strings.Contains(w.Next, next) {
				t.Errorf("%s, %q, want %s with %q and %q", got, w, want, state, next)
			}
		}
		x := f.add("Déjà.vu.com")
		if !regexp.MustCompile(`^cld-[0-9a-f-]{36}$`).MatchString(x.ID) || x.Name != "xn--dj-kia8a.vu.com" || x.Unicode != "déjà.vu.com" {
			t.Errorf("%+v", x)
		}
		if !regexp.MustCompile(`^swiss-pki=[0-9A-Za-z]{27}$`).MatchString(x.Value) {
			t.Errorf("contract: the value is %q", x.Value)
		}
		if x.TokenExpires != noon.Add(30*day) { // A187
			t.Errorf("the token lives until %v", x.TokenExpires)
		}
		wants(x, domainval.DomainPending, "not been found yet", x.Value)

		f.net.publish(x.Name, "swiss-pki=somethingelse")
		x = f.validate(x.ID)
		wants(x, domainval.DomainPending, "There is no TXT record with the value "+x.Value, "every hour")

		f.net.publish("_pki-validation."+x.Name, x.Value)
		x = f.validate(x.ID)
		wants(x, domainval.DomainValid, "all names below it", "Nothing now")
		if x.Method != domainval.DNSTXT || x.ValidUntil != on(2027, 3, 15) && x.ValidUntil.Sub(x.Validated) > 200*day {
			t.Errorf("by %s until %v", x.Method, x.ValidUntil)
		}

		// A186: a new value does not end what is valid, and the old one counts no more.
		old := x.Value
		x, err := f.desk.NewToken(t.Context(), admin, x.ID)
		f.check(err)
		if x.Value == old {
			t.Error("the value is the same")
		}
		wants(x, domainval.DomainValid, "to prolong it", x.Value)

		f.clock.Set(x.ValidUntil.Add(-time.Microsecond))
		wants(x, domainval.DomainValid, "Validated until", "")
		f.clock.Set(x.ValidUntil)
		wants(x, domainval.DomainExpired, "ran out", "new validation token")
		if st := f.order("ord-late", true, "www."+x.Name); st.Done {
			t.Error("an expired domain covers an order")
		}

		x, err = f.desk.NewToken(t.Context(), admin, x.ID)
		f.check(err)
		wants(x, domainval.DomainPending, "", x.Value)
		x, err = f.desk.DeleteToken(t.Context(), admin, x.ID)
		f.check(err)
		wants(x, domainval.DomainExpired, "", "")
		if x.Token != "" || x.Value != "" {
			t.Error("the value was not deleted")
		}

		y := f.add("never.dk")
		f.clock.Advance(30 * day)
		wants(y, domainval.DomainNotValidated, "ran out", "new validation token")
		f.net.publish(y.Name, y.Value)
		if y = f.validate(y.ID); y.Status(f.clock.Now()) != domainval.DomainNotValidated {
			t.Error("rule 4: a value older than 30 days was accepted")
		}
	})
}

// A191: every hour without anybody asking; A192: no longer than 30 days.
func TestTheSweepLooksEveryHourForThirtyDays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.add("site.dk")
		f.order("ord-1", true, "other.dk")
		looked := func() int {
			f.net.mu.Lock()
			defer f.net.mu.Unlock()
			return f.net.looks["txt site.dk"] + f.net.looks["txt other.dk"]
		}
		f.check(f.desk.Sweep(t.Context()))
		if looked() != 0 {
			t.Error("it looked before an hour was over")
		}
		for hour := 1; hour <= 3; hour++ {
			f.clock.Advance(time.Hour)
			f.check(f.desk.Sweep(t.Context()))
			f.check(f.desk.Sweep(t.Context())) // a second node has nothing to do
			if looked() != 2*hour {
				t.Fatalf("%d looks in %d hours", looked(), hour)
			}
		}
		f.net.publish("site.dk", x.Value)
		f.clock.Advance(time.Hour)
		f.check(f.desk.Sweep(t.Context()))
		x, err := f.desk.Get(t.Context(), admin, x.ID)
		f.check(err)
		if x.Status(f.clock.Now()) != domainval.DomainValid {
			t.Errorf("%s after the record was published", x.Status(f.clock.Now()))
		}
		f.wasDone()
		f.clock.Set(noon.Add(30 * day))
		f.check(f.desk.Sweep(t.Context()))
		f.wasDone("ord-1")
		if st := f.status("ord-1"); !st.Failed || !strings.Contains(st.Why, "30 days") {
			t.Errorf("%+v", st)
		}
		before := looked()
		f.clock.Advance(2 * time.Hour)
		f.check(f.desk.Sweep(t.Context()))
		if looked() != before {
			t.Error("it looked after the 30 days")
		}
	})
}

func TestNamesThatCannotBeRegistered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for name, code := range map[string]string{
			"": "domain.malformed", "co.uk": "domain.suffix", "*.site.dk": "domain.wildcard", "192.0.2.1": "domain.address", "intranet.corp": "domain.internal", "in-addr.arpa": "domain.reverse",
		} {
			_, err := f.desk.Add(t.Context(), admin, realm, acme, []string{"good.dk", name}, false)
			if err == nil || fault.Of(err).Code != code {
				t.Errorf("%q: %v", name, err)
			}
		}
		list, _, err := f.desk.List(t.Context(), admin, domainval.Query{})
		f.check(err)
		if len(list) != 0 {
			t.Errorf("%d domains were registered beside a refused one", len(list))
		}
		one, again := f.add("site.dk"), f.add("SITE.dk.")
		if one.ID != again.ID || one.Token != again.Token {
			t.Error("registering twice gave two domains")
		}
		private, err := f.desk.Add(t.Context(), admin, realm, acme, []string{"intranet.corp"}, true)
		f.check(err)
		if !private[0].Private || one.Private {
			t.Error("which names are private is not known")
		}
	})
}

func TestADomainIsLookedAtWithPauses(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	x := f.add("site.dk")
	f.validate(x.ID)
	_, err := f.desk.Validate(t.Context(), admin, x.ID)
	if !errors.Is(err, fault.TooMany) || fault.Of(err).RetryAfter != 10*time.Second {
		t.Error(err)
	}
}

// Rule 8: no answer is no proof, and people are told what the DNS said.
func TestAFailingDNSIsNoProof(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.add("site.dk")
		f.net.fail["site.dk"] = perspective.Failure{Kind: "bogus", Text: "The signature of site.dk does not verify."}
		f.net.publish("site.dk", x.Value)
		if x = f.validate(x.ID); x.Status(f.clock.Now()) != domainval.DomainPending || !strings.Contains(x.Result, "does not verify") {
			t.Errorf("%s: %s", x.Status(f.clock.Now()), x.Result)
		}
		list, err := f.desk.EvidenceOf(t.Context(), admin, realm, acme, x.ID)
		f.check(err)
		if len(list) != 1 || list[0].Shown || list[0].Detail.Seen[0].Lookups[0].Failure.Kind != "bogus" {
			t.Errorf("the refusal was not kept: %+v", list)
		}
		f.validate(x.ID)
		list, err = f.desk.EvidenceOf(t.Context(), admin, realm, acme, x.ID)
		f.check(err)
		if len(list) != 1 {
			t.Errorf("the same answer was kept %d times", len(list))
		}
	})
}

// What an administrator trusts serves private certificates only, until it is taken back.
func TestATrustedDomainServesPrivateTrustOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		list, err := f.desk.Add(t.Context(), admin, realm, acme, []string{"intranet.corp", "site.dk"}, true)
		f.check(err)
		f.order("ord-1", false, "a.intranet.corp")
		for _, x := range list {
			x, err = f.desk.Trust(t.Context(), admin, x.ID, true)
			f.check(err)
			if x.Status(f.clock.Now()) != domainval.DomainValid || !strings.Contains(x.Words(f.clock.Now()).State, "administrator") {
				t.Errorf("%+v", x)
			}
		}
		f.wasDone("ord-1")
		f.clock.Advance(1000 * day)
		if st := f.order("ord-2", false, "b.intranet.corp", "*.site.dk"); !st.Done {
			t.Errorf("%+v", st)
		}
		if st := f.order("ord-3", true, "b.site.dk"); st.Done {
			t.Error("an administrator's word served public trust")
		}
		_, err = f.desk.Trust(t.Context(), admin, list[0].ID, false)
		f.check(err)
		if st := f.status("ord-2"); st.Done {
			t.Error("what was taken back still counts")
		}
	})
}

func TestDeletingADomainEndsWhatItCovers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.proven("site.dk")
		if st := f.order("ord-1", true, "a.site.dk"); !st.Done {
			t.Fatal("it does not cover")
		}
		f.check(f.desk.Delete(t.Context(), admin, x.ID))
		if st := f.order("ord-2", true, "b.site.dk"); st.Done {
			t.Error("a deleted domain covers an order")
		}
		if st := f.status("ord-1"); st.Done || st.Validations[0].State != domainval.Stale {
			t.Errorf("%+v", st)
		}
		if _, err := f.desk.Get(t.Context(), admin, x.ID); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestDomainsAreListedBySearchAndPage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, name := range []string{"one.dk", "two.dk", "bücher.ch", "three_.dk"[:5] + ".dk"} {
			f.add(name)
			f.clock.Advance(time.Second)
		}
		names := func(q domainval.Query) string {
			t.Helper()
			var out []string
			for {
				list, next, err := f.desk.List(t.Context(), admin, q)
				f.check(err)
				if len(list) > q.Page.Size() {
					t.Fatalf("%d on a page", len(list))
				}
				for _, x := range list {
					out = append(out, x.Unicode)
				}
				if q.Page.Cursor = next; next == "" {
					return strings.Join(out, " ")
				}
			}
		}
		for search, want := range map[string]string{
			"": "three.dk bücher.ch two.dk one.dk", "o": "two.dk one.dk", "BÜCH": "bücher.ch", "xn--b": "bücher.ch", "t*.dk": "three.dk two.dk", "?ne.": "one.dk", "%": "", "_": "",
		} {
			if got := names(domainval.Query{Client: acme, Realm: realm, Search: search, Page: store.Page{Limit: 1}}); got != want {
				t.Errorf("%q found %q", search, got)
			}
		}
		if got := names(domainval.Query{Client: "cli-other"}); got != "" {
			t.Errorf("another client has %q", got)
		}
		if _, _, err := f.desk.List(t.Context(), admin, domainval.Query{Page: store.Page{Cursor: "!"}}); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}

// A42: nobody reaches the domains, validations and evidence of another client.
func TestOtherClientsAreOutOfReach(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.add("site.dk")
		st, err := f.begin(domainval.Order{ID: "ord-1", Names: []string{"a.dk"}, Methods: []domainval.Method{domainval.EmailLink}})
		f.check(err)
		v := st.Validations[0]
		m, err := f.desk.SendOwnerLink(t.Context(), admin, v.ID, "postmaster@a.dk", "")
		f.check(err)
		stranger := access.ForService(access.Service{ID: "svc-1", Realm: realm, Client: "cli-other"}, access.DomainRead, access.DomainValidate, access.ClientWrite)
		ctx := t.Context()
		_, get := f.desk.Get(ctx, stranger, x.ID)
		_, add := f.desk.Add(ctx, stranger, realm, acme, []string{"b.dk"}, false)
		_, validate := f.desk.Validate(ctx, stranger, x.ID)
		_, token := f.desk.NewToken(ctx, stranger, x.ID)
		_, drop := f.desk.DeleteToken(ctx, stranger, x.ID)
		_, trust := f.desk.Trust(ctx, stranger, x.ID, true)
		_, check := f.desk.Check(ctx, stranger, v.ID)
		_, read := f.desk.Validation(ctx, stranger, v.ID)
		_, send := f.desk.SendOwnerLink(ctx, stranger, v.ID, "postmaster@a.dk", "")
		_, resend := f.desk.ResendMail(ctx, stranger, m.ID)
		_, mails := f.desk.OwnerMails(ctx, stranger, v.ID)
		_, evidence := f.desk.EvidenceOf(ctx, stranger, realm, acme, x.ID)
		for what, err := range map[string]error{
			"get": get, "add": add, "validate": validate, "token": token, "drop": drop, "trust": trust, "delete": f.desk.Delete(ctx, stranger, x.ID),
			"check": check, "read": read, "send": send, "resend": resend, "mails": mails, "evidence": evidence,
		} {
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
		domains, _, err := f.desk.List(ctx, stranger, domainval.Query{})
		f.check(err)
		pending, _, err := f.desk.Pending(ctx, stranger, domainval.Query{})
		f.check(err)
		if len(domains)+len(pending) != 0 {
			t.Errorf("a stranger sees %d domains and %d validations", len(domains), len(pending))
		}
		// Evidence of one client does not serve another.
		f.proven("shared.dk")
		if st, err := f.begin(domainval.Order{ID: "ord-2", Realm: realm, Client: "cli-other", Names: []string{"shared.dk"}, Public: true}); err != nil || st.Done {
			t.Errorf("%+v, %v", st, err)
		}
		if st, err := f.begin(domainval.Order{ID: "ord-3", Realm: access.Preprod, Client: acme, Names: []string{"shared.dk"}, Public: true}); err != nil || st.Done {
			t.Errorf("another realm: %+v, %v", st, err)
		}
	})
}
