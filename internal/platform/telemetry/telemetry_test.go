package telemetry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// A buffer collects log lines from the server's goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) lines(t *testing.T) (out []map[string]any) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

// serve starts the whole chain around mux. Its server is closed by stop, after
// which every line is in the log.
func serve(t *testing.T, mux *http.ServeMux) (url string, logged *buffer, m *telemetry.Metrics, stop func()) {
	t.Helper()
	logged = &buffer{}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: logged})
	if err != nil {
		t.Fatal(err)
	}
	m = telemetry.NewMetrics("1.2.3")
	s := httptest.NewServer(chain(log.Logger, m, mux))
	t.Cleanup(s.Close)
	return s.URL, logged, m, s.Close
}

func fetch(t *testing.T, url string) (*http.Response, string, error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestACorrelationIDTiesAnswerContextAndLogTogether(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /id", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, telemetry.Correlation(r.Context()))
	})
	url, logged, _, stop := serve(t, mux)
	seen := map[string]bool{}
	for range 3 {
		resp, body, err := fetch(t, url+"/id")
		if err != nil || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(body) || resp.Header.Get(telemetry.CorrelationHeader) != body {
			t.Fatalf("context %q, header %q, %v", body, resp.Header.Get(telemetry.CorrelationHeader), err)
		}
		seen[body] = true
	}
	stop()
	lines := logged.lines(t)
	if len(seen) != 3 || len(lines) != 3 {
		t.Fatalf("%d ids and %d lines for 3 requests", len(seen), len(lines))
	}
	for _, line := range lines {
		if !seen[line["correlation"].(string)] {
			t.Errorf("a line without a known id: %v", line)
		}
	}
}

func TestACallersOwnCorrelationIDIsNotTrusted(t *testing.T) {
	h := telemetry.Correlate(http.NotFoundHandler())
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	r.Header.Set(telemetry.CorrelationHeader, "forged")
	h.ServeHTTP(w, r)
	if got := w.Header().Values(telemetry.CorrelationHeader); len(got) != 1 || got[0] == "forged" {
		t.Errorf("header %q", got)
	}
}

// N17, N24: a secret link must not be readable in the log.
func TestTheAccessLogNeverShowsPathsOrQueries(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pickup/{link}", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "12345")
	})
	url, logged, m, stop := serve(t, mux)
	for _, path := range []string{"/pickup/topsecret?otp=topsecret", "/other/topsecret", "/pickup/topsecret/more"} {
		if _, _, err := fetch(t, url+path); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if strings.Contains(logged.b.String(), "topsecret") {
		t.Fatalf("the log shows the secret:\n%s", logged.b.String())
	}
	if strings.Contains(scrape(m), "topsecret") {
		t.Fatal("the metrics show the secret")
	}
	lines := logged.lines(t)
	if got := lines[0]; got["method"] != "GET" || got["route"] != "GET /pickup/{link}" || got["status"] != 418.0 ||
		got["bytes"] != 5.0 || got["remote"] != "127.0.0.1" || got["us"].(float64) < 0 || got["level"] != "INFO" {
		t.Errorf("line %v", got)
	}
	if lines[1]["route"] != "unmatched" || lines[1]["status"] != 404.0 {
		t.Errorf("line %v", lines[1])
	}
}

func TestInventedMethodsStayOutOfTheLog(t *testing.T) {
	logged := &buffer{}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: logged})
	if err != nil {
		t.Fatal(err)
	}
	h := telemetry.AccessLog(log.Logger, http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("X-SECRET", "/", nil))
	if got := logged.lines(t)[0]["method"]; got != "other" {
		t.Errorf("method %v", got)
	}
}

func TestMarkRouteSurvivesAMiddlewareThatCopiesTheRequest(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /a/{b}", telemetry.MarkRoute(http.NotFoundHandler()))
	logged := &buffer{}
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: logged})
	if err != nil {
		t.Fatal(err)
	}
	copying := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r.Clone(r.Context())) })
	telemetry.Correlate(telemetry.AccessLog(log.Logger, copying)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/a/1", nil))
	if got := logged.lines(t)[0]["route"]; got != "GET /a/{b}" {
		t.Errorf("route %v", got)
	}
}

