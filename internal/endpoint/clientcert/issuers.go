package clientcert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// issuers are the authorities, as they were read at a moment.
type issuers struct {
	all []*authority.Authority
	at  time.Time
}

// issuersLife bounds how old the list is. It only decides which authorities are
// known; whether a certificate of theirs holds is asked elsewhere and live.
const issuersLife = time.Second

func (v *Verifier) readIssuers(ctx context.Context) (*issuers, error) {
	list, err := v.authorities.List(ctx)
	if err != nil {
		return nil, err
	}
	i := &issuers{list, v.clock.Now()}
	v.issuers.Store(i)
	return i, nil
}

// issuerOf finds the authority whose key signed the certificate. A name alone
// proves nothing: anybody can make an authority with our names.
func (v *Verifier) issuerOf(ctx context.Context, leaf *x509.Certificate) (*authority.Authority, error) {
	i := v.issuers.Load()
	if i != nil && v.clock.Now().Before(i.at.Add(issuersLife)) {
		if x := i.find(leaf); x != nil {
			return x, nil
		}
	}
	// The authority may be new.
	i, err := v.readIssuers(ctx)
	if err != nil {
		return nil, err
	}
	if x := i.find(leaf); x != nil {
		return x, nil
	}
	return nil, reasonForeign
}

func (i *issuers) find(leaf *x509.Certificate) *authority.Authority {
	for _, x := range i.all {
		if x.Certificate != nil && bytes.Equal(x.Certificate.RawSubject, leaf.RawIssuer) && leaf.CheckSignatureFrom(x.Certificate) == nil {
			return x
		}
	}
	return nil
}

// namesLife is how long a listener goes on naming the same authorities.
const namesLife = 10 * time.Second

// TLSConfig returns a configuration for a listener that asks for client
// certificates of a realm. It names the realm's authorities in the handshake,
// by which TLS libraries choose among their certificates; new authorities are
// named within seconds. base supplies the rest and is not changed; for HTTP/2 it
// must list the protocols itself, since what an http.Server adds later does not
// reach the connections.
func (v *Verifier) TLSConfig(base *tls.Config, realm string) *tls.Config {
	cfg := base.Clone()
	// Not VerifyClientCertIfGiven: Go would end the handshake with an alert that
	// tells the integrator nothing.
	cfg.ClientAuth = tls.RequestClientCert
	n := &names{verifier: v, realm: realm, base: cfg.Clone()}
	n.current.Store(&named{config: n.base})
	cfg.GetConfigForClient = n.get
	return cfg
}

// names keeps the configuration that is handed to connections.
type names struct {
	verifier *Verifier
	realm    string
	base     *tls.Config
	current  atomic.Pointer[named]
	reading  sync.Mutex
}

type named struct {
	config *tls.Config
	until  time.Time
}

// get never makes a handshake wait for another one's reading, nor fail:
// without names it works as well, and Identify decides anyway.
func (n *names) get(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c, now := n.current.Load(), n.verifier.clock.Now()
	if now.Before(c.until) || !n.reading.TryLock() {
		return c.config, nil
	}
	defer n.reading.Unlock()
	ctx := hello.Context()
	next := &named{config: c.config, until: now.Add(namesLife)}
	if i, err := n.verifier.readIssuers(ctx); err == nil {
		next.config = n.base.Clone()
		next.config.ClientCAs = i.pool(n.realm)
	} else {
		telemetry.Logger(ctx).WarnContext(ctx, "the authorities to name in TLS handshakes could not be read", "error", err)
	}
	n.current.Store(next)
	return next.config, nil
}

// pool holds the authorities for clients of a realm and the roots above them:
// some libraries look for the direct issuer, others for any name in their chain.
func (i *issuers) pool(realm string) *x509.CertPool {
	pool := x509.NewCertPool()
	roots := map[string]bool{}
	for _, x := range i.all {
		if x.Realm == realm && x.Purpose == authority.ClientAuth && x.Certificate != nil {
			pool.AddCert(x.Certificate)
			roots[x.Parent] = true
		}
	}
	for _, x := range i.all {
		if roots[x.ID] && x.Certificate != nil {
			pool.AddCert(x.Certificate)
		}
	}
	return pool
}
