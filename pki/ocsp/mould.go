package ocsp

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/sealwright/sealwright/pki/tbs"
)

// A Mould makes answers about one certificate each, without nonce, that differ
// in little: one authority, one responder, one way to name certificates. What
// they share is encoded once. An answer can so be kept as its signature and a
// [Statement], a hundred octets in place of nearly a thousand, and be put
// together again for less than a microsecond.
//
// The octets are those of [Build] with the same content. A Mould is safe for
// use by several goroutines.
type Mould struct {
	algorithm tbs.Algorithm
	id        []byte // a CertID up to its serial number
	responder []byte // responderID
	signedBy  []byte // signatureAlgorithm
	certs     []byte // [0], or nothing
}

// A Statement is what an answer of a [Mould] says of one certificate. Times are
// in whole seconds; the answer counts as produced at ThisUpdate.
type Statement struct {
	Serial        []byte // big-endian magnitude without leading zeros
	Status        Status
	RevokedAt     time.Time // as in [SingleResponse], and so are the others
	Reason        int
	ThisUpdate    time.Time
	NextUpdate    time.Time
	ArchiveCutoff time.Time
}

// NewMould makes a mould for answers about the issuer's certificates when they
// are named with hash, SHA-1 or SHA-256. ResponderKeyHash and certificates are
// those of an [Answer].
func NewMould(issuer *Issuer, hash crypto.Hash, responderKeyHash []byte, certificates [][]byte, alg tbs.Algorithm) (*Mould, error) {
	example, err := issuer.CertID(hash, []byte{1})
	if err != nil {
		return nil, err
	}
	m := &Mould{algorithm: alg, signedBy: alg.DER()}
	const number = 3 // octets of the INTEGER 1
	m.id = example.Raw[2 : len(example.Raw)-number]
	m.responder = appendElement(nil, byte(tag2), appendElement(nil, 0x04, responderKeyHash))
	if len(certificates) > 0 {
		m.certs = appendElement(nil, byte(tag0), appendElement(nil, 0x30, bytes.Join(certificates, nil)))
	}
	return m, nil
}

// Fits says whether the mould's answers name a certificate as id does, to the
// octet, so that they answer it.
func (m *Mould) Fits(id CertID) bool {
	return len(id.Raw) > 2 && bytes.HasPrefix(id.Raw[2:], m.id)
}

// Sign signs the answer that [Mould.Append] puts together.
func (m *Mould) Sign(s *Statement, signer crypto.Signer) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return m.algorithm.Sign(signer, m.appendData(make([]byte, 0, 256), s))
}

// Append appends the whole OCSPResponse to dst. The statement and the signature
// are those of [Mould.Sign].
func (m *Mould) Append(dst []byte, s *Statement, signature []byte) []byte {
	var buf [256]byte
	data := m.appendData(buf[:0], s)
	basic := len(data) + len(m.signedBy) + elementSize(len(signature)+1) + len(m.certs)
	octets := elementSize(basic)
	body := len(oidBasic) + elementSize(octets)
	const status = "\x0a\x01\x00" // successful

	dst = appendHeader(dst, 0x30, len(status)+elementSize(elementSize(body)))
	dst = append(dst, status...)
	dst = appendHeader(dst, byte(tag0), elementSize(body))
	dst = appendHeader(dst, 0x30, body)
	dst = append(dst, oidBasic...)
	dst = appendHeader(dst, 0x04, octets)
	dst = appendHeader(dst, 0x30, basic)
	dst = append(dst, data...)
	dst = append(dst, m.signedBy...)
	dst = append(appendHeader(dst, 0x03, len(signature)+1), 0)
	dst = append(dst, signature...)
	return append(dst, m.certs...)
}

// appendData appends a ResponseData. All that is in a SingleResponse fits into
// a few hundred octets.
func (m *Mould) appendData(dst []byte, s *Statement) []byte {
	var buf [256]byte
	single := m.appendSingle(buf[:0], s)
	const produced = 2 + timeSize
	dst = appendHeader(dst, 0x30, len(m.responder)+produced+elementSize(elementSize(len(single))))
	dst = append(dst, m.responder...)
	dst = appendTime(dst, s.ThisUpdate)
	dst = appendHeader(dst, 0x30, elementSize(len(single)))
	dst = appendHeader(dst, 0x30, len(single))
	return append(dst, single...)
}

