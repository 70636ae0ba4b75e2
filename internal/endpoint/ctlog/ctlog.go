// Package ctlog serves Certificate Transparency logs over HTTP (RFC 6962,
// section 4), each under its own address:
//
//	POST /ctlog/{log}/ct/v1/add-chain             a certificate with its chain
//	POST /ctlog/{log}/ct/v1/add-pre-chain         a pre-certificate with its chain
//	GET  /ctlog/{log}/ct/v1/get-sth               the signed tree head
//	GET  /ctlog/{log}/ct/v1/get-sth-consistency   first, second
//	GET  /ctlog/{log}/ct/v1/get-proof-by-hash     hash, tree_size
//	GET  /ctlog/{log}/ct/v1/get-entries           start, end
//	GET  /ctlog/{log}/ct/v1/get-roots
//	GET  /ctlog/{log}/ct/v1/get-entry-and-proof   leaf_index, tree_size
//
// Everything is public and needs no caller: what is accepted is what accepted
// roots vouch for. Errors are JSON with error_message for people and error_code
// for programs, and Retry-After where it helps. A submission has at most 1 MiB
// and ten seconds to arrive; at most 64 are worked on at once.
package ctlog

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/ctlog"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/pki/ct"
)

const (
	maxBody        = 1 << 20
	bodyTime       = 10 * time.Second
	maxSubmissions = 64
)

type handler struct {
	logs  map[string]*ctlog.Log
	slots chan struct{}
	mux   *http.ServeMux
}

// New returns the handler for logs of different names.
func New(logs ...*ctlog.Log) http.Handler {
	h := &handler{logs: map[string]*ctlog.Log{}, slots: make(chan struct{}, maxSubmissions), mux: http.NewServeMux()}
	for _, l := range logs {
		h.logs[l.Name()] = l
	}
	h.handle(http.MethodPost, "add-chain", h.submission((*ctlog.Log).AddChain))
	h.handle(http.MethodPost, "add-pre-chain", h.submission((*ctlog.Log).AddPreChain))
	h.handle(http.MethodGet, "get-sth", treeHead)
	h.handle(http.MethodGet, "get-sth-consistency", consistency)
	h.handle(http.MethodGet, "get-proof-by-hash", proofByHash)
	h.handle(http.MethodGet, "get-entries", entries)
	h.handle(http.MethodGet, "get-roots", roots)
	h.handle(http.MethodGet, "get-entry-and-proof", entryAndProof)
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, r, errNoPage) })
	return h
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

var errNoPage = fault.NotFoundf("ctlog.no_page", "There is no such log or no such function.")

// An answerer gives the answer of one log to one request.
type answerer func(l *ctlog.Log, w http.ResponseWriter, r *http.Request) (any, error)

func (h *handler) handle(method, name string, answer answerer) {
	h.mux.HandleFunc("/ctlog/{log}/ct/v1/"+name, func(w http.ResponseWriter, r *http.Request) {
		l := h.logs[r.PathValue("log")]
		if l == nil {
			refuse(w, r, errNoPage)
			return
		}
		if r.Method != method {
			w.Header().Set("Allow", method)
			write(w, http.StatusMethodNotAllowed, ct.ErrorResponse{Message: "Use " + method + ".", Code: "ctlog.method"})
			return
		}
		body, err := answer(l, w, r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		write(w, http.StatusOK, body)
	})
}

// submission reads a chain and hands it to a log. More than maxSubmissions at
// once are turned away rather than queued: the caller has other logs.
func (h *handler) submission(add addFunc) answerer {
	return func(l *ctlog.Log, w http.ResponseWriter, r *http.Request) (any, error) {
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
		default:
			return nil, fault.TooManyf(time.Second, "ctlog.busy", "Too many submissions at once.").WithNext("Try again in a moment.")
		}
		// The server lifts the deadline before the next request. A writer that
		// knows no deadlines has none.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return nil, unread(err)
		}
		chain, err := decodeChain(body)
		if err != nil {
			return nil, err
		}
		sct, err := add(l, r.Context(), chain)
		if err != nil {
			return nil, err
		}
		return sct.AddChainResponse()
	}
}

func unread(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault.New(fault.TooLarge, "ctlog.too_large", "A submission has at most %d bytes.", maxBody)
	}
	return fault.Invalidf("ctlog.body", "The submission did not arrive.").WithCause(err)
}

// decodeChain reads the body of a submission. Members that it does not know are
// passed over, as section 4 asks.
func decodeChain(body []byte) ([][]byte, error) {
	var request ct.AddChainRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, fault.Invalidf("ctlog.body", "The submission is not a JSON object with an array of base64 strings, \"chain\".").WithField("chain")
	}
	if len(request.Chain) == 0 {
		return nil, fault.Invalidf("ctlog.body", "The submission has no chain.").WithField("chain")
	}
	return request.Chain, nil
}

// number reads a parameter: decimal digits and nothing else.
func number(r *http.Request, name string) (int64, error) {
	n, err := strconv.ParseUint(r.URL.Query().Get(name), 10, 63)
	if err != nil {
		return 0, fault.Invalidf("ctlog.parameter", "The parameter %q is missing or not a number.", name).WithField(name)
	}
	return int64(n), nil
}

// numbers reads two parameters.
func numbers(r *http.Request, first, second string) (a, b int64, err error) {
	if a, err = number(r, first); err != nil {
		return 0, 0, err
	}
	b, err = number(r, second)
	return a, b, err
}

// hash reads a hash in base64, whose plus signs often arrive as spaces.
func hash(r *http.Request) (h ct.Hash, err error) {
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(r.URL.Query().Get("hash"), " ", "+"))
	if err != nil || len(b) != len(h) {
		return h, fault.Invalidf("ctlog.parameter", "The parameter \"hash\" is not the base64 of 32 bytes.").WithField("hash")
	}
	copy(h[:], b)
	return h, nil
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

// refuse answers with the fault inside err. What is our own failure is logged
// and told without its text.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.Of(err)
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		telemetry.Logger(r.Context()).ErrorContext(r.Context(), "a transparency log failed", "error", err)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	text := f.Message
	if f.Next != "" && f.Kind != fault.Internal {
		text += " " + f.Next
	}
	if f.Kind == fault.Internal {
		text = "Something went wrong on our side (correlation " + telemetry.Correlation(r.Context()) + ")."
	}
	write(w, f.Kind.Status(), ct.ErrorResponse{Message: text, Code: f.Code})
}
