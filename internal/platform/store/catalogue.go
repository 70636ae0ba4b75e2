package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A kind is one of the column types that both engines have.
type kind string

const (
	textKind    kind = "text"
	bigintKind  kind = "bigint"
	booleanKind kind = "boolean"
	byteaKind   kind = "bytea"
)

// A table is what the catalogue says of one.
type table struct {
	name    string
	columns []column
}

type column struct {
	name string
	kind kind
}

// gooseTable is the migrator's own and not part of the state.
const gooseTable = "goose_db_version"

// asker is what a connection, a transaction and a pool can do alike.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var catalogueSQL = map[Engine]struct{ migrated, columns, references string }{
	SQLite: {
		migrated: `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '` + gooseTable + `'`,
		columns: `SELECT t.name, c.name, c.type FROM sqlite_master t, pragma_table_info(t.name) c
			WHERE t.type = 'table' AND substr(t.name, 1, 7) <> 'sqlite_' AND t.name <> '` + gooseTable + `' ORDER BY t.name, c.cid`,
		references: `SELECT t.name, f."table" FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'`,
	},
	Postgres: {
		migrated: `SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = '` + gooseTable + `'`,
		columns: `SELECT t.relname, a.attname, format_type(a.atttypid, a.atttypmod)
			FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid
			WHERE t.relkind IN ('r', 'p') AND n.nspname = current_schema() AND a.attnum > 0 AND NOT a.attisdropped
			AND t.relname <> '` + gooseTable + `' ORDER BY t.relname, a.attnum`,
		references: `SELECT t.relname, f.relname
			FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace n ON n.oid = t.relnamespace
			WHERE k.contype = 'f' AND n.nspname = current_schema()`,
	},
}

// schemaOf is the number of the last migration; 0 is a database that was never migrated.
func schemaOf(ctx context.Context, q asker, engine Engine) (int64, error) {
	there, err := number(ctx, q, catalogueSQL[engine].migrated)
	if err != nil || there == 0 {
		return 0, err
	}
	return number(ctx, q, `SELECT COALESCE(MAX(version_id), 0) FROM `+gooseTable+` WHERE is_applied`)
}

func number(ctx context.Context, q asker, query string) (int64, error) {
	rows, err := q.QueryContext(ctx, query)
	var n int64
	err = Row{rows, err}.Scan(&n)
	return n, err
}

// catalogue lists the tables, those that are referred to before those that refer to them.
func catalogue(ctx context.Context, q asker, engine Engine) ([]table, error) {
	var tables []table
	err := each(ctx, q, catalogueSQL[engine].columns, 3, func(v []string) error {
		c := column{v[1], kind(strings.ToLower(v[2]))}
		if !slices.Contains([]kind{textKind, bigintKind, booleanKind, byteaKind}, c.kind) {
			return fault.New(fault.Internal, "dump.type", "Column %s of table %s has the type %s, which is not one that both engines have.", c.name, v[0], v[2])
		}
		if len(tables) == 0 || tables[len(tables)-1].name != v[0] {
			tables = append(tables, table{name: v[0]})
		}
		t := &tables[len(tables)-1]
		t.columns = append(t.columns, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	refers := map[string][]string{}
	err = each(ctx, q, catalogueSQL[engine].references, 2, func(v []string) error {
		refers[v[0]] = append(refers[v[0]], v[1])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ordered(tables, refers)
}

// ordered puts a table after all that it refers to. Rows that refer to each
// other in a circle could not be inserted on PostgreSQL, which checks a
// reference with the statement; no migration may make such tables.
func ordered(tables []table, refers map[string][]string) ([]table, error) {
	out, done := make([]table, 0, len(tables)), map[string]bool{}
	for len(out) < len(tables) {
		before := len(out)
		for _, t := range tables {
			if !done[t.name] && !slices.ContainsFunc(refers[t.name], func(to string) bool { return !done[to] }) {
				done[t.name] = true
				out = append(out, t)
			}
		}
		if len(out) == before {
			return nil, errors.New("tables refer to each other in a circle")
		}
	}
	return out, nil
}

// each runs fn on every row of a query whose columns are all text.
func each(ctx context.Context, q asker, query string, width int, fn func([]string) error) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return wrap(err)
	}
	defer rows.Close()
	values, into := make([]string, width), make([]any, width)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return wrap(err)
		}
		if err := fn(values); err != nil {
			return err
		}
	}
	return wrap(rows.Err())
}

// quoted is a name from the catalogue as it stands in a statement.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// list is the columns of t as they stand in a statement.
func (t table) list() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = quoted(c.name)
	}
	return strings.Join(names, ", ")
}
