package store

import (
	"context"
	"database/sql"
	"io"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A DumpReport says what a dump holds.
type DumpReport struct {
	Schema int64            // number of the last migration
	Engine Engine           // that it was taken from
	Rows   map[string]int64 // by table
}

// Total is the number of rows in all tables.
func (r DumpReport) Total() (n int64) {
	for _, rows := range r.Rows {
		n += rows
	}
	return n
}

// Dump writes all rows of all tables as of one moment, in a form that [DB.Load]
// brings into either engine. Others may write meanwhile; on SQLite the
// write-ahead log grows until the dump ends. Memory does not grow with the
// number of rows. A database that was never migrated gives Conflict
// ("dump.empty"); an error of w is returned as it is.
//
// The form is one JSON value to a line. Objects begin and end the dump and each
// table; arrays are rows, whose values stand in the order of the table's
// columns: text and bytea (base64) are strings, bigint is a number with all its
// digits, boolean is true or false. Text that is not UTF-8, which SQLite can
// hold, is an object with its bytes.
//
//	{"dump":1,"schema":13,"engine":"sqlite"}
//	{"table":"settings","columns":[["name","text"],["value","text"]]}
//	["audit.key","soft:key-1"]
//	{"end":"settings","rows":1}
//	{"done":true,"rows":1}
func (db *DB) Dump(ctx context.Context, w io.Writer) (DumpReport, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.engine == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := db.read.BeginTx(ctx, opts)
	if err != nil {
		return DumpReport{}, wrap(err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	// On either engine the first statement fixes the moment.
	schema, err := schemaOf(ctx, tx, db.engine)
	if err != nil {
		return DumpReport{}, err
	}
	if schema == 0 {
		return DumpReport{}, fault.Conflictf("dump.empty", "The database is empty: there is nothing to back up.")
	}
	tables, err := catalogue(ctx, tx, db.engine)
	if err != nil {
		return DumpReport{}, err
	}
	d := &dumper{w: w, report: DumpReport{Schema: schema, Engine: db.engine, Rows: map[string]int64{}}}
	err = d.run(ctx, tx, tables)
	return d.report, err
}

// A dumper writes the records of a dump.
type dumper struct {
	w      io.Writer
	buf    []byte
	report DumpReport
}

// dumpBuffer is how many bytes are collected before they are written.
const dumpBuffer = 64 << 10

func (d *dumper) run(ctx context.Context, q asker, tables []table) error {
	if err := d.mark(mark{Dump: dumpFormat, Schema: d.report.Schema, Engine: d.report.Engine}); err != nil {
		return err
	}
	for _, t := range tables {
		if err := d.table(ctx, q, t); err != nil {
			return fault.Wrap(err, "dump table "+t.name)
		}
	}
	if err := d.mark(mark{Done: true, Rows: d.report.Total()}); err != nil {
		return err
	}
	return d.flush()
}

func (d *dumper) table(ctx context.Context, q asker, t table) error {
	if err := d.mark(mark{Table: t.name, Columns: t.marks()}); err != nil {
		return err
	}
	n := int64(0)
	err := eachRow(ctx, q, t, `SELECT `+t.list()+` FROM `+quoted(t.name), func(line []byte) error {
		n++
		return d.line(line)
	})
	if err != nil {
		return err
	}
	d.report.Rows[t.name] = n
	return d.mark(mark{End: t.name, Rows: n})
}

// eachRow runs fn on the record of every row of a query; the record is valid
// until fn returns.
func eachRow(ctx context.Context, q asker, t table, query string, fn func(line []byte) error) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return wrap(err)
	}
	defer rows.Close()
	values, into := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range values {
		into[i] = &values[i]
	}
	var line []byte
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return wrap(err)
		}
		if line, err = appendRow(line[:0], t, values); err != nil {
			return err
		}
		if err := fn(line); err != nil {
			return err
		}
	}
	return wrap(rows.Err())
}

func (d *dumper) mark(m mark) error { return d.line(m.encode()) }

func (d *dumper) line(b []byte) error {
	if len(b) > maxRecord {
		return fault.New(fault.Internal, "dump.size", "A row of %d bytes is larger than a dump can hold (%d).", len(b), maxRecord)
	}
	d.buf = append(append(d.buf, b...), '\n')
	if len(d.buf) < dumpBuffer {
		return nil
	}
	return d.flush()
}

func (d *dumper) flush() error {
	_, err := d.w.Write(d.buf)
	d.buf = d.buf[:0]
	return err
}
