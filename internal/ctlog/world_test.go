package ctlog_test

import (
	"crypto"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

var (
	start = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	until = start.AddDate(0, 3, 0)
)

// A world is a log, the authority whose certificates it takes, and its past.
type world struct {
	db    *store.DB
	clock *clock.Fake
	ca    *cttest.CA
	key   crypto.Signer
	log   *ctlog.Log
	names int
}

func newWorld(tb testing.TB, db *store.DB) *world {
	tb.Helper()
	w := &world{db: db, clock: clock.NewFake(start), ca: cttest.NewCA(tb), key: cttest.Key(tb)}
	w.log = w.open(tb)
	return w
}

func (w *world) config() ctlog.Config {
	return ctlog.Config{Name: "test2026h2", Signer: w.key, Roots: [][]byte{w.ca.Root}, Start: start, Limit: start.AddDate(1, 0, 0)}
}

func (w *world) open(tb testing.TB) *ctlog.Log {
	tb.Helper()
	l, err := w.try(tb, w.config())
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func (w *world) try(tb testing.TB, c ctlog.Config) (*ctlog.Log, error) {
	tb.Helper()
	return ctlog.Open(tb.Context(), w.db, w.clock, audit.New(w.db, w.clock, nil, ""), c)
}

// A promise is an SCT with what it was given for.
type promise struct {
	sct   ct.SCT
	entry ct.Entry
}

func (w *world) precert(tb testing.TB) []byte {
	tb.Helper()
	w.names++
	return w.ca.Precert(tb, fmt.Sprintf("host%d.example", w.names), start, until)
}

// submit adds n entries, every third of them a certificate.
func (w *world) submit(tb testing.TB, n int) []promise {
	tb.Helper()
	var out []promise
	for i := range n {
		if i%3 == 2 {
			der := w.ca.Certificate(tb, "plain.example", start, until)
			sct, err := w.log.AddChain(tb.Context(), append([][]byte{der}, w.ca.Chain()...))
			if err != nil {
				tb.Fatal(err)
			}
			out = append(out, promise{sct, ct.CertificateEntry(der)})
			continue
		}
		out = append(out, w.promise(tb, w.precert(tb)))
	}
	return out
}

func (w *world) promise(tb testing.TB, precert []byte) promise {
	tb.Helper()
	sct, err := w.log.AddPreChain(tb.Context(), append([][]byte{precert}, w.ca.Chain()...))
	if err != nil {
		tb.Fatal(err)
	}
	return promise{sct, w.entry(tb, precert)}
}

func (w *world) entry(tb testing.TB, precert []byte) ct.Entry {
	tb.Helper()
	e, err := ct.PrecertEntry(precert, w.ca.Issuer)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func (w *world) sequence(tb testing.TB, want int) {
	tb.Helper()
	if n, err := w.log.Sequence(tb.Context()); err != nil || n != want {
		tb.Fatalf("Sequence = %d, %v; want %d entries", n, err, want)
	}
}

func (w *world) head(tb testing.TB) ct.TreeHead {
	tb.Helper()
	h, err := w.log.TreeHead(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func (w *world) exec(tb testing.TB, query string, args ...any) {
	tb.Helper()
	err := w.db.Update(tb.Context(), func(tx *store.Tx) error { _, err := tx.Exec(query, args...); return err })
	if err != nil {
		tb.Fatal(err)
	}
}

func wantFault(tb testing.TB, err error, kind fault.Kind, code string) {
	tb.Helper()
	if !errors.Is(err, kind) || fault.Of(err).Code != code {
		tb.Errorf("got %v, want %s (%s)", err, code, kind)
	}
}
