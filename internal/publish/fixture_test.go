package publish_test

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const realm = access.Production

// fixture is an installation with one node.
type fixture struct {
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
	vault *keys.Vault
	audit *audit.Log
	dir   *access.Directory
	base  string // where files may be published
	ca    *publishtest.CA
	north access.Client
	south access.Client
	told  []string // what the order was told
	*node
}

// node is one process of the installation.
type node struct {
	*publish.Publishing
	queue *jobs.Queue
}

var system = access.System("test")

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, clock: clock.NewFake(noon), base: t.TempDir(), ca: publishtest.NewCA(t, "Issuer")}
	master, err := keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key"))
	f.must(err)
	f.vault, err = keys.Open(t.Context(), db, master, f.clock)
	f.must(err)
	f.audit = audit.New(db, f.clock, nil, "test")
	f.dir, err = access.New(access.Options{
		DB: db, Clock: f.clock, Audit: f.audit, Sealer: f.vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	})
	f.must(err)
	f.north, err = f.dir.CreateClient(t.Context(), system, realm, access.ClientFields{Name: "North", Country: "DK", OrgNumber: "1"})
	f.must(err)
	f.south, err = f.dir.CreateClient(t.Context(), system, realm, access.ClientFields{Name: "South", Country: "DK", OrgNumber: "2"})
	f.must(err)
	f.node = f.newNode(nil)
	return f
}

// newNode starts another process on the same database.
func (f *fixture) newNode(change func(*publish.Options)) *node {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	n := &node{queue: jobs.New(f.db, f.clock, log, jobs.Options{})}
	o := publish.Options{
		DB: f.db, Clock: f.clock, Log: log, Queue: n.queue, Sealer: f.vault, Audit: f.audit, Directories: []string{f.base}, PlainLDAP: true,
		Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute },
		Pause:   func(n int) time.Duration { return time.Duration(n) * time.Minute },
	}
	if change != nil {
		change(&o)
	}
	n.Publishing = publish.New(o)
	n.OnDone = func(_ *store.Tx, order, _ string, ok bool, _ string) error {
		f.told = append(f.told, order+outcome(ok, " published", " failed"))
		return nil
	}
	n.OnRemoved = func(_ *store.Tx, order, _ string, ok bool, _ string) error {
		f.told = append(f.told, order+outcome(ok, " removed", " stuck"))
		return nil
	}
	return n
}

func outcome(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("unexpected: %v", err)
	}
}

// want fails unless err is a fault of that kind and, if given, that code.
func (f *fixture) want(err error, kind fault.Kind, code string) {
	f.t.Helper()
	if !errors.Is(err, kind) || code != "" && fault.Of(err).Code != code {
		f.t.Fatalf("got %v, want %v %s", err, kind, code)
	}
}

func (f *fixture) update(fn func(tx *store.Tx) error) {
	f.t.Helper()
	f.must(f.db.Update(f.t.Context(), fn))
}

func (f *fixture) drain() {
	f.t.Helper()
	f.must(f.queue.Drain(f.t.Context()))
}

// later moves the clock and works.
func (f *fixture) later(d time.Duration) {
	f.t.Helper()
	f.clock.Advance(d)
	f.drain()
}

func (f *fixture) create(fields publish.Fields) publish.Publisher {
	f.t.Helper()
	p, err := f.Create(f.t.Context(), system, realm, "", fields)
	f.must(err)
	return p
}

// files are the fields of a publisher into a folder.
func (f *fixture) files(names string) publish.Fields {
	return publish.Fields{Name: "Folder", Settings: publish.Settings{File: &filedir.Settings{Directory: f.base, Names: filedir.Names{Certificates: names}}}}
}

// directory are the fields of a publisher into an LDAP directory.
func (f *fixture) directory(d *publishtest.Directory) publish.Fields {
	return publish.Fields{
		Name: "Directory", Password: secret.New(publishtest.Password), Internal: []string{"127.0.0.0/8"}, GiveUp: 2 * time.Hour,
		Settings: publish.Settings{LDAP: &ldapdir.Settings{
			Host: "localhost", Port: d.TLSPort, Roots: d.CA.PEM, BindDN: publishtest.BindDN, Timeout: 5,
			Certificates: ldapdir.Entry{
				DN: "mail={mail},ou=people,dc=example,dc=org", ObjectClasses: []string{"inetOrgPerson"}, Attributes: map[string]string{"cn": "{cn}", "sn": "{cn}"},
			},
		}},
	}
}

// item is a certificate of North for somebody.
func (f *fixture) item(order, mail string, publishers ...string) publish.Item {
	f.t.Helper()
	serial := int64(1000)
	for _, c := range order {
		serial = serial*31 + int64(c)
	}
	return publish.Item{OrderID: order, Realm: realm, Client: f.north.ID, Certificate: f.ca.Leaf(f.t, serial, mail, publishtest.Subject("Person "+order)), Publishers: publishers}
}

func (f *fixture) enqueue(it publish.Item) publish.Item {
	f.t.Helper()
	f.update(func(tx *store.Tx) error { return f.Queue(tx, it) })
	return it
}

func (f *fixture) remove(order string) {
	f.t.Helper()
	f.update(func(tx *store.Tx) error { return f.QueueRemoval(tx, order, "revoked") })
}

// state is that of an order with one publisher.
func (f *fixture) state(order string) publish.State {
	f.t.Helper()
	_, list, err := f.Status(f.t.Context(), system, realm, f.north.ID, order)
	f.must(err)
	if len(list) != 1 {
		f.t.Fatalf("%d publications", len(list))
	}
	return list[0].State
}

func (f *fixture) wantState(order string, want publish.State) {
	f.t.Helper()
	if got := f.state(order); got != want {
		_, list, _ := f.Status(f.t.Context(), system, realm, f.north.ID, order)
		f.t.Fatalf("order %s is %s, want %s (%s)", order, got, want, list[0].LastError)
	}
}

// history gives the kinds of events.
func (f *fixture) history(order string) []publish.EventKind {
	f.t.Helper()
	list, next, err := f.History(f.t.Context(), system, realm, f.north.ID, order, store.Page{Limit: 100})
	f.must(err)
	if next != "" {
		f.t.Fatal("more than a page")
	}
	var out []publish.EventKind
	for _, e := range list {
		out = append(out, e.Event)
	}
	return out
}

func (f *fixture) wantHistory(order string, want ...publish.EventKind) {
	f.t.Helper()
	if got := f.history(order); !slices.Equal(got, want) {
		f.t.Fatalf("history %q, want %q", got, want)
	}
}

// operator is somebody with a role over a place.
func (f *fixture) operator(name, role string, r access.Realm, client string) access.Scope {
	f.t.Helper()
	a, err := f.dir.CreateAccount(f.t.Context(), system, r, client, access.AccountFields{Name: name})
	f.must(err)
	_, err = f.dir.Grant(f.t.Context(), system, a.ID, role, r, client)
	f.must(err)
	s, err := f.dir.ScopeOf(f.t.Context(), a.ID)
	f.must(err)
	return s
}

func (f *fixture) audited(action string) (n int64) {
	f.t.Helper()
	f.must(f.db.View(f.t.Context()).QueryRow(`SELECT COUNT(*) FROM audit_entries WHERE action = $1`, action).Scan(&n))
	return n
}
