package authority

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A Spec describes an authority to be created.
type Spec struct {
	ID      string // [a-z0-9-], at most 40 characters; part of URLs, never changed
	Realm   string
	Name    string // common name
	Org     string // organisation in the subject
	Country string // two letters; empty for none
	Purpose Purpose
	Key     keys.Algorithm // for a new software key
	KeyRef  string         // or a key that exists, such as "hsm:root"
	Years   int            // life of the certificate
}

var validID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,39}$`)

func (s Spec) subject() ([]byte, error) {
	var n dn.Name
	if s.Country != "" {
		n = append(n, dn.Attribute{Type: dn.C, Value: s.Country})
	}
	return append(n, dn.Attribute{Type: dn.O, Value: s.Org}, dn.Attribute{Type: dn.CN, Value: s.Name}).DER()
}

func (s Spec) check() error {
	switch {
	case !validID.MatchString(s.ID):
		return fault.Invalidf("authority.id", "The authority id %q must be 2 to 40 characters of a-z, 0-9 and dash.", s.ID).WithField("id")
	case s.Name == "" || s.Org == "":
		return fault.Invalidf("authority.name", "An authority needs a name and an organisation.").WithField("name")
	case s.Years < 1 || s.Years > 30:
		return fault.Invalidf("authority.years", "An authority lives 1 to 30 years, not %d.", s.Years).WithField("years")
	case purposesOf[s.Purpose] == nil && s.Purpose != General && s.Purpose != Any:
		return fault.Invalidf("authority.purpose", "%q is not a purpose of an authority.", s.Purpose).WithField("purpose")
	}
	return nil
}

// CreateRoot makes a root whose key stays in this installation.
func (a *Authorities) CreateRoot(ctx context.Context, s Spec) (*Authority, error) {
	s.Purpose = Any
	return a.create(ctx, s, Root, nil)
}

// CreateIssuing makes an issuing authority below a root whose key is here.
func (a *Authorities) CreateIssuing(ctx context.Context, s Spec, parent string) (*Authority, error) {
	p, err := a.Get(ctx, parent)
	if err != nil {
		return nil, err
	}
	if p.Kind != Root || p.KeyRef == "" || p.Status != StatusActive {
		return nil, fault.Conflictf("authority.parent", "The authority %q cannot sign here.", parent).WithNext("Use: sealwright ca request, and sign the request where the root's key is.")
	}
	return a.create(ctx, s, Issuing, p)
}

func (a *Authorities) create(ctx context.Context, s Spec, kind string, parent *Authority) (*Authority, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	x := &Authority{ID: s.ID, Realm: s.Realm, Kind: kind, Name: s.Name, Purpose: s.Purpose, Status: StatusActive, Created: a.clock.Now()}
	if parent != nil {
		x.Parent = parent.ID
	}
	signer, err := a.newKey(ctx, s, x)
	if err != nil {
		return nil, err
	}
	now, err := a.guard.SigningTime()
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	by, issuer := signer, (*x509.Certificate)(nil)
	if parent != nil {
		issuer = parent.Certificate
		if by, err = a.vault.Signer(ctx, parent.KeyRef); err != nil {
			return nil, err
		}
	}
	subject, err := s.subject()
	if err != nil {
		return nil, fault.Invalidf("authority.name", "The name of the authority cannot be encoded: %v.", err).WithField("name")
	}
	draft := caDraft{subject: subject, spki: spki, notBefore: now, notAfter: now.AddDate(s.Years, 0, 0), purpose: s.Purpose, kind: kind, ocsp: []string{a.urls.OCSP(x.Parent)}}
	if x.DER, err = a.signCA(draft, x.Parent, issuer, by); err != nil {
		return nil, err
	}
	return x, a.insert(ctx, x)
}

// newKey generates or finds the authority's key. A key whose authority is never
// stored stays behind unused, which harms nobody.
func (a *Authorities) newKey(ctx context.Context, s Spec, x *Authority) (crypto.Signer, error) {
	x.KeyRef = s.KeyRef
	if x.KeyRef == "" {
		if err := a.db.Update(ctx, func(tx *store.Tx) error {
			k, err := a.vault.Generate(tx, s.Key, "authority "+s.ID)
			x.KeyRef = k.Ref
			return err
		}); err != nil {
			return nil, fault.Wrap(err, "generate the key of "+s.ID)
		}
	}
	return a.vault.Signer(ctx, x.KeyRef)
}

// A caDraft is what differs between the certificates of authorities.
type caDraft struct {
	subject, spki       []byte
	notBefore, notAfter time.Time
	purpose             Purpose
	kind                string
	ocsp                []string // where the issuer's OCSP responder is; an offline root has none
}

// signCA builds and signs a CA certificate (RFC 5280, 4.2.1); issuer is nil for a root.
func (a *Authorities) signCA(d caDraft, parent string, issuer *x509.Certificate, by crypto.Signer) ([]byte, error) {
	if issuer != nil && d.notAfter.After(issuer.NotAfter) {
		d.notAfter = issuer.NotAfter
	}
	alg, err := tbs.ForKey(by.Public())
	if err != nil {
		return nil, err
	}
	pathLen, name := 1, d.subject
	var list extensionList
	if issuer != nil {
		pathLen, name = 0, issuer.RawSubject
		list.add(tbs.AuthorityKeyID(issuer.SubjectKeyId))
		list.add(tbs.AIA(d.ocsp, []string{a.urls.Issuer(parent)}))
		list.add(tbs.CRLDistributionPoints(a.urls.CRL(parent)))
	}
	list.add(tbs.BasicConstraints(true, pathLen), nil)
	list.add(tbs.KeyUsage(x509.KeyUsageCertSign | x509.KeyUsageCRLSign))
	list.add(tbs.SubjectKeyID(d.spki))
	if own := purposesOf[d.purpose]; len(own) > 0 {
		list.add(tbs.ExtKeyUsage(append(slices.Clone(own), tbs.OCSPSigning)...))
	}
	if list.err != nil {
		return nil, list.err
	}
	c := tbs.Certificate{
		Serial: tbs.NewSerial(d.notBefore, rand.Reader), Algorithm: alg, Issuer: name, Subject: d.subject,
		NotBefore: d.notBefore, NotAfter: d.notAfter, SPKI: d.spki, Extensions: list.all,
	}
	raw, err := c.Bytes()
	if err != nil {
		return nil, err
	}
	return tbs.Sign(raw, alg, by)
}

// insert stores an authority; a subordinate's own certificate is entered among
// its parent's, so that the parent's OCSP answers know it.
func (a *Authorities) insert(ctx context.Context, x *Authority) error {
	if len(x.DER) > 0 {
		if err := x.parse(); err != nil {
			return err
		}
	}
	err := a.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO authorities (id, realm, kind, name, parent, purpose, key_ref, der, csr, status, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			x.ID, x.Realm, x.Kind, x.Name, x.Parent, string(x.Purpose), x.KeyRef, x.DER, x.CSR, x.Status, store.Micros(x.Created)); err != nil {
			return err
		}
		if err := enter(tx, x); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{
			Action: "authority.create", ObjectKind: "authority", ObjectID: x.ID, Realm: x.Realm, Result: audit.OK,
			Detail: map[string]string{"name": x.Name, "kind": x.Kind, "parent": x.Parent, "purpose": string(x.Purpose), "status": x.Status},
		})
	})
	if errors.Is(err, store.ErrExists) {
		return fault.Conflictf("authority.exists", "There is an authority %q already.", x.ID)
	}
	a.forget()
	return err
}

func enter(tx *store.Tx, x *Authority) error {
	if x.Parent == "" || x.Certificate == nil {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO certificates (authority, serial, realm, client, service, kind, order_id, cn, status, der, not_before, not_after)
		VALUES ($1, $2, $3, '', '', 'authority', '', $4, 'valid', $5, $6, $7)`,
		x.Parent, x.Certificate.SerialNumber.Bytes(), x.Realm, x.Name, x.DER, store.Micros(x.Certificate.NotBefore), store.Micros(x.Certificate.NotAfter))
	return err
}

