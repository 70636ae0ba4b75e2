// Package tbs builds a TBSCertificate (RFC 5280, section 4.1.2) once, as bytes,
// to be stored, linted and logged, and signs exactly those bytes later.
//
//	c := tbs.Certificate{Serial: …, Algorithm: …, Extensions: …}
//	raw, err := c.Bytes()                      // store, lint
//	pre, err := tbs.Sign(raw, alg, signer)     // raw carries Poison: send to logs
//	final, err := tbs.ReplacePoison(raw, scts) // store, then Sign
//
// The extension builders ([BasicConstraints], [SubjectAltName] and so on) check
// form, not policy: what a certificate may contain is the template's business.
// Building costs a few microseconds. The package reads no clock and no randomness
// but what it is given, save crypto/rand for signers that are not software keys.
package tbs

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxSerial is the longest INTEGER content that RFC 5280, 4.1.2.2 allows.
const maxSerial = 20

// tagExtensions and tagVersion are the explicit tags of TBSCertificate.
const (
	tagVersion    = cbasn1.Tag(0x80 | 0x20)
	tagExtensions = cbasn1.Tag(0x80 | 0x20 | 3)
)

// A Certificate is every field of a TBSCertificate, encoded or nearly so.
type Certificate struct {
	Serial              []byte // big-endian, positive, at most 20 octets as an INTEGER; see [NewSerial]
	Algorithm           Algorithm
	Issuer, Subject     []byte    // DER names; the issuer is copied from the CA certificate
	NotBefore, NotAfter time.Time // inclusive; fractions of a second are cut off
	SPKI                []byte    // DER SubjectPublicKeyInfo
	Extensions          []Extension
}

// An Extension is one certificate extension. Value is its DER.
type Extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool
	Value    []byte
}

// Bytes encodes the TBSCertificate, version 3. It refuses what no certificate
// may have: a serial number that is zero or too long, a validity that ends before
// it begins or lies outside 1950–9999, an empty issuer, an empty subject without
// critical subject alternative name (RFC 5280, 4.1.2.6), no or twofold extensions.
func (c *Certificate) Bytes() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("tbs: %w", err)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 1024))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte{byte(tagVersion), 3, 2, 1, 2}) // v3
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(integer(c.Serial)) })
		b.AddBytes([]byte(c.Algorithm.der))
		b.AddBytes(c.Issuer)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, c.NotBefore)
			addTime(b, c.NotAfter)
		})
		b.AddBytes(c.Subject)
		b.AddBytes(c.SPKI)
		b.AddASN1(tagExtensions, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for i := range c.Extensions {
					addExtension(b, &c.Extensions[i])
				}
			})
		})
	})
	return b.Bytes()
}

func (c *Certificate) check() error {
	serial := integer(c.Serial)
	switch {
	case len(serial) == 0:
		return errors.New("the serial number must be greater than zero")
	case len(serial) > maxSerial:
		return fmt.Errorf("the serial number takes %d octets; RFC 5280 allows %d", len(serial), maxSerial)
	case c.Algorithm == Algorithm{}:
		return errors.New("no signature algorithm is set")
	case !isSequence(c.Issuer):
		return errors.New("the issuer is not a DER name")
	case isEmptySequence(c.Issuer):
		return errors.New("the issuer is empty")
	case !isSequence(c.Subject):
		return errors.New("the subject is not a DER name")
	case !isSequence(c.SPKI):
		return errors.New("the public key is not a DER SubjectPublicKeyInfo")
	}
	if err := c.checkValidity(); err != nil {
		return err
	}
	return c.checkExtensions()
}

