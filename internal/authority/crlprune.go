package authority

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

const (
	// pruneAfter is how long after its expiry an entry is deleted: long after it
	// left every list, of which the oldest is a week from the next.
	pruneAfter = 30 * 24 * time.Hour
	// pruneMost bounds one run.
	pruneMost = 20_000
	// pruneBatch bounds one transaction.
	pruneBatch = 500
)

// SweepRevocations deletes the entries of certificates that expired long ago, so
// that a list costs what is on it and not what ever was. Authorities that keep
// expired certificates on their lists are left alone. Run it once a day.
func (a *Authorities) SweepRevocations(ctx context.Context) error {
	list, err := a.List(ctx)
	if err != nil {
		return err
	}
	for _, x := range list {
		p, err := a.policy(ctx, x.ID)
		if err != nil {
			return err
		}
		if p.KeepExpired {
			continue
		}
		if err := a.prune(ctx, x.ID); err != nil {
			return fault.Wrap(err, "expired revocations of "+x.ID)
		}
	}
	return nil
}

func (a *Authorities) prune(ctx context.Context, id string) error {
	before := store.Micros(a.clock.Now().Add(-pruneAfter))
	type entry struct {
		shard  int64
		serial []byte
	}
	rows, err := a.db.View(ctx).Query(`SELECT shard, serial FROM revocations WHERE authority = $1 AND not_after < $2 LIMIT $3 + 0`, id, before, int64(pruneMost))
	old, err := store.Collect(rows, err, func(r *store.Rows) (e entry, err error) { return e, r.Scan(&e.shard, &e.serial) })
	if err != nil {
		return err
	}
	for len(old) > 0 {
		n := min(len(old), pruneBatch)
		if err := a.db.Update(ctx, func(tx *store.Tx) error {
			for _, e := range old[:n] {
				if _, err := tx.Exec(`DELETE FROM revocations WHERE authority = $1 AND shard = $2 AND serial = $3 AND not_after < $4`, id, e.shard, e.serial, before); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		old = old[n:]
	}
	return nil
}
