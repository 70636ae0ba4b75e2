package ocsp

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers, as whole DER elements: id-pkix-ocsp 1.3.6.1.5.5.7.48.1 and below.
const (
	oidBasic          = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01"
	oidNonce          = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x02"
	oidResponseTypes  = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x04"
	oidArchiveCutoff  = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x06"
	oidPreferredAlgs  = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x08"
	oidExtendedRevoke = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x09"
)

// MaxNonce is in octets. A nonce has 1 to 128 (RFC 9654, 2.1); RFC 8954, which
// it replaces, allowed 32. The answer repeats each of them.
const MaxNonce = 128

const maxExtensions = 16

var (
	tag0 = asn1.Tag(0).ContextSpecific().Constructed()
	tag1 = asn1.Tag(1).ContextSpecific().Constructed()
	tag2 = asn1.Tag(2).ContextSpecific().Constructed()
)

// readExtensions reads an optional [tag] EXPLICIT Extensions and calls use for
// each; use says whether it understood. None may appear twice, and a critical
// one that is not understood is an error.
func readExtensions(in *cryptobyte.String, tag asn1.Tag, use func(oid []byte, value cryptobyte.String) (bool, error)) error {
	if !in.PeekASN1Tag(tag) {
		return nil
	}
	var wrapper, list cryptobyte.String
	if !in.ReadASN1(&wrapper, tag) || !wrapper.ReadASN1(&list, asn1.SEQUENCE) || !wrapper.Empty() {
		return malformed("extensions")
	}
	var seen [][]byte
	for !list.Empty() {
		oid, value, critical, ok := readExtension(&list)
		if !ok || len(seen) == maxExtensions {
			return malformed("an extension, or too many")
		}
		for _, other := range seen {
			if bytes.Equal(oid, other) {
				return malformed("an extension that appears twice")
			}
		}
		seen = append(seen, oid)
		understood, err := use(oid, value)
		if err != nil {
			return err
		}
		if critical && !understood {
			return malformed("unknown critical extension %x", oid)
		}
	}
	return nil
}

func readExtension(in *cryptobyte.String) (oid []byte, value cryptobyte.String, critical, ok bool) {
	var body, id cryptobyte.String
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1Element(&id, asn1.OBJECT_IDENTIFIER) {
		return nil, nil, false, false
	}
	if body.PeekASN1Tag(asn1.BOOLEAN) {
		// FALSE is the default, which DER leaves out (X.690, 11.5).
		if !body.ReadASN1Boolean(&critical) || !critical {
			return nil, nil, false, false
		}
	}
	return id, value, critical, body.ReadASN1(&value, asn1.OCTET_STRING) && body.Empty()
}

func noneUnderstood([]byte, cryptobyte.String) (bool, error) { return false, nil }

func readNonce(value cryptobyte.String) ([]byte, error) {
	var nonce cryptobyte.String
	if !value.ReadASN1(&nonce, asn1.OCTET_STRING) || !value.Empty() {
		return nil, malformed("a nonce that is not an OCTET STRING")
	}
	if len(nonce) == 0 || len(nonce) > MaxNonce {
		return nil, malformed("a nonce of %d octets (RFC 9654, 2.1)", len(nonce))
	}
	return nonce, nil
}

func addExtension(b *cryptobyte.Builder, oid string, value cryptobyte.BuilderContinuation) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte(oid))
		b.AddASN1(asn1.OCTET_STRING, value)
	})
}

func addNonce(b *cryptobyte.Builder, nonce []byte) {
	addExtension(b, oidNonce, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
}
