package api

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealwright/sealwright/internal/endpoint/caller"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// problem is what every refusal looks like. It is [fault.Problem] with what
// concerns this API only.
type problem struct {
	Type        string         `json:"type" doc:"The code as a URN." example:"urn:sealwright:problem:order.life"`
	Title       string         `json:"title" doc:"The kind of problem, in words." example:"invalid"`
	Status      int            `json:"status" doc:"The HTTP status." example:"400"`
	Detail      string         `json:"detail,omitempty" doc:"What happened, to which object." example:"A client certificate lives at most until 2028-03-02."`
	Code        string         `json:"code" doc:"What programs match; it does not change." example:"order.life"`
	Next        string         `json:"next,omitempty" doc:"What to do next." example:"Ask for a shorter life."`
	Field       string         `json:"field,omitempty" doc:"The input field at fault." example:"life"`
	Correlation string         `json:"correlation,omitempty" doc:"Names this request in our log; report it." example:"5f0c2a9be1d34c77"`
	Order       string         `json:"order,omitempty" doc:"The order that exists in spite of the problem: look at it instead of ordering again." example:"ord-0198b6a2-7d51-7c1e-9a55-0c7b3a3f9d10"`
	Errors      []fieldProblem `json:"errors,omitempty" nullable:"false" doc:"All fields at fault, when there are several."`

	retryAfter time.Duration
	challenge  string
	cause      error
}

// fieldProblem is one of several fields at fault.
type fieldProblem struct {
	Field  string `json:"field" doc:"The input field." example:"life.years"`
	Detail string `json:"detail" doc:"What is wrong with it." example:"expected integer"`
}

func problemOf(err error, correlation string) *problem {
	f := fault.Of(err)
	p := f.Problem(correlation)
	out := &problem{
		Type: p.Type, Title: p.Title, Status: p.Status, Detail: p.Detail, Code: p.Code, Next: p.Next, Field: p.Field, Correlation: p.Correlation,
		retryAfter: f.RetryAfter, cause: err,
	}
	switch f.Kind {
	case fault.Unauthenticated:
		out.challenge = caller.Challenge(err)
	case fault.Unavailable:
		out.retryAfter = max(out.retryAfter, 5*time.Second)
	}
	var made *madeOrder
	if errors.As(err, &made) {
		out.Order = made.id
	}
	var other *withStatus
	if errors.As(err, &other) {
		out.Status = other.status
	}
	return out
}

// withStatus is an error for which HTTP has a status more exact than that of
// its kind.
type withStatus struct {
	error
	status int
}

func (w *withStatus) Unwrap() error { return w.error }

// Error, GetStatus, ContentType and GetHeaders make a problem an error that
// huma writes as it is.
func (p *problem) Error() string             { return p.cause.Error() }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return "application/problem+json" }
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10))
	}
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	return h
}

// write answers outside of huma.
func (p *problem) write(w http.ResponseWriter) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller may be gone
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	logInternal(r.Context(), err)
	problemOf(err, correlation(r)).write(w)
}

// logInternal keeps the cause of what callers are shown without it.
func logInternal(ctx context.Context, err error) {
	if f := fault.Of(err); f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		telemetry.Logger(ctx).ErrorContext(ctx, "API request failed", "error", err)
	}
}

// A madeOrder is an error after which an order exists all the same.
type madeOrder struct {
	error
	id string
}

func (m *madeOrder) Unwrap() error { return m.error }

// answer is the middleware in which huma's own errors become ours: the text by
// [translate], the status here.
func answer(ctx huma.Context, next func(huma.Context)) { next(&exchange{ctx}) }

// An exchange gives a request that is wrong in form the status of all other
// invalid requests.
type exchange struct{ humaContext }

// humaContext is [huma.Context], whose own name is that of one of its methods.
type humaContext = huma.Context

// Unwrap lets humago find its own context.
func (x *exchange) Unwrap() huma.Context { return x.humaContext }

// SetStatus implements [huma.Context].
func (x *exchange) SetStatus(status int) {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	x.humaContext.SetStatus(status)
}

// translate makes our problems of huma's errors. What was sent is not repeated
// in the answer, because it may be a secret.
func translate(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	var fields []fieldProblem
	for _, d := range e.Errors {
		if d != nil {
			fields = append(fields, fieldProblem{Field: fieldName(d.Location), Detail: d.Message})
		}
	}
	slices.SortFunc(fields, func(a, b fieldProblem) int { return strings.Compare(a.Field, b.Field) })
	var f *fault.Fault
	switch {
	case e.Status == http.StatusRequestEntityTooLarge:
		f = fault.New(fault.TooLarge, "request.too_large", "The request's body is larger than %d bytes.", maxBody)
	case e.Status == http.StatusRequestTimeout:
		f = fault.Invalidf("request.slow", "The request's body did not arrive in time.")
	case e.Status >= http.StatusInternalServerError:
		return problemOf(errors.New(e.Detail), telemetry.Correlation(ctx.Context())), nil
	case len(fields) > 0:
		f = fault.Invalidf("request.invalid", "%s: %s.", fields[0].Field, fields[0].Detail).WithField(fields[0].Field).
			WithNext("See %s/openapi.json for what this operation takes.", Prefix)
	default:
		f = fault.Invalidf("request.invalid", "%s.", e.Detail).WithNext("See %s/openapi.json for what this operation takes.", Prefix)
	}
	p := problemOf(f, telemetry.Correlation(ctx.Context()))
	if len(fields) > 1 {
		p.Errors = fields
	}
	return p, nil
}

// fieldName drops where a field stands, which callers know.
func fieldName(location string) string {
	for _, where := range []string{"body.", "query.", "path.", "header."} {
		if name, ok := strings.CutPrefix(location, where); ok {
			return name
		}
	}
	return location
}

// maxBody bounds a request's body; the largest there is holds a certificate
// request with an RSA key of 4096 bits, about 2 KB.
const maxBody = 64 << 10

const typeJSON = "application/json"

// checkBody refuses a body that is not declared as JSON.
func checkBody(r *http.Request) error {
	if r.ContentLength == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if r.ContentLength > maxBody {
		return fault.New(fault.TooLarge, "request.too_large", "The request's body is larger than %d bytes.", maxBody)
	}
	header := r.Header.Get("Content-Type")
	if header == typeJSON {
		return nil
	}
	t, params, err := mime.ParseMediaType(header)
	charset, has := params["charset"]
	if err == nil && t == typeJSON && (!has || strings.EqualFold(charset, "utf-8")) {
		return nil
	}
	return &withStatus{fault.Invalidf("request.content_type", "The body's content type %q is not %s.", header, typeJSON).
		WithNext("Send JSON and say so: Content-Type: %s", typeJSON), http.StatusUnsupportedMediaType}
}
