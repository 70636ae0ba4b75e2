package crl_test

import (
	"io"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
)

// generate yields n entries of 16-octet serials with a reason from one buffer, as
// a store would, so that the iterator's own cost is small and its memory nil.
func generate(n int, onError func(error)) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		serial, buf := make([]byte, 16), make([]byte, 0, 64)
		at := now
		for i := range n {
			serial[0], serial[1], serial[2], serial[3] = 0x7f, byte(i>>16), byte(i>>8), byte(i)
			der, err := crl.AppendEntry(buf, serial, at, crl.KeyCompromise, time.Time{})
			if err != nil {
				onError(err)
			}
			if !yield(der, nil) {
				return
			}
		}
	}
}

func TestMemoryStaysFlatForTwoHundredThousandEntries(t *testing.T) {
	a := newAuthority(t, p256(t))
	allocated := func(n int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := crl.Write(io.Discard, a.list(), crl.Entries{Each: generate(n, func(err error) { t.Error(err) })}, a.alg, a.signer)
		must(t, err)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := allocated(10), allocated(200_000)
	// TotalAlloc never falls, so this bounds all that was ever asked for.
	if many > few+256<<10 {
		t.Errorf("10 entries allocate %d octets, 200,000 entries %d", few, many)
	}
}

func BenchmarkWriteMillionEntries(b *testing.B) {
	a := newAuthority(b, p256(b))
	const n = 1_000_000
	list := generate(n, func(err error) { b.Error(err) })
	ready := make([]byte, 0, n*50)
	var ends []int
	for der := range list {
		ready = append(ready, der...)
		ends = append(ends, len(ready))
	}
	stored := func(yield func([]byte, error) bool) {
		start := 0
		for _, end := range ends {
			if !yield(ready[start:end], nil) {
				return
			}
			start = end
		}
	}
	for _, c := range []struct {
		name    string
		entries func() crl.Entries
	}{
		{"three runs over ready DER", func() crl.Entries { return crl.Entries{Each: stored} }},
		{"one run, spooled", func() crl.Entries { return crl.Entries{Each: stored, Spool: spool(b)} }},
		{"three runs, encoding each time", func() crl.Entries { return crl.Entries{Each: list} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := crl.Write(io.Discard, a.list(), c.entries(), a.alg, a.signer)
				must(b, err)
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
