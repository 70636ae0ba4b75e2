package domainval_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A181, A188, A189, A190, rules 4–7: each name of an order, by each method, where it may stand.
func TestControlIsShownByEachMethod(t *testing.T) {
	persistent := "ca.site.dk; accounturi=https://ca.site.dk/clients/" + acme
	for _, c := range []struct {
		name, target string
		method       domainval.Method
		publish      func(f *fixture, in domainval.Instructions)
		evidence     string // name it is for; empty: control is not shown
		section      string
	}{
		{"a TXT record at the name", "a.b.site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish("a.b.site.dk", in.TXTValue) }, "a.b.site.dk", "3.2.2.4.7"},
		{"a TXT record under the label", "a.b.site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish(in.TXTNames[1], in.TXTValue) }, "a.b.site.dk", "3.2.2.4.7"},
		{"a TXT record at the base domain", "a.b.site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish("site.dk", in.TXTValue) }, "site.dk", "3.2.2.4.7"},
		{"a TXT record above the base domain", "a.b.site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish("dk", in.TXTValue) }, "", ""},
		{"a TXT record with more around it", "site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish("site.dk", "x"+in.TXTValue) }, "", ""},
		{"a TXT record in other letters", "site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish("site.dk", strings.ToUpper(in.TXTValue)) }, "", ""},
		{"a wildcard by its parent", "*.site.dk", domainval.DNSTXT, func(f *fixture, in domainval.Instructions) { f.net.publish("site.dk", in.TXTValue) }, "site.dk", "3.2.2.4.7"},
		{"a file", "a.site.dk", domainval.HTTPFile, func(f *fixture, in domainval.Instructions) {
			f.net.files[strings.TrimPrefix(in.FileURL, "http://")] = in.FileContent + "\r\n"
		}, "a.site.dk", "3.2.2.4.18"},
		{"a file among other lines", "a.site.dk", domainval.HTTPFile, func(f *fixture, in domainval.Instructions) {
			f.net.files[strings.TrimPrefix(in.FileURL, "http://")] = "hello\n" + in.FileContent + "\nbye"
		}, "a.site.dk", "3.2.2.4.18"},
		{"a file with another value", "a.site.dk", domainval.HTTPFile, func(f *fixture, in domainval.Instructions) {
			f.net.files[strings.TrimPrefix(in.FileURL, "http://")] = "swiss-pki="
		}, "", ""},
		{"a file on an address", "2620:fe::fe", domainval.HTTPFile, func(f *fixture, in domainval.Instructions) {
			f.net.files["2620:fe::fe"+strings.TrimPrefix(in.FileURL, "http://[2620:fe::fe]")] = in.FileContent
		}, "2620:fe::fe", "3.2.2.5.1"},
		{"a persistent record", "site.dk", domainval.PersistTXT, func(f *fixture, in domainval.Instructions) { f.net.publish(in.PersistName, in.PersistValue) }, "site.dk", "3.2.2.4.22"},
		{"a persistent record for a wildcard", "*.site.dk", domainval.PersistTXT, func(f *fixture, in domainval.Instructions) { f.net.publish(in.PersistName, in.PersistValue) }, "site.dk", "3.2.2.4.22"},
		{"a persistent record without a policy above the name", "a.site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) { f.net.publish("_validation-persist.site.dk", persistent) }, "", ""},
		{"a persistent record with a policy above the name", "a.site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", persistent+"; policy=wildcard")
		}, "site.dk", "3.2.2.4.22"},
		{"a persistent record of another client", "site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", persistent+"x")
		}, "", ""},
		{"a persistent record of another issuer", "site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", strings.Replace(persistent, "ca.site.dk;", "ca.other.dk;", 1))
		}, "", ""},
		{"a persistent record that has run out", "site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", persistent+"; persistUntil=1700000000")
		}, "", ""},
		{"a persistent record that still runs", "site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", persistent+"; persistUntil=1900000000; x=y")
		}, "site.dk", "3.2.2.4.22"},
		{"a persistent record with a strange end", "site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", persistent+"; persistUntil=+1900000000")
		}, "", ""},
		{"a persistent record that breaks the grammar", "site.dk", domainval.PersistTXT, func(f *fixture, _ domainval.Instructions) {
			f.net.publish("_validation-persist.site.dk", persistent+";")
		}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
			st, err := f.begin(domainval.Order{ID: "ord-1", Names: []string{c.target}, Methods: []domainval.Method{c.method}, Public: true})
			f.check(err)
			c.publish(f, f.desk.InstructionsFor(st.Validations[0]))
			v := f.look(st.Validations[0])
			if c.evidence == "" {
				if v.State != domainval.Pending || v.Result == "" {
					t.Fatalf("%s: %s", v.State, v.Result)
				}
				f.wasDone()
				return
			}
			f.wasDone("ord-1")
			list, err := f.desk.EvidenceOfOrder(f.db.View(t.Context()), "ord-1")
			f.check(err)
			e := list[0]
			if st := f.status("ord-1"); !st.Done || v.State != domainval.Valid || len(list) != 1 {
				t.Fatalf("%+v: %s", st, v.Result)
			}
			if e.Name != c.evidence || e.Method != c.method || e.Section != c.section || e.Rules == "" || !e.Shown || len(e.Detail.Seen) == 0 || e.Detail.Found == "" {
				t.Errorf("rule 6: %+v", e)
			}
		})
	}
}

