package notice_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/notice"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	admin = access.System("test")
)

// sealer is a real one with a key of the test's own.
type sealer struct{ cipher.AEAD }

func (s sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	return s.AEAD.Seal(nil, nil, plain, []byte(purpose)), nil
}

func (s sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, []byte(purpose))
}

// A world is a desk over a real outbox that delivers into memory.
type world struct {
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
	queue *jobs.Queue
	post  *outbox.Dev
	desk  *notice.Desk
	dir   *access.Directory
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: clock.NewFake(noon)}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	block, err := aes.NewCipher(bytes.Repeat([]byte{7}, 32))
	w.check(err)
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	w.check(err)
	w.queue, w.post = jobs.New(db, w.clock, quiet, jobs.Options{}), outbox.NewDev(w.clock, 0)
	out := outbox.New(db, w.clock, quiet, w.queue, sealer{gcm}, map[outbox.Channel]outbox.Transport{outbox.Email: w.post, outbox.SMS: w.post}, outbox.Options{})
	log := audit.New(db, w.clock, nil, "test/audit")
	w.desk = notice.New(db, out, log, w.clock)
	w.dir, err = access.New(access.Options{
		DB: db, Clock: w.clock, Audit: log, Sealer: sealer{gcm}, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	})
	w.check(err)
	return w
}

// client makes one in production and gives its id.
func (w *world) client(name string) string {
	w.t.Helper()
	c, err := w.dir.CreateClient(w.t.Context(), admin, access.Production, access.ClientFields{Name: name, Country: "DK"})
	w.check(err)
	return c.ID
}

// officer is the scope of somebody who may do ps for one client, or, without one, for
// the whole realm.
func (w *world) officer(client string, ps ...access.Permission) access.Scope {
	w.t.Helper()
	role, err := w.dir.CreateRole(w.t.Context(), admin, access.RoleFields{Name: "role " + ident.New("r"), Permissions: ps})
	w.check(err)
	account, err := w.dir.CreateAccount(w.t.Context(), admin, access.Production, client, access.AccountFields{Name: "officer"})
	w.check(err)
	_, err = w.dir.Grant(w.t.Context(), admin, account.ID, role.ID, access.Production, client)
	w.check(err)
	s, err := w.dir.ScopeOf(w.t.Context(), account.ID)
	w.check(err)
	return s
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || fault.Of(err).Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// issued is an occasion to be changed.
func issued(to ...string) notice.Occasion {
	o := notice.Occasion{
		Event: notice.Issued, Realm: access.Production, Client: "cli-1", Product: "pma-1", ObjectID: "ord-1",
		Data: notice.Data{Name: "www.example.com", Order: "ord-1", Product: "TLS server", NotAfter: noon.AddDate(0, 3, 0)},
	}
	for _, a := range to {
		o.Recipients = append(o.Recipients, notice.Recipient{Kind: notice.Issuance, Email: a})
	}
	return o
}

func (w *world) send(o notice.Occasion) (list []notice.Entry) {
	w.t.Helper()
	w.check(w.db.Update(w.t.Context(), func(tx *store.Tx) (err error) {
		list, err = w.desk.Send(tx, o)
		return err
	}))
	return list
}

// try is send for what may fail.
func (w *world) try(o notice.Occasion) error {
	return w.db.Update(w.t.Context(), func(tx *store.Tx) error {
		_, err := w.desk.Send(tx, o)
		return err
	})
}

// delivered runs the queue and gives what arrived, the latest first.
func (w *world) delivered() []outbox.DevMessage {
	w.t.Helper()
	w.check(w.queue.Drain(w.t.Context()))
	return w.post.List(outbox.DevFilter{})
}

func (w *world) of(s access.Scope, id string) []notice.Entry {
	w.t.Helper()
	list, next, err := w.desk.Of(w.t.Context(), s, "order", id, store.Page{})
	w.check(err)
	if next != "" {
		w.t.Fatalf("there is a next page %s", next)
	}
	return list
}

func outcomes(list []notice.Entry) (out []notice.Outcome) {
	for _, e := range list {
		out = append(out, e.Outcome)
	}
	return out
}

func (w *world) acts() []string {
	w.t.Helper()
	rows, err := w.db.View(w.t.Context()).Query(`SELECT action FROM audit_entries WHERE action LIKE 'notice.%' ORDER BY id`)
	list, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	w.check(err)
	return list
}

func sameOutcomes(t *testing.T, got []notice.Entry, want ...notice.Outcome) {
	t.Helper()
	if !slices.Equal(outcomes(got), want) {
		t.Errorf("outcomes %v, want %v", outcomes(got), want)
	}
}
