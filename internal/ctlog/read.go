package ctlog

import (
	"context"
	"errors"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/ct"
)

// Limits of one answer of [Log.Entries].
const (
	MaxEntries     = 256
	maxEntriesSize = 4 << 20 // bytes, of which the last entry may exceed it
)

// TreeHead is the latest signed tree head (RFC 6962, section 4.3).
func (l *Log) TreeHead(ctx context.Context) (ct.TreeHead, error) {
	return l.head(l.db.View(ctx))
}

func (l *Log) head(q store.Queryer) (h ct.TreeHead, err error) {
	var root, signature []byte
	err = q.QueryRow(`SELECT size, at, root, signature FROM ctlog_logs WHERE name = $1`, l.config.Name).Scan(&h.Size, &h.Timestamp, &root, &signature)
	if err != nil {
		return h, fault.Wrap(err, "read the tree head of a transparency log")
	}
	copy(h.Root[:], root)
	if h.Signature, err = ct.ParseSignature(signature); err != nil {
		return h, damaged("The tree head of transparency log %q cannot be read.", l.config.Name)
	}
	return h, nil
}

// Consistency proves that the tree of the second size extends that of the first
// (RFC 6962, section 4.4).
func (l *Log) Consistency(ctx context.Context, first, second int64) ([]ct.Hash, error) {
	view := l.db.View(ctx)
	head, err := l.head(view)
	if err != nil {
		return nil, err
	}
	if first < 0 || first > second {
		return nil, fault.Invalidf("ctlog.range", "A tree of %d entries cannot be extended to %d.", first, second)
	}
	if second > head.Size {
		return nil, tooLarge(second, head)
	}
	proof, err := ct.ProveConsistency(first, second, l.hashes(view, head))
	return proof, fault.Wrap(err, "prove consistency")
}

// ProofByHash finds the leaf with a hash and proves that the tree of a size
// holds it (RFC 6962, section 4.5).
func (l *Log) ProofByHash(ctx context.Context, hash ct.Hash, size int64) (index int64, path []ct.Hash, err error) {
	view := l.db.View(ctx)
	head, err := l.sized(view, size)
	if err != nil {
		return 0, nil, err
	}
	err = view.QueryRow(`SELECT leaf_index FROM ctlog_entries WHERE log = $1 AND leaf_hash = $2 AND leaf_index IS NOT NULL`, l.config.Name, hash[:]).Scan(&index)
	if errors.Is(err, store.ErrNotFound) || err == nil && index >= size {
		return 0, nil, fault.NotFoundf("ctlog.unknown", "No entry of the tree of %d entries has this hash.", size).
			WithNext("A new entry gets its place within the merge delay; ask again with a newer tree head.")
	}
	if err != nil {
		return 0, nil, err
	}
	path, err = ct.ProveInclusion(index, size, l.hashes(view, head))
	return index, path, fault.Wrap(err, "prove inclusion")
}

// EntryAndProof gives the entry at an index with its proof in the tree of a size
// (RFC 6962, section 4.8).
func (l *Log) EntryAndProof(ctx context.Context, index, size int64) (ct.LogEntry, []ct.Hash, error) {
	view := l.db.View(ctx)
	head, err := l.sized(view, size)
	if err != nil {
		return ct.LogEntry{}, nil, err
	}
	if index < 0 || index >= size {
		return ct.LogEntry{}, nil, fault.Invalidf("ctlog.range", "A tree of %d entries has no entry %d.", size, index)
	}
	entries, err := l.entries(view, index, index)
	if err != nil {
		return ct.LogEntry{}, nil, err
	}
	path, err := ct.ProveInclusion(index, size, l.hashes(view, head))
	if err != nil {
		return ct.LogEntry{}, nil, fault.Wrap(err, "prove inclusion")
	}
	return entries[0], path, nil
}

// Entries gives the entries from start to end, both included (RFC 6962, section
// 4.6). It may give fewer: at most [MaxEntries] and about 4 MiB, but at least one.
func (l *Log) Entries(ctx context.Context, start, end int64) ([]ct.LogEntry, error) {
	view := l.db.View(ctx)
	head, err := l.head(view)
	if err != nil {
		return nil, err
	}
	if start < 0 || start > end {
		return nil, fault.Invalidf("ctlog.range", "From entry %d to %d is no range.", start, end)
	}
	if start >= head.Size {
		return nil, fault.Invalidf("ctlog.range", "The log has %d entries; entry %d is beyond.", head.Size, start)
	}
	return l.entries(view, start, min(end, start+MaxEntries-1, head.Size-1))
}

func (l *Log) entries(q store.Queryer, start, end int64) ([]ct.LogEntry, error) {
	rows, err := q.Query(`SELECT e.leaf_index, e.leaf, e.precert, c.data FROM ctlog_entries e JOIN ctlog_chains c ON c.hash = e.chain
		WHERE e.log = $1 AND e.leaf_index >= $2 AND e.leaf_index <= $3 ORDER BY e.leaf_index`, l.config.Name, start, end)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []ct.LogEntry
	for size := 0; size < maxEntriesSize && rows.Next(); {
		var index int64
		var e ct.LogEntry
		var precert, chain []byte
		if err := rows.Scan(&index, &e.Leaf, &precert, &chain); err != nil {
			return nil, err
		}
		if index != start+int64(len(out)) {
			break // told below
		}
		e.Extra = chain
		if len(precert) > 0 {
			if e.Extra, err = ct.PrecertExtra(precert, chain); err != nil {
				return nil, err
			}
		}
		out = append(out, e)
		size += len(e.Leaf) + len(e.Extra)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, damaged("Entry %d of transparency log %q is missing.", start, l.config.Name)
	}
	return out, nil
}

// sized gives the current tree head, from which all smaller trees can be read.
func (l *Log) sized(q store.Queryer, size int64) (ct.TreeHead, error) {
	head, err := l.head(q)
	if err != nil {
		return head, err
	}
	if size < 1 {
		return head, fault.Invalidf("ctlog.range", "A tree of %d entries holds nothing.", size)
	}
	if size > head.Size {
		return head, tooLarge(size, head)
	}
	return head, nil
}

func tooLarge(size int64, head ct.TreeHead) error {
	return fault.Invalidf("ctlog.range", "The signed tree has %d entries, not %d.", head.Size, size).
		WithNext("Ask with the size of a tree head that this log signed.")
}
