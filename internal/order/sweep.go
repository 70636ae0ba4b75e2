package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// CTJob is the queue's kind of job that publishes a certificate in the logs.
const CTJob = "order.ct-final"

type finalCT struct{ Order string }

func (e *Engine) queueFinal(tx *store.Tx, o *Order) error {
	return e.Queue.Enqueue(tx, CTJob, o.ID, finalCT{o.ID}, e.Clock.Now())
}

// PublishFinal is the handler of [CTJob] (A114).
func (e *Engine) PublishFinal(ctx context.Context, j jobs.Job) error {
	var f finalCT
	if err := j.Decode(&f); err != nil {
		return err
	}
	w, err := e.load(ctx, f.Order)
	if err != nil || w.State != Issued {
		return err
	}
	r, err := e.Certificate(ctx, w.Order)
	if err != nil {
		return err
	}
	chain, err := e.CA.Chain(ctx, w.Authority)
	if err != nil {
		return err
	}
	result, err := e.Logs.SubmitFinal(ctx, r.DER, chain)
	w.Evidence.CT = append(w.Evidence.CT, result.Evidence...)
	now := e.Clock.Now()
	if err != nil {
		w.end(JobCT, JobRetry, now, "", fault.Of(err).Message)
		return errors.Join(err, e.commit(ctx, w, nil))
	}
	w.end(JobCT, JobSuccess, now, plural(len(result.Evidence), "log")+" asked", "")
	return e.commit(ctx, w, j.Done)
}

// RevokeRenewed is the handler of [RevokeOldJob].
func (e *Engine) RevokeRenewed(ctx context.Context, j jobs.Job) error {
	var old revokeOld
	if err := j.Decode(&old); err != nil {
		return err
	}
	return e.revokeReplaced(ctx, old)
}

// Published notes in the order what became of a publication; package publish
// calls it.
func (e *Engine) Published(tx *store.Tx, id string, ok bool, detail string) error {
	o, err := scanWhole(tx.QueryRow(`SELECT `+columns+`, `+workColumns+` FROM orders o JOIN order_work w ON w.id = o.id WHERE o.id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil // a certificate from elsewhere
	}
	if err != nil {
		return err
	}
	if ok {
		o.end(JobPublish, JobSuccess, e.Clock.Now(), detail, "")
	} else {
		o.end(JobPublish, JobFailed, e.Clock.Now(), "", detail)
	}
	return save(tx, o, encode(o), e.Clock.Now())
}

// Sweep does what time brings: approvals lapse, what was never finished is
// closed, files and links that have ended are erased. It is run by a schedule.
func (e *Engine) Sweep(ctx context.Context) error {
	return errors.Join(e.lapse(ctx), e.closeOrphans(ctx), e.erase(ctx))
}

// closeOrphans revokes intents whose order is not where the intent says: it
// failed to be written, or was lost (A119).
func (e *Engine) closeOrphans(ctx context.Context) error {
	intents, err := e.CA.OpenIntents(ctx, kind, e.Clock.Now().Add(-10*e.Settings.Lease))
	if err != nil {
		return err
	}
	var failed error
	for _, i := range intents {
		err := e.DB.Update(ctx, func(tx *store.Tx) error {
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM orders WHERE id = $1 AND serial = $2 AND due > 0`, i.OrderID, authority.SerialText(i.Serial)).Scan(&n); err != nil || n > 0 {
				return err
			}
			return e.CA.Revoke(tx, i.Authority, i.Serial, authority.CessationOfOperation)
		})
		if err != nil && !errors.Is(err, fault.Conflict) {
			failed = errors.Join(failed, fmt.Errorf("intent %s: %w", authority.SerialText(i.Serial), err))
		}
	}
	return failed
}

// erase deletes key files three months after they were made (A97), and links
// whose time is over.
func (e *Engine) erase(ctx context.Context) error {
	return e.DB.Update(ctx, func(tx *store.Tx) error {
		now := store.Micros(e.Clock.Now())
		if _, err := tx.Exec(`DELETE FROM order_files WHERE expires_at > 0 AND expires_at <= $1`, now); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM order_links WHERE expires_at <= $1`, now)
		return err
	})
}
