package dn

import (
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ASN.1 string types that cryptobyte does not name.
const (
	tagNumericString   = cbasn1.Tag(18)
	tagVisibleString   = cbasn1.Tag(26)
	tagUniversalString = cbasn1.Tag(28)
	tagBMPString       = cbasn1.Tag(30)
)

// Parse reads a DER name. It takes the string types seen in the field: UTF8String,
// PrintableString, IA5String, NumericString, VisibleString, T61String (read as
// Latin-1, as everyone does), BMPString and UniversalString; UTF-8 in a string
// type that is ASCII by the standard is forgiven. The attributes of multi-valued
// RDNs are returned one after another. Values that are not strings, or contain a
// NUL, are errors: a NUL is only ever there to deceive.
func Parse(der []byte) (Name, error) {
	input := cryptobyte.String(der)
	var rdns cryptobyte.String
	if !input.ReadASN1(&rdns, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, errors.New("dn: not a DER name")
	}
	name := Name{}
	for !rdns.Empty() {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, cbasn1.SET) || rdn.Empty() {
			return nil, errors.New("dn: malformed relative distinguished name")
		}
		for !rdn.Empty() {
			a, err := readAttribute(&rdn)
			if err != nil {
				return nil, err
			}
			if len(name) == maxAttributes {
				return nil, fmt.Errorf("dn: more than %d attributes", maxAttributes)
			}
			name = append(name, a)
		}
	}
	return name, nil
}

func readAttribute(rdn *cryptobyte.String) (Attribute, error) {
	var pair, raw cryptobyte.String
	var id asn1.ObjectIdentifier
	var tag cbasn1.Tag
	if !rdn.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&id) ||
		!pair.ReadAnyASN1(&raw, &tag) || !pair.Empty() {
		return Attribute{}, errors.New("dn: malformed attribute")
	}
	t := describe(id)
	value, err := t.decode(tag, raw)
	if err != nil {
		return Attribute{}, fmt.Errorf("dn: %s %w", t, err)
	}
	return Attribute{Type: id, Value: value}, nil
}

// DirectoryString reads one DER element of any string type that [Parse] takes.
func DirectoryString(der []byte) (string, error) {
	input := cryptobyte.String(der)
	var raw cryptobyte.String
	var tag cbasn1.Tag
	if !input.ReadAnyASN1(&raw, &tag) || !input.Empty() {
		return "", errors.New("the value is not one DER element")
	}
	value, err := decode(tag, raw)
	if err != nil {
		return "", fmt.Errorf("the value %w", err)
	}
	return value, nil
}

// decode turns the content octets of a string type into UTF-8.
func decode(tag cbasn1.Tag, raw []byte) (string, error) {
	var value string
	switch tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, tagNumericString, tagVisibleString:
		value = string(raw)
	case cbasn1.T61String:
		value = fromLatin1(raw)
	case tagBMPString:
		if len(raw)%2 != 0 {
			return "", errors.New("is a BMPString of odd length")
		}
		value = fromUTF16(raw)
	case tagUniversalString:
		if len(raw)%4 != 0 {
			return "", errors.New("is a UniversalString whose length is not a multiple of four")
		}
		value = fromUTF32(raw)
	default:
		return "", fmt.Errorf("has a value of ASN.1 type %d, which is not a string", tag)
	}
	if !utf8.ValidString(value) {
		return "", errors.New("is not valid UTF-8")
	}
	if strings.IndexByte(value, 0) >= 0 {
		return "", errors.New("contains a NUL character")
	}
	return value, nil
}

func fromLatin1(raw []byte) string {
	runes := make([]rune, len(raw))
	for i, c := range raw {
		runes[i] = rune(c)
	}
	return string(runes)
}

func fromUTF16(raw []byte) string {
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units))
}

func fromUTF32(raw []byte) string {
	runes := make([]rune, len(raw)/4)
	for i := range runes {
		// Values beyond Unicode become U+FFFD, also those that overflow a rune.
		runes[i] = rune(min(binary.BigEndian.Uint32(raw[4*i:]), utf8.MaxRune+1))
	}
	return string(runes)
}
