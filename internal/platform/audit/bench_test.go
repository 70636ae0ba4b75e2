package audit_test

import (
	"context"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func eachEngine(b *testing.B, fn func(b *testing.B, db *store.DB)) {
	b.Run("sqlite", func(b *testing.B) { fn(b, storetest.Open(b, storetest.SQLite(b))) })
	b.Run("postgres", func(b *testing.B) { fn(b, storetest.Open(b, storetest.Postgres(b))) })
}

var typical = audit.Entry{
	Action: "order.create", ObjectKind: "order", ObjectID: "ord-0198a1b2-0000-7000-8000-000000000001", Realm: "production",
	Client: "cli-1", Service: "demo", Detail: map[string]string{"product": "pma-0198a1b2", "recipient": "per-0198a1b2"},
}

// BenchmarkAppend is an entry in a transaction that is already open, 100 to each.
func BenchmarkAppend(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		l, _ := newLog(db)
		ctx := audit.WithOrigin(b.Context(), alice)
		n := 0
		for b.Loop() {
			if err := appendMany(ctx, db, l, 100); err != nil {
				b.Fatal(err)
			}
			n += 100
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkSequence is full batches, without the writing of the entries.
func BenchmarkSequence(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		l, _ := newLog(db)
		n := 0
		for b.Loop() {
			b.StopTimer()
			if err := appendMany(b.Context(), db, l, audit.Batch); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			done, err := l.Sequence(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += done
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkVerify recomputes a log of 20,000 entries.
func BenchmarkVerify(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		l, _ := newLog(db)
		const size = 20_000
		if err := appendMany(b.Context(), db, l, size); err != nil {
			b.Fatal(err)
		}
		sequence(b, l, size)
		n := 0
		for b.Loop() {
			if r := verify(b, l); !r.OK() {
				b.Fatal(r)
			}
			n += size
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
}

func appendMany(ctx context.Context, db *store.DB, l *audit.Log, n int) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		for range n {
			if err := l.Append(tx, typical); err != nil {
				return err
			}
		}
		return nil
	})
}
