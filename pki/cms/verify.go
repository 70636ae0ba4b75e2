package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Check is what a verifier knows besides the message.
type Check struct {
	Certificates []*x509.Certificate // that may be the signers', besides those in the message

	// The content of a detached message, not nil; or its digests, by the hash that
	// made them, if it was not kept. Attached content is checked as it is.
	Content []byte
	Digests map[crypto.Hash][]byte
}

// A Verified is a signature that belongs to content and certificate. Whether the
// certificate is to be trusted, for this and at that time, is not known yet.
type Verified struct {
	Type        asn1.ObjectIdentifier // of the content
	Content     []byte                // exactly the octets that the signature covers; nil if they were given as digests
	Certificate *x509.Certificate
	SigningTime time.Time // as the signer claims; zero if they do not
	// Bound tells that the certificate itself is signed: by its hash, in
	// signing-certificate-v2.
	Bound  bool
	Signer *SignerInfo
}

// Verify checks all signatures of a message, in the order of Signers. It is an
// error if one of them does not verify or there is none. Errors wrap
// [ErrSignature], [ErrUnsupported] or [ErrMalformed].
func (d *SignedData) Verify(c Check) ([]Verified, error) {
	if len(d.Signers) == 0 {
		return nil, wrong("nobody signed the message")
	}
	all := make([]Verified, len(d.Signers))
	for i, s := range d.Signers {
		var err error
		if all[i], err = d.VerifySigner(s, c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// VerifySigner is [SignedData.Verify] for one of the Signers.
func (d *SignedData) VerifySigner(s *SignerInfo, c Check) (Verified, error) {
	if !d.Detached && (c.Content != nil || c.Digests != nil) {
		return Verified{}, wrong("the message carries its content; do not give another")
	}
	content := d.content
	if d.Detached {
		if content = c.Content; content == nil && c.Digests == nil {
			return Verified{}, wrong("the message does not carry its content, and it was not given")
		}
	}
	hash, err := ParseHash(s.digestAlgorithm)
	if err != nil {
		return Verified{}, err
	}
	m, err := parseMethod(s.signatureAlgorithm, hash)
	if err != nil {
		return Verified{}, err
	}
	message, err := d.signedBytes(s, hash, content, c.Digests)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Type: d.Type, Content: content, Signer: s}
	if v.SigningTime, err = s.signingTime(); err != nil {
		return Verified{}, err
	}
	v.Certificate, err = d.signedBy(s, m, message, c.Certificates)
	if err != nil {
		return Verified{}, err
	}
	v.Bound = s.Signed.has(SigningCertificateV2)
	return v, nil
}

// signedBytes is what the signature is made over: the signed attributes, once
// they are seen to speak of this content, or the content itself (RFC 5652,
// sections 5.4 and 5.6).
func (d *SignedData) signedBytes(s *SignerInfo, h crypto.Hash, content []byte, digests map[crypto.Hash][]byte) ([]byte, error) {
	if s.attributes == nil {
		switch {
		case !d.Type.Equal(Data):
			return nil, wrong("content of the type %s must be signed with attributes", d.Type)
		case content == nil:
			return nil, wrong("a signature without attributes needs the content itself")
		case looksLikeAttributes(content):
			return nil, wrong("the content may be the signed attributes of another message")
		}
		return content, nil
	}
	kind, err := oidDER(d.Type)
	if err != nil {
		return nil, malformed("the type of the content")
	}
	if signed, ok := s.Signed.Get(ContentType); !ok || !bytes.Equal(signed, kind) {
		return nil, wrong("the signed content type is not that of the content")
	}
	digest := digests[h]
	if content != nil {
		digest = sum(h, content)
	}
	signed, ok := s.Signed.Get(MessageDigest)
	if !ok || len(digest) != h.Size() || !bytes.Equal(signed, element(cbasn1.OCTET_STRING, digest)) {
		return nil, wrong("the content was changed, or is that of another message")
	}
	return s.attributes, nil
}

// looksLikeAttributes recognises an attack: a signature over attributes passes
// for one over content that consists of them once they are left out.
func looksLikeAttributes(content []byte) bool {
	in := cryptobyte.String(content)
	var list cryptobyte.String
	if !in.ReadASN1(&list, cbasn1.SET) || !in.Empty() {
		return false
	}
	as, err := readAttributes(list, false)
	return err == nil && as.has(MessageDigest)
}

func (s *SignerInfo) signingTime() (time.Time, error) {
	if !s.Signed.has(SigningTime) {
		return time.Time{}, nil
	}
	value, ok := s.Signed.Get(SigningTime)
	if !ok {
		return time.Time{}, malformed("a signing time with several values")
	}
	return readTime(value)
}

// signedBy finds the certificate that the signer names and whose key made the
// signature. Several may have the name; one that does not parse has none.
func (d *SignedData) signedBy(s *SignerInfo, m method, message []byte, more []*x509.Certificate) (*x509.Certificate, error) {
	reason := wrong("the signer's certificate is neither in the message nor given")
	var digest []byte
	if m.scheme != ed25519Scheme {
		digest = sum(m.hash, message)
	}
	try := func(cert *x509.Certificate) bool {
		if !s.names(cert) {
			return false
		}
		if reason = s.bound(cert); reason != nil {
			return false
		}
		if !m.verifies(cert.PublicKey, message, digest, s.Signature) {
			reason = wrong("it was not made by the key of the signer's certificate, or attributes were changed")
			return false
		}
		return true
	}
	for _, cert := range more {
		if try(cert) {
			return cert, nil
		}
	}
	for _, der := range d.Certificates {
		if cert, err := x509.ParseCertificate(der); err == nil && try(cert) {
			return cert, nil
		}
	}
	return nil, reason
}

// bound checks what the signer's certificate may be used for, and that it is the
// one that the signed attributes name.
func (s *SignerInfo) bound(cert *x509.Certificate) error {
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if cert.KeyUsage != 0 && cert.KeyUsage&signing == 0 {
		return wrong("the signer's certificate does not allow its key to sign")
	}
	if !s.Signed.has(SigningCertificateV2) {
		return nil
	}
	value, ok := s.Signed.Get(SigningCertificateV2)
	if !ok {
		return malformed("signing-certificate-v2 with several values")
	}
	return checkSigningCertificate(value, cert)
}