// appendSingle appends the contents of a SingleResponse.
func (m *Mould) appendSingle(dst []byte, s *Statement) []byte {
	number := len(s.Serial)
	if s.Serial[0] >= 0x80 {
		number++
	}
	dst = appendHeader(dst, 0x30, len(m.id)+2+number)
	dst = append(dst, m.id...)
	dst = append(dst, 0x02, byte(number))
	if number > len(s.Serial) {
		dst = append(dst, 0)
	}
	dst = append(dst, s.Serial...)
	dst = s.appendStatus(dst)
	dst = appendTime(dst, s.ThisUpdate)
	if !s.NextUpdate.IsZero() {
		dst = appendTime(append(dst, byte(tag0), 2+timeSize), s.NextUpdate)
	}
	if !s.ArchiveCutoff.IsZero() {
		const value = 2 + timeSize
		const extension = byte(len(oidArchiveCutoff) + 2 + value)
		dst = append(dst, byte(tag1), extension+4, 0x30, extension+2, 0x30, extension)
		dst = append(dst, oidArchiveCutoff...)
		dst = appendTime(append(dst, 0x04, value), s.ArchiveCutoff)
	}
	return dst
}

func (s *Statement) appendStatus(dst []byte) []byte {
	switch s.Status {
	case Good:
		return append(dst, byte(tagGood), 0)
	case Unknown:
		return append(dst, byte(tagUnknown), 0)
	}
	const reason = 5 // octets of [0] ENUMERATED
	if s.Reason == 0 {
		return appendTime(append(dst, byte(tagRevoked), 2+timeSize), s.RevokedAt)
	}
	dst = appendTime(append(dst, byte(tagRevoked), 2+timeSize+reason), s.RevokedAt)
	return append(dst, byte(tag0), 3, 0x0a, 1, byte(s.Reason))
}

func (s *Statement) check() error {
	if len(s.Serial) == 0 || s.Serial[0] == 0 || len(s.Serial) >= maxSerial {
		return fmt.Errorf("ocsp: serial number %x is zero or too long, or begins with zeros", s.Serial)
	}
	if !s.NextUpdate.IsZero() && s.NextUpdate.Before(s.ThisUpdate) {
		return errors.New("ocsp: a response's nextUpdate is before its thisUpdate")
	}
	one := s.single([]byte{0x30, 0})
	return one.check()
}

func (s *Statement) single(id []byte) SingleResponse {
	return SingleResponse{
		ID: CertID{Raw: id}, Status: s.Status, RevokedAt: s.RevokedAt, Reason: s.Reason,
		ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate, ArchiveCutoff: s.ArchiveCutoff,
	}
}

// timeSize is that of the contents of a GeneralizedTime.
const timeSize = 15

func appendTime(dst []byte, t time.Time) []byte {
	year, month, day := t.UTC().Date()
	hour, minute, second := t.UTC().Clock()
	dst = append(dst, 0x18, timeSize)
	dst = appendTwo(appendTwo(dst, year/100), year%100)
	dst = appendTwo(appendTwo(dst, int(month)), day)
	dst = appendTwo(appendTwo(dst, hour), minute)
	return append(appendTwo(dst, second), 'Z')
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

func appendElement(dst []byte, tag byte, content []byte) []byte {
	return append(appendHeader(dst, tag, len(content)), content...)
}

// appendHeader appends a tag and a DER length below 2^16.
func appendHeader(dst []byte, tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, tag, byte(n))
	case n < 0x100:
		return append(dst, tag, 0x81, byte(n))
	}
	return append(dst, tag, 0x82, byte(n>>8), byte(n))
}

// elementSize is how many octets an element with n octets of content takes.
func elementSize(n int) int {
	switch {
	case n < 0x80:
		return n + 2
	case n < 0x100:
		return n + 3
	}
	return n + 4
}
