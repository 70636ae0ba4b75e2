package authority

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A Draft is what the caller wants in a certificate; the authority adds the
// rest. The owner fields tie the certificate to whom it belongs.
type Draft struct {
	Subject   []byte // DER name
	SPKI      []byte // DER
	SAN       tbs.SAN
	KeyUsage  x509.KeyUsage
	Hash      crypto.Hash // of the signature; zero: what suits the authority's key
	NotBefore time.Time   // zero: a minute ago, for clocks that are slow
	Validity  func(notBefore time.Time) time.Time

	// Content, when given, decides the extensions in place of the authority's
	// purpose, and KeyUsage and SAN are not looked at.
	Content *Content

	Client, Service string // owner; empty for the installation's own
	Kind            string // what it is for, such as "ws-ssl" or "api"
	OrderID         string
	CommonName      string
}

// A Content is what a product puts into a certificate. The authority adds who it
// is and where its lists and answers are found, nothing else.
type Content struct {
	Extensions   []tbs.Extension
	SubjectKeyID bool
	Precert      bool // begin with a pre-certificate: see [Authorities.SignPrecertificate]
}

// backdate makes a new certificate usable at once by clocks that are slow (N23).
const backdate = time.Minute

// An Intent is a certificate that is about to be signed: its serial number and
// its TBSCertificate. It can be signed once, by the authority that planned it,
// and only after [Authorities.Hold] has committed.
type Intent struct {
	Authority string
	Serial    []byte
	TBS       []byte
	NotBefore time.Time
	NotAfter  time.Time

	algorithm tbs.Algorithm
	draft     Draft
	realm     string
	shard     int64 // of the revocation list that the certificate names
	precert   bool  // TBS is that of a pre-certificate
	held      atomic.Bool
	spent     atomic.Bool
	preSpent  atomic.Bool
}

// A Certificate is a signed certificate that is not recorded yet.
type Certificate struct {
	Authority string
	Serial    []byte
	DER       []byte
	NotBefore time.Time
	NotAfter  time.Time
}

// SerialText is how serial numbers are shown and searched: lower-case hex.
func SerialText(serial []byte) string { return hex.EncodeToString(serial) }

// Plan draws a serial number and builds the TBSCertificate. Nothing is stored.
func (a *Authorities) Plan(ctx context.Context, id string, d Draft) (*Intent, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if x.Status != StatusActive {
		return nil, fault.Conflictf("authority.not_active", "The authority %q is %s and issues no certificates.", x.Name, x.Status)
	}
	now, err := a.guard.SigningTime()
	if err != nil {
		return nil, err
	}
	if d.NotBefore.IsZero() {
		d.NotBefore = now.Add(-backdate)
		if first := x.Certificate.NotBefore; d.NotBefore.Before(first) {
			d.NotBefore = first // a certificate does not begin before its issuer
		}
	}
	notBefore := d.NotBefore.UTC().Truncate(time.Second)
	notAfter := d.Validity(notBefore).UTC().Truncate(time.Second)
	if notAfter.After(x.Certificate.NotAfter) {
		return nil, fault.Conflictf("authority.expires_first", "The certificate would outlive the authority %q, which ends on %s.", x.Name, x.Certificate.NotAfter.Format(time.DateOnly)).
			WithNext("Ask for a shorter life or renew the authority.")
	}
	alg, err := x.algorithmWith(d.Hash)
	if err != nil {
		return nil, err
	}
	i := &Intent{Authority: x.ID, Serial: tbs.NewSerial(now, rand.Reader), NotBefore: notBefore, NotAfter: notAfter, algorithm: alg, draft: d, realm: x.Realm}
	if i.shard, err = a.shardFor(ctx, x, i.Serial); err != nil {
		return nil, err
	}
	extensions, err := a.extensions(x, d, i.shard)
	if err != nil {
		return nil, fault.Invalidf("certificate.content", "The certificate cannot be built: %v.", err)
	}
	i.precert = d.Content != nil && d.Content.Precert
	c := tbs.Certificate{
		Serial: i.Serial, Algorithm: alg, Issuer: x.Certificate.RawSubject, Subject: d.Subject,
		NotBefore: notBefore, NotAfter: notAfter, SPKI: d.SPKI, Extensions: extensions,
	}
	if i.TBS, err = c.Bytes(); err != nil {
		return nil, fault.Invalidf("certificate.content", "The certificate cannot be built: %v.", err)
	}
	return i, nil
}

