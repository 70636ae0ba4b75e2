//go:build cgo

package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"math/big"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
)

// Mechanism of PKCS #11 v3.0, which the binding predates.
const ckmEdDSA = 0x1057

// Sign implements [remote.Backend].
func (t *Token) Sign(_ context.Context, r remote.Request) ([]byte, error) {
	var sig []byte
	err := t.use(func(l *login, s pkcs11.SessionHandle) error {
		o, err := t.object(l, s, r.Label)
		if err != nil {
			return err
		}
		if o.fingerprint != r.Fingerprint {
			l.forget(r.Label) // whoever asks for the public key next sees the new one
			return fault.Conflictf("keys.replaced", "The key %q in the token %q is not the one that was asked for.", r.Label, t.config.Label).
				WithNext("Put the right key back, or configure the new one.")
		}
		sig, err = t.sign(s, o, r)
		if is(err, pkcs11.CKR_KEY_HANDLE_INVALID) {
			l.forget(r.Label)
		}
		return err
	})
	return sig, err
}

func (t *Token) sign(s pkcs11.SessionHandle, o *object, r remote.Request) ([]byte, error) {
	mechanism, input, err := prepare(o.info.Public, r)
	if err != nil {
		return nil, err
	}
	if err := t.lib.SignInit(s, []*pkcs11.Mechanism{mechanism}, o.private); err != nil {
		return nil, err
	}
	sig, err := t.lib.Sign(s, input)
	if err != nil || r.Scheme != remote.ECDSA {
		return sig, err
	}
	return sigValue(sig)
}

// prepare picks the mechanism and what it is given. The scheme must suit the
// key: a token asked for the wrong one may sign nonsense.
func prepare(public crypto.PublicKey, r remote.Request) (*pkcs11.Mechanism, []byte, error) {
	var suits bool
	switch public.(type) {
	case *rsa.PublicKey:
		suits = r.Scheme == remote.PKCS1v15 || r.Scheme == remote.PSS
	case *ecdsa.PublicKey:
		suits = r.Scheme == remote.ECDSA
	case ed25519.PublicKey:
		suits = r.Scheme == remote.Ed25519
	}
	if !suits {
		return nil, nil, fault.Invalidf("keys.protocol", "The key %q cannot sign in the way that was asked for.", r.Label)
	}
	switch r.Scheme {
	case remote.PKCS1v15:
		info, err := digestInfo(r.Hash, r.Input)
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), info, err
	case remote.PSS:
		h := pssHashes[r.Hash]
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(h.hash, h.mgf, uint(r.SaltLength))), r.Input, nil
	case remote.ECDSA:
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), r.Input, nil
	}
	return pkcs11.NewMechanism(ckmEdDSA, nil), r.Input, nil
}

var pssHashes = map[crypto.Hash]struct{ hash, mgf uint }{
	crypto.SHA256: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// digestInfo is the DER that PKCS #1 v1.5 signs (RFC 8017, section 9.2):
// CKM_RSA_PKCS pads only.
func digestInfo(h crypto.Hash, digest []byte) ([]byte, error) {
	last := map[crypto.Hash]byte{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3}[h] // id-sha256, id-sha384, id-sha512
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier([]int{2, 16, 840, 1, 101, 3, 4, 2, int(last)})
			b.AddASN1NULL()
		})
		b.AddASN1OctetString(digest)
	})
	return b.Bytes()
}

// sigValue turns the token's r‖s into an Ecdsa-Sig-Value (RFC 3279, section 2.2.3).
func sigValue(raw []byte) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, errors.New("the token gave an ECDSA signature of odd length")
	}
	r, s := raw[:len(raw)/2], raw[len(raw)/2:]
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(r))
		b.AddASN1BigInt(new(big.Int).SetBytes(s))
	})
	return b.Bytes()
}