func TestAPanicIsAnsweredAsAProblemAndLoggedWithItsStack(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /panic", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", "attachment")
		panic("secret detail")
	})
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half an answer")
		_ = http.NewResponseController(w).Flush()
		panic("too late for a problem")
	})
	mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	url, logged, m, stop := serve(t, mux)

	resp, body, err := fetch(t, url+"/panic")
	if err != nil {
		t.Fatal(err)
	}
	var problem fault.Problem
	if err := json.Unmarshal([]byte(body), &problem); err != nil || resp.StatusCode != 500 || problem.Code != "internal" ||
		problem.Correlation == "" || problem.Correlation != resp.Header.Get(telemetry.CorrelationHeader) ||
		resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Content-Disposition") != "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if strings.Contains(body, "secret detail") {
		t.Error("the caller sees the panic's text")
	}
	if _, body, err := fetch(t, url+"/half"); err == nil {
		t.Errorf("half an answer passes for a whole one: %q", body)
	}
	if _, _, err := fetch(t, url+"/abort"); err == nil {
		t.Error("an aborted handler gave an answer")
	}
	stop()

	lines := logged.lines(t)
	if got := lines[0]; got["panic"] != "secret detail" || got["route"] != "GET /panic" || got["correlation"] != problem.Correlation ||
		!strings.Contains(got["stack"].(string), "telemetry_test.go") {
		t.Errorf("line %v", got)
	}
	if got := lines[1]; got["status"] != 500.0 || got["level"] != "ERROR" || got["aborted"] != false {
		t.Errorf("line %v", got)
	}
	if got := lines[3]; got["aborted"] != true || got["level"] != "ERROR" || got["bytes"] != 14.0 {
		t.Errorf("line %v", got)
	}
	if len(lines) != 5 { // ErrAbortHandler is no defect: no record of a panic
		t.Errorf("%d lines", len(lines))
	}
	if text := scrape(m); !strings.Contains(text, `route="GET /half",status="aborted"`) || !strings.Contains(text, "requests_in_flight 0") {
		t.Error("aborted answers are not counted as such")
	}
}

func TestHandlersKeepTheAbilitiesOfTheServersWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("no fast path for files")
		}
		if _, ok := w.(http.Flusher); !ok {
			t.Error("no flusher")
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("deadline: %v", err)
		}
		http.ServeFile(w, r, file)
	})
	mux.HandleFunc("GET /hint", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	})
	url, logged, _, stop := serve(t, mux)
	if _, body, err := fetch(t, url+"/file"); err != nil || len(body) != 100_000 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if resp, _, err := fetch(t, url+"/hint"); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Error(err)
	}
	stop()
	if got := logged.lines(t); got[0]["bytes"] != 100_000.0 || got[1]["status"] != 202.0 {
		t.Errorf("lines %v", got)
	}
}

func scrape(m *telemetry.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestMetricsCountByRouteAndStatusClass(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "none" {
			http.NotFound(w, r)
		}
	})
	url, _, m, stop := serve(t, mux)
	for _, path := range []string{"/things/1", "/things/2", "/things/none", "/elsewhere"} {
		if _, _, err := fetch(t, url+path); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	text := scrape(m)
	for _, want := range []string{
		`sealwright_http_request_duration_seconds_count{route="GET /things/{id}",status="2xx"} 2`,
		`sealwright_http_request_duration_seconds_count{route="GET /things/{id}",status="4xx"} 1`,
		`sealwright_http_request_duration_seconds_count{route="unmatched",status="4xx"} 1`,
		`version="1.2.3"`, "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// The time per request is the benchmark's to tell; the allocations are what
// creeps in unseen, and they do not depend on the machine.
func TestTheChainAllocatesLittlePerRequest(t *testing.T) {
	log, err := telemetry.OpenLog(telemetry.LogOptions{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	h := chain(log.Logger, telemetry.NewMetrics("test"), mux)
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), &blank{header: http.Header{}}
	if n := testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) }); n > 12 {
		t.Errorf("%v allocations per request", n)
	}
}
