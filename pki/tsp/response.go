package tsp

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A Status is a PKIStatus (RFC 3161, section 2.4.2).
type Status int

// The statuses. Granted and GrantedWithMods come with a token, the others without.
const (
	StatusGranted         Status = 0
	StatusGrantedWithMods Status = 1
	StatusRejection       Status = 2
	StatusWaiting         Status = 3
	StatusRevocationWarn  Status = 4
	StatusRevoked         Status = 5
)

// A Failure is a bit of PKIFailureInfo: why there is no token.
type Failure int

// The failures that RFC 3161 allows.
const (
	NoFailure           Failure = -1 // none was given
	BadAlg              Failure = 0
	BadRequest          Failure = 2
	BadDataFormat       Failure = 5
	TimeNotAvailable    Failure = 14
	UnacceptedPolicy    Failure = 15
	UnacceptedExtension Failure = 16
	AddInfoNotAvailable Failure = 17
	SystemFailure       Failure = 25
)

// String is the name that RFC 3161 gives the failure.
func (f Failure) String() string {
	switch f {
	case NoFailure:
		return "none"
	case BadAlg:
		return "badAlg"
	case BadRequest:
		return "badRequest"
	case BadDataFormat:
		return "badDataFormat"
	case TimeNotAvailable:
		return "timeNotAvailable"
	case UnacceptedPolicy:
		return "unacceptedPolicy"
	case UnacceptedExtension:
		return "unacceptedExtension"
	case AddInfoNotAvailable:
		return "addInfoNotAvailable"
	case SystemFailure:
		return "systemFailure"
	}
	return fmt.Sprintf("failure %d", int(f))
}

// A Rejection is an answer without a token, and the error that led to it.
type Rejection struct {
	Status  Status // StatusRejection when we refuse
	Failure Failure
	Text    string // for people; PKIFreeText
}

func reject(f Failure, format string, args ...any) *Rejection {
	return Reject(f, fmt.Sprintf(format, args...))
}

// Reject refuses a request. The text goes to the caller: no secrets.
func Reject(f Failure, text string) *Rejection {
	return &Rejection{Status: StatusRejection, Failure: f, Text: text}
}

// Error tells status, failure and text.
func (r *Rejection) Error() string {
	return fmt.Sprintf("tsp: status %d, %s: %s", r.Status, r.Failure, r.Text)
}

// Response encodes the TimeStampResp that says so.
func (r *Rejection) Response() []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // PKIStatusInfo
			b.AddASN1Int64(int64(r.Status))
			if r.Text != "" {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(strings.ToValidUTF8(r.Text, "\ufffd"))) })
				})
			}
			if r.Failure < 0 {
				return
			}
			// DER drops trailing zero bits of a named bit list; bit 0 is the leftmost.
			bits := make([]byte, r.Failure/8+1)
			bits[r.Failure/8] = 0x80 >> (r.Failure % 8)
			b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
				b.AddUint8(uint8(7 - r.Failure%8))
				b.AddBytes(bits)
			})
		})
	})
	return b.BytesOrPanic() // nothing in it can fail to encode
}

// Granted encodes the TimeStampResp that carries a token.
func Granted(token []byte) []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(token)+16))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte{0x30, 3, 2, 1, byte(StatusGranted)})
		b.AddBytes(token)
	})
	return b.BytesOrPanic() // fails only beyond 4 GiB
}

// ParseResponse reads one TimeStampResp in DER and returns the token in it, for
// [ParseToken]. The error is a [*Rejection] if the server gave none, and wraps
// [ErrMalformed] otherwise.
func ParseResponse(der []byte) (token []byte, err error) {
	if len(der) > MaxResponse {
		return nil, malformed("an answer of %d octets, where %d are allowed", len(der), MaxResponse)
	}
	in := cryptobyte.String(der)
	var body, info, content cryptobyte.String
	var status int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1Integer(&status) {
		return nil, malformed("not a TimeStampResp")
	}
	if !body.Empty() && (!body.ReadASN1Element(&content, cbasn1.SEQUENCE) || !body.Empty()) {
		return nil, malformed("a TimeStampResp that goes on")
	}
	granted := Status(status) == StatusGranted || Status(status) == StatusGrantedWithMods
	switch {
	case granted && content != nil:
		return content, nil
	case granted || content != nil:
		return nil, malformed("the status %d with or without a token", status)
	}
	r := &Rejection{Status: Status(status), Failure: NoFailure}
	if !r.read(info) {
		return nil, malformed("PKIStatusInfo")
	}
	return nil, r
}

func (r *Rejection) read(in cryptobyte.String) bool {
	if in.PeekASN1Tag(cbasn1.SEQUENCE) {
		var texts, text cryptobyte.String
		if !in.ReadASN1(&texts, cbasn1.SEQUENCE) {
			return false
		}
		var list []string
		for !texts.Empty() {
			if !texts.ReadASN1(&text, cbasn1.UTF8String) {
				return false
			}
			list = append(list, strings.ToValidUTF8(string(text), "\ufffd"))
		}
		r.Text = strings.Join(list, " ")
	}
	if in.Empty() {
		return true
	}
	var bits cryptobyte.String
	var unused uint8
	if !in.ReadASN1(&bits, cbasn1.BIT_STRING) || !in.Empty() || !bits.ReadUint8(&unused) || unused > 7 || len(bits) > 8 {
		return false
	}
	for i := range len(bits) * 8 {
		if bits[i/8]&(0x80>>(i%8)) != 0 {
			r.Failure = Failure(i)
			return true
		}
	}
	return true
}
