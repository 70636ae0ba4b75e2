package order_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/lint"
	"github.com/sealwright/sealwright/pki/tbs"
)

// requests are made ahead: the caller's keys are not what is measured.
func requests(b *testing.B, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = newCSR(b, fmt.Sprintf("w%d.foo.example", i))
	}
	return out
}

// parallel runs fn b.N times from n callers.
func parallel(b *testing.B, n int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	before := cpuTime()
	for range n {
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > b.N {
					return
				}
				fn(i)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/cert")
}

// cpuTime is what this process has used, which a busy machine disturbs less
// than it does the clock.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRaw is what no linted certificate from a request can do without:
// parse the request and verify its proof of possession, lint twice, sign; with
// transparency, sign three times.
func BenchmarkRaw(b *testing.B) {
	for _, signatures := range []int{1, 3} {
		b.Run(fmt.Sprintf("signatures=%d", signatures), func(b *testing.B) {
			bench := newBench(b, storetest.Open(b, storetest.SQLite(b)), options{})
			all := requests(b, 64)
			c := bench.certificate(bench.create(order.Request{Client: bench.client.ID, Product: bench.product("tls-server-private", "").ID, CSR: all[0]}))
			x := must(bench.ca.Get(b.Context(), "production-general"))(b)
			issuer := must(lint.NewIssuer(x.DER))(b)
			key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(b)
			alg := must(tbs.ForKey(key.Public()))(b)
			linter := must(lint.New(lint.Private))(b)
			parallel(b, runtime.GOMAXPROCS(0), func(i int) {
				_, err := csr.Parse(all[i%len(all)])
				if err == nil {
					_, err = linter.Presign(c.RawTBSCertificate, lint.Input{Now: noon, Issuer: issuer})
				}
				for range signatures {
					if err == nil {
						_, err = tbs.Sign(c.RawTBSCertificate, alg, key)
					}
				}
				if err == nil {
					_, err = linter.Certificate(c.Raw, lint.Input{Now: noon, Issuer: issuer})
				}
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkOrder is a linted order through the whole engine: request in, durable
// certificate, order with its history, and audit entries out.
func BenchmarkOrder(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, logs := range []int{0, 2} {
			for _, callers := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("%s/logs=%d/callers=%d", engine, logs, callers), func(b *testing.B) {
					url := storetest.SQLite(b)
					if engine == "postgres" {
						url = storetest.Postgres(b)
					}
					bench := newBench(b, storetest.Open(b, url), options{logs: logs})
					rules := ""
					if logs > 0 {
						rules = withCT
					}
					p := bench.product("tls-server-private", rules)
					all := requests(b, 64)
					before := bench.db.Commits()
					parallel(b, callers, func(i int) { bench.order(p, all[i%len(all)]) })
					b.ReportMetric(float64(bench.db.Commits()-before)/float64(b.N), "fsyncs/cert")
				})
			}
		}
	}
}

func (b *bench) order(p *product.Product, request []byte) {
	o, err := b.engine.Create(context.Background(), b.scope, order.Request{Client: b.client.ID, Product: p.ID, CSR: request})
	if err != nil || o.State != order.Issued {
		b.t.Errorf("%v: %+v", err, o)
	}
}
