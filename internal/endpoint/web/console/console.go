// Package console serves the operators' pages: log-in, orders, clients and their
// people, operators and rights, "my details", the outbox, the audit log,
// authorities and background work.
//
// [New] gives one handler for everything below "/" that is not somebody else's.
// Pages are rendered on the server and work without a script; htmx and two small
// modules only add comfort. A page is a Go function: it asks a domain with the
// scope of the session, and composes components of package ui. It holds no rules:
// what the caller may not do, the domain refuses, and the page says so.
//
// Every text of this package passes through visit.say, the one place where it can
// be translated.
package console

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate -path .

import (
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

// Deps are the domains and platform parts behind the pages.
type Deps struct {
	DB          *store.DB
	Clock       clock.Clock
	Access      *access.Directory
	Orders      *wscert.Engine
	APICerts    *apicert.Desk
	Authority   *authority.Authorities
	Audit       *audit.Log
	Outbox      *outbox.Outbox
	Dev         *outbox.Dev // nil outside of development mode: shows messages with their secrets
	Queue       *jobs.Queue
	Idempotency *idempotency.Keys
	Version     string        // of the product, for the footer
	HSTS        time.Duration // see [theme.Headers]; zero sends none
}

type console struct {
	Deps
	mux *http.ServeMux
}

// New builds the handler of the pages. It expects to be reached over TLS: the
// session cookie is a secure one. It also serves the static files and the theme
// switch that its pages need.
func New(d Deps) http.Handler {
	c := &console{Deps: d, mux: http.NewServeMux()}
	c.mux.Handle("/static/", theme.Handler())
	c.mux.Handle(theme.SwitchPath, theme.SwitchHandler())
	c.mux.Handle(assetPrefix, assets())
	for _, r := range c.routes() {
		c.mux.Handle(r.pattern, c.serve(r))
	}
	c.mux.Handle("/", c.serve(route{"", open, c.notFound}))
	// A page of another site can send a form here, but not without the browser
	// saying so; see the design on CSRF.
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(c.serve(route{"", open, func(*visit) error {
		return fault.Forbiddenf("request.cross_origin", "The request was made by a page of another site; nothing was done.").
			WithNext("If you meant to do this, do it from the pages here.")
	}}))
	return theme.Headers{Policy: theme.DefaultPolicy(), HSTS: d.HSTS}.Wrap(origin.Handler(c.mux))
}

// A level is what a page asks of the session.
type level int

const (
	open   level = iota // nothing
	begun               // a session at any stage
	member              // signed in
)

// A route is a page or an act.
type route struct {
	pattern string
	level   level
	handle  func(*visit) error
}

// routes lists everything, in the order of the menu.
func (c *console) routes() []route {
	var all []route
	for _, part := range [][]route{
		c.loginRoutes(), c.factorRoutes(), c.dashboardRoutes(), c.orderRoutes(), c.clientRoutes(), c.serviceRoutes(), c.ordererRoutes(),
		c.accountRoutes(), c.operatorRoutes(), c.roleRoutes(), c.credentialRoutes(), c.meRoutes(), c.outboxRoutes(), c.auditRoutes(),
		c.authorityRoutes(), c.jobRoutes(),
	} {
		all = append(all, part...)
	}
	return all
}

func (c *console) notFound(v *visit) error {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return fault.NotFoundf("request.path", "There is no such address.")
	}
	return fault.NotFoundf("request.path", "There is no page at this address.").WithNext("Use the menu to find what you were looking for.")
}
