// Package jobs runs work outside of requests: a durable queue with leases and
// retries, and schedules that run once per interval across all nodes.
//
// [Queue.Enqueue] writes a job in the caller's transaction, so the job exists
// exactly when the change that asks for it does. [Queue.Run] claims due jobs in
// batches, executes them concurrently and records the outcome. A claim is a
// lease: when its node dies, another takes the job over once the lease ends.
// A job therefore runs at least once, and handlers must bear a second run; one
// that writes to the database only can end its job in its own transaction with
// [Job.Done] and so has its effect exactly once.
//
// Local jobs start within milliseconds of the commit that enqueued them. Those
// of other nodes, and expired leases, are found by polling, which reads and
// never writes while there is nothing to do. Leases compare the clocks of the
// nodes, which should agree to a few seconds.
//
// Why not an existing engine: an order leads to three messages, and several
// hundred orders per second were to be served, where the engine that was tried
// delivers about 500 jobs per second; its licence is a weak copyleft one; and
// a queue inside the one transaction type shares the group commit of package
// store, so that claims and outcomes cost no fsync of their own.
package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Handler does the work of one job. Returning nil ends the job; an error or
// a panic repeats it later, unless it is [Permanent] or the attempts are used
// up. ctx ends at the kind's time-out, when the lease was lost, and some time
// after the node was told to stop.
type Handler func(ctx context.Context, j Job) error

// A Job is one claimed piece of work.
type Job struct {
	ID      string
	Kind    string
	Key     string          // the unique key, or the id when there was none
	Args    json.RawMessage // what was given to Enqueue; see Decode
	Attempt int             // 1 on the first run
	task    *task
}

// Decode reads the arguments into v.
func (j Job) Decode(v any) error {
	if err := json.Unmarshal(j.Args, v); err != nil {
		return Permanent(fmt.Errorf("arguments of job %s: %w", j.ID, err))
	}
	return nil
}

// Done ends the job within the handler's own transaction. It fails with a
// fault of code "job.lease_lost" when another node has taken the job over,
// which undoes the handler's changes too. The handler then returns nil.
func (j Job) Done(tx *store.Tx) error {
	ok, err := j.task.succeed(tx)
	if err == nil && !ok {
		return fault.Conflictf("job.lease_lost", "Job %s has been taken over by another node.", j.ID)
	}
	return err
}

// Options shape a [Queue]; zero fields take the defaults.
type Options struct {
	Workers int           // jobs that run at once on this node, of all kinds; 32
	Poll    time.Duration // how often to look for work that this node was not told of; 500 ms
	Lease   time.Duration // how long a dead node keeps its jobs; live ones renew; 1 minute
	Grace   time.Duration // how long running handlers may take to end on shutdown; 20 s
	Keep    time.Duration // how long finished jobs stay visible, failed ones ten times as long; 7 days
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	if o.Workers <= 0 {
		o.Workers = 32
	}
	set(&o.Poll, 500*time.Millisecond)
	set(&o.Lease, time.Minute)
	set(&o.Grace, 20*time.Second)
	set(&o.Keep, 7*24*time.Hour)
	return o
}

// KindOptions shape one kind of job; zero fields take the defaults.
type KindOptions struct {
	MaxAttempts int           // runs before the job counts as failed; 20
	Backoff     Backoff       // wait before the next run; Exponential(2 s, 15 min)
	Timeout     time.Duration // of one run; 2 minutes
	Concurrency int           // runs at once on this node, fewer than Workers so that other kinds get their turn; a quarter of them
}

// kind is a registered kind of job.
type kind struct {
	name    string
	handle  Handler
	opts    KindOptions
	every   time.Duration // of a schedule, else zero
	counter counter
}

// A Queue holds the handlers and runs the jobs. Register everything before
// Run or Drain.
type Queue struct {
	db    *store.DB
	clock clock.Clock
	log   *slog.Logger
	opts  Options

	kinds map[string]*kind
	order []string // kinds as registered

	mu      sync.Mutex
	lanes   []*lane
	byName  map[string]*lane
	running map[*running]struct{}
	turn    int
	wake    chan struct{}
}

// New makes a queue over db.
func New(db *store.DB, c clock.Clock, log *slog.Logger, o Options) *Queue {
	q := &Queue{
		db: db, clock: c, log: log, opts: o.withDefaults(),
		kinds: map[string]*kind{}, byName: map[string]*lane{}, running: map[*running]struct{}{}, wake: make(chan struct{}, 1),
	}
	q.Every("jobs.sweep", time.Hour, func(ctx context.Context, _ Job) error {
		_, err := q.Sweep(ctx)
		return err
	})
	return q
}

// Handle registers the handler of a kind, such as "order.advance". Registering
// a kind twice is a defect and panics.
func (q *Queue) Handle(name string, h Handler, o KindOptions) { q.register(name, h, o, 0) }

// Every registers a schedule: h runs once per interval, on whichever node comes
// first. Intervals are aligned to UTC (an hour begins on the hour, a day at
// midnight); the first run of a new schedule is at once, and intervals missed
// while no node was up are not made up for. A failed run is repeated with
// back-off until it succeeds or the next interval begins.
func (q *Queue) Every(name string, interval time.Duration, h Handler) {
	q.register(name, h, KindOptions{Timeout: time.Hour, Concurrency: 1}, interval)
}

func (q *Queue) register(name string, h Handler, o KindOptions, every time.Duration) {
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 20
	}
	if o.Backoff == nil {
		o.Backoff = Exponential(2*time.Second, 15*time.Minute)
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Concurrency <= 0 {
		o.Concurrency = max(1, q.opts.Workers/4)
	}
	q.kinds[name] = &kind{name: name, handle: h, opts: o, every: every}
	q.order = append(q.order, name)
	q.Attach(table{q}, name, o.Concurrency)
}

// insertJob leaves a waiting job of the same kind and key in place. It updates
// rather than does nothing, because on PostgreSQL that locks the waiting row
// until the caller commits: a worker cannot run it before it sees the change
// that the caller wants to have worked on.
const insertJob = `INSERT INTO jobs (id, kind, ukey, args, state, run_at, created_at) VALUES ($1, $2, $3, $4, 'waiting', $5, $6)
	ON CONFLICT (kind, ukey) WHERE state = 'waiting' DO UPDATE SET run_at = excluded.run_at WHERE excluded.run_at < jobs.run_at`

// Enqueue adds a job to be run at runAt (at once when zero or past). A job with
// the same kind and key that still waits is kept in its place with its
// arguments, and moved forward when runAt is earlier; one that already runs
// does not count, as it may have begun before the caller's change. An empty key
// is never the same. args is written as JSON and must not hold secrets.
func (q *Queue) Enqueue(tx *store.Tx, kind, key string, args any, runAt time.Time) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fault.Wrap(err, "arguments of a "+kind+" job")
	}
	id, now := ident.New("job"), q.clock.Now()
	if key == "" {
		key = id
	}
	if runAt.IsZero() {
		runAt = now
	}
	if _, err := tx.Exec(insertJob, id, kind, key, string(text), store.Micros(runAt), store.Micros(now)); err != nil {
		return fault.Wrap(err, "enqueue "+kind)
	}
	if !runAt.After(now) {
		tx.AfterCommit(func() { q.Wake(kind) })
	}
	return nil
}