// Rule 7, 4: what an order may not even begin, and where the value does not stand.
func TestAnOrderThatCannotBeValidatedIsRefusedAtOnce(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for _, c := range []struct {
		name    string
		methods []domainval.Method
		code    string
	}{
		{"*.co.uk", nil, "domain.suffix"},
		{"printer", nil, "domain.internal"},
		{"10.0.0.1", nil, "domain.address"},
		{"1.0.0.10.in-addr.arpa", nil, "domain.reverse"},
		{"a b", nil, "domain.malformed"},
		{"*.site.dk", []domainval.Method{domainval.HTTPFile}, "domain.method_wildcard"},
		{"9.9.9.9", []domainval.Method{domainval.DNSTXT}, "domain.method_address"},
		{"site.dk", []domainval.Method{"fax"}, "domain.method"},
		{"site.dk", []domainval.Method{domainval.Trusted}, "domain.method"},
	} {
		if _, err := f.begin(domainval.Order{ID: "ord-1", Names: []string{c.name}, Methods: c.methods, Public: true}); err == nil || fault.Of(err).Code != c.code {
			t.Errorf("%s by %v: %v", c.name, c.methods, err)
		}
	}
	st := f.order("ord-2", true, "site.dk")
	in := f.desk.InstructionsFor(st.Validations[0])
	if !strings.HasPrefix(in.FileURL, "http://site.dk/.well-known/pki-validation/") || strings.Contains(in.FileURL, st.Validations[0].Token) {
		t.Errorf("the value stands in the request: %s", in.FileURL)
	}
	if strings.Join(in.TXTNames, " ") != "site.dk _pki-validation.site.dk" || in.Addresses != nil {
		t.Errorf("%+v", in)
	}
}

// A182, rule 2: what the client has shown covers names below, and later orders, while it is fresh.
func TestFreshEvidenceIsUsedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.proven("site.dk")
		if st := f.order("ord-1", true, "site.dk", "a.b.site.dk", "*.site.dk", "a.site.dk", "A.site.dk."); !st.Done || len(st.Validations) != 4 {
			t.Fatalf("%+v", st)
		}
		if st := f.order("ord-2", true, "a.site.dk", "nosite.dk"); st.Done {
			t.Error("a name that only ends alike was covered")
		}
		list, err := f.desk.EvidenceOfOrder(db.View(t.Context()), "ord-1")
		f.check(err)
		if len(list) != 1 || list[0].Order != "" {
			t.Errorf("%+v", list)
		}
		// Shown by file for one name, it serves that name only.
		st := f.order("ord-3", true, "www.other.dk")
		in := f.desk.InstructionsFor(st.Validations[0])
		f.net.files[strings.TrimPrefix(in.FileURL, "http://")] = in.FileContent
		f.look(st.Validations[0])
		for name, want := range map[string]bool{"www.other.dk": true, "a.www.other.dk": false, "*.www.other.dk": false, "other.dk": false} {
			if st := f.order("ord-4-"+name, true, name); st.Done != want {
				t.Errorf("%s: %v", name, st.Done)
			}
		}
		// On 2027-03-15 the 200 days become 100: what was shown on 2026-11-21 is too old.
		f.clock.Set(on(2027, 3, 15).Add(-time.Microsecond))
		if st := f.status("ord-1"); !st.Done {
			t.Error("it ran out too early")
		}
		f.clock.Set(on(2027, 3, 15))
		if st := f.status("ord-1"); st.Done || st.Failed || st.Validations[0].State != domainval.Stale {
			t.Errorf("%+v", st)
		}
		if st := f.order("ord-1", true, "site.dk", "a.b.site.dk", "*.site.dk", "a.site.dk"); st.Done || st.Validations[0].State != domainval.Pending || st.Validations[0].Token == "" {
			t.Errorf("it was not opened again: %+v", st)
		}
	})
}

