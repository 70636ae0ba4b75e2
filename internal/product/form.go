package product

import (
	"errors"
	"slices"
)

var (
	errNotOID = errors.New("the value is not an object identifier")
	errNotHex = errors.New("the value is not hexadecimal")
)

// A FormField is what a user interface shows for a field before anything is
// filled in. Hidden fields are not among them.
type FormField struct {
	Name      string
	Label     string
	Hint      string
	State     ShownState
	Mandatory bool     // A81: shown with an asterisk
	Default   []string // of an editable field, or the values of a greyed one; without those composed of others
	Pattern   string   // RE2
	Choices   []string
	Max       int
	Data      bool // filled by the record that is picked
	FromCSR   bool // filled by the certificate request when left empty
}

// Form lists the fields in the order of the certificate (A79–A81).
func (p *Product) Form() []FormField {
	l := p.prepared()
	out := make([]FormField, 0, len(l.fields))
	for i := range l.fields {
		f := &l.fields[i]
		if f.rule.State == Hidden {
			continue
		}
		field := FormField{
			Name: f.name, Label: f.label, Hint: f.rule.Hint, State: f.shown(), Mandatory: f.rule.Mandatory,
			Pattern: f.rule.Pattern, Choices: slices.Clone(f.rule.Choices), Max: f.max, Data: f.data, FromCSR: f.csr,
		}
		values := f.fallback
		if f.rule.State == Fixed {
			values = f.values
		}
		for _, c := range values {
			if len(c) == 1 && c[0].field < 0 {
				field.Default = append(field.Default, c[0].text)
			}
		}
		out = append(out, field)
	}
	return out
}
