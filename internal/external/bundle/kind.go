package bundle

import (
	"bytes"
)

// A kind is what octets look like from outside.
type kind int

const (
	isUnknown kind = iota
	isCertificate
	isSignedData
	isMessage // PKCS #7 of another type
	isPKCS12
	isPrivateKey
	isKeyStore // Java's JKS and JCEKS
)

const (
	tagInteger  = 0x02
	tagBits     = 0x03
	tagOctets   = 0x04
	tagOID      = 0x06
	tagSequence = 0x30
)

var (
	oidPKCS7      = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07} // 1.2.840.113549.1.7
	oidSignedData = append(bytes.Clone(oidPKCS7), 2)
)

// An element is the outside of a BER element. Its content goes to the end of the
// input where the length is indefinite.
type element struct {
	tag           byte
	content, rest []byte
}

// open reads the outside of the first element of at most 4 GiB.
func open(b []byte) (element, bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return element{}, false
	}
	tag, first := b[0], b[1]
	b = b[2:]
	if first == 0x80 {
		return element{tag: tag, content: b}, tag&0x20 != 0
	}
	length := uint64(first)
	if first > 0x80 {
		n := int(first & 0x7f)
		if n > 4 || n > len(b) {
			return element{}, false
		}
		length = 0
		for _, c := range b[:n] {
			length = length<<8 | uint64(c)
		}
		b = b[n:]
	}
	if length > uint64(len(b)) {
		return element{}, false
	}
	return element{tag: tag, content: b[:length], rest: b[length:]}, true
}

// kindOf looks at the first elements only: it tells apart, it does not validate.
func kindOf(data []byte) kind {
	if bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}) || bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}) {
		return isKeyStore
	}
	outer, ok := open(data)
	if !ok || outer.tag != tagSequence {
		return isUnknown
	}
	first, ok := open(outer.content)
	if !ok {
		return isUnknown
	}
	switch first.tag {
	case tagOID:
		return messageKind(first.content)
	case tagInteger:
		return numberedKind(first)
	case tagSequence:
		inner, ok := open(first.content)
		second, more := open(first.rest)
		switch {
		case !ok || !more:
			return isUnknown
		case inner.tag == tagOID && second.tag == tagOctets: // EncryptedPrivateKeyInfo (RFC 5958, section 3)
			return isPrivateKey
		case inner.tag == tagOID && second.tag == tagBits: // SubjectPublicKeyInfo
			return isUnknown
		}
		return isCertificate
	}
	return isUnknown
}

func messageKind(oid []byte) kind {
	switch {
	case bytes.Equal(oid, oidSignedData):
		return isSignedData
	case bytes.HasPrefix(oid, oidPKCS7):
		return isMessage
	}
	return isUnknown
}

// numberedKind: a version number comes first in PKCS #12 (RFC 7292, section 4) and in
// all forms of private keys (RFC 5958, RFC 8017 appendix A.1.2, RFC 5915).
func numberedKind(version element) kind {
	second, ok := open(version.rest)
	if !ok || len(version.content) != 1 {
		return isUnknown
	}
	if second.tag == tagSequence && version.content[0] == 3 {
		if t, ok := open(second.content); ok && t.tag == tagOID && bytes.HasPrefix(t.content, oidPKCS7) {
			return isPKCS12
		}
	}
	if version.content[0] > 1 {
		return isUnknown
	}
	switch second.tag {
	case tagInteger, tagOctets, tagSequence:
		return isPrivateKey
	}
	return isUnknown
}
