package product

import (
	"encoding/asn1"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// kinds applies the rules of the certificate's purpose.
func (c *linter) kinds() {
	switch c.d.Kind {
	case TLSServer:
		c.tlsServer()
	case SMIME:
		c.smime()
	case CodeSigning:
		c.codeSigning()
	case QualifiedPerson, QualifiedSeal:
		c.qualified()
	case TimeStamping:
		c.purpose("timeStamping", true, "RFC 3161, 2.3")
	case OCSPResponder:
		c.purpose("OCSPSigning", false, "RFC 6960, 4.2.2.2")
		if !c.d.Extensions.OCSPNoCheck {
			c.warn("extensions.ocsp_no_check", "ocsp.no_check", "Clients would ask for the revocation of the responder itself (RFC 6960, 4.2.2.2.1).")
		}
	case DomainController:
		c.domainController()
	case SmartCardLogon:
		c.purpose("smartCardLogon", false, "MS-PKCA")
		c.need("logon.name", "logon finds the account by it", "san.upn")
		if !c.has("ext.sid") {
			c.warn("extensions.fields.sid", "logon.sid", "Domain controllers in enforcement mode demand the security identifier.")
		}
	case TLSClient:
		c.purpose("clientAuth", false, "RFC 5280, 4.2.1.12")
	case EIDPerson, EIDEmployee, EIDCompany, EIDFunction:
		c.need("eid.subject", "the verifiers read it", "subject.CN", "subject.serialNumber", "subject.C")
		if len(c.d.Extensions.Policies) == 0 {
			c.err("extensions.policies", "eid.policy", "Verifiers tell the role by the policy.")
		}
	}
	c.keysMadeHere()
}

// purpose demands an extended key usage.
func (c *linter) purpose(name string, alone bool, clause string) {
	all := c.d.Extensions.ExtKeyUsage
	if !slices.Contains(all, name) || alone && len(all) != 1 {
		c.err("extensions.ext_key_usage", "usage.purpose", "The extended key usage %s is needed%s (%s).", name, map[bool]string{true: ", and no other", false: ""}[alone], clause)
	}
}

// keysMadeHere: TLS BR 6.1.1.3 (row 15).
func (c *linter) keysMadeHere() {
	ids := c.purposes()
	if c.d.Rules.PublicTrust && c.d.Key.Generation.Here() && (len(ids) == 0 || hasOID(ids, tbs.ServerAuth) || hasOID(ids, tbs.AnyExtendedKeyUsage)) {
		c.err("key.generation", "key.tls_made_here", "Under public trust an authority makes no keys for server certificates, nor for those of any or no purpose (TLS BR 6.1.1.3).")
	}
}

// tlsPolicies are the reserved policies of the classes (TLS BR 7.1.6.1).
func tlsPolicies() map[Class]string {
	return map[Class]string{DV: "2.23.140.1.2.1", OV: "2.23.140.1.2.2", IV: "2.23.140.1.2.3", EV: "2.23.140.1.1"}
}

func (c *linter) tlsServer() {
	c.purpose("serverAuth", false, "RFC 5280, 4.2.1.12")
	if !c.d.Rules.PublicTrust {
		return
	}
	e, r := &c.d.Extensions, &c.d.Rules
	ids := c.purposes()
	for _, forbidden := range []string{"any", "codeSigning", "emailProtection", "timeStamping", "OCSPSigning"} {
		if id, _ := purposeOf(forbidden); hasOID(ids, id) {
			c.err("extensions.ext_key_usage", "tls.purpose", "%s is not allowed in a publicly trusted server certificate (TLS BR 7.1.2.7.10).", forbidden)
		}
	}
	c.clientAuth()
	c.reserved("tls.policy", "TLS BR 7.1.6.1", tlsPolicies()[c.d.Class], slices.Collect(maps.Values(tlsPolicies())))
	c.tlsSubject()
	c.sanOnly("tls.san", "TLS BR 7.1.2.7.12", sanDNS, sanIP)
	if !c.has("san.dns") && !c.has("san.ip") {
		c.err("san", "tls.san", "A server certificate needs domain names or addresses (TLS BR 7.1.2.7.12).")
	}
	for path, missing := range map[string]bool{"rules.domain_control": r.DomainControl == NoDomainControl, "rules.caa": !r.CAA, "rules.lint": !r.Lint.On} {
		if missing {
			c.err(path, "tls.rule", "This step is mandatory under public trust (TLS BR 3.2.2.4, 3.2.2.8, 4.3.1.2).")
		}
	}
	if !r.CT.On {
		c.warn("rules.ct", "tls.ct", "Browsers do not accept certificates without certificate transparency.")
	}
	if r.Hold {
		c.err("rules.hold", "tls.hold", "Suspension is not allowed (TLS BR 4.9.13, 7.2.2).")
	}
	c.publicKeys("TLS BR 6.1.5")
	ec, _ := keyUsage(e.KeyUsage)
	for _, name := range []string{"nonRepudiation", "keyEncipherment", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"} {
		if bit, _ := keyUsage([]string{name}); ec&bit != 0 {
			c.err("extensions.key_usage", "tls.key_usage", "%s is not allowed here; keyEncipherment belongs to key_usage_rsa (TLS BR 7.1.2.7.11).", name)
		}
	}
	if len(e.KeyUsage) == 0 || !slices.Contains(e.KeyUsage, "digitalSignature") {
		c.err("extensions.key_usage", "tls.key_usage", "digitalSignature is needed for elliptic curves (TLS BR 7.1.2.7.11).")
	}
}

func (c *linter) clientAuth() {
	if !c.l.bothAuth {
		return
	}
	date := clientAuthEnds().Format("2006-01-02")
	if c.at.Before(clientAuthEnds()) {
		c.warn("extensions.ext_key_usage", "tls.client_auth", "From %s on orders are refused: server certificates may not serve for client authentication (Chrome Root Program 1.8).", date)
		return
	}
	c.err("extensions.ext_key_usage", "tls.client_auth", "Since %s server certificates may not serve for client authentication (Chrome Root Program 1.8).", date)
}

func (c *linter) tlsSubject() {
	switch c.d.Class {
	case DV:
		c.subjectOnly("tls.subject", "TLS BR 7.1.2.7.2", "C CN")
	case IV:
		c.subjectOnly("tls.subject", "TLS BR 7.1.2.7.3", "C ST L postalCode STREET GN SN CN DC")
		c.need("tls.subject", "TLS BR 7.1.2.7.3", "subject.C", "subject.GN", "subject.SN")
	case OV:
		c.subjectOnly("tls.subject", "TLS BR 7.1.2.7.4", "C ST L postalCode STREET O CN DC")
		c.need("tls.subject", "TLS BR 7.1.2.7.4", "subject.C", "subject.O")
	case EV:
		c.subjectOnly("tls.subject", "EVG 7.1.4.2", "C ST L postalCode STREET O organizationIdentifier CN businessCategory serialNumber JOIC JOIST JOIL DC")
		c.need("tls.subject", "EVG 7.1.4.2", "subject.C", "subject.O", "subject.businessCategory", "subject.serialNumber", "subject.jurisdictionC")
	default:
		c.err("class", "tls.class", "A publicly trusted server certificate has the class dv, ov, iv or ev.")
		return
	}
	if c.d.Class != DV && !c.sure("subject.L") && !c.sure("subject.ST") {
		c.err("subject.L", "tls.subject", "A place (L) or a state (ST) must be in every certificate (TLS BR 7.1.4).")
	}
	if c.has("subject.CN") {
		c.warn("subject.CN", "tls.common_name", "A common name is not recommended (TLS BR 7.1.4.3).")
	}
}

// reserved demands exactly one of the reserved policies: the class's own.
func (c *linter) reserved(code, clause, want string, all []string) {
	var found []string
	for _, id := range c.policyIDs() {
		if slices.Contains(all, id) {
			found = append(found, id)
		}
	}
	if want != "" && (len(found) != 1 || found[0] != want) {
		c.err("extensions.policies", code, "Of the reserved policies exactly %s must be there (%s).", want, clause)
	}
}

func (c *linter) publicKeys(clause string, also ...KeyType) {
	for i, t := range c.d.Key.Types {
		if t.RSABits() < 2048 && t.curve() < 0 && !slices.Contains(also, t) {
			c.err("key.types."+strconv.Itoa(i), "key.public", "%s is not allowed under public trust (%s).", t, clause)
		}
	}
}

// domainController: A14.
func (c *linter) domainController() {
	c.purpose("serverAuth", false, "MS-PKCA")
	c.need("dc.name", "clients find the controller by it", "san.dns")
	if !slices.Contains(c.d.Extensions.ExtKeyUsage, "pkinitKDC") {
		c.warn("extensions.ext_key_usage", "dc.kdc", "Clients with strict KDC validation demand pkinitKDC.")
	}
	if c.d.Rules.PublicTrust {
		c.err("rules.public_trust", "dc.public", "Certificates of domain controllers hold names that are not public.")
	}
}

// policyIDs are the identifiers in this product's realm.
func (c *linter) policyIDs() []string {
	var out []string
	for _, p := range c.d.Extensions.Policies {
		out = append(out, p.oidIn(c.p.Realm))
	}
	return out
}

// purposes are the identifiers of the extended key usages.
func (c *linter) purposes() []asn1.ObjectIdentifier {
	var out []asn1.ObjectIdentifier
	for _, name := range c.d.Extensions.ExtKeyUsage {
		if id, ok := purposeOf(name); ok {
			out = append(out, id)
		}
	}
	return out
}

// subjectOnly refuses attributes beyond those of a list.
func (c *linter) subjectOnly(code, clause, allowed string) {
	var names []string
	for name := range strings.FieldsSeq(allowed) {
		names = append(names, canonicalAttribute(name))
	}
	for i := range c.l.fields {
		f := &c.l.fields[i]
		if f.section == sectionSubject && !slices.Contains(names, dn.TypeName(f.id)) {
			c.err(f.path(), code, "%s is not allowed in the subject (%s).", f.key, clause)
		}
	}
}

// sanOnly refuses kinds of alternative name beyond those of a list.
func (c *linter) sanOnly(code, clause string, allowed ...string) {
	for i := range c.l.fields {
		f := &c.l.fields[i]
		if f.section == sectionSAN && !slices.Contains(allowed, f.key) {
			c.err(f.path(), code, "The alternative name %s is not allowed (%s).", f.key, clause)
		}
	}
}

// need refuses a product without a certain field.
func (c *linter) need(code, clause string, names ...string) {
	for _, name := range names {
		if !c.sure(name) {
			c.err(name, code, "%s must be in every certificate (%s).", name, clause)
		}
	}
}
