package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// Dump returns every row of every table as text, bytes as they are, by table.
// Tests look for secrets in it.
func Dump(tb testing.TB, db *store.DB) map[string]string {
	tb.Helper()
	q := db.View(context.Background())
	names := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if db.Engine() == store.Postgres {
		names = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	rows, err := q.Query(names)
	tables, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]string{}
	for _, table := range tables {
		out[table] = dumpTable(tb, q, table)
	}
	return out
}

func dumpTable(tb testing.TB, q store.View, table string) string {
	tb.Helper()
	rows, err := q.Query(`SELECT * FROM ` + table)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			tb.Fatal(err)
		}
		for i, v := range values {
			if bytes, ok := v.([]byte); ok {
				v = string(bytes)
			}
			fmt.Fprintf(&b, "%s=%v ", columns[i], v)
		}
		b.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}
