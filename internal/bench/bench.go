// Package bench measures the whole server from outside: product and client are
// two processes that talk over loopback TLS 1.3 and keep their connections, the
// product has the defaults of a fresh installation, and every answer is checked.
// It is the command `sealwright bench`; docs/performance.md says how to read it.
//
// Each benchmark runs beside a bare server of package reference that does only
// the work that cannot be left out, in alternating rounds, and ca-sign beside
// step-ca as well when that is on PATH. What counts is the ratio between them and
// the server's processor time per operation; rates are those of one machine.
//
// Afterwards the product is killed under load and started again, and everything
// that it had acknowledged is read back. One item lost is a failure.
//
// [Run] is the way in; [Serve] is the other process. A further benchmark is one
// more row in the list of rows.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options choose what is measured and how long.
type Options struct {
	Names    []string // of benchmarks; empty: all
	Quick    bool     // one short round each: to see that it works, not to quote
	Database string   // "sqlite:" or the address of a PostgreSQL server on which databases may be made; empty is SQLite
	Callers  []int    // empty: each benchmark's own
	Rows     []int64  // of growth and store-orders; empty: their own
	Profile  string   // directory for CPU profiles of the product; empty: none
	Dir      string   // on the disk to be measured; empty: the system's temporary directory
	Progress io.Writer
}

// A row is one benchmark of the list.
type row struct {
	name    string
	about   string
	callers []int
	run     func(ctx context.Context, s *session) error
}

func rows() []row {
	return []row{
		{"ca-sign", "certificate request in, durable certificate out, over the REST API", []int{8}, caSign},
		{"ra-flow", "order, approval, messages, one-time password, request, download", []int{8}, raFlow},
		{"sds", "documents up and down over mutual TLS", nil, documents},
		{"store-orders", "the order's transaction through the store, without cryptography", []int{1, 8, 64}, storeOrders},
		{"mtls", "a new mutual-TLS connection and one call on it", []int{8}, mutualTLS},
	}
}

// Growth is the name of the benchmark that fills databases; it runs only when
// it is asked for.
const Growth = "growth"

// Names lists the benchmarks with what they measure.
func Names() [][2]string {
	var out [][2]string
	for _, r := range rows() {
		out = append(out, [2]string{r.name, r.about})
	}
	return append(out, [2]string{Growth, "the same with more and more certificates in the database"})
}

// A Result is one server's part in one case of a benchmark.
type Result struct {
	Benchmark string   `json:"benchmark"`
	Case      string   `json:"case,omitempty"`
	Engine    string   `json:"engine"`
	Callers   int      `json:"callers"`
	Server    string   `json:"server"` // product, reference or a peer's name
	Rounds    []Sample `json:"rounds"`
}

// Median is the round with the median rate.
func (r Result) Median() Sample { return median(r.Rounds) }

// A Check is something that must hold besides the speed.
type Check struct {
	Benchmark string `json:"benchmark"`
	What      string `json:"what"`
	OK        bool   `json:"ok"`
}

// Syncs tells how many times a server waited for the disk, in a stretch of its
// own because counting slows it down.
type Syncs struct {
	Benchmark string `json:"benchmark"`
	Engine    string `json:"engine"`
	Server    string `json:"server"`
	Callers   int    `json:"callers"`
	Ops       int    `json:"ops"`
	Syncs     int    `json:"syncs"` // calls of fsync and fdatasync
}

// A Report is everything that one run found.
type Report struct {
	Machine Machine       `json:"machine"`
	Quick   bool          `json:"quick"`
	Results []Result      `json:"results"`
	Syncs   []Syncs       `json:"syncs"`
	Checks  []Check       `json:"checks"`
	Before  []Calibration `json:"calibrations"` // one before each benchmark and one after the last
	Void    []string      `json:"void"`         // benchmarks during which a calibrator moved, and how far
}

// Run measures and returns what it found, also when a benchmark fails: then the
// error says which.
func Run(ctx context.Context, o Options) (*Report, error) {
	list, err := chosen(o.Names)
	if err != nil {
		return nil, err
	}
	s, err := newSession(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.calibrate(ctx, ""); err != nil {
		return nil, err
	}
	for _, r := range list {
		s.row = r
		s.say("%s: %s", r.name, r.about)
		if err := r.run(ctx, s); err != nil {
			return &s.report, fmt.Errorf("%s: %w", r.name, err)
		}
		if err := s.calibrate(ctx, r.name); err != nil {
			return &s.report, err
		}
	}
	return &s.report, s.report.failed()
}

func chosen(names []string) ([]row, error) {
	all := rows()
	if len(names) == 0 {
		return all, nil
	}
	all = append(all, row{Growth, "", []int{8}, growth})
	var list []row
	for _, n := range names {
		i := slices.IndexFunc(all, func(r row) bool { return r.name == n })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q", n)
		}
		list = append(list, all[i])
	}
	return list, nil
}

// failed says what must not be: errors under load and checks that did not hold.
func (r *Report) failed() error {
	var err error
	for _, c := range r.Checks {
		if !c.OK {
			err = errors.Join(err, fmt.Errorf("%s: %s", c.Benchmark, c.What))
		}
	}
	for _, x := range r.Results {
		for _, s := range x.Rounds {
			if s.Errors > 0 {
				err = errors.Join(err, fmt.Errorf("%s %s, %s: %d errors, the first: %s", x.Benchmark, x.Case, x.Server, s.Errors, s.First))
			}
		}
	}
	return err
}

// A session is a run under way.
type session struct {
	Options
	row    row
	dir    string
	log    *os.File // what the processes say on standard error
	static *process
	calls  *callers // of the static server
	report Report
	made   int // directories so far
	drop   []func()
}

