package fault

import (
	"encoding/json"
	"net/http"
	"strconv"
)

var statuses = [...]int{
	Internal: 500, Invalid: 400, NotFound: 404, Conflict: 409, Gone: 410, Forbidden: 403,
	Unauthenticated: 401, TooMany: 429, TooLarge: 413, Unavailable: 503,
}

// Status is the HTTP status of the kind (RFC 9110, section 15).
func (k Kind) Status() int {
	if int(k) < len(statuses) {
		return statuses[k]
	}
	return http.StatusInternalServerError
}

// A Problem is the RFC 9457 form of a fault.
type Problem struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Status      int    `json:"status"`
	Detail      string `json:"detail,omitempty"`
	Code        string `json:"code"`
	Next        string `json:"next,omitempty"`
	Field       string `json:"field,omitempty"`
	Correlation string `json:"correlation,omitempty"`
}

// Problem translates the fault; correlation is the request's id.
func (f *Fault) Problem(correlation string) Problem {
	return Problem{
		Type: "urn:sealwright:problem:" + f.Code, Title: f.Kind.Error(), Status: f.Kind.Status(),
		Detail: f.Message, Code: f.Code, Next: f.Next, Field: f.Field, Correlation: correlation,
	}
}

// WriteProblem answers with the fault inside err as application/problem+json.
func WriteProblem(w http.ResponseWriter, err error, correlation string) {
	f := Of(err)
	f.setRetryAfter(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Kind.Status())
	_ = json.NewEncoder(w).Encode(f.Problem(correlation)) // the caller may be gone; nobody is left to tell
}

// WriteText answers with the fault inside err as readable plain text, for
// clients that show the body to a person.
func WriteText(w http.ResponseWriter, err error, correlation string) {
	f := Of(err)
	f.setRetryAfter(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Kind.Status())
	text := f.Message
	if f.Next != "" {
		text += " " + f.Next
	}
	_, _ = w.Write([]byte(text + " (" + f.Code + ", correlation " + correlation + ")\n"))
}

func (f *Fault) setRetryAfter(h http.Header) {
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.RetryAfter+999_999_999)/1_000_000_000)))
	} else if f.Kind == Unavailable {
		h.Set("Retry-After", "5")
	}
}
