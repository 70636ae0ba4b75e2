package ctlog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ct"
)

// Batch is how many entries get their place in one transaction: few enough that
// submissions hardly notice it.
const Batch = 256

// maxBatches bounds one run of [Log.Sequence].
const maxBatches = 100

// errLost reports that another sequencer moved the tree first.
var errLost = errors.New("another node sequenced first")

// Sequence gives every entry that waits its place in the tree, in batches in
// the order of their arrival, and signs a tree head after each. When nothing
// waits and the tree head is older than a quarter of the merge delay, it signs
// the same tree anew. It returns how many entries it placed. Run it every second
// or so, on any number of nodes; one run places at most 25,600 entries.
//
// All work is done outside the transaction, which compares and sets the tree
// head. A crash before the commit leaves the batch undone, and the signed head
// that nobody saw is worthless; after the commit the batch is complete. The next
// run goes on from there either way.
func (l *Log) Sequence(ctx context.Context) (n int, err error) {
	for range maxBatches {
		done, err := l.sequenceBatch(ctx)
		n += done
		switch {
		case errors.Is(err, errLost):
			if err := ctx.Err(); err != nil {
				return n, err
			}
		case err != nil || done < Batch:
			return n, err
		}
	}
	return n, nil
}

// A waiting entry has no place yet.
type waiting struct {
	id   string
	at   int64
	hash ct.Hash
}

// A batch is everything that one transaction of the sequencer writes.
type batch struct {
	old, new ct.TreeHead
	entries  []waiting
	tiles    []tlog.Tile
	data     [][]byte
}

func (l *Log) sequenceBatch(ctx context.Context) (int, error) {
	view := l.db.View(ctx)
	// The tree is read before the entries: when another node places them in
	// between, the tree has moved, and that is what write looks at.
	old, err := l.head(view)
	if err != nil {
		return 0, err
	}
	entries, err := l.waiting(view)
	if err != nil {
		return 0, err
	}
	now, err := l.guard.SigningTime()
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 && now.Sub(ct.Time(old.Timestamp)) < l.config.MMD/4 {
		return 0, nil
	}
	// A damaged log must not get a fresh signature.
	if err := l.signer.Key().VerifyTreeHead(old); err != nil {
		return 0, damaged("The tree head of transparency log %q is not signed by its key.", l.config.Name)
	}
	b := batch{old: old, entries: entries}
	at := ct.Millis(now)
	for _, e := range entries {
		at = max(at, e.at)
	}
	// RFC 6962, section 3.5: not older than any SCT in the tree, and more recent
	// than the head before.
	if err := l.extend(&b, view, max(at, old.Timestamp+1)); err != nil {
		return 0, err
	}
	if err := l.db.Update(ctx, func(tx *store.Tx) error { return l.write(tx, b) }); err != nil {
		return 0, err
	}
	return len(entries), nil
}

func (l *Log) waiting(q store.Queryer) ([]waiting, error) {
	rows, err := q.Query(`SELECT id, at, leaf_hash FROM ctlog_entries WHERE log = $1 AND leaf_index IS NULL ORDER BY id LIMIT $2 + 0`, l.config.Name, Batch)
	return store.Collect(rows, err, func(r *store.Rows) (w waiting, err error) {
		var hash []byte
		if err := r.Scan(&w.id, &w.at, &hash); err != nil {
			return w, err
		}
		if copy(w.hash[:], hash) != len(w.hash) {
			return w, damaged("Entry %s of transparency log %q has no leaf hash.", w.id, l.config.Name)
		}
		return w, nil
	})
}

// extend computes the new tree and signs it.
func (l *Log) extend(b *batch, q store.Queryer, at int64) error {
	g := newGrowth(l.hashes(q, b.old), b.old.Size)
	for _, e := range b.entries {
		if err := g.push(e.hash); err != nil {
			return fault.Wrap(err, "add a leaf")
		}
	}
	root, err := tlog.TreeHash(g.size, g)
	if err != nil {
		return fault.Wrap(err, "compute the root")
	}
	b.tiles = tlog.NewTiles(tileHeight, b.old.Size, g.size)
	for _, t := range b.tiles {
		data, err := tlog.ReadTileData(t, g)
		if err != nil {
			return fault.Wrap(err, "fill a tile")
		}
		b.data = append(b.data, data)
	}
	b.new, err = l.signer.TreeHead(g.size, at, root)
	return fault.Wrap(err, "sign a tree head")
}

// write makes the batch durable. The tree head goes first: on PostgreSQL it
// holds other sequencers back, on both engines it finds out whether the tree is
// still the one that the batch extends.
func (l *Log) write(tx *store.Tx, b batch) error {
	signature, err := b.new.Signature.Marshal()
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE ctlog_logs SET size = $1, at = $2, root = $3, signature = $4 WHERE name = $5 AND size = $6 AND at = $7`,
		b.new.Size, b.new.Timestamp, b.new.Root[:], signature, l.config.Name, b.old.Size, b.old.Timestamp)
	if err != nil {
		return err
	}
	if n == 0 {
		return errLost
	}
	if err := l.place(tx, b); err != nil {
		return err
	}
	for i, t := range b.tiles {
		_, err := tx.Exec(`INSERT INTO ctlog_tiles (log, level, n, data) VALUES ($1, $2, $3, $4)
			ON CONFLICT (log, level, n) DO UPDATE SET data = excluded.data`, l.config.Name, t.L, t.N, b.data[i])
		if err != nil {
			return err
		}
	}
	return nil
}

// place writes the leaf indexes, in statements of two sizes only; what is left
// over in one matches no entry.
func (l *Log) place(tx *store.Tx, b batch) error {
	next, entries := b.old.Size, b.entries
	for len(entries) > 0 {
		size := 16
		if len(entries) > size {
			size = Batch
		}
		part := entries[:min(size, len(entries))]
		args := make([]any, 0, 2*size+1)
		args = append(args, l.config.Name)
		for i := range size {
			if i < len(part) {
				args = append(args, part[i].id, next+int64(i))
			} else {
				args = append(args, "", int64(-1))
			}
		}
		n, err := tx.Exec(placeStatement(size), args...)
		if errors.Is(err, store.ErrExists) {
			return damaged("Entries of transparency log %q stand where its tree of %d leaves ends.", l.config.Name, b.old.Size)
		}
		if err != nil {
			return err
		}
		if n != int64(len(part)) {
			return damaged("Entries of transparency log %q vanished or got a place while they were being sequenced.", l.config.Name)
		}
		next, entries = next+int64(len(part)), entries[len(part):]
	}
	return nil
}

// placeStatement uses that both engines call the columns of VALUES column1, ….
func placeStatement(rows int) string {
	var b strings.Builder
	b.WriteString(`UPDATE ctlog_entries SET leaf_index = v.column2 FROM (VALUES `)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(CAST($%d AS TEXT), CAST($%d AS BIGINT))", 2*i+2, 2*i+3)
	}
	b.WriteString(`) AS v WHERE ctlog_entries.log = $1 AND ctlog_entries.id = v.column1 AND ctlog_entries.leaf_index IS NULL`)
	return b.String()
}
