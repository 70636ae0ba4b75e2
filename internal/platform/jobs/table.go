package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// table is the jobs table as a [Source]; each kind is a lane.
type table struct{ q *Queue }

// Due implements [Source]: one statement probes the index once per kind.
func (t table) Due(q store.Queryer, kinds []string, now time.Time) ([]string, error) {
	args := []any{store.Micros(now)}
	var parts []string
	for i, k := range kinds {
		args = append(args, k)
		parts = append(parts, `SELECT `+strconv.Itoa(i)+` WHERE EXISTS (SELECT 1 FROM jobs WHERE kind = $`+strconv.Itoa(i+2)+
			` AND state IN ('waiting', 'running') AND run_at <= $1)`)
	}
	rows, err := q.Query(strings.Join(parts, ` UNION ALL `), args...)
	return store.Collect(rows, err, func(r *store.Rows) (string, error) {
		var i int
		err := r.Scan(&i)
		return kinds[i], err
	})
}

// claimJobs takes its limit as a sum, because SQLite would prepare a statement
// with a bare parameter there anew at each run, at half the cost of a claim.
const claimJobs = `WITH due AS (
		SELECT id FROM jobs WHERE kind = $1 AND state IN ('waiting', 'running') AND run_at <= $2 ORDER BY run_at, id LIMIT $3 + 0%s)
	UPDATE jobs SET state = 'running', lease = lease + 1, attempts = attempts + 1, run_at = $4 WHERE id IN (SELECT id FROM due)
	RETURNING id, ukey, args, lease, attempts, created_at`

// Claim implements [Source].
func (t table) Claim(tx *store.Tx, lane string, n int, now, until time.Time) ([]Task, error) {
	rows, err := tx.Query(fmt.Sprintf(claimJobs, tx.SkipLocked()), lane, store.Micros(now), n, store.Micros(until))
	tasks, err := store.Collect(rows, err, func(r *store.Rows) (*task, error) {
		w := &task{q: t.q, kind: t.q.kinds[lane]}
		var args string
		err := r.Scan(&w.job.ID, &w.job.Key, &args, &w.lease, &w.job.Attempt, &w.created)
		w.job.Kind, w.job.Args, w.job.task = lane, json.RawMessage(args), w
		return w, err
	})
	// The database returns them in any order; ids are in the order of creation.
	slices.SortFunc(tasks, func(a, b *task) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.job.ID, b.job.ID))
	})
	out := make([]Task, len(tasks))
	for i, w := range tasks {
		out[i] = w
	}
	return out, err
}

// task is a claimed job.
type task struct {
	q       *Queue
	kind    *kind
	job     Job
	lease   int64
	created int64
	ended   atomic.Bool // by Job.Done
}

