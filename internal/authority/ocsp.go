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
	"github.com/sealwright/sealwright/pki/ocsp"
	"github.com/sealwright/sealwright/pki/tbs"
)

// OCSP answers are fresh when they are made and may be kept for a day; their
// signer's certificate lives a month and is replaced well before (contracts,
// pki-rules row 19).
const (
	ocspLife          = 24 * time.Hour
	responderLife     = 30 * 24 * time.Hour
	responderReplaced = 10 * 24 * time.Hour
)

// KindOCSP marks the certificates of OCSP signers among an authority's.
const KindOCSP = "ocsp"

// A responder is the delegated signer of an authority's OCSP answers (RFC 6960,
// section 2.6): the authority's own key need not be at hand for each answer.
type responder struct {
	keyRef string
	der    []byte
	until  time.Time
}

// An OCSPAnswer is a response and how long it may be cached.
type OCSPAnswer struct {
	DER        []byte
	NextUpdate time.Time // zero: do not cache
}

// AnswerOCSP answers a DER request on behalf of one authority. It always has an
// answer; a malformed request and an internal error have OCSP's own. A serial
// number that was never issued is "unknown", never "good".
func (a *Authorities) AnswerOCSP(ctx context.Context, id string, request []byte) (OCSPAnswer, error) {
	x, err := a.Get(ctx, id)
	if err != nil || x.Certificate == nil {
		return OCSPAnswer{DER: ocsp.Unauthorized.DER()}, err
	}
	req, err := ocsp.ParseRequest(request)
	if err != nil {
		return OCSPAnswer{DER: ocsp.Malformed.DER()}, nil
	}
	issuer, err := ocsp.IssuerOf(x.Certificate)
	if err != nil {
		return OCSPAnswer{DER: ocsp.InternalError.DER()}, err
	}
	now, err := a.guard.SigningTime()
	if err != nil {
		return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
	}
	now = now.Truncate(time.Second)
	answer := &ocsp.Answer{ProducedAt: now, Nonce: req.Nonce}
	next := now.Add(ocspLife)
	for _, cid := range req.IDs {
		if !issuer.Matches(cid) {
			return OCSPAnswer{DER: ocsp.Unauthorized.DER()}, nil
		}
		single, err := a.status(ctx, id, cid)
		if err != nil {
			return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
		}
		single.ThisUpdate, single.NextUpdate = now, next
		answer.Responses = append(answer.Responses, single)
	}
	der, err := a.signOCSP(ctx, x, answer)
	if err != nil {
		return OCSPAnswer{DER: ocsp.TryLater.DER()}, err
	}
	if len(req.Nonce) > 0 {
		next = time.Time{}
	}
	return OCSPAnswer{DER: der, NextUpdate: next}, nil
}

func (a *Authorities) status(ctx context.Context, id string, cid ocsp.CertID) (ocsp.SingleResponse, error) {
	single := ocsp.SingleResponse{ID: cid, Status: ocsp.Unknown}
	r, err := a.Lookup(a.db.View(ctx), id, cid.Serial)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return single, nil
	case err != nil:
		return single, err
	case r.Status == CertValid:
		single.Status = ocsp.Good
	case r.Status == CertRevoked:
		single.Status, single.RevokedAt, single.Reason = ocsp.Revoked, r.RevokedAt, int(r.Reason)
	}
	return single, nil
}

func (a *Authorities) signOCSP(ctx context.Context, x *Authority, answer *ocsp.Answer) ([]byte, error) {
	signer, cert, err := a.ocspSigner(ctx, x)
	if err != nil {
		return nil, err
	}
	bits, err := ocsp.KeyBits(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	answer.ResponderKeyHash, answer.Certificates = ocsp.KeyHash(bits), [][]byte{cert.Raw}
	alg, err := tbs.ForKey(signer.Public())
	if err != nil {
		return nil, err
	}
	return ocsp.Build(answer, alg, signer)
}

func (a *Authorities) ocspSigner(ctx context.Context, x *Authority) (crypto.Signer, *x509.Certificate, error) {
	if x.responder.keyRef == "" || a.clock.Now().After(x.responder.until) {
		return nil, nil, fault.Unavailablef(nil, "ocsp.no_responder", "The authority %q has no OCSP signer at the moment.", x.ID)
	}
	signer, err := a.vault.Signer(ctx, x.responder.keyRef)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(x.responder.der)
	return signer, cert, err
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
		if x.KeyRef == "" || x.Certificate == nil || x.responder.until.Sub(a.clock.Now()) > responderReplaced {
			continue
		}
		failed = errors.Join(failed, fault.Wrap(a.rotate(ctx, x), "ocsp signer of "+x.ID))
	}
	return failed
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
	raw, serial, err := a.responderTBS(x, key.Public(), now)
	if err != nil {
		return err
	}
	until := now.Add(responderLife)
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

func (a *Authorities) responderTBS(x *Authority, public crypto.PublicKey, now time.Time) (raw, serial []byte, err error) {
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
		NotBefore: now.Add(-backdate), NotAfter: now.Add(responderLife), SPKI: spki, Extensions: list.all,
	}
	raw, err = c.Bytes()
	return raw, serial, err
}
