package pkcs12

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The library cannot name a key entry. Its key bag stands outside the encrypted
// part (the key in it is encrypted by itself), so the name is added there, and
// the MAC, which covers everything, is made again with the same salt.

var (
	oidFriendlyName = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidSHA1         = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256       = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}

	tag0 = cbasn1.Tag(0).ContextSpecific().Constructed()
)

var errLayout = errors.New("pkcs12: the encoder wrote an unexpected layout")

// pfx is RFC 7292, section 4, taken apart as far as needed.
type pfx struct {
	certificates cryptobyte.String // ContentInfo with the encrypted certificates
	bagID        cryptobyte.String // of the one key bag
	bagValue     cryptobyte.String
	attributes   []cryptobyte.String
	macID        cryptobyte.String // AlgorithmIdentifier of the digest
	macSalt      cryptobyte.String
	iterations   int
}

func addFriendlyName(der, name []byte, password string) ([]byte, error) {
	p, err := parsePFX(der)
	if err != nil {
		return nil, err
	}
	var attribute cryptobyte.Builder
	attribute.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidFriendlyName)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(30), func(b *cryptobyte.Builder) { b.AddBytes(name) })
		})
	})
	encoded, err := attribute.Bytes()
	if err != nil {
		return nil, err
	}
	p.attributes = append(p.attributes, encoded)
	return p.bytes(password)
}

func parsePFX(der []byte) (*pfx, error) {
	input := cryptobyte.String(der)
	var p pfx
	var fields, authSafe, safe, keys, bags, bag, attributes cryptobyte.String
	var mac, digestInfo cryptobyte.String
	ok := input.ReadASN1(&fields, cbasn1.SEQUENCE) && fields.SkipASN1(cbasn1.INTEGER) && // version
		readData(&fields, &authSafe) && authSafe.ReadASN1(&safe, cbasn1.SEQUENCE) &&
		safe.ReadASN1Element(&p.certificates, cbasn1.SEQUENCE) &&
		readData(&safe, &keys) && safe.Empty() &&
		keys.ReadASN1(&bags, cbasn1.SEQUENCE) && bags.ReadASN1(&bag, cbasn1.SEQUENCE) && bags.Empty() &&
		bag.ReadASN1Element(&p.bagID, cbasn1.OBJECT_IDENTIFIER) && bag.ReadASN1Element(&p.bagValue, tag0) &&
		bag.ReadASN1(&attributes, cbasn1.SET) && bag.Empty() &&
		fields.ReadASN1(&mac, cbasn1.SEQUENCE) && fields.Empty() &&
		mac.ReadASN1(&digestInfo, cbasn1.SEQUENCE) && digestInfo.ReadASN1Element(&p.macID, cbasn1.SEQUENCE) &&
		mac.ReadASN1(&p.macSalt, cbasn1.OCTET_STRING) && mac.ReadASN1Integer(&p.iterations) && mac.Empty()
	for ok && !attributes.Empty() {
		var attribute cryptobyte.String
		ok = attributes.ReadASN1Element(&attribute, cbasn1.SEQUENCE)
		p.attributes = append(p.attributes, attribute)
	}
	if !ok {
		return nil, errLayout
	}
	return &p, nil
}

// readData reads a ContentInfo of type data down to its octets.
func readData(from, octets *cryptobyte.String) bool {
	var info, explicit cryptobyte.String
	return from.ReadASN1(&info, cbasn1.SEQUENCE) && info.SkipASN1(cbasn1.OBJECT_IDENTIFIER) &&
		info.ReadASN1(&explicit, tag0) && explicit.ReadASN1(octets, cbasn1.OCTET_STRING) && explicit.Empty()
}

func (p *pfx) bytes(password string) ([]byte, error) {
	// DER sorts a SET OF by encoding.
	sortElements(p.attributes)
	var keys cryptobyte.Builder
	keys.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(p.bagID)
			b.AddBytes(p.bagValue)
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range p.attributes {
					b.AddBytes(a)
				}
			})
		})
	})
	var safe cryptobyte.Builder
	safe.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(p.certificates)
		addData(b, keys.BytesOrPanic())
	})
	content, err := safe.Bytes()
	if err != nil {
		return nil, err
	}
	digest, err := p.mac(content, password)
	if err != nil {
		return nil, err
	}
	var out cryptobyte.Builder
	out.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		addData(b, content)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(p.macID)
				b.AddASN1OctetString(digest)
			})
			b.AddASN1OctetString(p.macSalt)
			b.AddASN1Int64(int64(p.iterations))
		})
	})
	return out.Bytes()
}

func sortElements(elements []cryptobyte.String) {
	slices.SortFunc(elements, func(a, b cryptobyte.String) int { return bytes.Compare(a, b) })
}

func addData(b *cryptobyte.Builder, octets []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(octets) })
	})
}

func (p *pfx) mac(content []byte, password string) ([]byte, error) {
	id := p.macID
	var fields cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !id.ReadASN1(&fields, cbasn1.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&oid) {
		return nil, errLayout
	}
	var newHash func() hash.Hash
	switch {
	case oid.Equal(oidSHA256):
		newHash = sha256.New
	case oid.Equal(oidSHA1):
		newHash = sha1.New
	default:
		return nil, errLayout
	}
	h := hmac.New(newHash, macKey(newHash(), p.macSalt, password, p.iterations))
	h.Write(content)
	return h.Sum(nil), nil
}

// macKey is the key derivation of RFC 7292, appendix B.2, for the case that the
// key is one hash long, which leaves a single chain of hashes.
func macKey(h hash.Hash, salt []byte, password string, iterations int) []byte {
	const purpose = 3 // integrity
	block := h.BlockSize()
	secret := make([]byte, 0, 2*len(password)+2)
	for i := range len(password) { // ASCII, as Encode checked
		secret = append(secret, 0, password[i])
	}
	secret = append(secret, 0, 0)
	h.Write(bytes.Repeat([]byte{purpose}, block))
	h.Write(fill(salt, block))
	h.Write(fill(secret, block))
	key := h.Sum(nil)
	for range iterations - 1 {
		h.Reset()
		h.Write(key)
		key = h.Sum(key[:0])
	}
	return key
}

// fill repeats value up to a whole number of blocks.
func fill(value []byte, block int) []byte {
	size := (len(value) + block - 1) / block * block
	return bytes.Repeat(value, size/len(value)+1)[:size]
}

// bmpString encodes a friendly name (RFC 2985, 5.5.1) as big-endian UCS-2.
func bmpString(text string) ([]byte, error) {
	if count := utf8.RuneCountInString(text); count > 255 {
		return nil, fmt.Errorf("pkcs12: the friendly name has %d characters; at most 255 are allowed", count)
	}
	var out []byte
	for _, r := range text {
		if r > 0xffff || r < ' ' || r == utf8.RuneError {
			return nil, fmt.Errorf("pkcs12: the friendly name cannot hold %q", r)
		}
		out = append(out, byte(r>>8), byte(r))
	}
	return out, nil
}
