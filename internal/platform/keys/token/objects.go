//go:build cgo

package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys/remote"
)

// ckkEdwards is CKK_EC_EDWARDS of PKCS #11 v3.0, which the binding predates.
const ckkEdwards = 0x40

// An object is a key pair whose private half can sign.
type object struct {
	info        remote.KeyInfo
	private     pkcs11.ObjectHandle
	fingerprint [32]byte
}

// Keys implements [remote.Backend]. Pairs without a public object, without a
// label or of another kind than RSA, ECDSA and Ed25519 are left out.
func (t *Token) Keys(context.Context) ([]remote.KeyInfo, error) {
	var list []remote.KeyInfo
	err := t.use(func(_ *login, s pkcs11.SessionHandle) error {
		found, err := t.find(s, nil)
		list = nil
		for _, o := range found {
			list = append(list, o.info)
		}
		return err
	})
	return list, err
}

// Key implements [remote.Backend].
func (t *Token) Key(_ context.Context, label string) (remote.KeyInfo, error) {
	var info remote.KeyInfo
	err := t.use(func(l *login, s pkcs11.SessionHandle) error {
		o, err := t.object(l, s, label)
		if err == nil {
			info = o.info
		}
		return err
	})
	return info, err
}

// object finds a key by its label, once per login.
func (t *Token) object(l *login, s pkcs11.SessionHandle, label string) (*object, error) {
	l.mu.Lock()
	o := l.keys[label]
	l.mu.Unlock()
	if o != nil {
		return o, nil
	}
	found, err := t.find(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)})
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, fault.NotFoundf("keys.unknown", "The token %q has no signing key with the label %q.", t.config.Label, label).WithNext("List them with: sealwright-signer list")
	case 1:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.keys[label] = found[0]
		return found[0], nil
	}
	return nil, fault.Conflictf("keys.ambiguous", "The token %q has %d signing keys with the label %q.", t.config.Label, len(found), label).WithNext("Rename all but one of them.")
}

// forget drops a handle that was found earlier.
func (l *login) forget(label string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, label)
}

func (t *Token) find(s pkcs11.SessionHandle, filter []*pkcs11.Attribute) ([]*object, error) {
	handles, err := t.handles(s, append(slices.Clone(filter), pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true)))
	if err != nil {
		return nil, err
	}
	var found []*object
	for _, private := range handles {
		label, id, err := t.naming(s, private)
		if err != nil {
			return nil, err
		}
		public, err := t.publicOf(s, label, id)
		if err != nil {
			return nil, err
		}
		if public == nil || len(label) == 0 {
			continue
		}
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, err
		}
		found = append(found, &object{remote.KeyInfo{Label: string(label), Public: public}, private, sha256.Sum256(spki)})
	}
	return found, nil
}

func (t *Token) naming(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) (label, id []byte, err error) {
	a, err := t.lib.GetAttributeValue(s, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil), pkcs11.NewAttribute(pkcs11.CKA_ID, nil)})
	if err != nil {
		return nil, nil, err
	}
	return a[0].Value, a[1].Value, nil
}

// publicOf reads the public half: the public key object with the same id, or
// with the same label when the pair has no id. Nil when there is none, or more
// than one, or one of another kind.
func (t *Token) publicOf(s pkcs11.SessionHandle, label, id []byte) (crypto.PublicKey, error) {
	filter := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY)}
	if len(id) > 0 {
		filter = append(filter, pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	} else {
		filter = append(filter, pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	}
	handles, err := t.handles(s, filter)
	if err != nil || len(handles) != 1 {
		return nil, err
	}
	kind, err := t.value(s, handles[0], pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	var public crypto.PublicKey
	switch {
	case bytes.Equal(kind, pkcs11.NewAttribute(0, uint(pkcs11.CKK_RSA)).Value):
		public, err = t.rsaKey(s, handles[0])
	case bytes.Equal(kind, pkcs11.NewAttribute(0, uint(pkcs11.CKK_EC)).Value):
		public, err = t.curveKey(s, handles[0])
	case bytes.Equal(kind, pkcs11.NewAttribute(0, uint(ckkEdwards)).Value):
		public, err = t.edwardsKey(s, handles[0])
	}
	if errors.Is(err, errForeignKey) {
		return nil, nil // listed by the token's tools, but of no use here
	}
	return public, err
}

var errForeignKey = errors.New("a public key of a kind that is not supported")

func (t *Token) rsaKey(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	n, err := t.value(s, o, pkcs11.CKA_MODULUS)
	if err != nil {
		return nil, err
	}
	e, err := t.value(s, o, pkcs11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 {
		return nil, errForeignKey // more than crypto/rsa takes
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

// Object identifiers of the named curves (RFC 5480, section 2.1.1.1).
var (
	oidP256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384 = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	oidP521 = asn1.ObjectIdentifier{1, 3, 132, 0, 35}
)

func (t *Token) curveKey(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	params, err := t.value(s, o, pkcs11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(params, &oid); err != nil || len(rest) > 0 {
		return nil, errForeignKey
	}
	var curve elliptic.Curve
	switch {
	case oid.Equal(oidP256):
		curve = elliptic.P256()
	case oid.Equal(oidP384):
		curve = elliptic.P384()
	case oid.Equal(oidP521):
		curve = elliptic.P521()
	default:
		return nil, errForeignKey
	}
	point, err := t.point(s, o)
	if err != nil {
		return nil, err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errForeignKey
	}
	return public, nil
}

func (t *Token) edwardsKey(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	point, err := t.point(s, o)
	if err != nil {
		return nil, err
	}
	if len(point) != ed25519.PublicKeySize { // Ed448 has 57 bytes
		return nil, errForeignKey
	}
	return ed25519.PublicKey(point), nil
}

// point reads CKA_EC_POINT. The standard wraps it in an OCTET STRING; some
// tokens give the bare point, which begins with another byte or length.
func (t *Token) point(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) ([]byte, error) {
	v, err := t.value(s, o, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	var point []byte
	if rest, err := asn1.Unmarshal(v, &point); err == nil && len(rest) == 0 {
		return point, nil
	}
	return v, nil
}

func (t *Token) value(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	a, err := t.lib.GetAttributeValue(s, o, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, err
	}
	return a[0].Value, nil
}

func (t *Token) handles(s pkcs11.SessionHandle, filter []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := t.lib.FindObjectsInit(s, filter); err != nil {
		return nil, err
	}
	var all []pkcs11.ObjectHandle
	for {
		some, _, err := t.lib.FindObjects(s, 100)
		if err != nil || len(some) == 0 {
			return all, errors.Join(err, t.lib.FindObjectsFinal(s))
		}
		all = append(all, some...)
	}
}
