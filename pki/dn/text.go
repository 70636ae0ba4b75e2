package dn

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxText bounds the text that ParseString reads, in octets.
const maxText = 64 << 10

// String writes the name as RFC 4514 text, last attribute first, for example
// "CN=www.example.com,O=Example,C=DK". Types without a short name are written as
// dotted OID and hexadecimal DER value.
func (n Name) String() string {
	var out strings.Builder
	for i := len(n) - 1; i >= 0; i-- {
		t := describe(n[i].Type)
		out.WriteString(t.String())
		out.WriteByte('=')
		if t.name == "" {
			writeHexValue(&out, n[i].Value)
		} else {
			writeEscaped(&out, n[i].Value)
		}
		if i > 0 {
			out.WriteByte(',')
		}
	}
	return out.String()
}

// writeEscaped escapes a value as RFC 4514, section 2.4 asks; ASCII control characters
// become hexadecimal pairs, so that a name always fits on one line.
func writeEscaped(out *strings.Builder, value string) {
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(out, `\%02X`, c)
			continue
		case strings.IndexByte(`"+,;<>\`, c) >= 0,
			c == ' ' && (i == 0 || i == len(value)-1),
			c == '#' && i == 0:
			out.WriteByte('\\')
		}
		out.WriteByte(c)
	}
}

func writeHexValue(out *strings.Builder, value string) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	out.WriteByte('#')
	out.WriteString(strings.ToUpper(hex.EncodeToString(b.BytesOrPanic())))
}

// ParseString reads RFC 4514 text into encoding order. Spaces around types, "="
// and "," are ignored, values may stand in double quotes as RFC 2253 allowed, a
// type may be a name in any case, a dotted OID or "OID." and a dotted OID. The
// parts of a multi-valued RDN ("+") become attributes of their own. Errors say
// where the text went wrong; upper bounds are left to [Name.DER].
func ParseString(s string) (Name, error) {
	if len(s) > maxText {
		return nil, fmt.Errorf("dn: a name of %d octets; the limit is %d", len(s), maxText)
	}
	if !utf8.ValidString(s) {
		return nil, errors.New("dn: the name is not valid UTF-8")
	}
	p := parser{text: s}
	name := Name{}
	for p.skipSpaces(); !p.done(); {
		a, err := p.attribute()
		if err != nil {
			return nil, fmt.Errorf("dn: at position %d: %w", p.pos+1, err)
		}
		if len(name) == maxAttributes {
			return nil, fmt.Errorf("dn: more than %d attributes", maxAttributes)
		}
		name = append(name, a)
		if p.done() {
			break
		}
		// attribute stops only at the end or at a separator.
		p.pos++
		if p.skipSpaces(); p.done() {
			return nil, errors.New("dn: the name ends with a separator")
		}
	}
	slices.Reverse(name)
	return name, nil
}

type parser struct {
	text string
	pos  int
}

func (p *parser) done() bool { return p.pos >= len(p.text) }

func (p *parser) skipSpaces() {
	for !p.done() && p.text[p.pos] == ' ' {
		p.pos++
	}
}

func (p *parser) atSeparator() bool {
	return p.text[p.pos] == ',' || p.text[p.pos] == '+'
}

func (p *parser) attribute() (Attribute, error) {
	length := strings.IndexAny(p.text[p.pos:], "=,+")
	if length < 0 || p.text[p.pos+length] != '=' {
		return Attribute{}, errors.New(`expected a type and "=", as in CN=example`)
	}
	id, err := parseType(strings.TrimSpace(p.text[p.pos : p.pos+length]))
	if err != nil {
		return Attribute{}, err
	}
	p.pos += length + 1
	p.skipSpaces()
	value, err := p.value()
	if err != nil {
		return Attribute{}, fmt.Errorf("%s: %w", describe(id), err)
	}
	if value == "" {
		return Attribute{}, fmt.Errorf("%s has no value", describe(id))
	}
	if strings.IndexByte(value, 0) >= 0 {
		return Attribute{}, fmt.Errorf("%s contains a NUL character", describe(id))
	}
	return Attribute{Type: id, Value: value}, nil
}

func (p *parser) value() (string, error) {
	if p.done() {
		return "", nil
	}
	switch p.text[p.pos] {
	case '#':
		return p.hexValue()
	case '"':
		return p.quotedValue()
	}
	var out []byte
	kept := 0 // length of out up to the last character that is not a bare space
	for !p.done() && !p.atSeparator() {
		c := p.text[p.pos]
		switch {
		case c == '\\':
			e, err := p.escape()
			if err != nil {
				return "", err
			}
			out = append(out, e)
			kept = len(out)
			continue
		case strings.IndexByte(`";<>`, c) >= 0:
			return "", fmt.Errorf(`%q must be written as \%c`, c, c)
		}
		out = append(out, c)
		p.pos++
		if c != ' ' {
			kept = len(out)
		}
	}
	return validUTF8(out[:kept])
}

