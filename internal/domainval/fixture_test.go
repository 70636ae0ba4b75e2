package domainval_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/caa"
)

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	admin = access.System("test")
)

const (
	realm = access.Production
	acme  = "cli-acme"
)

// A network is what the world looks like from the perspectives of a test.
type network struct {
	mu    sync.Mutex
	txt   map[string][]string
	caa   map[string][]string // "flags tag value"
	fail  map[string]perspective.Failure
	files map[string]string // by host and path
	ttl   time.Duration
	looks map[string]int // how often each name was looked at
}

func newNetwork() *network {
	return &network{txt: map[string][]string{}, caa: map[string][]string{}, fail: map[string]perspective.Failure{}, files: map[string]string{}, looks: map[string]int{}, ttl: time.Hour}
}

func (n *network) publish(name, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.txt[name] = append(n.txt[name], value)
}

func (n *network) look(place perspective.Place, q perspective.Question) perspective.Observation {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.looks[string(q.Kind)+" "+q.Name]++
	o := perspective.Observation{Version: q.Version, ID: q.ID, Perspective: place.Name}
	if q.Kind == perspective.HTTP {
		body, ok := n.files[q.Name+q.Path]
		o.Fetch = &perspective.Fetch{Status: map[bool]int{true: 200, false: 404}[ok], Body: []byte(body)}
		return o
	}
	names := []string{q.Name}
	if q.Kind == perspective.CAA {
		names = caa.Climb(q.Name)
	}
	for _, name := range names {
		l := perspective.Lookup{Name: name, TTL: n.ttl, Secure: true}
		if f, ok := n.fail[name]; ok {
			l.Failure = &f
		} else if q.Kind == perspective.TXT {
			l.Texts = slices.Clone(n.txt[name])
		} else {
			for _, text := range n.caa[name] {
				f := strings.SplitN(text, " ", 3)
				r, err := caa.New(map[string]uint8{"0": 0, "128": 128}[f[0]], f[1], []byte(f[2]))
				if err != nil {
					panic(err)
				}
				l.CAA = append(l.CAA, r.Encode())
			}
		}
		o.Lookups = append(o.Lookups, l)
		if len(l.CAA) > 0 || l.Failure != nil {
			break
		}
	}
	return o
}

// A watcher is a perspective of the test's own.
type watcher struct {
	place perspective.Place
	net   *network
	down  bool
	while func() // what happens while it looks
}

func (w *watcher) Place() perspective.Place { return w.place }

func (w *watcher) Look(_ context.Context, q perspective.Question) (perspective.Observation, error) {
	if w.down {
		return perspective.Observation{}, errors.New("connection refused")
	}
	o := w.net.look(w.place, q)
	if w.while != nil {
		w.while()
	}
	return o, nil
}

var places = []perspective.Place{
	{Name: "zurich", Registry: "RIPE NCC", Latitude: 47.4, Longitude: 8.5},
	{Name: "ashburn", Registry: "ARIN", Latitude: 39.0, Longitude: -77.5},
	{Name: "stockholm", Registry: "RIPE NCC", Latitude: 59.3, Longitude: 18.1},
	{Name: "singapore", Registry: "APNIC", Latitude: 1.3, Longitude: 103.8},
	{Name: "saopaulo", Registry: "LACNIC", Latitude: -23.5, Longitude: -46.6},
	{Name: "johannesburg", Registry: "AFRINIC", Latitude: -26.2, Longitude: 28.0},
	{Name: "tokyo", Registry: "APNIC", Latitude: 35.7, Longitude: 139.7},
}

type fixture struct {
	t       *testing.T
	db      *store.DB
	clock   *clock.Fake
	net     *network
	primary *watcher
	remotes []*watcher
	desk    *domainval.Desk
	sent    *mailbox
	mu      sync.Mutex
	done    []string
	onDone  func(order string) error
}

