package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteBenchstat writes one line per round in the format that benchstat reads.
func (r *Report) WriteBenchstat(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/sealwright/sealwright/internal/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, r.Machine.CPU)
	for _, x := range r.Results {
		name := fmt.Sprintf("Benchmark%s/%s/callers=%d/server=%s-%d", camel(x.Benchmark, x.Case), x.Engine, x.Callers, x.Server, r.Machine.Cores)
		for _, s := range x.Rounds {
			fmt.Fprintf(w, "%s\t%d\t%.0f ns/op\t%.1f op/s\t%.4f cpu-ms/op\t%.3f p50-ms\t%.3f p95-ms\t%.3f p99-ms\t%.3f max-ms\t%d errors",
				name, s.Ops, float64(s.Elapsed.Nanoseconds())/float64(max(1, s.Ops)), s.Rate(), ms(s.CPU()), ms(s.P50), ms(s.P95), ms(s.P99), ms(s.Max), s.Errors)
			if n := s.WrittenEach(); n >= 0 {
				fmt.Fprintf(w, "\t%d written-B/op", n)
			}
			if s.Peak > 0 {
				fmt.Fprintf(w, "\t%.1f peak-MB", float64(s.Peak)/1e6)
			}
			fmt.Fprintln(w)
		}
	}
}

// camel makes CaSign of ca-sign, as a benchmark's name must be.
func camel(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		for word := range strings.FieldsFuncSeq(p, func(r rune) bool { return r == '-' || r == ' ' }) {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// WriteTable writes what a person wants to see: medians, and the product's
// ratio to each server that ran beside it.
func (r *Report) WriteTable(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "\n%s, %d cores, %.0f GB, %s, %s, %s; load average at the start %.2f\n", m.CPU, m.Cores, float64(m.Memory)/(1<<30), m.Disk, m.OS, m.Go, m.Load)
	for i, c := range r.Before {
		fmt.Fprintf(w, "calibration %d: P-256 %.0f/s (2 workers), RSA-2048 %.0f/s, SHA-256 %.0f MB/s, fdatasync 1 KB p50 %.2f ms, static GET %.0f/s\n", i+1, c.ECDSA, c.RSA, c.SHA256, ms(c.Sync), c.Static)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "benchmark\tengine\tcallers\tserver\top/s\tp50 ms\tp95\tp99\tmax\tCPU ms/op\twritten B/op\tpeak MB\terrors\trate of product\tCPU of product\t")
	for _, x := range r.Results {
		s := x.Median()
		rate, cpu := "", ""
		if p, ok := r.product(x); ok && x.Server != product && s.Ops > 0 {
			rate, cpu = fmt.Sprintf("%.2f x", p.Rate()/s.Rate()), "-"
			if s.ServerCPU > 0 {
				cpu = fmt.Sprintf("%.2f x", float64(p.CPU())/float64(s.CPU()))
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.3f\t%s\t%.0f\t%d\t%s\t%s\t\n", strings.TrimSpace(x.Benchmark+" "+x.Case), x.Engine, x.Callers, x.Server,
			s.Rate(), ms(s.P50), ms(s.P95), ms(s.P99), ms(s.Max), ms(s.CPU()), orDash(s.WrittenEach()), float64(s.Peak)/1e6, x.errors(), rate, cpu)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, c := range r.Syncs {
		fmt.Fprintf(w, "syncs   %s, %s, %s, %d callers: %.3f per operation (%d in %d)\n", c.Benchmark, c.Engine, c.Server, c.Callers, float64(c.Syncs)/float64(max(1, c.Ops)), c.Syncs, c.Ops)
	}
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%s  %s: %s\n", map[bool]string{true: "ok    ", false: "FAILED"}[c.OK], c.Benchmark, c.What)
	}
	for _, v := range r.Void {
		fmt.Fprintf(w, "VOID    %s: the machine changed by more than %.0f %% meanwhile\n", v, 100*drifted)
	}
	if r.Quick {
		fmt.Fprintln(w, "A quick run: these numbers say that it works, not how fast it is.")
	}
	return nil
}

// product is the median of the product in the same case.
func (r *Report) product(x Result) (Sample, bool) {
	i := slices.IndexFunc(r.Results, func(y Result) bool {
		return y.Server == product && y.Benchmark == x.Benchmark && y.Case == x.Case && y.Callers == x.Callers && y.Engine == x.Engine
	})
	if i < 0 {
		return Sample{}, false
	}
	return r.Results[i].Median(), true
}

func (r Result) errors() (n int) {
	for _, s := range r.Rounds {
		n += s.Errors
	}
	return n
}

func orDash(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
