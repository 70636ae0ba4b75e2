package timestamp_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/pki/tsp"
)

func TestAUnitIsKeptAsItWasMade(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		u, err := n.Get(t.Context(), system, "unit")
		if err != nil {
			t.Fatal(err)
		}
		if u.Status != timestamp.Active || u.Accuracy != time.Second || u.Resolution != time.Millisecond || strings.Join(u.Policies, " ") != "1.2.3.4.91 1.2.3.4.92" ||
			u.Realm != "production" || u.Algorithm != keys.P256 || len(u.Chain) != 1 || u.Certificate == nil {
			t.Errorf("%+v", u)
		}
		if err := tsp.CheckUnit(u.Certificate); err != nil {
			t.Error(err)
		}
		list, err := n.List(t.Context(), system)
		if err != nil || len(list) != 1 || list[0].ID != "unit" {
			t.Errorf("%v, %v", list, err)
		}
	})
}

func TestSpecsThatMakeNoUnitAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newSite(t).node(db, nil)
		for name, change := range map[string]func(*timestamp.Spec){
			"an id with a slash":              func(s *timestamp.Spec) { s.ID = "a/b" },
			"no name":                         func(s *timestamp.Spec) { s.Name = " " },
			"an unknown realm":                func(s *timestamp.Spec) { s.Realm = "elsewhere" },
			"no policy":                       func(s *timestamp.Spec) { s.Policies = nil },
			"a policy in words":               func(s *timestamp.Spec) { s.Policies = []string{"best"} },
			"a policy that begins with 3":     func(s *timestamp.Spec) { s.Policies = []string{"3.1.2"} },
			"a policy with a zero before":     func(s *timestamp.Spec) { s.Policies = []string{"1.2.03"} },
			"an accuracy like the resolution": func(s *timestamp.Spec) { s.Accuracy, s.Resolution = time.Second, time.Second },
			"an accuracy of an hour":          func(s *timestamp.Spec) { s.Accuracy = time.Hour },
			"a resolution of a minute":        func(s *timestamp.Spec) { s.Resolution = time.Minute },
			"no key":                          func(s *timestamp.Spec) { s.Key = "" },
			"two keys":                        func(s *timestamp.Spec) { s.HSMLabel = "tsu" },
			"an unknown key":                  func(s *timestamp.Spec) { s.Key = "dsa" },
			"a life of a century":             func(s *timestamp.Spec) { s.Years = 100 },
			"a token that is not there":       func(s *timestamp.Spec) { s.Key, s.HSMLabel = "", "tsu" },
		} {
			x := spec()
			change(&x)
			if _, err := n.Create(t.Context(), system, x); !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := n.List(t.Context(), system); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
		n.create(t, nil)
		if _, err := n.Create(t.Context(), system, spec()); !errors.Is(err, fault.Conflict) {
			t.Errorf("a second one: %v", err)
		}
		n.stamp(t)
	})
}

// RFC 3161, section 2.3. What the issuer returns is not taken on trust.
func TestAUnitWithoutTheRightCertificateIsRemoved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newSite(t).node(db, nil)
		ca := n.site.ca
		for name, set := range map[string]func(){
			"no certificate": func() {
				ca.issue = func(_ []byte, _ [][]byte, _ error) ([]byte, [][]byte, error) { return nil, nil, errors.New("no") }
			},
			"one of another key": func() {
				ca.issue = func([]byte, [][]byte, error) ([]byte, [][]byte, error) { return ca.other(), nil, nil }
			},
			"a usage not critical":     func() { ca.change = func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false } },
			"a key for encryption too": func() { ca.change = func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment } },
		} {
			ca.change, ca.issue = nil, nil
			set()
			if _, err := n.Create(t.Context(), system, spec()); err == nil {
				t.Errorf("%s: created", name)
			}
			if _, err := n.Get(t.Context(), system, "unit"); !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: the unit is still there: %v", name, err)
			}
			n.keysLeft(t, 0)
		}
		ca.change, ca.issue = nil, nil
		n.create(t, nil)
		n.stamp(t)
	})
}

