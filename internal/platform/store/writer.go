package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Update runs fn in a transaction and commits when it returns nil; after that,
// what fn wrote survives a crash. When Update returns an error, nothing was
// written, with one exception: a fault with the code "store.unknown" says that
// the connection broke during the commit and the outcome must be looked up.
//
// fn may run more than once (PostgreSQL can ask for a transaction to be
// repeated, and on SQLite another caller's failure undoes the group), so it must not change anything but the database and variables that
// it sets anew each time. It must not wait for anything else: on SQLite it
// holds the only writer. A context that ends does not interrupt a running fn.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if i := db.interposed.Load(); i != nil {
		return (*i)(func() error { return db.update(ctx, fn) })
	}
	return db.update(ctx, fn)
}

// Interpose puts fn between every following Update and the database, or
// removes it when nil. Tests use it to lose a commit (fn does not call update)
// or the news of one (fn calls it and returns an error all the same).
func (db *DB) Interpose(fn func(update func() error) error) {
	if fn == nil {
		db.interposed.Store(nil)
		return
	}
	db.interposed.Store(&fn)
}

func (db *DB) update(ctx context.Context, fn func(tx *Tx) error) error {
	if db.engine == Postgres {
		return db.updatePostgres(ctx, fn)
	}
	w, err := db.sqliteWriter()
	if err != nil {
		return err
	}
	return w.submit(ctx, fn)
}

func (db *DB) sqliteWriter() (*writer, error) {
	startWriter.Lock()
	defer startWriter.Unlock()
	if db.writer == nil {
		conn, err := db.write.Conn(context.Background())
		if err != nil {
			return nil, wrap(err)
		}
		db.writer = newWriter(conn)
		go db.writer.loop()
	}
	return db.writer, nil
}

// Limits of a group: enough to share an fsync well, small enough that the last
// one in a group does not wait noticeably.
const (
	groupSize = 256
	groupTime = 20 * time.Millisecond
)

type unit struct {
	ctx  context.Context
	fn   func(tx *Tx) error
	tx   Tx
	err  error
	done chan struct{}
}

// writer owns the only write connection of a SQLite database.
type writer struct {
	conn    *sql.Conn
	queue   chan *unit
	quit    chan struct{}
	stopped chan struct{}
	cache   map[string]*sql.Stmt
	last    int // size of the latest group
	commits atomic.Int64
}

func newWriter(conn *sql.Conn) *writer {
	return &writer{conn: conn, queue: make(chan *unit, 4*groupSize), quit: make(chan struct{}), stopped: make(chan struct{}), cache: map[string]*sql.Stmt{}}
}

func (w *writer) submit(ctx context.Context, fn func(tx *Tx) error) error {
	u := &unit{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case w.queue <- u:
	case <-w.quit:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-u.done:
		return u.err
	case <-w.stopped:
		// The loop answers everything that it took; what it did not take is closed.
		select {
		case <-u.done:
			return u.err
		default:
			return errClosed()
		}
	}
}

func errClosed() error {
	return fault.Unavailablef(nil, "store.closed", "The server is shutting down.")
}

func (w *writer) stop() {
	close(w.quit)
	<-w.stopped
}

func (w *writer) loop() {
	defer close(w.stopped)
	group := make([]*unit, 0, groupSize)
	for {
		select {
		case u := <-w.queue:
			group = w.commit(append(group[:0], u))
		case <-w.quit:
			for _, s := range w.cache {
				_ = s.Close() // the connection goes too
			}
			_ = w.conn.Close()
			return
		}
		clear(group)
	}
}

// commit runs the first unit and whatever else waits, and commits them together.
// Nearly always every unit succeeds, so at first they share one transaction
// without savepoints, which would have SQLite copy each page that a unit
// touches. When one fails, all are undone and run again, each in a savepoint.
func (w *writer) commit(group []*unit) []*unit {
	group, err := w.attempt(group)
	if err == nil && failed(group) && len(group) > 1 {
		err = w.repeat(group)
	}
	err = wrap(err)
	for _, u := range group {
		if u.err == nil {
			u.err = err
		}
		if u.err == nil {
			for _, f := range u.tx.after {
				f()
			}
		}
		close(u.done)
	}
	return group
}

func failed(group []*unit) bool {
	return slices.ContainsFunc(group, func(u *unit) bool { return u.err != nil })
}

// attempt runs units until one fails, nothing more waits or the group is full,
// and commits if none failed.
func (w *writer) attempt(group []*unit) ([]*unit, error) {
	background := context.Background()
	if _, err := w.exec(background, "BEGIN IMMEDIATE", nil); err != nil {
		return group, err
	}
	start := time.Now()
	w.run(group[0])
	for group[len(group)-1].err == nil && len(group) < groupSize && time.Since(start) < groupTime {
		u := w.next(start)
		if u == nil {
			break
		}
		group = append(group, u)
		w.run(u)
	}
	w.last = len(group)
	if failed(group) {
		w.rollback()
		return group, nil
	}
	// From here on, a crash leaves either the whole group or nothing of it.
	return group, w.end()
}

