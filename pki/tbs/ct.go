package tbs

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The two extensions of RFC 6962 as encoded OIDs (tag and length included),
// so that bytes can be compared with bytes.
const (
	derPoisonID  = "\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"
	derSCTListID = "\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02"
)

// poisonBody is the poison extension without its outer SEQUENCE: critical, NULL.
const poisonBody = derPoisonID + "\x01\x01\xff\x04\x02\x05\x00"

// Poison is the critical extension that makes a pre-certificate unusable
// (RFC 6962, section 3.1).
func Poison() Extension {
	return Extension{ID: oidPoison, Critical: true, Value: []byte{5, 0}}
}

// ReplacePoison turns the TBSCertificate of a pre-certificate into that of the
// final certificate: the poison extension gives its place to the SCT list, and no
// other byte but the two enclosing lengths changes, so that the SCTs hold
// (RFC 6962, sections 3.2 and 3.3).
//
// sctList is the TLS encoding, SignedCertificateTimestampList, with at least one
// SCT; its framing is checked, its signatures are not. A TBSCertificate without
// exactly one well-formed poison, or with an SCT list already, is an error.
func ReplacePoison(pre, sctList []byte) ([]byte, error) {
	if err := checkSCTList(sctList); err != nil {
		return nil, err
	}
	s, err := findCT(pre)
	if err != nil {
		return nil, err
	}
	if !s.poison {
		return nil, errors.New("tbs: not a pre-certificate: it has no poison extension")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte(derSCTListID))
		b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) { // extnValue
			b.AddASN1OctetString(sctList)
		})
	})
	replacement, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return s.splice(replacement)
}

// IsPrecertificate tells whether a TBSCertificate carries a well-formed poison.
func IsPrecertificate(tbs []byte) bool {
	s, err := findCT(tbs)
	return err == nil && s.poison
}

// LogTBS returns what certificate transparency logs sign for this certificate:
// the TBSCertificate, of the pre-certificate or the final one, without its poison
// or SCT list extension (RFC 6962, section 3.2).
func LogTBS(tbs []byte) ([]byte, error) {
	s, err := findCT(tbs)
	if err != nil {
		return nil, err
	}
	return s.splice(nil)
}

// ctSlot is a TBSCertificate taken apart around its one CT extension.
type ctSlot struct {
	head          []byte // all fields before the extensions
	before, after []byte // the other extensions
	poison        bool   // the CT extension was the poison, else the SCT list
}

func findCT(tbs []byte) (ctSlot, error) {
	malformed := errors.New("tbs: not a TBSCertificate with extensions")
	input := cryptobyte.String(tbs)
	var fields cryptobyte.String
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !input.Empty() {
		return ctSlot{}, malformed
	}
	var s ctSlot
	all := fields
	for !fields.PeekASN1Tag(tagExtensions) {
		var field cryptobyte.String
		var tag cbasn1.Tag
		if !fields.ReadAnyASN1Element(&field, &tag) {
			return ctSlot{}, malformed
		}
	}
	s.head = all[:len(all)-len(fields)]
	var wrapper, extensions cryptobyte.String
	if !fields.ReadASN1(&wrapper, tagExtensions) || !fields.Empty() ||
		!wrapper.ReadASN1(&extensions, cbasn1.SEQUENCE) || !wrapper.Empty() {
		return ctSlot{}, malformed
	}
	found := 0
	for all, rest := extensions, extensions; !rest.Empty(); {
		start := len(all) - len(rest)
		var body, id cryptobyte.String
		if !rest.ReadASN1(&body, cbasn1.SEQUENCE) {
			return ctSlot{}, malformed
		}
		whole := body
		if !body.ReadASN1Element(&id, cbasn1.OBJECT_IDENTIFIER) {
			return ctSlot{}, malformed
		}
		switch string(id) {
		case derPoisonID:
			if string(whole) != poisonBody {
				return ctSlot{}, errors.New("tbs: the poison extension is malformed")
			}
			s.poison = true
		case derSCTListID:
		default:
			continue
		}
		found++
		s.before, s.after = all[:start], rest
	}
	if found != 1 {
		return ctSlot{}, errors.New("tbs: need exactly one poison or SCT list extension")
	}
	return s, nil
}

func (s ctSlot) splice(replacement []byte) ([]byte, error) {
	size := len(s.head) + len(s.before) + len(replacement) + len(s.after)
	b := cryptobyte.NewBuilder(make([]byte, 0, size+24))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(s.head)
		if len(s.before)+len(replacement)+len(s.after) == 0 {
			return // extensions are SIZE (1..MAX)
		}
		b.AddASN1(tagExtensions, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(s.before)
				b.AddBytes(replacement)
				b.AddBytes(s.after)
			})
		})
	})
	return b.Bytes()
}

// checkSCTList checks the framing of RFC 6962, section 3.3.
func checkSCTList(list []byte) error {
	input := cryptobyte.String(list)
	var scts cryptobyte.String
	ok := input.ReadUint16LengthPrefixed(&scts) && input.Empty() && !scts.Empty()
	for ok && !scts.Empty() {
		var sct cryptobyte.String
		ok = scts.ReadUint16LengthPrefixed(&sct) && !sct.Empty()
	}
	if !ok {
		return errors.New("tbs: the SCT list is empty or not in TLS encoding")
	}
	return nil
}
