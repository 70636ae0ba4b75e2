// Package va publishes what relying parties need to judge certificates:
//
//	GET  /ca/{id}.crt          an authority's certificate, DER
//	GET  /ca/{id}.pem          the same with its chain up to the root, PEM
//	GET  /crl/{id}.crl         the current full revocation list, DER
//	GET  /crl/{id}/delta.crl   what changed since it
//	GET  /crl/{id}/{n}.crl     the list of one shard; {n}-delta.crl: what changed in it
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
	"strconv"
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

	// Values of headers that every answer has, not to be changed.
	nosniff, ocspType, noStore []string
}

// New returns the handler for all authorities of the installation.
func New(a *authority.Authorities, c clock.Clock) http.Handler {
	h := &handler{authorities: a, clock: c, mux: http.NewServeMux(), nosniff: []string{"nosniff"}, ocspType: []string{ocspType}, noStore: []string{"no-store"}}
	h.mux.HandleFunc("GET /ca/{file}", h.certificate)
	h.mux.HandleFunc("GET /crl/{file}", h.fullCRL)
	h.mux.HandleFunc("GET /crl/{id}/{file}", h.partCRL)
	h.mux.HandleFunc(ocspPost, func(w http.ResponseWriter, r *http.Request) { h.ocspPost(w, r, r.PathValue("id")) })
	return h
}

// The patterns that logs and metrics show for requests that do not pass through
// the mux.
const (
	ocspGet  = "GET /ocsp/{id}/{request}"
	ocspPost = "POST /ocsp/{id}"
)

// ServeHTTP takes OCSP requests in GET before the mux would tidy their path, and
// those in POST because they are many.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["X-Content-Type-Options"] = h.nosniff
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/ocsp/"); ok {
		id, request, more := strings.Cut(rest, "/")
		switch {
		case more && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			r.Pattern = ocspGet
			h.ocspGet(w, r, id, request)
			return
		case !more && r.Method == http.MethodPost:
			r.Pattern = ocspPost
			h.ocspPost(w, r, id)
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

func (h *handler) fullCRL(w http.ResponseWriter, r *http.Request) {
	id, ext := split(r.PathValue("file"))
	if ext != "crl" {
		http.NotFound(w, r)
		return
	}
	h.crl(w, r, authority.Scope{Authority: id}, id+".crl")
}

func (h *handler) partCRL(w http.ResponseWriter, r *http.Request) {
	s := authority.Scope{Authority: r.PathValue("id")}
	file := r.PathValue("file")
	name, ok := strings.CutSuffix(file, ".crl")
	if name == "delta" {
		s.Delta = true
	} else {
		name, s.Delta = strings.CutSuffix(name, "-delta")
		n, err := strconv.ParseUint(name, 10, 31)
		s.Shard, ok = int64(n), ok && err == nil && n > 0 && name[0] != '0' && name[0] != '+' //nolint:gosec // 31 bits
	}
	if !ok || !plain(s.Authority) {
		http.NotFound(w, r)
		return
	}
	h.crl(w, r, s, s.Authority+"-"+file)
}

func (h *handler) crl(w http.ResponseWriter, r *http.Request, s authority.Scope, file string) {
	c, err := h.authorities.CurrentList(r.Context(), s)
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
	h.describe(w, "application/pkix-crl", file, min(crlAge, c.NextUpdate.Sub(h.clock.Now())))
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d-%d-%d"`, s.Authority, s.Shard, c.Number, c.ThisUpdate.Unix()))
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
