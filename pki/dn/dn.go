// Package dn writes and reads X.501 distinguished names (RFC 5280, section
// 4.1.2.4) as DER and as RFC 4514 text.
//
// A [Name] is what one wants to say; [Name.DER] is the strict form that a CA
// issues. [Parse] reads the names of other people's certificates and requests and
// is tolerant. Because a Name does not remember string types, a name that must
// match byte for byte (an issuer, say) is kept as DER, never re-encoded.
package dn

import (
	"encoding/asn1"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxAttributes bounds a name in either direction; real names have up to a dozen.
const maxAttributes = 64

// An Attribute is one relative distinguished name: a type and its value as UTF-8.
type Attribute struct {
	Type  asn1.ObjectIdentifier
	Value string
}

// A Name is a sequence of attributes in encoding order, usually from country to
// common name; RFC 4514 text runs the other way. Each attribute is an RDN of its
// own, as TLS BR 7.1.4.1 asks. The empty Name is valid.
type Name []Attribute

// Value returns the first value of the given type, or "".
func (n Name) Value(id asn1.ObjectIdentifier) string {
	for _, a := range n {
		if a.Type.Equal(id) {
			return a.Value
		}
	}
	return ""
}

// Values returns all values of the given type, in order.
func (n Name) Values(id asn1.ObjectIdentifier) []string {
	var values []string
	for _, a := range n {
		if a.Type.Equal(id) {
			values = append(values, a.Value)
		}
	}
	return values
}

// DER encodes the name: PrintableString for countries, serial number, telephone
// number and DN qualifier, IA5String for e-mail address and domain component, and
// UTF8String for everything else. That includes three types whose standards ask
// for other ASN.1 types: the date of birth (YYYY-MM-DD), the unique identifier,
// and the postal address (lines separated by "$", RFC 4517, 3.3.28). Most
// software, openssl and crypto/x509 among it, refuses a whole certificate whose
// name holds anything but strings; [Parse] reads both forms. Empty values, control
// characters, characters that the string type lacks and values over the upper
// bounds of X.520 are errors that name the attribute ([Attribute.Check]).
func (n Name) DER() ([]byte, error) { return n.encode(false) }

// LongDER is [Name.DER] without the upper bounds, which X.520 gave up in 2012 and
// RFC 5280 kept: names that verifiers of old systems expect are longer.
func (n Name) LongDER() ([]byte, error) { return n.encode(true) }

func (n Name) encode(long bool) ([]byte, error) {
	if len(n) > maxAttributes {
		return nil, fmt.Errorf("dn: a name of %d attributes; the limit is %d", len(n), maxAttributes)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 192))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range n {
			t := describe(a.Type)
			tag, err := t.check(a.Value, long)
			if err != nil {
				b.SetError(err)
				return
			}
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(a.Type)
					b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Value)) })
				})
			})
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("dn: %w", err)
	}
	return der, nil
}

// Check tells whether [Name.DER] would take the attribute, and if not why.
func (a Attribute) Check() error {
	_, err := describe(a.Type).check(a.Value, false)
	return err
}

// CheckLong is [Attribute.Check] for [Name.LongDER].
func (a Attribute) CheckLong() error {
	_, err := describe(a.Type).check(a.Value, true)
	return err
}

// check returns the string type for a value, or why it cannot be issued.
func (t attributeType) check(value string, long bool) (cbasn1.Tag, error) {
	if value == "" {
		return 0, fmt.Errorf("%s is empty; leave the attribute out", t)
	}
	if !utf8.ValidString(value) {
		return 0, fmt.Errorf("%s is not valid UTF-8", t)
	}
	if t.syntax == countrySyntax {
		if len(value) != 2 || !isCapital(value[0]) || !isCapital(value[1]) {
			return 0, fmt.Errorf("%s %q is not a country code of two capital letters (ISO 3166-1)", t, value)
		}
		return cbasn1.PrintableString, nil
	}
	if count := utf8.RuneCountInString(value); count > t.max && !(long && count <= ubName) {
		return 0, fmt.Errorf("%s has %d characters; X.520 allows %d", t, count, t.max)
	}
	for _, r := range value {
		switch {
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return 0, fmt.Errorf("%s contains the control character %U", t, r)
		case t.syntax == printableSyntax && !isPrintable(r):
			return 0, fmt.Errorf("%s contains %q, which a PrintableString cannot hold", t, r)
		case t.syntax == ia5Syntax && r > 0x7f:
			return 0, fmt.Errorf("%s contains %q, which is not ASCII; write domain names in punycode", t, r)
		}
	}
	switch t.syntax {
	case printableSyntax:
		return cbasn1.PrintableString, nil
	case ia5Syntax:
		return cbasn1.IA5String, nil
	case dateSyntax:
		if _, err := time.Parse(time.DateOnly, value); err != nil {
			return 0, fmt.Errorf("%s %q is not a day; write it as 1980-12-31", t, value)
		}
		return cbasn1.PrintableString, nil
	case linesSyntax:
		return cbasn1.UTF8String, checkLines(t, value)
	}
	return cbasn1.UTF8String, nil
}

// String names the type as RFC 4514 text does.
func (t attributeType) String() string {
	if t.name != "" {
		return t.name
	}
	return t.id.String()
}

func isCapital(c byte) bool { return 'A' <= c && c <= 'Z' }

// isPrintable: the PrintableString alphabet of X.680, 41.4.
func isPrintable(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	switch r {
	case ' ', '\'', '(', ')', '+', ',', '-', '.', '/', ':', '=', '?':
		return true
	}
	return false
}
