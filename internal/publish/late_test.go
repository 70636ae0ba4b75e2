package publish

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

// lateness is a node that stops in the middle of its work, and another one.
type lateness struct {
	*Publishing
	t     *testing.T
	clock *clock.Fake
	queue *jobs.Queue
	base  string
	pub   Publisher
	ca    *publishtest.CA
}

// claim leases the publisher, as a node would, and reads what is due.
func (l *lateness) claim() (*run, []*item, place.Session, place.Destination) {
	l.t.Helper()
	var r *run
	err := l.o.DB.Update(l.t.Context(), func(tx *store.Tx) error {
		now := l.now()
		tasks, err := source{l.Publishing}.Claim(tx, lane, 1, now, now.Add(time.Minute))
		if err == nil {
			r = tasks[0].(*run)
		}
		return err
	})
	l.must(err)
	d, err := l.destination(r.pub.Settings)
	l.must(err)
	batch, err := r.take(l.t.Context(), d, nil)
	l.must(err)
	s, err := d.Open(l.t.Context(), r.link)
	l.must(err)
	l.t.Cleanup(s.Close)
	return r, batch, s, d
}

func (l *lateness) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lateness) files() []string {
	l.t.Helper()
	list, err := filepath.Glob(filepath.Join(l.base, "*"))
	l.must(err)
	return list
}

func (l *lateness) enqueue(order string) []byte {
	l.t.Helper()
	der := l.ca.Leaf(l.t, int64(len(order)), "", publishtest.Subject(order))
	l.must(l.o.DB.Update(l.t.Context(), func(tx *store.Tx) error {
		return l.Queue(tx, Item{OrderID: order, Realm: access.Production, Client: "cli-1", Certificate: der, Publishers: []string{l.pub.ID}})
	}))
	return der
}

func (l *lateness) remove(order string) {
	l.t.Helper()
	l.must(l.o.DB.Update(l.t.Context(), func(tx *store.Tx) error { return l.QueueRemoval(tx, order, "revoked") }))
}

func (l *lateness) drain() {
	l.t.Helper()
	l.clock.Advance(2 * time.Minute)
	l.must(l.queue.Drain(l.t.Context()))
}

func (l *lateness) state(order string) State {
	l.t.Helper()
	list, err := l.publications(l.o.DB.View(l.t.Context()), order)
	l.must(err)
	return list[0].State
}

func newLateness(t *testing.T, db *store.DB, name string) *lateness {
	t.Helper()
	c := clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	l := &lateness{t: t, clock: c, queue: jobs.New(db, c, log, jobs.Options{}), base: t.TempDir(), ca: publishtest.NewCA(t, "Issuer")}
	l.Publishing = New(Options{DB: db, Clock: c, Log: log, Queue: l.queue, Audit: audit.New(db, c, nil, "test"), Directories: []string{l.base}})
	var err error
	l.pub, err = l.Create(t.Context(), access.System("test"), access.Production, "", Fields{
		Name:     "Folder",
		Settings: Settings{File: &filedir.Settings{Directory: l.base, Names: filedir.Names{Certificates: name}}},
	})
	l.must(err)
	return l
}

// A node that writes after its lease ended, when another has published and
// removed meanwhile, does not leave the certificate behind. The same when it
// never learns whether its write had an effect.
func TestALateWriterIsUndone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, answered := range []bool{true, false} {
			l := newLateness(t, db, "{serial}")
			l.enqueue("ord-1")
			late, batch, session, d := l.claim()
			l.drain() // another node takes over and publishes
			if l.state("ord-1") != Published {
				t.Fatal(l.state("ord-1"))
			}
			l.remove("ord-1")
			l.drain()
			if l.state("ord-1") != Removed || len(l.files()) != 0 {
				t.Fatal(l.state("ord-1"), l.files())
			}
			changed, err := late.one(t.Context(), session, d, batch[0])
			l.must(err)
			if len(l.files()) != 1 {
				t.Fatal("the late write did nothing: the test proves nothing")
			}
			if answered {
				l.must(late.record(t.Context(), d, batch[0], changed, nil))
			} else {
				l.must(late.abandon(t.Context(), d, batch[0]))
			}
			if l.state("ord-1") != Removing {
				t.Fatal(l.state("ord-1"))
			}
			l.drain()
			if l.state("ord-1") != Removed || len(l.files()) != 0 {
				t.Fatal(l.state("ord-1"), l.files())
			}
			l.must(l.Delete(t.Context(), access.System("test"), l.pub.ID))
			l.must(db.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM publish_items`)
				return err
			}))
		}
	})
}

// The same for a late removal, and for a late write over a newer object.
func TestALateRemovalAndALateOverwriteAreUndone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLateness(t, db, "one-name")
		first := l.enqueue("ord-1")
		l.drain()
		l.remove("ord-1")
		late, batch, session, d := l.claim()
		l.drain() // another node removes it
		l.enqueue("ord-1")
		l.must(db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE publish_items SET der = $1`, first)
			return err
		}))
		l.drain() // and it is wanted again
		changed, err := late.one(t.Context(), session, d, batch[0])
		l.must(err)
		if len(l.files()) != 0 {
			t.Fatal("the late removal did nothing: the test proves nothing")
		}
		l.must(late.record(t.Context(), d, batch[0], changed, nil))
		l.drain()
		if l.state("ord-1") != Published || len(l.files()) != 1 {
			t.Fatal(l.state("ord-1"), l.files())
		}

		l.enqueue("ord-1b")
		late, batch, session, d = l.claim()
		l.drain()
		l.clock.Advance(time.Hour)
		newest := l.enqueue("ord-1bc")
		l.drain()
		if _, err := session.Put(t.Context(), batch[0].place, batch[0].body()); err != nil {
			t.Fatal(err)
		}
		l.must(late.record(t.Context(), d, batch[0], true, nil))
		l.drain()
		raw, err := os.ReadFile(filepath.Join(l.base, "one-name"))
		if err != nil || string(raw) != string(newest) || l.state("ord-1bc") != Published || l.state("ord-1b") != Replaced {
			t.Fatal(err, l.state("ord-1b"), l.state("ord-1bc"))
		}
	})
}

// A server that repeats what it was sent does not get a secret into the history.
func TestReasonsHoldNoSecretsAndNoControlCharacters(t *testing.T) {
	l := place.Link{Password: secret.New("mallard.42"), Key: secret.New("-----KEY")}
	got := reason(fault.Unavailablef(nil, "x", "bad password mallard.42 for\nroot -----KEY \xff"), l)
	if got != "bad password [redacted] for root [redacted] ?" {
		t.Fatalf("%q", got)
	}
	if long := reason(fault.Unavailablef(nil, "x", "%01000d", 7), l); len(long) > maxReason+4 {
		t.Fatalf("%d octets", len(long))
	}
}