// Import stores a root whose key is elsewhere (key "" for an offline root).
func (a *Authorities) Import(ctx context.Context, id, realm string, der []byte) (*Authority, error) {
	x := &Authority{ID: id, Realm: realm, Kind: Root, Purpose: Any, Status: StatusActive, Created: a.clock.Now(), DER: der}
	if !validID.MatchString(id) {
		return nil, fault.Invalidf("authority.id", "The authority id %q must be 2 to 40 characters of a-z, 0-9 and dash.", id).WithField("id")
	}
	if err := x.parse(); err != nil {
		return nil, fault.Invalidf("authority.certificate", "The root's certificate cannot be read: %v.", err)
	}
	c := x.Certificate
	if !c.IsCA || c.CheckSignatureFrom(c) != nil {
		return nil, fault.Invalidf("authority.not_root", "The certificate of %s is not that of a self-signed root.", c.Subject)
	}
	x.Name = c.Subject.CommonName
	return x, a.insert(ctx, x)
}

// Request creates an issuing authority that waits for its certificate from an
// offline root, and returns its PKCS#10 request.
func (a *Authorities) Request(ctx context.Context, s Spec, parent string) (*Authority, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if _, err := a.Get(ctx, parent); err != nil {
		return nil, err
	}
	x := &Authority{ID: s.ID, Realm: s.Realm, Kind: Issuing, Name: s.Name, Parent: parent, Purpose: s.Purpose, Status: StatusWaiting, Created: a.clock.Now()}
	signer, err := a.newKey(ctx, s, x)
	if err != nil {
		return nil, err
	}
	subject, err := s.subject()
	if err != nil {
		return nil, fault.Invalidf("authority.name", "The name of the authority cannot be encoded: %v.", err).WithField("name")
	}
	if x.CSR, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: subject}, signer); err != nil {
		return nil, fmt.Errorf("request for %s: %w", s.ID, err)
	}
	return x, a.insert(ctx, x)
}

