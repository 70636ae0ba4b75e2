package va

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ocsp"
)

const ocspType = "application/ocsp-response"

// bodyTime is how long a request of at most 64 KiB may take to arrive.
const bodyTime = 10 * time.Second

// bodies are buffers for requests; those that grew beyond the usual are not kept.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const usualBody = 4 << 10

func (h *handler) ocspPost(w http.ResponseWriter, r *http.Request, id string) {
	if r.ContentLength < 0 || r.ContentLength > usualBody {
		// The usual request comes in one piece with its header; for one that does
		// not, the server's own deadline will do. Setting one costs as much as the
		// answer. The server lifts it before the next request. A writer that knows
		// no deadlines has none.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
	body := bodies.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= usualBody {
			bodies.Put(body)
		}
	}()
	body.Reset()
	// One byte more than allowed is read, so that the parser sees that it is too much.
	if _, err := body.ReadFrom(io.LimitReader(r.Body, ocsp.MaxRequest+1)); err != nil {
		h.writeOCSP(w, ocsp.Malformed.DER())
		return
	}
	h.writeOCSP(w, h.answer(r, id, body.Bytes()).DER)
}

// maxEncoded bounds a request in a path. RFC 5019 (section 5) asks clients to
// stay below 255 octets.
const maxEncoded = 4 << 10

func (h *handler) ocspGet(w http.ResponseWriter, r *http.Request, id, encoded string) {
	request, err := decode(encoded)
	if err != nil {
		h.writeOCSP(w, ocsp.Malformed.DER())
		return
	}
	a := h.answer(r, id, request)
	now := h.clock.Now()
	if !a.NextUpdate.After(now) {
		h.writeOCSP(w, a.DER)
		return
	}
	// RFC 5019, section 6.2. The age of an answer that was signed ahead shows in
	// Last-Modified; for how long to keep it is counted from now.
	header, tag, seconds := w.Header(), tagOf(a.DER), int64(min(ocspAge, a.NextUpdate.Sub(now))/time.Second)
	header.Set("Content-Type", ocspType)
	header.Set("ETag", tag)
	header.Set("Last-Modified", a.ThisUpdate.UTC().Format(http.TimeFormat))
	header.Set("Expires", a.NextUpdate.UTC().Format(http.TimeFormat))
	header.Set("Cache-Control", "max-age="+strconv.FormatInt(seconds, 10)+", public, no-transform, must-revalidate")
	if unchanged(r, tag, a.ThisUpdate) {
		header.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(a.DER)))
	_, _ = w.Write(a.DER) // the caller may be gone
}

func tagOf(der []byte) string {
	sum := sha256.Sum256(der)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// unchanged answers conditional requests (RFC 9110, 13.2.2). An answer is a
// single tag of ours, so that lists and weak tags need no more than this.
func unchanged(r *http.Request, tag string, modified time.Time) bool {
	if tags := r.Header.Get("If-None-Match"); tags != "" {
		return strings.Contains(tags, tag) || strings.TrimSpace(tags) == "*"
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !modified.Truncate(time.Second).After(since)
}

// answer always has one.
func (h *handler) answer(r *http.Request, id string, request []byte) authority.OCSPAnswer {
	if !plain(id) {
		return authority.OCSPAnswer{DER: ocsp.Unauthorized.DER()}
	}
	a, err := h.authorities.AnswerOCSP(r.Context(), id, request)
	if err != nil && !errors.Is(err, fault.NotFound) {
		h.log(r, err)
	}
	if err != nil && len(a.DER) == 0 {
		a.DER = ocsp.InternalError.DER()
	}
	return a
}

// writeOCSP writes an answer that is not to be kept. OCSP has its own errors;
// to HTTP they are answers like any other (RFC 6960, appendix A.2).
func (h *handler) writeOCSP(w http.ResponseWriter, der []byte) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = h.ocspType, h.noStore
	_, _ = w.Write(der) // the caller may be gone
}

var errEncoding = errors.New("not a request in base64")

// decode reads the base64 of a request from a path (RFC 6960, appendix A.1).
// Clients differ in what they percent-encode, whether they pad, and in the
// alphabet; a plus sign often arrives as a space.
func decode(path string) ([]byte, error) {
	if len(path) > maxEncoded {
		return nil, errEncoding
	}
	text, err := url.PathUnescape(path)
	if err != nil {
		return nil, errEncoding
	}
	der := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(der, bytes.Map(spelling, bytes.TrimRight([]byte(text), "=")))
	if err != nil || n == 0 {
		return nil, errEncoding
	}
	return der[:n], nil
}

func spelling(c rune) rune {
	switch c {
	case ' ', '-':
		return '+'
	case '_':
		return '/'
	}
	return c
}
