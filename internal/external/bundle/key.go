package bundle

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/goodkey"
)

// A Key is what is known of a public key.
type Key struct {
	Algorithm string // "RSA", "P-256", "brainpoolP256r1", "Ed25519" …; dotted OID if not known
	Bits      int    // of the modulus, prime or curve; 0 if not known

	public crypto.PublicKey // nil if Go does not know its kind
}

// String is such as "RSA 2048".
func (k Key) String() string {
	if k.Algorithm == "RSA" || k.Algorithm == "RSASSA-PSS" || k.Algorithm == "DSA" {
		return k.Algorithm + " " + big.NewInt(int64(k.Bits)).String()
	}
	return k.Algorithm
}

const (
	oidRSA    = "1.2.840.113549.1.1.1"
	oidRSAPSS = "1.2.840.113549.1.1.10"
	oidDSA    = "1.2.840.10040.4.1"
	oidEC     = "1.2.840.10045.2.1"
)

// otherKeys are kinds whose size is in their name.
var otherKeys = map[string]Key{
	"1.3.101.110":             {Algorithm: "X25519", Bits: 256},
	"1.3.101.111":             {Algorithm: "X448", Bits: 448},
	"1.3.101.112":             {Algorithm: "Ed25519", Bits: 256},
	"1.3.101.113":             {Algorithm: "Ed448", Bits: 448},
	"2.16.840.1.101.3.4.3.17": {Algorithm: "ML-DSA-44"},
	"2.16.840.1.101.3.4.3.18": {Algorithm: "ML-DSA-65"},
	"2.16.840.1.101.3.4.3.19": {Algorithm: "ML-DSA-87"},
}

var curves = map[string]Key{
	"1.2.840.10045.3.1.1":   {Algorithm: "P-192", Bits: 192},
	"1.3.132.0.33":          {Algorithm: "P-224", Bits: 224},
	"1.2.840.10045.3.1.7":   {Algorithm: "P-256", Bits: 256},
	"1.3.132.0.34":          {Algorithm: "P-384", Bits: 384},
	"1.3.132.0.35":          {Algorithm: "P-521", Bits: 521},
	"1.3.132.0.10":          {Algorithm: "secp256k1", Bits: 256},
	"1.3.36.3.3.2.8.1.1.7":  {Algorithm: "brainpoolP256r1", Bits: 256},
	"1.3.36.3.3.2.8.1.1.11": {Algorithm: "brainpoolP384r1", Bits: 384},
	"1.3.36.3.3.2.8.1.1.13": {Algorithm: "brainpoolP512r1", Bits: 512},
}

// policy is that of public TLS, and Ed25519: that it is not for browsers is no
// weakness.
func policy() goodkey.Policy {
	p := goodkey.Default()
	p.Ed25519 = true
	return p
}

// readKey describes the key and notes what is wrong with it.
func (c *Certificate) readKey() {
	var err error
	if c.Key, err = describe(c.subjectPublicKeyInfo); err != nil {
		c.note("key.unreadable", "The public key cannot be read: %s.", printable(err.Error()))
		return
	}
	switch {
	case c.Key.Algorithm == "DSA":
		c.note("key.obsolete", "DSA keys are obsolete; hardly any software accepts them.")
	case c.Key.Algorithm == "P-192":
		c.note("key."+string(goodkey.KeyTooSmall), "The curve P-192 is too small to be secure.")
	case c.Key.public != nil:
		var weak *goodkey.Error
		if errors.As(policy().Check(c.Key.public), &weak) {
			c.note("key."+string(weak.Code), "%s", weak.Text)
		}
	}
}

func describe(spki []byte) (Key, error) {
	in := cryptobyte.String(spki)
	var body, algorithm cryptobyte.String
	var id asn1.ObjectIdentifier
	var bits asn1.BitString
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) ||
		!body.ReadASN1BitString(&bits) {
		return Key{Algorithm: "unknown"}, errors.New("it is malformed")
	}
	switch id.String() {
	case oidRSA, oidRSAPSS:
		k := Key{Algorithm: "RSA"}
		if id.String() == oidRSAPSS {
			k.Algorithm = "RSASSA-PSS"
		}
		public, err := x509.ParsePKCS1PublicKey(bits.RightAlign())
		if err != nil {
			return k, err
		}
		k.Bits, k.public = public.N.BitLen(), public
		return k, nil
	case oidDSA:
		return Key{Algorithm: "DSA", Bits: primeBits(algorithm)}, nil
	case oidEC:
		return describeCurve(spki, algorithm)
	}
	k, known := otherKeys[id.String()]
	if !known {
		return Key{Algorithm: id.String()}, nil
	}
	if k.Algorithm == "Ed25519" {
		var err error
		k.public, err = x509.ParsePKIXPublicKey(spki)
		return k, err
	}
	return k, nil
}

func describeCurve(spki []byte, parameters cryptobyte.String) (Key, error) {
	var curve asn1.ObjectIdentifier
	if !parameters.ReadASN1ObjectIdentifier(&curve) {
		return Key{Algorithm: "EC"}, errors.New("its curve has no name")
	}
	k, known := curves[curve.String()]
	if !known {
		return Key{Algorithm: curve.String()}, nil
	}
	switch k.Algorithm {
	case "P-224", "P-256", "P-384", "P-521":
		var err error
		k.public, err = x509.ParsePKIXPublicKey(spki)
		return k, err
	}
	return k, nil
}

// primeBits is the size of DSA's prime p (RFC 3279, section 2.3.2).
func primeBits(parameters cryptobyte.String) int {
	var body cryptobyte.String
	p := new(big.Int)
	if !parameters.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(p) {
		return 0
	}
	return p.BitLen()
}
