package ctlog_test

import (
	"sync/atomic"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func eachEngine(b *testing.B, fn func(b *testing.B, db *store.DB)) {
	b.Run("sqlite", func(b *testing.B) { fn(b, storetest.Open(b, storetest.SQLite(b))) })
	b.Run("postgres", func(b *testing.B) { fn(b, storetest.Open(b, storetest.Postgres(b))) })
}

// stock is pre-certificates that are made before the time is taken.
func stock(b *testing.B, w *world, n int) [][][]byte {
	b.Helper()
	out := make([][][]byte, n)
	for i := range out {
		out[i] = append([][]byte{w.precert(b)}, w.ca.Chain()...)
	}
	return out
}

// BenchmarkAddPreChain is durable SCTs handed out to 32 callers at once.
func BenchmarkAddPreChain(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		w := newWorld(b, db)
		chains := stock(b, w, b.N)
		var next atomic.Int64
		b.SetParallelism(16)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := w.log.AddPreChain(b.Context(), chains[next.Add(1)-1]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "SCTs/s")
	})
}

// BenchmarkSequence is entries given their place, without their submission.
func BenchmarkSequence(b *testing.B) {
	eachEngine(b, func(b *testing.B, db *store.DB) {
		w := newWorld(b, db)
		n := 0
		for b.Loop() {
			b.StopTimer()
			w.submit(b, 256)
			b.StartTimer()
			done, err := w.log.Sequence(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += done
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
	})
}
