package ldapdir

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/publish/fact"
)

// A nameTemplate is a DN whose values are templates: the shape of the name is
// fixed when the settings are read, and facts only ever fill values.
type nameTemplate []rdn

// An rdn has one part, or several that were joined by "+".
type rdn []ava

type ava struct {
	attribute string
	value     fact.Template
}

// maxValue bounds one value of a name, in octets.
const maxValue = 1024

func parseName(text string) (nameTemplate, error) {
	if len(text) > fact.MaxTemplate {
		return nil, fmt.Errorf("it has more than %d octets", fact.MaxTemplate)
	}
	parsed, err := ldap.ParseDN(text)
	if err != nil {
		return nil, err
	}
	if len(parsed.RDNs) == 0 {
		return nil, errors.New("it is empty")
	}
	var name nameTemplate
	for _, p := range parsed.RDNs {
		var r rdn
		for _, a := range p.Attributes {
			if !attribute.MatchString(a.Type) || strings.Contains(a.Type, ";") {
				return nil, fmt.Errorf("%q is no name of an attribute", a.Type)
			}
			t, err := fact.Parse(a.Value)
			if err != nil {
				return nil, fmt.Errorf("the value of %s: %w", a.Type, err)
			}
			if a.Value == "" {
				return nil, fmt.Errorf("%s has no value", a.Type)
			}
			r = append(r, ava{a.Type, t})
		}
		name = append(name, r)
	}
	return name, nil
}

// fill writes the name as RFC 4514 text.
func (n nameTemplate) fill(s fact.Set) (string, error) {
	var out strings.Builder
	for i, r := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		for j, a := range r {
			if j > 0 {
				out.WriteByte('+')
			}
			value, err := a.value.Fill(s, nil)
			if err != nil {
				return "", err
			}
			if value == "" || len(value) > maxValue || !utf8.ValidString(value) {
				return "", fmt.Errorf("the value for %s is empty, no text, or has more than %d octets", a.attribute, maxValue)
			}
			out.WriteString(a.attribute)
			out.WriteByte('=')
			quote(&out, value)
		}
	}
	return out.String(), nil
}

// fixed is the end of the name that is the same for every certificate, as text:
// the entry under which the others stand. It is empty when there is none.
func (n nameTemplate) fixed() string {
	i := len(n)
	for i > 0 && n[i-1].fixed() {
		i--
	}
	if i == len(n) {
		return ""
	}
	text, err := n[i:].fill(nil)
	if err != nil {
		return "" // checked when the settings were read: it has no facts
	}
	return text
}

func (r rdn) fixed() bool {
	for _, a := range r {
		if !a.value.Fixed() {
			return false
		}
	}
	return true
}

// quote writes a value as RFC 4514, section 2.4 asks. Control characters, the
// equals sign and every other character that some server may take for syntax
// become hexadecimal pairs.
func quote(out *strings.Builder, value string) {
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c < 0x20 || c == 0x7f || strings.IndexByte(`"+,;<=>\`, c) >= 0,
			c == ' ' && (i == 0 || i == len(value)-1),
			c == '#' && i == 0:
			fmt.Fprintf(out, `\%02X`, c)
		default:
			out.WriteByte(c)
		}
	}
}

// rdnValues are the attributes that the first part of a DN implies, which an
// entry must hold.
func rdnValues(name string) (map[string][]string, error) {
	parsed, err := ldap.ParseDN(name)
	if err != nil || len(parsed.RDNs) == 0 {
		return nil, fmt.Errorf("the name %q cannot be read: %w", name, err)
	}
	out := map[string][]string{}
	for _, a := range parsed.RDNs[0].Attributes {
		out[a.Type] = append(out[a.Type], a.Value)
	}
	return out, nil
}

func joinHostPort(host, port string) string { return net.JoinHostPort(host, port) }
