package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Update runs fn in a transaction and commits when it returns nil; after that,
// what fn wrote survives a crash. When Update returns an error, nothing was
// written, with one exception: a fault with the code "store.unknown" says that
// the connection broke during the commit and the outcome must be looked up.
//
// fn may run more than once (PostgreSQL can ask for a transaction to be
// repeated), so it must not change anything but the database and variables that
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
func (w *writer) commit(group []*unit) []*unit {
	background := context.Background()
	_, err := w.exec(background, "BEGIN IMMEDIATE", nil)
	if err == nil {
		group = w.runAll(group)
		// From here on, a crash leaves either the whole group or nothing of it.
		if _, err = w.exec(background, "COMMIT", nil); err != nil {
			_, _ = w.exec(background, "ROLLBACK", nil) // after a failed COMMIT there may be no transaction left
		}
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

func (w *writer) runAll(group []*unit) []*unit {
	start := time.Now()
	w.run(group[0])
	for len(group) < groupSize && time.Since(start) < groupTime {
		select {
		case u := <-w.queue:
			group = append(group, u)
			w.run(u)
			continue
		default:
		}
		break
	}
	return group
}

// run gives a unit its own savepoint, so that its failure costs the others nothing.
func (w *writer) run(u *unit) {
	background := context.Background()
	if _, u.err = w.exec(background, "SAVEPOINT u", nil); u.err != nil {
		u.err = wrap(u.err)
		return
	}
	// A statement that is interrupted would take the whole group with it.
	u.tx = Tx{ctx: context.WithoutCancel(u.ctx), engine: SQLite, run: w}
	u.err = protect(u.fn, &u.tx)
	end := "RELEASE u"
	if u.err != nil {
		end = "ROLLBACK TO u"
	}
	if _, err := w.exec(background, end, nil); err != nil && u.err == nil {
		u.err = wrap(err)
	}
	if end != "RELEASE u" {
		_, _ = w.exec(background, "RELEASE u", nil) // fails only with the transaction, which the COMMIT will tell
	}
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
