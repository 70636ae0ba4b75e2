package va

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/ocsp"
)

const ocspType = "application/ocsp-response"

// bodyTime is how long a request of at most 64 KiB may take to arrive.
const bodyTime = 10 * time.Second

func (h *handler) ocspPost(w http.ResponseWriter, r *http.Request) {
	// The server lifts the deadline before the next request. A writer that knows
	// no deadlines has none.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	// One byte more than allowed is read, so that the parser sees that it is too much.
	request, err := io.ReadAll(io.LimitReader(r.Body, ocsp.MaxRequest+1))
	if err != nil {
		writeOCSP(w, ocsp.Malformed.DER())
		return
	}
	der, _ := h.answer(r, r.PathValue("id"), request)
	writeOCSP(w, der)
}

// maxEncoded bounds a request in a path. RFC 5019 (section 5) asks clients to
// stay below 255 octets.
const maxEncoded = 4 << 10

func (h *handler) ocspGet(w http.ResponseWriter, r *http.Request, id, encoded string) {
	request, err := decode(encoded)
	if err != nil {
		writeOCSP(w, ocsp.Malformed.DER())
		return
	}
	der, until := h.answer(r, id, request)
	now := h.clock.Now()
	if !until.After(now) {
		writeOCSP(w, der)
		return
	}
	// RFC 5019, section 6.2.
	header := w.Header()
	header.Set("Content-Type", ocspType)
	header.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(der)))
	header.Set("Expires", until.UTC().Format(http.TimeFormat))
	header.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", min(ocspAge, until.Sub(now))/time.Second))
	http.ServeContent(w, r, "", now, bytes.NewReader(der))
}

// answer always has one; until is when it must no longer be kept, zero if it
// may not be kept at all.
func (h *handler) answer(r *http.Request, id string, request []byte) (der []byte, until time.Time) {
	if !plain(id) {
		return ocsp.Unauthorized.DER(), until
	}
	a, err := h.authorities.AnswerOCSP(r.Context(), id, request)
	if err != nil && !errors.Is(err, fault.NotFound) {
		h.log(r, err)
	}
	if err != nil && len(a.DER) == 0 {
		a.DER = ocsp.InternalError.DER()
	}
	return a.DER, a.NextUpdate
}

// writeOCSP writes an answer that is not to be kept. OCSP has its own errors;
// to HTTP they are answers like any other (RFC 6960, appendix A.2).
func writeOCSP(w http.ResponseWriter, der []byte) {
	w.Header().Set("Content-Type", ocspType)
	w.Header().Set("Cache-Control", "no-store")
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
	text = strings.TrimRight(strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(text), "=")
	der, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(der) == 0 {
		return nil, errEncoding
	}
	return der, nil
}