// algorithmWith is the authority's signature algorithm with another hash, which
// only RSA keys allow (TLS BR 7.1.3.2 pairs each curve with one hash).
func (x *Authority) algorithmWith(h crypto.Hash) (tbs.Algorithm, error) {
	if h == 0 || h == x.algorithm.Hash() {
		return x.algorithm, nil
	}
	for _, alg := range []tbs.Algorithm{tbs.SHA256WithRSA, tbs.SHA384WithRSA, tbs.SHA512WithRSA} {
		if _, ok := x.Certificate.PublicKey.(*rsa.PublicKey); ok && alg.Hash() == h {
			return alg, nil
		}
	}
	return tbs.Algorithm{}, fault.Invalidf("authority.hash", "The authority %q signs with %s only.", x.Name, x.algorithm).WithField("hash")
}

// algorithmIn reads the signature algorithm of a stored TBSCertificate.
func algorithmIn(raw []byte) (tbs.Algorithm, error) {
	in := cryptobyte.String(raw)
	var body, alg cryptobyte.String
	version := cbasn1.Tag(0).ContextSpecific().Constructed()
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipASN1(version) || !body.SkipASN1(cbasn1.INTEGER) || !body.ReadASN1Element(&alg, cbasn1.SEQUENCE) {
		return tbs.Algorithm{}, errors.New("the stored certificate to be signed is damaged")
	}
	return tbs.ParseAlgorithm(alg)
}

// extensions are those of RFC 5280 for an end entity of the authority's purpose.
func (a *Authorities) extensions(x *Authority, d Draft, shard int64) ([]tbs.Extension, error) {
	own := x.fixed
	if d.Content != nil {
		own = x.fixed[purposeExtensions:]
	}
	list := extensionList{all: append(make([]tbs.Extension, 0, len(own)+16), own...)}
	if shard != 0 {
		list.all = list.all[:len(list.all)-1] // the distribution point of the full list
		list.add(tbs.CRLDistributionPoints(a.urls.List(Scope{Authority: x.ID, Shard: shard})))
	}
	if d.Content != nil {
		return d.Content.extend(list, x, d.SPKI)
	}
	list.add(tbs.KeyUsage(d.KeyUsage))
	list.add(tbs.SubjectKeyID(d.SPKI))
	if !d.SAN.Empty() {
		list.add(tbs.SubjectAltName(d.SAN, false))
	}
	return list.all, list.err
}

// extend adds a product's extensions to the authority's own.
func (c *Content) extend(list extensionList, x *Authority, spki []byte) ([]tbs.Extension, error) {
	if err := x.permits(c.Extensions); err != nil {
		return nil, err
	}
	list.all = append(list.all, c.Extensions...)
	if c.SubjectKeyID {
		list.add(tbs.SubjectKeyID(spki))
	}
	if c.Precert {
		list.add(tbs.Poison(), nil)
	}
	return list.all, list.err
}

