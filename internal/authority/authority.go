// Package authority runs the certification authorities: their keys and
// certificates, serial numbers, signing, revocation, CRLs and OCSP answers.
//
// A certificate is issued in four steps that the types keep in order:
//
//	intent, err := a.Plan(ctx, authorityID, draft) // serial and TBSCertificate, in memory
//	err = a.Hold(tx, intent)                       // D1, D2: both are durable
//	cert, err := a.Sign(ctx, intent)               // refused before Hold has committed
//	err = a.Record(tx, cert)                       // D5: with the order's own change
//
// After a crash between Hold and Record, [Authorities.Reopen] gives the intent
// back: a key that signs deterministically makes the same bytes again, any
// other certificate counts as possibly issued and is revoked unseen.
package authority

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A Purpose says what an authority's certificates are for. An authority has
// one: certificates for clients come from an authority that can issue nothing
// else (contracts, pki-rules row 16).
type Purpose string

// The purposes.
const (
	ClientAuth Purpose = "client-auth" // extended key usage clientAuth only
	ServerAuth Purpose = "server-auth" // this installation's own TLS servers
	Any        Purpose = "any"         // roots
	General    Purpose = "general"     // what products say; its own certificate rules nothing out
	Email      Purpose = "email"       // S/MIME, with clientAuth for products that want both
	Code       Purpose = "code"        // code signing
	Stamping   Purpose = "time-stamping"
)

// purposesOf are the extended key usages that an authority's own certificate
// carries, beside OCSP signing for its responder.
var purposesOf = map[Purpose][]asn1.ObjectIdentifier{
	ClientAuth: {tbs.ClientAuth},
	ServerAuth: {tbs.ServerAuth},
	Email:      {tbs.EmailProtection, tbs.ClientAuth},
	Code:       {tbs.CodeSigning},
	Stamping:   {tbs.TimeStamping},
}

// Kinds of authority.
const (
	Root    = "root"
	Issuing = "issuing"
)

// States of an authority.
const (
	StatusActive  = "active"
	StatusWaiting = "waiting" // for its certificate from an offline root
	StatusClosed  = "closed"  // signs CRLs and OCSP answers, no certificates
)

// An Authority is a certification authority as it stands in the store.
type Authority struct {
	ID      string // short and speaking, such as "production-clients-1"; part of URLs
	Realm   string
	Kind    string
	Name    string // common name
	Parent  string // empty for a root
	Purpose Purpose
	KeyRef  string // empty for an offline root
	DER     []byte
	CSR     []byte // while waiting
	Status  string
	Created time.Time

	Certificate *x509.Certificate // parsed DER; nil while waiting
	algorithm   tbs.Algorithm
	fixed       []tbs.Extension
	chain       atomic.Pointer[[]byte] // see ChainPEM
	responder   responder
}

// URLs are where relying parties find what an authority publishes.
type URLs struct {
	Base string // http URL without trailing slash
}

// CRL is the address of an authority's current CRL.
func (u URLs) CRL(id string) string { return u.Base + "/crl/" + id + ".crl" }

// OCSP is the address of an authority's OCSP responder.
func (u URLs) OCSP(id string) string { return u.Base + "/ocsp/" + id }

// Issuer is the address of an authority's own certificate.
func (u URLs) Issuer(id string) string { return u.Base + "/ca/" + id + ".crt" }

// Authorities is the domain. Build it with [New].
type Authorities struct {
	db    *store.DB
	vault *keys.Vault
	audit *audit.Log
	blobs *blob.Store
	clock clock.Clock
	guard *clock.Guard
	urls  URLs

	mu    sync.RWMutex
	cache map[string]cached

	validity validity // see validity.go

	// OnChange, unless nil, is told of each certificate that is revoked, held or
	// released, in that transaction: whoever keeps a state of its own follows. It
	// may be called again when the transaction is repeated. Set it before use.
	OnChange func(tx *store.Tx, now Record) error
}

type cached struct {
	authority *Authority
	until     time.Time
}

// cacheLife bounds how long a node works with an authority row that another
// node has changed. Certificates are never cached: their status is read live.
const cacheLife = time.Second

// New opens the domain. The clock guard starts from the latest audit entry's
// time that the caller knows, so that a restart with a wrong clock is noticed.
func New(db *store.DB, vault *keys.Vault, log *audit.Log, blobs *blob.Store, c clock.Clock, guard *clock.Guard, urls URLs) *Authorities {
	return &Authorities{db: db, vault: vault, audit: log, blobs: blobs, clock: c, guard: guard, urls: urls, cache: map[string]cached{}}
}

