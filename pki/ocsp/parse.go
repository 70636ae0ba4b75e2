package ocsp

import (
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of [ParseResponse].
const (
	MaxResponse     = 1 << 20 // octets
	maxResponses    = 256
	maxCertificates = 16
)

// A Response is a parsed answer, whose signature is yet to be verified. It points
// into the DER given to [ParseResponse].
type Response struct {
	Answer               // ResponderKeyHash is nil if the responder is named by name
	ResponderName []byte // Name, DER; nil if the responder is named by key
	RawTBS        []byte // the signed bytes
	AlgorithmID   []byte // AlgorithmIdentifier, DER
	Signature     []byte
}

// ParseResponse reads one OCSPResponse in DER. Its error is an [ErrorStatus] if
// the responder gave no answer, and wraps [ErrMalformed] otherwise.
func ParseResponse(der []byte) (*Response, error) {
	if len(der) > MaxResponse {
		return nil, malformed("an answer of %d octets, where %d are allowed", len(der), MaxResponse)
	}
	in := cryptobyte.String(der)
	var outer cryptobyte.String
	var status int
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Enum(&status) || status < 0 || status > 0xff {
		return nil, malformed("not an OCSPResponse")
	}
	if status != 0 {
		if !outer.Empty() {
			return nil, malformed("an error answer that goes on")
		}
		return nil, ErrorStatus(status)
	}
	var wrapper, body, oid, octets cryptobyte.String
	if !outer.ReadASN1(&wrapper, tag0) || !outer.Empty() || !wrapper.ReadASN1(&body, asn1.SEQUENCE) || !wrapper.Empty() ||
		!body.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) || string(oid) != oidBasic ||
		!body.ReadASN1(&octets, asn1.OCTET_STRING) || !body.Empty() {
		return nil, malformed("responseBytes, or not of the basic type")
	}
	return parseBasic(octets)
}

func parseBasic(in cryptobyte.String) (*Response, error) {
	r := &Response{}
	var body, signed, algorithm, data cryptobyte.String
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Element(&signed, asn1.SEQUENCE) ||
		!body.ReadASN1Element(&algorithm, asn1.SEQUENCE) || !body.ReadASN1BitStringAsBytes(&r.Signature) {
		return nil, malformed("BasicOCSPResponse")
	}
	r.RawTBS, r.AlgorithmID = signed, algorithm
	if err := r.parseCertificates(body); err != nil {
		return nil, err
	}
	if !signed.ReadASN1(&data, asn1.SEQUENCE) {
		return nil, malformed("tbsResponseData")
	}
	return r, r.parseData(data)
}

func (r *Response) parseCertificates(in cryptobyte.String) error {
	if in.Empty() {
		return nil
	}
	var wrapper, list, cert cryptobyte.String
	if !in.ReadASN1(&wrapper, tag0) || !in.Empty() || !wrapper.ReadASN1(&list, asn1.SEQUENCE) || !wrapper.Empty() {
		return malformed("certs")
	}
	for !list.Empty() {
		if len(r.Certificates) == maxCertificates || !list.ReadASN1Element(&cert, asn1.SEQUENCE) {
			return malformed("certs, or more than %d", maxCertificates)
		}
		r.Certificates = append(r.Certificates, cert)
	}
	return nil
}

// parseData reads the contents of a ResponseData. Its version can only be the
// default, which DER leaves out.
func (r *Response) parseData(data cryptobyte.String) error {
	if err := r.parseResponder(&data); err != nil {
		return err
	}
	var list, single cryptobyte.String
	if !readTime(&data, &r.ProducedAt) || !data.ReadASN1(&list, asn1.SEQUENCE) {
		return malformed("tbsResponseData")
	}
	for !list.Empty() {
		if len(r.Responses) == maxResponses || !list.ReadASN1(&single, asn1.SEQUENCE) {
			return malformed("responses, or more than %d", maxResponses)
		}
		s, err := parseSingle(single)
		if err != nil {
			return err
		}
		r.Responses = append(r.Responses, s)
	}
	if err := readExtensions(&data, tag1, r.useExtension); err != nil {
		return err
	}
	if !data.Empty() {
		return malformed("more after the end of tbsResponseData")
	}
	return nil
}

func (r *Response) parseResponder(data *cryptobyte.String) error {
	var value, id cryptobyte.String
	var tag asn1.Tag
	if !data.ReadAnyASN1(&value, &tag) {
		return malformed("responderID, or a version other than 1")
	}
	switch {
	case tag == tag1 && value.ReadASN1Element(&id, asn1.SEQUENCE) && value.Empty():
		r.ResponderName = id
	case tag == tag2 && value.ReadASN1(&id, asn1.OCTET_STRING) && value.Empty():
		r.ResponderKeyHash = id
	default:
		return malformed("responderID, or a version other than 1")
	}
	return nil
}

func (r *Response) useExtension(oid []byte, value cryptobyte.String) (understood bool, err error) {
	switch string(oid) {
	case oidNonce:
		r.Nonce, err = readNonce(value)
		return true, err
	case oidExtendedRevoke:
		if string(value) != "\x05\x00" {
			return true, malformed("the extended revoke extension")
		}
		r.ExtendedRevoke = true
		return true, nil
	}
	return false, nil
}

func parseSingle(in cryptobyte.String) (s SingleResponse, err error) {
	if s.ID, err = readCertID(&in); err != nil {
		return s, err
	}
	if !s.readStatus(&in) {
		return s, malformed("certStatus")
	}
	if !readTime(&in, &s.ThisUpdate) {
		return s, malformed("thisUpdate")
	}
	if in.PeekASN1Tag(tag0) {
		var wrapper cryptobyte.String
		if !in.ReadASN1(&wrapper, tag0) || !readTime(&wrapper, &s.NextUpdate) || !wrapper.Empty() {
			return s, malformed("nextUpdate")
		}
	}
	if err := readExtensions(&in, tag1, s.useExtension); err != nil {
		return s, err
	}
	if !in.Empty() {
		return s, malformed("more after the end of a SingleResponse")
	}
	return s, nil
}

func (s *SingleResponse) useExtension(oid []byte, value cryptobyte.String) (understood bool, err error) {
	if string(oid) != oidArchiveCutoff {
		return false, nil
	}
	if !readTime(&value, &s.ArchiveCutoff) || !value.Empty() {
		return true, malformed("archiveCutoff")
	}
	return true, nil
}

func (s *SingleResponse) readStatus(in *cryptobyte.String) bool {
	var value cryptobyte.String
	var tag asn1.Tag
	if !in.ReadAnyASN1(&value, &tag) {
		return false
	}
	switch tag {
	case tagGood:
		s.Status = Good
		return value.Empty()
	case tagUnknown:
		s.Status = Unknown
		return value.Empty()
	case tagRevoked:
		s.Status = Revoked
		return s.readRevoked(value)
	}
	return false
}

func (s *SingleResponse) readRevoked(in cryptobyte.String) bool {
	if !readTime(&in, &s.RevokedAt) {
		return false
	}
	if in.Empty() {
		return true
	}
	var wrapper cryptobyte.String
	return in.ReadASN1(&wrapper, tag0) && in.Empty() && wrapper.ReadASN1Enum(&s.Reason) && wrapper.Empty() && crl.ValidReason(s.Reason)
}

// readTime reads a GeneralizedTime in the form of RFC 5280, 4.1.2.5.2: 15
// characters, UTC, no fractions.
func readTime(in *cryptobyte.String, out *time.Time) bool {
	return len(*in) > 1 && (*in)[1] == 15 && in.ReadASN1GeneralizedTime(out)
}
