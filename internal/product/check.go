package product

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sealwright/sealwright/pki/dn"
)

// check holds the values of a field against its rule.
func (w *work) check(i int) {
	f, values := &w.l.fields[i], w.values[i].values
	if len(values) == 0 {
		if f.rule.Mandatory && !w.already(f.name) {
			w.problem(f.name, "field.missing", "%s is missing.", f.label)
		}
		return
	}
	if len(values) > f.max {
		w.problem(f.name, "field.too_many", "%s has %d values; the product %q allows %d.", f.label, len(values), w.p.Name, f.max)
	}
	for _, v := range values {
		if why := f.refuses(v); why != "" {
			w.problem(f.name, "field.value", "%s: %q %s.", f.label, shorten(v), why)
		}
	}
}

// already tells whether the field has a problem, so that "missing" is not added
// to "wrong".
func (w *work) already(name string) bool {
	for _, p := range w.problems {
		if p.Field == name {
			return true
		}
	}
	return false
}

// refuses says why a normalised value breaks the field's rule, or nothing.
func (f *planned) refuses(v string) string {
	if f.choices != nil && !f.choices[v] {
		return "is not one of the possible values: " + strings.Join(f.rule.Choices, ", ")
	}
	if f.pattern != nil && !f.pattern.MatchString(v) {
		return "does not have the form that the product asks for"
	}
	if err := f.attribute(v); err != nil {
		return "cannot be in a certificate: " + err.Error()
	}
	return ""
}

// attribute checks a value of the subject as package dn will.
func (f *planned) attribute(v string) error {
	a := dn.Attribute{Type: f.id, Value: v}
	switch {
	case f.section != sectionSubject:
		return nil
	case f.rule.Long:
		return a.CheckLong()
	}
	return a.Check()
}

// tooLong tells whether X.520 has no room for a value.
func (f *planned) tooLong(v string) bool {
	return f.section == sectionSubject && utf8.RuneCountInString(v) > 64 && f.attribute(v) != nil
}

// commonName applies the rules for servers: a common name is one of the
// alternative names, and a request that has nothing else means it as one (TLS BR
// 7.1.4.3).
func (w *work) commonName() {
	if k := w.p.Definition.Kind; w.l.cn < 0 || k != TLSServer && k != DomainController {
		return
	}
	cn := &w.values[w.l.cn]
	if len(cn.values) == 0 {
		return
	}
	text := cn.values[0]
	if name, field, ok := w.serverName(text); ok {
		cn.values = append([]string{name}, cn.values[1:]...)
		if w.adopt(field, name, cn.origin) {
			return
		}
	}
	if w.p.Definition.Rules.PublicTrust {
		w.problem("subject.CN", "subject.cn_not_in_san", "The common name %q must be one of the domain names or addresses of the certificate.", shorten(text))
	}
}

// serverName reads a common name as an address or a domain name, and tells which
// field it belongs to. A name without a dot is a common name like any other.
func (w *work) serverName(text string) (name string, field int, ok bool) {
	if ip, err := address(text); err == nil {
		return ip, w.l.ip, true
	}
	name, err := domain(text)
	return name, w.l.dns, err == nil && strings.Contains(name, ".")
}

// adopt tells whether a name is among the values of a field, and puts it there
// when the request left that field empty.
func (w *work) adopt(field int, name string, origin Origin) bool {
	if field < 0 {
		return false
	}
	v := &w.values[field]
	if slices.Contains(v.values, name) {
		return true
	}
	if len(v.values) > 0 || w.l.fields[field].rule.State != Editable {
		return false
	}
	other := w.l.dns
	if field == w.l.dns {
		other = w.l.ip
	}
	if other >= 0 && len(w.values[other].values) > 0 {
		return false
	}
	*v = found{[]string{name}, origin, false}
	return true
}

// across checks what concerns several fields.
func (w *work) across() {
	d := &w.p.Definition
	if w.l.dns >= 0 {
		for _, name := range w.values[w.l.dns].values {
			w.checkDomain(name)
		}
	}
	if d.Rules.PublicTrust && w.l.ip >= 0 {
		for _, ip := range w.values[w.l.ip].values {
			if !publicAddress(ip) {
				w.problem("san.ip", "name.reserved_address", "The address %s is private or reserved and cannot be in a publicly trusted certificate.", ip)
			}
		}
	}
	if w.l.mail >= 0 && w.l.email >= 0 {
		for _, m := range w.values[w.l.mail].values {
			if !slices.Contains(w.values[w.l.email].values, m) {
				w.problem("subject.emailAddress", "subject.email_not_in_san", "The e-mail address %q of the subject must be among the e-mail addresses of the certificate.", shorten(m))
			}
		}
	}
	if d.Rules.PublicTrust && d.Kind == SMIME && w.l.email >= 0 {
		for _, m := range w.values[w.l.email].values {
			host := m[strings.LastIndexByte(m, '@')+1:]
			if why := publicName(host); why != "" && why != "belongs to a registry" {
				w.problem("san.email", "name.not_public", "The address %q cannot be certified: its domain %s.", shorten(m), why)
			}
		}
	}
}

func (w *work) checkDomain(name string) {
	rules := &w.p.Definition.Rules
	if strings.HasPrefix(name, "*.") && !rules.Wildcards {
		w.problem("san.dns", "name.wildcard", "The product %q allows no wildcards, so %q cannot be in the certificate.", w.p.Name, name)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		w.problem("san.dns", "name.address", "%q is an address, not a domain name; give it as IP address.", name)
		return
	}
	if rules.PublicTrust {
		if why := publicName(name); why != "" {
			w.problem("san.dns", "name.not_public", "The name %q cannot be certified: it %s.", name, why)
		}
	}
}
