package transparency_test

import (
	"sync/atomic"
	"testing"

	"github.com/sealwright/sealwright/internal/transparency"
)

// BenchmarkSubmit is pre-certificates with two SCTs from two local logs in one
// SQLite database, through TLS: each costs two durable entries.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name    string
		callers int
	}{{"one at a time", 0}, {"16 callers", 8}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, "a1", "b1")
			w.options.After = nil
			w.renew(b)
			requests := make([]transparency.Request, b.N)
			for i := range requests {
				requests[i] = w.request(b)
			}
			b.ResetTimer()
			if c.callers == 0 {
				for _, r := range requests {
					if _, err := w.Submit(b.Context(), r); err != nil {
						b.Fatal(err)
					}
				}
			} else {
				var next atomic.Int64
				b.SetParallelism(c.callers)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := w.Submit(b.Context(), requests[next.Add(1)-1]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
		})
	}
}