// SignRequest signs the request of an issuing authority with a root's key that
// is in the caller's hands, such as that of an offline root in a file.
func SignRequest(request []byte, purpose Purpose, root *x509.Certificate, key crypto.Signer, parent string, urls URLs, now time.Time, years int) ([]byte, error) {
	r, err := csr.Parse(request)
	if err != nil {
		return nil, fault.Invalidf("authority.request", "The request cannot be used: %v.", err)
	}
	a := &Authorities{urls: urls}
	return a.signCA(caDraft{subject: r.Subject, spki: r.SPKI, notBefore: now, notAfter: now.AddDate(years, 0, 0), purpose: purpose, kind: Issuing}, parent, root, key)
}

// SelfSign makes the certificate of a root whose key is in the caller's hands.
func SelfSign(s Spec, key crypto.Signer, now time.Time) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	subject, err := s.subject()
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return (&Authorities{}).signCA(caDraft{subject: subject, spki: spki, notBefore: now, notAfter: now.AddDate(s.Years, 0, 0), purpose: Any, kind: Root}, "", nil, key)
}

// Activate gives a waiting authority the certificate that its offline root signed.
func (a *Authorities) Activate(ctx context.Context, id string, der []byte) (*Authority, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if x.Status != StatusWaiting {
		return nil, fault.Conflictf("authority.not_waiting", "The authority %q is not waiting for a certificate; it is %s.", id, x.Status)
	}
	parent, err := a.Get(ctx, x.Parent)
	if err != nil {
		return nil, err
	}
	y := Authority{
		ID: x.ID, Realm: x.Realm, Kind: x.Kind, Name: x.Name, Parent: x.Parent, Purpose: x.Purpose, KeyRef: x.KeyRef,
		DER: der, CSR: x.CSR, Status: StatusActive, Created: x.Created,
	}
	if err := y.parse(); err != nil {
		return nil, fault.Invalidf("authority.certificate", "The certificate cannot be read: %v.", err)
	}
	signer, err := a.vault.Signer(ctx, x.KeyRef)
	if err != nil {
		return nil, err
	}
	type equaler interface{ Equal(crypto.PublicKey) bool }
	if key, ok := signer.Public().(equaler); !ok || !key.Equal(y.Certificate.PublicKey) {
		return nil, fault.Invalidf("authority.other_key", "The certificate is for another key than that of %q.", id)
	}
	if err := y.Certificate.CheckSignatureFrom(parent.Certificate); err != nil {
		return nil, fault.Invalidf("authority.other_root", "The certificate was not signed by %q.", parent.Name).WithCause(err)
	}
	err = a.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE authorities SET der = $1, status = 'active' WHERE id = $2 AND status = 'waiting'`, der, id)
		if err != nil || n != 1 {
			return errors.Join(err, conflictUnless(n == 1))
		}
		if err := enter(tx, &y); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{Action: "authority.activate", ObjectKind: "authority", ObjectID: id, Realm: x.Realm, Result: audit.OK})
	})
	a.forget()
	return &y, err
}

// Close ends an issuing authority for good: its certificate is revoked, so that
// none of its own certificates is accepted any more, and it issues no others.
// It goes on signing CRLs and OCSP answers.
func (a *Authorities) Close(ctx context.Context, id string, reason Reason) error {
	x, err := a.Get(ctx, id)
	if err != nil {
		return err
	}
	if x.Kind != Issuing || x.Status != StatusActive {
		return fault.Conflictf("authority.not_open", "The authority %q is %s, %s, and cannot be closed.", id, x.Kind, x.Status)
	}
	err = a.db.Update(ctx, func(tx *store.Tx) error {
		if err := a.Revoke(tx, x.Parent, x.Certificate.SerialNumber.Bytes(), reason); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE authorities SET status = 'closed' WHERE id = $1 AND status = 'active'`, id); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{Action: "authority.close", ObjectKind: "authority", ObjectID: id, Realm: x.Realm, Result: audit.OK, Detail: map[string]string{"reason": reason.String()}})
	})
	a.forget()
	return err
}

func conflictUnless(ok bool) error {
	if ok {
		return nil
	}
	return fault.Conflictf("authority.changed", "The authority was changed by somebody else.").WithNext("Look at it again.")
}
