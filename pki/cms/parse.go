package cms

import (
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A SignedData is a parsed message whose signatures are yet to be verified: its
// content is to be had from [SignedData.Verify]. It points into the octets given
// to [Parse].
type SignedData struct {
	Type         asn1.ObjectIdentifier // of the content
	Detached     bool                  // the content is not in the message
	Certificates [][]byte              // X.509 certificates, DER; other kinds are passed over
	CRLs         [][]byte              // DER; other kinds of revocation information are passed over
	Signers      []*SignerInfo

	content []byte
}

// A SignerInfo is one signature (RFC 5652, section 5.3).
type SignerInfo struct {
	Issuer    []byte   // Name, DER, and
	Serial    *big.Int // the serial number of the signer's certificate,
	KeyID     []byte   // or its subject key identifier
	Signed    Attributes
	Unsigned  Attributes
	Signature []byte

	digestAlgorithm, signatureAlgorithm []byte
	attributes                          []byte // the SET OF that was signed; nil if there are none
}

// Parse reads one ContentInfo that holds a SignedData. What is signed,
// certificates and CRLs must be DER; indefinite lengths and strings in pieces are
// accepted around that. Errors wrap [ErrMalformed]. A message with algorithms
// that are not known is parsed, and refused by Verify.
func Parse(message []byte) (*SignedData, error) {
	content, err := readInfo(message, signedData)
	if err != nil {
		return nil, err
	}
	body, ok := content.open(byte(cbasn1.SEQUENCE))
	if !ok || !content.empty() {
		return nil, malformed("not a SignedData")
	}
	version, ok := body.definite()
	if !ok || len(version) != 3 || version[0] != 2 || version[2] < 1 || version[2] > 5 {
		return nil, malformed("the version of SignedData")
	}
	// digestAlgorithms says what to hash while the content streams by; the
	// signatures say themselves.
	if _, ok := body.open(byte(cbasn1.SET)); !ok {
		return nil, malformed("digestAlgorithms")
	}
	d := &SignedData{}
	if err := d.readContent(&body); err != nil {
		return nil, err
	}
	if d.Certificates, err = readChoices(&body, tag0, maxCertificates); err != nil {
		return nil, err
	}
	if d.CRLs, err = readChoices(&body, tag1, maxCRLs); err != nil {
		return nil, err
	}
	if err := d.readSigners(&body); err != nil {
		return nil, err
	}
	if !body.empty() {
		return nil, malformed("more after the end of SignedData")
	}
	return d, nil
}

// readContent reads EncapsulatedContentInfo (RFC 5652, section 5.2).
func (d *SignedData) readContent(in *ber) error {
	body, ok := in.open(byte(cbasn1.SEQUENCE))
	if ok {
		d.Type, ok = body.oid()
	}
	if !ok {
		return malformed("encapContentInfo")
	}
	if d.Detached = body.empty(); d.Detached {
		return nil
	}
	wrapper, ok := body.open(byte(tag0))
	if ok {
		d.content, ok = wrapper.octets()
	}
	if !ok || !wrapper.empty() || !body.empty() {
		return malformed("eContent, or not an OCTET STRING")
	}
	if d.content == nil {
		d.content = []byte{}
	}
	return nil
}

// readChoices reads the SET of certificates or CRLs, if there is one, and keeps
// those that are X.509: the untagged choice (RFC 5652, sections 10.2.1 and 10.2.2).
func readChoices(in *ber, tag cbasn1.Tag, limit int) ([][]byte, error) {
	if in.next() != byte(tag) {
		return nil, nil
	}
	body, ok := in.open(byte(tag))
	var list [][]byte
	for ok && !body.empty() && limit > 0 {
		limit--
		untagged := body.next() == byte(cbasn1.SEQUENCE)
		var one []byte
		if one, ok = body.definite(); ok && untagged {
			list = append(list, one)
		}
	}
	if !ok || !body.empty() {
		return nil, malformed("certificates or CRLs that are not DER, or too many")
	}
	return list, nil
}

func (d *SignedData) readSigners(in *ber) error {
	body, ok := in.open(byte(cbasn1.SET))
	for ok && !body.empty() {
		var one []byte
		if one, ok = body.definite(); !ok || len(d.Signers) == maxSigners {
			break
		}
		s, err := readSigner(one)
		if err != nil {
			return err
		}
		d.Signers = append(d.Signers, s)
	}
	if !ok || !body.empty() {
		return malformed("signerInfos that are not DER, or more than %d", maxSigners)
	}
	return nil
}

func readSigner(in cryptobyte.String) (*SignerInfo, error) {
	var body, digest, algorithm, signature cryptobyte.String
	var version int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(&version) || version != 1 && version != 3 {
		return nil, malformed("a SignerInfo, or its version")
	}
	s := &SignerInfo{}
	if !s.readID(&body) {
		return nil, malformed("the identifier of a signer")
	}
	if !body.ReadASN1Element(&digest, cbasn1.SEQUENCE) {
		return nil, malformed("the digest algorithm of a signer")
	}
	if err := s.readSigned(&body); err != nil {
		return nil, err
	}
	if !body.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !body.ReadASN1(&signature, cbasn1.OCTET_STRING) {
		return nil, malformed("the signature of a signer")
	}
	s.digestAlgorithm, s.signatureAlgorithm, s.Signature = digest, algorithm, signature
	if body.PeekASN1Tag(tag1) {
		var list cryptobyte.String
		var err error
		if !body.ReadASN1(&list, tag1) || list.Empty() {
			return nil, malformed("unsigned attributes")
		}
		if s.Unsigned, err = readAttributes(list, false); err != nil {
			return nil, err
		}
	}
	if !body.Empty() {
		return nil, malformed("more after the end of a SignerInfo")
	}
	return s, nil
}

func (s *SignerInfo) readID(in *cryptobyte.String) bool {
	if id := cbasn1.Tag(0).ContextSpecific(); in.PeekASN1Tag(id) {
		var key cryptobyte.String
		ok := in.ReadASN1(&key, id)
		s.KeyID = key
		return ok && len(key) > 0
	}
	var body, issuer cryptobyte.String
	s.Serial = new(big.Int)
	ok := in.ReadASN1(&body, cbasn1.SEQUENCE) && body.ReadASN1Element(&issuer, cbasn1.SEQUENCE) && body.ReadASN1Integer(s.Serial) && body.Empty()
	s.Issuer = issuer
	return ok
}

// readSigned reads the signed attributes, if there are any, and keeps them as
// they were signed: with the tag of a SET OF (RFC 5652, section 5.4).
func (s *SignerInfo) readSigned(in *cryptobyte.String) (err error) {
	if !in.PeekASN1Tag(tag0) {
		return nil
	}
	var whole, list cryptobyte.String
	if !in.ReadASN1Element(&whole, tag0) {
		return malformed("signed attributes")
	}
	s.attributes = append([]byte{byte(cbasn1.SET)}, whole[1:]...)
	if !whole.ReadASN1(&list, tag0) || list.Empty() {
		return malformed("signed attributes")
	}
	s.Signed, err = readAttributes(list, true)
	return err
}

// Unverified is the attached content as it came, nil if the message is detached.
// It is for those who must look into the content to find out how to verify it;
// nothing may be believed of it.
func (d *SignedData) Unverified() []byte { return d.content }

// names says whether the signer says that cert is theirs.
func (s *SignerInfo) names(cert *x509.Certificate) bool {
	if s.Serial == nil {
		return string(s.KeyID) == string(cert.SubjectKeyId)
	}
	return s.Serial.Cmp(cert.SerialNumber) == 0 && string(s.Issuer) == string(cert.RawIssuer)
}
