package house

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/console"
	"github.com/sealwright/sealwright/internal/endpoint/web/guide"
	"github.com/sealwright/sealwright/internal/endpoint/web/pickup"
)

// hsts tells browsers to come back over TLS only, for a year. A development
// installation does not: its certificates come from an authority of its own.
func (h *House) hsts() time.Duration {
	if h.Config.Dev.Enabled {
		return 0
	}
	return 365 * 24 * time.Hour
}

// pages serves the main listener: the API and everything people look at.
func (h *House) pages() (http.Handler, error) {
	reach := map[access.Realm]guide.Params{}
	for _, realm := range access.Realms() {
		p, err := h.reach(realm)
		if err != nil {
			return nil, err
		}
		reach[realm] = p
	}
	c := h.Config.Contact
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", h.api(nil))
	mux.Handle("/pickup/", pickup.New(pickup.Deps{
		Desk: h.Handover, Orders: h.WSCerts, Clock: h.Clock, BaseURL: h.Config.Server.PublicURL, Contact: pickup.Contact(c),
		Guide: func(realm access.Realm) guide.Params { return reach[realm] }, HSTS: h.hsts(), Version: h.version,
	}))
	mux.Handle("/", console.New(console.Deps{
		DB: h.DB, Clock: h.Clock, Access: h.Access, Orders: h.WSCerts, APICerts: h.APICerts, Authority: h.Authority, Audit: h.Audit,
		Outbox: h.Outbox, Dev: h.Dev, Queue: h.Queue, Idempotency: h.Idempotency, Version: h.version, HSTS: h.hsts(),
	}))
	h.Health.Register(mux)
	return mux, nil
}

// reach says how the web services of a realm are reached, for install guides.
func (h *House) reach(realm access.Realm) (guide.Params, error) {
	env := h.Config.Environment.Production
	if realm == access.Preprod {
		env = h.Config.Environment.Preprod
	}
	u, err := url.Parse(env.PublicURL)
	if err != nil {
		return guide.Params{}, err
	}
	p := guide.Params{Host: u.Hostname(), Port: 443}
	if _, port, err := net.SplitHostPort(u.Host); err == nil {
		if p.Port, err = strconv.Atoi(port); err != nil {
			return p, err
		}
	}
	if env.TLS.Certificate == "" {
		p.TrustFile = "trust.pem"
	}
	return p, nil
}
