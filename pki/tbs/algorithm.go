package tbs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // registers SHA-256 with crypto.Hash
	_ "crypto/sha512" // registers SHA-384 and SHA-512 with crypto.Hash
	"errors"
	"fmt"
	"io"
)

// ErrBadSignature is what [Algorithm.Verify] returns, wrapped, for a signature
// that does not belong to the message and key.
var ErrBadSignature = errors.New("tbs: the signature does not verify")

// An Algorithm is a signature algorithm for certificates, CRLs and OCSP answers:
// its DER AlgorithmIdentifier, its hash, and how to sign and verify with it.
// Algorithms are comparable with ==; the zero Algorithm signs nothing.
type Algorithm struct {
	name string
	der  string // AlgorithmIdentifier; a string, so that nobody can write to it
	hash crypto.Hash
	kind keyKind
}

type keyKind uint8

const (
	kindRSA keyKind = iota + 1
	kindECDSA
	kindEd25519
)

// The algorithms that this package signs and verifies with. The encodings are
// fixed byte for byte by TLS BR 7.1.3.2: RSA carries an explicit NULL (RFC 4055,
// section 5), ECDSA (RFC 5758, 3.2) and Ed25519 (RFC 8410, 3) no parameters.
var (
	SHA256WithRSA   = Algorithm{"SHA256-RSA", "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00", crypto.SHA256, kindRSA}
	SHA384WithRSA   = Algorithm{"SHA384-RSA", "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00", crypto.SHA384, kindRSA}
	SHA512WithRSA   = Algorithm{"SHA512-RSA", "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00", crypto.SHA512, kindRSA}
	ECDSAWithSHA256 = Algorithm{"ECDSA-SHA256", "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", crypto.SHA256, kindECDSA}
	ECDSAWithSHA384 = Algorithm{"ECDSA-SHA384", "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", crypto.SHA384, kindECDSA}
	ECDSAWithSHA512 = Algorithm{"ECDSA-SHA512", "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", crypto.SHA512, kindECDSA}
	Ed25519         = Algorithm{"Ed25519", "\x30\x05\x06\x03\x2b\x65\x70", 0, kindEd25519}
)

func algorithms() [7]Algorithm {
	return [...]Algorithm{SHA256WithRSA, SHA384WithRSA, SHA512WithRSA, ECDSAWithSHA256, ECDSAWithSHA384, ECDSAWithSHA512, Ed25519}
}

// ForKey returns the algorithm that a key of this kind signs with: RSA with
// SHA-256, P-256, P-384 and P-521 with SHA-256, SHA-384 and SHA-512 (the pairs of
// TLS BR 7.1.3.2.2), and Ed25519. Other keys are an error.
func ForKey(pub crypto.PublicKey) (Algorithm, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return SHA256WithRSA, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return ECDSAWithSHA256, nil
		case elliptic.P384():
			return ECDSAWithSHA384, nil
		case elliptic.P521():
			return ECDSAWithSHA512, nil
		}
		return Algorithm{}, errors.New("tbs: no signature algorithm for this elliptic curve; use P-256, P-384 or P-521")
	case ed25519.PublicKey:
		return Ed25519, nil
	}
	return Algorithm{}, fmt.Errorf("tbs: no signature algorithm for a key of type %T; use RSA, ECDSA or Ed25519", pub)
}

// ParseAlgorithm finds the algorithm of a DER AlgorithmIdentifier. RSA identifiers
// without the NULL, which some old software writes, are accepted too.
func ParseAlgorithm(der []byte) (Algorithm, error) {
	for _, a := range algorithms() {
		if a.der == string(der) {
			return a, nil
		}
		if a.kind == kindRSA && "\x30\x0b"+a.der[2:13] == string(der) {
			return a, nil
		}
	}
	return Algorithm{}, fmt.Errorf("tbs: unknown signature algorithm identifier %x", der)
}

// String returns the name that crypto/x509 uses as well, such as "ECDSA-SHA256".
func (a Algorithm) String() string { return a.name }

// DER returns a fresh copy of the AlgorithmIdentifier.
func (a Algorithm) DER() []byte { return []byte(a.der) }

// Hash returns the hash whose digest [Algorithm.SignHash] takes, or 0 for
// Ed25519, which needs the whole message.
func (a Algorithm) Hash() crypto.Hash { return a.hash }

// Sign signs message, hashing it as the algorithm asks, and verifies what RSA
// keys and devices return with the signer's public key: a faulty signature must
// not leave the house, since one by RSA can reveal the key.
//
// Software keys sign deterministically (see [Deterministic]); other signers are
// given crypto/rand.
func (a Algorithm) Sign(signer crypto.Signer, message []byte) (signature []byte, err error) {
	if a.kind == kindEd25519 {
		return a.sign(signer, message)
	}
	digest, err := a.digest(message)
	if err != nil {
		return nil, err
	}
	return a.sign(signer, digest)
}

