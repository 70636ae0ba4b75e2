package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

const (
	checkTimeout = 2 * time.Second // a check that takes longer counts as failed
	checkFresh   = time.Second     // results are reused for so long, so that probing is cheap
)

// Health answers the two questions of an orchestrator: is the process alive
// (/healthz), and should it get requests (/readyz). Its methods may be called
// from any goroutine.
type Health struct {
	clock    clock.Clock
	log      *slog.Logger
	draining atomic.Bool

	mu      sync.Mutex // held while checks run: concurrent probes share one round
	checks  []*check
	at      time.Time
	results map[string]string
	ready   bool
}

type check struct {
	name    string
	run     func(context.Context) error
	running atomic.Bool
}

// NewHealth starts without checks, which is ready. Failures are written to log
// in full; /readyz shows only their faults' messages, because anyone may ask.
func NewHealth(c clock.Clock, log *slog.Logger) *Health { return &Health{clock: c, log: log} }

// Add registers a check under a unique name such as "database". It gets two
// seconds; a check that ignores its context is reported and not started again
// until it returns.
func (h *Health) Add(name string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, &check{name: name, run: run})
	sort.Slice(h.checks, func(i, j int) bool { return h.checks[i].name < h.checks[j].name })
	h.at = time.Time{}
}

// Drain makes /readyz answer 503 from now on, so that balancers stop sending
// requests before the listeners close.
func (h *Health) Drain() { h.draining.Store(true) }

// Register adds /healthz and /readyz to mux.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", h.live)
	mux.HandleFunc("GET /readyz", h.readiness)
}

// live answers as long as the process can answer at all. It runs no checks: a
// database outage must not make the orchestrator restart every node.
func (h *Health) live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

func (h *Health) readiness(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if h.draining.Load() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "draining"})
		return
	}
	results, ready := h.round(r.Context())
	if !ready {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "checks": results})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"status": "ready", "checks": results})
}

// round returns the results by name, from the last round if it is fresh.
func (h *Health) round(ctx context.Context) (map[string]string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.clock.Now(); h.at.IsZero() || now.Sub(h.at) >= checkFresh || now.Before(h.at) {
		// The round serves other probes too, so it outlives this caller.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		h.results, h.ready = h.runAll(ctx)
		h.at = h.clock.Now()
	}
	return h.results, h.ready
}

func (h *Health) runAll(ctx context.Context) (results map[string]string, ready bool) {
	done := make([]chan error, len(h.checks))
	for i, c := range h.checks {
		done[i] = c.start(ctx)
	}
	results, ready = make(map[string]string, len(h.checks)), true
	for i, c := range h.checks {
		var err error
		select {
		case err = <-done[i]:
		case <-ctx.Done():
			err = errSlow
		}
		results[c.name] = "ok"
		if err != nil {
			ready = false
			results[c.name] = public(err)
			h.log.LogAttrs(ctx, slog.LevelWarn, "health check failed", slog.String("check", c.name), slog.Any("error", err))
		}
	}
	return results, ready
}

var errSlow = errors.New("no answer in time")

func (c *check) start(ctx context.Context) chan error {
	done := make(chan error, 1)
	if !c.running.CompareAndSwap(false, true) {
		done <- errSlow // the last one still hangs; do not pile up more
		return done
	}
	go func() {
		defer c.running.Store(false)
		defer func() {
			if caught := recover(); caught != nil {
				done <- fmt.Errorf("panic: %v", caught)
			}
		}()
		done <- c.run(ctx)
	}()
	return done
}

func public(err error) string {
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return f.Message
	case errors.Is(err, errSlow), errors.Is(err, context.DeadlineExceeded):
		return errSlow.Error()
	}
	return "failed; the log has the details"
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone; nobody is left to tell
}
