package lint

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/tbs"
)

// An Issuer is what a certificate is compared with. Make it once per CA.
type Issuer struct {
	subject             []byte
	keyID               []byte
	key                 crypto.PublicKey
	notBefore, notAfter time.Time
}

// NewIssuer reads a CA certificate.
func NewIssuer(der []byte) (*Issuer, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("lint: the issuer's certificate cannot be read: %w", err)
	}
	if !c.BasicConstraintsValid || !c.IsCA {
		return nil, errors.New("lint: the issuer's certificate is not that of a CA")
	}
	return &Issuer{c.RawSubject, c.SubjectKeyId, c.PublicKey, c.NotBefore, c.NotAfter}, nil
}

// The constants that stand for a signature before there is one, as TLS BR 4.3.1.2
// allows. They verify under no key, and have the form that each algorithm gives.
var (
	dummyP256    = ecdsaValue(32)
	dummyP384    = ecdsaValue(48)
	dummyP521    = ecdsaValue(66)
	dummyEd25519 = bytes.Repeat([]byte{0x5a}, 64)
)

func ecdsaValue(size int) []byte {
	number := bytes.Repeat([]byte{0x5a}, size)
	if size == 66 {
		number[0] = 1 // P-521 has 521 bits
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for range 2 {
			b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(number) })
		}
	})
	return b.BytesOrPanic()
}

// dummySignature has the length of the issuer's signatures where that is known.
func dummySignature(id []byte, issuer *Issuer) []byte {
	alg, err := tbs.ParseAlgorithm(id)
	if err == nil {
		switch alg {
		case tbs.ECDSAWithSHA256:
			return dummyP256
		case tbs.ECDSAWithSHA384:
			return dummyP384
		case tbs.ECDSAWithSHA512:
			return dummyP521
		case tbs.Ed25519:
			return dummyEd25519
		}
	}
	size := 256 // RSA, and whatever we do not sign with: a lint will say so
	if issuer != nil {
		if key, ok := issuer.key.(*rsa.PublicKey); ok {
			size = key.Size()
		}
	}
	return bytes.Repeat([]byte{0x5a}, size)
}

// withDummySignature makes a certificate of a TBSCertificate. It does not go through
// [tbs.Assemble], which would refuse algorithms that lints must be able to refuse.
func withDummySignature(raw []byte, issuer *Issuer) ([]byte, error) {
	input := cryptobyte.String(raw)
	var fields, id cryptobyte.String
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !input.Empty() ||
		!fields.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) || !fields.SkipASN1(cbasn1.INTEGER) ||
		!fields.ReadASN1Element(&id, cbasn1.SEQUENCE) {
		return nil, errors.New("lint: not a TBSCertificate")
	}
	signature := dummySignature(id, issuer)
	b := cryptobyte.NewBuilder(make([]byte, 0, len(raw)+len(id)+len(signature)+16))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(raw)
		b.AddBytes(id)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}
