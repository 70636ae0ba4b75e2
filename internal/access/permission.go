package access

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Permission names one thing that a role can allow. The text is stored in
// roles and shown in the UI; it never changes its meaning.
type Permission string

// The permissions. Those on clients, services and certificates are granted per
// client; those on the installation only work when granted for everything.
const (
	CertificateSearch   Permission = "certificate.search"   // A43, A44: find certificates and orders
	CertificateDownload Permission = "certificate.download" // A45
	CertificateOrder    Permission = "certificate.order"    // A46
	CertificateApprove  Permission = "certificate.approve"  // A41: say yes or no to a request
	CertificateRevoke   Permission = "certificate.revoke"   // A47
	CertificatePublish  Permission = "certificate.publish"  // A48
	CertificateAnnotate Permission = "certificate.annotate" // A49: renewal e-mails, comments
	AcmeRead            Permission = "acme.read"            // A50
	DomainRead          Permission = "domain.read"          // A50
	DomainValidate      Permission = "domain.validate"      // A51
	ClientRead          Permission = "client.read"
	ClientWrite         Permission = "client.write"
	ServiceRead         Permission = "service.read"
	ServiceWrite        Permission = "service.write"
	OrdererRead         Permission = "orderer.read"
	OrdererWrite        Permission = "orderer.write"
	ProductRead         Permission = "product.read"
	ProductWrite        Permission = "product.write"
	DocumentRead        Permission = "document.read"
	DocumentWrite       Permission = "document.write"
	OperatorRead        Permission = "operator.read"
	OperatorWrite       Permission = "operator.write"
	AccountRead         Permission = "account.read" // service accounts and their tokens
	AccountWrite        Permission = "account.write"
	RoleRead            Permission = "role.read"
	RoleWrite           Permission = "role.write"
	RoleGrant           Permission = "role.grant"  // A42, A201
	TokenOwn            Permission = "token.own"   // A52, A208: one's own API tokens
	APICertOwn          Permission = "apicert.own" // D1, D8: one's own API client certificates
	NotifyOwn           Permission = "notify.own"  // A200: mute one's own notifications
	AuditRead           Permission = "audit.read"
	OutboxRead          Permission = "outbox.read"
	OutboxResend        Permission = "outbox.resend"
	JobRead             Permission = "job.read"
	JobRun              Permission = "job.run"
	AuthorityRead       Permission = "authority.read"
	AuthorityWrite      Permission = "authority.write"
	SettingsRead        Permission = "settings.read"
	SettingsWrite       Permission = "settings.write"
)

// permissions gives each permission its bit. The order is not stored anywhere.
var permissions = [...]Permission{
	CertificateSearch, CertificateDownload, CertificateOrder, CertificateApprove, CertificateRevoke,
	CertificatePublish, CertificateAnnotate, AcmeRead, DomainRead, DomainValidate, ClientRead, ClientWrite,
	ServiceRead, ServiceWrite, OrdererRead, OrdererWrite, ProductRead, ProductWrite, DocumentRead, DocumentWrite,
	OperatorRead, OperatorWrite, AccountRead, AccountWrite, RoleRead, RoleWrite, RoleGrant, TokenOwn, APICertOwn,
	NotifyOwn, AuditRead, OutboxRead, OutboxResend, JobRead, JobRun, AuthorityRead, AuthorityWrite,
	SettingsRead, SettingsWrite,
}

// Permissions lists all permissions in the order in which a form shows them.
func Permissions() []Permission { return slices.Clone(permissions[:]) }

// Valid tells whether p exists.
func (p Permission) Valid() bool { return slices.Contains(permissions[:], p) }

// permissionSet holds one bit for each permission.
type permissionSet uint64

var permissionBit = func() map[Permission]permissionSet {
	bits := make(map[Permission]permissionSet, len(permissions))
	for i, p := range permissions {
		bits[p] = 1 << i
	}
	return bits
}()

func setOf(ps []Permission) permissionSet {
	var s permissionSet
	for _, p := range ps {
		s |= permissionBit[p]
	}
	return s
}

func (s permissionSet) has(p Permission) bool {
	bit := permissionBit[p]
	return bit != 0 && s&bit != 0
}

func (s permissionSet) list() []Permission {
	var out []Permission
	for i, p := range permissions {
		if s&(1<<i) != 0 {
			out = append(out, p)
		}
	}
	return out
}

// encode writes the set as the sorted JSON array that a role row holds.
func (s permissionSet) encode() string {
	names := s.list()
	slices.Sort(names)
	b, _ := json.Marshal(append([]Permission{}, names...)) // strings always encode
	return string(b)
}

// decodePermissions reads a role row. A name that this release does not know
// is dropped: a newer node wrote it, and unknown must mean not allowed.
func decodePermissions(text string) (permissionSet, error) {
	var names []Permission
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return 0, fmt.Errorf("permissions of a role: %w", err)
	}
	return setOf(names), nil
}

func checkPermissions(ps []Permission) error {
	for _, p := range ps {
		if !p.Valid() {
			return fault.Invalidf("role.permission", "There is no permission %q.", strings.TrimSpace(string(p))).WithField("permissions")
		}
	}
	return nil
}