// A182: a domain that becomes valid settles the orders that wait for names below it.
func TestOneProofSettlesAllThatWaitForIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.order("ord-1", true, "a.site.dk", "*.b.site.dk")
		f.order("ord-2", true, "c.site.dk", "elsewhere.dk")
		f.order("ord-3", true, "elsewhere.dk")
		f.proven("site.dk")
		f.wasDone("ord-1")
		if st := f.status("ord-2"); st.Done || st.Validations[0].State != domainval.Valid {
			t.Errorf("%+v", st)
		}
		f.proven("elsewhere.dk")
		f.wasDone("ord-2", "ord-3")
		// The names of one order have one value, so that one record at the base serves them all.
		st := f.order("ord-4", true, "x.third.dk", "y.third.dk")
		if st.Validations[0].Token != st.Validations[1].Token {
			t.Error("each name has a value of its own")
		}
		f.net.publish("third.dk", st.Validations[0].Value)
		f.look(st.Validations[1])
		f.wasDone("ord-4")
		if again := f.order("ord-5", true, "z.fourth.dk"); again.Validations[0].Token == st.Validations[0].Token {
			t.Error("rule 4: two orders share a value")
		}
	})
}

// The hook stands in the transaction that settles: when it fails, nothing is settled.
func TestTheHookAndTheProofAreOneTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		st := f.order("ord-1", true, "site.dk")
		f.net.publish("site.dk", st.Validations[0].Value)
		f.onDone = func(string) error { return errors.New("the engine is broken") }
		f.clock.Advance(time.Minute)
		if _, err := f.desk.Check(t.Context(), admin, st.Validations[0].ID); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Fatal(err)
		}
		list, err := f.desk.EvidenceOfOrder(db.View(t.Context()), "ord-1")
		f.check(err)
		if st := f.status("ord-1"); st.Done || len(list) != 0 {
			t.Errorf("%+v", st)
		}
		f.onDone = nil
		f.look(st.Validations[0])
		f.wasDone("ord-1")
	})
}

// Beginning twice, and looking from many sides at once, is as once.
func TestBeginAndCheckMayBeRepeated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		one, two := f.order("ord-1", true, "site.dk"), f.order("ord-1", true, "site.dk")
		if len(two.Validations) != 1 || one.Validations[0].Token != two.Validations[0].Token || one.Validations[0].ID != two.Validations[0].ID {
			t.Fatalf("%+v", two)
		}
		v := one.Validations[0]
		f.net.publish("site.dk", v.Value)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := f.desk.Check(t.Context(), admin, v.ID); err != nil && !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.TooMany) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		f.wasDone("ord-1")
		list, err := f.desk.EvidenceOfOrder(db.View(t.Context()), "ord-1")
		f.check(err)
		if len(list) != 1 {
			t.Errorf("%d proofs", len(list))
		}
		if _, err := f.desk.Check(t.Context(), admin, v.ID); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
	})
}

func TestCancelledAndExpiredOrdersWaitForNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		st := f.order("ord-1", true, "site.dk")
		f.check(db.Update(t.Context(), func(tx *store.Tx) error { return f.desk.Cancel(tx, "ord-1") }))
		f.net.publish("site.dk", st.Validations[0].Value)
		if _, err := f.desk.Check(t.Context(), admin, st.Validations[0].ID); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
		f.clock.Advance(time.Hour)
		f.check(f.desk.Sweep(t.Context()))
		f.wasDone()
		list, _, err := f.desk.Pending(t.Context(), admin, domainval.Query{})
		f.check(err)
		if len(list) != 0 {
			t.Errorf("%d wait", len(list))
		}
		// Rule 4, A192: after 30 days the value counts no more, whether the sweep has run or not.
		st = f.order("ord-2", true, "other.dk")
		f.net.publish("other.dk", st.Validations[0].Value)
		f.clock.Advance(30 * day)
		if _, err := f.desk.Check(t.Context(), admin, st.Validations[0].ID); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
	})
}

