// Package api serves the product's own REST API under /api/v1, and describes it
// in OpenAPI 3.1 at /api/v1/openapi.json and /api/v1/openapi.yaml.
//
// [New] gives one handler for both hosts: on the main host callers show an API
// token, on the clientauth host an API client certificate (package caller).
// Every refusal is a problem document (RFC 9457) with a code that programs can
// match, what to do next, the field at fault and the correlation id; errors of
// form, such as an unknown field, come in the same shape.
//
// The package translates and calls one domain for each operation. It holds no
// state and no rules of its own.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/caller"
	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/wscert"
)

// Prefix is where the API lives on its hosts.
const Prefix = "/api/v1"

// Deps are the domains and platform parts behind the API.
type Deps struct {
	DB          *store.DB
	Callers     *caller.Authenticator
	Access      *access.Directory
	Orders      *wscert.Engine
	APICerts    *apicert.Desk
	Authority   *authority.Authorities
	Audit       *audit.Log
	Outbox      *outbox.Outbox
	Queue       *jobs.Queue
	Idempotency *idempotency.Keys
	Version     string // of the product, for the description
}

// server is the handler that New returns.
type server struct {
	Deps
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
}

// New builds the handler. It expects paths that begin with [Prefix].
func New(d Deps) http.Handler {
	s := &server{Deps: d, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	api := humago.NewWithPrefix(s.mux, Prefix, s.config())
	api.UseMiddleware(answer)
	r := registrar{api}
	s.me(r)
	s.certificates(r)
	s.orders(r)
	s.clients(r)
	s.services(r)
	s.orderers(r)
	s.accounts(r)
	s.grants(r)
	s.authorities(r)
	s.log(r)
	s.messages(r)
	s.jobs(r)
	s.describe(api.OpenAPI())
	return s
}

// A visit is what a handler may need to know of its request.
type visit struct {
	caller caller.Caller
	url    *url.URL
}

type visitKey struct{}

// scope is the caller of the request that ctx belongs to.
func scope(ctx context.Context) access.Scope { return visitOf(ctx).caller.Scope }

func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit) // without one the zero Scope allows nothing
	return v
}

// ServeHTTP finds the operation, then the caller, and only then looks at the
// request: an unknown caller learns nothing but how to prove who it is.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	found, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.unmatched(w, r, found)
		return
	}
	r.Pattern = pattern // for the access log, which holds this request and not the copy made below
	if public(r.URL.Path) {
		s.mux.ServeHTTP(w, r)
		return
	}
	// A browser in which the certificate is installed would show it to any
	// page's requests.
	if err := s.origin.Check(r); err != nil {
		refuse(w, r, fault.Forbiddenf("caller.cross_origin", "The request was made by a page of another site.").WithCause(err))
		return
	}
	c, ctx, err := s.Callers.Authenticate(r)
	if err == nil {
		err = checkBody(r)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	s.mux.ServeHTTP(w, r.WithContext(context.WithValue(ctx, visitKey{}, visit{c, r.URL})))
}

// unmatched answers for a path or method that does not exist. The mux's own
// answer tells which of the two it is.
func (s *server) unmatched(w http.ResponseWriter, r *http.Request, found http.Handler) {
	d := &discard{header: http.Header{}}
	found.ServeHTTP(d, r)
	if allow := d.header.Get("Allow"); d.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		refuse(w, r, &withStatus{fault.Invalidf("request.method", "%s is not a method of this address.", r.Method).WithNext("Use one of: %s.", allow), d.status})
		return
	}
	refuse(w, r, fault.NotFoundf("request.path", "There is no such address.").WithNext("See %s/openapi.json for those that exist.", Prefix))
}

// discard keeps the status and header of an answer that is not sent.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

func public(path string) bool {
	return path == Prefix+"/openapi.json" || path == Prefix+"/openapi.yaml"
}

// describe serves the description, which is made once: it is the same for
// everybody.
func (s *server) describe(doc *huma.OpenAPI) {
	tidy(doc)
	asJSON, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Errorf("the API cannot be described: %w", err)) // a defect in this package, met by every test
	}
	asYAML, err := doc.YAML()
	if err != nil {
		panic(fmt.Errorf("the API cannot be described: %w", err))
	}
	serve := func(path, contentType string, text []byte) {
		s.mux.HandleFunc("GET "+Prefix+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(text) // the caller may be gone
		})
	}
	serve("/openapi.json", "application/openapi+json", asJSON)
	serve("/openapi.yaml", "application/openapi+yaml", asYAML)
}

func correlation(r *http.Request) string { return telemetry.Correlation(r.Context()) }
