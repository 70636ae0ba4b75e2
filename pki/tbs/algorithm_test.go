package tbs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"testing"
)

// testKeys makes one key of each kind that ForKey knows.
func testKeys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	keys := map[string]crypto.Signer{}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[curve.Params().Name] = key
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys["RSA-2048"] = rsaKey
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys["Ed25519"] = edKey
	return keys
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func algorithmFor(t testing.TB, key crypto.Signer) Algorithm {
	t.Helper()
	alg, err := ForKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return alg
}

func TestForKeyPairsKeyAndHash(t *testing.T) {
	want := map[string]Algorithm{
		"RSA-2048": SHA256WithRSA, "P-256": ECDSAWithSHA256, "P-384": ECDSAWithSHA384, "P-521": ECDSAWithSHA512, "Ed25519": Ed25519,
	}
	for name, key := range testKeys(t) {
		if got := algorithmFor(t, key); got != want[name] {
			t.Errorf("%s signs with %s, want %s", name, got, want[name])
		}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, pub := range []crypto.PublicKey{p224.Public(), nil, "key", &ecdsa.PublicKey{}} {
		if alg, err := ForKey(pub); err == nil {
			t.Errorf("%T signs with %s", pub, alg)
		}
	}
}

// Software keys must give the same bytes again, so that signing can be redone
// after a crash between signing and storing.
func TestSoftwareKeysSignDeterministically(t *testing.T) {
	message := []byte("to be signed")
	for name, key := range testKeys(t) {
		alg := algorithmFor(t, key)
		first, err := alg.Sign(key, message)
		if err != nil {
			t.Fatal(err)
		}
		second, err := alg.Sign(key, message)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) || !Deterministic(key) {
			t.Errorf("%s gives another signature the second time", name)
		}
	}
	if Deterministic(opaque{p256(t)}) {
		t.Error("an opaque ECDSA signer is called deterministic")
	}
}

func TestSignaturesVerifyAndDamageIsNoticed(t *testing.T) {
	message := []byte("to be signed")
	for name, key := range testKeys(t) {
		alg := algorithmFor(t, key)
		signature, err := alg.Sign(key, message)
		if err != nil {
			t.Fatal(err)
		}
		if err := alg.Verify(key.Public(), message, signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := alg.Verify(key.Public(), []byte("other"), signature); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s verifies another message: %v", name, err)
		}
		damaged := slices.Clone(signature)
		damaged[len(damaged)-1] ^= 1
		if err := alg.Verify(key.Public(), message, damaged); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s verifies a damaged signature: %v", name, err)
		}
		for other, otherKey := range testKeys(t) {
			if err := alg.Verify(otherKey.Public(), message, signature); !errors.Is(err, ErrBadSignature) {
				t.Errorf("a signature of %s verifies under a key %s: %v", name, other, err)
			}
		}
	}
}

func TestSignHashIsSignForStreams(t *testing.T) {
	message := []byte("to be signed")
	for name, key := range testKeys(t) {
		alg := algorithmFor(t, key)
		if alg.Hash() == 0 {
			if _, err := alg.SignHash(key, make([]byte, 64)); err == nil {
				t.Errorf("%s signs a digest", name)
			}
			continue
		}
		h := alg.Hash().New()
		h.Write(message)
		digest := h.Sum(nil)
		streamed, err := alg.SignHash(key, digest)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := alg.Sign(key, message)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(streamed, whole) || alg.VerifyHash(key.Public(), digest, streamed) != nil {
			t.Errorf("%s: SignHash differs from Sign", name)
		}
		if _, err := alg.SignHash(key, digest[1:]); err == nil {
			t.Errorf("%s signs a short digest", name)
		}
	}
}

// opaque hides the key's type, as an HSM does, and passes on its reader.
type opaque struct{ crypto.Signer }

// faulty is an HSM that flips a bit.
type faulty struct{ crypto.Signer }

func (f faulty) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := f.Signer.Sign(random, digest, opts)
	if err == nil {
		signature[len(signature)/2] ^= 1
	}
	return signature, err
}

func TestAFaultySignatureDoesNotLeaveTheHouse(t *testing.T) {
	for name, key := range testKeys(t) {
		alg := algorithmFor(t, key)
		if _, err := alg.Sign(opaque{key}, []byte("x")); err != nil {
			t.Errorf("%s behind an opaque signer: %v", name, err)
		}
		if signature, err := alg.Sign(faulty{key}, []byte("x")); !errors.Is(err, ErrBadSignature) || signature != nil {
			t.Errorf("%s: the faulty signature %x came out (%v)", name, signature, err)
		}
	}
}

func TestSignRefusesAnAlgorithmThatDoesNotFitTheKey(t *testing.T) {
	key := p256(t)
	for _, alg := range []Algorithm{SHA256WithRSA, ECDSAWithSHA384, Ed25519, {}} {
		if _, err := alg.Sign(key, []byte("x")); err == nil {
			t.Errorf("P-256 signs with %q", alg)
		}
	}
}

func TestParseAlgorithmReadsBackItsIdentifiers(t *testing.T) {
	for _, alg := range algorithms() {
		if got, err := ParseAlgorithm(alg.DER()); err != nil || got != alg {
			t.Errorf("%s: got %s, %v", alg, got, err)
		}
	}
	withoutNull := append([]byte{0x30, 0x0b}, SHA256WithRSA.DER()[2:13]...)
	if got, err := ParseAlgorithm(withoutNull); err != nil || got != SHA256WithRSA {
		t.Errorf("RSA without NULL: got %s, %v", got, err)
	}
	for _, der := range [][]byte{nil, {0x30, 0}, SHA256WithRSA.DER()[1:], append(Ed25519.DER(), 0)} {
		if got, err := ParseAlgorithm(der); err == nil {
			t.Errorf("%x is read as %s", der, got)
		}
	}
}

// The table's names and bytes are those of crypto/x509.
func TestIdentifiersAgreeWithStandardLibrary(t *testing.T) {
	for name, key := range testKeys(t) {
		alg := algorithmFor(t, key)
		template := &x509.CertificateRequest{}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			t.Fatal(err)
		}
		request, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if request.SignatureAlgorithm.String() != alg.String() {
			t.Errorf("%s: we say %s, crypto/x509 says %s", name, alg, request.SignatureAlgorithm)
		}
		if !bytes.Contains(der, alg.DER()) {
			t.Errorf("%s: crypto/x509 writes another identifier", name)
		}
	}
}
