package authority

import (
	"bytes"
	"context"
	"database/sql"
	"iter"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/crl"
)

// followMost is how many changes a list may add to the one before it: they are
// held in memory.
const followMost = 20_000

// entries yields the entries of the list and counts them.
//
// The first list of a day is made from the table. Those after it are made from
// the list before and what changed since, which for a million entries costs a
// third: copying fifty megabytes is cheaper than reading a million rows.
func (j *crlJob) entries(ctx context.Context) iter.Seq2[[]byte, error] {
	from := j.fromTable
	switch {
	case j.list.Delta:
		from = j.changed
	case j.follows:
		from = j.fromBefore
	}
	return func(yield func([]byte, error) bool) {
		j.list.Entries = 0
		for entry, err := range from(ctx) {
			j.list.Entries++
			if !yield(entry, err) {
				return
			}
		}
	}
}

// fromTable leaves out a certificate once it stood on a list after it expired
// (RFC 5280, section 3.3).
func (j *crlJob) fromTable(ctx context.Context) iter.Seq2[[]byte, error] {
	since := store.Micros(j.full.ThisUpdate)
	if j.policy.KeepExpired {
		since = 0
	}
	return j.query(ctx, `SELECT entry FROM revocations WHERE authority = $1 AND NOT released AND not_after >= $2`, since)
}

// changed are the entries of a delta list.
func (j *crlJob) changed(ctx context.Context) iter.Seq2[[]byte, error] {
	return j.query(ctx, `SELECT entry FROM revocations WHERE authority = $1 AND seq > $2`, j.full.seq)
}

// query yields entries from one statement, and so as of one moment.
func (j *crlJob) query(ctx context.Context, query string, arg int64) iter.Seq2[[]byte, error] {
	args := []any{j.list.Authority, arg}
	if j.list.Shard > 0 {
		query, args = query+` AND shard = $3`, append(args, j.list.Shard)
	}
	return func(yield func([]byte, error) bool) {
		rows, err := j.db.View(ctx).Query(query, args...)
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		var entry sql.RawBytes // not copied
		for rows.Next() {
			err := rows.Scan(&entry)
			if !yield(entry, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// fromBefore yields the entries of the list before that did not change, and then
// those that did. Certificates that expired meanwhile stay until the next day.
func (j *crlJob) fromBefore(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		changed := map[string]bool{}
		var added [][]byte
		for entry, err := range j.changed(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			e, err := crl.ParseEntry(bytes.Clone(entry))
			if err != nil {
				yield(nil, err)
				return
			}
			if changed[string(e.Serial)] = true; e.Reason != crl.RemoveFromCRL {
				added = append(added, e.Raw)
			}
		}
		before, err := j.OpenCRL(ctx, j.full)
		if err != nil {
			yield(nil, err)
			return
		}
		defer before.Close()
		n := int64(0)
		for entry, err := range crl.StreamEntries(before) {
			n++
			if err == nil && changed[string(crl.EntrySerial(entry))] {
				continue
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
		if n != j.full.Entries {
			yield(nil, fault.New(fault.Internal, "crl.damaged", "The revocation list %d of %q has %d entries, where %d were written.", j.full.Number, j.full.Authority, n, j.full.Entries))
			return
		}
		for _, entry := range added {
			if !yield(entry, nil) {
				return
			}
		}
	}
}
