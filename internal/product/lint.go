package product

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Finding is something wrong or doubtful in a product.
type Finding struct {
	Path     string // where it stands: "subject.CN.pattern"
	Severity Severity
	Code     string
	Text     string
}

// A Severity says what follows from a finding.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the product cannot be stored
	Warning Severity = "warning" // it can, and somebody should look
)

// Lint judges the product as of a moment: rules with a date warn before it and
// refuse from it on. The validity above a dated maximum stays a warning, because
// products outlive the rules; [Product.Resolve] refuses the order. The findings
// are sorted by path and always the same.
func (p *Product) Lint(at time.Time) []Finding {
	c := &linter{p: p, d: &p.Definition, l: compile(p), at: at}
	c.findings = append(c.findings, c.l.mistakes...)
	c.general()
	for i := range c.l.fields {
		c.field(&c.l.fields[i])
	}
	c.key()
	c.validity()
	c.usages()
	c.rules()
	c.kinds()
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(c.findings)
}

// linter is one judgement under way.
type linter struct {
	p        *Product
	d        *Definition
	l        *plan
	at       time.Time
	findings []Finding
}

func (c *linter) err(path, code, format string, args ...any) {
	c.findings = append(c.findings, Finding{path, Error, code, fmt.Sprintf(format, args...)})
}

func (c *linter) warn(path, code, format string, args ...any) {
	c.findings = append(c.findings, Finding{path, Warning, code, fmt.Sprintf(format, args...)})
}

// has tells whether a field exists.
func (c *linter) has(name string) bool { return c.l.find(name) >= 0 }

// sure tells whether a field is always in the certificate.
func (c *linter) sure(name string) bool {
	i := c.l.find(name)
	if i < 0 {
		return false
	}
	r := c.l.fields[i].rule
	return r.Mandatory || r.State != Editable && len(r.Values) > 0
}

// maxText bounds names and descriptions.
const maxText = 2000

func (c *linter) general() {
	p := c.p
	if strings.TrimSpace(p.Name) == "" || len(p.Name) > 200 {
		c.err("name", "product.name", "The product needs a name of at most 200 bytes.")
	}
	if len(p.Description) > maxText {
		c.err("description", "product.description", "The description has more than %d bytes.", maxText)
	}
	if !p.Realm.Valid() {
		c.err("realm", "product.realm", "There is no environment %q.", p.Realm)
	}
	if p.Authority == "" {
		c.err("authority", "product.authority", "The product needs an authority that issues.")
	}
	if !p.Expires.IsZero() && !c.at.Before(p.Expires) {
		c.warn("expires", "product.expired", "The product has ended, so nobody can order.")
	}
	if !slices.Contains(Kinds(), c.d.Kind) {
		c.err("kind", "product.kind", "There is no kind %q.", c.d.Kind)
	}
	for i, name := range c.d.SubjectOrder {
		if !c.has("subject." + name) {
			c.warn("subject_order."+strconv.Itoa(i), "product.order", "%s is not in the subject.", name)
		}
	}
	if len(c.d.Subject)+len(c.d.SAN) == 0 {
		c.err("subject", "product.nameless", "Without a subject and alternative names, certificates would name nobody.")
	}
}

func (c *linter) key() {
	k := &c.d.Key
	if len(k.Types) == 0 {
		c.err("key.types", "key.types", "The product needs a key type.")
	}
	for i, t := range k.Types {
		path := "key.types." + strconv.Itoa(i)
		switch {
		case !slices.Contains(KeyTypes(), t):
			c.err(path, "key.type", "There is no key type %q.", t)
		case !t.supported():
			c.err(path, "key.unsupported", "Keys of the type %s are not certified here; use RSA, P-256, P-384, P-521 or Ed25519.", t)
		}
	}
	if !slices.Contains(Generations(), k.Generation) {
		c.err("key.generation", "key.generation", "There is no way of generating keys named %q.", k.Generation)
	}
	r := &c.d.Rules
	if r.Escrow && !k.Generation.File() {
		c.err("rules.escrow", "key.escrow", "Only keys that are made here as files can be kept for recovery.")
	}
	if r.Escrow && k.Generation.PINByHolder() {
		c.err("rules.escrow", "key.escrow", "A key whose PIN the holder sets before it is made cannot be kept for recovery.")
	}
	if k.Generation.PINByHolder() && !c.sure("san.email") {
		c.err("san.email", "key.pin_mail", "The link to set the PIN goes to the e-mail address of the certificate, which must be mandatory.")
	}
	if !slices.Contains([]UniqueKey{AnyKey, KeyOfClient, KeyOnce}, r.UniqueKey) {
		c.err("rules.unique_key", "rule.unique_key", "There is no rule on keys named %q.", r.UniqueKey)
	}
}

