package store

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Load brings a dump into an empty database, in one transaction: when it
// returns an error, the database is as empty as before and Load can be repeated.
// Before the transaction, the schema is brought to that of the dump. Before the
// commit, once the whole of r was read, confirm is asked, unless it is nil;
// its error undoes the load and is returned. The next Migrate brings the schema
// up to date.
//
// Empty is what holds no rows but those that the migrations put there. Another
// database gives Conflict ("load.not_empty"), and so does an empty one whose
// schema is newer than the dump's ("load.schema"). A dump of a newer version of
// the program gives Invalid ("load.newer"), a damaged one "dump.damaged"; an
// error of r is returned as it is. Call it before the first Update.
func (db *DB) Load(ctx context.Context, r io.Reader, confirm func(DumpReport) error) (DumpReport, error) {
	in := newDumpReader(r)
	if err := in.begin(); err != nil {
		return DumpReport{}, err
	}
	if err := db.migrateTo(ctx, in.report.Schema); err != nil {
		return DumpReport{}, err
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return DumpReport{}, wrap(err)
	}
	defer func() { _ = tx.Rollback() }() // after the commit there is nothing left to undo
	l := &loader{ctx: ctx, tx: tx}
	if err := l.begin(db.engine, in.report.Schema); err != nil {
		return DumpReport{}, err
	}
	if err := in.run(l); err != nil {
		return DumpReport{}, err
	}
	if err := l.complete(); err != nil {
		return DumpReport{}, err
	}
	if confirm != nil {
		if err := confirm(in.report); err != nil {
			return DumpReport{}, err
		}
	}
	return in.report, wrap(tx.Commit())
}

