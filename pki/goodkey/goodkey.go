// Package goodkey tells whether a public key may be certified: kind, size and
// the known ways in which key generators have failed (TLS BR 6.1.1.3, 6.1.5 and
// 6.1.6).
//
// Start with [Default], change what a product allows, and call [Policy.Check]. A
// check costs well under a millisecond for RSA-2048, unless Policy.Composite is set.
// Debian's weak keys are a list, not a property of the number: [ReadWeakKeys] reads
// it and [WeakKeys.Contains] asks. Reported compromises are the caller's list.
package goodkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"
)

// A Policy is what keys are accepted. The zero Policy accepts none.
type Policy struct {
	MinRSA, MaxRSA int              // bits of the modulus, inclusive; 0 and 0 refuse RSA
	Curves         []elliptic.Curve // P-256, P-384, P-521 or fewer
	Ed25519        bool             // not for TLS (BR 6.1.5); allowed for S/MIME and private PKI

	// Composite asks for the proof that an RSA modulus is neither a prime nor the
	// power of one (SP 800-89, 5.3.3; a SHOULD of TLS BR 6.1.6), whose private key
	// anybody can compute. It takes one modular exponentiation: about 5 ms with 2048
	// bits and 30 ms with 4096. Larger moduli are not tried, so that a stranger's
	// key cannot cost more.
	Composite bool
}

// compositeLimit is the largest modulus, in bits, that Policy.Composite looks at.
const compositeLimit = 4096

// minExponent: TLS BR 6.1.6 asks for an odd exponent of at
// least 3 and recommends 2^16+1 to 2^256−1. Go holds exponents in an int, so the
// upper end needs no check.
const minExponent = 65537

// fermatRounds is the number that TLS BR 6.1.1.3 prescribes since 2023.
const fermatRounds = 100

// Default is the policy for publicly trusted TLS: RSA of 2048 to 8192 bits, P-256,
// P-384 and P-521.
func Default() Policy {
	return Policy{
		MinRSA: 2048,
		MaxRSA: 8192,
		Curves: []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()},
	}
}

// A Code is the stable, machine-readable reason of an [Error].
type Code string

// The reasons for refusing a key.
const (
	KeyTypeNotAllowed Code = "key_type_not_allowed"
	CurveNotAllowed   Code = "curve_not_allowed"
	KeyTooSmall       Code = "key_too_small"
	KeyTooLarge       Code = "key_too_large"
	ModulusLength     Code = "modulus_length"     // not a multiple of 8 bits
	WeakExponent      Code = "weak_exponent"      // even or below 65537
	SmallFactor       Code = "small_factor"       // a prime below 752 divides the modulus
	ClosePrimes       Code = "close_primes"       // Fermat's method factors it (CVE-2022-26320)
	ROCA              Code = "roca"               // Infineon's generator (CVE-2017-15361)
	PrimeModulus      Code = "prime_modulus"      // the modulus is a prime or the power of one
	PointNotOnCurve   Code = "point_not_on_curve" // or the point at infinity
)

// An Error says why a key was refused.
type Error struct {
	Code Code
	Text string // one or two sentences for the person who sent the key
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

func refuse(code Code, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Check returns nil for a key that may be certified, else an [*Error].
func (p Policy) Check(pub crypto.PublicKey) error {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return p.checkRSA(key)
	case *ecdsa.PublicKey:
		return p.checkECDSA(key)
	case ed25519.PublicKey:
		if !p.Ed25519 {
			return refuse(KeyTypeNotAllowed, "Ed25519 keys are not allowed here. Use RSA or an elliptic-curve key.")
		}
		if len(key) != ed25519.PublicKeySize {
			return refuse(PointNotOnCurve, "The Ed25519 key has %d octets instead of %d.", len(key), ed25519.PublicKeySize)
		}
		return nil
	}
	return refuse(KeyTypeNotAllowed, "Keys of type %T are not allowed. Use RSA or an elliptic-curve key.", pub)
}

func (p Policy) checkECDSA(key *ecdsa.PublicKey) error {
	if len(p.Curves) == 0 {
		return refuse(KeyTypeNotAllowed, "Elliptic-curve keys are not allowed here.")
	}
	if key.Curve == nil || !slices.Contains(p.Curves, key.Curve) {
		name := "unknown"
		if key.Curve != nil {
			name = key.Curve.Params().Name
		}
		return refuse(CurveNotAllowed, "The curve %s is not allowed here. Use P-256.", name)
	}
	// ECDH refuses points off the curve and the point at infinity: the full
	// validation of SP 800-56A, 5.6.2.3.3, for curves of cofactor 1.
	if _, err := key.ECDH(); err != nil {
		return refuse(PointNotOnCurve, "The key is not a point on the curve %s. Generate a new key.", key.Curve.Params().Name)
	}
	return nil
}

func (p Policy) checkRSA(key *rsa.PublicKey) error {
	if p.MaxRSA <= 0 {
		return refuse(KeyTypeNotAllowed, "RSA keys are not allowed here. Use an elliptic-curve key.")
	}
	if key.N == nil || key.N.Sign() <= 0 {
		return refuse(KeyTooSmall, "The RSA modulus is not positive. Generate a new key.")
	}
	// Size first: what follows costs time that grows with it.
	switch size := key.N.BitLen(); {
	case size < p.MinRSA:
		return refuse(KeyTooSmall, "The RSA key has %d bits; at least %d are required. Generate a new key.", size, p.MinRSA)
	case size > p.MaxRSA:
		return refuse(KeyTooLarge, "The RSA key has %d bits; at most %d are allowed. Generate a new key.", size, p.MaxRSA)
	case size%8 != 0:
		return refuse(ModulusLength, "The RSA key has %d bits, which is not a multiple of 8. Generate a new key.", size)
	}
	if key.E < minExponent || key.E%2 == 0 {
		return refuse(WeakExponent, "The RSA exponent %d is even or below 65537. Generate a new key with exponent 65537.", key.E)
	}
	r := residuesOf(key.N)
	switch {
	case r.smallest != 0:
		return refuse(SmallFactor, "The RSA modulus is divisible by %d, so the key is not secure. Generate a new key.", r.smallest)
	case r.roca:
		return refuse(ROCA, "The RSA key bears the mark of a faulty generator (ROCA, CVE-2017-15361) and can be broken. Generate a new key on another device.")
	case closePrimes(key.N, fermatRounds):
		return refuse(ClosePrimes, "The two primes of the RSA key are so close together that it can be broken (Fermat, CVE-2022-26320). Generate a new key with other software.")
	case p.Composite && key.N.BitLen() <= compositeLimit && primePower(key.N):
		return refuse(PrimeModulus, "The RSA modulus is a prime number or the power of one, so anybody can compute the private key. Generate a new key.")
	}
	return nil
}