// maxValidity in the smallest unit that could matter: a hundred years.
const maxValidityYears = 100

func (c *linter) validity() {
	v := &c.d.Validity
	if !slices.Contains(Units(), v.Unit) {
		c.err("validity.unit", "validity.unit", "There is no unit %q.", v.Unit)
		return
	}
	if v.Value <= 0 || v.Max < 0 || v.StartDays < 0 {
		c.err("validity", "validity.value", "The validity must be positive.")
		return
	}
	for i, option := range v.Options {
		if option <= 0 {
			c.err("validity.options."+strconv.Itoa(i), "validity.value", "The validity must be positive.")
		}
	}
	longest := v.longest()
	if years := longest / map[Unit]int{Years: 1, Months: 12, Days: 366, Hours: 8784, Minutes: 527040, Seconds: 31622400}[v.Unit]; years > maxValidityYears {
		c.err("validity", "validity.value", "The validity is longer than %d years.", maxValidityYears)
		return
	}
	if !c.d.Rules.PublicTrust {
		return
	}
	for _, l := range limits(c.d.Kind) {
		current, _ := limitAt(c.d.Kind, c.at)
		if l.from.Before(current.from) {
			continue
		}
		end := v.Unit.end(c.at, longest)
		if end.Sub(c.at)+time.Second > time.Duration(l.days)*day {
			c.warn("validity", "validity.too_long", "Orders for %d %s are refused from %s on: %s allows %d days.", longest, strings.ToLower(string(v.Unit)), l.from.Format(time.DateOnly), l.clause, l.days)
			return
		}
	}
}

// usages holds key usage against extended key usage (RFC 5280, 4.2.1.12).
func (c *linter) usages() {
	e := &c.d.Extensions
	usage, ok := keyUsage(append(slices.Clone(e.KeyUsage), e.KeyUsageRSA...))
	if !ok {
		return // reported by the plan
	}
	has := func(names ...string) bool {
		bits, _ := keyUsage(names)
		return usage == 0 || usage&bits != 0
	}
	for i, name := range e.ExtKeyUsage {
		var need []string
		switch name {
		case "serverAuth":
			need = []string{"digitalSignature", "keyEncipherment", "keyAgreement"}
		case "clientAuth", "smartCardLogon", "pkinitClient", "pkinitKDC":
			need = []string{"digitalSignature", "keyAgreement"}
		case "codeSigning":
			need = []string{"digitalSignature"}
		case "emailProtection":
			need = []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "keyAgreement"}
		case "timeStamping", "OCSPSigning", "documentSigning":
			need = []string{"digitalSignature", "nonRepudiation"}
		default:
			continue
		}
		if !has(need...) {
			c.err("extensions.ext_key_usage."+strconv.Itoa(i), "usage.inconsistent", "%s needs the key usage %s.", name, strings.Join(need, " or "))
		}
	}
	ca, _ := keyUsage([]string{"keyCertSign"})
	if (usage&ca != 0) != e.CA {
		c.err("extensions.key_usage", "usage.ca", "The key usage keyCertSign and being an authority go together (RFC 5280, 4.2.1.3).")
	}
	if e.CA {
		c.err("extensions.ca", "usage.ca", "Products are for end entities; authorities are created by ceremony.")
	}
	if e.PathLength != nil || e.Permitted != nil || e.Excluded != nil {
		c.err("extensions", "usage.ca", "A path length and name constraints belong to authorities (RFC 5280, 4.2.1.9, 4.2.1.10).")
	}
	agreement, _ := keyUsage([]string{"keyAgreement"})
	only, _ := keyUsage([]string{"encipherOnly", "decipherOnly"})
	if usage&only != 0 && usage&agreement == 0 {
		c.err("extensions.key_usage", "usage.inconsistent", "encipherOnly and decipherOnly mean nothing without keyAgreement.")
	}
}