// permits refuses a purpose that the authority's own certificate rules out: no
// verifier would accept such a certificate.
func (x *Authority) permits(extensions []tbs.Extension) error {
	if len(x.Certificate.ExtKeyUsage)+len(x.Certificate.UnknownExtKeyUsage) == 0 || slices.Contains(x.Certificate.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	for _, e := range extensions {
		if !e.ID.Equal(oidExtKeyUsage) {
			continue
		}
		var purposes []asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(e.Value, &purposes); err != nil {
			return err
		}
		for _, p := range purposes {
			if !x.mayCertify(p) {
				return fmt.Errorf("the authority %q may not certify keys for the purpose %s", x.Name, p)
			}
		}
	}
	return nil
}

var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

func (x *Authority) mayCertify(purpose asn1.ObjectIdentifier) bool {
	for _, p := range purposesOf[x.Purpose] {
		if p.Equal(purpose) {
			return true
		}
	}
	return slices.ContainsFunc(x.Certificate.UnknownExtKeyUsage, purpose.Equal)
}

// purposeExtensions is how many of the fixed extensions come from the purpose.
const purposeExtensions = 2

// fixedExtensions are the same in every certificate of an authority; the last
// is the distribution point, which a sharded list replaces.
func fixedExtensions(x *Authority, urls URLs) ([]tbs.Extension, error) {
	purpose := tbs.ClientAuth
	if own := purposesOf[x.Purpose]; len(own) > 0 {
		purpose = own[0]
	}
	var list extensionList
	list.add(tbs.BasicConstraints(false, 0), nil) // purposeExtensions: these two
	list.add(tbs.ExtKeyUsage(purpose))
	list.add(tbs.AuthorityKeyID(x.Certificate.SubjectKeyId))
	list.add(tbs.AIA([]string{urls.OCSP(x.ID)}, []string{urls.Issuer(x.ID)}))
	list.add(tbs.CRLDistributionPoints(urls.CRL(x.ID)))
	return list.all, list.err
}

type extensionList struct {
	all []tbs.Extension
	err error
}

func (l *extensionList) add(e tbs.Extension, err error) {
	l.all = append(l.all, e)
	l.err = errors.Join(l.err, err)
}

// Hold stores the intent: D1, the serial number, and D2, the bytes to be
// signed. From here on a crash finds the row and finishes or voids it; the
// serial number is never used again.
func (a *Authorities) Hold(tx *store.Tx, i *Intent) error {
	d := &i.draft
	_, err := tx.Exec(`INSERT INTO certificates (authority, serial, realm, client, service, kind, order_id, cn, status, der, not_before, not_after, shard, spki)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'intent', $9, $10, $11, $12, $13)`,
		i.Authority, i.Serial, i.realm, d.Client, d.Service, d.Kind, d.OrderID, d.CommonName, i.TBS, store.Micros(i.NotBefore), store.Micros(i.NotAfter), i.shard, keyTag(d.SPKI))
	if err == nil {
		tx.AfterCommit(func() { i.held.Store(true) })
	}
	return err
}

// Sign signs a held intent. An authority's key that does not answer is a fault
// of kind Unavailable: the intent stays and is taken up again by Reopen.
func (a *Authorities) Sign(ctx context.Context, i *Intent) (*Certificate, error) {
	if !i.held.Load() {
		return nil, errors.New("sign before the intent is durable")
	}
	if i.precert {
		return nil, errors.New("sign a pre-certificate's intent before the logs have answered")
	}
	if !i.spent.CompareAndSwap(false, true) {
		return nil, errors.New("an intent is signed once")
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
	return &Certificate{Authority: i.Authority, Serial: i.Serial, DER: der, NotBefore: i.NotBefore, NotAfter: i.NotAfter}, nil
}

// Record stores the signed certificate (D5). Whoever records first wins; a
// second worker on the same intent finds no row to change.
func (a *Authorities) Record(tx *store.Tx, c *Certificate) error {
	n, err := tx.Exec(`UPDATE certificates SET der = $1, status = 'valid' WHERE authority = $2 AND serial = $3 AND status = 'intent'`, c.DER, c.Authority, c.Serial)
	if err == nil && n != 1 {
		err = fault.Conflictf("certificate.recorded", "The certificate %s was recorded or voided by another worker.", SerialText(c.Serial))
	}
	return err
}

// ErrPossiblyIssued says that an intent cannot be signed again: the key does
// not sign deterministically, so a certificate with the same serial number and
// another signature may exist.
var ErrPossiblyIssued = errors.New("the certificate may exist already")

// Reopen returns a held intent after a crash, ready to sign, or
// [ErrPossiblyIssued], or [store.ErrNotFound] when there is no open intent
// under that serial number.
func (a *Authorities) Reopen(ctx context.Context, authority string, serial []byte) (*Intent, error) {
	i := &Intent{Authority: authority, Serial: serial}
	var from, to int64
	err := a.db.View(ctx).QueryRow(`SELECT der, realm, not_before, not_after FROM certificates WHERE authority = $1 AND serial = $2 AND status = 'intent'`, authority, serial).
		Scan(&i.TBS, &i.realm, &from, &to)
	if err != nil {
		return nil, err
	}
	i.NotBefore, i.NotAfter = store.Time(from), store.Time(to)
	x, err := a.Get(ctx, authority)
	if err != nil {
		return nil, err
	}
	signer, err := a.vault.Signer(ctx, x.KeyRef)
	if err != nil {
		return nil, err
	}
	if !tbs.Deterministic(signer) {
		return nil, ErrPossiblyIssued
	}
	if i.algorithm, err = algorithmIn(i.TBS); err != nil {
		return nil, err
	}
	i.precert = tbs.IsPrecertificate(i.TBS)
	i.held.Store(true)
	return i, nil
}

// An OpenIntent is a certificate that was about to be signed.
type OpenIntent struct {
	Authority, OrderID string
	Serial             []byte
}

// maxOpenIntents bounds one answer of OpenIntents; the sweep comes again.
const maxOpenIntents = 100

// OpenIntents lists intents of a kind that were held before a time and have
// neither been recorded nor given up.
func (a *Authorities) OpenIntents(ctx context.Context, kind string, before time.Time) ([]OpenIntent, error) {
	rows, err := a.db.View(ctx).Query(`SELECT authority, order_id, serial FROM certificates WHERE status = 'intent' AND kind = $1 AND not_before < $2 ORDER BY not_before LIMIT $3 + 0`,
		kind, store.Micros(before.Add(-backdate)), maxOpenIntents)
	return store.Collect(rows, err, func(r *store.Rows) (i OpenIntent, err error) { return i, r.Scan(&i.Authority, &i.OrderID, &i.Serial) })
}