// other issues a certificate for a key of its own.
func (a *authority) other() []byte {
	spki, err := x509.MarshalPKIXPublicKey(newKey(a.tb).Public())
	if err != nil {
		a.tb.Fatal(err)
	}
	a.issue = nil
	der, _, err := a.Issue(a.tb.Context(), spki, timestamp.Profile{Name: "Unit 1", Org: "Test"})
	if err != nil {
		a.tb.Fatal(err)
	}
	return der
}

func (n *node) keysLeft(t *testing.T, want int) {
	t.Helper()
	var count int
	if err := n.db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM keys`).Scan(&count); err != nil || count != want {
		t.Errorf("%d keys are left, not %d: %v", count, want, err)
	}
}

func TestAUnitWhoseMakingWasCutShortStampsNothingAndCanBeRetired(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newSite(t).node(db, nil)
		n.site.ca.before = func() { db.Interpose(func(func() error) error { return errors.New("crash") }) }
		if _, err := n.Create(t.Context(), system, spec()); err == nil {
			t.Fatal("created")
		}
		db.Interpose(nil)
		if u, err := n.Get(t.Context(), system, "unit"); err != nil || u.Status != timestamp.Pending {
			t.Fatalf("%+v, %v", u, err)
		}
		if err := n.refused(t, query(t), tsp.BadRequest); err != nil {
			t.Error(err)
		}
		if err := n.Retire(t.Context(), system, "unit"); err != nil {
			t.Error(err)
		}
		n.keysLeft(t, 0)
	})
}

func TestARetiredUnitNeverStampsAgain(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newSite(t)
		a, b := s.node(storetest.Open(t, url), nil), s.node(storetest.Open(t, url), nil)
		a.create(t, nil)
		a.stamp(t)
		b.stamp(t)
		if err := a.Retire(t.Context(), system, "unit"); err != nil {
			t.Fatal(err)
		}
		if err := a.refused(t, query(t), tsp.BadRequest); err != nil {
			t.Error(err)
		}
		s.clock.Advance(time.Second) // the other node sees it
		if err := b.refused(t, query(t), tsp.BadRequest); err != nil {
			t.Error(err)
		}
		a.keysLeft(t, 0)
		if err := a.Retire(t.Context(), system, "unit"); !errors.Is(err, fault.Conflict) {
			t.Errorf("a second time: %v", err)
		}
		u, err := a.Get(t.Context(), system, "unit")
		if err != nil || u.Status != timestamp.Retired || u.Retired.IsZero() {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestUnitsAreSeenAndChangedByThoseWhoMay(t *testing.T) {
	each(t, nil, func(t *testing.T, n *node) {
		reader := access.ForService(access.Service{ID: "svc-1", Name: "demo", Realm: access.Production, Client: "c"}, access.AuthorityRead, access.AuthorityWrite)
		for name, s := range map[string]access.Scope{"nobody": {}, "a service": reader} {
			if _, err := n.Get(t.Context(), s, "unit"); !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Forbidden) {
				t.Errorf("%s gets: %v", name, err)
			}
			if list, err := n.List(t.Context(), s); err != nil || len(list) != 0 {
				t.Errorf("%s lists %v, %v", name, list, err)
			}
			if err := n.Retire(t.Context(), s, "unit"); err == nil {
				t.Errorf("%s retires", name)
			}
			x := spec()
			x.ID = "another"
			if _, err := n.Create(t.Context(), s, x); err == nil {
				t.Errorf("%s creates", name)
			}
			if _, err := n.Usage(t.Context(), s, access.Production, time.Time{}, time.Now()); err == nil {
				t.Errorf("%s sees the usage", name)
			}
		}
		n.stamp(t)
		var actions []string
		rows, err := n.db.View(t.Context()).Query(`SELECT action FROM audit_entries WHERE object_kind = 'timestamp' AND realm = 'production' ORDER BY id`)
		actions, err = store.Collect(rows, err, func(r *store.Rows) (a string, err error) { return a, r.Scan(&a) })
		if err != nil || strings.Join(actions, " ") != "timestamp.create timestamp.activate" {
			t.Errorf("the audit log says %v, %v", actions, err)
		}
	})
}
