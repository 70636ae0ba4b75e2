package tsp

import (
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/cms"
)

// A Request asks for a time-stamp over an imprint (RFC 3161, section 2.4.1).
type Request struct {
	Imprint    Imprint
	Policy     asn1.ObjectIdentifier // nil for any
	Nonce      []byte                // the contents of an INTEGER, see [Nonce]; nil for none
	CertReq    bool                  // the token is to carry the unit's certificate
	Extensions []Extension
}

// Bytes encodes the request.
func (r *Request) Bytes() ([]byte, error) {
	imprint, err := r.Imprint.der()
	if err != nil {
		return nil, err
	}
	if len(r.Nonce) > maxNonce {
		return nil, fmt.Errorf("tsp: a nonce of %d octets, where %d are allowed", len(r.Nonce), maxNonce)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddBytes(imprint)
		if r.Policy != nil {
			b.AddASN1ObjectIdentifier(r.Policy)
		}
		addNonce(b, r.Nonce)
		if r.CertReq {
			b.AddASN1Boolean(true)
		}
		addExtensions(b, tag0, r.Extensions)
	})
	return b.Bytes()
}

// ParseRequest reads one TimeStampReq in DER, of at most [MaxRequest] octets. Its
// error is always a [*Rejection] that says what to answer. The request points
// into der.
func ParseRequest(der []byte) (*Request, error) {
	if len(der) > MaxRequest {
		return nil, reject(BadDataFormat, "the request has %d octets, where %d are allowed", len(der), MaxRequest)
	}
	in := cryptobyte.String(der)
	var body cryptobyte.String
	var version int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) {
		return nil, reject(BadDataFormat, "not a time-stamp request in DER")
	}
	if version != 1 {
		return nil, reject(BadRequest, "the version of the request is %d, not 1", version)
	}
	r := &Request{}
	var err error
	if r.Imprint, err = readImprint(&body); errors.Is(err, cms.ErrUnsupported) {
		return nil, reject(BadAlg, "the hash algorithm is not accepted; use SHA-256, SHA-384 or SHA-512")
	} else if err != nil {
		return nil, reject(BadDataFormat, "the message imprint cannot be read, or its length is not that of its hash")
	}
	if body.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER) && !body.ReadASN1ObjectIdentifier(&r.Policy) {
		return nil, reject(BadDataFormat, "the policy cannot be read")
	}
	ok := false
	if r.Nonce, ok = readNonce(&body); !ok {
		return nil, reject(BadDataFormat, "the nonce cannot be read, or has more than %d octets", maxNonce)
	}
	if body.PeekASN1Tag(cbasn1.BOOLEAN) && !body.ReadASN1Boolean(&r.CertReq) {
		return nil, reject(BadDataFormat, "certReq cannot be read")
	}
	if r.Extensions, ok = readExtensions(&body, tag0); !ok || !body.Empty() {
		return nil, reject(BadDataFormat, "the request has parts that cannot be read")
	}
	return r, nil
}
