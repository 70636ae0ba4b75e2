package product

import (
	"encoding/asn1"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/goodkey"
	"github.com/sealwright/sealwright/pki/tbs"
)

// The sections of a certificate that hold fields; a field's name is
// "subject.CN", "san.dns" or "ext.sid".
const (
	sectionSubject = "subject"
	sectionSAN     = "san"
	sectionExt     = "ext"
)

// A plan is a product prepared: names looked up, patterns compiled, and what is
// the same in all its certificates encoded. It is never changed once made.
type plan struct {
	fields []planned
	index  map[string]int // by name, and by name in lower case
	dns    int            // indices of fields that rules speak of, or −1
	email  int
	ip     int
	cn     int
	mail   int // emailAddress in the subject

	key      goodkey.Policy
	before   []tbs.Extension // those before the alternative name, without key usage
	after    []tbs.Extension // those behind it
	usage    tbs.Extension
	usageRSA tbs.Extension

	bothAuth bool      // serverAuth and clientAuth
	mistakes []Finding // why the product cannot be used
}

// A planned field.
type planned struct {
	name, section, key string
	id                 asn1.ObjectIdentifier // of the attribute or other name
	rule               FieldRule
	pattern            *regexp.Regexp
	choices            map[string]bool
	max                int
	values, fallback   []composed // of rule.Values and rule.Default
	label              string

	data, form, csr bool // sources
}

// defaultOrder is the usual order of a name (RFC 5280 leaves it open; from the
// general to the particular, as TLS BR 7.1.4.2 lists it).
const defaultOrder = `C JOIC ST JOIST L JOIL DC postalCode STREET postalAddress O organizationIdentifier OU businessCategory
	serialNumber title GN initials SN generationQualifier pseudonym name UID CN emailAddress`

// compile never fails: what is wrong with a product is in plan.mistakes, which
// Lint shows and Resolve refuses to work with.
func compile(p *Product) *plan {
	l := &plan{index: map[string]int{}}
	d := &p.Definition
	for _, name := range subjectOrder(d) {
		id, err := dn.ParseType(name)
		if err != nil {
			l.mistake("subject."+name, "field.unknown", "There is no attribute %q.", name)
			continue
		}
		l.add(sectionSubject, name, id, d.Subject[name])
	}
	for _, kind := range orderedKeys(d.SAN, SANKinds()) {
		id, ok := sanID(kind)
		if !ok {
			l.mistake("san."+kind, "field.unknown", "There is no alternative name of the kind %q.", kind)
			continue
		}
		l.add(sectionSAN, kind, id, d.SAN[kind])
	}
	for _, name := range orderedKeys(d.Extensions.Fields, extensionFields()) {
		if !slices.Contains(extensionFields(), name) {
			l.mistake("extensions.fields."+name, "field.unknown", "There is no requestable extension %q.", name)
			continue
		}
		l.add(sectionExt, name, nil, d.Extensions.Fields[name])
	}
	l.dns, l.email, l.ip = l.find("san.dns"), l.find("san.email"), l.find("san.ip")
	l.cn, l.mail = l.find("subject.CN"), l.find("subject.emailAddress")
	for i := range l.fields {
		l.link(&l.fields[i])
	}
	l.key = d.Key.policy()
	l.key.Composite = d.Rules.PublicTrust
	l.encode(&d.Extensions, p.Realm)
	return l
}

func (l *plan) mistake(path, code, format string, args ...any) {
	l.mistakes = append(l.mistakes, Finding{Path: path, Severity: Error, Code: code, Text: fmt.Sprintf(format, args...)})
}

func (l *plan) find(name string) int {
	if i, ok := l.index[name]; ok {
		return i
	}
	return -1
}

// subjectOrder lists the attributes of the definition in the order of the name.
func subjectOrder(d *Definition) []string {
	first := d.SubjectOrder
	for name := range strings.FieldsSeq(defaultOrder) {
		first = append(first[:len(first):len(first)], canonicalAttribute(name))
	}
	return orderedKeys(d.Subject, first)
}

// orderedKeys lists the keys of fields: first those in order, then the rest by
// name.
func orderedKeys(fields map[string]FieldRule, order []string) []string {
	var out []string
	for _, name := range order {
		if _, ok := fields[name]; ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// sanID tells whether there is such a kind of alternative name; the identifier
// is that of an other name.
func sanID(kind string) (asn1.ObjectIdentifier, bool) {
	if text, ok := strings.CutPrefix(kind, sanOther); ok {
		return parseOID(text)
	}
	return nil, slices.Contains(SANKinds(), kind)
}

// parseOID reads a dotted object identifier.
func parseOID(text string) (asn1.ObjectIdentifier, bool) {
	if text == "" || text[0] < '0' || text[0] > '2' {
		return nil, false
	}
	id, err := dn.ParseType(text)
	return id, err == nil
}

func (l *plan) add(section, key string, id asn1.ObjectIdentifier, rule FieldRule) {
	rule.Column = strings.ToLower(rule.Column)
	f := planned{name: section + "." + key, section: section, key: key, id: id, rule: rule, max: max(rule.Max, 1), label: rule.Label}
	if f.label == "" {
		f.label = usualLabel(f.name)
	}
	if rule.Pattern != "" {
		pattern, err := regexp.Compile(`^(?:` + rule.Pattern + `)$`)
		if err != nil {
			l.mistake(f.path(), "field.pattern", "The pattern is not a regular expression: %v.", err)
		}
		f.pattern = pattern
	}
	if len(rule.Choices) > 0 {
		f.choices = make(map[string]bool, len(rule.Choices))
		for _, c := range rule.Choices {
			f.choices[c] = true
		}
	}
	f.data, f.csr = slices.Contains(rule.Sources, FromData), slices.Contains(rule.Sources, FromCSR)
	f.form = len(rule.Sources) == 0 || slices.Contains(rule.Sources, FromForm)
	l.index[f.name], l.index[strings.ToLower(f.name)] = len(l.fields), len(l.fields)
	l.fields = append(l.fields, f)
}

// path is where the rule stands in the definition.
func (f *planned) path() string {
	if f.section == sectionExt {
		return "extensions.fields." + f.key
	}
	return f.name
}

// link compiles the placeholders, once all fields are known.
func (l *plan) link(f *planned) {
	f.values, f.fallback = l.composeAll(f, "values", f.rule.Values), l.composeAll(f, "default", f.rule.Default)
}
