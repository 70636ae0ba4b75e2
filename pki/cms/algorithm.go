package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers, as DER.
const (
	oidRSA           = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	oidMGF1          = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
	oidPSS           = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
	oidSHA256WithRSA = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
	oidSHA384WithRSA = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"
	oidSHA512WithRSA = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"
	oidECDSASHA256   = "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
	oidECDSASHA384   = "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"
	oidECDSASHA512   = "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"
	oidEd25519       = "\x06\x03\x2b\x65\x70"
)

func readIdentifier(der []byte) (oid string, parameters cryptobyte.String, ok bool) {
	in := cryptobyte.String(der)
	var body, id cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Element(&id, cbasn1.OBJECT_IDENTIFIER) {
		return "", nil, false
	}
	return string(id), body, true
}

func nullOrAbsent(parameters cryptobyte.String) bool {
	return len(parameters) == 0 || string(parameters) == "\x05\x00"
}

type scheme uint8

const (
	pkcs1 scheme = iota + 1
	pss
	ecdsaScheme
	ed25519Scheme
)

// A method is a signature algorithm with its hash. Ed25519 hashes by itself, but
// its hash still makes the message digest: SHA-512 (RFC 8419, section 3.1).
type method struct {
	scheme scheme
	hash   crypto.Hash
	salt   int // octets, for PSS
}

// methodFor chooses how a key signs; h is 0 for the hash that suits the key.
func methodFor(pub crypto.PublicKey, h crypto.Hash, wantPSS bool) (method, error) {
	var m method
	switch k := pub.(type) {
	case *rsa.PublicKey:
		m = method{scheme: pkcs1, hash: crypto.SHA256}
		if wantPSS {
			m.scheme = pss
		}
	case *ecdsa.PublicKey:
		m.scheme = ecdsaScheme
		switch k.Curve {
		case elliptic.P256():
			m.hash = crypto.SHA256
		case elliptic.P384():
			m.hash = crypto.SHA384
		case elliptic.P521():
			m.hash = crypto.SHA512
		default:
			return m, unsupported("the curve of the key; use P-256, P-384 or P-521")
		}
	case ed25519.PublicKey:
		m = method{scheme: ed25519Scheme, hash: crypto.SHA512}
		if h != 0 && h != crypto.SHA512 {
			return m, unsupported("%v with Ed25519, which takes SHA-512 only (RFC 8419)", h)
		}
	default:
		return m, unsupported("a key of the type %T; use RSA, ECDSA or Ed25519", pub)
	}
	if wantPSS && m.scheme != pss {
		return m, unsupported("PSS with a key that is not RSA")
	}
	if h != 0 {
		m.hash = h
	}
	if HashIdentifier(m.hash) == nil {
		return m, unsupported("the hash %v; use SHA-256, SHA-384 or SHA-512", m.hash)
	}
	m.salt = m.hash.Size()
	return m, nil
}

// identifier is the signatureAlgorithm. For PKCS #1 v1.5 it is rsaEncryption, the
// one that every implementation must know (RFC 5754, section 3.2).
func (m method) identifier() []byte {
	null := []byte{5, 0}
	switch m.scheme {
	case pkcs1:
		return element(cbasn1.SEQUENCE, []byte(oidRSA), null)
	case pss:
		hash := HashIdentifier(m.hash)
		salt := element(tag0|2, []byte{2, 1, byte(m.salt)})
		return element(cbasn1.SEQUENCE, []byte(oidPSS), element(cbasn1.SEQUENCE, // RFC 4056, section 3
			element(tag0, hash), element(tag1, element(cbasn1.SEQUENCE, []byte(oidMGF1), hash)), salt))
	case ecdsaScheme:
		oid := oidECDSASHA256
		if m.hash == crypto.SHA384 {
			oid = oidECDSASHA384
		} else if m.hash == crypto.SHA512 {
			oid = oidECDSASHA512
		}
		return element(cbasn1.SEQUENCE, []byte(oid))
	default:
		return element(cbasn1.SEQUENCE, []byte(oidEd25519))
	}
}

// parseMethod reads a signatureAlgorithm beside the digestAlgorithm h. They must
// agree on the hash: a signature over one and a digest by the other would let the
// weaker of the two decide.
func parseMethod(der []byte, h crypto.Hash) (method, error) {
	oid, parameters, ok := readIdentifier(der)
	if !ok {
		return method{}, malformed("a signature algorithm identifier")
	}
	m := method{hash: h}
	var own crypto.Hash
	switch m.scheme, own = named(oid); m.scheme {
	case 0:
		return m, unsupported("the signature algorithm %s", oidText(oid))
	case pss:
		var err error
		if own, m.salt, err = readPSS(parameters); err != nil {
			return m, err
		}
		parameters = nil
	}
	if oid == oidRSA {
		own = h
	}
	if !nullOrAbsent(parameters) {
		return m, malformed("parameters of a signature algorithm")
	}
	if own != h {
		return m, malformed("a signature made with %v over a digest made with %v", own, h)
	}
	return m, nil
}

