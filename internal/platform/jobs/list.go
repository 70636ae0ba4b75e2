package jobs

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The states of a job.
const (
	Waiting  = "waiting" // for its time, or for its next attempt
	Running  = "running" // claimed by a node, until DueAt
	Finished = "done"
	Failed   = "failed" // for good; may be retried by hand
)

// scheduleKey is the unique key of the one row that a schedule has.
const scheduleKey = "@schedule"

// A Row is a job as operators see it.
type Row struct {
	ID, Kind, Key, State string
	Attempts             int
	Every                time.Duration // of a schedule, else zero
	DueAt                time.Time     // when it runs next; for a running one, the end of its lease
	CreatedAt            time.Time
	DoneAt               time.Time // when it ended; of a schedule, the last success
	LastError            string
}

// A Filter narrows a list; empty fields match everything.
type Filter struct {
	Kind  string
	State string
}

const columns = `id, kind, ukey, state, attempts, every, run_at, created_at, done_at, last_error`

func scanRow(r interface{ Scan(...any) error }) (Row, error) {
	var row Row
	var every, due, created, done int64
	err := r.Scan(&row.ID, &row.Kind, &row.Key, &row.State, &row.Attempts, &every, &due, &created, &done, &row.LastError)
	row.Every = time.Duration(every) * time.Microsecond
	row.DueAt, row.CreatedAt, row.DoneAt = store.Time(due), store.Time(created), store.Time(done)
	return row, err
}

// List gives jobs, newest first with the schedules at the end, and the cursor
// of the next page, empty at the end.
func (q *Queue) List(v store.Queryer, f Filter, p store.Page) ([]Row, string, error) {
	where, args := []string{`id < $1`}, []any{"~"} // after every id
	key, ok, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	if ok {
		args[0] = key.ID
	}
	if f.Kind != "" {
		where, args = append(where, `kind = $2`), append(args, f.Kind)
	}
	switch f.State {
	case "":
	// The states are written out, so that the partial indexes serve.
	case Waiting, Running:
		where = append(where, `state IN ('waiting', 'running')`, `state = '`+f.State+`'`)
	case Finished, Failed:
		where = append(where, `state = '`+f.State+`'`)
	default:
		return nil, "", fault.Invalidf("job.state", "There is no job state %q.", f.State).WithField("state")
	}
	size := p.Size()
	args = append(args, size+1)
	query := `SELECT ` + columns + ` FROM jobs WHERE ` + strings.Join(where, ` AND `) + ` ORDER BY id DESC LIMIT $` + strconv.Itoa(len(args)) + ` + 0`
	rows, err := v.Query(query, args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Row, error) { return scanRow(r) })
	if err != nil || len(list) <= size {
		return list, "", err
	}
	return list[:size], store.Key{ID: list[size-1].ID}.Cursor(), nil
}

// Get gives one job.
func (q *Queue) Get(v store.Queryer, id string) (Row, error) {
	row, err := scanRow(v.QueryRow(`SELECT `+columns+` FROM jobs WHERE id = $1`, id))
	return row, notFound(err, id)
}

func notFound(err error, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFoundf("job.not_found", "There is no job %s.", id)
	}
	return err
}

// ScheduleID is the id of the row of a schedule, for RunNow.
func ScheduleID(kind string) string { return "every-" + kind }

// RunNow makes a waiting job or a schedule due at once. It is a transaction of
// the caller's, who audits the act in it. A job in another state gives a fault
// of kind Conflict.
func (q *Queue) RunNow(tx *store.Tx, id string) error {
	return q.push(tx, id, `UPDATE jobs SET run_at = $1 WHERE id = $2 AND state = 'waiting'`, "waits")
}

