package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Message is what a SignedData has besides its content and signatures.
type Message struct {
	Type     asn1.ObjectIdentifier // of the content; [Data] if nil
	Detached bool                  // the content stays outside the message
	// Certificates and CRLs are DER and go in as given: a verifier usually wants
	// the signers' certificates and those above them, without the root.
	Certificates [][]byte
	CRLs         [][]byte
}

// A Signer makes one of the signatures of a message.
type Signer struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
	Hash        crypto.Hash // zero: SHA-256 for RSA and P-256, SHA-384 for P-384, SHA-512 for P-521 and Ed25519
	PSS         bool        // RSASSA-PSS instead of PKCS #1 v1.5
	ByKeyID     bool        // name the certificate by its subject key identifier

	// Signed attributes. Content type and message digest are always there.
	SigningTime        time.Time   // left out if zero
	SigningCertificate bool        // bind the signature to the certificate (RFC 5035)
	Attributes         []Attribute // others, each type once

	// Unsigned, if set, gives the unsigned attributes once the signature is there:
	// a time-stamp over it, for example.
	Unsigned func(signature []byte) ([]Attribute, error)
}

// A Prepared is a message with all encoded that does not depend on the content. It may
// sign any number of contents, from any goroutine if the keys and the functions
// of its signers can.
type Prepared struct {
	kind     []byte // eContentType, DER
	detached bool
	head     []byte // version, digestAlgorithms
	tail     []byte // certificates, crls
	hashes   []crypto.Hash
	signers  []*prepared
}

// prepared is one SignerInfo with holes for digest and signature.
type prepared struct {
	Signer
	method     method
	head       []byte // version, sid, digestAlgorithm
	attributes []byte // a SET OF, as it is signed
	digestAt   int    // where in it the message digest stands
	identifier []byte // signatureAlgorithm
}

// Prepare checks a message and its signers and encodes what can be encoded
// ahead. Without signers the message only carries certificates and CRLs (RFC
// 5652, section 5.1, "degenerate"); it is signed with nil content then.
func (m Message) Prepare(signers ...Signer) (*Prepared, error) {
	kind := m.Type
	if kind == nil {
		kind = Data
	}
	p := &Prepared{detached: m.Detached}
	var err error
	if p.kind, err = oidDER(kind); err != nil {
		return nil, fmt.Errorf("cms: the content type: %w", err)
	}
	version := byte(1)
	if !kind.Equal(Data) {
		version = 3
	}
	var identifiers [][]byte
	for i := range signers {
		s, err := signers[i].prepare(p.kind)
		if err != nil {
			return nil, err
		}
		if s.ByKeyID {
			version = 3
		}
		if !slices.Contains(p.hashes, s.method.hash) {
			p.hashes = append(p.hashes, s.method.hash)
			identifiers = append(identifiers, HashIdentifier(s.method.hash))
		}
		p.signers = append(p.signers, s)
	}
	if p.tail, err = m.enclosed(); err != nil {
		return nil, err
	}
	if len(signers) == 0 && (len(p.tail) == 0 || !m.Type.Equal(Data) && m.Type != nil) {
		return nil, errors.New("cms: a message without signers carries certificates or CRLs, and no content type of its own")
	}
	p.head = append([]byte{2, 1, version}, setOf(cbasn1.SET, identifiers)...)
	return p, nil
}

// enclosed encodes certificates and crls.
func (m Message) enclosed() ([]byte, error) {
	for _, list := range [][][]byte{m.Certificates, m.CRLs} {
		for _, der := range list {
			b := ber(der)
			if b.next() != byte(cbasn1.SEQUENCE) {
				return nil, errors.New("cms: a certificate or CRL is not DER")
			}
			if _, ok := b.definite(); !ok || !b.empty() {
				return nil, errors.New("cms: a certificate or CRL is not DER")
			}
		}
	}
	var out []byte
	if len(m.Certificates) > 0 {
		out = append(out, setOf(tag0, m.Certificates)...)
	}
	if len(m.CRLs) > 0 {
		out = append(out, setOf(tag1, m.CRLs)...)
	}
	return out, nil
}

func (s Signer) prepare(kind []byte) (*prepared, error) {
	if s.Key == nil || s.Certificate == nil {
		return nil, errors.New("cms: a signer needs a key and its certificate")
	}
	pub, ok := s.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(s.Certificate.PublicKey) {
		return nil, errors.New("cms: the signer's certificate is not for its key")
	}
	p := &prepared{Signer: s}
	var err error
	if p.method, err = methodFor(s.Key.Public(), s.Hash, s.PSS); err != nil {
		return nil, err
	}
	p.identifier = p.method.identifier()
	if p.head, err = s.head(p.method.hash); err != nil {
		return nil, err
	}
	return p, p.encodeAttributes(kind)
}

// head encodes version, sid and digestAlgorithm (RFC 5652, section 5.3).
func (s Signer) head(h crypto.Hash) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	if s.ByKeyID {
		if len(s.Certificate.SubjectKeyId) == 0 {
			return nil, errors.New("cms: the signer's certificate has no subject key identifier")
		}
		b.AddASN1Int64(3)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(s.Certificate.SubjectKeyId) })
	} else {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(s.Certificate.RawIssuer)
			b.AddASN1BigInt(s.Certificate.SerialNumber)
		})
	}
	b.AddBytes(HashIdentifier(h))
	return b.Bytes()
}

// encodeAttributes makes the SET OF signed attributes with zeros for the message
// digest. Each type occurs once and the digest's length is fixed, so the order of
// DER is that of any content.
func (p *prepared) encodeAttributes(kind []byte) error {
	digest := element(cbasn1.OCTET_STRING, make([]byte, p.method.hash.Size()))
	all := []Attribute{{ContentType, [][]byte{kind}}, {MessageDigest, [][]byte{digest}}}
	if !p.SigningTime.IsZero() {
		value, err := timeValue(p.SigningTime)
		if err != nil {
			return fmt.Errorf("cms: the signing time: %w", err)
		}
		all = append(all, Attribute{SigningTime, [][]byte{value}})
	}
	if p.SigningCertificate {
		value, err := signingCertificate(p.Certificate, p.ByKeyID)
		if err != nil {
			return err
		}
		all = append(all, Attribute{SigningCertificateV2, [][]byte{value}})
	}
	all = append(all, p.Attributes...)
	encoded := make([][]byte, len(all))
	for i, a := range all {
		if Attributes(all[:i]).has(a.Type) {
			return fmt.Errorf("cms: the signed attribute %s is given twice", a.Type)
		}
		var err error
		if encoded[i], err = a.der(); err != nil {
			return err
		}
	}
	own := &encoded[1][0]
	slices.SortFunc(encoded, bytes.Compare)
	p.attributes = element(cbasn1.SET, encoded...)
	p.digestAt = len(p.attributes)
	for _, e := range slices.Backward(encoded) {
		if &e[0] == own {
			break
		}
		p.digestAt -= len(e)
	}
	p.digestAt -= p.method.hash.Size() // the value ends the attribute
	return nil
}
