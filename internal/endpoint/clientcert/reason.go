package clientcert

import (
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A reason is why a certificate is refused. It is the last part of the fault's
// code, the label of the counter, and a detail of the audit entry.
type reason string

const (
	accepted        reason = ""
	reasonNone      reason = "missing"
	reasonForeign   reason = "foreign"
	reasonUsage     reason = "usage"
	reasonIssuer    reason = "issuer_withdrawn"
	reasonUnknown   reason = "unregistered"
	reasonKind      reason = "kind"
	reasonRealm     reason = "environment"
	reasonWithdrawn reason = "withdrawn"
	reasonNotYet    reason = "not_yet_valid"
	reasonExpired   reason = "expired"
	reasonNoService reason = "no_service"
	reasonOther     reason = "other_service"
)

// Error lets a reason travel as an error inside this package.
func (r reason) Error() string { return "client certificate: " + string(r) }

const orderAnother = "Order a new certificate for this service."

// fault is the answer to the caller. It tells what the caller's own certificate
// says and nothing about others.
func (r refusal) fault(want Want, now time.Time) *fault.Fault {
	f := func(format string, args ...any) *fault.Fault {
		return fault.Forbiddenf("clientcert."+string(r.reason), format, args...)
	}
	id := r.identity
	switch r.reason {
	case reasonNone:
		return f("This call needs a client certificate, and none came with the connection.").
			WithNext("Configure the certificate that was issued for this service in the environment %s. If you did, your TLS library held it back because an authority that this server does not name has issued it, or because its private key was not found.", want.Realm)
	case reasonForeign:
		return f("The client certificate was not issued by this installation.").
			WithNext("Use the certificate that you received for this service.")
	case reasonUsage:
		return f("The certificate is not meant for client authentication.").
			WithNext("Use the client certificate that you received for this service.")
	case reasonIssuer:
		return f("The authority that issued the client certificate has been withdrawn.").WithNext(orderAnother)
	case reasonUnknown:
		return f("The client certificate is not in the register.").WithNext(orderAnother)
	case reasonKind:
		return f("The certificate %q is of the kind %s; this host takes certificates of the kind %s.", id.CommonName, id.Kind, want.Kind).
			WithNext("Use the certificate that was issued for these calls.")
	case reasonRealm:
		return f("The certificate %q belongs to the environment %s; this is the environment %s.", id.CommonName, id.Realm, want.Realm).
			WithNext("Call the other environment's host, or use this environment's certificate.")
	case reasonWithdrawn:
		return f("The certificate %q was withdrawn on %s.", id.CommonName, date(id.RevokedAt)).WithNext(orderAnother)
	case reasonNotYet:
		return f("The certificate %q becomes valid on %s; the time is %s.", id.CommonName, date(id.NotBefore), date(now)).
			WithNext("Use an earlier certificate until then.")
	case reasonExpired:
		return f("The certificate %q expired on %s.", id.CommonName, date(id.NotAfter)).WithNext(orderAnother)
	case reasonNoService:
		return f("The certificate %q does not name the service that it is for.", id.CommonName).WithNext(orderAnother)
	case reasonOther:
		return f("The certificate %q was issued for the service %q, which is not the one that was called.", id.CommonName, id.ServiceName).
			WithNext("Use the certificate of the service %q.", r.called)
	}
	return fault.New(fault.Internal, "clientcert", "A client certificate was refused for no known reason.")
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
