package product

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// encode makes the extensions that are the same in every certificate.
func (l *plan) encode(e *Extensions, realm access.Realm) {
	put := func(list *[]tbs.Extension, path string, ext tbs.Extension, err error) {
		if err != nil {
			l.mistake("extensions."+path, "extension.value", "%s.", strings.TrimPrefix(err.Error(), "tbs: "))
			return
		}
		*list = append(*list, ext)
	}
	l.usages(e)
	if len(e.ExtKeyUsage) > 0 {
		ids := l.purposes("ext_key_usage", e.ExtKeyUsage)
		if len(ids) > 0 {
			ext, err := tbs.ExtKeyUsage(ids...)
			ext.Critical = ext.Critical || e.CriticalEKU
			put(&l.before, "ext_key_usage", ext, err)
		}
		l.bothAuth = hasOID(ids, tbs.ServerAuth) && hasOID(ids, tbs.ClientAuth)
	}
	if !e.NoConstraints {
		length := -1
		if e.PathLength != nil {
			length = *e.PathLength
		}
		put(&l.before, "ca", tbs.BasicConstraints(e.CA, length), nil)
	}
	if len(e.Policies) > 0 {
		ext, err := l.policies(e.Policies, realm)
		put(&l.before, "policies", ext, err)
	}
	if e.Permitted != nil || e.Excluded != nil {
		ext, err := nameConstraints(e)
		put(&l.before, "permitted", ext, err)
	}
	if e.Qualified != nil {
		ext, err := e.Qualified.extension()
		put(&l.after, "qualified", ext, err)
	}
	if e.TemplateName != "" {
		ext, err := tbs.MicrosoftTemplateName(e.TemplateName)
		put(&l.after, "template_name", ext, err)
	}
	if len(e.ApplicationPolicies) > 0 {
		ext, err := tbs.ApplicationPolicies(l.purposes("application_policies", e.ApplicationPolicies)...)
		put(&l.after, "application_policies", ext, err)
	}
	if e.MustStaple {
		put(&l.after, "must_staple", tbs.MustStaple(), nil)
	}
	if e.OCSPNoCheck {
		put(&l.after, "ocsp_no_check", tbs.OCSPNoCheck(), nil)
	}
	for i, c := range e.Custom {
		ext, err := c.extension()
		put(&l.after, "custom."+strconv.Itoa(i), ext, err)
	}
}

func (l *plan) usages(e *Extensions) {
	usage, ok := keyUsage(e.KeyUsage)
	more, okRSA := keyUsage(e.KeyUsageRSA)
	if !ok || !okRSA {
		l.mistake("extensions.key_usage", "extension.key_usage", "A key usage is unknown; use %s.", strings.Join(keyUsageNames(), ", "))
		return
	}
	// With neither set there is no extension; KeyUsage refuses an empty one.
	if usage != 0 {
		l.usage, _ = tbs.KeyUsage(usage)
	}
	if usage|more != 0 {
		l.usageRSA, _ = tbs.KeyUsage(usage | more)
	}
}

func keyUsageNames() []string {
	return []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}
}

func keyUsage(names []string) (u x509.KeyUsage, ok bool) {
	for _, name := range names {
		if name == "contentCommitment" { // its name since X.509 (2005)
			name = "nonRepudiation"
		}
		i := slices.Index(keyUsageNames(), name)
		if i < 0 {
			return 0, false
		}
		u |= 1 << i
	}
	return u, true
}

// purposeOf knows the extended key usages by name.
func purposeOf(name string) (asn1.ObjectIdentifier, bool) {
	switch name {
	case "serverAuth":
		return tbs.ServerAuth, true
	case "clientAuth":
		return tbs.ClientAuth, true
	case "codeSigning":
		return tbs.CodeSigning, true
	case "emailProtection":
		return tbs.EmailProtection, true
	case "timeStamping":
		return tbs.TimeStamping, true
	case "OCSPSigning":
		return tbs.OCSPSigning, true
	case "documentSigning":
		return tbs.DocumentSigning, true
	case "any":
		return tbs.AnyExtendedKeyUsage, true
	case "smartCardLogon":
		return tbs.SmartCardLogon, true
	case "pkinitClient":
		return tbs.PKINITClient, true
	case "pkinitKDC":
		return tbs.PKINITKDC, true
	case "msDocumentSigning":
		return tbs.MSDocumentSigning, true
	}
	return parseOID(name)
}