func newSession(ctx context.Context, o Options) (*session, error) {
	dir, err := os.MkdirTemp(o.Dir, "sealwright-bench-")
	if err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	s := &session{Options: o, dir: dir, report: Report{Machine: machine(dir), Quick: o.Quick}}
	if s.log, err = os.Create(filepath.Join(dir, "processes.log")); err != nil {
		s.close()
		return nil, err
	}
	var static bare
	if s.static, err = s.begin(ctx, &static, "static"); err != nil {
		s.close()
		return nil, err
	}
	trust, err := poolOf([]byte(static.Trust))
	if err != nil {
		s.close()
		return nil, err
	}
	s.calls = newCallers(static.URL, trust, 16, nil)
	return s, nil
}

func (s *session) close() {
	if s.static != nil {
		s.static.stop()
	}
	for _, f := range slices.Backward(s.drop) {
		f()
	}
	if s.log != nil {
		_ = s.log.Close() // it is about to be removed
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.say("left behind: %v", err)
	}
}

func (s *session) say(format string, args ...any) { fmt.Fprintf(s.Progress, "# "+format+"\n", args...) }

// begin starts a server in a process of its own and reads what it prints when
// it is ready.
func (s *session) begin(ctx context.Context, ready any, args ...string) (*process, error) {
	p, err := start(ctx, s.log, args...)
	if err != nil {
		if tail, e := os.ReadFile(s.log.Name()); e == nil && len(tail) > 0 {
			err = fmt.Errorf("%w: %.2000s", err, tail)
		}
		return nil, err
	}
	return p, json.Unmarshal(p.ready, ready)
}

// place makes a new directory.
func (s *session) place(name string) (string, error) {
	s.made++
	dir := filepath.Join(s.dir, fmt.Sprintf("%d-%s", s.made, name))
	return dir, os.Mkdir(dir, 0o700)
}

func (s *session) engine() string {
	if s.Database == "" || strings.HasPrefix(s.Database, "sqlite") {
		return "sqlite"
	}
	return "postgres"
}

// Durations of a round.
func (s *session) timing() (rounds int, warm, measure time.Duration) {
	if s.Quick {
		return 1, 200 * time.Millisecond, time.Second
	}
	return 3, time.Second, 5 * time.Second
}

// numbers are the caller counts of the present benchmark.
func (s *session) numbers() []int {
	if len(s.Callers) > 0 {
		return s.Callers
	}
	return s.row.callers
}

// calibrate measures the machine after a benchmark and tells whether it was
// left alone meanwhile.
func (s *session) calibrate(ctx context.Context, after string) error {
	d := time.Second
	if s.Quick {
		d = 200 * time.Millisecond
	}
	c, err := calibrate(ctx, s.dir, s.calls, d)
	if err != nil {
		return fmt.Errorf("calibrate: %w", err)
	}
	s.calls.close()
	if n := len(s.report.Before); n > 0 {
		if moved := s.report.Before[n-1].Drift(c); len(moved) > 0 {
			s.report.Void = append(s.report.Void, after+": "+strings.Join(moved, ", "))
		}
	}
	s.report.Before = append(s.report.Before, c)
	return nil
}

// A target is one server in a case.
type target struct {
	name   string
	server gauge
	op     operation
	// between, if given, runs after each round, outside of the measurement.
	between func(ctx context.Context) error
}

// compare drives the targets in alternating rounds and notes the samples.
func (s *session) compare(ctx context.Context, name string, callers int, targets ...target) error {
	rounds, warm, measure := s.timing()
	results := make([]Result, len(targets))
	for r := range rounds {
		for i, t := range targets {
			results[i].Benchmark, results[i].Case, results[i].Engine, results[i].Callers, results[i].Server = s.row.name, name, s.engine(), callers, t.name
			if p, ok := t.server.(*process); ok {
				if err := p.resetPeak(); err != nil {
					return err
				}
				s.profile(p, t, name, r, callers, true)
			}
			sample, err := load{callers, warm, measure}.run(ctx, t.server, t.op)
			if err != nil {
				return err
			}
			if p, ok := t.server.(*process); ok {
				s.profile(p, t, name, r, callers, false)
			}
			results[i].Rounds = append(results[i].Rounds, sample)
			s.say("%s %s callers=%d round %d %s: %.0f/s, %.3f CPU-ms, %d errors %s", s.row.name, name, callers, r+1, t.name, sample.Rate(), ms(sample.CPU()), sample.Errors, sample.First)
			if t.between != nil {
				if err := t.between(ctx); err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
			}
		}
	}
	s.report.Results = append(s.report.Results, results...)
	return nil
}

// profile begins or ends a CPU profile of the product, one for each round.
func (s *session) profile(p *process, t target, name string, round, callers int, begin bool) {
	if s.Profile == "" || t.name != product {
		return
	}
	line := "end"
	if begin {
		file := strings.ReplaceAll(strings.TrimSpace(s.row.name+" "+name), " ", "-")
		line = "profile " + filepath.Join(s.Profile, fmt.Sprintf("%s-callers%d-round%d.pprof", file, callers, round+1))
	}
	if err := p.tell(line); err != nil {
		s.say("no profile: %v", err)
	}
}

// product is the name of the product in results, bareName that of the servers
// of package reference.
const (
	product  = "product"
	bareName = "reference"
)

func (s *session) check(ok bool, format string, args ...any) {
	c := Check{s.row.name, fmt.Sprintf(format, args...), ok}
	s.report.Checks = append(s.report.Checks, c)
	s.say("%s: ok=%t", c.What, ok)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
