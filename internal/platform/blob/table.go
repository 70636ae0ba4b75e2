package blob

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// table keeps each blob in the database: a row in blobs and one row of 256 KiB
// in blob_rows per batch. Uploads of more than one batch write rows as they come,
// four to a transaction, so that a slow sender never holds the writer.
type table struct {
	db    *store.DB
	clock clock.Clock
}

// rowsPerTx bounds what a transaction writes or deletes: 1 MiB.
const rowsPerTx = 4

// NewTable keeps blobs in the database, where every node sees them and a backup
// of the database holds them. It suits many small documents; large ones belong
// in files.
func NewTable(db *store.DB, sealer Sealer, clock clock.Clock) *Store {
	return &Store{&table{db, clock}, sealer}
}

func (t *table) create(_ context.Context, id string, header []byte) (upload, error) {
	return &tableUpload{table: t, id: id, head: header}, nil
}

type tableUpload struct {
	table   *table
	id      string
	head    []byte
	rows    [][]byte // not written yet
	from    int64    // number of the first of them
	size    int64
	created bool
}

func (u *tableUpload) write(ctx context.Context, p []byte) error {
	if len(u.rows) == rowsPerTx {
		if err := u.flush(ctx, false); err != nil {
			return err
		}
	}
	u.rows = append(u.rows, append([]byte(nil), p...)) // the caller reuses p
	u.size += int64(len(p))
	return nil
}

func (u *tableUpload) commit(ctx context.Context) error { return u.flush(ctx, true) }

// flush writes the rows at hand. The row in blobs is there from the first flush
// on, incomplete: whatever happens, sweep finds the rest by it.
func (u *tableUpload) flush(ctx context.Context, complete bool) error {
	now := store.Micros(u.table.clock.Now())
	err := u.table.db.Update(ctx, func(tx *store.Tx) error {
		if err := u.mark(tx, complete, now); err != nil {
			return err
		}
		for i, data := range u.rows {
			if _, err := tx.Exec(`INSERT INTO blob_rows (id, seq, data) VALUES ($1,$2,$3)`, u.id, u.from+int64(i), data); err != nil {
				return err
			}
		}
		return nil
	})
	u.created = true // even if it failed: "store.unknown" may have written
	u.from += int64(len(u.rows))
	u.rows = u.rows[:0]
	return err
}

func (u *tableUpload) mark(tx *store.Tx, complete bool, now int64) error {
	if !u.created {
		_, err := tx.Exec(`INSERT INTO blobs (id, header, size, complete, changed_at) VALUES ($1,$2,$3,$4,$5)`, u.id, u.head, u.size, complete, now)
		return err
	}
	n, err := tx.Exec(`UPDATE blobs SET size=$1, complete=$2, changed_at=$3 WHERE id=$4 AND NOT complete AND changed_at>0`, u.size, complete, now, u.id)
	if err == nil && n == 0 {
		return fault.Gonef("blob.swept", "The upload paused for so long that it was given up.").WithNext("Send the document again.")
	}
	return err
}

// abort works without the caller's context, which is often what ended.
func (u *tableUpload) abort() {
	if u.created {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = u.table.remove(ctx, u.id) // what cannot be removed now, sweep removes
	}
}

func (t *table) open(ctx context.Context, id string) (source, error) {
	s := &tableSource{ctx: ctx, db: t.db, id: id, at: -1}
	err := t.db.View(ctx).QueryRow(`SELECT header, size FROM blobs WHERE id=$1 AND complete`, id).Scan(&s.head, &s.size)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNone
	}
	return s, err
}

type tableSource struct {
	ctx  context.Context
	db   *store.DB
	id   string
	head []byte
	size int64
	at   int64 // number of the row at hand
	row  []byte
}

func (s *tableSource) header() []byte  { return s.head }
func (s *tableSource) bodySize() int64 { return s.size }
func (s *tableSource) close() error    { return nil }

// readBody reads one chunk, which lies within one row.
func (s *tableSource) readBody(p []byte, off int64) error {
	if seq := off / batchSize; seq != s.at {
		s.at = -1
		err := s.db.View(s.ctx).QueryRow(`SELECT data FROM blob_rows WHERE id=$1 AND seq=$2`, s.id, seq).Scan(&s.row)
		if errors.Is(err, store.ErrNotFound) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		s.at = seq
	}
	begin := off % batchSize
	if int64(len(s.row)) < begin+int64(len(p)) {
		return io.ErrUnexpectedEOF
	}
	copy(p, s.row[begin:])
	return nil
}

// remove hides the blob at once and then deletes its rows. After a crash in
// between it is an upload for sweep.
func (t *table) remove(ctx context.Context, id string) error {
	err := t.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE blobs SET complete=$1, changed_at=0 WHERE id=$2`, false, id)
		return err
	})
	if err != nil {
		return err
	}
	return t.drop(ctx, id)
}

// giveUp removes an upload that is still untouched since before, and tells
// whether it did: its sender may have come back since it was listed.
func (t *table) giveUp(ctx context.Context, id string, before time.Time) (bool, error) {
	var n int64
	err := t.db.Update(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`UPDATE blobs SET changed_at=0 WHERE id=$1 AND NOT complete AND changed_at<$2`, id, store.Micros(before))
		return err
	})
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.drop(ctx, id)
}

// drop deletes the rows of a hidden blob, a few to a transaction, then its own.
func (t *table) drop(ctx context.Context, id string) error {
	for {
		var rows int64
		err := t.db.Update(ctx, func(tx *store.Tx) (err error) {
			rows, err = tx.Exec(`DELETE FROM blob_rows WHERE id=$1 AND seq IN (SELECT seq FROM blob_rows WHERE id=$1 ORDER BY seq LIMIT $2)`, id, rowsPerTx)
			if err != nil || rows == rowsPerTx {
				return err
			}
			_, err = tx.Exec(`DELETE FROM blobs WHERE id=$1 AND NOT complete`, id)
			return err
		})
		if err != nil || rows < rowsPerTx {
			return err
		}
	}
}

func (t *table) sweep(ctx context.Context, before time.Time, each func([]string) error) (int, error) {
	removed := 0
	err := t.old(ctx, incompleteIDs, before, func(ids []string) error {
		for _, id := range ids {
			gone, err := t.giveUp(ctx, id, before)
			if err != nil {
				return err
			}
			if gone {
				removed++
			}
		}
		return nil
	})
	if err != nil {
		return removed, err
	}
	return removed, t.old(ctx, completeIDs, before, each)
}

const (
	incompleteIDs = `SELECT id FROM blobs WHERE NOT complete AND changed_at<$1 AND id>$2 ORDER BY id LIMIT $3`
	completeIDs   = `SELECT id FROM blobs WHERE complete AND changed_at<$1 AND id>$2 ORDER BY id LIMIT $3`
)

// old gives the ids of blobs that were last changed before a time, by key.
func (t *table) old(ctx context.Context, query string, before time.Time, each func([]string) error) error {
	last := ""
	for {
		rows, err := t.db.View(ctx).Query(query, store.Micros(before), last, sweepBatch)
		ids, err := store.Collect(rows, err, func(r *store.Rows) (id string, err error) {
			err = r.Scan(&id)
			return id, err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := each(ids); err != nil {
			return err
		}
		last = ids[len(ids)-1]
	}
}