// NewestSchema is the number of the last migration that this program knows.
func NewestSchema() int64 {
	entries, _ := migrations.ReadDir("migrations") // embedded
	newest := int64(0)
	for _, e := range entries {
		if n, err := goose.NumericComponent(e.Name()); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// Schema is the number of the last migration of the database, 0 if there was none.
func (db *DB) Schema(ctx context.Context) (int64, error) { return schemaOf(ctx, db.read, db.engine) }

// CheckEmpty gives the fault that [DB.Load] would give if the database is not empty.
func (db *DB) CheckEmpty(ctx context.Context) error {
	schema, err := db.Schema(ctx)
	if err != nil {
		return err
	}
	return checkEmpty(ctx, db.read, db.engine, schema)
}

// checkEmpty compares the rows with those that a new database has.
func checkEmpty(ctx context.Context, q asker, engine Engine, schema int64) error {
	tables, err := catalogue(ctx, q, engine)
	if err != nil {
		return err
	}
	if schema == 0 && len(tables) > 0 {
		return notEmpty(tables[0].name)
	}
	founding, err := foundingRows(ctx, schema)
	if err != nil {
		return fault.Wrap(err, "make a new database to compare with")
	}
	for _, t := range tables {
		query := `SELECT ` + t.list() + ` FROM ` + quoted(t.name) + ` LIMIT ` + strconv.Itoa(len(founding)+1)
		err := eachRow(ctx, q, t, query, func(line []byte) error {
			if !founding[t.name+string(line)] {
				return notEmpty(t.name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func notEmpty(table string) error {
	return fault.Conflictf("load.not_empty", "The database is not empty: there is something in table %s.", table).WithNext("Restore into a new, empty database.")
}

// foundingRows are the records that the migrations themselves make, each
// behind the name of its table. A new database in memory tells.
func foundingRows(ctx context.Context, schema int64) (map[string]bool, error) {
	pool, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1) // each connection would have a memory of its own
	fresh := &DB{engine: SQLite, read: pool, write: pool}
	if err := fresh.upTo(ctx, schema); err != nil {
		return nil, err
	}
	tables, err := catalogue(ctx, pool, SQLite)
	if err != nil {
		return nil, err
	}
	rows := map[string]bool{}
	for _, t := range tables {
		err := eachRow(ctx, pool, t, `SELECT `+t.list()+` FROM `+quoted(t.name), func(line []byte) error {
			rows[t.name+string(line)] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// migrateTo brings an empty database to the schema of a dump.
func (db *DB) migrateTo(ctx context.Context, schema int64) error {
	if newest := NewestSchema(); schema > newest {
		return fault.Invalidf("load.newer", "The dump has schema %d, but this version of Sealwright knows schemas up to %d.", schema, newest).WithNext("Install the version that made it, or a later one.")
	}
	if err := db.CheckEmpty(ctx); err != nil {
		return err
	}
	if err := db.upTo(ctx, schema); err != nil {
		return err
	}
	have, err := db.Schema(ctx)
	if err == nil && have != schema {
		return fault.Conflictf("load.schema", "The database has schema %d, but the dump has schema %d.", have, schema).WithNext("Restore into a new database without any tables.")
	}
	return err
}

func (db *DB) upTo(ctx context.Context, schema int64) error {
	if schema == 0 {
		return nil
	}
	p, unlock, err := db.migrator(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = p.UpTo(ctx, schema)
	return fault.Wrap(err, "migrate")
}

// migrationLock is the lock that the migrator of PostgreSQL takes.
const migrationLock = 0x5ea1

// A batch is one INSERT: at most so many rows, values and bytes.
const (
	batchRows   = 100
	batchValues = 8000 // PostgreSQL takes 65,535, SQLite 32,766
	batchBytes  = 1 << 20
)

// A loader inserts the rows of a dump.
type loader struct {
	ctx    context.Context
	tx     *sql.Tx
	wanted []table // not loaded yet

	current table
	limit   int       // rows in a full batch
	full    *sql.Stmt // inserts a full batch
	values  []any     // of the rows that wait
	rows    int
	bytes   int
	done    int64 // rows of the current table that are in
}

// begin makes room: what a new database has came with the migrations and is in
// the dump too.
func (l *loader) begin(engine Engine, schema int64) (err error) {
	if engine == Postgres {
		// Another load, or a server that starts, waits here.
		if _, err := l.tx.ExecContext(l.ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
			return wrap(err)
		}
	}
	if err := checkEmpty(l.ctx, l.tx, engine, schema); err != nil {
		return err
	}
	if l.wanted, err = catalogue(l.ctx, l.tx, engine); err != nil {
		return err
	}
	for _, t := range slices.Backward(l.wanted) {
		if _, err := l.tx.ExecContext(l.ctx, `DELETE FROM `+quoted(t.name)); err != nil {
			return wrap(err)
		}
	}
	return nil
}

// complete makes sure that the dump held every table.
func (l *loader) complete() error {
	if len(l.wanted) > 0 {
		return fault.Invalidf("dump.tables", "The dump lacks the table %s.", l.wanted[0].name)
	}
	return nil
}

func (l *loader) table(t table) error {
	i := slices.IndexFunc(l.wanted, func(w table) bool { return w.name == t.name && sameColumns(w, t) })
	if i < 0 {
		return fault.Invalidf("dump.tables", "The dump holds a table %s that this database has not, or has otherwise.", t.name)
	}
	l.wanted = slices.Delete(l.wanted, i, i+1)
	l.current, l.done = t, 0
	l.limit = max(1, min(batchRows, batchValues/len(t.columns)))
	var err error
	l.full, err = l.tx.PrepareContext(l.ctx, insertion(t, l.limit))
	return wrap(err)
}

// sameColumns allows another order: a column that was added later stands last
// in a database that was migrated.
func sameColumns(a, b table) bool {
	return len(a.columns) > 0 && len(a.columns) == len(b.columns) &&
		!slices.ContainsFunc(a.columns, func(c column) bool { return !slices.Contains(b.columns, c) })
}

// insertion is the statement that inserts n rows.
func insertion(t table, n int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO ` + quoted(t.name) + ` (` + t.list() + `) VALUES `)
	for i := range n * len(t.columns) {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%len(t.columns) == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

func (l *loader) row(values []any) error {
	l.values = append(l.values, values...)
	l.rows++
	for _, v := range values {
		switch v := v.(type) {
		case string:
			l.bytes += len(v)
		case []byte:
			l.bytes += len(v)
		}
	}
	if l.rows < l.limit && l.bytes < batchBytes {
		return nil
	}
	return l.flush()
}

func (l *loader) end() error { return errors.Join(l.flush(), l.full.Close()) }

func (l *loader) flush() (err error) {
	switch l.rows {
	case 0:
		return nil
	case l.limit:
		_, err = l.full.ExecContext(l.ctx, l.values...)
	default:
		_, err = l.tx.ExecContext(l.ctx, insertion(l.current, l.rows), l.values...)
	}
	first := l.done + 1
	l.done += int64(l.rows)
	clear(l.values)
	l.values, l.rows, l.bytes = l.values[:0], 0, 0
	err = wrap(err)
	if err == nil || l.ctx.Err() != nil || errors.Is(err, fault.Unavailable) {
		return err
	}
	return fault.Invalidf("load.row", "One of the rows %d to %d of table %s cannot be stored in this database.", first, l.done, l.current.name).WithCause(err)
}
