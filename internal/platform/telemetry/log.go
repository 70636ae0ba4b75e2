package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// LogOptions shape the log.
type LogOptions struct {
	Level  slog.Level // records below it are dropped; can be changed while running
	Format string     // "text" for people, anything else JSON for machines
	File   string     // path to append to; empty writes to Output
	Output io.Writer  // used without a File; nil is standard error
}

// A Log is the destination of all records. Its methods may be called from any
// goroutine.
type Log struct {
	*slog.Logger
	level slog.LevelVar
	sink  sink
}

// OpenLog starts a log. Records written with a context that went through
// [Correlate] carry the request's correlation id by themselves. It returns a
// fault of kind Unavailable if the file cannot be opened.
func OpenLog(o LogOptions) (*Log, error) {
	l := &Log{}
	l.level.Set(o.Level)
	l.sink.out, l.sink.path = o.Output, o.File
	if o.Output == nil {
		l.sink.out = os.Stderr
	}
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: &l.level}
	var h slog.Handler
	if o.Format == "text" {
		h = slog.NewTextHandler(&l.sink, options)
	} else {
		h = slog.NewJSONHandler(&l.sink, options)
	}
	l.Logger = slog.New(correlated{Handler: h})
	return l, nil
}

// SetLevel changes the level from now on.
func (l *Log) SetLevel(level slog.Level) { l.level.Set(level) }

// Level is the present level.
func (l *Log) Level() slog.Level { return l.level.Level() }

// Reopen opens the log file anew, after log rotation moved it away; call it on
// SIGHUP. If that fails the old file stays in use. Without a file it does
// nothing.
func (l *Log) Reopen() error { return l.sink.reopen() }

// Close closes the file. Later records are lost.
func (l *Log) Close() error { return l.sink.close() }

// A sink is a writer whose file can be exchanged between two records.
type sink struct {
	path string
	mu   sync.Mutex
	out  io.Writer
	file *os.File
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *sink) reopen() error {
	if s.path == "" {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fault.Unavailablef(err, "log.open", "The log file %s cannot be opened.", s.path).
			WithNext("Check that its directory exists and may be written to (log.file in the configuration).")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.file
	s.out, s.file = f, f
	if old != nil {
		return old.Close()
	}
	return nil
}

func (s *sink) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	f := s.file
	s.out, s.file = io.Discard, nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close log file: %w", err)
	}
	return nil
}

const correlationKey = "correlation"

// correlated adds the correlation id of the context to each record, unless the
// logger has one already.
type correlated struct {
	slog.Handler
	has bool
}

func (c correlated) Handle(ctx context.Context, r slog.Record) error {
	if !c.has {
		if id := Correlation(ctx); id != "" {
			r.AddAttrs(slog.String(correlationKey, id))
		}
	}
	return c.Handler.Handle(ctx, r)
}

func (c correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := slices.ContainsFunc(attrs, func(a slog.Attr) bool { return a.Key == correlationKey })
	return correlated{c.Handler.WithAttrs(attrs), c.has || named}
}

func (c correlated) WithGroup(name string) slog.Handler {
	return correlated{c.Handler.WithGroup(name), c.has}
}
