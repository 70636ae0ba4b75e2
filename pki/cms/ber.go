package cms

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A ber reads the layers around what is signed, which writers that stream encode
// with indefinite lengths (X.690, 8.1.3.6) and strings in pieces (8.7.3). It is
// what remains to be read. Tags above 30 do not occur in this syntax.
type ber []byte

// maxDepth bounds the nesting of indefinite lengths and of pieces of strings.
const maxDepth = 16

func (b ber) empty() bool { return len(b) == 0 }

// next is the tag of the next element, or 0 at the end.
func (b ber) next() byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// open reads an element with this tag and returns its contents.
func (b *ber) open(tag byte) (contents ber, ok bool) {
	if b.next() != tag {
		return nil, false
	}
	_, contents, ok = b.element()
	return contents, ok
}

// definite reads an element of any tag whose own length is definite and, as in
// DER, in its shortest form, and returns it whole.
func (b *ber) definite() (whole []byte, ok bool) {
	in := cryptobyte.String(*b)
	var out cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1Element(&out, &tag) {
		return nil, false
	}
	*b = ber(in)
	return out, true
}

func (b *ber) oid() (id asn1.ObjectIdentifier, ok bool) {
	in := cryptobyte.String(*b)
	ok = in.ReadASN1ObjectIdentifier(&id)
	*b = ber(in)
	return id, ok
}

// octets reads an OCTET STRING, whole or in pieces. A whole one is not copied.
func (b *ber) octets() (value []byte, ok bool) {
	pieces, ok := b.pieces(nil, 0)
	if !ok {
		return nil, false
	}
	if len(pieces) == 1 {
		return pieces[0], true
	}
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	value = make([]byte, 0, size)
	for _, p := range pieces {
		value = append(value, p...)
	}
	return value, true
}

func (b *ber) pieces(list [][]byte, depth int) ([][]byte, bool) {
	const primitive, constructed = 0x04, 0x24
	tag, contents, ok := b.element()
	switch {
	case !ok || depth > maxDepth:
		return nil, false
	case tag == primitive:
		return append(list, contents), true
	case tag != constructed:
		return nil, false
	}
	for !contents.empty() {
		if list, ok = contents.pieces(list, depth+1); !ok {
			return nil, false
		}
	}
	return list, true
}

// element reads the next element, of either kind of length.
func (b *ber) element() (tag byte, contents ber, ok bool) {
	tag, head, length, ok := header(*b)
	if !ok {
		return 0, nil, false
	}
	if length >= 0 {
		contents = (*b)[head : head+length]
		*b = (*b)[head+length:]
		return tag, contents, true
	}
	size, ok := indefinite((*b)[head:], 0)
	if !ok {
		return 0, nil, false
	}
	contents = (*b)[head : head+size]
	*b = (*b)[head+size+2:]
	return tag, contents, true
}

// indefinite is the number of octets before the end-of-contents octets that
// belong to the element whose contents begin at b.
func indefinite(b []byte, depth int) (size int, ok bool) {
	if depth > maxDepth {
		return 0, false
	}
	for {
		rest := b[size:]
		if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			return size, true
		}
		_, head, length, ok := header(rest)
		if !ok {
			return 0, false
		}
		if length < 0 {
			if length, ok = indefinite(rest[head:], depth+1); !ok {
				return 0, false
			}
			length += 2
		}
		size += head + length
	}
}

// header reads identifier and length octets. The length is −1 if it is
// indefinite; otherwise that many octets follow.
func header(b []byte) (tag byte, head, length int, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f || b[0] == 0 {
		return 0, 0, 0, false
	}
	tag, head, length = b[0], 2, int(b[1])
	switch {
	case length == 0x80:
		return tag, head, -1, tag&0x20 != 0 // only what is constructed
	case length > 0x80:
		n := length - 0x80
		if n > 4 || len(b) < 2+n {
			return 0, 0, 0, false
		}
		head, length = 2+n, 0
		for _, c := range b[2:head] {
			length = length<<8 | int(c)
		}
	}
	return tag, head, length, length <= len(b)-head
}
