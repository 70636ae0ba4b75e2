// Package telemetry shows from outside what the product does: structured logs,
// metrics and health, tied together by a correlation id that callers see in
// the header X-Correlation-Id and in every error message.
//
// A server is wrapped once, around its mux:
//
//	handler := telemetry.Correlate(telemetry.AccessLog(log.Logger, metrics.Observe(telemetry.Recover(log.Logger, mux))))
//
// The layers share one record per request, so the whole chain costs a few
// microseconds. Log lines and metrics name the route pattern of the mux
// ("GET /pickup/{link}") and never the path or query, which may hold secrets.
// The mux notes the pattern on the request that it is given; a middleware
// between AccessLog and the mux that passes on a copy of the request hides it,
// unless it puts [MarkRoute] around the handlers behind the mux.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
)

// CorrelationHeader is the response header that carries the correlation id.
const CorrelationHeader = "X-Correlation-Id"

// An exchange is what the layers know of one request and its answer. It is the
// ResponseWriter of the inner handlers and, for reading the id only, a value
// of their context.
type exchange struct {
	http.ResponseWriter
	correlation string
	pattern     string
	status      int // 0 until the header was written
	bytes       int64
	aborted     bool // the connection was cut before the answer was whole
}

type contextKey struct{}

// Correlate gives the request a fresh correlation id, in its context and in
// the answer's header. An id sent by the caller is not trusted.
func Correlate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, correlation: ident.Correlation()}
		w.Header()[CorrelationHeader] = []string{x.correlation}
		next.ServeHTTP(x, r.WithContext(context.WithValue(r.Context(), contextKey{}, x)))
	})
}

// Correlation is the id of the request that ctx belongs to, or empty.
func Correlation(ctx context.Context) string {
	if x, ok := ctx.Value(contextKey{}).(*exchange); ok {
		return x.correlation
	}
	return ""
}

// Logger is the process's default logger ([slog.SetDefault]) with the
// correlation id of ctx.
func Logger(ctx context.Context) *slog.Logger {
	if id := Correlation(ctx); id != "" {
		return slog.Default().With(correlationKey, id)
	}
	return slog.Default()
}

// MarkRoute notes the route pattern of the request for the layers outside.
// See the package comment for when it is needed.
func MarkRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x, ok := r.Context().Value(contextKey{}).(*exchange); ok {
			x.pattern = r.Pattern
		}
		next.ServeHTTP(w, r)
	})
}

// AccessLog writes one record per request: method, route pattern, status,
// bytes of the body, duration in microseconds, the caller's IP address and
// whether [Recover] cut the connection. Answers from 500 on and cut ones are
// logged as errors, others as information.
func AccessLog(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, start := exchangeOf(w), time.Now() // a duration, not a time of day: the monotonic clock
		defer func() {
			level := slog.LevelInfo
			if x.aborted || x.code() >= http.StatusInternalServerError {
				level = slog.LevelError
			}
			if !log.Enabled(r.Context(), level) {
				return
			}
			remote, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				remote = r.RemoteAddr // a unix socket has no port
			}
			log.LogAttrs(r.Context(), level, "request",
				slog.String("method", method(r)), slog.String("route", x.route(r)), slog.Int("status", x.code()),
				slog.Int64("bytes", x.bytes), slog.Int64("us", time.Since(start).Microseconds()),
				slog.String("remote", remote), slog.Bool("aborted", x.aborted))
		}()
		next.ServeHTTP(x, r)
	})
}

// Recover answers a panic with an internal problem that names the correlation
// id, and logs it with its stack. If the answer had begun, the connection is
// cut, so that the caller does not take half an answer for a whole one.
func Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(w)
		defer func() {
			caught := recover()
			if caught == nil {
				return
			}
			x.aborted = x.status != 0 || caught == http.ErrAbortHandler
			if caught == http.ErrAbortHandler {
				panic(caught) // the handler asked for the connection to be cut
			}
			log.LogAttrs(r.Context(), slog.LevelError, "panic in handler",
				slog.String("route", x.route(r)), slog.Any("panic", caught), slog.String("stack", string(debug.Stack())))
			if x.aborted {
				panic(http.ErrAbortHandler)
			}
			clearForProblem(x.Header())
			fault.WriteProblem(x, fault.New(fault.Internal, "internal", "Something went wrong on our side.").
				WithNext("Try again; if it stays, report the correlation id."), x.correlation)
		}()
		next.ServeHTTP(x, r)
	})
}

// clearForProblem removes what described the answer that did not come to be.
func clearForProblem(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Set-Cookie"} {
		h.Del(name)
	}
}

// exchangeOf finds the record that Correlate made, or starts one for a layer
// that is used without it.
func exchangeOf(w http.ResponseWriter) *exchange {
	if x, ok := w.(*exchange); ok {
		return x
	}
	return &exchange{ResponseWriter: w}
}

func (x *exchange) WriteHeader(status int) {
	// 1xx answers precede the real one, except 101, which is final.
	if x.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	x.began()
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the kernel's fast path from file to socket.
func (x *exchange) ReadFrom(src io.Reader) (int64, error) {
	x.began()
	n, err := io.Copy(x.ResponseWriter, src)
	x.bytes += n
	return n, err
}

// Flush implements [http.Flusher] for handlers that stream.
func (x *exchange) Flush() {
	x.began()
	_ = http.NewResponseController(x.ResponseWriter).Flush() // a writer that cannot flush has nothing to flush
}

// Unwrap lets [http.ResponseController] reach deadlines and hijacking.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *exchange) began() {
	if x.status == 0 {
		x.status = http.StatusOK
	}
}

// code is the status that the caller gets; a handler that wrote nothing answers 200.
func (x *exchange) code() int {
	if x.status == 0 {
		return http.StatusOK
	}
	return x.status
}

// route is the pattern that matched. A request that matched none is
// "unmatched": its path stays out of logs and metrics.
func (x *exchange) route(r *http.Request) string {
	switch {
	case r.Pattern != "":
		return r.Pattern
	case x.pattern != "":
		return x.pattern
	}
	return "unmatched"
}

// method keeps invented methods from becoming text in the log.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}
