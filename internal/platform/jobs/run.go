package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// running is a task under way on this node.
type running struct {
	Task
	lane   *lane
	cancel context.CancelFunc
}

// Run claims and executes jobs until ctx ends. It then claims no more, gives
// running handlers the grace time to end, cancels their contexts, and waits a
// little longer. It returns nil when all of them ended, else an error that says
// how many did not; their jobs are taken over when the leases end.
//
// Several queues may run on one database, in one process or many.
func (q *Queue) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	poll, renew := time.NewTicker(q.opts.Poll), time.NewTicker(q.opts.Lease/3)
	defer poll.Stop()
	defer renew.Stop()
	var health health
	health.report(q.log, q.begin(ctx))
	for ctx.Err() == nil {
		health.report(q.log, q.pass(ctx, work))
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-poll.C:
			if health.down {
				health.report(q.log, q.begin(ctx))
			} else {
				health.report(q.log, q.look(ctx))
			}
		case <-renew.C:
			health.report(q.log, q.renew(ctx))
		}
	}
	return q.wind(stop)
}

// begin is what needs the database before the first claim.
func (q *Queue) begin(ctx context.Context) error {
	if err := q.plant(ctx); err != nil {
		return err
	}
	return q.look(ctx)
}

// health logs when the database goes away and when it is back, once each.
type health struct{ down bool }

func (h *health) report(log *slog.Logger, err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil && !h.down:
		h.down = true
		log.Error("jobs cannot be claimed", "error", err)
	case err == nil && h.down:
		h.down = false
		log.Info("jobs are claimed again")
	}
}

// pass claims what is due and starts it.
func (q *Queue) pass(ctx, work context.Context) error {
	got, err := q.claim(ctx)
	for _, r := range got {
		go q.execute(work, r)
	}
	return err
}

func (q *Queue) execute(ctx context.Context, r *running) {
	ctx, cancel := context.WithCancel(ctx)
	q.mu.Lock()
	r.cancel = cancel
	q.mu.Unlock()
	defer q.release(r)
	r.Run(ctx)
}

func (q *Queue) release(r *running) {
	q.mu.Lock()
	r.lane.busy--
	delete(q.running, r)
	r.cancel()
	q.mu.Unlock()
	q.nudge() // there is room again
}

// renew extends the leases of everything that runs here, and cancels what has
// been taken over by another node.
func (q *Queue) renew(ctx context.Context) error {
	q.mu.Lock()
	tasks := make([]*running, 0, len(q.running))
	for r := range q.running {
		tasks = append(tasks, r)
	}
	q.mu.Unlock()
	if len(tasks) == 0 {
		return nil
	}
	var lost []*running
	err := q.db.Update(ctx, func(tx *store.Tx) error {
		lost = lost[:0]
		until := q.clock.Now().Add(q.opts.Lease)
		for _, r := range tasks {
			held, err := r.Renew(tx, until)
			if err != nil {
				return err
			}
			if !held {
				lost = append(lost, r)
			}
		}
		return nil
	})
	if err != nil {
		return fault.Wrap(err, "renew leases")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range lost { // a task that has just ended is among them; cancelling it is harmless
		if r.cancel != nil {
			r.cancel()
		}
	}
	return nil
}

// Stopping is how long [Queue.Run] waits for handlers whose contexts it has
// ended, beyond the grace time.
const Stopping = 5 * time.Second

// wind waits for the running tasks as Run promises.
func (q *Queue) wind(stop context.CancelFunc) error {
	if q.idle(q.opts.Grace) {
		return nil
	}
	stop()
	if q.idle(Stopping) {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return fmt.Errorf("%d jobs did not end; others take them over when their leases run out", len(q.running))
}

// idle waits until nothing runs, and tells whether that came about in time.
// Leases are kept meanwhile: they outlast a grace time that is shorter.
func (q *Queue) idle(patience time.Duration) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		q.mu.Lock()
		n := len(q.running)
		q.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-q.wake: // each task that ends nudges
		case <-deadline.C:
			return false
		}
	}
}

// drainLimit is what Drain takes for a loop of jobs that enqueue each other.
const drainLimit = 100_000

// Drain runs everything that is due by the queue's clock, including what
// becomes due meanwhile, one task after the other in a fixed order, and returns
// when nothing is due any more. It is meant for tests on a fake clock: nothing
// waits, and a job that fails is due again only when the clock moves.
func (q *Queue) Drain(ctx context.Context) error {
	if err := q.plant(ctx); err != nil {
		return err
	}
	for done := 0; done < drainLimit; {
		if err := q.look(ctx); err != nil {
			return err
		}
		got, err := q.claim(ctx)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			return ctx.Err()
		}
		for _, r := range got {
			q.execute(ctx, r)
		}
		done += len(got)
	}
	return errors.New("jobs enqueue each other without end")
}
