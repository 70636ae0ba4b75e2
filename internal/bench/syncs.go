package bench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// countSyncs starts a server under strace and counts how often it waits for the
// disk under load. It does nothing without strace on PATH, or on PostgreSQL,
// where another process waits. drive makes the operation for the started server.
func (s *session) countSyncs(ctx context.Context, server string, callers int, args []string, drive func(p *process) (operation, error)) error {
	strace, err := exec.LookPath("strace")
	if err != nil || s.engine() != "sqlite" {
		return nil
	}
	file := filepath.Join(s.dir, "syncs")
	p, err := traced(ctx, s.log, strace, file, args...)
	if err != nil {
		s.say("syncs are not counted: %v", err) // not everywhere may one process look at another
		return nil
	}
	defer p.stop()
	op, err := drive(p)
	if err != nil {
		return err
	}
	g := &syncGauge{file: file}
	_, warm, measure := s.timing()
	sample, err := load{callers, warm, min(measure, 2*time.Second)}.run(ctx, g, op)
	if err != nil {
		return err
	}
	if sample.Errors > 0 {
		return errors.New(sample.First)
	}
	s.report.Syncs = append(s.report.Syncs, Syncs{s.row.name, s.engine(), server, callers, sample.Ops, g.last - g.first})
	return nil
}

// A syncGauge counts the lines of strace.
type syncGauge struct {
	file        string
	asked       bool
	first, last int
}

func (g *syncGauge) usage() (usage, error) {
	b, err := os.ReadFile(g.file)
	n := bytes.Count(b, []byte("\n"))
	if !g.asked {
		g.asked, g.first = true, n
	}
	g.last = n
	return usage{written: -1}, err
}
