package ocsp

import (
	"crypto"
	"crypto/sha1" //nolint:gosec // only its size: ResponderID by key is defined over SHA-1
	"errors"
	"fmt"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Status is what a responder says of a certificate. The zero Status says
// nothing and cannot be sent.
type Status uint8

// The statuses of RFC 6960, 2.2. Good is never to be said of a serial number that
// was not assigned (TLS BR 4.9.10).
const (
	Good Status = iota + 1
	Revoked
	Unknown
)

func (s Status) String() string {
	switch s {
	case Good:
		return "good"
	case Revoked:
		return "revoked"
	case Unknown:
		return "unknown"
	}
	return "no status"
}

// A SingleResponse is the status of one certificate. Times are in whole seconds.
type SingleResponse struct {
	ID        CertID // to build, only Raw is used
	Status    Status
	RevokedAt time.Time // of a revoked certificate
	// Reason is why it was revoked, as in package crl; [crl.Unspecified] is left
	// out of the answer.
	Reason     int
	ThisUpdate time.Time
	NextUpdate time.Time // zero: newer information is always to be had
	// ArchiveCutoff says that the status is kept for certificates that expired
	// since this time (RFC 6960, 4.4.4). Zero: not said.
	ArchiveCutoff time.Time
}

// CurrentAt says whether at lies between thisUpdate and nextUpdate, each moved
// outwards by tolerance to allow for clocks that differ. Without a nextUpdate an
// answer is current for the tolerance only.
func (s *SingleResponse) CurrentAt(at time.Time, tolerance time.Duration) bool {
	next := s.NextUpdate
	if next.IsZero() {
		next = s.ThisUpdate
	}
	return !at.Before(s.ThisUpdate.Add(-tolerance)) && !at.After(next.Add(tolerance))
}

// An Answer is what a responder signs.
type Answer struct {
	Responses  []SingleResponse
	ProducedAt time.Time
	Nonce      []byte // of the request; nil for an answer that is signed ahead
	// ResponderKeyHash names the responder: [KeyHash] of its public key.
	ResponderKeyHash []byte
	// Certificates, in DER, help to verify: the delegated responder's own. Where
	// the authority signs itself most clients need none, but GnuTLS 3.7 finds the
	// signer of an answer only here, even if it trusts it.
	Certificates [][]byte
	// ExtendedRevoke says that this responder answers revoked for serial numbers
	// that were never assigned (RFC 6960, 4.4.8), which such an answer must say.
	ExtendedRevoke bool
}

// Build signs an answer and returns a whole OCSPResponse, in DER. It refuses
// answers that contradict themselves.
func Build(answer *Answer, alg tbs.Algorithm, signer crypto.Signer) ([]byte, error) {
	if err := answer.check(); err != nil {
		return nil, err
	}
	var t cryptobyte.Builder
	t.AddASN1(asn1.SEQUENCE, answer.add)
	signed, err := t.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ocsp: encode the answer: %w", err)
	}
	signature, err := alg.Sign(signer, signed)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0) // successful
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes([]byte(oidBasic))
				b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					answer.addBasic(b, signed, alg.DER(), signature)
				})
			})
		})
	})
	return b.Bytes()
}

