package external_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/external/opensslca"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

var (
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	system = access.System("test")
)

const realm = access.Production

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// fixture is an installation with two clients.
type fixture struct {
	*external.Registry
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
	audit *audit.Log
	box   *outbox.Outbox
	dir   *access.Directory
	north access.Client
	south access.Client
}

func newFixture(t *testing.T, db *store.DB, change ...func(*external.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, clock: clock.NewFake(noon)}
	master, err := keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key"))
	f.must(err)
	vault, err := keys.Open(t.Context(), db, master, f.clock)
	f.must(err)
	f.audit = audit.New(db, f.clock, nil, "test")
	log := slog.New(slog.DiscardHandler)
	transports := map[outbox.Channel]outbox.Transport{outbox.Email: outbox.NewDev(f.clock, 10)}
	f.box = outbox.New(db, f.clock, log, jobs.New(db, f.clock, log, jobs.Options{}), vault, transports, outbox.Options{})
	f.dir, err = access.New(access.Options{
		DB: db, Clock: f.clock, Audit: f.audit, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	})
	f.must(err)
	f.north, err = f.dir.CreateClient(t.Context(), system, realm, access.ClientFields{Name: "North", Country: "DK", OrgNumber: "1"})
	f.must(err)
	f.south, err = f.dir.CreateClient(t.Context(), system, realm, access.ClientFields{Name: "South", Country: "DK", OrgNumber: "2"})
	f.must(err)
	f.Registry = f.node(change...)
	return f
}

// node is one process of the installation.
func (f *fixture) node(change ...func(*external.Options)) *external.Registry {
	o := external.Options{
		DB: f.db, Clock: f.clock, Audit: f.audit, Outbox: f.box,
		Egress: egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 5 * time.Second},
	}
	for _, c := range change {
		c(&o)
	}
	return external.New(o)
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("unexpected: %v", err)
	}
}

// want fails unless err is a fault of that kind and code.
func (f *fixture) want(err error, kind fault.Kind, code string) {
	f.t.Helper()
	if !errors.Is(err, kind) || fault.Of(err).Code != code {
		f.t.Fatalf("got %v, want %v %s", err, kind, code)
	}
}

// scope is somebody with a role over a place.
func (f *fixture) scope(role string, r access.Realm, client string) access.Scope {
	f.t.Helper()
	a, err := f.dir.CreateAccount(f.t.Context(), system, r, client, access.AccountFields{Name: role + " of " + client})
	f.must(err)
	_, err = f.dir.Grant(f.t.Context(), system, a.ID, role, r, client)
	f.must(err)
	s, err := f.dir.ScopeOf(f.t.Context(), a.ID)
	f.must(err)
	return s
}

// take imports one certificate for North.
func (f *fixture) take(pem []byte, fields external.Fields) *external.Certificate {
	f.t.Helper()
	results, err := f.Import(f.t.Context(), system, external.File{Client: f.north.ID, Data: pem, Authorities: true, Fields: fields})
	f.must(err)
	if len(results) != 1 || results[0].Outcome != external.Imported {
		f.t.Fatalf("%+v", results)
	}
	return results[0].Certificate
}

func (f *fixture) reload(c *external.Certificate) *external.Certificate {
	f.t.Helper()
	c, err := f.Get(f.t.Context(), system, c.ID)
	f.must(err)
	return c
}

// titles lists the certificates that a filter picks, in pages of a size.
func (f *fixture) titles(s access.Scope, filter external.Filter, size int) []string {
	f.t.Helper()
	titles := []string{}
	page := store.Page{Limit: size}
	for range 100 {
		found, next, err := f.List(f.t.Context(), s, filter, page)
		f.must(err)
		if len(found) > size {
			f.t.Fatalf("a page of %d", len(found))
		}
		for _, c := range found {
			titles = append(titles, c.Title())
		}
		if page.Cursor = next; next == "" {
			return titles
		}
	}
	f.t.Fatal("the list does not end")
	return nil
}

// acts lists the audited acts on external certificates, as "action key=value …" with
// the wanted keys of their detail.
func (f *fixture) acts(keys ...string) (acts []string) {
	f.t.Helper()
	entries, _, err := f.audit.List(f.db.View(f.t.Context()), audit.Filter{AllClients: true, Action: "external."}, store.Page{Limit: 500})
	f.must(err)
	for _, e := range slices.Backward(entries) {
		if e.Entry.ObjectKind != "external" || e.Entry.ObjectID == "" || e.Entry.Client == "" || e.Entry.Realm != string(realm) {
			f.t.Errorf("%+v", e.Entry)
		}
		act := strings.TrimPrefix(e.Entry.Action, "external.")
		for _, k := range keys {
			if v := e.Entry.Detail[k]; v != "" {
				act += " " + k + "=" + v
			}
		}
		acts = append(acts, act)
	}
	return acts
}

// mail lists what was sent, as "recipient: subject", in the order of sending.
func (f *fixture) mail() []string {
	f.t.Helper()
	rows, err := f.db.View(f.t.Context()).Query(`SELECT recipient, subject FROM outbox ORDER BY id`)
	list, err := store.Collect(rows, err, func(r *store.Rows) (string, error) {
		var to, subject string
		err := r.Scan(&to, &subject)
		return to + ": " + subject, err
	})
	f.must(err)
	return list
}

func (f *fixture) equal(what string, got, want []string) {
	f.t.Helper()
	if !slices.Equal(got, want) {
		f.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func (f *fixture) count(table string) (n int64) {
	f.t.Helper()
	f.must(f.db.View(f.t.Context()).QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n))
	return n
}

// servers makes certificates for www.example.com and others, once per test.
func servers(t *testing.T) *opensslca.Lab {
	t.Helper()
	l := opensslca.New(t)
	l.Issue(opensslca.Request{File: "root", Subject: "/C=DE/O=Other/CN=Other Root", CA: true, To: noon.Add(days(5000))})
	l.Issue(opensslca.Request{File: "sub", Issuer: "root", Subject: "/C=DE/O=Other/CN=Other Issuing", CA: true, To: noon.Add(days(2000))})
	return l
}

// leaf issues a certificate that ends some days after noon.
func leaf(l *opensslca.Lab, file, names string, end int) []byte {
	return l.Issue(opensslca.Request{File: file, Issuer: "sub", Subject: "/O=Other/CN=" + file + ".example.com", Names: names, To: noon.Add(days(end))})
}

func numbered(n int) string { return fmt.Sprintf("host%02d", n) }
