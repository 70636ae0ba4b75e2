// Package keys holds private keys and seals secrets.
//
// A [Vault] seals small secrets under a data key that is itself wrapped under
// the [Master] key, and keeps software keys that way in the database. Whoever
// signs asks [Vault.Signer] for a reference: "soft:key-…" is a software key,
// "hsm:LABEL" lives in a PKCS#11 token behind the sealwright-signer program
// (package remote). A [Pool] keeps RSA keys ready, because making one takes
// tenths of a second.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// An Algorithm names a kind of key pair together with its size.
type Algorithm string

// The algorithms that the product makes and imports.
const (
	RSA2048 Algorithm = "rsa2048"
	RSA3072 Algorithm = "rsa3072"
	RSA4096 Algorithm = "rsa4096"
	P256    Algorithm = "p256"
	P384    Algorithm = "p384"
	P521    Algorithm = "p521"
	Ed25519 Algorithm = "ed25519"
)

// Algorithms lists all of them, for help texts and forms.
func Algorithms() []Algorithm {
	return []Algorithm{RSA2048, RSA3072, RSA4096, P256, P384, P521, Ed25519}
}

// ParseAlgorithm reads the name of an algorithm, in any case. It returns a
// fault of kind Invalid with the code "keys.algorithm" for any other name.
func ParseAlgorithm(name string) (Algorithm, error) {
	a := Algorithm(strings.ToLower(name))
	if a.bits() == 0 && a.curve() == nil && a != Ed25519 {
		return "", unknownAlgorithm(name)
	}
	return a, nil
}

func unknownAlgorithm(name string) error {
	return fault.Invalidf("keys.algorithm", "The key algorithm %q is not known.", name).
		WithNext("Use one of rsa2048, rsa3072, rsa4096, p256, p384, p521, ed25519.").WithField("algorithm")
}

// IsRSA tells whether a key of this kind is slow to make.
func (a Algorithm) IsRSA() bool { return a.bits() != 0 }

func (a Algorithm) bits() int {
	switch a {
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

func (a Algorithm) curve() elliptic.Curve {
	switch a {
	case P256:
		return elliptic.P256()
	case P384:
		return elliptic.P384()
	case P521:
		return elliptic.P521()
	}
	return nil
}

// AlgorithmOf names the algorithm of a public key, or returns a fault of kind
// Invalid with the code "keys.algorithm" when it is of no known kind or size.
func AlgorithmOf(public crypto.PublicKey) (Algorithm, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		for _, a := range Algorithms() {
			if a.bits() == p.N.BitLen() {
				return a, nil
			}
		}
		return "", fault.Invalidf("keys.algorithm", "The RSA key has %d bits.", p.N.BitLen()).WithNext("Use 2048, 3072 or 4096 bits.")
	case *ecdsa.PublicKey:
		for _, a := range Algorithms() {
			if a.curve() == p.Curve {
				return a, nil
			}
		}
		return "", fault.Invalidf("keys.algorithm", "The curve of the key is not supported.").WithNext("Use P-256, P-384 or P-521.")
	case ed25519.PublicKey:
		return Ed25519, nil
	}
	return "", fault.Invalidf("keys.algorithm", "A key of the type %T is not supported.", public).WithNext("Use RSA, ECDSA or Ed25519.")
}

// Generate makes a key pair in memory: *rsa.PrivateKey, *ecdsa.PrivateKey or
// ed25519.PrivateKey. RSA takes about 0.1 s (2048 bits) to seconds (4096 bits)
// of a core; see [Pool].
func Generate(alg Algorithm) (crypto.Signer, error) {
	switch {
	case alg.IsRSA():
		return rsa.GenerateKey(rand.Reader, alg.bits())
	case alg.curve() != nil:
		return ecdsa.GenerateKey(alg.curve(), rand.Reader)
	case alg == Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, unknownAlgorithm(string(alg))
}