// patience is how long a group stays open for callers that are about to come:
// about what writing its pages costs, which they then share.
const patience = 400 * time.Microsecond

// next gives the next waiting unit, or nil. After a group of several, others
// are likely on their way, so it waits a moment; a lone caller never waits.
func (w *writer) next(start time.Time) *unit {
	select {
	case u := <-w.queue:
		return u
	default:
	}
	left := patience - time.Since(start)
	if w.last < 2 || left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case u := <-w.queue:
		return u
	case <-timer.C:
		return nil
	}
}

// repeat runs a group again so that the failure of one costs the others nothing.
func (w *writer) repeat(group []*unit) error {
	background := context.Background()
	if _, err := w.exec(background, "BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	for _, u := range group {
		if _, err := w.exec(background, "SAVEPOINT u", nil); err != nil {
			u.err = wrap(err)
			continue
		}
		w.run(u)
		if u.err != nil {
			_, _ = w.exec(background, "ROLLBACK TO u", nil) // fails only with the transaction, which the COMMIT will tell
		}
		if _, err := w.exec(background, "RELEASE u", nil); err != nil && u.err == nil {
			u.err = wrap(err)
		}
	}
	return w.end()
}

func (w *writer) end() error {
	_, err := w.exec(context.Background(), "COMMIT", nil)
	if err != nil {
		w.rollback()
	}
	w.commits.Add(1)
	return err
}

func (w *writer) rollback() {
	_, _ = w.exec(context.Background(), "ROLLBACK", nil) // there may be no transaction left
}

// run calls a unit's function. A statement that is interrupted would take the
// whole group with it, so the caller's context does not reach it.
func (w *writer) run(u *unit) {
	u.tx = Tx{ctx: context.WithoutCancel(u.ctx), engine: SQLite, run: w}
	u.err = protect(u.fn, &u.tx)
}

// protect turns a panic into an error: one caller's defect must not end the
// writer that all others share.
func protect(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx)
}

func (w *writer) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.cache[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, query)
	if err == nil && len(w.cache) < cachedStatements {
		w.cache[query] = s
	}
	return s, err
}

func (w *writer) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	s, err := w.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (w *writer) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	s, err := w.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// pgTx runs statements in a PostgreSQL transaction; the driver caches them.
type pgTx struct{ tx *sql.Tx }

func (p pgTx) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	return p.tx.ExecContext(ctx, query, args...)
}

func (p pgTx) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	return p.tx.QueryContext(ctx, query, args...)
}

// How long an Update waits for a PostgreSQL server that does not answer, and
// how often it repeats a transaction that lost a race.
const (
	beginPatience = 3 * time.Second
	raceRetries   = 5
)

func (db *DB) updatePostgres(ctx context.Context, fn func(*Tx) error) error {
	// A caller that goes away must not leave a commit half answered.
	run := context.WithoutCancel(ctx)
	for try := 0; ; try++ {
		err := db.tryPostgres(ctx, run, fn)
		if try < raceRetries && isRace(err) {
			continue
		}
		return err
	}
}

func (db *DB) tryPostgres(ctx, run context.Context, fn func(*Tx) error) error {
	sqlTx, err := db.beginPostgres(ctx, run)
	if err != nil {
		return err
	}
	tx := &Tx{ctx: run, engine: Postgres, run: pgTx{sqlTx}}
	if err := protect(fn, tx); err != nil {
		_ = sqlTx.Rollback() // a broken connection rolls back by itself
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		if w := wrap(err); errors.Is(w, fault.Unavailable) {
			return fault.Unavailablef(err, "store.unknown", "The database went away while the change was being saved.").WithNext("Look at the object before repeating the request.")
		}
		return wrap(err)
	}
	for _, f := range tx.after {
		f()
	}
	return nil
}

func (db *DB) beginPostgres(ctx, run context.Context) (*sql.Tx, error) {
	deadline := time.Now().Add(beginPatience)
	for {
		tx, err := db.write.BeginTx(run, nil)
		if err == nil || !errors.Is(wrap(err), fault.Unavailable) || time.Now().After(deadline) {
			return tx, wrap(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Commits counts the commits since the database was opened, of which each cost
// one fsync. On PostgreSQL, where the server does both, it is 0.
func (db *DB) Commits() int64 {
	startWriter.Lock()
	defer startWriter.Unlock()
	if db.writer == nil {
		return 0
	}
	return db.writer.commits.Load()
}

// Raw runs one statement outside any transaction, for administration such as
// VACUUM INTO or CREATE DATABASE.
func (db *DB) Raw(ctx context.Context, query string, args ...any) error {
	pool := db.read
	if db.engine == Postgres {
		pool = db.write
	}
	_, err := pool.ExecContext(ctx, query, args...)
	return wrap(err)
}
