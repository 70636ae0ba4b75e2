package ct

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// A Leaf is what a log puts into its tree for one SCT (MerkleTreeLeaf of RFC
// 6962, section 3.4).
type Leaf struct {
	Timestamp  int64 // that of the SCT
	Entry      Entry
	Extensions []byte // those of the SCT
}

// LeafOf is the leaf that a log owes for an SCT.
func LeafOf(t SCT, e Entry) Leaf {
	return Leaf{Timestamp: t.Timestamp, Entry: e, Extensions: t.Extensions}
}

// ParseLeaf reads a leaf in TLS encoding and refuses anything after it.
func ParseLeaf(b []byte) (Leaf, error) {
	s := cryptobyte.String(b)
	var l Leaf
	var version, kind uint8
	var extensions cryptobyte.String
	if !s.ReadUint8(&version) || version != v1 || !s.ReadUint8(&kind) || kind != leafTypeTimestampedEntry ||
		!readTimestamp(&s, &l.Timestamp) || !readEntry(&s, &l.Entry) || !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return Leaf{}, errors.New("ct: a malformed Merkle tree leaf")
	}
	l.Extensions = copied(extensions)
	return l, nil
}

// Marshal writes the leaf in TLS encoding.
func (l Leaf) Marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(l.Entry.Certificate)+len(l.Entry.TBS)+64))
	b.AddUint8(v1)
	b.AddUint8(leafTypeTimestampedEntry)
	if err := addTimestamped(b, l); err != nil {
		return nil, err
	}
	return b.Bytes()
}

// addTimestamped adds timestamp, entry and extensions, which leaf and SCT
// signature have in common.
func addTimestamped(b *cryptobyte.Builder, l Leaf) error {
	if err := checkTimestamp(l.Timestamp); err != nil {
		return err
	}
	b.AddUint64(uint64(l.Timestamp))
	addEntry(b, l.Entry)
	addVector16(b, l.Extensions)
	return nil
}

// Hash is the leaf's hash in the tree (RFC 6962, section 2.1).
func (l Leaf) Hash() (Hash, error) {
	b, err := l.Marshal()
	if err != nil {
		return Hash{}, err
	}
	return LeafHash(b), nil
}

// LeafHash is the hash of a leaf in TLS encoding.
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// MarshalChain writes certificates as the certificate_chain of an entry's extra
// data (RFC 6962, section 4.6); an empty chain is allowed.
func MarshalChain(chain [][]byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, der := range chain {
			addBody24(b, der)
		}
	})
	return b.Bytes()
}

// PrecertExtra puts a pre-certificate before its marshalled chain: the extra
// data of a [TypePrecert] (PrecertChainEntry of RFC 6962, section 3.1). The
// extra data of a [TypeX509] is the marshalled chain alone.
func PrecertExtra(precert, chain []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(precert)+len(chain)+3))
	addBody24(b, precert)
	b.AddBytes(chain)
	return b.Bytes()
}

// ParseExtra reads the extra data of an entry: the chain above the certificate
// and, for a [TypePrecert], the pre-certificate.
func ParseExtra(kind EntryType, extra []byte) (precert []byte, chain [][]byte, err error) {
	s := cryptobyte.String(extra)
	malformed := errors.New("ct: malformed extra data")
	var first, body cryptobyte.String
	switch kind {
	case TypeX509:
	case TypePrecert:
		if !s.ReadUint24LengthPrefixed(&first) || first.Empty() {
			return nil, nil, malformed
		}
	default:
		return nil, nil, malformed
	}
	if !s.ReadUint24LengthPrefixed(&body) || !s.Empty() {
		return nil, nil, malformed
	}
	for !body.Empty() {
		var der cryptobyte.String
		if !body.ReadUint24LengthPrefixed(&der) || der.Empty() {
			return nil, nil, malformed
		}
		chain = append(chain, copied(der))
	}
	return copied(first), chain, nil
}
