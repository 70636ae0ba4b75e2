package authority

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// The certificate of an OCSP signer lives a month and is replaced well before
// its end: longer before than any answer holds.
const (
	responderLife     = 30 * day
	responderReplaced = 10 * day
)

// KindOCSP marks the certificates of OCSP signers among an authority's.
const KindOCSP = "ocsp"

// A responder is the delegated signer of an authority's OCSP answers (RFC 6960,
// section 2.6): the authority's own key need not be at hand for each answer. Its
// key is always P-256 and in software, so that signing costs microseconds.
type responder struct {
	keyRef string
	der    []byte
	until  time.Time
}

// RotateResponders gives each authority whose key is here a new OCSP signer
// before the old one ends. It is run by a schedule.
func (a *Authorities) RotateResponders(ctx context.Context) error {
	list, err := a.List(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, x := range list {
		if x.KeyRef == "" || x.Certificate == nil || !a.rotationDue(x) {
			continue
		}
		failed = errors.Join(failed, fault.Wrap(a.rotate(ctx, x), "ocsp signer of "+x.ID))
	}
	return failed
}

// rotationDue: near the authority's own end a new signer would live no longer
// than the one that there is.
func (a *Authorities) rotationDue(x *Authority) bool {
	now := a.clock.Now()
	return x.responder.until.Sub(now) <= responderReplaced && x.responder.until.Before(x.Certificate.NotAfter) && now.Before(x.Certificate.NotAfter)
}

func (a *Authorities) rotate(ctx context.Context, x *Authority) error {
	now, err := a.guard.SigningTime()
	if err != nil {
		return err
	}
	by, err := a.vault.Signer(ctx, x.KeyRef)
	if err != nil {
		return err
	}
	key, err := keys.Generate(keys.P256)
	if err != nil {
		return err
	}
	until := responderEnd(x, now)
	raw, serial, err := a.responderTBS(x, key.Public(), now, until)
	if err != nil {
		return err
	}
	// D1, D2: serial number and bytes are durable before the authority signs them.
	if err := a.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO certificates (authority, serial, realm, client, service, kind, order_id, cn, status, der, not_before, not_after)
			VALUES ($1, $2, $3, '', '', $4, '', $5, 'intent', $6, $7, $8)`,
			x.ID, serial, x.Realm, KindOCSP, x.Name+" OCSP", raw, store.Micros(now), store.Micros(until))
		return err
	}); err != nil {
		return err
	}
	der, err := tbs.Sign(raw, x.algorithm, by)
	if err != nil {
		return err
	}
	err = a.db.Update(ctx, func(tx *store.Tx) error {
		k, err := a.vault.Import(tx, key, "ocsp "+x.ID)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE authorities SET ocsp_key_ref = $1, ocsp_der = $2, ocsp_until = $3 WHERE id = $4 AND ocsp_until = $5`,
			k.Ref, der, store.Micros(until), x.ID, store.Micros(x.responder.until))
		if err != nil {
			return err
		}
		if n == 0 {
			return conflictUnless(false) // another node has done it; what was signed here is thrown away
		}
		if err := a.Record(tx, &Certificate{Authority: x.ID, Serial: serial, DER: der}); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{Action: "authority.ocsp", ObjectKind: "authority", ObjectID: x.ID, Realm: x.Realm, Result: audit.OK, Detail: map[string]string{"serial": SerialText(serial)}})
	})
	if errors.Is(err, fault.Conflict) {
		err = a.db.Update(ctx, func(tx *store.Tx) error { return a.Revoke(tx, x.ID, serial, Superseded) })
	}
	a.forget()
	return err
}

// responderEnd is not later than the end of the authority itself.
func responderEnd(x *Authority, now time.Time) time.Time {
	until := now.Add(responderLife).Truncate(time.Second)
	if until.After(x.Certificate.NotAfter) {
		return x.Certificate.NotAfter
	}
	return until
}

func (a *Authorities) responderTBS(x *Authority, public crypto.PublicKey, now, until time.Time) (raw, serial []byte, err error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	name := dn.Name{}
	for _, o := range x.Certificate.Subject.Organization {
		name = append(name, dn.Attribute{Type: dn.O, Value: o})
	}
	subject, err := append(name, dn.Attribute{Type: dn.CN, Value: "OCSP " + x.ID}).DER()
	if err != nil {
		return nil, nil, err
	}
	var list extensionList
	list.add(tbs.BasicConstraints(false, 0), nil)
	list.add(tbs.KeyUsage(x509.KeyUsageDigitalSignature))
	list.add(tbs.ExtKeyUsage(tbs.OCSPSigning))
	list.add(tbs.SubjectKeyID(spki))
	list.add(tbs.AuthorityKeyID(x.Certificate.SubjectKeyId))
	list.add(tbs.OCSPNoCheck(), nil)
	if list.err != nil {
		return nil, nil, list.err
	}
	serial = tbs.NewSerial(now, rand.Reader)
	c := tbs.Certificate{
		Serial: serial, Algorithm: x.algorithm, Issuer: x.Certificate.RawSubject, Subject: subject,
		NotBefore: now.Add(-backdate), NotAfter: until, SPKI: spki, Extensions: list.all,
	}
	raw, err = c.Bytes()
	return raw, serial, err
}
