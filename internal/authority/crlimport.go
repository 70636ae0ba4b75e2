package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
)

// OfflineCRL makes the list of an offline root, whose key is in the caller's
// hands, for [Authorities.ImportCRL]. The serial numbers are those of issuing
// authorities to be revoked; life is how long the list holds.
func OfflineCRL(root *x509.Certificate, key crypto.Signer, number int64, revoked [][]byte, now time.Time, life time.Duration) ([]byte, error) {
	alg, err := tbs.ForKey(key.Public())
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for _, serial := range revoked {
		e, err := crl.AppendEntry(nil, serial, now, int(CessationOfOperation), time.Time{})
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	var out bytes.Buffer
	list := &crl.List{Issuer: root.RawSubject, IssuerKeyID: root.SubjectKeyId, Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.Add(life)}
	_, err = crl.Write(&out, list, crl.Entries{Each: func(yield func([]byte, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}}, alg, key)
	return out.Bytes(), err
}

// ImportCRL publishes a full list that an offline root has signed.
func (a *Authorities) ImportCRL(ctx context.Context, id string, der []byte) (CRL, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return CRL{}, err
	}
	list, err := crl.Parse(der)
	if err != nil {
		return CRL{}, fault.Invalidf("crl.malformed", "The revocation list cannot be read: %v.", err)
	}
	if err := list.Verify(x.Certificate); err != nil {
		return CRL{}, fault.Invalidf("crl.issuer", "The revocation list was not signed by %q.", x.Name).WithCause(err)
	}
	if list.DeltaBase != nil || list.IDP != nil && (len(list.IDP.URIs) > 0 || list.IDP.OnlyUserCerts || list.IDP.OnlyAttributeCerts) {
		return CRL{}, fault.Invalidf("crl.scope", "The revocation list does not cover the certificates of all authorities below %q.", x.Name)
	}
	last, err := a.CurrentCRL(ctx, id)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return CRL{}, err
	}
	if list.Number == nil || !list.Number.IsInt64() || list.Number.Int64() <= last.Number {
		return CRL{}, fault.Conflictf("crl.number", "The revocation list has the number %v; the one published has %d.", list.Number, last.Number).WithNext("Sign one with a higher number.")
	}
	c := CRL{Scope: Scope{Authority: id}, Number: list.Number.Int64(), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate}
	for _, err := range list.Entries() {
		if err != nil {
			return CRL{}, fault.Invalidf("crl.malformed", "The revocation list cannot be read: %v.", err)
		}
		c.Entries++
	}
	info, err := a.blobs.Put(ctx, bytes.NewReader(der), maxCRL)
	if err != nil {
		return CRL{}, err
	}
	c.blob, c.Size = info.ID, info.Size
	return c, a.publishCRL(ctx, x, c)
}
