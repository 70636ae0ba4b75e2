//go:build cgo

package token

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"errors"

	"github.com/miekg/pkcs11"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
)

const ckmEdwardsPair = 0x1055 // CKM_EC_EDWARDS_KEY_PAIR_GEN of PKCS #11 v3.0

// Generate makes a key pair in the token that never leaves it and only signs.
// The label must be new.
func (t *Token) Generate(ctx context.Context, alg keys.Algorithm, label string) (remote.KeyInfo, error) {
	if label == "" || len(label) > 200 {
		return remote.KeyInfo{}, fault.Invalidf("keys.label", "The label has %d bytes.", len(label)).WithNext("Use 1 to 200.")
	}
	_, err := t.Key(ctx, label)
	if err == nil {
		return remote.KeyInfo{}, fault.Conflictf("keys.label_taken", "The token %q has a key with the label %q.", t.config.Label, label).WithNext("Choose another label.")
	}
	if !errors.Is(err, fault.NotFound) {
		return remote.KeyInfo{}, err
	}
	mechanism, special, err := pairMechanism(alg)
	if err != nil {
		return remote.KeyInfo{}, err
	}
	id := make([]byte, 16)
	rand.Read(id)
	common := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	}
	public := append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true)}, append(special, common...)...)
	private := append([]*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false),
	}, common...)
	// Not through use: a second try after a loss could leave two pairs.
	if _, err := t.try(func(_ *login, s pkcs11.SessionHandle) error {
		_, _, err := t.lib.GenerateKeyPair(s, []*pkcs11.Mechanism{mechanism}, public, private)
		return err
	}); err != nil {
		return remote.KeyInfo{}, t.explain(err)
	}
	return t.Key(ctx, label)
}

// pairMechanism gives the mechanism and the public attributes that select a size.
func pairMechanism(alg keys.Algorithm) (*pkcs11.Mechanism, []*pkcs11.Attribute, error) {
	bits := map[keys.Algorithm]int{keys.RSA2048: 2048, keys.RSA3072: 3072, keys.RSA4096: 4096}[alg]
	if bits > 0 {
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil), []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
		}, nil
	}
	mechanism, params := uint(pkcs11.CKM_EC_KEY_PAIR_GEN), any(nil)
	switch alg {
	case keys.P256:
		params = oidP256
	case keys.P384:
		params = oidP384
	case keys.P521:
		params = oidP521
	case keys.Ed25519:
		// PKCS #11 v3.0, section 2.3.5: the curve by its name, a PrintableString.
		mechanism, params = ckmEdwardsPair, "edwards25519"
	default:
		return nil, nil, fault.Invalidf("keys.algorithm", "The key algorithm %q is not known.", alg)
	}
	der, err := asn1.Marshal(params)
	if err != nil {
		return nil, nil, err
	}
	return pkcs11.NewMechanism(mechanism, nil), []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, der)}, nil
}
