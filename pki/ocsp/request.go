package ocsp

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of [ParseRequest]. RFC 5019 expects one certificate a request.
const (
	MaxRequest  = 64 << 10 // octets
	MaxRequests = 16       // certificates
)

// A Request asks for the status of certificates. It points into the DER given to
// [ParseRequest].
type Request struct {
	IDs   []CertID // 1 to [MaxRequests]
	Nonce []byte   // to be repeated in the answer; nil if there is none
	// Signed says that the request is signed. The signature is not looked at:
	// answers are public, and nobody is served on the strength of it.
	Signed bool
}

// ParseRequest reads one OCSPRequest in DER. Every error wraps [ErrMalformed].
func ParseRequest(der []byte) (*Request, error) {
	if len(der) > MaxRequest {
		return nil, malformed("a request of %d octets, where %d are allowed", len(der), MaxRequest)
	}
	in := cryptobyte.String(der)
	var outer, tbs, list cryptobyte.String
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&tbs, asn1.SEQUENCE) {
		return nil, malformed("not an OCSPRequest")
	}
	r := &Request{}
	if err := r.parseSignature(outer); err != nil {
		return nil, err
	}
	// version [0] can only be the default, which DER leaves out.
	if tbs.PeekASN1Tag(tag1) && !skipRequestor(&tbs) {
		return nil, malformed("requestorName")
	}
	if !tbs.ReadASN1(&list, asn1.SEQUENCE) || list.Empty() {
		return nil, malformed("requestList, or a version other than 1")
	}
	if err := r.parseList(list); err != nil {
		return nil, err
	}
	if err := readExtensions(&tbs, tag2, r.useExtension); err != nil {
		return nil, err
	}
	if !tbs.Empty() {
		return nil, malformed("more after the end of tbsRequest")
	}
	return r, nil
}

func (r *Request) parseList(list cryptobyte.String) error {
	for !list.Empty() {
		var single cryptobyte.String
		if len(r.IDs) == MaxRequests {
			return malformed("more than %d certificates in one request", MaxRequests)
		}
		if !list.ReadASN1(&single, asn1.SEQUENCE) {
			return malformed("a Request")
		}
		id, err := readCertID(&single)
		if err != nil {
			return err
		}
		if err := readExtensions(&single, tag0, noneUnderstood); err != nil {
			return err
		}
		if !single.Empty() {
			return malformed("a Request")
		}
		r.IDs = append(r.IDs, id)
	}
	return nil
}

func (r *Request) useExtension(oid []byte, value cryptobyte.String) (understood bool, err error) {
	switch string(oid) {
	case oidNonce:
		r.Nonce, err = readNonce(value)
		return true, err
	case oidResponseTypes:
		return true, checkResponseTypes(value)
	case oidPreferredAlgs:
		// A preference, which RFC 6960, 4.4.7.2 lets the responder not follow.
		return true, nil
	}
	return false, nil
}

// checkResponseTypes: a client lists the types it understands, and the basic
// one, the only one there is, must be among them (RFC 6960, 4.4.3).
func checkResponseTypes(value cryptobyte.String) error {
	var list, oid cryptobyte.String
	if !value.ReadASN1(&list, asn1.SEQUENCE) || !value.Empty() {
		return malformed("AcceptableResponses")
	}
	basic := false
	for !list.Empty() {
		if !list.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) {
			return malformed("AcceptableResponses")
		}
		basic = basic || string(oid) == oidBasic
	}
	if !basic {
		return malformed("AcceptableResponses without the basic type")
	}
	return nil
}

func (r *Request) parseSignature(rest cryptobyte.String) error {
	if rest.Empty() {
		return nil
	}
	var wrapper, signature cryptobyte.String
	if !rest.ReadASN1(&wrapper, tag0) || !rest.Empty() || !wrapper.ReadASN1(&signature, asn1.SEQUENCE) || !wrapper.Empty() {
		return malformed("optionalSignature")
	}
	if !signature.SkipASN1(asn1.SEQUENCE) || !signature.SkipASN1(asn1.BIT_STRING) ||
		!signature.SkipOptionalASN1(tag0) || !signature.Empty() {
		return malformed("optionalSignature")
	}
	r.Signed = true
	return nil
}

// skipRequestor skips [1] EXPLICIT GeneralName.
func skipRequestor(in *cryptobyte.String) bool {
	var wrapper, name cryptobyte.String
	var tag asn1.Tag
	return in.ReadASN1(&wrapper, tag1) && wrapper.ReadAnyASN1(&name, &tag) && wrapper.Empty()
}

// BuildRequest asks about certificates, with a nonce of 1 to [MaxNonce] octets
// or none. RFC 9654 wants 32 random octets; without a nonce, an answer may have
// been signed ahead, and caches may hold it.
func BuildRequest(ids []CertID, nonce []byte) ([]byte, error) {
	if len(ids) == 0 || len(ids) > MaxRequests {
		return nil, errors.New("ocsp: a request asks about 1 to 16 certificates")
	}
	if len(nonce) > MaxNonce {
		return nil, errors.New("ocsp: a nonce has at most 128 octets (RFC 9654, 2.1)")
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, id := range ids {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(id.Raw) })
				}
			})
			if len(nonce) > 0 {
				b.AddASN1(tag2, func(b *cryptobyte.Builder) {
					b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { addNonce(b, nonce) })
				})
			}
		})
	})
	return b.Bytes()
}