func (c *Certificate) checkValidity() error {
	for _, t := range []time.Time{c.NotBefore, c.NotAfter} {
		if year := t.UTC().Year(); year < 1950 || year > 9999 {
			return fmt.Errorf("the year %d cannot be written in a certificate", year)
		}
	}
	if c.NotAfter.Unix() < c.NotBefore.Unix() {
		return fmt.Errorf("the validity ends (%s) before it begins (%s)",
			c.NotAfter.UTC().Format(time.RFC3339), c.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

func (c *Certificate) checkExtensions() error {
	if len(c.Extensions) == 0 {
		return errors.New("a version 3 certificate needs extensions")
	}
	namedBySAN := false
	for i, e := range c.Extensions {
		if len(e.Value) == 0 {
			return fmt.Errorf("extension %s has no value", e.ID)
		}
		for _, earlier := range c.Extensions[:i] {
			if earlier.ID.Equal(e.ID) {
				return fmt.Errorf("extension %s occurs twice", e.ID)
			}
		}
		namedBySAN = namedBySAN || e.Critical && e.ID.Equal(oidSubjectAltName)
	}
	if isEmptySequence(c.Subject) && !namedBySAN {
		return errors.New("an empty subject needs a critical subject alternative name")
	}
	return nil
}

// Assemble joins tbs, algorithm and signature to a DER Certificate. The algorithm
// must be the one named inside tbs (RFC 5280, 4.1.1.2). It does not verify the
// signature: [Sign] does.
func Assemble(tbs []byte, alg Algorithm, signature []byte) ([]byte, error) {
	inner, err := algorithmOf(tbs)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(inner, []byte(alg.der)) {
		return nil, fmt.Errorf("tbs: the certificate was built for another signature algorithm than %q", alg.name)
	}
	if len(signature) == 0 {
		return nil, errors.New("tbs: the signature is empty")
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+len(alg.der)+len(signature)+16))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes([]byte(alg.der))
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// Sign signs tbs, verifies the signature and returns the DER Certificate.
func Sign(tbs []byte, alg Algorithm, signer crypto.Signer) ([]byte, error) {
	signature, err := alg.Sign(signer, tbs)
	if err != nil {
		return nil, err
	}
	return Assemble(tbs, alg, signature)
}

// algorithmOf returns the AlgorithmIdentifier inside a TBSCertificate.
func algorithmOf(tbs []byte) (cryptobyte.String, error) {
	input := cryptobyte.String(tbs)
	var fields, alg cryptobyte.String
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !input.Empty() ||
		!fields.SkipASN1(tagVersion) || !fields.SkipASN1(cbasn1.INTEGER) ||
		!fields.ReadASN1Element(&alg, cbasn1.SEQUENCE) {
		return nil, errors.New("tbs: not a TBSCertificate of version 3")
	}
	return alg, nil
}

// integer returns the content octets of a positive INTEGER, or none for zero.
func integer(value []byte) []byte {
	value = bytes.TrimLeft(value, "\x00")
	if len(value) > 0 && value[0] >= 0x80 {
		return append([]byte{0}, value...)
	}
	return value
}

// addTime: UTCTime through 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC()
	if t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

func addExtension(b *cryptobyte.Builder, e *Extension) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(e.ID)
		if e.Critical {
			b.AddBytes(derTrue)
		}
		addOctetString(b, e.Value)
	})
}

var derTrue = []byte{1, 1, 0xff}

// addOctetString writes its own header: the length is known, so the child builder
// of AddASN1OctetString, which would be a third of the cost of [Certificate.Bytes],
// is not needed.
func addOctetString(b *cryptobyte.Builder, value []byte) {
	b.AddUint8(uint8(cbasn1.OCTET_STRING))
	switch size := len(value); {
	case size < 0x80:
		b.AddUint8(uint8(size))
	case size <= 0xff:
		b.AddUint16(0x8100 | uint16(size))
	case size <= 0xffff:
		b.AddUint8(0x82)
		b.AddUint16(uint16(size))
	case size <= 0xffffff:
		b.AddUint8(0x83)
		b.AddUint24(uint32(size))
	default:
		b.SetError(fmt.Errorf("an extension of %d octets", size))
	}
	b.AddBytes(value)
}

func isSequence(der []byte) bool {
	input := cryptobyte.String(der)
	return input.SkipASN1(cbasn1.SEQUENCE) && input.Empty()
}

func isEmptySequence(der []byte) bool { return len(der) == 2 }