func (a *Answer) check() error {
	if len(a.ResponderKeyHash) != sha1.Size {
		return errors.New("ocsp: the responder is named by the SHA-1 of its key, 20 octets; see KeyHash")
	}
	if len(a.Nonce) > MaxNonce {
		return fmt.Errorf("ocsp: a nonce of %d octets", len(a.Nonce))
	}
	if !encodable(a.ProducedAt) {
		return errors.New("ocsp: producedAt is missing")
	}
	if len(a.Responses) == 0 {
		return errors.New("ocsp: an answer needs at least one response")
	}
	for i := range a.Responses {
		if err := a.Responses[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *SingleResponse) check() error {
	id := cryptobyte.String(s.ID.Raw)
	switch {
	case !id.SkipASN1(asn1.SEQUENCE) || !id.Empty():
		return errors.New("ocsp: a response's CertID is not one DER SEQUENCE")
	case s.Status != Good && s.Status != Revoked && s.Status != Unknown:
		return errors.New("ocsp: a response has no status")
	case s.Status == Revoked && !encodable(s.RevokedAt):
		return errors.New("ocsp: a revoked certificate's response has no date of revocation")
	case s.Status != Revoked && (!s.RevokedAt.IsZero() || s.Reason != crl.Unspecified):
		return fmt.Errorf("ocsp: a response of status %v has a date or reason of revocation", s.Status)
	case !crl.ValidReason(s.Reason):
		return fmt.Errorf("ocsp: RFC 5280 defines no revocation reason %d", s.Reason)
	case !encodable(s.ThisUpdate):
		return errors.New("ocsp: a response has no thisUpdate")
	case !s.NextUpdate.IsZero() && (!encodable(s.NextUpdate) || s.NextUpdate.Before(s.ThisUpdate)):
		return errors.New("ocsp: a response's nextUpdate is before its thisUpdate")
	case !s.ArchiveCutoff.IsZero() && !encodable(s.ArchiveCutoff):
		return errors.New("ocsp: a response's archive cutoff cannot be encoded")
	}
	return nil
}

// encodable is false for the zero time, and for years GeneralizedTime has not.
func encodable(t time.Time) bool {
	year := t.UTC().Year()
	return year > 1 && year <= 9999
}

// addBasic adds a BasicOCSPResponse.
func (a *Answer) addBasic(b *cryptobyte.Builder, signed, algorithm, signature []byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
		if len(a.Certificates) == 0 {
			return
		}
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, der := range a.Certificates {
					b.AddBytes(der)
				}
			})
		})
	})
}

// add adds the contents of a ResponseData.
func (a *Answer) add(b *cryptobyte.Builder) {
	b.AddASN1(tag2, func(b *cryptobyte.Builder) { b.AddASN1OctetString(a.ResponderKeyHash) })
	b.AddASN1GeneralizedTime(a.ProducedAt.UTC())
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i := range a.Responses {
			b.AddASN1(asn1.SEQUENCE, a.Responses[i].add)
		}
	})
	if len(a.Nonce) == 0 && !a.ExtendedRevoke {
		return
	}
	b.AddASN1(tag1, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if len(a.Nonce) > 0 {
				addNonce(b, a.Nonce)
			}
			if a.ExtendedRevoke {
				addExtension(b, oidExtendedRevoke, (*cryptobyte.Builder).AddASN1NULL)
			}
		})
	})
}

// Tags of CertStatus. Good and unknown are IMPLICIT NULL, revoked a RevokedInfo.
const (
	tagGood    = asn1.Tag(0 | 0x80)
	tagRevoked = asn1.Tag(1 | 0x80 | 0x20)
	tagUnknown = asn1.Tag(2 | 0x80)
)

func (s *SingleResponse) add(b *cryptobyte.Builder) {
	b.AddBytes(s.ID.Raw)
	switch s.Status {
	case Good:
		b.AddASN1(tagGood, func(*cryptobyte.Builder) {})
	case Revoked:
		b.AddASN1(tagRevoked, func(b *cryptobyte.Builder) {
			b.AddASN1GeneralizedTime(s.RevokedAt.UTC())
			if s.Reason != crl.Unspecified {
				b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.Reason)) })
			}
		})
	case Unknown:
		b.AddASN1(tagUnknown, func(*cryptobyte.Builder) {})
	}
	b.AddASN1GeneralizedTime(s.ThisUpdate.UTC())
	if !s.NextUpdate.IsZero() {
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(s.NextUpdate.UTC()) })
	}
	if !s.ArchiveCutoff.IsZero() {
		b.AddASN1(tag1, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addExtension(b, oidArchiveCutoff, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(s.ArchiveCutoff.UTC()) })
			})
		})
	}
}
