package authority

import (
	"slices"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Reason is a CRL reason code (RFC 5280, section 5.3.1).
type Reason int

// The reasons. Who may give which, says [Role.Reasons].
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2 // of the certificates of authorities only
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6 // until it is released or revoked for good
	RemoveFromCRL        Reason = 8 // nobody gives it: delta lists say so of a release
	PrivilegeWithdrawn   Reason = 9
	AACompromise         Reason = 10
)

var reasonNames = map[Reason]string{
	Unspecified: "unspecified", KeyCompromise: "keyCompromise", CACompromise: "cACompromise", AffiliationChanged: "affiliationChanged",
	Superseded: "superseded", CessationOfOperation: "cessationOfOperation", CertificateHold: "certificateHold",
	RemoveFromCRL: "removeFromCRL", PrivilegeWithdrawn: "privilegeWithdrawn", AACompromise: "aACompromise",
}

// String is the name in RFC 5280.
func (r Reason) String() string { return reasonNames[r] }

// ParseReason reads the RFC 5280 name of a reason; empty means unspecified.
// Whether the caller may give it, [Authorities.Withdraw] decides.
func ParseReason(s string) (Reason, error) {
	if s == "" {
		return Unspecified, nil
	}
	for r, name := range reasonNames {
		if name == s && r != RemoveFromCRL {
			return r, nil
		}
	}
	return 0, fault.Invalidf("revocation.reason", "%q is not a reason for revocation.", s).WithField("reason").
		WithNext("Use %s.", names(append(RoleOfficer.Reasons(), CertificateHold)))
}

func names(reasons []Reason) string {
	list := make([]string, len(reasons))
	for i, r := range reasons {
		list[i] = r.String()
	}
	return strings.Join(list, ", ")
}

// A Role is in which capacity somebody revokes (TLS BR 4.9.1.1 and 7.2.2).
type Role string

// The roles.
const (
	RoleSubscriber Role = "subscriber" // whose certificate it is, by any way of self-service
	RoleOperator   Role = "operator"   // of the registration authority
	RoleOfficer    Role = "officer"    // of the certification authority
)

// Reasons are what a role may give for the certificate of an end entity, in the
// order of a menu; the first is what a menu begins with. Subscribers are not
// shown privilegeWithdrawn (TLS BR 7.2.2). Hold comes in addition where the
// authority's policy allows it, cACompromise for certificates of authorities.
func (r Role) Reasons() []Reason {
	list := []Reason{Unspecified, KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation}
	switch r {
	case RoleSubscriber:
		return list
	case RoleOperator:
		return append(list, PrivilegeWithdrawn)
	case RoleOfficer:
		return append(list, PrivilegeWithdrawn, CACompromise, AACompromise)
	}
	return nil
}

// checkReason says whether a role may give a reason for a kind of certificate.
func checkReason(role Role, reason Reason, kind string) error {
	switch {
	case reason == CertificateHold:
		return nil // the policy decides
	case reason == CACompromise && kind == kindAuthority:
		return nil
	case reason == CACompromise || !slices.Contains(role.Reasons(), reason):
		return fault.Invalidf("revocation.reason", "The reason %q may not be given here.", reason).WithField("reason").WithNext("Use %s.", names(role.Reasons()))
	}
	return nil
}

// kindAuthority marks the certificates of authorities among their parents'.
const kindAuthority = "authority"
