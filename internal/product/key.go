package product

import (
	"crypto/elliptic"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/pki/goodkey"
)

// Key says which keys are certified and who makes them.
type Key struct {
	// Types are the key types, the usual one first: it is shown, and made here when
	// the customer sends no request. A larger key of the same algorithm is welcome
	// (A83) unless Exact.
	Types      []KeyType  `json:"types"`
	Exact      bool       `json:"exact,omitempty"`
	Generation Generation `json:"generation"`
}

// A KeyType is an algorithm and its least size, named as the RA interface does:
// RSA_2048, EC_secp256r1; and Ed25519.
type KeyType string

// The key types that are certified here. The RA interface names more curves
// ([KeyTypes]); those are known and refused.
const (
	RSA2048 KeyType = "RSA_2048"
	RSA3072 KeyType = "RSA_3072"
	RSA4096 KeyType = "RSA_4096"
	RSA8192 KeyType = "RSA_8192"
	P256    KeyType = "EC_secp256r1"
	P384    KeyType = "EC_secp384r1"
	P521    KeyType = "EC_secp521r1"
	Ed25519 KeyType = "Ed25519"
)

// KeyTypes lists every name that is understood.
func KeyTypes() []KeyType {
	return []KeyType{
		RSA2048, RSA3072, RSA4096, RSA8192, "EC_secp224k1", "EC_secp224r1", "EC_secp256k1", P256, P384, P521,
		"EC_x962_p239v1", "EC_x962_p239v2", "EC_x962_p239v3", "EC_brainpool224r1", "EC_brainpool256r1",
		"EC_brainpool320r1", "EC_brainpool384r1", "EC_brainpool512r1", "EC_frp256v1", Ed25519,
	}
}

// maxRSA is the largest RSA key that is certified when larger ones are welcome.
const maxRSA = 8192

// RSABits is the least size of an RSA key, or 0 for another algorithm.
func (t KeyType) RSABits() int {
	text, ok := strings.CutPrefix(string(t), "RSA_")
	if !ok {
		return 0
	}
	bits, _ := strconv.Atoi(text) // not a number: 0, which is no RSA key
	return bits
}

// curves gives the NIST curves in order of size.
func curves() []elliptic.Curve {
	return []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}
}

// curve is the index of the type in curves, or −1.
func (t KeyType) curve() int {
	switch t {
	case P256:
		return 0
	case P384:
		return 1
	case P521:
		return 2
	}
	return -1
}

// supported tells whether keys of the type can be certified.
func (t KeyType) supported() bool { return t == Ed25519 || t.curve() >= 0 || t.RSABits() >= 2048 }

// policy is what package goodkey is to accept.
func (k Key) policy() goodkey.Policy {
	var p goodkey.Policy
	allowed := [3]bool{}
	for _, t := range k.Types {
		switch bits, curve := t.RSABits(), t.curve(); {
		case t == Ed25519:
			p.Ed25519 = true
		case bits > 0:
			if p.MinRSA == 0 || bits < p.MinRSA {
				p.MinRSA = bits
			}
			if k.Exact {
				p.MaxRSA = max(p.MaxRSA, bits)
			} else {
				p.MaxRSA = maxRSA
			}
		case curve >= 0:
			for i := curve; i < len(allowed) && (i == curve || !k.Exact); i++ {
				allowed[i] = true
			}
		}
	}
	for i, c := range curves() {
		if allowed[i] {
			p.Curves = append(p.Curves, c)
		}
	}
	return p
}

// Generation says who makes the key and how it is handed over (A82–A85, A94).
type Generation string

// The ways of generation, named as the RA interface does.
const (
	PKCS10               Generation = "PKCS10"              // by the customer, who sends a request
	PKCS12               Generation = "PKCS12"              // here
	PKCS12WithPIN        Generation = "PKCS12withPIN"       // here, after the holder chose the PIN
	PKCS12WithCAPIN      Generation = "PKCS12withCAPIN"     // here, with a PIN that we make
	PKCS10Or12WithPIN    Generation = "PKCS10or12withPIN"   // as the order says
	PKCS10Or12WithCAPIN  Generation = "PKCS10or12withCAPIN" // as the order says
	GeneratedHSM         Generation = "HSM"                 // in a security module of ours
	GeneratedMicrosoft   Generation = "CNG"                 // by Windows, which sends a request
	prefixCustomerOrHere            = "PKCS10or"
)

// Generations lists all ways.
func Generations() []Generation {
	return []Generation{PKCS10, PKCS12, PKCS12WithPIN, PKCS12WithCAPIN, PKCS10Or12WithPIN, PKCS10Or12WithCAPIN, GeneratedHSM, GeneratedMicrosoft}
}

// ByCustomer tells whether the customer may bring the key.
func (g Generation) ByCustomer() bool {
	return g == PKCS10 || g == GeneratedMicrosoft || strings.HasPrefix(string(g), prefixCustomerOrHere)
}

// Here tells whether the key may be made on this side.
func (g Generation) Here() bool { return g != PKCS10 && g != GeneratedMicrosoft }

// File tells whether a key file may be made and handed over.
func (g Generation) File() bool { return g.Here() && g != GeneratedHSM }

// PINByHolder tells whether the holder sets the PIN before the key is made (A94).
func (g Generation) PINByHolder() bool { return g == PKCS12WithPIN || g == PKCS10Or12WithPIN }
