package domainval_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// Rule 10: remote perspectives that see the same, that see something else, that
// are down; and the quorum by date.
func TestAQuorumOfPerspectivesMustAgree(t *testing.T) {
	for _, c := range []struct {
		name    string
		at      time.Time
		remotes int
		against []int // those that see nothing
		down    []int
		met     bool
		quorum  string
		text    string
	}{
		{"all agree", noon, 4, nil, nil, true, "4/4", ""},
		{"one sees nothing", noon, 4, []int{0}, nil, true, "3/4", ""},
		{"one is down", noon, 4, nil, []int{3}, true, "3/4", ""},
		{"one sees nothing and one is down", noon, 4, []int{0}, []int{1}, false, "2/4", "ashburn: no TXT record"},
		{"all are down", noon, 4, nil, []int{0, 1, 2, 3}, false, "0/4", "connection refused"},
		{"three were enough until 2026-06-15", on(2026, 6, 15).Add(-time.Hour), 3, []int{2}, nil, true, "2/3", ""},
		{"three are too few from 2026-06-15", on(2026, 6, 15), 3, nil, nil, false, "3/3", "only 3 are configured"},
		{"four are too few from 2026-12-15", on(2026, 12, 15), 4, nil, nil, false, "4/4", "only 4 are configured"},
		{"five from 2026-12-15", on(2026, 12, 15), 5, []int{4}, nil, true, "4/5", ""},
		{"of six two may disagree", on(2026, 12, 15), 6, []int{0, 4}, nil, true, "4/6", ""},
		{"of six three may not", on(2026, 12, 15), 6, []int{0, 4}, []int{5}, false, "3/6", ""},
		{"none are needed before 2025-03-15", on(2025, 3, 14), 0, nil, nil, true, "0/0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			blind := newNetwork()
			f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), mpic, func(o *domainval.Options) {
				o.Remotes = nil
				primary := o.Primary.(*watcher)
				for i := range c.remotes {
					w := &watcher{place: places[i+1], net: primary.net}
					for _, n := range c.against {
						if n == i {
							w.net = blind
						}
					}
					for _, n := range c.down {
						w.down = w.down || n == i
					}
					o.Remotes = append(o.Remotes, w)
				}
			})
			f.clock.Set(c.at.Add(-time.Minute))
			st := f.order("ord-1", true, "site.dk")
			f.net.publish("site.dk", st.Validations[0].Value)
			v := f.look(st.Validations[0])
			if (v.State == domainval.Valid) != c.met || !strings.Contains(v.Result, c.text) {
				t.Errorf("%s: %s", v.State, v.Result)
			}
			list, err := f.desk.EvidenceOf(t.Context(), admin, realm, acme, v.ID)
			f.check(err)
			cor := list[0].Detail.Corroboration
			if len(list) != 1 || list[0].Shown != c.met || list[0].Corroborated != c.met || cor.Quorum != c.quorum || len(cor.Results) != c.remotes {
				t.Errorf("evidence %+v, %+v", list, cor)
			}
		})
	}
}

// Rule 10: those that agree stand in two registries' regions at least.
func TestAgreementFromOneRegionIsNoQuorum(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), mpic, func(o *domainval.Options) {
		for _, r := range o.Remotes {
			r.(*watcher).place.Registry = "ARIN"
		}
	})
	st := f.order("ord-1", true, "site.dk")
	f.net.publish("site.dk", st.Validations[0].Value)
	if v := f.look(st.Validations[0]); v.State == domainval.Valid || !strings.Contains(v.Result, "one Internet registry") {
		t.Errorf("%s: %s", v.State, v.Result)
	}
}

// A remote that claims to see what the primary does not see proves nothing.
func TestRemotesCannotProveWhatIsNotSeenFromHere(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), mpic)
	st := f.order("ord-1", true, "site.dk")
	lies := newNetwork()
	lies.publish("site.dk", st.Validations[0].Value)
	for _, r := range f.remotes {
		r.net = lies
	}
	if v := f.look(st.Validations[0]); v.State == domainval.Valid {
		t.Error(v.Result)
	}
	if n := len(lies.looks); n != 0 {
		t.Errorf("the remotes were asked %d times although there was nothing to corroborate", n)
	}
}

// A remote that never answers does not hold up the others for more than a minute.
func TestARemoteThatHangsDoesNotAgree(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	f := newFixture(t, db, mpic)
	st := f.order("ord-1", true, "site.dk")
	f.net.publish("site.dk", st.Validations[0].Value)
	hang := f.remotes[2]
	var c domainval.Corroboration
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		began := time.Now()
		c = f.desk.Corroborate(t.Context(), "site.dk", st.Validations[0].Value, hang, release)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		close(release)
	})
	if c.Quorum != "3/4" || !c.Met || !strings.Contains(c.Results[2].Text, "did not answer in time") {
		t.Errorf("%+v", c)
	}
}

// Private trust asks nobody else; and what was got without a quorum does not count
// once one is required.
func TestEvidenceWithoutAQuorumDoesNotCountLater(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		before := newFixture(t, db)
		before.proven("site.dk")
		if st := before.order("ord-0", true, "site.dk"); !st.Done {
			t.Error("without a quorum it does not count at all")
		}
		after := newFixture(t, db, mpic)
		after.clock.Advance(time.Hour)
		if st := after.order("ord-1", true, "site.dk"); st.Done {
			t.Error("public trust rests on one perspective")
		}
		for _, r := range after.remotes {
			r.down = true
		}
		st := after.order("ord-2", false, "private.dk")
		after.net.publish("private.dk", st.Validations[0].Value)
		if v := after.look(st.Validations[0]); v.State != domainval.Valid {
			t.Errorf("private trust needs a quorum: %s", v.Result)
		}
	})
}

// Rule 10: 500 km, known registries, names of their own.
func TestPerspectivesMustBeDistinct(t *testing.T) {
	for name, change := range map[string]func(o *domainval.Options){
		"too near": func(o *domainval.Options) {
			w := o.Remotes[0].(*watcher)
			w.place.Latitude, w.place.Longitude = 48.1, 11.6
		},
		"the same name":    func(o *domainval.Options) { o.Remotes[0].(*watcher).place.Name = "singapore" },
		"no such registry": func(o *domainval.Options) { o.Remotes[0].(*watcher).place.Registry = "Atlantis" },
	} {
		o := domainval.Options{Primary: &watcher{place: places[0]}, Settings: domainval.Settings{RequireMPIC: true}}
		for _, p := range places[1:5] {
			o.Remotes = append(o.Remotes, &watcher{place: p})
		}
		if _, err := domainval.New(o); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if _, err := domainval.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, s := range []domainval.Settings{{Label: "validation"}, {Label: "_a b"}, {TokenPrefix: "a b"}, {TokenPrefix: `a"b`}} {
		if _, err := domainval.New(domainval.Options{Primary: &watcher{}, Settings: s}); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}