// A188: what waits, by client, newest first, with words for each state.
func TestPendingValidationsAreListed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.order("ord-1", true, "a.dk", "b.dk")
		f.clock.Advance(time.Second)
		f.order("ord-2", true, "bücher.dk")
		_, err := f.begin(domainval.Order{ID: "ord-3", Realm: realm, Client: "cli-other", Names: []string{"b.dk"}})
		f.check(err)
		f.proven("a.dk")
		var got []string
		q := domainval.Query{Client: acme, Page: store.Page{Limit: 1}}
		for {
			list, next, err := f.desk.Pending(t.Context(), admin, q)
			f.check(err)
			for _, v := range list {
				got = append(got, v.Order+" "+v.Name.Unicode())
				if w := v.Words(); !strings.Contains(w.State, "We wait") || !strings.Contains(w.Next, "Check now") {
					t.Errorf("%+v", w)
				}
			}
			if q.Page.Cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, []string{"ord-2 bücher.dk", "ord-1 b.dk"}) {
			t.Errorf("%q", got)
		}
		n, oldest, err := f.desk.PendingSince(t.Context())
		f.check(err)
		if n != 3 || !oldest.Equal(noon) {
			t.Errorf("%d since %v", n, oldest)
		}
	})
}

// What was shown under the rules of private trust does not serve public trust.
func TestPrivateEvidenceDoesNotServePublicTrust(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		st := f.order("ord-1", false, "site.dk")
		f.net.publish("site.dk", st.Validations[0].Value)
		f.look(st.Validations[0])
		if st := f.order("ord-2", false, "a.site.dk"); !st.Done {
			t.Error("private evidence does not serve private trust")
		}
		if st := f.order("ord-3", true, "a.site.dk"); st.Done {
			t.Error("private evidence served public trust")
		}
	})
}

func TestADeskWithoutAccountsOffersNoPersistentRecord(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), func(o *domainval.Options) { o.Settings.AccountURI = nil })
	_, err := f.begin(domainval.Order{ID: "ord-1", Names: []string{"site.dk"}, Methods: []domainval.Method{domainval.PersistTXT}})
	if !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if in := f.desk.DomainInstructions(f.add("site.dk")); in.PersistName != "" || in.TXTNames[1] != "_pki-validation.site.dk" {
		t.Errorf("%+v", in)
	}
}

// Rule 2: a persistent record is looked at again in time, so that the domain stays valid.
func TestAPersistentRecordKeepsADomainValid(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.add("site.dk")
		in := f.desk.DomainInstructions(x)
		f.net.publish(in.PersistName, in.PersistValue)
		if x = f.validate(x.ID); x.Status(f.clock.Now()) != domainval.DomainValid || x.ValidUntil.Sub(x.Validated) != 10*day {
			t.Fatalf("%+v", x)
		}
		for range 12 {
			f.clock.Advance(5 * day)
			f.check(f.desk.Sweep(t.Context()))
			x, err := f.desk.Get(t.Context(), admin, x.ID)
			f.check(err)
			if x.Status(f.clock.Now()) != domainval.DomainValid {
				t.Fatalf("%s: %s", x.Status(f.clock.Now()), x.Result)
			}
		}
		f.net.mu.Lock()
		delete(f.net.txt, in.PersistName)
		f.net.mu.Unlock()
		for range 3 {
			f.clock.Advance(5 * day)
			f.check(f.desk.Sweep(t.Context()))
		}
		x, err := f.desk.Get(t.Context(), admin, x.ID)
		f.check(err)
		if x.Status(f.clock.Now()) != domainval.DomainExpired {
			t.Errorf("%s after the record was taken away", x.Status(f.clock.Now()))
		}
	})
}

// A value that was replaced while we looked shows nothing: what was seen is the old one.
func TestAValueThatIsReplacedDuringTheLookShowsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x := f.add("site.dk")
		f.net.publish("site.dk", x.Value)
		once := func(fn func() error) {
			f.primary.while = func() {
				f.primary.while = nil
				f.check(fn())
			}
		}
		once(func() error { _, err := f.desk.NewToken(t.Context(), admin, x.ID); return err })
		f.clock.Advance(time.Minute)
		if _, err := f.desk.Validate(t.Context(), admin, x.ID); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
		x, err := f.desk.Get(t.Context(), admin, x.ID)
		f.check(err)
		if x.Status(f.clock.Now()) != domainval.DomainPending {
			t.Errorf("the domain is %s", x.Status(f.clock.Now()))
		}
		v := f.order("ord-1", true, "other.dk").Validations[0]
		f.net.publish("other.dk", v.Value)
		once(func() error {
			return db.Update(t.Context(), func(tx *store.Tx) error {
				if err := f.desk.Cancel(tx, "ord-1"); err != nil {
					return err
				}
				_, err := f.desk.Begin(tx, domainval.Order{ID: "ord-1", Realm: realm, Client: acme, Names: []string{"other.dk"}, Public: true})
				return err
			})
		})
		if again := f.look(v); again.State != domainval.Pending || again.Token == v.Token {
			t.Errorf("%+v", again)
		}
		f.wasDone()
	})
}
