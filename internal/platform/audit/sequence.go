package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Batch is how many entries get their leaf in one transaction: few enough that
// other writers hardly notice it.
const Batch = 250

// errLost reports that another sequencer moved the tree first.
var errLost = errors.New("another node sequenced first")

// Sequence gives every entry that has none its leaf, in batches in the order of
// their ids, and signs a checkpoint after each. It returns how many it
// sequenced, and stops between batches when ctx ends.
//
// It may run on any number of nodes at once: all work is done outside the
// transaction, and the size of the tree, compared and set, decides whose batch
// counts. A crash leaves the batch undone; the next call does it again. An
// entry whose transaction commits late is in a later batch, even if its id is
// older than those before.
//
// A tree that does not match its own signed checkpoint is not extended: that
// would put a fresh signature on somebody else's change.
func (l *Log) Sequence(ctx context.Context) (n int, err error) {
	for {
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
}

// A batch is everything that one transaction of the sequencer writes.
type batch struct {
	old, new tlog.Tree
	ids      []string // of the entries, in the order of their leaves
	note     string   // the checkpoint
	tiles    []tileRow
}

type tileRow struct {
	level int
	n     int64
	data  []byte
}

func (l *Log) sequenceBatch(ctx context.Context) (int, error) {
	if l.keyErr != nil {
		return 0, l.keyErr
	}
	view := l.db.View(ctx)
	if some, err := anyPending(view); err != nil || !some {
		return 0, err
	}
	// The tree is read before the entries: when another node sequences them in
	// between, the tree has moved, and that is what write looks at.
	e, old, err := l.trustedEdge(view)
	if err != nil {
		return 0, err
	}
	rows, err := view.Query(`SELECT `+columns+` FROM audit_entries WHERE leaf IS NULL ORDER BY id LIMIT $1`, Batch)
	entries, err := store.Collect(rows, err, scan)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	b, err := extend(e, old, entries)
	if err != nil {
		return 0, err
	}
	if b.note, err = l.sign(b.new); err != nil {
		return 0, fault.Wrap(err, "sign an audit checkpoint")
	}
	at := store.Micros(l.clock.Now())
	if err := l.db.Update(ctx, func(tx *store.Tx) error { return b.write(tx, at) }); err != nil {
		return 0, err
	}
	return len(entries), nil
}

func anyPending(q store.Queryer) (bool, error) {
	var id string
	err := q.QueryRow(`SELECT id FROM audit_entries WHERE leaf IS NULL LIMIT 1`).Scan(&id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// trustedEdge loads the right edge of the tree and checks it against the
// checkpoint, and that against the log's key.
func (l *Log) trustedEdge(q store.Queryer) (*edge, tlog.Tree, error) {
	row, err := readTree(q)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	e, err := readEdge(q, row.size)
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	tree := tlog.Tree{N: row.size, Hash: e.root()}
	if row.size == 0 && row.checkpoint == "" {
		return e, tree, nil
	}
	signed, err := l.open(row.checkpoint)
	if err != nil {
		return nil, tlog.Tree{}, damaged("The audit log cannot go on: %v.", err)
	}
	if signed != tree {
		return nil, tlog.Tree{}, damaged("The audit log cannot go on: its tree does not match its signed checkpoint of %d entries.", signed.N)
	}
	return e, tree, nil
}

// extend adds entries to the tree and collects the tiles that change.
func extend(e *edge, old tlog.Tree, entries []Stored) (batch, error) {
	b := batch{old: old}
	e.full = func(level int, n int64, hashes []tlog.Hash) error {
		b.tiles = append(b.tiles, tileRow{level, n, joinHashes(hashes)})
		return nil
	}
	for _, s := range entries {
		if err := e.push(s.hash()); err != nil {
			return b, err
		}
		b.ids = append(b.ids, s.ID)
	}
	b.new = tlog.Tree{N: e.size, Hash: e.root()}
	for level, row := range e.levels {
		if len(row) > 0 && e.size>>(tileHeight*level) != old.N>>(tileHeight*level) {
			n, _ := widths(e.size, level)
			b.tiles = append(b.tiles, tileRow{level, n, joinHashes(row)})
		}
	}
	return b, nil
}

// write makes the batch durable. The tree row goes first: on PostgreSQL it
// holds other sequencers back, on both engines it finds out whether the tree is
// still the one that the batch extends.
func (b batch) write(tx *store.Tx, at int64) error {
	n, err := tx.Exec(`UPDATE audit_tree SET size = $1, checkpoint = $2, at = $3 WHERE id = 1 AND size = $4`, b.new.N, b.note, at, b.old.N)
	if err != nil {
		return err
	}
	if n == 0 {
		return errLost
	}
	if err := b.writeLeaves(tx); err != nil {
		return err
	}
	for _, t := range b.tiles {
		if err := writeTile(tx, t.level, t.n, t.data); err != nil {
			return err
		}
	}
	return nil
}

// writeLeaves updates rows in statements of a power of two of rows, so that
// nine texts serve every batch.
func (b batch) writeLeaves(tx *store.Tx) error {
	leaf, ids := b.old.N, b.ids
	for size := 256; size > 0; size /= 2 {
		for len(ids) >= size {
			args := make([]any, 0, 2*size)
			for i, id := range ids[:size] {
				args = append(args, id, leaf+int64(i))
			}
			n, err := tx.Exec(leafStatement(size), args...)
			if errors.Is(err, store.ErrExists) {
				return damaged("The audit log cannot go on: entries stand where its tree of %d entries ends.", b.old.N)
			}
			if err != nil {
				return err
			}
			if n != int64(size) {
				return damaged("Audit entries vanished or got a place while they were being sequenced.")
			}
			leaf, ids = leaf+int64(size), ids[size:]
		}
	}
	return nil
}

// leafStatement uses that both engines call the columns of VALUES column1, ….
func leafStatement(rows int) string {
	var b strings.Builder
	b.WriteString(`UPDATE audit_entries SET leaf = v.column2 FROM (VALUES `)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(CAST($%d AS TEXT), CAST($%d AS BIGINT))", 2*i+1, 2*i+2)
	}
	b.WriteString(`) AS v WHERE audit_entries.id = v.column1 AND audit_entries.leaf IS NULL`)
	return b.String()
}
