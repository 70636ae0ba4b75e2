package bench

import (
	"bytes"
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary do what `sealwright bench serve` does, because
// the benchmarks start the program that they are in again.
func TestMain(m *testing.M) {
	if len(os.Args) < 4 || os.Args[1] != "bench" || os.Args[2] != "serve" {
		os.Exit(m.Run())
	}
	o := ServeOptions{Kind: os.Args[3]}
	f := flag.NewFlagSet("serve", flag.ExitOnError)
	f.StringVar(&o.Dir, "dir", "", "")
	f.StringVar(&o.Database, "database", "", "")
	f.BoolVar(&o.Approval, "approval", false, "")
	f.BoolVar(&o.Messages, "messages", false, "")
	f.StringVar(&o.Clients, "clients", "", "")
	_ = f.Parse(os.Args[4:]) // it exits itself
	if err := Serve(context.Background(), o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The figures of ca-sign and mtls come from real processes, every answer is
// right, and nothing acknowledged is lost when the product is killed.
func TestQuickRunMeasuresProductAndReference(t *testing.T) {
	report, err := Run(t.Context(), Options{Names: []string{"ca-sign", "mtls"}, Quick: true, Callers: []int{2}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range report.Results {
		s := r.Median()
		if s.Ops == 0 || s.P50 <= 0 || s.P50 > s.P99 || s.P99 > s.Max || s.ServerCPU <= 0 || s.Peak <= 0 {
			t.Errorf("%s of %s was not measured: %+v", r.Benchmark, r.Server, s)
		}
		seen[r.Benchmark+" "+r.Server] = true
	}
	for _, want := range []string{"ca-sign reference", "ca-sign product", "mtls reference", "mtls product"} {
		if !seen[want] {
			t.Errorf("no result of %s", want)
		}
	}
	if len(report.Before) != 3 || len(report.Checks) < 2 {
		t.Errorf("%d calibrations and %d checks", len(report.Before), len(report.Checks))
	}
	var text bytes.Buffer
	report.WriteBenchstat(&text)
	if err := report.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BenchmarkCaSign/sqlite/callers=2/server=product-", " cpu-ms/op", "none lost", "quick run"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, text.String())
		}
	}
}

func TestUnknownBenchmarkIsRefusedBeforeAnythingStarts(t *testing.T) {
	if _, err := Run(t.Context(), Options{Names: []string{"ca-sing"}}); err == nil || !strings.Contains(err.Error(), "ca-sing") {
		t.Fatalf("error %v", err)
	}
}

// The rows of a mould are orders that the product can read: found by serial
// number, on pages, and with certificates that parse.
func TestFilledDatabaseHoldsOrdersThatTheProductReads(t *testing.T) {
	ctx := t.Context()
	site, log, err := openSite(ctx, plan{dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	defer site.House.Close()
	m, err := newMould(ctx, site.House)
	if err != nil {
		t.Fatal(err)
	}
	st := &stock{}
	if err := st.fill(ctx, site.House.DB, m, 300); err != nil {
		t.Fatal(err)
	}
	if len(st.serials) != 300 || len(st.ids) != 300 {
		t.Fatalf("%d serial numbers and %d ids of 300 orders", len(st.serials), len(st.ids))
	}
	for i := range st.ids {
		var id, serial, cn string
		var der []byte
		err := site.House.DB.View(ctx).QueryRow(`SELECT o.id, o.serial, o.cn, c.der FROM wscert_orders o JOIN certificates c ON c.order_id = o.id WHERE o.id = $1`, st.ids[i]).Scan(&id, &serial, &cn, &der)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%032x", c.SerialNumber); got != serial || serial != st.serials[i] {
			t.Fatalf("order %s: certificate %s, order %s, remembered %s", cn, got, serial, st.serials[i])
		}
	}
}

func TestMedianAndDrift(t *testing.T) {
	at := func(ops int) Sample { return Sample{Ops: ops, Elapsed: time.Second} }
	if got := median([]Sample{at(30), at(10), at(20)}); got.Ops != 20 {
		t.Errorf("the median of 10, 20 and 30 is %d", got.Ops)
	}
	c := Calibration{ECDSA: 100, RSA: 100, SHA256: 100, Sync: time.Millisecond, Static: 100}
	d := c
	d.ECDSA, d.Static = 114, 86
	if moved := c.Drift(d); len(moved) != 0 {
		t.Errorf("14 %% count as drift: %v", moved)
	}
	d.RSA, d.Sync = 84, 2*time.Millisecond
	if moved := c.Drift(d); len(moved) != 2 {
		t.Errorf("16 %% and 100 %% give %v", moved)
	}
}

func TestReportNamesWhatFailed(t *testing.T) {
	r := Report{
		Results: []Result{{Benchmark: "ca-sign", Server: product, Rounds: []Sample{{Errors: 3, First: "refused"}}}},
		Checks:  []Check{{"mtls", "it answers", true}, {"ra-flow", "one was lost", false}},
	}
	err := r.failed()
	if err == nil || !strings.Contains(err.Error(), "3 errors, the first: refused") || !strings.Contains(err.Error(), "one was lost") || strings.Contains(err.Error(), "it answers") {
		t.Fatalf("error %v", err)
	}
}

func TestUsageOfAProcessThatWorks(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for ownCPU() < before.cpu+50*time.Millisecond {
	}
	after, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.cpu <= before.cpu || after.peak < 1<<20 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// A server does not outlive the benchmark that started it.
func TestServerEndsWithItsParent(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "bench", "serve", "static")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