// escape reads a backslash with either a special character or two hexadecimal
// digits, which stand for one octet of UTF-8.
func (p *parser) escape() (byte, error) {
	rest := p.text[p.pos+1:]
	if rest != "" && strings.IndexByte(` "#+,;<=>\`, rest[0]) >= 0 {
		p.pos += 2
		return rest[0], nil
	}
	if len(rest) >= 2 {
		if c, err := strconv.ParseUint(rest[:2], 16, 8); err == nil {
			p.pos += 3
			return byte(c), nil
		}
	}
	return 0, errors.New(`"\" must be followed by a special character or two hexadecimal digits`)
}

func (p *parser) quotedValue() (string, error) {
	var out []byte
	for p.pos++; !p.done(); {
		switch c := p.text[p.pos]; c {
		case '"':
			p.pos++
			if p.skipSpaces(); !p.done() && !p.atSeparator() {
				return "", errors.New(`expected "," after the closing quote`)
			}
			return validUTF8(out)
		case '\\':
			e, err := p.escape()
			if err != nil {
				return "", err
			}
			out = append(out, e)
		default:
			out = append(out, c)
			p.pos++
		}
	}
	return "", errors.New("the closing quote is missing")
}

// hexValue reads "#" and the hexadecimal DER of a string.
func (p *parser) hexValue() (string, error) {
	text := p.text[p.pos+1:]
	if end := strings.IndexAny(text, ",+"); end >= 0 {
		text = text[:end]
	}
	p.pos += 1 + len(text)
	der, err := hex.DecodeString(strings.TrimRight(text, " "))
	if err != nil {
		return "", errors.New(`"#" must be followed by the hexadecimal DER value; write a leading # as \#`)
	}
	return DirectoryString(der)
}

func validUTF8(value []byte) (string, error) {
	if !utf8.Valid(value) {
		return "", errors.New("the escaped octets are not valid UTF-8")
	}
	return string(value), nil
}

func parseType(text string) (asn1.ObjectIdentifier, error) {
	for i := range types {
		if strings.EqualFold(text, types[i].name) {
			return types[i].id, nil
		}
		for alias := range strings.FieldsSeq(types[i].aliases) {
			if strings.EqualFold(text, alias) {
				return types[i].id, nil
			}
		}
	}
	if len(text) > 4 && strings.EqualFold(text[:4], "OID.") {
		text = text[4:]
	}
	if id, ok := parseOID(text); ok {
		return id, nil
	}
	return nil, fmt.Errorf("unknown attribute type %q; use a known name or its object identifier", text)
}

func parseOID(text string) (asn1.ObjectIdentifier, bool) {
	arcs := strings.Split(text, ".")
	if len(arcs) < 2 || len(arcs) > 32 {
		return nil, false
	}
	id := make(asn1.ObjectIdentifier, len(arcs))
	for i, arc := range arcs {
		// 28 bits: the arcs that cryptobyte reads back.
		n, err := strconv.ParseUint(arc, 10, 28)
		if err != nil || len(arc) > 1 && arc[0] == '0' {
			return nil, false
		}
		id[i] = int(n)
	}
	return id, id[0] <= 2 && (id[0] == 2 || id[1] < 40)
}