// A mailbox is an outbox that keeps what it gets.
type mailbox struct {
	mu   sync.Mutex
	mail []outbox.Message
}

func (m *mailbox) Send(_ *store.Tx, msg outbox.Message) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mail = append(m.mail, msg)
	return "msg", nil
}

// token is that of the link sent last.
func (m *mailbox) token() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, token, _ := strings.Cut(m.mail[len(m.mail)-1].Secret.Reveal(), "#")
	return token
}

// newFixture opens a desk with four remote perspectives, of which none is asked
// unless change turns RequireMPIC on.
func newFixture(t *testing.T, db *store.DB, change ...func(*domainval.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, clock: clock.NewFake(noon), net: newNetwork(), sent: &mailbox{}}
	f.primary = &watcher{place: places[0], net: f.net}
	o := domainval.Options{
		DB: db, Clock: f.clock, Audit: audit.New(db, f.clock, nil, "test/audit"), Outbox: f.sent, Primary: f.primary,
		Link: func(_ access.Realm, token string) string { return "https://ra.site.dk/confirm#" + token },
		OnDone: func(tx *store.Tx, order string) error {
			tx.AfterCommit(func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.done = append(f.done, order)
			})
			if f.onDone != nil {
				return f.onDone(order)
			}
			return nil
		},
		Settings: domainval.Settings{
			Issuers:    []string{"ca.site.dk"},
			AccountURI: func(_ access.Realm, client string) string { return "https://ca.site.dk/clients/" + client },
		},
	}
	for _, p := range places[1:5] {
		w := &watcher{place: p, net: f.net}
		f.remotes = append(f.remotes, w)
		o.Remotes = append(o.Remotes, w)
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	f.desk, err = domainval.New(o)
	f.check(err)
	return f
}

func mpic(o *domainval.Options) { o.Settings.RequireMPIC = true }

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) begin(o domainval.Order) (domainval.Status, error) {
	f.t.Helper()
	if o.Realm == "" {
		o.Realm, o.Client = realm, acme
	}
	var st domainval.Status
	err := f.db.Update(f.t.Context(), func(tx *store.Tx) (err error) {
		st, err = f.desk.Begin(tx, o)
		return err
	})
	return st, err
}

func (f *fixture) order(id string, public bool, names ...string) domainval.Status {
	f.t.Helper()
	st, err := f.begin(domainval.Order{ID: id, Names: names, Public: public})
	f.check(err)
	return st
}

func (f *fixture) status(order string) domainval.Status {
	f.t.Helper()
	st, err := f.desk.Status(f.db.View(f.t.Context()), order)
	f.check(err)
	return st
}

func (f *fixture) look(v domainval.Validation) domainval.Validation {
	f.t.Helper()
	f.clock.Advance(time.Minute) // past the pause between two looks
	v, err := f.desk.Check(f.t.Context(), admin, v.ID)
	f.check(err)
	return v
}

func (f *fixture) add(name string) domainval.Domain {
	f.t.Helper()
	list, err := f.desk.Add(f.t.Context(), admin, realm, acme, []string{name}, false)
	f.check(err)
	return list[0]
}

func (f *fixture) validate(id string) domainval.Domain {
	f.t.Helper()
	f.clock.Advance(time.Minute)
	x, err := f.desk.Validate(f.t.Context(), admin, id)
	f.check(err)
	return x
}

// proven gives a client a domain that is valid.
func (f *fixture) proven(name string) domainval.Domain {
	f.t.Helper()
	x := f.add(name)
	f.net.publish(x.Name, x.Value)
	if x = f.validate(x.ID); x.Status(f.clock.Now()) != domainval.DomainValid {
		f.t.Fatalf("%s is %s: %s", name, x.Status(f.clock.Now()), x.Result)
	}
	return x
}

func (f *fixture) wasDone(orders ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.done, orders) {
		f.t.Fatalf("woken: %q, want %q", f.done, orders)
	}
	f.done = nil
}
