// Package csr reads PKCS #10 certification requests (RFC 2986) as people and
// machines send them: PEM, DER or bare base64.
//
// [Parse] returns a [Request] only if its self-signature holds, the proof that
// the sender has the private key. It says nothing on whether the key is good
// (package goodkey) or the names may be certified. Parsing costs a few
// microseconds beyond the signature verification.
package csr

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net"
	"strings"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxSize is the largest request that is read, in octets of either form.
const MaxSize = 64 << 10

// RSA keys outside these sizes are refused before their signature is verified:
// smaller ones crypto/rsa does not take, larger ones would let a stranger spend
// our time. What a product allows lies well within.
const (
	minRSA = 1024
	maxRSA = 16384
)

// A Request is a certification request whose proof of possession has been
// verified. Its slices point into Raw.
type Request struct {
	Raw     []byte // the whole request, DER
	TBS     []byte // CertificationRequestInfo, what the signature covers
	Subject []byte // DER name as sent
	SPKI    []byte // SubjectPublicKeyInfo as sent, to be copied into the certificate

	PublicKey crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	Name      dn.Name          // Subject, read

	// The subject alternative names that were asked for; other kinds of name
	// are found in Extensions only.
	DNS, Emails, URIs, UPNs []string
	IPs                     []net.IP

	// Extensions holds every extension that was asked for, undecoded.
	Extensions []tbs.Extension

	// Challenge is the challenge password (RFC 2985, 5.4.1), a secret between
	// the sender and the CA: not to be logged.
	Challenge string
}

// A Code is the stable, machine-readable reason of an [Error].
type Code string

// The reasons for refusing a request.
const (
	Empty          Code = "empty"
	TooLarge       Code = "too_large"
	PrivateKey     Code = "private_key" // it must now count as compromised
	NotARequest    Code = "not_a_request"
	SeveralBlocks  Code = "several_blocks"
	Malformed      Code = "malformed"
	UnsupportedKey Code = "unsupported_key"
	WeakSignature  Code = "weak_signature"
	BadSignature   Code = "bad_signature"
)

