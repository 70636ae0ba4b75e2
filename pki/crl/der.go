package crl

import (
	"bytes"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagEnumerated  = 0x0a
	tagUTCTime     = 0x17
	tagGeneralized = 0x18
	tagSequence    = 0x30
)

// Object identifiers of extensions, as whole DER elements.
const (
	oidReasonCode        = "\x06\x03\x55\x1d\x15"
	oidInvalidityDate    = "\x06\x03\x55\x1d\x18"
	oidCertificateIssuer = "\x06\x03\x55\x1d\x1d"
	oidCRLNumber         = "\x06\x03\x55\x1d\x14"
	oidDeltaIndicator    = "\x06\x03\x55\x1d\x1b"
	oidDistributionPoint = "\x06\x03\x55\x1d\x1c"
	oidAuthorityKeyID    = "\x06\x03\x55\x1d\x23"
	oidFreshestCRL       = "\x06\x03\x55\x1d\x2e"
	oidExpiredCertsOnCRL = "\x06\x03\x55\x1d\x3c"
)

// appendHeader appends tag and DER length; n is below 2^32.
func appendHeader(dst []byte, tag byte, n int64) []byte {
	dst = append(dst, tag)
	if n < 0x80 {
		return append(dst, byte(n))
	}
	octets := 1
	for n>>(8*octets) != 0 {
		octets++
	}
	dst = append(dst, 0x80|byte(octets))
	for octets > 0 {
		octets--
		dst = append(dst, byte(n>>(8*octets)))
	}
	return dst
}

// appendTime follows RFC 5280, 5.1.2.4: UTCTime through 2049, GeneralizedTime after.
func appendTime(dst []byte, t time.Time) []byte {
	if t.UTC().Year() >= 2050 {
		return appendGeneralizedTime(dst, t)
	}
	return t.UTC().AppendFormat(append(dst, tagUTCTime, 13), "060102150405Z")
}

func appendGeneralizedTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(append(dst, tagGeneralized, 15), "20060102150405Z")
}

func encodable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1950 && year <= 9999
}

// readTime takes the two forms that appendTime writes and no others, such as
// those without seconds or with a zone.
func readTime(in *cryptobyte.String, out *time.Time) bool {
	if in.PeekASN1Tag(asn1.UTCTime) {
		return len(*in) > 1 && (*in)[1] == 13 && in.ReadASN1UTCTime(out)
	}
	return readGeneralizedTime(in, out) && out.Year() >= 2050
}

func readGeneralizedTime(in *cryptobyte.String, out *time.Time) bool {
	return len(*in) > 1 && (*in)[1] == 15 && in.ReadASN1GeneralizedTime(out)
}

func isSequence(der []byte) bool {
	in := cryptobyte.String(der)
	return in.SkipASN1(asn1.SEQUENCE) && in.Empty()
}

// An extension is one Extension (RFC 5280, 4.1). Its bytes point into the input.
type extension struct {
	oid      []byte // the whole element, to compare with the constants
	critical bool
	value    cryptobyte.String
}

// readExtensions reads the contents of Extensions: one or more, none twice. It
// calls use for each and stops at its error.
func readExtensions(in cryptobyte.String, use func(extension) error) error {
	if in.Empty() {
		return malformed("an empty list of extensions")
	}
	var seen [maxExtensions][]byte // on the stack: this runs for every entry
	for n := 0; !in.Empty(); n++ {
		if n == maxExtensions {
			return malformed("more than %d extensions", maxExtensions)
		}
		ext, ok := readExtension(&in)
		if !ok {
			return malformed("an extension")
		}
		for _, oid := range seen[:n] {
			if bytes.Equal(oid, ext.oid) {
				return malformed("an extension that appears twice")
			}
		}
		seen[n] = ext.oid
		if err := use(ext); err != nil {
			return err
		}
	}
	return nil
}

func readExtension(in *cryptobyte.String) (ext extension, ok bool) {
	var body, oid cryptobyte.String
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) {
		return ext, false
	}
	if body.PeekASN1Tag(asn1.BOOLEAN) {
		// FALSE is the default, which DER leaves out (X.690, 11.5).
		if !body.ReadASN1Boolean(&ext.critical) || !ext.critical {
			return ext, false
		}
	}
	ext.oid = oid
	return ext, body.ReadASN1(&ext.value, asn1.OCTET_STRING) && body.Empty()
}