// URLs tells where this domain publishes.
func (a *Authorities) URLs() URLs { return a.urls }

const columns = `id, realm, kind, name, parent, purpose, key_ref, der, csr, status, ocsp_key_ref, ocsp_der, ocsp_until, created_at`

func scan(rows interface{ Scan(...any) error }) (*Authority, error) {
	var x Authority
	var created, until int64
	if err := rows.Scan(&x.ID, &x.Realm, &x.Kind, &x.Name, &x.Parent, &x.Purpose, &x.KeyRef, &x.DER, &x.CSR, &x.Status,
		&x.responder.keyRef, &x.responder.der, &until, &created); err != nil {
		return nil, err
	}
	x.Created, x.responder.until = store.Time(created), store.Time(until)
	if len(x.DER) == 0 {
		return &x, nil
	}
	return &x, x.parse()
}

func (x *Authority) parse() (err error) {
	if x.Certificate, err = x509.ParseCertificate(x.DER); err != nil {
		return fmt.Errorf("certificate of authority %s: %w", x.ID, err)
	}
	x.algorithm, err = tbs.ForKey(x.Certificate.PublicKey)
	return err
}

// Get returns an authority by id.
func (a *Authorities) Get(ctx context.Context, id string) (*Authority, error) {
	a.mu.RLock()
	c, ok := a.cache[id]
	a.mu.RUnlock()
	if ok && a.clock.Now().Before(c.until) {
		return c.authority, nil
	}
	x, err := scan(a.db.View(ctx).QueryRow(`SELECT `+columns+` FROM authorities WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.NotFoundf("authority.unknown", "There is no authority %q.", id)
	}
	if err != nil {
		return nil, err
	}
	return x, a.keep(id, x)
}

// keep prepares an authority for issuing and caches it.
func (a *Authorities) keep(key string, x *Authority) (err error) {
	if x.Certificate != nil {
		if x.fixed, err = fixedExtensions(x, a.urls); err != nil {
			return err
		}
	}
	a.mu.Lock()
	a.cache[key] = cached{x, a.clock.Now().Add(cacheLife)}
	a.mu.Unlock()
	return nil
}

// List returns all authorities, by realm and name. There are never many.
func (a *Authorities) List(ctx context.Context) ([]*Authority, error) {
	rows, err := a.db.View(ctx).Query(`SELECT ` + columns + ` FROM authorities ORDER BY realm, kind DESC, name, id`)
	return store.Collect(rows, err, func(r *store.Rows) (*Authority, error) { return scan(r) })
}

// For returns the active issuing authority of a realm for a purpose: the newest
// when there are several.
func (a *Authorities) For(ctx context.Context, realm string, p Purpose) (*Authority, error) {
	key := "for:" + realm + ":" + string(p)
	a.mu.RLock()
	c, ok := a.cache[key]
	a.mu.RUnlock()
	if ok && a.clock.Now().Before(c.until) {
		return c.authority, nil
	}
	x, err := scan(a.db.View(ctx).QueryRow(`SELECT `+columns+` FROM authorities
		WHERE realm = $1 AND purpose = $2 AND kind = 'issuing' AND status = 'active' ORDER BY created_at DESC, id DESC LIMIT 1`, realm, string(p)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.Conflictf("authority.none", "The realm %s has no active authority for %s.", realm, p).WithNext("Create one with: sealwright ca create")
	}
	if err != nil {
		return nil, err
	}
	return x, a.keep(key, x)
}

// Chain returns the certificates from the authority up to and including its
// root, as DER.
func (a *Authorities) Chain(ctx context.Context, id string) ([][]byte, error) {
	var out [][]byte
	for id != "" && len(out) < 8 {
		x, err := a.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, x.DER)
		id = x.Parent
	}
	return out, nil
}

// ChainCertificates is [Authorities.Chain], parsed: what goes into a key file.
func (a *Authorities) ChainCertificates(ctx context.Context, id string) ([]*x509.Certificate, error) {
	ders, err := a.Chain(ctx, id)
	if err != nil {
		return nil, err
	}
	chain := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return chain, nil
}

// ChainPEM is the chain that a server or client sends after its own
// certificate: from the authority up, without the root, in PEM.
func (a *Authorities) ChainPEM(ctx context.Context, id string) ([]byte, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if p := x.chain.Load(); p != nil {
		return *p, nil
	}
	ders, err := a.Chain(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, der := range ders[:len(ders)-1] {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	x.chain.Store(&out)
	return out, nil
}

func (a *Authorities) forget() {
	a.mu.Lock()
	clear(a.cache)
	a.mu.Unlock()
}
