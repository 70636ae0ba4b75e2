package authority

import (
	"bytes"
	"context"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Precert tells whether the intent is still that of a pre-certificate.
func (i *Intent) Precert() bool { return i.precert }

// SignPrecertificate signs the pre-certificate of a held intent (RFC 6962, 3.1).
// From here on the certificate counts as issued: who gives it up revokes it. No
// log has seen it yet, and the intent, which holds all but the signature, is
// durable (D3): a key that signs deterministically makes the same bytes again.
func (a *Authorities) SignPrecertificate(ctx context.Context, i *Intent) ([]byte, error) {
	switch {
	case !i.held.Load():
		return nil, errors.New("sign before the intent is durable")
	case !i.precert:
		return nil, errors.New("the intent is not that of a pre-certificate")
	case !i.preSpent.CompareAndSwap(false, true):
		return nil, errors.New("a pre-certificate is signed once")
	}
	x, err := a.Get(ctx, i.Authority)
	if err != nil {
		return nil, err
	}
	signer, err := a.vault.Signer(ctx, x.KeyRef)
	if err != nil {
		return nil, err
	}
	der, err := tbs.Sign(i.TBS, i.algorithm, signer)
	if err != nil {
		return nil, fault.Wrap(err, "sign with "+x.ID)
	}
	return der, nil
}

// WithSCTs is the intent of the final certificate: the SCT list takes the place
// of the poison and nothing else changes. It is signed after [Authorities.Amend].
func (i *Intent) WithSCTs(list []byte) (*Intent, error) {
	if !i.precert {
		return nil, errors.New("the intent is not that of a pre-certificate")
	}
	raw, err := tbs.ReplacePoison(i.TBS, list)
	if err != nil {
		return nil, err
	}
	return &Intent{
		Authority: i.Authority, Serial: i.Serial, TBS: raw, NotBefore: i.NotBefore, NotAfter: i.NotAfter,
		algorithm: i.algorithm, draft: i.draft, realm: i.realm, shard: i.shard,
	}, nil
}

// Amend stores the final certificate's bytes to be signed in place of the
// pre-certificate's (D4). Whoever comes first wins.
func (a *Authorities) Amend(tx *store.Tx, pre, final *Intent) error {
	n, err := tx.Exec(`UPDATE certificates SET der = $1 WHERE authority = $2 AND serial = $3 AND status = 'intent' AND der = $4`, final.TBS, final.Authority, final.Serial, pre.TBS)
	if err == nil && n != 1 {
		err = fault.Conflictf("certificate.amended", "The certificate %s was changed by another worker.", SerialText(final.Serial))
	}
	if err == nil {
		tx.AfterCommit(func() { final.held.Store(true) })
	}
	return err
}

// ReopenPrecertificate returns a held intent whose pre-certificate was signed
// and kept, ready for the logs' answers. Where [Authorities.Reopen] says
// [ErrPossiblyIssued], this tells that nothing else can have been signed: the
// certificate itself waits for [Authorities.Amend], after which this is
// ErrPossiblyIssued, too. The pre-certificate cannot be signed once more. Without
// an open intent the error is [store.ErrNotFound].
func (a *Authorities) ReopenPrecertificate(ctx context.Context, authority string, serial, signed []byte) (*Intent, error) {
	r, err := a.Lookup(a.db.View(ctx), authority, serial)
	switch {
	case err != nil:
		return nil, err
	case r.Status != CertIntent:
		return nil, store.ErrNotFound
	}
	in, raw := cryptobyte.String(signed), cryptobyte.String(nil)
	if !in.ReadASN1(&in, cbasn1.SEQUENCE) || !in.ReadASN1Element(&raw, cbasn1.SEQUENCE) || !bytes.Equal(raw, r.DER) || !tbs.IsPrecertificate(raw) {
		return nil, ErrPossiblyIssued
	}
	i := &Intent{Authority: authority, Serial: serial, TBS: r.DER, NotBefore: r.NotBefore, NotAfter: r.NotAfter, realm: r.Realm, shard: r.Shard, precert: true}
	if i.algorithm, err = algorithmIn(i.TBS); err != nil {
		return nil, err
	}
	i.held.Store(true)
	i.preSpent.Store(true)
	return i, nil
}
