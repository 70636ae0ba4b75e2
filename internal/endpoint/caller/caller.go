// Package caller tells who calls an API: it turns a request into an
// [access.Scope], and into a context in which everything is done in that
// caller's name.
//
// A caller shows an API token, in "Authorization: Bearer swt_…" or in
// "x-api-key: swt_…", or an API client certificate in mutual TLS, which takes
// the place of a token (D1) and has the permissions and scope of its owner. A
// caller may show both; they must then belong to the same owner. Acts stand in
// the audit log under the owner's id and name, with the name of the token or
// the nickname of the certificate.
//
// Wrong credentials are limited per credential and per address, in memory of a
// fixed size. Credentials themselves reach neither the log nor that memory.
package caller

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// Directory knows tokens and accounts; [access.Directory] is one.
type Directory interface {
	AuthenticateToken(ctx context.Context, token secret.Text) (access.Scope, access.TokenInfo, error)
	ScopeOf(ctx context.Context, id string) (access.Scope, error)
}

// Certificates knows whose API client certificates are; [apicert.Desk] is one.
type Certificates interface {
	Owner(ctx context.Context, authorityID, serial string) (owner string, c apicert.Certificate, err error)
}

// Identify verifies the client certificate of a connection against the
// authority of API client certificates and its live state in the register. Its
// refusals are faults whose code says why.
type Identify func(ctx context.Context, state *tls.ConnectionState) (authority.Record, error)

// Options are what an [Authenticator] stands on.
type Options struct {
	Directory    Directory
	Certificates Certificates
	Identify     Identify // nil where no certificates are accepted
	Clock        clock.Clock
}

// An Authenticator recognises callers. Build it with [New]; its methods may be
// called from any goroutine.
type Authenticator struct {
	Options
	limits *limits
}

// New makes an authenticator.
func New(o Options) *Authenticator {
	return &Authenticator{Options: o, limits: newLimits()}
}

// A Method is how a caller proved who it is.
type Method string

// The methods.
const (
	Token       Method = "token"
	Certificate Method = "certificate"
)

// A Caller is who calls and with what.
type Caller struct {
	Scope  access.Scope
	Method Method
	Name   string    // of the token, or the nickname of the certificate
	Ends   time.Time // of that credential; zero: no end
}

// Authenticate recognises the caller of r and returns a context for everything
// that is done for it. A refusal is a fault of kind Unauthenticated, with a code
// that says what is wrong with the credential, or of kind TooMany.
func (a *Authenticator) Authenticate(r *http.Request) (Caller, context.Context, error) {
	token, err := tokenOf(r.Header)
	if err != nil {
		return Caller{}, nil, err
	}
	shown := a.Identify != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	if !shown && token.Empty() {
		return Caller{}, nil, missing()
	}
	address := Address(r)
	credential := token.Reveal()
	if shown {
		credential = string(r.TLS.PeerCertificates[0].Raw)
	}
	attempt := a.limits.attempt(credential, address, a.Clock.Now())
	if wait := attempt.wait(); wait > 0 {
		return Caller{}, nil, fault.TooManyf(wait, "caller.wait", "There were too many failed calls with this credential or from this address.").
			WithNext("Stop repeating calls that are refused; put the credential right and wait %s.", wait.Round(time.Second))
	}
	c, err := a.recognise(r, shown, token)
	if err != nil {
		f := unauthenticated(err)
		if f.Kind == fault.Unauthenticated {
			attempt.failed()
			telemetry.Logger(r.Context()).InfoContext(r.Context(), "caller refused", "code", f.Code, "from", address)
		}
		return Caller{}, nil, f
	}
	return c, audit.WithOrigin(r.Context(), c.origin(address, telemetry.Correlation(r.Context()))), nil
}

