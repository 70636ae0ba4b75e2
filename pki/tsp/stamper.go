package tsp

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/cms"
)

// A Unit is what a time-stamping unit is made of.
type Unit struct {
	Key         crypto.Signer
	Certificate *x509.Certificate // see [CheckUnit]
	Chain       [][]byte          // certificates above it, DER, that go into tokens with certReq

	Policies   []asn1.ObjectIdentifier // accepted; the first is used when none is asked for
	Accuracy   time.Duration           // to the microsecond; zero states none
	Resolution time.Duration           // of the time in tokens: a microsecond to a second, a power of ten
	Ordering   bool                    // the caller gives times that only grow
	Qualified  bool                    // state that tokens are qualified time-stamps (ETSI EN 319 422, clause 9.1)
}

// A Stamper makes the tokens of one unit. Its methods may be called from any
// goroutine if the key's can.
type Stamper struct {
	unit          Unit
	with, without *cms.Prepared // with and without certificates
	middle        []byte        // accuracy, ordering
	end           []byte        // tsa, extensions
}

// NewStamper checks a unit and encodes what all its tokens share.
func NewStamper(u Unit) (*Stamper, error) {
	if err := u.check(); err != nil {
		return nil, err
	}
	s := &Stamper{unit: u}
	// RFC 3161, section 2.4.2: one signature, bound to the certificate.
	signer := cms.Signer{Key: u.Key, Certificate: u.Certificate, SigningCertificate: true}
	var err error
	if s.without, err = (cms.Message{Type: TypeInfo}).Prepare(signer); err != nil {
		return nil, fmt.Errorf("tsp: %w", err)
	}
	certificates := append([][]byte{u.Certificate.Raw}, u.Chain...)
	if s.with, err = (cms.Message{Type: TypeInfo, Certificates: certificates}).Prepare(signer); err != nil {
		return nil, fmt.Errorf("tsp: %w", err)
	}
	var middle, end cryptobyte.Builder
	addAccuracy(&middle, u.Accuracy)
	if u.Ordering {
		middle.AddASN1Boolean(true)
	}
	end.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(subjectName(u.Certificate)) })
	if u.Qualified {
		addExtensions(&end, tag1, []Extension{qualified()})
	}
	if s.middle, err = middle.Bytes(); err != nil {
		return nil, err
	}
	s.end, err = end.Bytes()
	return s, err
}

func (u *Unit) check() error {
	if u.Key == nil || u.Certificate == nil || len(u.Policies) == 0 {
		return errors.New("tsp: a unit needs a key, a certificate and a policy")
	}
	if u.Accuracy < 0 || u.Accuracy%time.Microsecond != 0 {
		return fmt.Errorf("tsp: an accuracy of %s cannot be written", u.Accuracy)
	}
	for r := time.Microsecond; ; r *= 10 {
		if r > time.Second {
			return fmt.Errorf("tsp: a resolution of %s; use a second, a millisecond or a microsecond", u.Resolution)
		}
		if r == u.Resolution {
			break
		}
	}
	for _, p := range u.Policies {
		var b cryptobyte.Builder
		b.AddASN1ObjectIdentifier(p)
		if _, err := b.Bytes(); err != nil {
			return fmt.Errorf("tsp: the policy %s: %w", p, err)
		}
	}
	return CheckUnit(u.Certificate)
}

// Admit tells whether the unit stamps this request; the error is a [*Rejection].
func (s *Stamper) Admit(r *Request) error {
	// RFC 3161, section 2.4.1: an extension that is not recognised is refused,
	// whether critical or not. None is recognised.
	if len(r.Extensions) > 0 {
		return reject(UnacceptedExtension, "the extension %s is not supported", r.Extensions[0].ID)
	}
	if s.policy(r) == nil {
		return reject(UnacceptedPolicy, "stamps are not issued under the policy %s", r.Policy)
	}
	return nil
}

func (s *Stamper) policy(r *Request) asn1.ObjectIdentifier {
	if r.Policy == nil {
		return s.unit.Policies[0]
	}
	for _, p := range s.unit.Policies {
		if p.Equal(r.Policy) {
			return p
		}
	}
	return nil
}

// Stamp makes a token. The serial number must be new for this unit and for every
// other with the same subject; at is cut off to the unit's resolution. The error
// is a [*Rejection] if the request is not admitted.
func (s *Stamper) Stamp(r *Request, serial uint64, at time.Time) (token []byte, err error) {
	if err := s.Admit(r); err != nil {
		return nil, err
	}
	imprint, err := r.Imprint.der()
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+len(imprint)+len(r.Nonce)+len(s.middle)+len(s.end)))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(s.policy(r))
		b.AddBytes(imprint)
		b.AddASN1Uint64(serial)
		addTime(b, at.Truncate(s.unit.Resolution))
		b.AddBytes(s.middle)
		addNonce(b, r.Nonce)
		b.AddBytes(s.end)
	})
	info, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("tsp: %w", err)
	}
	if r.CertReq {
		return s.with.Sign(info)
	}
	return s.without.Sign(info)
}

// tagDirectoryName is the choice directoryName of a GeneralName.
const tagDirectoryName = cbasn1.Tag(0x80 | 0x20 | 4)

// subjectName is the subject of a certificate as a GeneralName.
func subjectName(cert *x509.Certificate) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tagDirectoryName, func(b *cryptobyte.Builder) { b.AddBytes(cert.RawSubject) })
	return b.BytesOrPanic() // a name that was parsed can be encoded
}

// qualified is the extension qcStatements with esi4-qtstStatement-1 (ETSI EN 319
// 422, clause 9.1 and annex B): the token claims to be a qualified time-stamp.
func qualified() Extension {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{0, 4, 0, 19422, 1, 1})
		})
	})
	return Extension{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: b.BytesOrPanic()}
}
