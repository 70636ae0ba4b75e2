package audit_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// Two nodes write and sequence at once; every entry gets one leaf, and the
// checkpoints that either signed on the way are all of one history.
func TestTwoNodesSequenceOneLog(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		db := storetest.Open(t, storetest.SQLite(t))
		hammer(t, db, db)
	})
	t.Run("postgres", func(t *testing.T) {
		url := storetest.Postgres(t)
		hammer(t, storetest.Open(t, url), storetest.Open(t, url))
	})
}

func hammer(t *testing.T, nodes ...*store.DB) {
	const writers, each = 8, 60
	var writing, sequencing sync.WaitGroup
	done := make(chan struct{})
	var mu sync.Mutex
	var seen []string // checkpoints
	total := 0
	for n, db := range nodes {
		l, _ := newLog(db)
		sequencing.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				default:
				}
				n, err := l.Sequence(t.Context())
				if err != nil {
					t.Errorf("Sequence: %v", err)
					return
				}
				c, _ := l.Checkpoint(db.View(t.Context())) // there is none at first
				mu.Lock()
				total += n
				if n > 0 {
					seen = append(seen, c)
				}
				mu.Unlock()
			}
		})
		for w := n; w < writers; w += len(nodes) {
			writing.Go(func() {
				for i := range each {
					if err := l.Record(t.Context(), audit.Entry{Action: "load.write", ObjectID: fmt.Sprintf("%d-%d", w, i)}); err != nil {
						t.Errorf("Record: %v", err)
						return
					}
				}
			})
		}
	}
	// Verification holds at any moment of it.
	sequencing.Go(func() {
		l, _ := newLog(nodes[len(nodes)-1])
		for last := false; !last; {
			select {
			case <-done:
				last = true
			default:
			}
			if r, err := l.Verify(t.Context(), audit.Options{}); err != nil || !r.OK() {
				t.Errorf("Verify under load: %+v, %v", r, err)
				return
			}
		}
	})
	writing.Wait()
	close(done)
	sequencing.Wait()
	l, _ := newLog(nodes[0])
	if r := verify(t, l, seen...); !r.OK() || r.Size != writers*each || r.Pending != 0 || total != writers*each {
		t.Errorf("sequenced %d: %+v", total, r)
	}
}

// An entry whose transaction commits after a later one was sequenced is not lost.
func TestALateCommitGetsItsLeaf(t *testing.T) {
	db := storetest.Open(t, storetest.Postgres(t))
	l, _ := newLog(db)
	appended, commit, committed := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		committed <- db.Update(t.Context(), func(tx *store.Tx) error {
			defer func() { appended <- struct{}{}; <-commit }()
			return l.Append(tx, audit.Entry{Action: "order.slow"})
		})
	}()
	<-appended
	record(t, l, "order.quick")
	sequence(t, l, 1)
	close(commit)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	sequence(t, l, 1)
	list := everything(t, db, l)
	if len(list) != 2 || list[1].Entry.Action != "order.slow" || list[1].Index != 1 || list[1].ID > list[0].ID {
		t.Errorf("%+v", list)
	}
	if r := verify(t, l); !r.OK() || r.Size != 2 {
		t.Errorf("%+v", r)
	}
}

// brokenKey is a key whose device is away.
type brokenKey struct{ ed25519.PrivateKey }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no answer")
}

// Whatever breaks on the way, nothing of the batch is there, and the next call does it.
func TestABrokenBatchLeavesNothingBehind(t *testing.T) {
	breakages := map[string]struct{ before, after string }{
		"the key does not answer":     {},
		"the database fails half-way": {`ALTER TABLE audit_tiles RENAME TO away`, `ALTER TABLE away RENAME TO audit_tiles`},
	}
	for name, c := range breakages {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				l, _ := newLog(db)
				record(t, l, "login.password")
				broken := l
				if c.before == "" {
					broken = audit.New(db, clock.NewFake(start), brokenKey{key("log")}, origin)
				} else {
					exec(t, db, c.before)
				}
				if n, err := broken.Sequence(t.Context()); err == nil || n != 0 {
					t.Errorf("Sequence = %d, %v", n, err)
				}
				if c.after != "" {
					exec(t, db, c.after)
				}
				if r := verify(t, l); !r.OK() || r.Size != 0 || r.Pending != 1 {
					t.Errorf("after the breakage: %+v", r)
				}
				sequence(t, l, 1)
				if r := verify(t, l); !r.OK() || r.Size != 1 {
					t.Errorf("after the repair: %+v", r)
				}
			})
		})
	}
}

// Several batches make the tree that one would make, and the tiles are those
// that RFC 6962 hashes give.
func TestTilesAreThoseOfTheTree(t *testing.T) {
	const n = 2*audit.Batch + 300
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, _ := newLog(db)
		fill(t, db, l, n)
		leaves := make([][]byte, n)
		rows := everyLeaf(t, db, l)
		for i, s := range rows {
			leaves[i] = s.Leaf()
		}
		for _, tile := range tlog.NewTiles(8, 0, n) {
			data, err := l.Tile(db.View(t.Context()), tile)
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			span := 1 << (8 * tile.L)
			for i := range tile.W {
				first := (int(tile.N)<<8 + i) * span
				h := merkle(leaves[first : first+span])
				want = append(want, h[:]...)
			}
			if !bytes.Equal(data, want) {
				t.Errorf("%s is wrong", tile.Path())
			}
		}
		root := merkle(leaves)
		if r := verify(t, l); !r.OK() || r.Root != root {
			t.Errorf("%+v", r)
		}
		part, err := l.Tile(db.View(t.Context()), tlog.Tile{H: 8, W: 3})
		first := sha256.Sum256(append([]byte{0}, leaves[0]...))
		if err != nil || len(part) != 96 || !bytes.HasPrefix(part, first[:]) {
			t.Errorf("part of a tile: %d bytes, %v", len(part), err)
		}
		for tile, kind := range map[tlog.Tile]fault.Kind{
			{H: 8, L: 0, N: n / 256, W: 256}: fault.NotFound, {H: 8, L: 2, N: 0, W: 1}: fault.NotFound,
			{H: 9, W: 1}: fault.Invalid, {H: 8, L: -1, W: 1}: fault.Invalid, {H: 8, W: 257}: fault.Invalid, {H: 8, N: -1, W: 1}: fault.Invalid,
		} {
			if _, err := l.Tile(db.View(t.Context()), tile); !errors.Is(err, kind) {
				t.Errorf("tile %+v: %v", tile, err)
			}
		}
	})
}

// everyLeaf lists all entries in the order of their leaves.
func everyLeaf(t *testing.T, db *store.DB, l *audit.Log) []audit.Stored {
	t.Helper()
	var all []audit.Stored
	page := store.Page{Limit: store.MaxLimit}
	for {
		list, next, err := l.List(db.View(t.Context()), audit.Filter{AllClients: true}, page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
		if page.Cursor = next; next == "" {
			break
		}
	}
	byLeaf := make([]audit.Stored, len(all))
	for _, s := range all {
		byLeaf[s.Index] = s
	}
	return byLeaf
}

func TestSequencingStopsWithItsContext(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	l, _ := newLog(db)
	record(t, l, "login.password")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := l.Sequence(ctx); !errors.Is(err, context.Canceled) || n != 0 {
		t.Errorf("Sequence = %d, %v", n, err)
	}
}
