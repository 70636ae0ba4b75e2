package access

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// sealer is AES-256-GCM with the purpose as additional data.
type sealer struct{ aead cipher.AEAD }

func newSealer(tb testing.TB) sealer {
	tb.Helper()
	var key [32]byte
	rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		tb.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		tb.Fatal(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(purpose)), nil
}

func (s sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, []byte(purpose))
}

const goodPassword = "lantern pickle orbit seven"

// world is an installation with two clients in production and one in preprod.
type world struct {
	*Directory
	tb    testing.TB
	ctx   context.Context
	clock *clock.Fake
	root  Scope // the first administrator

	north, south, lab Client // lab is in preprod
	northSvc          Service
}

func newWorld(tb testing.TB, db *store.DB, change ...func(*Options)) *world {
	tb.Helper()
	fake := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	o := Options{
		DB: db, Clock: fake, Audit: audit.New(db, fake, nil, "test"), Sealer: newSealer(tb),
		Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host:   "ra.example.com", Origins: []string{"https://ra.example.com"},
	}
	for _, c := range change {
		c(&o)
	}
	d, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{Directory: d, tb: tb, ctx: tb.Context(), clock: fake}
	op, _, err := d.Bootstrap(w.ctx, Administrator{Email: "root@example.com", Name: "First Administrator", Password: secret.New(goodPassword)})
	w.must(err)
	w.root = w.scopeOf(op.ID)
	w.north = w.client(Production, "North", "1")
	w.south = w.client(Production, "South", "2")
	w.lab = w.client(Preprod, "Lab", "1")
	w.northSvc, err = d.CreateService(w.ctx, w.root, w.north.ID, "north", ServiceFields{})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatalf("unexpected: %v", err)
	}
}

// want fails unless err is a fault of that kind and, if given, that code.
func (w *world) want(err error, kind fault.Kind, code string) {
	w.tb.Helper()
	if !errors.Is(err, kind) || (code != "" && fault.Of(err).Code != code) {
		w.tb.Fatalf("got %v, want %v %s", err, kind, code)
	}
}

func (w *world) client(r Realm, name, number string) Client {
	w.tb.Helper()
	c, err := w.CreateClient(w.ctx, w.root, r, ClientFields{Name: name, Country: "DK", OrgNumber: number})
	w.must(err)
	return c
}

func (w *world) scopeOf(id string) Scope {
	w.tb.Helper()
	s, err := w.ScopeOf(w.ctx, id)
	w.must(err)
	return s
}

// operator makes an active operator with a role over a place.
func (w *world) operator(name, role string, realm Realm, client string) (Operator, Scope) {
	w.tb.Helper()
	inv, err := w.InviteOperator(w.ctx, w.root, OperatorFields{Email: name + "@example.com", Name: "Operator " + name})
	w.must(err)
	if role != "" {
		_, err = w.Grant(w.ctx, w.root, inv.Operator.ID, role, realm, client)
		w.must(err)
	}
	_, err = w.AcceptInvitation(w.ctx, inv.Token, secret.New(goodPassword), Origin{Address: "192.0.2.1"})
	w.must(err)
	op, err := w.Operator(w.ctx, w.root, inv.Operator.ID)
	w.must(err)
	return op, w.scopeOf(op.ID)
}

func (w *world) account(name, role string, realm Realm, client string) (ServiceAccount, Scope) {
	w.tb.Helper()
	a, err := w.CreateAccount(w.ctx, w.root, realm, client, AccountFields{Name: name})
	w.must(err)
	if role != "" {
		_, err = w.Grant(w.ctx, w.root, a.ID, role, realm, client)
		w.must(err)
	}
	return a, w.scopeOf(a.ID)
}

// count runs a SELECT COUNT.
func (w *world) count(query string, args ...any) int64 {
	w.tb.Helper()
	var n int64
	w.must(w.DB.View(w.ctx).QueryRow(query, args...).Scan(&n))
	return n
}

func (w *world) audited(action string) int64 {
	w.tb.Helper()
	return w.count(`SELECT COUNT(*) FROM audit_entries WHERE action = $1`, action)
}

func (w *world) login(email string) Login {
	w.tb.Helper()
	l, err := w.Login(w.ctx, email, secret.New(goodPassword), Origin{Address: "192.0.2.1", UserAgent: "Test"})
	w.must(err)
	return l
}

func (w *world) session(token secret.Text) Session {
	w.tb.Helper()
	s, err := w.Session(w.ctx, token)
	w.must(err)
	return s
}

func names[T any](list []T, name func(T) string) string {
	var out []string
	for _, v := range list {
		out = append(out, name(v))
	}
	return fmt.Sprint(out)
}

func secretOf(s string) secret.Text { return secret.New(s) }
