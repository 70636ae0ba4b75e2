package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Source is a table whose due rows the queue works through. The jobs table
// is one; a package with a table of its own, such as the outbox, is another and
// so needs no job row beside each of its rows. A source has lanes, each with a
// name of its own in the queue and a limit of tasks at once.
type Source interface {
	// Due names those of the lanes that have a row due at now. It is asked
	// several times a second and must answer from an index.
	Due(q store.Queryer, lanes []string, now time.Time) ([]string, error)
	// Claim leases up to n due rows of the lane until the given time.
	Claim(tx *store.Tx, lane string, n int, now, until time.Time) ([]Task, error)
}

// A Task is one claimed row.
type Task interface {
	// Run does the work and records the outcome. When it does not return,
	// the row is claimed again after the lease.
	Run(ctx context.Context)
	// Renew moves the end of the lease; false says that it was lost.
	Renew(tx *store.Tx, until time.Time) (bool, error)
}

// A lane bounds how many tasks of one sort run at once.
type lane struct {
	source Source
	name   string
	limit  int
	busy   int
	hot    bool // may have due rows: claim without asking first
}

// Attach adds a lane of a source to the queue, with at most limit tasks at
// once. A name that is taken is a defect and panics.
func (q *Queue) Attach(s Source, name string, limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byName[name] != nil {
		panic("jobs: two lanes are called " + name)
	}
	l := &lane{source: s, name: name, limit: limit}
	q.lanes = append(q.lanes, l)
	q.byName[name] = l
}

// Wake tells the queue that a lane has a row due now. It does not block and
// suits [store.Tx.AfterCommit].
func (q *Queue) Wake(name string) {
	q.mu.Lock()
	l := q.byName[name]
	if l != nil {
		l.hot = true
	}
	q.mu.Unlock()
	if l != nil { // else the kind belongs to another node
		q.nudge()
	}
}

func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// look marks the lanes with due rows, by reading only.
func (q *Queue) look(ctx context.Context) error {
	names := map[Source][]string{}
	var sources []Source
	for _, l := range q.lanes {
		if names[l.source] == nil {
			sources = append(sources, l.source)
		}
		names[l.source] = append(names[l.source], l.name)
	}
	for _, s := range sources {
		due, err := s.Due(q.db.View(ctx), names[s], q.clock.Now())
		if err != nil {
			return err
		}
		q.mu.Lock()
		for _, name := range due {
			q.byName[name].hot = true
		}
		q.mu.Unlock()
	}
	return nil
}

// claim leases rows of the hot lanes, as many as there is room for, in one
// transaction.
func (q *Queue) claim(ctx context.Context) ([]*running, error) {
	wants := q.wants()
	if len(wants) == 0 {
		return nil, nil
	}
	var got []*running
	err := q.db.Update(ctx, func(tx *store.Tx) error {
		got = got[:0]
		now := q.clock.Now()
		for i := range wants {
			w := &wants[i]
			tasks, err := w.lane.source.Claim(tx, w.lane.name, w.n, now, now.Add(q.opts.Lease))
			if err != nil {
				return fault.Wrap(err, "claim "+w.lane.name)
			}
			w.full = len(tasks) == w.n
			for _, t := range tasks {
				got = append(got, &running{Task: t, lane: w.lane})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err // the next look finds the rows again
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range wants {
		w.lane.hot = w.lane.hot || w.full
	}
	for _, r := range got {
		r.lane.busy++
		q.running[r] = struct{}{}
	}
	return got, nil
}

// A want is how many rows to claim from a lane.
type want struct {
	lane *lane
	n    int
	full bool
}

// wants shares the free workers among the hot lanes, another one first each
// time, and cools those lanes.
func (q *Queue) wants() []want {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := q.opts.Workers - len(q.running)
	q.turn++
	var out []want
	for i := range q.lanes {
		l := q.lanes[(i+q.turn)%len(q.lanes)]
		if n := min(l.limit-l.busy, free); l.hot && n > 0 {
			l.hot = false
			free -= n
			out = append(out, want{lane: l, n: n})
		}
	}
	return out
}

// Settle records an outcome through [store.DB.Update] and does not give up
// while the database is away, for as long as a lease lasts: work that was done
// should not be done again only because its outcome could not be written. The
// end of ctx does not stop it. fn must change nothing when it is run again
// after it succeeded; naming the lease in the statement sees to that.
func (q *Queue) Settle(ctx context.Context, fn func(tx *store.Tx) error) error {
	ctx = context.WithoutCancel(ctx) // the work is done, whoever waits for it
	deadline := time.Now().Add(q.opts.Lease)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := q.db.Update(ctx, fn)
		again := errors.Is(err, fault.Unavailable) || errors.Is(err, store.ErrExists)
		if !again || time.Now().After(deadline) || fault.Of(err).Code == "store.closed" {
			return err
		}
		time.Sleep(pause)
	}
}
