package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// Orders are their own rows in the queue: due says when one is to be taken up,
// and claiming moves it to the end of the worker's lease.

// Due implements [jobs.Source].
func (e *Engine) Due(q store.Queryer, lanes []string, now time.Time) ([]string, error) {
	var n int64
	if err := q.QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM orders WHERE due > 0 AND due <= $1 LIMIT 1) one`, store.Micros(now)).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	return lanes, nil
}

// Claim implements [jobs.Source]. A claim changes the version, so that a step
// which outlived its lease loses its commit.
func (e *Engine) Claim(tx *store.Tx, _ string, n int, now, until time.Time) ([]jobs.Task, error) {
	rows, err := tx.Query(`SELECT id, version FROM orders WHERE due > 0 AND due <= $1 ORDER BY due, id LIMIT $2 + 0`+tx.SkipLocked(), store.Micros(now), n)
	due, err := store.Collect(rows, err, func(r *store.Rows) (t *task, err error) {
		t = &task{engine: e}
		return t, r.Scan(&t.id, &t.version)
	})
	if err != nil {
		return nil, err
	}
	var tasks []jobs.Task
	for _, t := range due {
		took, err := tx.Exec(`UPDATE orders SET due = $1, version = version + 1 WHERE id = $2 AND version = $3`, store.Micros(until), t.id, t.version)
		if err != nil {
			return nil, err
		}
		if took == 1 {
			t.version++
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

// A task is a claimed order.
type task struct {
	engine  *Engine
	id      string
	version int64
}

// Run implements [jobs.Task].
func (t *task) Run(ctx context.Context) {
	err := t.engine.takeUp(ctx, t.id, t.version)
	if err != nil && !errors.Is(err, fault.Conflict) {
		telemetry.Logger(ctx).ErrorContext(ctx, "an order could not be taken further", slog.String("order", t.id), slog.Any("error", err))
	}
}

// Renew implements [jobs.Task]. The order's version, not its lease, decides who
// may commit; the lease only keeps others from trying.
func (t *task) Renew(tx *store.Tx, until time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE orders SET due = $1 WHERE id = $2 AND due > 0`, store.Micros(until), t.id)
	return n == 1, err
}

// takeUp goes on with an order. version is the one that was claimed.
func (e *Engine) takeUp(ctx context.Context, id string, version int64) error {
	w, err := e.load(ctx, id)
	if err != nil {
		return err
	}
	if w.version != version {
		return errStale(id)
	}
	return e.goOn(ctx, w)
}

// goOn takes a stored order further from where it stands.
func (e *Engine) goOn(ctx context.Context, w *work) error {
	switch {
	case w.State == PendingCSR:
		return e.expireCSR(ctx, w)
	case w.State.Final():
		return e.rest(ctx, w)
	}
	if w.Serial != "" {
		if w.State == PostValid || w.State == Finalize {
			w.State = Issue
		}
		if err := e.resume(ctx, w); err != nil {
			return e.postpone(ctx, w, stageJobs[w.State], err)
		}
		if w.State.Final() {
			return nil
		}
	} else if w.State != New {
		// Nothing was held: what is to be signed is made anew, with fresh dates, and
		// every check looks again.
		w.State = KeyValidation
	}
	return e.run(ctx, w)
}

// rest takes an order off the queue that has nothing to do by itself.
func (e *Engine) rest(ctx context.Context, w *work) error {
	w.due = time.Time{}
	return e.commit(ctx, w, nil)
}

// load reads an order with its product as it was ordered.
func (e *Engine) load(ctx context.Context, id string) (*work, error) {
	o, err := e.get(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.workOn(ctx, o)
}

func (e *Engine) workOn(ctx context.Context, o *Order) (*work, error) {
	p, err := e.Products.At(ctx, o.Product, o.ProductVersion)
	if err != nil {
		return nil, err
	}
	if !p.Expires.IsZero() { // the end of a product is that of new orders, not of this one
		q := *p
		q.Expires, p = time.Time{}, &q
	}
	return &work{Order: o, product: p, stored: true}, nil
}

// Wake has an order taken up at once. It is called in the transaction that
// changed what the order waits for, such as by package domainval.
func (e *Engine) Wake(tx *store.Tx, id string) error {
	_, err := tx.Exec(`UPDATE orders SET due = $1 WHERE id = $2 AND state IN ('PRE_VALIDATION', 'PENDING_AUTH')`, store.Micros(e.Clock.Now()), id)
	if err == nil && e.Queue != nil {
		tx.AfterCommit(func() { e.Queue.Wake(Lane) })
	}
	return err
}
