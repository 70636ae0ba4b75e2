// Package clientcert tells who is behind a TLS client certificate.
//
// A listener built on [Verifier.TLSConfig] asks for a certificate but lets the
// handshake succeed without a good one, so that the caller gets an HTTP answer
// with a reason to act on instead of a broken connection; TLS itself has proved
// that the caller holds the private key. [Verifier.Identify] then decides, at
// each request:
//
//   - once per connection, and again after a minute: issuer, signature, purpose,
//     the service named in the certificate, and that the issuer is not withdrawn;
//   - at every request, from the database: that the certificate is in the
//     register with these bytes, is not withdrawn (N29), and is within its dates.
//
// The state of a certificate is never cached. A withdrawal on any node is
// refused by every node from the commit on; the price is one indexed read.
//
// Each refusal has a code and a sentence of its own, is counted, and stands in
// the audit log at most once a minute for each certificate and reason.
package clientcert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// WebService is the kind of the certificates that open a service's data (N7).
const WebService = "ws-ssl"

// Want says which certificates a listener accepts.
type Want struct {
	Realm string // whose authority must have issued it
	Kind  string // [WebService], or the kind of another domain such as "api"
}

// An Identity is a certificate that was accepted.
type Identity struct {
	authority.Record
	ServiceName string // as the certificate's subject alternative name has it; empty if it has none
}

// A Verifier identifies callers. Its methods may be called from any goroutine.
type Verifier struct {
	authorities *authority.Authorities
	db          *store.DB
	clock       clock.Clock
	issuers     atomic.Pointer[issuers]
	recent      recent
	refusals    refusals
}

// New makes a verifier. Its counter of refusals is registered with reg unless
// that is nil; only one verifier of a process can have the same registry.
func New(a *authority.Authorities, db *store.DB, log *audit.Log, c clock.Clock, reg prometheus.Registerer) *Verifier {
	v := &Verifier{authorities: a, db: db, clock: c}
	v.refusals.init(log, c, reg)
	return v
}

// A connection holds what does not change while a TLS connection lives.
type connection struct{ known atomic.Pointer[known] }

// known are the facts of the certificate that the connection shows.
type known struct {
	leaf *x509.Certificate
	*facts
}

type connectionKey struct{}

// ConnContext belongs into [http.Server.ConnContext]: it gives each connection
// a place for what is found out once. Without it everything is found out again
// at each request.
func (v *Verifier) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// Identify accepts the client certificate of a connection or says, with a fault
// of kind Forbidden, why not. A database that does not answer is Unavailable:
// nobody gets in on an old answer.
func (v *Verifier) Identify(ctx context.Context, state *tls.ConnectionState, want Want) (Identity, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Identity{}, v.refuse(ctx, want, refusal{reason: reasonNone})
	}
	leaf := state.PeerCertificates[0]
	f, err := v.facts(ctx, leaf)
	if err != nil {
		return Identity{}, v.refuseError(ctx, want, leaf, err)
	}
	r, err := v.authorities.Lookup(v.db.View(ctx), f.issuer.ID, f.serial)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Identity{}, err
	}
	id := Identity{Record: r, ServiceName: f.service}
	if reason := v.judge(f, id, want); reason != accepted {
		return Identity{}, v.refuse(ctx, want, refusal{reason: reason, leaf: leaf, facts: f, identity: id})
	}
	return id, nil
}

// judge holds a certificate's live state against what is wanted.
func (v *Verifier) judge(f *facts, id Identity, want Want) reason {
	now := v.clock.Now().Truncate(time.Second) // dates in certificates are whole seconds, both inclusive
	switch {
	case id.Status != authority.CertRevoked && id.Status != authority.CertValid:
		return reasonUnknown // never issued, or an intent that was not finished
	case !bytes.Equal(id.DER, f.leaf.Raw):
		return reasonUnknown // the serial number is ours, the bytes are not
	case id.Kind != want.Kind:
		return reasonKind
	case f.issuer.Realm != want.Realm || id.Realm != want.Realm:
		return reasonRealm
	case id.Status == authority.CertRevoked:
		return reasonWithdrawn
	case now.Before(f.leaf.NotBefore):
		return reasonNotYet
	case now.After(f.leaf.NotAfter):
		return reasonExpired
	case id.Kind == WebService && (f.service == "" || f.realm != want.Realm):
		return reasonNoService
	}
	return accepted
}