// Retry gives a failed job all its attempts again, beginning at once. When the
// same work has been enqueued anew since, nothing is repeated and the fault has
// the code "job.replaced".
func (q *Queue) Retry(tx *store.Tx, id string) error {
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM jobs w JOIN jobs f ON w.kind = f.kind AND w.ukey = f.ukey WHERE f.id = $1 AND f.state = 'failed' AND w.state = 'waiting'`, id).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fault.Conflictf("job.replaced", "The work of job %s waits already as a newer job.", id)
	}
	return q.push(tx, id, `UPDATE jobs SET state = 'waiting', attempts = 0, done_at = 0, run_at = $1 WHERE id = $2 AND state = 'failed'`, "has failed")
}

func (q *Queue) push(tx *store.Tx, id, statement, wanted string) error {
	row, err := q.Get(tx, id)
	if err != nil {
		return err
	}
	n, err := tx.Exec(statement, store.Micros(q.clock.Now()), id)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Conflictf("job.state", "Job %s is %s; this works on one that %s.", id, row.State, wanted)
	}
	tx.AfterCommit(func() { q.Wake(row.Kind) })
	return nil
}

// Sweep deletes jobs that ended longer ago than Options.Keep (failed ones: ten
// times that), and returns how many. The queue calls it hourly by itself.
func (q *Queue) Sweep(ctx context.Context) (int64, error) {
	var total int64
	for state, keep := range map[string]time.Duration{Finished: q.opts.Keep, Failed: 10 * q.opts.Keep} {
		before := store.Micros(q.clock.Now().Add(-keep))
		for {
			var n int64
			err := q.db.Update(ctx, func(tx *store.Tx) (err error) {
				// Small bites: on SQLite everybody else waits.
				n, err = tx.Exec(`DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state IN ('done', 'failed') AND state = $1 AND done_at < $2 ORDER BY done_at, id LIMIT 500)`, state, before)
				return err
			})
			total += n
			if err != nil {
				return total, err
			}
			if n < 500 {
				break
			}
		}
	}
	return total, nil
}

// plant creates the rows of the schedules that have none, and brings one
// forward whose interval has become shorter.
func (q *Queue) plant(ctx context.Context) error {
	return q.db.Update(ctx, func(tx *store.Tx) error {
		now := q.clock.Now()
		for _, name := range q.order {
			k := q.kinds[name]
			if k.every == 0 {
				continue
			}
			if _, err := tx.Exec(`INSERT INTO jobs (id, kind, ukey, args, state, run_at, created_at, every) VALUES ($1, $2, $3, 'null', 'waiting', $4, $4, $5) ON CONFLICT DO NOTHING`,
				ScheduleID(name), name, scheduleKey, store.Micros(now), k.every.Microseconds()); err != nil {
				return fault.Wrap(err, "schedule "+name)
			}
			if _, err := tx.Exec(`UPDATE jobs SET every = $1, run_at = CASE WHEN state = 'waiting' AND run_at > $2 THEN $2 ELSE run_at END WHERE id = $3 AND every <> $1`,
				k.every.Microseconds(), store.Micros(k.next(now)), ScheduleID(name)); err != nil {
				return fault.Wrap(err, "schedule "+name)
			}
		}
		return nil
	})
}

// A Backlog counts what is due of one kind and has not begun.
type Backlog struct {
	Kind   string
	Count  int64
	Oldest time.Time // since when the first of them has been due
}

// Backlog gives the jobs that wait although they are due, by kind, for metrics.
// Its cost grows with the number of waiting jobs.
func (q *Queue) Backlog(v store.Queryer) ([]Backlog, error) {
	rows, err := v.Query(`SELECT kind, COUNT(*), MIN(run_at) FROM jobs WHERE state IN ('waiting', 'running') AND state = 'waiting' AND run_at <= $1 GROUP BY kind ORDER BY kind`, store.Micros(q.clock.Now()))
	return store.Collect(rows, err, func(r *store.Rows) (Backlog, error) {
		var b Backlog
		var oldest int64
		err := r.Scan(&b.Kind, &b.Count, &oldest)
		b.Oldest = store.Time(oldest)
		return b, err
	})
}

type counter struct{ done, failed, retried, running, busy atomic.Int64 }

// Stats counts what this node did with one kind since it started.
type Stats struct {
	Kind                  string
	Done, Failed, Retried int64
	Running               int64         // now
	Busy                  time.Duration // spent in handlers
}

// Stats gives the counters of all kinds in the order of registration.
func (q *Queue) Stats() []Stats {
	out := make([]Stats, 0, len(q.order))
	for _, name := range q.order {
		c := &q.kinds[name].counter
		out = append(out, Stats{name, c.done.Load(), c.failed.Load(), c.retried.Load(), c.running.Load(), time.Duration(c.busy.Load())})
	}
	return out
}
