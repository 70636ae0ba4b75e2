package product

import (
	"slices"
	"strings"

	"github.com/sealwright/sealwright/pki/dn"
)

// collect sorts what was asked for by field.
func (w *work) collect() {
	r := w.r
	if r.SubjectDN != "" {
		w.subjectDN(r.SubjectDN)
	}
	for _, name := range sortedNames(r.Fields) {
		for _, v := range r.Fields[name] {
			w.ask(name, v)
		}
	}
	for _, d := range r.DNS {
		w.askDomain(d)
	}
	w.askAll("san.email", r.Email)
	w.askAll("san.upn", r.UPN)
	w.askAll("san.ip", r.IP)
	w.askAll("san.uri", r.URI)
	e := &r.Extensions
	w.askOne("ext.sid", e.MSSID)
	w.askOne("ext.template", e.MSTemplateOID)
	w.askOne("ext.role", e.Role)
	w.askOne("ext.device_serial", e.DeviceSerial)
	w.askOne("ext.scope", e.Scope)
}

func sortedNames(fields map[string][]string) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (w *work) askAll(name string, values []string) {
	for _, v := range values {
		w.ask(name, v)
	}
}

func (w *work) askOne(name, value string) {
	if value != "" {
		w.ask(name, value)
	}
}

// ask notes one value that was asked for. An empty one asks for nothing: forms
// send their empty fields.
func (w *work) ask(name, value string) {
	if strings.TrimSpace(value) == "" {
		return
	}
	i, ok := w.l.index[name]
	if !ok {
		i, ok = w.l.index[alias(name)]
	}
	if !ok {
		w.problem(name, "field.not_in_product", "The product %q has no field %q, so %q cannot be in the certificate.", w.p.Name, name, shorten(value))
		return
	}
	f := &w.l.fields[i]
	text, err := f.normalise(value)
	if err != nil {
		w.problem(f.name, "field.value", "%s: %q %v.", f.label, shorten(value), err)
		return
	}
	if !slices.Contains(w.asked[i], text) {
		w.asked[i] = append(w.asked[i], text)
	}
}

// alias finds a field by another spelling of its name.
func alias(name string) string {
	section, key, ok := cutName(strings.ToLower(name))
	if ok && section == sectionSubject {
		return strings.ToLower(section + "." + canonicalAttribute(key))
	}
	return strings.ToLower(name)
}

func cutName(name string) (section, key string, ok bool) { return strings.Cut(name, ".") }

func shorten(value string) string {
	if len(value) > 80 {
		return strings.ToValidUTF8(value[:80], "") + "…"
	}
	return value
}

// askDomain adds the names that go with one. The www of a wildcard's base is
// covered by the wildcard.
func (w *work) askDomain(d DNSName) {
	w.ask("san.dns", d.Name)
	base, wildcard := strings.CutPrefix(strings.TrimSpace(d.Name), "*.")
	if wildcard && d.WithBase {
		w.ask("san.dns", base)
	}
	if !wildcard && d.WithWWW && !strings.HasPrefix(strings.ToLower(base), "www.") && base != "" {
		w.ask("san.dns", "www."+base)
	}
}

// subjectDN splits a subject into the fields of the product.
func (w *work) subjectDN(text string) {
	name, err := dn.ParseString(text)
	if err != nil {
		w.problem("subject_dn", "request.subject_dn", "The subject cannot be read: %s.", strings.TrimPrefix(err.Error(), "dn: "))
		return
	}
	for _, a := range name {
		w.ask(sectionSubject+"."+dn.TypeName(a.Type), a.Value)
	}
}
