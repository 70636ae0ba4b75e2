package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

func probe(h *telemetry.Health, path string) (int, string) {
	mux := http.NewServeMux()
	h.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadinessNamesTheCheckThatFails(t *testing.T) {
	now, logged := clock.NewFake(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)), &buffer{}
	h := telemetry.NewHealth(now, slog.New(slog.NewJSONHandler(logged, nil)))
	if code, _ := probe(h, "/readyz"); code != 200 {
		t.Errorf("without checks: %d", code)
	}
	var broken error
	runs := 0
	h.Add("database", func(context.Context) error { runs++; return broken })
	h.Add("blob", func(context.Context) error { return nil })
	if code, body := probe(h, "/readyz"); code != 200 || !strings.Contains(body, `"database":"ok"`) {
		t.Errorf("%d %s", code, body)
	}

	broken = fault.Unavailablef(errors.New("password=topsecret"), "store.down", "The database does not answer.")
	if code, _ := probe(h, "/readyz"); code != 200 || runs != 1 {
		t.Errorf("%d after %d runs: a fresh result is reused", code, runs)
	}
	now.Advance(time.Second)
	code, body := probe(h, "/readyz")
	if code != 503 || !strings.Contains(body, `"database":"The database does not answer."`) || !strings.Contains(body, `"blob":"ok"`) || strings.Contains(body, "topsecret") {
		t.Errorf("%d %s", code, body)
	}
	if lines := logged.lines(t); len(lines) != 1 || lines[0]["check"] != "database" {
		t.Errorf("log %v", lines)
	}
	if code, _ := probe(h, "/healthz"); code != 200 {
		t.Error("a broken database makes the process look dead")
	}

	broken = errors.New("password=topsecret")
	now.Advance(time.Second)
	if _, body := probe(h, "/readyz"); strings.Contains(body, "topsecret") {
		t.Errorf("an error that is no fault is shown: %s", body)
	}

	broken = nil
	h.Add("worse", func(context.Context) error { panic("boom") })
	if code, body := probe(h, "/readyz"); code != 503 || !strings.Contains(body, `"worse":"failed`) {
		t.Errorf("a check that panics: %d %s", code, body)
	}
}

func TestDrainingIsNotReadyButAlive(t *testing.T) {
	h := telemetry.NewHealth(clock.System{}, slog.New(slog.DiscardHandler))
	h.Drain()
	if code, body := probe(h, "/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := probe(h, "/healthz"); code != 200 {
		t.Errorf("healthz %d", code)
	}
}

func TestAHangingCheckIsReportedAndNotPiledUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := clock.NewFake(time.Now())
		h := telemetry.NewHealth(now, slog.New(slog.DiscardHandler))
		var runs atomic.Int32
		release := make(chan struct{})
		h.Add("stuck", func(context.Context) error { runs.Add(1); <-release; return nil })
		start := time.Now()
		code, body := probe(h, "/readyz")
		if code != 503 || !strings.Contains(body, "no answer in time") || time.Since(start) > 3*time.Second {
			t.Errorf("%d %s after %v", code, body, time.Since(start))
		}
		now.Advance(time.Minute)
		if code, _ := probe(h, "/readyz"); code != 503 || runs.Load() != 1 {
			t.Errorf("%d after %d runs", code, runs.Load())
		}
		close(release)
		synctest.Wait()
		now.Advance(time.Minute)
		if code, _ := probe(h, "/readyz"); code != 200 {
			t.Errorf("%d after it came back", code)
		}
	})
}
