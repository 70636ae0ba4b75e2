// Package store keeps the platform's state in SQLite or PostgreSQL through one
// set of statements.
//
// [DB.Update] runs a function in a transaction; when it returns nil, what it
// wrote is on disk before Update returns. On SQLite one goroutine owns the
// write connection and commits everything that waits in one go, so concurrent
// callers share one fsync (group commit). On PostgreSQL each Update is a
// transaction of its own and the server groups the commits.
//
// One SQL text serves both engines: parameters are $1, $2, …; types are TEXT,
// BIGINT, BOOLEAN and BYTEA; times are Unix microseconds ([Micros], [Time]);
// structured values are JSON in TEXT. A statement that violates a constraint
// ends the transaction on PostgreSQL: ask with ON CONFLICT DO NOTHING and look
// at the number of rows instead of trying and catching [ErrExists].
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the engine behind sqlite: addresses

	"github.com/sealwright/sealwright/internal/platform/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// An Engine names the database behind a [DB].
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	engine  Engine
	read    *sql.DB
	write   *sql.DB // on PostgreSQL the same pool as read
	writer  *writer // SQLite only
	prepare statements

	interposed atomic.Pointer[func(update func() error) error]
}

// Open opens "sqlite:PATH" or "postgres://…" and brings the schema up to date.
func Open(ctx context.Context, address string) (*DB, error) {
	db, err := Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	if _, err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Connect opens a database without touching its schema.
func Connect(ctx context.Context, address string) (*DB, error) {
	// A path is taken as it is: as part of a URL it would end at a "#".
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return connectSQLite(ctx, path)
	}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		return connectPostgres(ctx, address)
	}
	return nil, fault.Invalidf("database.scheme", "The database address is of no known kind.").WithNext("Use sqlite:PATH or postgres://…")
}

// redactURL drops the address, which may hold a password, from a parse error.
func redactURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func connectSQLite(ctx context.Context, path string) (*DB, error) {
	const pragmas = "?_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_pragma=temp_store(2)&_pragma=wal_autocheckpoint(4000)"
	dsn := "file:" + strings.NewReplacer("?", "%3f", "#", "%23").Replace(path) + pragmas
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, os.ErrNotExist) {
		return nil, fault.NotFoundf("database.directory", "The directory %s of the database does not exist.", filepath.Dir(path)).WithNext("Make a new installation with: sealwright init")
	}
	db := &DB{engine: SQLite}
	var err error
	if db.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate&_pragma=cache_size(-32768)"); err != nil {
		return nil, err
	}
	db.write.SetMaxOpenConns(1)
	if err := db.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, wrap(err)), db.write.Close())
	}
	if db.read, err = sql.Open("sqlite", dsn+"&mode=ro&_pragma=query_only(1)&_pragma=cache_size(-4096)"); err != nil {
		return nil, errors.Join(err, db.write.Close())
	}
	// A reader that waits for the disk must not hold up the others; each costs its
	// page cache of 4 MB at most.
	n := max(16, 4*runtime.GOMAXPROCS(0))
	db.read.SetMaxOpenConns(n)
	db.read.SetMaxIdleConns(n)
	return db, nil
}

func connectPostgres(ctx context.Context, address string) (*DB, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fault.Invalidf("database.address", "The PostgreSQL address cannot be read.").WithCause(redactURL(err))
	}
	cfg.ConnectTimeout = 5 * time.Second
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(32)
	pool.SetMaxIdleConns(32)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(wrap(err), pool.Close())
	}
	return &DB{engine: Postgres, read: pool, write: pool}, nil
}

// Engine tells which database is behind db.
func (db *DB) Engine() Engine { return db.engine }

// Migrate brings the schema up to date and returns how many steps it took.
// Several nodes may call it at once: on PostgreSQL a session lock orders them.
func (db *DB) Migrate(ctx context.Context) (int, error) {
	p, unlock, err := db.migrator(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate: %w", err)
	}
	return len(done), nil
}

// Pending counts the migrations that have not been applied.
func (db *DB) Pending(ctx context.Context) (int, error) {
	p, unlock, err := db.migrator(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	states, err := p.Status(ctx)
	n := 0
	for _, s := range states {
		if s.State == goose.StatePending {
			n++
		}
	}
	return n, err
}

func (db *DB) migrator(ctx context.Context) (*goose.Provider, func(), error) {
	if db.writer != nil {
		return nil, nil, errors.New("migrate before the first update")
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, nil, err
	}
	dialect, unlock := goose.DialectSQLite3, func() {}
	if db.engine == Postgres {
		dialect = goose.DialectPostgres
		conn, err := db.write.Conn(ctx)
		if err != nil {
			return nil, nil, wrap(err)
		}
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
			return nil, nil, errors.Join(wrap(err), conn.Close())
		}
		unlock = func() {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock) // closing the session frees it too
			_ = conn.Close()
		}
	}
	p, err := goose.NewProvider(dialect, db.write, dir, goose.WithVerbose(false))
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return p, unlock, nil
}

// Ping asks the database whether it answers.
func (db *DB) Ping(ctx context.Context) error { return wrap(db.read.PingContext(ctx)) }

// Close waits for the updates under way and closes the database.
func (db *DB) Close() error {
	startWriter.Lock()
	w := db.writer
	startWriter.Unlock()
	if w != nil {
		w.stop()
	}
	db.prepare.close()
	if db.read == db.write {
		return db.read.Close()
	}
	return errors.Join(db.read.Close(), db.write.Close())
}

// startWriter guards the lazy start of a writer: migrations need the one write
// connection first.
var startWriter sync.Mutex

// Micros is t as the store keeps it; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of [Micros].
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
