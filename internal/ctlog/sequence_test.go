package ctlog_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

// Two nodes sequence while others submit; the outsider sees one tree.
func TestAnyNumberOfNodesMaySequence(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		nodes := []*ctlog.Log{w.log, w.open(t), w.open(t)}
		precerts := make([][]byte, 60)
		for i := range precerts {
			precerts[i] = w.precert(t)
		}
		promises := make([]promise, len(precerts))
		var placed [3]int
		var wg, submitters sync.WaitGroup
		done := make(chan struct{})
		for k, node := range nodes {
			wg.Go(func() {
				for {
					n, err := node.Sequence(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					placed[k] += n
					select {
					case <-done:
						return
					default:
					}
				}
			})
			submitters.Go(func() {
				for i := k; i < len(precerts); i += len(nodes) {
					sct, err := node.AddPreChain(t.Context(), append([][]byte{precerts[i]}, w.ca.Chain()...))
					if err != nil {
						t.Error(err)
						return
					}
					promises[i] = promise{sct, w.entry(t, precerts[i])}
				}
			})
		}
		submitters.Wait()
		close(done)
		wg.Wait()
		last, err := w.log.Sequence(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sum := placed[0] + placed[1] + placed[2] + last; sum != len(precerts) {
			t.Errorf("%d entries were placed in %d places", len(precerts), sum)
		}
		m := &monitor{w: w}
		m.look(t)
		for _, p := range promises {
			m.included(t, p)
		}
	})
}

// A crash at any point of sequencing: {not written, written but not told}.
func TestSequencingSurvivesALostCommit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		m := &monitor{w: w}
		for _, c := range []struct {
			name    string
			written bool
		}{{"not written", false}, {"written but not told", true}} {
			t.Run(c.name, func(t *testing.T) {
				promises := w.submit(t, 5)
				db.Interpose(func(update func() error) error {
					if c.written {
						if err := update(); err != nil {
							t.Error(err)
						}
					}
					return fault.Unavailablef(nil, "store.unknown", "The connection broke.")
				})
				_, err := w.log.Sequence(t.Context())
				db.Interpose(nil)
				if err == nil {
					t.Fatal("no error")
				}
				m.look(t)
				want := 5
				if c.written {
					want = 0
				}
				w.clock.Advance(time.Second)
				w.sequence(t, want)
				m.look(t)
				for _, p := range promises {
					m.included(t, p)
				}
			})
		}
	})
}

// Somebody who changes the tables gets no fresh signature over the change.
func TestADamagedLogIsNotExtended(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, c := range []struct {
			name, log, query string
			args             []any
		}{
			{"a tile with another hash", "changed-tile", `UPDATE ctlog_tiles SET data = $2 WHERE log = $1 AND level = 0`, []any{make([]byte, 5*32)}},
			{"a lost tile", "lost-tile", `DELETE FROM ctlog_tiles WHERE log = $1`, nil},
			{"a tree head with another root", "changed-root", `UPDATE ctlog_logs SET root = $2 WHERE name = $1`, []any{make([]byte, 32)}},
			{"a smaller tree", "smaller", `UPDATE ctlog_logs SET size = 4 WHERE name = $1`, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				config := w.config()
				config.Name = c.log
				var err error
				if w.log, err = w.try(t, config); err != nil {
					t.Fatal(err)
				}
				w.submit(t, 5)
				w.sequence(t, 5)
				before := w.head(t)
				w.exec(t, c.query, append([]any{c.log}, c.args...)...)
				w.submit(t, 1)
				if n, err := w.log.Sequence(t.Context()); fault.Of(err).Code != "ctlog.damaged" || n != 0 {
					t.Errorf("Sequence = %d, %v", n, err)
				}
				if after := w.head(t); after.Timestamp != before.Timestamp || after.Size > before.Size {
					t.Errorf("a new tree head %+v", after)
				}
			})
		}
	})
}

func TestALogNeverChangesItsKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.submit(t, 1)
		again := w.open(t)
		if again.Key().ID() != w.log.Key().ID() || again.Name() != "test2026h2" || ct.LogIDOf(again.SPKI()) != w.log.Key().ID() {
			t.Error("another log came back")
		}
		c := w.config()
		c.Signer = cttest.Key(t)
		_, err := w.try(t, c)
		wantFault(t, err, fault.Conflict, "ctlog.key")

		// The log was made once, and that stands in the audit log.
		entries, _, err := audit.New(db, w.clock, nil, "").List(db.View(t.Context()), audit.Filter{AllClients: true}, store.Page{})
		made := 0
		for _, e := range entries {
			if e.Entry.Action == "ctlog.create" && e.Entry.ObjectID == "test2026h2" {
				made++
			}
		}
		if err != nil || made != 1 {
			t.Errorf("%d entries in the audit log tell of it (%v)", made, err)
		}
	})
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, c := range []struct {
			name   string
			change func(*ctlog.Config)
			code   string
		}{
			{"a name with a slash", func(c *ctlog.Config) { c.Name = "a/b" }, "ctlog.name"},
			{"no name", func(c *ctlog.Config) { c.Name = "" }, "ctlog.name"},
			{"no key", func(c *ctlog.Config) { c.Signer = nil }, "ctlog.key"},
			{"no roots", func(c *ctlog.Config) { c.Roots = nil }, "ctlog.roots"},
			{"a root that is none", func(c *ctlog.Config) { c.Roots = [][]byte{{1}} }, "ctlog.roots"},
			{"an interval backwards", func(c *ctlog.Config) { c.Limit = c.Start }, "ctlog.interval"},
			{"a negative delay", func(c *ctlog.Config) { c.MMD = -1 }, "ctlog.limits"},
		} {
			t.Run(c.name, func(t *testing.T) {
				config := w.config()
				c.change(&config)
				_, err := w.try(t, config)
				wantFault(t, err, fault.Invalid, c.code)
			})
		}
	})
}

// RFC 6962, section 4: questions beyond the signed tree are refused, not guessed.
func TestQuestionsBeyondTheTreeAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		p := w.submit(t, 3)[0]
		hash, err := ct.LeafOf(p.sct, p.entry).Hash()
		if err != nil {
			t.Fatal(err)
		}
		l, ctx := w.log, t.Context()
		_, err = l.Entries(ctx, 0, 0)
		wantFault(t, err, fault.Invalid, "ctlog.range")
		w.sequence(t, 3)
		if _, _, err := l.ProofByHash(ctx, ct.Hash{1}, 3); fault.Of(err).Code != "ctlog.unknown" {
			t.Errorf("an unknown hash: %v", err)
		}
		if proof, err := l.Consistency(ctx, 0, 3); err != nil || len(proof) != 0 {
			t.Errorf("from the empty tree: %v, %v", proof, err)
		}
		for name, try := range map[string]func() error{
			"a tree that is not signed yet":    func() error { _, _, err := l.ProofByHash(ctx, hash, 4); return err },
			"an empty tree":                    func() error { _, _, err := l.ProofByHash(ctx, hash, 0); return err },
			"consistency backwards":            func() error { _, err := l.Consistency(ctx, 3, 2); return err },
			"consistency with the future":      func() error { _, err := l.Consistency(ctx, 2, 4); return err },
			"consistency with a negative size": func() error { _, err := l.Consistency(ctx, -1, 2); return err },
			"entries backwards":                func() error { _, err := l.Entries(ctx, 2, 1); return err },
			"entries beyond":                   func() error { _, err := l.Entries(ctx, 3, 9); return err },
			"an entry beyond its tree":         func() error { _, _, err := l.EntryAndProof(ctx, 2, 2); return err },
			"an entry of a tree of the future": func() error { _, _, err := l.EntryAndProof(ctx, 2, 4); return err },
		} {
			t.Run(name, func(t *testing.T) { wantFault(t, try(), fault.Invalid, "ctlog.range") })
		}
	})
}
