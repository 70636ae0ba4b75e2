package cms

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Types of attributes (RFC 5652, section 11; RFC 5035; RFC 3161, appendix A).
var (
	ContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	MessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	SigningTime          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	SigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	SignatureTimeStamp   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14} // unsigned
)

// An Attribute is a type with its values, each of them DER.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte
}

// Attributes are those of one signer, in the order of the message.
type Attributes []Attribute

// Get returns the value of the attribute of a type, if there is one such
// attribute with exactly one value.
func (as Attributes) Get(kind asn1.ObjectIdentifier) (value []byte, ok bool) {
	for _, a := range as {
		if a.Type.Equal(kind) {
			if ok || len(a.Values) != 1 {
				return nil, false
			}
			value, ok = a.Values[0], true
		}
	}
	return value, ok
}

func (as Attributes) has(kind asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(as, func(a Attribute) bool { return a.Type.Equal(kind) })
}

// der encodes an Attribute (RFC 5652, section 5.3), its values as a DER SET OF.
func (a Attribute) der() ([]byte, error) {
	if len(a.Values) == 0 {
		return nil, fmt.Errorf("cms: the attribute %s has no value", a.Type)
	}
	for _, v := range a.Values {
		if b := ber(v); len(v) == 0 {
			return nil, fmt.Errorf("cms: the attribute %s has an empty value", a.Type)
		} else if _, ok := b.definite(); !ok || !b.empty() {
			return nil, fmt.Errorf("cms: a value of the attribute %s is not one DER element", a.Type)
		}
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.Type)
		b.AddBytes(setOf(cbasn1.SET, a.Values))
	})
	return b.Bytes()
}

// setOf encodes a SET OF in DER: in the order of the encodings (X.690, 11.6).
func setOf(tag cbasn1.Tag, elements [][]byte) []byte {
	return element(tag, slices.SortedFunc(slices.Values(elements), bytes.Compare)...)
}

// readAttributes reads the contents of a SET OF Attribute. Those that are signed
// must be DER: in order, each type once.
func readAttributes(in cryptobyte.String, signed bool) (Attributes, error) {
	var as Attributes
	var last []byte
	for !in.Empty() {
		var whole, body, values cryptobyte.String
		var a Attribute
		if len(as) == maxAttributes || !in.ReadASN1Element(&whole, cbasn1.SEQUENCE) {
			return nil, malformed("attributes, or more than %d", maxAttributes)
		}
		raw := whole
		if !whole.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&a.Type) ||
			!body.ReadASN1(&values, cbasn1.SET) || !body.Empty() || values.Empty() {
			return nil, malformed("an attribute")
		}
		for !values.Empty() {
			var value cryptobyte.String
			var tag cbasn1.Tag
			if len(a.Values) == maxValues || !values.ReadAnyASN1Element(&value, &tag) {
				return nil, malformed("values of the attribute %s, or more than %d", a.Type, maxValues)
			}
			a.Values = append(a.Values, value)
		}
		if signed && as.has(a.Type) {
			return nil, malformed("the signed attribute %s occurs twice", a.Type)
		}
		if signed && bytes.Compare(last, raw) > 0 {
			return nil, malformed("signed attributes that are not in the order of DER")
		}
		last = raw
		as = append(as, a)
	}
	return as, nil
}

// timeValue encodes a Time (RFC 5652, section 11.3): UTCTime until 2049,
// GeneralizedTime without fractions from then on.
func timeValue(t time.Time) ([]byte, error) {
	t = t.UTC()
	b := cryptobyte.NewBuilder(nil)
	if y := t.Year(); y >= 1950 && y < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
	return b.Bytes()
}

// readTime reads a Time, to the second and in UTC.
func readTime(der []byte) (t time.Time, err error) {
	in := cryptobyte.String(der)
	ok := false
	switch {
	case in.PeekASN1Tag(cbasn1.UTCTime):
		ok = len(in) == 2+len("060102150405Z") && in.ReadASN1UTCTime(&t)
	case in.PeekASN1Tag(cbasn1.GeneralizedTime):
		ok = len(in) == 2+len("20060102150405Z") && in.ReadASN1GeneralizedTime(&t)
	}
	if !ok || !in.Empty() {
		return t, malformed("a time")
	}
	return t.UTC(), nil
}

func oidDER(id asn1.ObjectIdentifier) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1ObjectIdentifier(id)
	return b.Bytes()
}
