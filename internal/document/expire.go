package document

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// expireBatch bounds one transaction of [Store.Expire].
const expireBatch = 200

// Expire deletes the documents whose time has come, in batches, the oldest
// first. It is run by a schedule; several nodes may run it at once. Each
// deletion stands in the audit log.
func (s *Store) Expire(ctx context.Context) error {
	for {
		due, err := s.expireBatch(ctx)
		if err != nil {
			return err
		}
		for _, d := range due {
			s.forget(ctx, d.blob)
		}
		if len(due) < expireBatch {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (s *Store) expireBatch(ctx context.Context) (due []Document, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`DELETE FROM documents WHERE id IN
			(SELECT id FROM documents WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2`+tx.SkipLocked()+`) RETURNING `+columns,
			store.Micros(s.clock.Now()), expireBatch)
		if due, err = store.Collect(rows, err, func(r *store.Rows) (Document, error) { return scan(r) }); err != nil {
			return err
		}
		for _, d := range due {
			if err := s.audit.Append(tx, d.entry("document.expire")); err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

// forget deletes the bytes of a document whose row is gone. A failure leaves a
// blob that nobody refers to and that the sweep of the blobs will find.
func (s *Store) forget(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.blobs.Delete(ctx, id); err != nil {
		telemetry.Logger(ctx).WarnContext(ctx, "the bytes of a deleted document remain until the next sweep", "blob", id, "error", err)
	}
}

var _ blob.InUse = (*Store)(nil).InUse

// InUse tells which of the blobs belong to documents. It is this domain's part
// of [blob.Store.Sweep]; a blob store that others write to as well is swept
// with everybody's answers together.
func (s *Store) InUse(ctx context.Context, ids []string) (map[string]bool, error) {
	used := map[string]bool{}
	for len(ids) > 0 {
		n := min(len(ids), inUseBatch)
		if err := s.inUse(ctx, ids[:n], used); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return used, nil
}

const inUseBatch = 256

// inUse always asks with the same number of parameters, so that the statement
// is prepared once.
func (s *Store) inUse(ctx context.Context, ids []string, used map[string]bool) error {
	var in strings.Builder
	args := make([]any, inUseBatch)
	for i := range args {
		args[i] = ids[min(i, len(ids)-1)]
		in.WriteString(", $" + strconv.Itoa(i+1))
	}
	rows, err := s.db.View(ctx).Query(`SELECT blob FROM documents WHERE blob IN (`+in.String()[2:]+`)`, args...)
	found, err := store.Collect(rows, err, func(r *store.Rows) (id string, err error) { return id, r.Scan(&id) })
	if err != nil {
		return errors.Join(errors.New("which documents exist"), err)
	}
	for _, id := range found {
		used[id] = true
	}
	return nil
}
