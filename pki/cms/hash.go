package cms

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of hashes, as DER.
const (
	oidSHA256 = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	oidSHA384 = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02"
	oidSHA512 = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03"
)

// HashIdentifier is the AlgorithmIdentifier of SHA-256, SHA-384 or SHA-512,
// without parameters (RFC 5754, section 2), or nil for another hash.
func HashIdentifier(h crypto.Hash) []byte {
	switch h {
	case crypto.SHA256:
		return element(cbasn1.SEQUENCE, []byte(oidSHA256))
	case crypto.SHA384:
		return element(cbasn1.SEQUENCE, []byte(oidSHA384))
	case crypto.SHA512:
		return element(cbasn1.SEQUENCE, []byte(oidSHA512))
	}
	return nil
}

// ParseHash reads the AlgorithmIdentifier of a hash, without parameters or with
// NULL (RFC 5754, section 2). The error for any hash but SHA-256, SHA-384 and
// SHA-512 wraps [ErrUnsupported], all others wrap [ErrMalformed].
func ParseHash(der []byte) (crypto.Hash, error) {
	oid, parameters, ok := readIdentifier(der)
	if !ok {
		return 0, malformed("an algorithm identifier")
	}
	var h crypto.Hash
	switch oid {
	case oidSHA256:
		h = crypto.SHA256
	case oidSHA384:
		h = crypto.SHA384
	case oidSHA512:
		h = crypto.SHA512
	default:
		return 0, unsupported("the hash algorithm %s; use SHA-256, SHA-384 or SHA-512", oidText(oid))
	}
	if !nullOrAbsent(parameters) {
		return 0, malformed("parameters of a hash algorithm")
	}
	return h, nil
}

// sum hashes without the interface that crypto.Hash.New allocates.
func sum(h crypto.Hash, data []byte) []byte {
	switch h {
	case crypto.SHA256:
		s := sha256.Sum256(data)
		return s[:]
	case crypto.SHA384:
		s := sha512.Sum384(data)
		return s[:]
	default:
		s := sha512.Sum512(data)
		return s[:]
	}
}
