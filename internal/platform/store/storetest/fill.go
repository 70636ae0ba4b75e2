package storetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// Fill puts n rows, at least 3, into each table of an empty database that has
// not been used yet. Their values are random, exhaust the types, and keep the
// constraints as long as columns that refer to others end in "id".
func Fill(tb testing.TB, db *store.DB, n int) {
	tb.Helper()
	nullable := nullableColumns(tb)
	random := rand.New(rand.NewPCG(1, 2))
	var out bytes.Buffer
	total := 0
	for _, line := range Records(tb, db) {
		var m map[string]any
		if line[0] == '[' || json.Unmarshal([]byte(line), &m) != nil {
			continue // a row that the migrations made
		}
		name, _ := m["table"].(string)
		switch {
		case name != "":
			fmt.Fprintln(&out, line)
			for i := range n {
				fmt.Fprintln(&out, randomRow(random, name, m["columns"].([]any), nullable, i))
			}
			total += n
		case m["end"] != nil:
			fmt.Fprintf(&out, "{\"end\":%q,\"rows\":%d}\n", m["end"], n)
		case m["done"] != nil:
			fmt.Fprintf(&out, "{\"done\":true,\"rows\":%d}\n", total)
		default:
			fmt.Fprintln(&out, line)
		}
	}
	if _, err := db.Load(tb.Context(), &out, nil); err != nil {
		tb.Fatalf("fill: %v", err)
	}
}

// Records are the lines of a dump of db.
func Records(tb testing.TB, db *store.DB) []string {
	tb.Helper()
	var b bytes.Buffer
	if _, err := db.Dump(tb.Context(), &b); err != nil {
		tb.Fatalf("dump: %v", err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// Same fails the test unless two databases hold the same rows.
func Same(tb testing.TB, a, b *store.DB) {
	tb.Helper()
	x, y := Records(tb, a)[1:], Records(tb, b)[1:]
	slices.Sort(x)
	slices.Sort(y)
	if !slices.Equal(x, y) {
		for i := range min(len(x), len(y)) {
			if x[i] != y[i] {
				tb.Fatalf("the databases differ:\n%.300s\n%.300s", x[i], y[i])
			}
		}
		tb.Fatalf("the databases have %d and %d records", len(x), len(y))
	}
}

// nullableColumns asks SQLite, where the question is short.
func nullableColumns(tb testing.TB) map[string]bool {
	tb.Helper()
	db := Open(tb, SQLite(tb))
	rows, err := db.View(tb.Context()).Query(`SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND c."notnull" = 0 AND c.pk = 0`)
	names, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func randomRow(r *rand.Rand, table string, columns []any, nullable map[string]bool, i int) string {
	var row []any
	for _, c := range columns {
		name, kind := c.([]any)[0].(string), c.([]any)[1].(string)
		if nullable[table+"."+name] && i%3 == 1 {
			row = append(row, nil)
			continue
		}
		row = append(row, randomValue(r, name, kind, i))
	}
	b, _ := json.Marshal(row) // nothing in it cannot be encoded
	return string(b)
}

// randomValue differs from row to row, so that no unique index minds.
func randomValue(r *rand.Rand, name, kind string, i int) any {
	switch kind {
	case "bigint":
		return []int64{math.MaxInt64 - int64(i), math.MinInt64 + int64(i), int64(i)}[i%3]
	case "boolean":
		return r.IntN(2) == 1
	case "bytea":
		b := make([]byte, r.IntN(300))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		return base64.StdEncoding.EncodeToString(append(b, fmt.Sprint(i)...))
	}
	if strings.HasSuffix(name, "id") {
		return fmt.Sprintf("id-%d", i)
	}
	letters := []rune("aZ0 \t\n\"\\'<>&;\u0001\u007f\u00e5\u2028\U0001f58b")
	text := make([]rune, r.IntN(40))
	for j := range text {
		text[j] = letters[r.IntN(len(letters))]
	}
	return string(text) + fmt.Sprint(i)
}
