package timestamp_test

import (
	"crypto"
	"crypto/sha256"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/timestamp"
)

// BenchmarkStamp compares stamps, from the request's bytes to the answer's, with
// the raw signatures of the same key, in turns of a twentieth of a second and on all
// processors: stamps/s, raw/s and, in per cent, their ratio.
func BenchmarkStamp(b *testing.B) {
	for _, alg := range []keys.Algorithm{keys.RSA2048, keys.P256} {
		b.Run(string(alg), func(b *testing.B) {
			n := newSite(b).node(storetest.Open(b, storetest.SQLite(b)), nil)
			u := n.create(b, func(s *timestamp.Spec) { s.Key = alg })
			signer, err := n.vault.Signer(b.Context(), u.KeyRef)
			if err != nil {
				b.Fatal(err)
			}
			request, digest := query(b), sha256.Sum256([]byte("data"))
			raw := func() error {
				_, err := signer.Sign(nil, digest[:], crypto.SHA256)
				return err
			}
			stamp := func() error {
				_, err := n.Stamp(b.Context(), "unit", request)
				return err
			}
			var stamps, raws rate
			for b.Loop() {
				raws.run(b, raw)
				stamps.run(b, stamp)
			}
			b.ReportMetric(stamps.perSecond(), "stamps/s")
			b.ReportMetric(raws.perSecond(), "raw/s")
			b.ReportMetric(100*stamps.perSecond()/raws.perSecond(), "%")
			b.ReportMetric(0, "ns/op") // a turn, which says nothing
		})
	}
}

// A rate adds up turns.
type rate struct {
	count atomic.Int64
	took  time.Duration
}

func (r *rate) run(b *testing.B, f func() error) {
	start := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Since(start) < 50*time.Millisecond {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				r.count.Add(1)
			}
		})
	}
	wg.Wait()
	r.took += time.Since(start)
}

func (r *rate) perSecond() float64 { return float64(r.count.Load()) / r.took.Seconds() }
