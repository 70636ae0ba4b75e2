package store

import (
	"context"
	"database/sql"
)

// A Queryer reads rows: a [Tx] within its transaction, a [View] outside.
type Queryer interface {
	// Query runs a statement that returns rows; close them.
	Query(query string, args ...any) (*Rows, error)
	// QueryRow runs a statement that returns at most one row.
	QueryRow(query string, args ...any) Row
}

// A Tx is a transaction inside [DB.Update]. It is used by one goroutine and
// not kept after the function returns.
type Tx struct {
	ctx    context.Context
	engine Engine
	run    runner
	after  []func()
}

// runner is what a database/sql connection or transaction can do for a Tx.
type runner interface {
	exec(ctx context.Context, query string, args []any) (sql.Result, error)
	query(ctx context.Context, query string, args []any) (*sql.Rows, error)
}

// Context is the context of the Update, for calls that need one.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	res, err := tx.run.exec(tx.ctx, query, args)
	if err != nil {
		return 0, wrap(err)
	}
	return res.RowsAffected()
}

// Query implements [Queryer].
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	rows, err := tx.run.query(tx.ctx, query, args)
	if err != nil {
		return nil, wrap(err)
	}
	return &Rows{rows}, nil
}

// QueryRow implements [Queryer].
func (tx *Tx) QueryRow(query string, args ...any) Row {
	rows, err := tx.run.query(tx.ctx, query, args)
	return Row{rows, err}
}

// AfterCommit runs fn once the transaction is durable, and never when it is
// not. fn must be quick: on SQLite other writers wait for it.
func (tx *Tx) AfterCommit(fn func()) { tx.after = append(tx.after, fn) }

// SkipLocked is appended to a SELECT that claims rows, so that two nodes on
// PostgreSQL take different ones. On SQLite there is one writer and it is empty.
func (tx *Tx) SkipLocked() string {
	if tx.engine == Postgres {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// A View reads committed state outside any transaction.
type View struct {
	ctx context.Context
	db  *DB
}

// View returns a reader whose statements end when ctx does.
func (db *DB) View(ctx context.Context) View { return View{ctx, db} }

// Query implements [Queryer].
func (v View) Query(query string, args ...any) (*Rows, error) {
	rows, err := v.db.prepare.query(v.ctx, v.db, query, args)
	if err != nil {
		return nil, wrap(err)
	}
	return &Rows{rows}, nil
}

// QueryRow implements [Queryer].
func (v View) QueryRow(query string, args ...any) Row {
	rows, err := v.db.prepare.query(v.ctx, v.db, query, args)
	return Row{rows, err}
}

// Rows are the result of a query.
type Rows struct{ rows *sql.Rows }

// Next moves to the next row.
func (r *Rows) Next() bool { return r.rows.Next() }

// Scan copies the row's columns.
func (r *Rows) Scan(dest ...any) error { return wrap(r.rows.Scan(dest...)) }

// Columns names the columns of the result.
func (r *Rows) Columns() ([]string, error) { return r.rows.Columns() }

// Err is the error that ended the iteration, if any.
func (r *Rows) Err() error { return wrap(r.rows.Err()) }

// Close releases the rows; it may be called twice.
func (r *Rows) Close() error { return r.rows.Close() }

// A Row is the result of QueryRow.
type Row struct {
	rows *sql.Rows
	err  error
}

// Scan copies the row's columns, or returns [ErrNotFound] when there is none.
func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return wrap(r.err)
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return wrap(err)
		}
		return ErrNotFound
	}
	if err := r.rows.Scan(dest...); err != nil {
		return wrap(err)
	}
	return wrap(r.rows.Close())
}

// Collect reads all rows of a query, one value each. scan copies one row.
func Collect[T any](rows *Rows, err error, scan func(*Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
