package ct

import (
	"crypto/sha256"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/tbs"
)

// An EntryType says what was submitted (LogEntryType of RFC 6962, section 3.1).
type EntryType uint16

// The entry types.
const (
	TypeX509    EntryType = 0
	TypePrecert EntryType = 1
)

// An Entry is the part of a submission that a log signs and that stands in its
// tree (signed_entry of RFC 6962, sections 3.2 and 3.4).
type Entry struct {
	Type          EntryType
	Certificate   []byte            // of a TypeX509: the certificate, DER
	IssuerKeyHash [sha256.Size]byte // of a TypePrecert: SHA-256 over the issuer's SubjectPublicKeyInfo
	TBS           []byte            // of a TypePrecert: the TBSCertificate without poison or SCT list
}

// CertificateEntry is the entry of a certificate that is submitted as it is, to
// add-chain. Its DER is not looked into.
func CertificateEntry(der []byte) Entry { return Entry{Type: TypeX509, Certificate: der} }

// PrecertEntry is the entry of a pre-certificate. It takes the pre-certificate
// or the final certificate with its SCT list, which have the same entry: that is
// how SCTs embedded in a certificate are checked. issuer is the certificate of
// the authority that signed it. A certificate with neither poison nor SCT list,
// or both, is an error.
func PrecertEntry(der, issuer []byte) (Entry, error) {
	fields, err := tbsOf(der)
	if err != nil {
		return Entry{}, err
	}
	spki, err := spkiOf(issuer)
	if err != nil {
		return Entry{}, errors.New("ct: the issuer is not a certificate")
	}
	signed, err := tbs.LogTBS(fields)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Type: TypePrecert, IssuerKeyHash: sha256.Sum256(spki), TBS: signed}, nil
}

// Marshal writes the entry type and the signed entry, the bytes that tell two
// entries apart.
func (e Entry) Marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(e.Certificate)+len(e.TBS)+64))
	addEntry(b, e)
	return b.Bytes()
}

func addEntry(b *cryptobyte.Builder, e Entry) {
	b.AddUint16(uint16(e.Type))
	switch e.Type {
	case TypeX509:
		addBody24(b, e.Certificate)
	case TypePrecert:
		b.AddBytes(e.IssuerKeyHash[:])
		addBody24(b, e.TBS)
	default:
		b.SetError(errors.New("ct: an unknown entry type"))
	}
}

// addBody24 adds a vector of at least one byte.
func addBody24(b *cryptobyte.Builder, v []byte) {
	if len(v) == 0 {
		b.SetError(errors.New("ct: an empty certificate"))
		return
	}
	addVector24(b, v)
}

func readEntry(s *cryptobyte.String, e *Entry) bool {
	var kind uint16
	var body cryptobyte.String
	if !s.ReadUint16(&kind) {
		return false
	}
	e.Type = EntryType(kind)
	switch e.Type {
	case TypeX509:
		if !s.ReadUint24LengthPrefixed(&body) || body.Empty() {
			return false
		}
		e.Certificate = copied(body)
	case TypePrecert:
		if !s.CopyBytes(e.IssuerKeyHash[:]) || !s.ReadUint24LengthPrefixed(&body) || body.Empty() {
			return false
		}
		e.TBS = copied(body)
	default:
		return false
	}
	return true
}

// IsPrecert tells whether a certificate carries the poison extension, whatever
// its value. It is false for what is no certificate.
func IsPrecert(der []byte) bool {
	_, found := extension(der, oidPoison)
	return found
}

// EmbeddedList gives the SignedCertificateTimestampList inside a certificate
// (RFC 6962, section 3.3), or nil when it has none.
func EmbeddedList(der []byte) ([]byte, error) {
	if _, err := tbsOf(der); err != nil {
		return nil, err
	}
	value, found := extension(der, oidSCTList)
	if !found {
		return nil, nil
	}
	var list cryptobyte.String
	if !value.ReadASN1(&list, cbasn1.OCTET_STRING) || !value.Empty() {
		return nil, errors.New("ct: a malformed SCT list extension")
	}
	return copied(list), nil
}

var errCertificate = errors.New("ct: not a certificate")

// tbsOf takes the TBSCertificate out of a certificate, DER.
func tbsOf(der []byte) ([]byte, error) {
	input := cryptobyte.String(der)
	var certificate, fields cryptobyte.String
	if !input.ReadASN1(&certificate, cbasn1.SEQUENCE) || !input.Empty() || !certificate.ReadASN1Element(&fields, cbasn1.SEQUENCE) {
		return nil, errCertificate
	}
	return fields, nil
}

var (
	tagVersion    = cbasn1.Tag(0).ContextSpecific().Constructed()
	tagExtensions = cbasn1.Tag(3).ContextSpecific().Constructed()
)

// spkiOf walks to the SubjectPublicKeyInfo (RFC 5280, section 4.1).
func spkiOf(der []byte) ([]byte, error) {
	element, err := tbsOf(der)
	if err != nil {
		return nil, err
	}
	input := cryptobyte.String(element)
	var fields, spki cryptobyte.String
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !fields.SkipOptionalASN1(tagVersion) ||
		!fields.SkipASN1(cbasn1.INTEGER) || // serialNumber
		!fields.SkipASN1(cbasn1.SEQUENCE) || // signature
		!fields.SkipASN1(cbasn1.SEQUENCE) || // issuer
		!fields.SkipASN1(cbasn1.SEQUENCE) || // validity
		!fields.SkipASN1(cbasn1.SEQUENCE) || // subject
		!fields.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return nil, errCertificate
	}
	return spki, nil
}

// extension finds the value of an extension by its encoded OID.
func extension(der []byte, oid string) (value cryptobyte.String, found bool) {
	element, err := tbsOf(der)
	if err != nil {
		return nil, false
	}
	input := cryptobyte.String(element)
	var fields, wrapper, extensions cryptobyte.String
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) {
		return nil, false
	}
	for !fields.Empty() && !fields.PeekASN1Tag(tagExtensions) {
		var field cryptobyte.String
		var tag cbasn1.Tag
		if !fields.ReadAnyASN1Element(&field, &tag) {
			return nil, false
		}
	}
	if !fields.ReadASN1(&wrapper, tagExtensions) || !wrapper.ReadASN1(&extensions, cbasn1.SEQUENCE) {
		return nil, false
	}
	for !extensions.Empty() {
		var one, id cryptobyte.String
		if !extensions.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1Element(&id, cbasn1.OBJECT_IDENTIFIER) {
			return nil, false
		}
		if string(id) != oid {
			continue
		}
		ok := one.SkipOptionalASN1(cbasn1.BOOLEAN) && one.ReadASN1(&value, cbasn1.OCTET_STRING) && one.Empty()
		return value, ok
	}
	return nil, false
}
