package domainval

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Bounds of one run of [Desk.Sweep].
const (
	sweepBatch   = 100 // validations, and as many domains
	sweepWorkers = 8   // looks at a time
)

// Sweep ends what has waited for 30 days and looks at what is due: every
// pending validation and domain once an hour (A191). It takes a bounded batch,
// so call it every minute or so; several nodes may, each takes other rows. A
// crash in the middle delays the rest of the batch by an hour.
func (d *Desk) Sweep(ctx context.Context) error {
	if err := d.expire(ctx); err != nil {
		return err
	}
	validations, err := d.claimValidations(ctx)
	if err != nil {
		return err
	}
	domains, err := d.claimDomains(ctx)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(sweepWorkers)
	errs := make([]error, len(validations)+len(domains))
	for i, v := range validations {
		g.Go(func() error { _, errs[i] = d.checkValidation(ctx, v); return nil })
	}
	for i, x := range domains {
		g.Go(func() error { _, errs[len(validations)+i] = d.checkDomain(ctx, x); return nil })
	}
	_ = g.Wait() // the functions give none; one that fails must not stop the others
	return errors.Join(errs...)
}

// claimValidations takes what is due by setting the time of its next look
// before the look begins.
func (d *Desk) claimValidations(ctx context.Context) ([]Validation, error) {
	now := d.clock.Now()
	var claimed []Validation
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		claimed = nil
		rows, err := tx.Query(`SELECT `+validationColumns+` FROM domainval_validations WHERE state = 'pending' AND next_check_at > 0 AND next_check_at <= $1 AND expires_at > $1
			ORDER BY next_check_at LIMIT $2 + 0`+tx.SkipLocked(), store.Micros(now), sweepBatch)
		due, err := store.Collect(rows, err, func(r *store.Rows) (Validation, error) { return d.scanValidation(r) })
		if err != nil {
			return err
		}
		for _, v := range due {
			n, err := tx.Exec(`UPDATE domainval_validations SET next_check_at = $1 WHERE id = $2 AND next_check_at = $3`, store.Micros(now.Add(checkEvery)), v.ID, store.Micros(v.NextCheck))
			if err != nil {
				return err
			}
			if n > 0 {
				claimed = append(claimed, v)
			}
		}
		return nil
	})
	return claimed, err
}

// claimDomains does the same for domains. One whose random value has run out is
// looked at no more, unless a persistent record keeps it valid.
func (d *Desk) claimDomains(ctx context.Context) ([]Domain, error) {
	now := d.clock.Now()
	var claimed []Domain
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		claimed = nil
		rows, err := tx.Query(`SELECT `+domainColumns+` FROM domainval_domains WHERE next_check_at > 0 AND next_check_at <= $1 ORDER BY next_check_at LIMIT $2 + 0`+tx.SkipLocked(), store.Micros(now), sweepBatch)
		due, err := store.Collect(rows, err, func(r *store.Rows) (Domain, error) { return d.scanDomain(r) })
		if err != nil {
			return err
		}
		for _, x := range due {
			live := x.tokenLives(now) || x.Method == PersistTXT && d.set.AccountURI != nil
			next := int64(0)
			if live {
				next = store.Micros(now.Add(checkEvery))
			}
			n, err := tx.Exec(`UPDATE domainval_domains SET next_check_at = $1 WHERE id = $2 AND next_check_at = $3`, next, x.ID, store.Micros(x.NextCheck))
			if err != nil {
				return err
			}
			if n > 0 && live {
				claimed = append(claimed, x)
			}
		}
		return nil
	})
	return claimed, err
}

// expire ends validations and mails whose time is over and wakes their orders.
func (d *Desk) expire(ctx context.Context) error {
	return d.db.Update(ctx, func(tx *store.Tx) error {
		now := d.clock.Now()
		rows, err := tx.Query(`SELECT `+validationColumns+` FROM domainval_validations WHERE state = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 + 0`, store.Micros(now), sweepBatch)
		over, err := store.Collect(rows, err, func(r *store.Rows) (Validation, error) { return d.scanValidation(r) })
		if err != nil {
			return err
		}
		var orders []string
		for _, v := range over {
			n, err := tx.Exec(`UPDATE domainval_validations SET state = 'expired', done_at = $1, next_check_at = 0 WHERE id = $2 AND state = 'pending'`, store.Micros(now), v.ID)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			orders = append(orders, v.Order)
			if err := d.noteValidation(tx, v, "validation.expire", audit.Failed, nil); err != nil {
				return err
			}
		}
		mails, err := d.expireMails(tx, now)
		if err != nil {
			return err
		}
		return d.wake(tx, append(orders, mails...))
	})
}

// PendingSince tells how many validations wait and since when the oldest does,
// for a metric.
func (d *Desk) PendingSince(ctx context.Context) (n int64, oldest time.Time, err error) {
	var micros int64
	err = d.db.View(ctx).QueryRow(`SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM domainval_validations WHERE state = 'pending'`).Scan(&n, &micros)
	return n, store.Time(micros), err
}
