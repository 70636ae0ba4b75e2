// Package tsp is the Time-Stamp Protocol (RFC 3161, with the newer certificate
// reference of RFC 5816): requests, answers and tokens, built, read and verified.
//
// A time-stamping unit parses with [ParseRequest], stamps with a [Stamper], which
// has everything encoded that does not change, and wraps the token with
// [Granted]. What it cannot stamp it answers with [Rejection.Response]. A relying
// party asks with [Request.Bytes], then [ParseResponse], [ParseToken],
// [Token.Verify] and [Info.Answers].
//
// Hashes are SHA-256, SHA-384 and SHA-512; SHA-1 is refused everywhere. Stamping
// adds a few microseconds to the cost of the signature. The package reads no clock.
package tsp

import (
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/cms"
)

// Media types of requests and answers (RFC 3161, section 3.4).
const (
	QueryType = "application/timestamp-query"
	ReplyType = "application/timestamp-reply"
)

// Limits of the parsers, in octets.
const (
	MaxRequest  = 16 << 10
	MaxResponse = 1 << 20
	maxNonce    = 64
	maxExts     = 16
)

// TypeInfo is the content type of a token, id-ct-TSTInfo.
var TypeInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}

// ErrMalformed is wrapped by errors about answers and tokens that are not what
// RFC 3161 defines. [ParseRequest] has errors of its own.
var ErrMalformed = errors.New("tsp: malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

const (
	tag0 = cbasn1.Tag(0x80 | 0x20)
	tag1 = cbasn1.Tag(0x80 | 0x20 | 1)
)

// An Imprint is the hash of what is stamped.
type Imprint struct {
	Hash   crypto.Hash
	Digest []byte
	raw    []byte // MessageImprint, DER, if it was parsed: an answer repeats it as it is
}

// Equal tells whether both are the same digest by the same hash.
func (i Imprint) Equal(other Imprint) bool {
	return i.Hash == other.Hash && string(i.Digest) == string(other.Digest)
}

// der encodes a MessageImprint (RFC 3161, section 2.4.1).
func (i Imprint) der() ([]byte, error) {
	if i.raw != nil {
		return i.raw, nil
	}
	id := cms.HashIdentifier(i.Hash)
	if id == nil || len(i.Digest) != i.Hash.Size() {
		return nil, errors.New("tsp: the imprint must be a whole SHA-256, SHA-384 or SHA-512 digest")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(id)
		b.AddASN1OctetString(i.Digest)
	})
	return b.Bytes()
}

// readImprint reads a MessageImprint. The error wraps cms.ErrUnsupported for
// another hash than the three.
func readImprint(in *cryptobyte.String) (i Imprint, err error) {
	var raw, body, id, digest cryptobyte.String
	if !in.ReadASN1Element(&raw, cbasn1.SEQUENCE) {
		return i, malformed("a message imprint")
	}
	i.raw = raw
	if !raw.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Element(&id, cbasn1.SEQUENCE) ||
		!body.ReadASN1(&digest, cbasn1.OCTET_STRING) || !body.Empty() {
		return i, malformed("a message imprint")
	}
	if i.Hash, err = cms.ParseHash(id); err != nil {
		return i, err
	}
	if i.Digest = digest; len(digest) != i.Hash.Size() {
		return i, malformed("an imprint of %d octets, where %v has %d", len(digest), i.Hash, i.Hash.Size())
	}
	return i, nil
}

// An Extension is one of those that requests and tokens can carry. Value is DER.
type Extension struct {
	ID       asn1.ObjectIdentifier
	Critical bool
	Value    []byte
}

func addExtensions(b *cryptobyte.Builder, tag cbasn1.Tag, list []Extension) {
	if len(list) == 0 {
		return
	}
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, e := range list {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(e.ID)
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(e.Value)
			})
		}
	})
}

// readExtensions reads Extensions under an implicit tag, if they are there.
func readExtensions(in *cryptobyte.String, tag cbasn1.Tag) (list []Extension, ok bool) {
	if !in.PeekASN1Tag(tag) {
		return nil, true
	}
	var body, one, value cryptobyte.String
	if !in.ReadASN1(&body, tag) || body.Empty() {
		return nil, false
	}
	for !body.Empty() {
		var e Extension
		if len(list) == maxExts || !body.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&e.ID) {
			return nil, false
		}
		// DER leaves the default out, but writers of FALSE exist and harm nobody.
		if one.PeekASN1Tag(cbasn1.BOOLEAN) && !one.ReadASN1Boolean(&e.Critical) {
			return nil, false
		}
		if !one.ReadASN1(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return nil, false
		}
		e.Value = value
		list = append(list, e)
	}
	return list, true
}

// readNonce reads an INTEGER of any sign as its contents, which an answer must
// repeat (RFC 3161, section 2.4.2).
func readNonce(in *cryptobyte.String) (nonce []byte, ok bool) {
	if !in.PeekASN1Tag(cbasn1.INTEGER) {
		return nil, true
	}
	var contents cryptobyte.String
	var value big.Int
	whole := *in
	if !in.ReadASN1(&contents, cbasn1.INTEGER) || len(contents) > maxNonce || !whole.ReadASN1Integer(&value) {
		return nil, false
	}
	return contents, true
}

func addNonce(b *cryptobyte.Builder, nonce []byte) {
	if len(nonce) > 0 {
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(nonce) })
	}
}

// Nonce encodes a number for [Request.Nonce].
func Nonce(n *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1BigInt(n)
	in := cryptobyte.String(b.BytesOrPanic()) // an INTEGER always encodes
	var contents cryptobyte.String
	in.ReadASN1(&contents, cbasn1.INTEGER)
	return contents
}

// timeLayout is GeneralizedTime to the second; fractions are added by hand.
const timeLayout = "20060102150405"

// addTime encodes genTime: GeneralizedTime in UTC with the fraction that t has,
// to the microsecond and without trailing zeros (RFC 3161, section 2.4.2).
func addTime(b *cryptobyte.Builder, t time.Time) {
	buf := t.UTC().AppendFormat(make([]byte, 0, 24), timeLayout)
	if micros := t.Nanosecond() / 1000; micros != 0 {
		buf = fmt.Appendf(buf, ".%06d", micros)
		for buf[len(buf)-1] == '0' {
			buf = buf[:len(buf)-1]
		}
	}
	b.AddASN1(cbasn1.GeneralizedTime, func(b *cryptobyte.Builder) { b.AddBytes(append(buf, 'Z')) })
}

// readGenTime reads what addTime writes, with up to nine digits of fraction.
func readGenTime(in *cryptobyte.String) (t time.Time, ok bool) {
	var text cryptobyte.String
	if !in.ReadASN1(&text, cbasn1.GeneralizedTime) || len(text) < len(timeLayout)+1 || text[len(text)-1] != 'Z' {
		return t, false
	}
	whole, fraction := text[:len(timeLayout)], text[len(timeLayout):len(text)-1]
	t, err := time.Parse(timeLayout, string(whole))
	if err != nil || t.Format(timeLayout) != string(whole) {
		return t, false
	}
	if len(fraction) == 0 {
		return t, true
	}
	if fraction[0] != '.' || len(fraction) < 2 || len(fraction) > 10 || fraction[len(fraction)-1] == '0' {
		return t, false
	}
	nanos := 0
	for i := 1; i <= 9; i++ {
		nanos *= 10
		if i < len(fraction) {
			if fraction[i] < '0' || fraction[i] > '9' {
				return t, false
			}
			nanos += int(fraction[i] - '0')
		}
	}
	return t.Add(time.Duration(nanos)), true
}
