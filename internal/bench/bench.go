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
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealwright/sealwright/internal/platform/fault"
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
			return nil, fault.Invalidf("bench.name", "There is no benchmark %q.", n).WithNext("sealwright bench --help lists them.")
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
