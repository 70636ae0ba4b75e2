package telemetry_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// blank is a ResponseWriter that costs nothing.
type blank struct{ header http.Header }

func (b *blank) Header() http.Header         { return b.header }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// BenchmarkChain is what telemetry adds to a request: the bare mux first, then
// the same mux inside every layer, with the log written to nowhere.
func BenchmarkChain(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	log, err := telemetry.OpenLog(telemetry.LogOptions{Level: slog.LevelInfo, Output: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"bare", mux},
		{"correlate", telemetry.Correlate(mux)},
		{"accesslog", telemetry.AccessLog(log.Logger, mux)},
		{"observe", telemetry.NewMetrics("bench").Observe(mux)},
		{"all", chain(log.Logger, telemetry.NewMetrics("bench"), mux)},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/things/7", nil)
			w := &blank{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				c.handler.ServeHTTP(w, r)
			}
		})
	}
}

func chain(log *slog.Logger, m *telemetry.Metrics, mux http.Handler) http.Handler {
	return telemetry.Correlate(telemetry.AccessLog(log, m.Observe(telemetry.Recover(log, mux))))
}
