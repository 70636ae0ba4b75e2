package tsp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/sealwright/sealwright/pki/cms"
)

// ErrAnswer is wrapped by the errors of [Info.Answers].
var ErrAnswer = errors.New("tsp: the token does not answer the request")

// ErrUnit is wrapped by errors about the certificate of a time-stamping unit.
var ErrUnit = errors.New("tsp: the certificate is not that of a trusted time-stamping unit")

// Options say whom a verifier trusts.
type Options struct {
	Roots         *x509.CertPool      // required; the system's own are never used
	Intermediates []*x509.Certificate // besides those in the token
	Unit          *x509.Certificate   // the unit's certificate, for tokens without it
	At            time.Time           // when the certificates are judged; zero: at the token's time
}

// A Verified is a token that a trusted unit signed.
type Verified struct {
	Info
	Certificate *x509.Certificate // the unit's
	Chain       []*x509.Certificate
}

// Verify checks the signature of a token, that it is bound to the certificate of
// its unit (RFC 5816), that this certificate is for time-stamping only (RFC 3161,
// section 2.3), and that it leads to one of the roots.
//
// Left to the caller: whether a certificate of the chain is revoked, and whether
// the token answers the request or is over the right data ([Info.Answers]).
func (t *Token) Verify(o Options) (*Verified, error) {
	if o.Roots == nil {
		return nil, errors.New("tsp: verify without roots")
	}
	check := cms.Check{}
	if o.Unit != nil {
		check.Certificates = []*x509.Certificate{o.Unit}
	}
	all, err := t.signed.Verify(check)
	if err != nil {
		return nil, err
	}
	if !all[0].Bound {
		return nil, fmt.Errorf("%w: the signature does not name it by SHA-256 or better (RFC 5816)", ErrUnit)
	}
	v := &Verified{Certificate: all[0].Certificate}
	if err := CheckUnit(v.Certificate); err != nil {
		return nil, err
	}
	// From here on nothing is used but the octets that were signed.
	if err := v.parse(all[0].Content); err != nil {
		return nil, err
	}
	if v.TSA != nil && !namesSubject(v.TSA, v.Certificate) {
		return nil, fmt.Errorf("%w: the token names another", ErrUnit)
	}
	v.Chain, err = t.chain(v, o)
	return v, err
}

func (t *Token) chain(v *Verified, o Options) ([]*x509.Certificate, error) {
	pool := x509.NewCertPool()
	for _, c := range o.Intermediates {
		pool.AddCert(c)
	}
	for _, der := range t.signed.Certificates {
		if c, err := x509.ParseCertificate(der); err == nil { // one that does not parse is of no use
			pool.AddCert(c)
		}
	}
	at := o.At
	if at.IsZero() {
		at = v.Time
	}
	chains, err := v.Certificate.Verify(x509.VerifyOptions{
		Roots: o.Roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnit, err)
	}
	return chains[0], nil
}

var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// CheckUnit checks that a certificate may be that of a time-stamping unit: its
// extended key usage is critical and is timeStamping alone (RFC 3161, section
// 2.3), and its key may sign.
func CheckUnit(cert *x509.Certificate) error {
	critical := false
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidExtKeyUsage) {
			critical = e.Critical
		}
	}
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	switch {
	case len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(cert.UnknownExtKeyUsage) != 0:
		return fmt.Errorf("%w: it is not for time-stamping alone", ErrUnit)
	case !critical:
		return fmt.Errorf("%w: its extended key usage is not critical", ErrUnit)
	case cert.KeyUsage != 0 && (cert.KeyUsage&signing == 0 || cert.KeyUsage&^signing != 0):
		return fmt.Errorf("%w: its key usage is not that of signatures alone", ErrUnit)
	}
	return nil
}

// namesSubject: a token's tsa must be one of the subject names of the unit's
// certificate (RFC 3161, section 2.4.2). Directory names are compared by what
// they say, since units write them with other string types than their authority.
func namesSubject(general []byte, cert *x509.Certificate) bool {
	if bytes.Equal(general, subjectName(cert)) {
		return true
	}
	in := cryptobyte.String(general)
	var name cryptobyte.String
	var theirs, ours pkix.RDNSequence
	if !in.ReadASN1(&name, tagDirectoryName) {
		return false
	}
	rest, err := asn1.Unmarshal(name, &theirs)
	if err != nil || len(rest) > 0 {
		return false
	}
	_, err = asn1.Unmarshal(cert.RawSubject, &ours)
	return err == nil && theirs.String() == ours.String()
}

// Answers checks that a token, once verified, is what was asked for: the same
// imprint, the same nonce, the policy if one was named (RFC 3161, section 2.2).
func (i *Info) Answers(r *Request) error {
	switch {
	case !i.Imprint.Equal(r.Imprint):
		return fmt.Errorf("%w: it is over other data", ErrAnswer)
	case !bytes.Equal(i.Nonce, r.Nonce):
		return fmt.Errorf("%w: its nonce is another, so it may be an old one", ErrAnswer)
	case r.Policy != nil && !i.Policy.Equal(r.Policy):
		return fmt.Errorf("%w: its policy is %s, not %s", ErrAnswer, i.Policy, r.Policy)
	}
	return nil
}