// named tells what an object identifier says by itself.
func named(oid string) (scheme, crypto.Hash) {
	switch oid {
	case oidRSA:
		return pkcs1, 0
	case oidPSS:
		return pss, 0
	case oidSHA256WithRSA:
		return pkcs1, crypto.SHA256
	case oidSHA384WithRSA:
		return pkcs1, crypto.SHA384
	case oidSHA512WithRSA:
		return pkcs1, crypto.SHA512
	case oidECDSASHA256:
		return ecdsaScheme, crypto.SHA256
	case oidECDSASHA384:
		return ecdsaScheme, crypto.SHA384
	case oidECDSASHA512:
		return ecdsaScheme, crypto.SHA512
	case oidEd25519:
		return ed25519Scheme, crypto.SHA512
	}
	return 0, 0
}

// readPSS reads RSASSA-PSS-params (RFC 4055, section 3.1). Their defaults are
// SHA-1, so hash and mask generation must be there, and be of the same hash.
func readPSS(in cryptobyte.String) (h crypto.Hash, salt int, err error) {
	var body, wrapper, id, mask cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&wrapper, tag0) ||
		!wrapper.ReadASN1Element(&id, cbasn1.SEQUENCE) || !wrapper.Empty() {
		return 0, 0, unsupported("PSS without a hash, which means SHA-1")
	}
	if h, err = ParseHash(id); err != nil {
		return 0, 0, err
	}
	if !body.ReadASN1(&wrapper, tag1) || !wrapper.ReadASN1Element(&id, cbasn1.SEQUENCE) || !wrapper.Empty() {
		return 0, 0, unsupported("PSS without a mask generation function, which means SHA-1")
	}
	oid, mask, ok := readIdentifier(id)
	if !ok || oid != oidMGF1 {
		return 0, 0, unsupported("PSS with a mask generation function other than MGF1")
	}
	if other, err := ParseHash(mask); err != nil || other != h {
		return 0, 0, unsupported("PSS with different hashes for message and mask")
	}
	salt = 20
	if body.PeekASN1Tag(tag0 | 2) {
		if !body.ReadASN1(&wrapper, tag0|2) || !wrapper.ReadASN1Integer(&salt) || !wrapper.Empty() || salt < 0 || salt > 512 {
			return 0, 0, malformed("the salt length of PSS")
		}
	}
	if trailer := 1; !body.Empty() && (!body.ReadASN1(&wrapper, tag0|3) || !wrapper.ReadASN1Integer(&trailer) || trailer != 1 || !body.Empty()) {
		return 0, 0, malformed("the trailer field of PSS")
	}
	return h, salt, nil
}

// sign signs message, hashing it as the method asks.
func (m method) sign(key crypto.Signer, message []byte) ([]byte, error) {
	input, opts := message, crypto.SignerOpts(crypto.Hash(0))
	switch m.scheme {
	case ed25519Scheme:
	case pss:
		input, opts = sum(m.hash, message), &rsa.PSSOptions{SaltLength: m.salt, Hash: m.hash}
	default:
		input, opts = sum(m.hash, message), m.hash
	}
	var random io.Reader = rand.Reader
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		random = nil // RFC 6979: the same bytes again give the same signature
	}
	signature, err := key.Sign(random, input, opts)
	if err != nil {
		return nil, fmt.Errorf("cms: sign: %w", err)
	}
	// Keys in this process check themselves, RSA above all (crypto/rsa). What a
	// device returns is checked before it leaves the house: one faulty signature by
	// the Chinese remainder theorem gives an RSA key away.
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return signature, nil
	}
	if !m.verifies(key.Public(), message, input, signature) {
		return nil, fmt.Errorf("cms: the signer returned a wrong signature, which was discarded")
	}
	return signature, nil
}

// verifies checks a signature over message, whose digest is given: Ed25519 needs
// the one, all others the other.
func (m method) verifies(pub crypto.PublicKey, message, digest, signature []byte) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		switch m.scheme {
		case pkcs1:
			return rsa.VerifyPKCS1v15(k, m.hash, digest, signature) == nil
		case pss:
			return rsa.VerifyPSS(k, m.hash, digest, signature, &rsa.PSSOptions{SaltLength: m.salt}) == nil
		}
	case *ecdsa.PublicKey:
		return m.scheme == ecdsaScheme && ecdsa.VerifyASN1(k, digest, signature)
	case ed25519.PublicKey:
		return m.scheme == ed25519Scheme && ed25519.Verify(k, message, signature)
	}
	return false
}

// oidText names an object identifier given as DER.
func oidText(der string) string {
	b := ber(der)
	id, ok := b.oid()
	if !ok {
		return fmt.Sprintf("%x", der)
	}
	return id.String()
}