func (l *plan) purposes(path string, names []string) []asn1.ObjectIdentifier {
	var ids []asn1.ObjectIdentifier
	for _, name := range names {
		id, ok := purposeOf(name)
		if !ok {
			l.mistake("extensions."+path, "extension.purpose", "The purpose %q is unknown; use its object identifier.", name)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

func hasOID(ids []asn1.ObjectIdentifier, id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(ids, id.Equal)
}

// oidIn is the policy's identifier in a realm.
func (p Policy) oidIn(realm access.Realm) string {
	if realm == access.Preprod && p.Preprod != "" {
		return p.Preprod
	}
	return p.OID
}

func (l *plan) policies(all []Policy, realm access.Realm) (tbs.Extension, error) {
	out := make([]tbs.Policy, 0, len(all))
	for i, p := range all {
		id, ok := parseOID(p.oidIn(realm))
		if !ok {
			l.mistake("extensions.policies."+strconv.Itoa(i), "extension.policy", "%q is not an object identifier.", p.oidIn(realm))
			continue
		}
		out = append(out, tbs.Policy{ID: id, CPS: p.CPS, Notice: p.Notice})
	}
	return tbs.CertificatePolicies(out...)
}

func (c CustomExt) extension() (tbs.Extension, error) {
	id, ok := parseOID(c.OID)
	if !ok {
		return tbs.Extension{}, fmt.Errorf("%q is not an object identifier", c.OID)
	}
	value, err := hex.DecodeString(c.Value)
	if err != nil {
		return tbs.Extension{}, fmt.Errorf("the value of extension %s is not hexadecimal", c.OID)
	}
	return tbs.Custom(id, c.Critical, value)
}

func (q *Qualified) extension() (tbs.Extension, error) {
	out := tbs.QCStatements{Compliance: q.Compliance, SSCD: q.SSCD, Retention: q.Retention, Legislation: q.Legislation}
	for _, t := range q.Types {
		switch t {
		case "esign":
			out.Types = append(out.Types, tbs.QcESign)
		case "eseal":
			out.Types = append(out.Types, tbs.QcESeal)
		case "web":
			out.Types = append(out.Types, tbs.QcWeb)
		default:
			return tbs.Extension{}, fmt.Errorf("the purpose %q of a qualified certificate is unknown; use esign, eseal or web", t)
		}
	}
	for _, p := range q.PDS {
		out.PDS = append(out.PDS, tbs.PDS(p))
	}
	switch q.Semantics {
	case "":
	case "natural":
		out.Semantics = tbs.SemanticsNatural
	case "legal":
		out.Semantics = tbs.SemanticsLegal
	default:
		return tbs.Extension{}, fmt.Errorf("the semantics %q are unknown; use natural or legal", q.Semantics)
	}
	if q.Limit != nil {
		l := tbs.MonetaryLimit(*q.Limit)
		out.Limit = &l
	}
	return out.Extension()
}

func nameConstraints(e *Extensions) (tbs.Extension, error) {
	permitted, err := e.Permitted.subtrees()
	if err != nil {
		return tbs.Extension{}, err
	}
	excluded, err := e.Excluded.subtrees()
	if err != nil {
		return tbs.Extension{}, err
	}
	return tbs.NameConstraints(permitted, excluded)
}

func (n *Names) subtrees() (tbs.Subtrees, error) {
	if n == nil {
		return tbs.Subtrees{}, nil
	}
	out := tbs.Subtrees{DNS: n.DNS, Email: n.Email, URI: n.URI}
	for _, text := range n.IP {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return tbs.Subtrees{}, fmt.Errorf("%q is not a network such as 192.0.2.0/24", text)
		}
		out.IP = append(out.IP, *network)
	}
	for _, text := range n.Directory {
		name, err := dn.ParseString(text)
		if err != nil {
			return tbs.Subtrees{}, err
		}
		der, err := name.DER()
		if err != nil {
			return tbs.Subtrees{}, err
		}
		out.Directory = append(out.Directory, der)
	}
	return out, nil
}
