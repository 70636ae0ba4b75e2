package ct

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// ErrVersion reports an SCT of another version than 1. A list may hold such
// SCTs; readers pass over them (RFC 6962, section 3.3).
var ErrVersion = errors.New("ct: the SCT has an unknown version")

// A Signature is the DigitallySigned structure of TLS 1.2 (RFC 5246, section
// 4.7): two numbers that name the algorithm, and the signature.
type Signature struct {
	Hash, Algorithm uint8 // 4 is SHA-256; 1 is RSA PKCS #1 v1.5, 3 is ECDSA
	Value           []byte
}

// An SCT is a signed certificate timestamp of version 1 (RFC 6962, section
// 3.2): a log's promise to publish a certificate.
type SCT struct {
	LogID      LogID
	Timestamp  int64 // milliseconds; see [Millis]
	Extensions []byte
	Signature  Signature
}

// ParseSCT reads one SCT in TLS encoding and refuses anything after it. An SCT
// of another version gives [ErrVersion].
func ParseSCT(b []byte) (SCT, error) {
	s := cryptobyte.String(b)
	var t SCT
	var version uint8
	if !s.ReadUint8(&version) {
		return SCT{}, errors.New("ct: an empty SCT")
	}
	if version != v1 {
		return SCT{}, ErrVersion
	}
	var extensions cryptobyte.String
	if !s.CopyBytes(t.LogID[:]) || !readTimestamp(&s, &t.Timestamp) || !s.ReadUint16LengthPrefixed(&extensions) ||
		!readSignature(&s, &t.Signature) || !s.Empty() {
		return SCT{}, errors.New("ct: a malformed SCT")
	}
	t.Extensions = copied(extensions)
	return t, nil
}

// Marshal writes the SCT in TLS encoding. Extensions or a signature of more
// than 65,535 bytes are errors.
func (t SCT) Marshal() ([]byte, error) {
	if err := checkTimestamp(t.Timestamp); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128))
	b.AddUint8(v1)
	b.AddBytes(t.LogID[:])
	b.AddUint64(uint64(t.Timestamp))
	addVector16(b, t.Extensions)
	addSignature(b, t.Signature)
	return b.Bytes()
}

// ParseSignature reads a DigitallySigned structure, as it stands in tree heads
// and in answers to submissions, and refuses anything after it.
func ParseSignature(b []byte) (Signature, error) {
	s := cryptobyte.String(b)
	var g Signature
	if !readSignature(&s, &g) || !s.Empty() {
		return Signature{}, errors.New("ct: a malformed signature")
	}
	return g, nil
}

// Marshal writes the DigitallySigned structure.
func (g Signature) Marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(g.Value)+4))
	addSignature(b, g)
	return b.Bytes()
}

func readSignature(s *cryptobyte.String, g *Signature) bool {
	var value cryptobyte.String
	if !s.ReadUint8(&g.Hash) || !s.ReadUint8(&g.Algorithm) || !s.ReadUint16LengthPrefixed(&value) {
		return false
	}
	g.Value = copied(value)
	return true
}

func addSignature(b *cryptobyte.Builder, g Signature) {
	b.AddUint8(g.Hash)
	b.AddUint8(g.Algorithm)
	addVector16(b, g.Value)
}

func addVector16(b *cryptobyte.Builder, v []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

func addVector24(b *cryptobyte.Builder, v []byte) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

// copied keeps a parsed value from holding on to the input.
func copied(s cryptobyte.String) []byte {
	if len(s) == 0 {
		return nil
	}
	return append([]byte(nil), s...)
}

// SplitList takes a SignedCertificateTimestampList (RFC 6962, section 3.3)
// apart into SCTs in TLS encoding, of whatever version. A list without SCTs, or
// with an empty one, is malformed.
func SplitList(list []byte) ([][]byte, error) {
	s := cryptobyte.String(list)
	var body cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&body) || !s.Empty() || body.Empty() {
		return nil, errList
	}
	var out [][]byte
	for !body.Empty() {
		var sct cryptobyte.String
		if !body.ReadUint16LengthPrefixed(&sct) || sct.Empty() {
			return nil, errList
		}
		out = append(out, copied(sct))
	}
	return out, nil
}

var errList = errors.New("ct: a malformed or empty SCT list")

// ParseList reads the SCTs of version 1 of a list and passes over others, as
// readers must.
func ParseList(list []byte) ([]SCT, error) {
	raw, err := SplitList(list)
	if err != nil {
		return nil, err
	}
	out := make([]SCT, 0, len(raw))
	for i, b := range raw {
		t, err := ParseSCT(b)
		if errors.Is(err, ErrVersion) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("SCT %d: %w", i, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// MarshalList writes SCTs as a SignedCertificateTimestampList, the form that
// goes into a certificate. No SCTs, or more than have room in 65,535 bytes, are
// an error.
func MarshalList(scts []SCT) ([]byte, error) {
	if len(scts) == 0 {
		return nil, errors.New("ct: an SCT list needs at least one SCT")
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128*len(scts)))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range scts {
			raw, err := t.Marshal()
			if err != nil {
				b.SetError(err)
				return
			}
			addVector16(b, raw)
		}
	})
	return b.Bytes()
}
