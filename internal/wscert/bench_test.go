package wscert_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/csr"
)

// requests are made ahead: the caller's keys are not what is measured.
func requests(b *testing.B, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = newCSR(b)
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

// BenchmarkRaw is the cryptography that no certificate from a request can do
// without: parse it, verify its proof of possession, sign.
func BenchmarkRaw(b *testing.B) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(b)
	all := requests(b, 64)
	parallel(b, runtime.GOMAXPROCS(0), func(i int) {
		r, err := csr.Parse(all[i%len(all)])
		if err != nil {
			b.Error(err)
			return
		}
		digest := sha256.Sum256(r.TBS)
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkRawStandardLibrary is the same work as the standard library offers
// it: parse the request, verify it, and make a certificate from a template.
func BenchmarkRawStandardLibrary(b *testing.B) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(b)
	all := requests(b, 64)
	for i := range all {
		block, _ := pem.Decode(all[i])
		all[i] = block.Bytes
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "Issuer"}, SubjectKeyId: []byte("0123456789abcdefghij")}
	parallel(b, runtime.GOMAXPROCS(0), func(i int) {
		r, err := x509.ParseCertificateRequest(all[i%len(all)])
		if err == nil {
			err = r.CheckSignature()
		}
		if err != nil {
			b.Error(err)
			return
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i)), Subject: r.Subject, NotBefore: time.Now(), NotAfter: time.Now().AddDate(2, 0, 0),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
			OCSPServer: []string{"http://ca.example.org/ocsp/a"}, IssuingCertificateURL: []string{"http://ca.example.org/ca/a.crt"}, CRLDistributionPoints: []string{"http://ca.example.org/crl/a.crl"},
		}
		if _, err := x509.CreateCertificate(rand.Reader, template, issuer, r.PublicKey, key); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkIssue is row ca-sign in process: request in, durable certificate,
// order and audit entries out.
func BenchmarkIssue(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", engine, callers), func(b *testing.B) {
				url := storetest.SQLite(b)
				if engine == "postgres" {
					url = storetest.Postgres(b)
				}
				bench := newBench(b, storetest.Open(b, url), options{})
				all := requests(b, 64)
				before := bench.db.Commits()
				parallel(b, callers, func(i int) {
					r := bench.request()
					r.Mode, r.CSR, r.Orderer = wscert.Direct, all[i%len(all)], ""
					if _, err := bench.engine.Create(context.Background(), bench.scope, r); err != nil {
						b.Error(err)
					}
				})
				b.ReportMetric(float64(bench.db.Commits()-before)/float64(b.N), "fsyncs/cert")
			})
		}
	}
}