// SignHash is [Algorithm.Sign] for callers that stream: digest is the message
// hashed with [Algorithm.Hash]. It is an error with Ed25519.
func (a Algorithm) SignHash(signer crypto.Signer, digest []byte) (signature []byte, err error) {
	if err := a.checkDigest(digest); err != nil {
		return nil, err
	}
	return a.sign(signer, digest)
}

func (a Algorithm) sign(signer crypto.Signer, input []byte) ([]byte, error) {
	pub := signer.Public()
	if err := a.fits(pub); err != nil {
		return nil, err
	}
	signature, err := signer.Sign(randomFor(signer), input, a.hash)
	if err != nil {
		return nil, fmt.Errorf("tbs: sign with %s: %w", a.name, err)
	}
	if trusted(signer) {
		return signature, nil
	}
	if err := a.verify(pub, input, signature); err != nil {
		return nil, fmt.Errorf("tbs: the signer returned a wrong %s signature, which was discarded: %w", a.name, err)
	}
	return signature, nil
}

// trusted signers are elliptic-curve keys in this process: they fail only as
// the check of their signature would, and the check costs twice what signing
// does. RSA is always checked, because one faulty signature by the Chinese
// remainder theorem gives the key away, and so is every device.
func trusted(signer crypto.Signer) bool {
	switch signer.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey:
		return true
	}
	return false
}

// Deterministic says whether signing the same bytes with signer again gives the
// same signature: RSA PKCS#1 v1.5 and Ed25519 by nature, ECDSA in software by
// RFC 6979. A crash between signing and storing is then repaired by signing again.
func Deterministic(signer crypto.Signer) bool {
	switch signer.(type) {
	case *ecdsa.PrivateKey:
		return true
	}
	switch signer.Public().(type) {
	case *rsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// randomFor: a nil reader makes *ecdsa.PrivateKey sign by RFC 6979. A signer
// that we do not know may insist on a reader.
func randomFor(signer crypto.Signer) io.Reader {
	if _, ok := signer.(*ecdsa.PrivateKey); ok {
		return nil
	}
	return rand.Reader
}

// fits refuses to sign with a key of another kind, or with a curve and hash that
// TLS BR 7.1.3.2.2 does not pair.
func (a Algorithm) fits(pub crypto.PublicKey) error {
	want, err := ForKey(pub)
	if err != nil {
		return err
	}
	if want.kind != a.kind || (a.kind == kindECDSA && want != a) {
		return fmt.Errorf("tbs: algorithm %q cannot be used with this key; use %s", a.name, want.name)
	}
	return nil
}

// Verify checks signature over message. Unlike signing, it accepts any hash of
// the table with any of the three curves. The error wraps [ErrBadSignature].
func (a Algorithm) Verify(pub crypto.PublicKey, message, signature []byte) error {
	if a.kind == kindEd25519 {
		return a.verify(pub, message, signature)
	}
	digest, err := a.digest(message)
	if err != nil {
		return err
	}
	return a.verify(pub, digest, signature)
}

// VerifyHash is [Algorithm.Verify] over a digest made with [Algorithm.Hash]. It
// is an error with Ed25519.
func (a Algorithm) VerifyHash(pub crypto.PublicKey, digest, signature []byte) error {
	if err := a.checkDigest(digest); err != nil {
		return err
	}
	return a.verify(pub, digest, signature)
}

func (a Algorithm) verify(pub crypto.PublicKey, input, signature []byte) error {
	ok := false
	switch k := pub.(type) {
	case *rsa.PublicKey:
		ok = a.kind == kindRSA && rsa.VerifyPKCS1v15(k, a.hash, input, signature) == nil
	case *ecdsa.PublicKey:
		ok = a.kind == kindECDSA && ecdsa.VerifyASN1(k, input, signature)
	case ed25519.PublicKey:
		ok = a.kind == kindEd25519 && len(k) == ed25519.PublicKeySize && ed25519.Verify(k, input, signature)
	}
	if !ok {
		return fmt.Errorf("%w (%s)", ErrBadSignature, a.name)
	}
	return nil
}

func (a Algorithm) digest(message []byte) ([]byte, error) {
	if a.hash == 0 {
		return nil, errors.New("tbs: the zero Algorithm signs and verifies nothing; choose one with ForKey")
	}
	h := a.hash.New()
	h.Write(message)
	return h.Sum(nil), nil
}

func (a Algorithm) checkDigest(digest []byte) error {
	if a.hash == 0 {
		return fmt.Errorf("tbs: algorithm %q does not sign a digest; give it the whole message", a.name)
	}
	if len(digest) != a.hash.Size() {
		return fmt.Errorf("tbs: %s needs a digest of %d octets, not %d", a.name, a.hash.Size(), len(digest))
	}
	return nil
}
