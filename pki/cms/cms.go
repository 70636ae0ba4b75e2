// Package cms builds, reads and verifies signed messages of the Cryptographic
// Message Syntax (RFC 5652): SignedData, with the content inside or beside it,
// one signer or several, or none at all when only certificates are to be carried.
//
// To sign, describe the message and its signers once and sign any number of
// contents with that:
//
//	p, err := cms.Message{Type: cms.Data, Certificates: chain}.Prepare(cms.Signer{Key: key, Certificate: cert})
//	der, err := p.Sign(content)
//
// To verify, [Parse] and then [SignedData.Verify], and use nothing but the
// content in what that returns: exactly the bytes that the signatures cover.
// Whether the signers' certificates are to be trusted is left to the caller.
//
// Signatures are RSA (PKCS #1 v1.5 and PSS), ECDSA on P-256, P-384 and P-521,
// and Ed25519 (RFC 8419); hashes are SHA-256, SHA-384 and SHA-512. What is
// written is DER. What is read may use indefinite lengths and strings in pieces
// around what is signed, as streaming writers do; what is signed must be DER.
//
// Signing adds a few microseconds to the cost of the signature. Messages are held
// in memory; content that is not can be signed and verified by its digest.
package cms

import (
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Types of content (RFC 5652, sections 4, 5.1 and 6.1).
var (
	Data          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	signedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	envelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
)

// Limits of [Parse].
const (
	MaxSize         = 64 << 20 // octets
	maxCertificates = 256
	maxCRLs         = 256
	maxSigners      = 32
	maxAttributes   = 64 // of one kind, of one signer
	maxValues       = 64 // of one attribute
)

var (
	// ErrMalformed is wrapped by errors about input that is not what RFC 5652
	// defines, or is beyond a limit.
	ErrMalformed = errors.New("cms: malformed")
	// ErrSignature is wrapped by errors about a signature that does not belong to
	// the content, the attributes or the certificate.
	ErrSignature = errors.New("cms: the signature does not verify")
	// ErrUnsupported is wrapped by errors about algorithms that this package does
	// not know or no longer accepts, such as SHA-1.
	ErrUnsupported = errors.New("cms: unsupported")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSignature, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

const (
	tag0 = cbasn1.Tag(0x80 | 0x20)
	tag1 = cbasn1.Tag(0x80 | 0x20 | 1)
)

// readInfo opens a ContentInfo (RFC 5652, section 3) and returns what is in its
// content field, which is of the wanted type.
func readInfo(in []byte, want asn1.ObjectIdentifier) (ber, error) {
	if len(in) > MaxSize {
		return nil, malformed("a message of %d octets, where %d are allowed", len(in), MaxSize)
	}
	outer := ber(in)
	body, ok := outer.open(byte(cbasn1.SEQUENCE))
	if !ok || !outer.empty() {
		return nil, malformed("not one ContentInfo")
	}
	kind, ok := body.oid()
	if !ok {
		return nil, malformed("a ContentInfo without a type")
	}
	if !kind.Equal(want) {
		if kind.Equal(envelopedData) {
			return nil, malformed("the message is encrypted, not signed")
		}
		return nil, malformed("a message of the type %s, not %s", kind, want)
	}
	content, ok := body.open(byte(tag0))
	if !ok || !body.empty() {
		return nil, malformed("a ContentInfo without its content")
	}
	return content, nil
}

// element encodes something whose tag is not to be thought about: a SEQUENCE,
// SET or tagged wrapper around parts that are DER already.
func element(tag cbasn1.Tag, parts ...[]byte) []byte {
	size := 8
	for _, p := range parts {
		size += len(p)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, size))
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, p := range parts {
			b.AddBytes(p)
		}
	})
	return b.BytesOrPanic() // fails only beyond 4 GiB
}
