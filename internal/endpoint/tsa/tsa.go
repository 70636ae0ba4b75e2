// Package tsa answers time-stamp requests over HTTP (RFC 3161, section 3.4):
//
//	POST /tsa/{unit}   application/timestamp-query → application/timestamp-reply
//
// The address of a unit stands in the configuration of its clients and never
// changes. Stamps are public, signed by themselves and served over plain HTTP as
// well. A request that reaches a unit always gets an answer of the protocol, also
// when it cannot be read; HTTP's own errors say that it did not reach one.
package tsa

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/pki/tsp"
)

// A Stamper answers requests to time-stamping units; *timestamp.Units is one.
type Stamper interface {
	// Stamp returns an answer in any case. The error is for the log; NotFound says
	// that there is no such unit.
	Stamp(ctx context.Context, unit string, request []byte) ([]byte, error)
}

type handler struct{ units Stamper }

// New returns the handler for all units of the installation.
func New(units Stamper) http.Handler {
	h := handler{units}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tsa/{unit}", h.stamp)
	mux.HandleFunc("/tsa/{unit}", wrongMethod)
	return mux
}

// bodyTime is how long a request of at most 16 KiB may take to arrive.
const bodyTime = 10 * time.Second

func (h handler) stamp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != tsp.QueryType {
		w.Header().Set("Accept-Post", tsp.QueryType)
		text(w, r, http.StatusUnsupportedMediaType, "A time-stamp request has the content type "+tsp.QueryType+".")
		return
	}
	id := r.PathValue("unit")
	if !plain(id) {
		http.NotFound(w, r)
		return
	}
	// The server lifts the deadline before the next request. A writer that knows
	// no deadlines has none.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	// One byte more than allowed is read, to see that it is too much.
	request, err := io.ReadAll(io.LimitReader(r.Body, tsp.MaxRequest+1))
	if err != nil {
		reply(w, tsp.Reject(tsp.BadDataFormat, "the request did not arrive whole").Response())
		return
	}
	if len(request) > tsp.MaxRequest {
		text(w, r, http.StatusRequestEntityTooLarge, "A time-stamp request has at most 16 KiB. Send the hash, not the data.")
		return
	}
	answer, err := h.units.Stamp(r.Context(), id, request)
	if errors.Is(err, fault.NotFound) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		telemetry.Logger(r.Context()).ErrorContext(r.Context(), "stamping failed", "unit", id, "error", err)
	}
	reply(w, answer)
}

func wrongMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Allow", http.MethodPost)
	text(w, r, http.StatusMethodNotAllowed, "This is the address of a time-stamping unit. Send a request with POST and the content type "+tsp.QueryType+" (RFC 3161, section 3.4).")
}

// reply sends an answer of the protocol. To HTTP a rejection is one like any
// other.
func reply(w http.ResponseWriter, answer []byte) {
	w.Header().Set("Content-Type", tsp.ReplyType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer) // the caller may be gone
}

// text sends an error of HTTP, for a person to read.
func text(w http.ResponseWriter, r *http.Request, status int, message string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, message+" (correlation "+telemetry.Correlation(r.Context())+")\n")
}

// plain keeps what cannot be a unit's id away from the database and the log.
func plain(id string) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 40
}
