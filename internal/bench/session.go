package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

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
