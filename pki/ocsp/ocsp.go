// Package ocsp reads OCSP requests and builds, reads and verifies OCSP answers:
// RFC 6960, its lightweight profile RFC 5019, and the nonce of RFC 9654.
//
// A responder parses with [ParseRequest], finds each [CertID] among its issuers
// with [Issuer.Matches], and signs with [Build], or hands out bytes that it
// signed ahead. What it cannot answer it refuses with an [ErrorStatus]. A
// relying party asks with [BuildRequest], then [ParseResponse] and
// [Response.Verify].
//
// An answer costs one signature and a few microseconds.
package ocsp

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // names issuers in CertIDs and keys in ResponderIDs, as RFC 5019 asks; no signature rests on it
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// ErrMalformed is wrapped by the errors of the parsers for input that is not
// what RFC 6960 defines, in DER. A responder answers it with [Malformed].
var ErrMalformed = errors.New("ocsp: malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// maxSerial is in octets. RFC 5280 allows 20; some authorities wrote 21.
const maxSerial = 32

// A CertID names a certificate (RFC 6960, 4.1.1).
type CertID struct {
	// Hash is SHA-1 or SHA-256, or zero if the sender used another. Such a CertID
	// matches no issuer.
	Hash           crypto.Hash
	IssuerNameHash []byte
	IssuerKeyHash  []byte
	Serial         []byte // big-endian magnitude without leading zeros
	Raw            []byte // the DER, to be repeated in the answer
}

// An Issuer holds the hashes under which one authority is asked about.
type Issuer struct {
	names, keys map[crypto.Hash][]byte
}

// NewIssuer hashes the issuer's Name, in DER, and its public key: the contents
// of the BIT STRING in its SubjectPublicKeyInfo, without the count of unused bits.
func NewIssuer(name, keyBits []byte) *Issuer {
	i := &Issuer{names: map[crypto.Hash][]byte{}, keys: map[crypto.Hash][]byte{}}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		i.names[h] = digest(h, name)
		i.keys[h] = digest(h, keyBits)
	}
	return i
}

// IssuerOf is [NewIssuer] for a certificate.
func IssuerOf(cert *x509.Certificate) (*Issuer, error) {
	bits, err := KeyBits(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	return NewIssuer(cert.RawSubject, bits), nil
}

// KeyBits returns the public key in a SubjectPublicKeyInfo, as [NewIssuer] and
// [KeyHash] take it.
func KeyBits(spki []byte) ([]byte, error) {
	in := cryptobyte.String(spki)
	var body cryptobyte.String
	var bits []byte
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !in.Empty() || !body.SkipASN1(asn1.SEQUENCE) ||
		!body.ReadASN1BitStringAsBytes(&bits) || !body.Empty() {
		return nil, malformed("not a SubjectPublicKeyInfo")
	}
	return bits, nil
}

// KeyHash names a responder by its key: SHA-1, whatever the rest of the answer
// uses (RFC 6960, 4.2.1).
func KeyHash(keyBits []byte) []byte { return digest(crypto.SHA1, keyBits) }

func digest(h crypto.Hash, data []byte) []byte {
	if h == crypto.SHA1 {
		sum := sha1.Sum(data) //nolint:gosec // see the import
		return sum[:]
	}
	sum := sha256.Sum256(data)
	return sum[:]
}

// CertID names the certificate of this issuer with a serial number, a big-endian
// magnitude above zero and of at most 32 octets. Hash is SHA-1, which every
// client understands, or SHA-256.
func (i *Issuer) CertID(hash crypto.Hash, serial []byte) (CertID, error) {
	serial = bytes.TrimLeft(serial, "\x00")
	if len(serial) == 0 || len(serial) >= maxSerial {
		return CertID{}, fmt.Errorf("ocsp: serial number %x is zero or too long", serial)
	}
	oid := hashOID(hash)
	if oid == "" {
		return CertID{}, fmt.Errorf("ocsp: %v cannot name a certificate; use SHA-1 or SHA-256", hash)
	}
	id := CertID{Hash: hash, IssuerNameHash: i.names[hash], IssuerKeyHash: i.keys[hash], Serial: bytes.Clone(serial)}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte(oid))
			b.AddASN1NULL()
		})
		b.AddASN1OctetString(id.IssuerNameHash)
		b.AddASN1OctetString(id.IssuerKeyHash)
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) {
			if serial[0] >= 0x80 {
				b.AddUint8(0)
			}
			b.AddBytes(serial)
		})
	})
	raw, err := b.Bytes()
	id.Raw = raw
	return id, err
}

// Matches says whether id asks about a certificate of this issuer.
func (i *Issuer) Matches(id CertID) bool {
	return hashOID(id.Hash) != "" && bytes.Equal(i.names[id.Hash], id.IssuerNameHash) && bytes.Equal(i.keys[id.Hash], id.IssuerKeyHash)
}

const (
	oidSHA1   = "\x06\x05\x2b\x0e\x03\x02\x1a"
	oidSHA256 = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"
)

func hashOID(h crypto.Hash) string {
	switch h {
	case crypto.SHA1:
		return oidSHA1
	case crypto.SHA256:
		return oidSHA256
	}
	return ""
}

func hashOf(oid []byte) crypto.Hash {
	switch string(oid) {
	case oidSHA1:
		return crypto.SHA1
	case oidSHA256:
		return crypto.SHA256
	}
	return 0
}

// readCertID reads a CertID and keeps its DER.
func readCertID(in *cryptobyte.String) (id CertID, err error) {
	var raw, body, algorithm, oid, name, key cryptobyte.String
	if !in.ReadASN1Element(&raw, asn1.SEQUENCE) {
		return id, malformed("a CertID")
	}
	id.Raw = raw
	if !raw.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!algorithm.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) || !isNullOrAbsent(algorithm) ||
		!body.ReadASN1(&name, asn1.OCTET_STRING) || !body.ReadASN1(&key, asn1.OCTET_STRING) ||
		len(body) < 2 || body[1] > maxSerial || !body.ReadASN1Integer(&id.Serial) || !body.Empty() {
		return CertID{}, malformed("a CertID")
	}
	id.Hash, id.IssuerNameHash, id.IssuerKeyHash = hashOf(oid), name, key
	if id.Hash != 0 && (len(name) != id.Hash.Size() || len(key) != id.Hash.Size()) {
		return CertID{}, malformed("a CertID whose hashes are not of the length of %v", id.Hash)
	}
	return id, nil
}

// isNullOrAbsent: both forms of the parameters of a hash are in use (RFC 5754, 2).
func isNullOrAbsent(parameters cryptobyte.String) bool {
	return parameters.Empty() || string(parameters) == "\x05\x00"
}
