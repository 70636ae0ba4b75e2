package order_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// multiply copies an issued order until there are n, spread over a thousand
// clients and a hundred products, by statements of the database alone.
func multiply(tb testing.TB, b *bench, o *order.Order, n int) {
	tb.Helper()
	number := fmt.Sprintf(`WITH RECURSIVE k(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM k WHERE i < %d)`, n)
	id := `'ord-' || substr('00000000' || i, -8) || '-0000-7000-8000-000000000000'`
	if b.db.Engine() == store.Postgres {
		id = `'ord-' || lpad(i::text, 8, '0') || '-0000-7000-8000-000000000000'`
	}
	client := `CASE WHEN i % 4 = 0 THEN o.client ELSE 'cli-' || (i % 1000) END`
	if err := b.db.Update(context.Background(), func(tx *store.Tx) error {
		for _, statement := range []string{
			`INSERT INTO orders (id, realm, client, product, product_version, product_name, state, origin, cn, subject, authority, serial, not_before, not_after, owner, creator, creator_name, predecessor, problem, version, due, created_at, updated_at)
				` + number + ` SELECT ` + id + `, o.realm, ` + client + `, 'pma-' || (i % 100), 1, o.product_name, o.state, o.origin, 'w' || i || '.foo.example', o.subject, o.authority, '', o.not_before + i * 1000000, o.not_after + i * 1000000,
				CASE WHEN i % 5000 = 0 THEN 'Kari' ELSE '' END, o.creator, o.creator_name, '', '', 1, 0, o.created_at, o.updated_at FROM k, orders o WHERE o.id = $1`,
			`INSERT INTO order_work (id, request, jobs, evidence) ` + number + ` SELECT ` + id + `, '{}', '[]', '{"names":["w' || i || '.foo.example"]}' FROM k`,
			`INSERT INTO order_names (name, order_id, client) ` + number + ` SELECT ` + bytesOf(b.db, `'w' || i || '.foo.example'`) + `, ` + id + `, ` + client + ` FROM k, orders o WHERE o.id = $1`,
			`INSERT INTO order_names (name, order_id, client) ` + number + ` SELECT ` + bytesOf(b.db, `'foo.example'`) + `, ` + id + `, ` + client + ` FROM k, orders o WHERE o.id = $1`,
			`INSERT INTO order_tags (tag, order_id) ` + number + ` SELECT 'red', ` + id + ` FROM k WHERE i % 5000 = 1`,
		} {
			var args []any
			if strings.Contains(statement, "$1") {
				args = append(args, o.ID)
			}
			if _, err := tx.Exec(statement, args...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	if b.db.Engine() == store.Postgres {
		if err := b.db.Raw(context.Background(), `ANALYZE`); err != nil {
			tb.Fatal(err)
		}
	}
}

func bytesOf(db *store.DB, text string) string {
	if db.Engine() == store.Postgres {
		return "convert_to(" + text + ", 'UTF8')"
	}
	return "CAST(" + text + " AS BLOB)"
}

// lists are what pages and interfaces ask for, each with something that few
// orders have, nobody has, or nearly all have.
func lists(o *order.Order) map[string]order.Filter {
	return map[string]order.Filter{
		"all":                 {},
		"environment":         {Realm: access.Production},
		"empty environment":   {Realm: access.Preprod},
		"large client":        {Clients: []string{o.Client}},
		"small client":        {Clients: []string{"cli-7"}},
		"two clients":         {Clients: []string{"cli-7", "cli-9"}},
		"product":             {Products: []string{"pma-7"}},
		"unknown product":     {Products: []string{"pma-x"}},
		"issued":              {States: []order.State{order.Issued}},
		"waiting":             {States: []order.State{order.PendingAuth, order.PreValidation}},
		"owner":               {Owner: "Kari"},
		"unknown owner":       {Owner: "Ola"},
		"tag":                 {Tags: []string{"red"}},
		"unknown tag":         {Tags: []string{"green"}},
		"beginning":           {From: o.NotBefore.Add(10 * time.Second), To: o.NotBefore.Add(20 * time.Second)},
		"long beginning":      {From: o.NotBefore},
		"end":                 {EndBy: o.NotAfter.Add(20 * time.Second)},
		"id":                  {Search: o.ID},
		"serial number":       {Search: o.Serial},
		"name":                {Search: "w77.foo.example"},
		"beginning of a name": {Search: "w77"},
		"domain of all":       {Search: "*.foo.example"},
		"domain of a client":  {Search: "foo.example", Clients: []string{"cli-7"}},
		"unknown name":        {Search: "nobody"},
	}
}

// Every list and search is served by an index, on both engines: with 20,000
// orders none takes a time that reading them all would.
func TestListsAreServedByIndexes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.server(b.product("tls-server-private", ""), "www.foo.example"))
		multiply(t, b, o, 20_000)
		scan := b.took(func() { b.count(`SELECT COUNT(*) FROM orders WHERE problem = 'x' OR cn LIKE '%zzz%'`) })
		for name, f := range lists(o) {
			if took := b.took(func() { must2(b.engine.List(t.Context(), b.scope, f, store.Page{}))(t) }); took > scan {
				t.Errorf("%s: %s, when reading all orders takes %s", name, took, scan)
			}
		}
	})
}

// took is the shortest of several runs, which a busy machine disturbs least.
func (b *bench) took(fn func()) time.Duration {
	fn()
	var all []time.Duration
	for range 5 {
		start := time.Now()
		fn()
		all = append(all, time.Since(start))
	}
	return slices.Min(all)
}

// BenchmarkLists is each list and search with a million orders; p95 is of single
// calls.
func BenchmarkLists(b *testing.B) {
	bench := newBench(b, storetest.Open(b, storetest.SQLite(b)), options{})
	o := bench.create(order.Request{Client: bench.client.ID, Product: bench.product("tls-server-private", "").ID, CSR: newCSR(b, "www.foo.example")})
	multiply(b, bench, o, 1_000_000)
	all := lists(o)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range append(names, "any") {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				f, ok := all[name]
				if !ok {
					f = all[names[rand.IntN(len(names))]]
				}
				start := time.Now()
				must2(bench.engine.List(b.Context(), bench.scope, f, store.Page{}))(b)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