// An Error says why a request was refused.
type Error struct {
	Code Code
	Text string // for the person who sent the request
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

func refuse(code Code, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Options change what [Options.Parse] accepts. The zero value is [Parse].
type Options struct {
	// AllowSHA1 accepts a self-signature over SHA-1, as old devices make. It only
	// weakens the proof of possession, never the certificate. MD5 is always refused.
	AllowSHA1 bool
}

// Parse reads one request and verifies its signature. Errors are of type [*Error].
//
// PEM may be surrounded by text, indented, have CRLF line ends, a byte order
// mark, or the label NEW CERTIFICATE REQUEST. More than one PEM block is refused,
// and so are certificates, keys and other things by name.
func Parse(data []byte) (*Request, error) { return Options{}.Parse(data) }

// Parse is the package's Parse under these options.
func (o Options) Parse(data []byte) (*Request, error) {
	der, err := unwrap(data)
	if err != nil {
		return nil, err
	}
	r := &Request{Raw: der}
	alg, signature, err := r.split()
	if err != nil {
		return nil, err
	}
	if err := r.readInfo(); err != nil {
		return nil, err
	}
	if err := r.readKey(); err != nil {
		return nil, err
	}
	if err := o.verify(r, alg, signature); err != nil {
		return nil, err
	}
	return r, nil
}

// split takes CertificationRequest apart.
func (r *Request) split() (alg, signature []byte, err error) {
	input := cryptobyte.String(r.Raw)
	var outer, info, id cryptobyte.String
	if !input.ReadASN1(&outer, cbasn1.SEQUENCE) {
		return nil, nil, unrecognised(r.Raw)
	}
	if !input.Empty() {
		return nil, nil, refuse(Malformed, "The request is followed by %d octets that do not belong to it. Send the request alone.", len(input))
	}
	if !outer.ReadASN1Element(&info, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&id, cbasn1.SEQUENCE) ||
		!outer.ReadASN1BitStringAsBytes(&signature) || !outer.Empty() {
		return nil, nil, unrecognised(r.Raw)
	}
	r.TBS = info
	return id, signature, nil
}

// readInfo reads CertificationRequestInfo.
func (r *Request) readInfo() error {
	input := cryptobyte.String(r.TBS)
	var fields, subject, spki, attributes cryptobyte.String
	var version int
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !fields.ReadASN1Integer(&version) ||
		!fields.ReadASN1Element(&subject, cbasn1.SEQUENCE) || !fields.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return unrecognised(r.Raw)
	}
	// RFC 2986 knows version 0 only, but some devices number it like a certificate.
	if version < 0 || version > 2 {
		return refuse(Malformed, "The request has the unknown version %d.", version)
	}
	// The attributes are not optional, but some devices leave an empty set out.
	if !fields.ReadOptionalASN1(&attributes, nil, cbasn1.Tag(0).ContextSpecific().Constructed()) || !fields.Empty() {
		return refuse(Malformed, "The attributes of the request are malformed.")
	}
	r.Subject, r.SPKI = subject, spki
	name, err := dn.Parse(subject)
	if err != nil {
		return refuse(Malformed, "The subject of the request cannot be read: %s.", strings.TrimPrefix(err.Error(), "dn: "))
	}
	r.Name = name
	return r.readAttributes(attributes)
}

func (r *Request) readKey() error {
	key, err := x509.ParsePKIXPublicKey(r.SPKI)
	if err != nil {
		return refuse(UnsupportedKey, "The public key of the request cannot be read: %v.", err)
	}
	if _, err := tbs.ForKey(key); err != nil {
		return refuse(UnsupportedKey, "Keys of this kind cannot be certified: use RSA, P-256, P-384, P-521 or Ed25519.")
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		if size := k.N.BitLen(); size < minRSA || size > maxRSA {
			return refuse(UnsupportedKey, "The RSA key of the request has %d bits; it must have between %d and %d.", size, minRSA, maxRSA)
		}
	}
	r.PublicKey = key
	return nil
}

// verify checks the proof of possession.
func (o Options) verify(r *Request, id, signature []byte) error {
	alg, err := tbs.ParseAlgorithm(id)
	if err != nil {
		return o.verifyRare(r, id)
	}
	if alg.Verify(r.PublicKey, r.TBS, signature) != nil {
		return badSignature()
	}
	return nil
}

func badSignature() error {
	return refuse(BadSignature, "The signature of the request does not match its public key. The request was damaged or its key belongs to somebody else; create it again.")
}

// Signature algorithms that are refused by name.
var (
	oidMD2WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 2}
	oidMD4WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 3}
	oidMD5WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}
)

// verifyRare leaves SHA-1 and RSA-PSS to crypto/x509, which is slower but knows
// their parameters.
func (o Options) verifyRare(r *Request, id []byte) error {
	input := cryptobyte.String(id)
	var fields cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !input.ReadASN1(&fields, cbasn1.SEQUENCE) || !fields.ReadASN1ObjectIdentifier(&oid) {
		return refuse(Malformed, "The signature algorithm of the request is malformed.")
	}
	if oid.Equal(oidMD2WithRSA) || oid.Equal(oidMD4WithRSA) || oid.Equal(oidMD5WithRSA) {
		return refuse(WeakSignature, "The request is signed with MD5 or older. Create it again with SHA-256.")
	}
	parsed, err := x509.ParseCertificateRequest(r.Raw)
	if err != nil {
		return refuse(Malformed, "The request cannot be read: %v.", err)
	}
	switch parsed.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		if !o.AllowSHA1 {
			return refuse(WeakSignature, "The request is signed with SHA-1. Create it again with SHA-256.")
		}
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
	default:
		return refuse(WeakSignature, "The signature algorithm %s of the request is not supported. Create it again with SHA-256.", oid)
	}
	if parsed.CheckSignature() != nil {
		return badSignature()
	}
	return nil
}
