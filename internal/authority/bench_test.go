package authority_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
)

func processor() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // it does not fail for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resident is the memory of the process in octets.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var all, pages int64
	_, _ = fmt.Sscan(string(text), &all, &pages)
	return pages * int64(os.Getpagesize())
}

// most watches the memory of the process while fn runs and returns by how much
// it grew.
func most(fn func()) int64 {
	runtime.GC()
	base, top := resident(), int64(0)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			top = max(top, resident())
			time.Sleep(5 * time.Millisecond)
		}
	}()
	fn()
	stop.Store(true)
	<-done
	return max(top, resident()) - base
}

// enterRevoked enters n revoked certificates as if they had been issued and
// revoked one after the other.
func (f *fixture) enterRevoked(n int) {
	f.t.Helper()
	source, at := rand.NewChaCha8([32]byte{}), f.clock.Now()
	until := store.Micros(at.AddDate(1, 0, 0))
	for from := 0; from < n; from += 10_000 {
		f.check(f.db.Update(context.Background(), func(tx *store.Tx) error {
			for i := from; i < min(n, from+10_000); i++ {
				serial := tbs.NewSerial(at.Add(time.Duration(i)*time.Millisecond), source)
				entry, err := crl.AppendEntry(nil, serial, at, crl.KeyCompromise, time.Time{})
				if err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO revocations (authority, shard, serial, seq, not_after, entry) VALUES ('clients', 0, $1, $2, $3, $4)`, serial, int64(i+1), until, entry); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	f.check(f.db.Update(context.Background(), func(tx *store.Tx) error {
		for _, shard := range []int64{-1, 0} {
			if _, err := tx.Exec(`INSERT INTO revocation_counters (authority, shard, seq) VALUES ('clients', $1, $2)`, shard, int64(n)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// The headline benchmark "crl": from the store to the disk, encrypted as it is
// kept there, for both engines.
func BenchmarkCRL(b *testing.B) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, n := range []int{1000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/entries=%d", engine, n), func(b *testing.B) { benchmarkCRL(b, url(b), n) })
		}
	}
}

func benchmarkCRL(b *testing.B, url string, n int) {
	f := newFixture(b, storetest.Open(b, url))
	policy := authority.DefaultPolicy()
	policy.Deltas = true
	f.check(f.ca.SetPolicy(b.Context(), "clients", policy))
	f.enterRevoked(n)
	produce := func(s authority.Scope) (used time.Duration, grown int64) {
		b.Helper()
		f.clock.Advance(time.Second)
		before := processor()
		grown = most(func() {
			_, err := f.ca.ProduceList(b.Context(), s)
			f.check(err)
		})
		return processor() - before, grown
	}
	var first, full, delta time.Duration
	var grown int64
	rounds := 0
	for b.Loop() {
		f.clock.Advance(24 * time.Hour)
		used, more := produce(authority.Scope{Authority: "clients"})
		first, grown = first+used, max(grown, more)
		for range 100 {
			f.check(f.revoke(f.issue()))
		}
		used, _ = produce(authority.Scope{Authority: "clients", Delta: true})
		delta += used
		used, more = produce(authority.Scope{Authority: "clients"})
		full, grown = full+used, max(grown, more)
		rounds++
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(rounds) }
	b.ReportMetric(each(first), "first-of-day-cpu-ms")
	b.ReportMetric(each(full), "following-cpu-ms")
	b.ReportMetric(each(delta), "delta-cpu-ms")
	b.ReportMetric(each(first)*1e6/float64(n), "first-cpu-ns/entry")
	b.ReportMetric(each(full)*1e6/float64(n), "following-cpu-ns/entry")
	b.ReportMetric(float64(grown)/(1<<20), "MB-above-base")
	b.ReportMetric(0, "ns/op")
	f.verifyByOpenSSL()
}

func (f *fixture) verifyByOpenSSL() {
	f.t.Helper()
	c, err := f.ca.CurrentCRL(context.Background(), "clients")
	f.check(err)
	r, err := f.ca.OpenCRL(context.Background(), c)
	f.check(err)
	defer r.Close()
	dir := f.t.TempDir()
	list, err := os.Create(filepath.Join(dir, "list.crl"))
	f.check(err)
	defer list.Close()
	_, err = io.Copy(list, r)
	f.check(err)
	x, err := f.ca.Get(context.Background(), "clients")
	f.check(err)
	f.check(os.WriteFile(filepath.Join(dir, "ca.der"), x.DER, 0o600))
	out, err := exec.Command("openssl", "x509", "-inform", "DER", "-in", filepath.Join(dir, "ca.der"), "-out", filepath.Join(dir, "ca.pem")).CombinedOutput()
	if err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	out, err = exec.Command("openssl", "crl", "-inform", "DER", "-in", list.Name(), "-CAfile", filepath.Join(dir, "ca.pem"), "-noout", "-verify").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "verify OK") {
		f.t.Fatalf("%v\n%s", err, out)
	}
}
