// Package va publishes what relying parties need to judge certificates:
//
//	GET  /ca/{id}.crt          an authority's certificate, DER
//	GET  /ca/{id}.pem          the same with its chain up to the root, PEM
//	GET  /crl/{id}.crl         the current revocation list, DER
//	POST /ocsp/{id}            OCSP (RFC 6960)
//	GET  /ocsp/{id}/{request}  OCSP with the request in base64 (RFC 5019)
//
// The addresses stand in certificates and never change. Everything is public,
// signed by itself and served over plain HTTP: a client that must first check a
// TLS server's certificate cannot fetch its status over TLS (RFC 5280, section 8).
//
// Base64 has slashes, also two in a row, which a ServeMux takes for a path to be
// tidied: serve the handler directly or behind middleware, not behind another mux.
package va

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

type handler struct {
	authorities *authority.Authorities
	clock       clock.Clock
	mux         *http.ServeMux
}

// New returns the handler for all authorities of the installation.
func New(a *authority.Authorities, c clock.Clock) http.Handler {
	h := &handler{authorities: a, clock: c, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /ca/{file}", h.certificate)
	h.mux.HandleFunc("GET /crl/{file}", h.crl)
	h.mux.HandleFunc("POST /ocsp/{id}", h.ocspPost)
	return h
}

// ocspGet is the pattern that logs and metrics show for requests that do not
// pass through the mux.
const ocspGet = "GET /ocsp/{id}/{request}"

// ServeHTTP takes OCSP requests in GET before the mux would tidy their path.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/ocsp/"); ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if id, request, ok := strings.Cut(rest, "/"); ok {
			r.Pattern = ocspGet
			h.ocspGet(w, r, id, request)
			return
		}
	}
	h.mux.ServeHTTP(w, r)
}

// How long caches may keep what is published. A list stays valid for days, but
// one with a new withdrawal should spread soon.
const (
	certificateAge = 24 * time.Hour
	crlAge         = 10 * time.Minute
	ocspAge        = time.Hour
)

func (h *handler) certificate(w http.ResponseWriter, r *http.Request) {
	id, ext := split(r.PathValue("file"))
	if ext != "crt" && ext != "pem" {
		http.NotFound(w, r)
		return
	}
	chain, err := h.authorities.Chain(r.Context(), id)
	if err != nil || len(chain) == 0 || len(chain[0]) == 0 {
		h.refuse(w, r, err) // one that waits for its certificate has nothing to publish
		return
	}
	kind, body := "application/pkix-cert", chain[0]
	if ext == "pem" {
		kind, body = "application/pem-certificate-chain", pemChain(chain) // RFC 8555, section 9.1
	}
	h.describe(w, kind, id+"."+ext, certificateAge)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func pemChain(chain [][]byte) []byte {
	var b []byte
	for _, der := range chain {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return b
}

func (h *handler) crl(w http.ResponseWriter, r *http.Request) {
	id, ext := split(r.PathValue("file"))
	if ext != "crl" {
		http.NotFound(w, r)
		return
	}
	c, err := h.authorities.CurrentCRL(r.Context(), id)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	content, err := h.authorities.OpenCRL(r.Context(), c)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer content.Close()
	h.describe(w, "application/pkix-crl", id+".crl", min(crlAge, c.NextUpdate.Sub(h.clock.Now())))
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d-%d"`, id, c.Number, c.ThisUpdate.Unix()))
	http.ServeContent(w, r, "", c.ThisUpdate, content)
}

// describe sets the headers of something public.
func (h *handler) describe(w http.ResponseWriter, contentType, file string, age time.Duration) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", max(0, int64(age/time.Second))))
}

// split takes "id.ext" apart.
func split(file string) (id, ext string) {
	i := strings.LastIndexByte(file, '.')
	if i < 0 || !plain(file[:i]) {
		return "", ""
	}
	return file[:i], file[i+1:]
}

// plain keeps what cannot be an authority's id away from database and headers.
func plain(id string) bool {
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 40
}

// refuse answers 404 for what is not there and 5xx for what cannot be had now.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil || errors.Is(err, fault.NotFound) {
		http.NotFound(w, r)
		return
	}
	h.log(r, err)
	fault.WriteText(w, err, telemetry.Correlation(r.Context()))
}

func (h *handler) log(r *http.Request, err error) {
	telemetry.Logger(r.Context()).ErrorContext(r.Context(), "publishing failed", "error", err)
}
