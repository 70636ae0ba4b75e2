package keycheck_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/goodkey"
)

var (
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	admin  = access.System("test")
	nobody = access.ForService(access.Service{ID: "svc-1", Realm: access.Production, Client: "cli-1", Name: "demo"}, access.DocumentRead)
)

// owners is what the order engine would know.
type owners map[string][]string

func (o owners) Owner(_ store.Queryer, hash string) ([]string, error) { return o[hash], nil }

type world struct {
	t      *testing.T
	db     *store.DB
	clock  *clock.Fake
	owners owners
	keys   *keycheck.Registry
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: clock.NewFake(noon), owners: owners{}}
	w.keys = keycheck.New(db, audit.New(db, w.clock, nil, "test/audit"), w.clock, nil, w.owners)
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused fails the test unless err is a fault of that code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || fault.Of(err).Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func request(t testing.TB, name string) *csr.Request {
	t.Helper()
	r, err := csr.Parse(file(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) ask(spki []byte, pub crypto.PublicKey, unique bool, client string) error {
	return w.keys.Check(w.t.Context(), w.db.View(w.t.Context()), spki, pub, goodkey.Default(), unique, client)
}

func spkiOf(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// acts lists the audited actions in order.
func (w *world) acts() []string {
	w.t.Helper()
	rows, err := w.db.View(w.t.Context()).Query(`SELECT action FROM audit_entries ORDER BY id`)
	list, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	w.check(err)
	return list
}

func (w *world) audited(action string) bool { return slices.Contains(w.acts(), action) }

func (w *world) count(table string) (n int) {
	w.t.Helper()
	w.check(w.db.View(w.t.Context()).QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n))
	return n
}

func (w *world) update(fn func(tx *store.Tx) error) {
	w.t.Helper()
	w.check(w.db.Update(context.WithoutCancel(w.t.Context()), fn))
}