func (a *Authenticator) recognise(r *http.Request, shown bool, token secret.Text) (Caller, error) {
	if !shown {
		s, info, err := a.Directory.AuthenticateToken(r.Context(), token)
		return Caller{Scope: s, Method: Token, Name: info.Name, Ends: info.Ends}, err
	}
	// Identify records its refusals; nobody in particular is known yet.
	anonymous := audit.Origin{Kind: audit.Anonymous, From: Address(r), Correlation: telemetry.Correlation(r.Context())}
	record, err := a.Identify(audit.WithOrigin(r.Context(), anonymous), r.TLS)
	if err != nil {
		return Caller{}, err
	}
	if record.Kind != apicert.Kind || record.Realm != apicert.Realm {
		return Caller{}, fault.Unauthenticatedf("apicert.unknown", "This certificate is not an API client certificate.").
			WithNext("Create one on the page of your details; certificates for web services do not open the API.")
	}
	owner, c, err := a.Certificates.Owner(r.Context(), record.Authority, authority.SerialText(record.Serial))
	if err != nil {
		return Caller{}, err
	}
	s, err := a.Directory.ScopeOf(r.Context(), owner)
	if err != nil || token.Empty() {
		return Caller{Scope: s, Method: Certificate, Name: c.Nickname, Ends: c.Ends}, err
	}
	other, _, err := a.Directory.AuthenticateToken(r.Context(), token)
	if err == nil && other.Principal() != s.Principal() {
		err = fault.Unauthenticatedf("caller.two_owners", "The certificate and the API token belong to different owners.").
			WithNext("Leave out the token: the certificate is enough.")
	}
	return Caller{Scope: s, Method: Certificate, Name: c.Nickname, Ends: c.Ends}, err
}

// origin is what the audit log says of the caller: the owner's id and name,
// and which of the owner's credentials was used.
func (c Caller) origin(address, correlation string) audit.Origin {
	p := c.Scope.Principal()
	o := audit.Origin{Kind: audit.Token, ID: p.ID, Name: p.Name, From: address, Correlation: correlation}
	if c.Method == Certificate {
		o.Kind = audit.Certificate
	}
	o.Name += " (" + string(c.Method) + " " + c.Name + ")"
	return o
}

const bearer = "bearer "

// tokenOf reads the API token of a request; it is empty when there is none.
func tokenOf(h http.Header) (secret.Text, error) {
	key := h.Get("x-api-key")
	auth := h.Get("Authorization")
	switch {
	case len(h["X-Api-Key"]) > 1 || len(h["Authorization"]) > 1 || key != "" && auth != "":
		return secret.Text{}, fault.Unauthenticatedf("caller.two_tokens", "The request has more than one API token.").
			WithNext("Send one, in Authorization or in x-api-key.")
	case auth == "":
		return secret.New(key), nil
	case len(auth) < len(bearer) || !strings.EqualFold(auth[:len(bearer)], bearer):
		return secret.Text{}, fault.Unauthenticatedf("caller.scheme", "The Authorization header is not of the form \"Bearer TOKEN\".")
	}
	return secret.New(strings.TrimSpace(auth[len(bearer):])), nil
}

func missing() error {
	return fault.Unauthenticatedf("caller.missing", "The request shows neither an API token nor an API client certificate.").
		WithNext("Send the token as \"Authorization: Bearer swt_…\" or \"x-api-key: swt_…\", or call the clientauth host with the certificate.")
}

// unauthenticated makes what is wrong with a credential the caller's problem;
// what is wrong here, such as a database that does not answer, stays ours.
func unauthenticated(err error) *fault.Fault {
	f := fault.Of(err)
	switch f.Kind {
	case fault.Forbidden, fault.NotFound, fault.Gone, fault.Invalid, fault.Conflict:
		g := *f
		g.Kind = fault.Unauthenticated
		return &g
	}
	return f
}

// Challenge is the value of the WWW-Authenticate header that belongs to a
// refusal (RFC 9110, section 11.6.1, and RFC 6750, section 3).
func Challenge(err error) string {
	if fault.Of(err).Code == "caller.missing" {
		return `Bearer realm="sealwright"`
	}
	return `Bearer realm="sealwright", error="invalid_token"`
}

// Address is the IP address that a request comes from, without port and zone.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket has no port
	}
	host, _, _ = strings.Cut(host, "%")
	return host
}
