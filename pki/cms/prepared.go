package cms

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Sign signs content and returns the ContentInfo, in DER. It costs the signatures
// and a few microseconds.
func (p *Prepared) Sign(content []byte) ([]byte, error) {
	digests := make([][]byte, len(p.hashes))
	for i, h := range p.hashes {
		digests[i] = sum(h, content)
	}
	if p.detached || len(p.signers) == 0 {
		if len(p.signers) == 0 && content != nil {
			return nil, errors.New("cms: content without a signer")
		}
		return p.message(nil, digests)
	}
	return p.message(content, digests)
}

// SignDigests signs detached content that was hashed elsewhere, while it
// streamed for example. There must be a digest for the hash of each signer.
func (p *Prepared) SignDigests(digests map[crypto.Hash][]byte) ([]byte, error) {
	if !p.detached || len(p.signers) == 0 {
		return nil, errors.New("cms: only detached content is signed by its digest")
	}
	list := make([][]byte, len(p.hashes))
	for i, h := range p.hashes {
		if list[i] = digests[h]; len(list[i]) != h.Size() {
			return nil, fmt.Errorf("cms: no digest made with %v", h)
		}
	}
	return p.message(nil, list)
}

// message encodes ContentInfo and SignedData (RFC 5652, sections 3 and 5.1);
// digests are in the order of p.hashes.
func (p *Prepared) message(content []byte, digests [][]byte) ([]byte, error) {
	infos := make([][]byte, len(p.signers))
	size := len(p.head) + len(p.tail) + len(content) + 128
	for i, s := range p.signers {
		var err error
		if infos[i], err = s.info(digests[slices.Index(p.hashes, s.method.hash)]); err != nil {
			return nil, err
		}
		size += len(infos[i])
	}
	slices.SortFunc(infos, bytes.Compare)
	b := cryptobyte.NewBuilder(make([]byte, 0, size))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(signedData)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { p.addSignedData(b, content, infos) })
		})
	})
	return b.Bytes()
}

func (p *Prepared) addSignedData(b *cryptobyte.Builder, content []byte, infos [][]byte) {
	b.AddBytes(p.head)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(p.kind)
		if p.detached || len(p.signers) == 0 {
			return
		}
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
	})
	b.AddBytes(p.tail)
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		for _, info := range infos {
			b.AddBytes(info)
		}
	})
}

// info signs the attributes with this digest and encodes the SignerInfo.
func (p *prepared) info(digest []byte) ([]byte, error) {
	attributes := bytes.Clone(p.attributes)
	copy(attributes[p.digestAt:], digest)
	signature, err := p.method.sign(p.Key, attributes)
	if err != nil {
		return nil, err
	}
	unsigned, err := p.unsigned(signature)
	if err != nil {
		return nil, err
	}
	// In the message the SET OF carries the implicit tag [0] (RFC 5652, section 5.4).
	attributes[0] = byte(tag0)
	b := cryptobyte.NewBuilder(make([]byte, 0, len(p.head)+len(attributes)+len(p.identifier)+len(signature)+len(unsigned)+16))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(p.head)
		b.AddBytes(attributes)
		b.AddBytes(p.identifier)
		b.AddASN1OctetString(signature)
		b.AddBytes(unsigned)
	})
	return b.Bytes()
}

func (p *prepared) unsigned(signature []byte) ([]byte, error) {
	if p.Unsigned == nil {
		return nil, nil
	}
	list, err := p.Unsigned(bytes.Clone(signature))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	encoded := make([][]byte, len(list))
	for i, a := range list {
		if encoded[i], err = a.der(); err != nil {
			return nil, err
		}
	}
	return setOf(tag1, encoded), nil
}