// RequireService refuses a certificate that was issued for another service than
// the one called (N9). Callers of several services hold several certificates (N10).
func (v *Verifier) RequireService(ctx context.Context, id Identity, s access.Service) error {
	if id.Service == s.ID && id.Realm == string(s.Realm) && strings.EqualFold(id.ServiceName, s.Name) {
		return nil
	}
	return v.refuse(ctx, Want{Realm: id.Realm, Kind: id.Kind}, refusal{reason: reasonOther, identity: id, called: s.Name})
}

// RequireServiceName is [Verifier.RequireService] for a caller that has not
// proved more than a name yet: it keeps the holder of one certificate from
// guessing the passwords of other services.
func (v *Verifier) RequireServiceName(ctx context.Context, id Identity, name string) error {
	if name != "" && strings.EqualFold(id.ServiceName, name) {
		return nil
	}
	return v.refuse(ctx, Want{Realm: id.Realm, Kind: id.Kind}, refusal{reason: reasonOther, identity: id, called: name})
}

// facts are what a certificate itself and its issuer say.
type facts struct {
	leaf    *x509.Certificate
	issuer  *authority.Authority
	serial  []byte
	realm   string // in the subject alternative name
	service string // likewise
	until   time.Time
}

// factsLife bounds how long a connection goes on after its issuer was withdrawn;
// a new connection asks.
const factsLife = time.Minute

func (v *Verifier) facts(ctx context.Context, leaf *x509.Certificate) (*facts, error) {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	now := v.clock.Now()
	if c != nil {
		if k := c.known.Load(); k != nil && k.leaf == leaf && now.Before(k.until) {
			return k.facts, nil
		}
	}
	digest := sha256.Sum256(leaf.Raw)
	f := v.recent.get(digest, now)
	if f == nil {
		var err error
		if f, err = v.establish(ctx, leaf); err != nil {
			return nil, err
		}
		v.recent.put(digest, f)
	} else if err := v.issuerStands(ctx, f.issuer); err != nil {
		return nil, err
	}
	if c != nil {
		c.known.Store(&known{leaf, f})
	}
	return f, nil
}

// maxRecent bounds how many certificates' facts are kept.
const maxRecent = 10_000

// recent keeps facts across connections: a client that connects anew for each
// call shows the same certificate, whose signature need not be checked anew.
// What can change is not among the facts and is read at each request.
type recent struct {
	mu sync.Mutex
	m  map[[sha256.Size]byte]*facts
}

func (r *recent) get(digest [sha256.Size]byte, now time.Time) *facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.m[digest]; f != nil && now.Before(f.until) {
		return f
	}
	return nil
}

func (r *recent) put(digest [sha256.Size]byte, f *facts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil || len(r.m) >= maxRecent {
		r.m = map[[sha256.Size]byte]*facts{}
	}
	r.m[digest] = f
}

func (v *Verifier) establish(ctx context.Context, leaf *x509.Certificate) (*facts, error) {
	x, err := v.issuerOf(ctx, leaf)
	if err != nil {
		return nil, err
	}
	if leaf.IsCA || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, reasonUsage
	}
	if err := v.issuerStands(ctx, x); err != nil {
		return nil, err
	}
	f := &facts{leaf: leaf, issuer: x, serial: leaf.SerialNumber.Bytes(), until: v.clock.Now().Add(factsLife)}
	f.realm, f.service = serviceOf(leaf)
	return f, nil
}

// issuerStands refuses the certificates of an authority that was itself withdrawn.
func (v *Verifier) issuerStands(ctx context.Context, x *authority.Authority) error {
	if x.Parent == "" {
		return nil
	}
	r, err := v.authorities.Lookup(v.db.View(ctx), x.Parent, x.Certificate.SerialNumber.Bytes())
	if errors.Is(err, store.ErrNotFound) {
		return nil // an issuer that an offline root signed need not be in its register
	}
	if err == nil && r.Status == authority.CertRevoked {
		return reasonIssuer
	}
	return err
}

// serviceOf reads the one name of the form
// urn:x-sealwright:service:{realm}:{service} in the certificate. Two of them
// name nobody.
func serviceOf(leaf *x509.Certificate) (realm, service string) {
	found := 0
	for _, u := range leaf.URIs {
		rest, ok := strings.CutPrefix(u.Opaque, "x-sealwright:service:")
		if u.Scheme != "urn" || !ok {
			continue
		}
		found++
		realm, service, _ = strings.Cut(rest, ":")
	}
	if found != 1 || strings.Contains(service, ":") {
		return "", ""
	}
	return realm, service
}

// Reference names the certificate in the audit log: its authority and serial number.
func (id Identity) Reference() string {
	return id.Authority + "/" + authority.SerialText(id.Serial)
}