// Renew implements [Task].
func (t *task) Renew(tx *store.Tx, until time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE jobs SET run_at = $1 WHERE id = $2 AND lease = $3 AND state = 'running'`, store.Micros(until), t.job.ID, t.lease)
	return n == 1, err
}

// Run implements [Task].
func (t *task) Run(ctx context.Context) {
	start := time.Now()
	t.kind.counter.running.Add(1)
	defer t.kind.counter.running.Add(-1)
	err := t.call(ctx)
	t.kind.counter.busy.Add(int64(time.Since(start)))
	if t.ended.Load() && err == nil {
		t.kind.counter.done.Add(1)
		return
	}
	interrupted := ctx.Err() != nil && err != nil
	if err := t.q.Settle(ctx, func(tx *store.Tx) error { return t.settle(tx, err, interrupted) }); err != nil {
		t.q.log.Error("the outcome of a job could not be recorded; it will run again", "job", t.job.ID, "kind", t.kind.name, "error", err)
	}
	t.report(err)
}

// call runs the handler and turns a panic into an error.
func (t *task) call(ctx context.Context) (err error) {
	if t.kind.every == 0 && t.job.Attempt > t.kind.opts.MaxAttempts {
		return Permanent(errors.New("each attempt ended without a result: the node stopped or died while the job ran"))
	}
	ctx, cancel := context.WithTimeout(ctx, t.kind.opts.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			t.q.log.Error("a job panicked", "job", t.job.ID, "kind", t.kind.name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return t.kind.handle(ctx, t.job)
}

// settle writes the outcome. Each statement names the lease: a job that was
// taken over, or ended already, stays as it is.
func (t *task) settle(tx *store.Tx, err error, interrupted bool) error {
	if err == nil {
		_, err := t.succeed(tx)
		return err
	}
	now, attempts := t.q.clock.Now(), t.job.Attempt
	if interrupted { // not the job's fault: it does not count, and another node may begin at once
		return t.repeat(tx, now, attempts-1, "interrupted by a shutdown")
	}
	at := now.Add(t.kind.opts.Backoff.Wait(attempts, err))
	if t.kind.every > 0 {
		if next := t.kind.next(now); at.After(next) {
			at = next
		}
		return t.repeat(tx, at, attempts, message(err))
	}
	if IsPermanent(err) || attempts >= t.kind.opts.MaxAttempts {
		_, err := tx.Exec(`UPDATE jobs SET state = 'failed', done_at = $1, last_error = $2 WHERE id = $3 AND lease = $4 AND state = 'running'`,
			store.Micros(now), message(err), t.job.ID, t.lease)
		return err
	}
	return t.repeat(tx, at, attempts, message(err))
}

// succeed ends the job, or sets a schedule to its next interval. It tells
// whether the lease was still held.
func (t *task) succeed(tx *store.Tx) (bool, error) {
	now := t.q.clock.Now()
	state, at := "done", now
	if t.kind.every > 0 {
		state, at = "waiting", t.kind.next(now)
	}
	n, err := tx.Exec(`UPDATE jobs SET state = $1, run_at = $2, done_at = $3, last_error = '', attempts = CASE WHEN every > 0 THEN 0 ELSE attempts END
		WHERE id = $4 AND lease = $5 AND state = 'running'`, state, store.Micros(at), store.Micros(now), t.job.ID, t.lease)
	tx.AfterCommit(func() { t.ended.Store(true) })
	return n == 1, err
}

// repeat lets the job wait again. When the same work has been enqueued anew
// while it ran, that job takes its place.
func (t *task) repeat(tx *store.Tx, at time.Time, attempts int, reason string) error {
	n, err := tx.Exec(`UPDATE jobs SET state = 'waiting', run_at = $1, attempts = $2, last_error = $3 WHERE id = $4 AND lease = $5 AND state = 'running'
		AND NOT EXISTS (SELECT 1 FROM jobs w WHERE w.kind = jobs.kind AND w.ukey = jobs.ukey AND w.state = 'waiting')`,
		store.Micros(at), attempts, reason, t.job.ID, t.lease)
	if err != nil || n == 1 {
		return err
	}
	_, err = tx.Exec(`UPDATE jobs SET state = 'done', done_at = $1, last_error = $2 WHERE id = $3 AND lease = $4 AND state = 'running'`,
		store.Micros(t.q.clock.Now()), "replaced by a newer job for the same work, after: "+reason, t.job.ID, t.lease)
	return err
}

func (t *task) report(err error) {
	switch c := &t.kind.counter; {
	case err == nil:
		c.done.Add(1)
	case t.kind.every == 0 && (IsPermanent(err) || t.job.Attempt >= t.kind.opts.MaxAttempts):
		c.failed.Add(1)
		t.q.log.Error("a job failed for good", "job", t.job.ID, "kind", t.kind.name, "attempt", t.job.Attempt, "error", err)
	default:
		c.retried.Add(1)
		t.q.log.Warn("a job will be repeated", "job", t.job.ID, "kind", t.kind.name, "attempt", t.job.Attempt, "error", err)
	}
}

// message is an error as it is kept with the job, for operators.
func message(err error) string {
	const limit = 1000
	text := err.Error()
	var f *fault.Fault
	if errors.As(err, &f) {
		text = f.Error()
	}
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// next is when the interval after the one that now is in begins.
func (k *kind) next(now time.Time) time.Time { return now.Truncate(k.every).Add(k.every) }
