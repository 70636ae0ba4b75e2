package ocsp

import "fmt"

// An ErrorStatus is an unsigned answer that says why there is none (RFC 6960,
// 2.3). As an error, it is what [ParseResponse] returns for such an answer.
type ErrorStatus uint8

// The error answers, with when a responder gives them.
const (
	Malformed     ErrorStatus = 1 // the request cannot be read
	InternalError ErrorStatus = 2 // the responder failed; another may do better
	TryLater      ErrorStatus = 3 // the responder cannot answer now
	SigRequired   ErrorStatus = 5 // the request must be signed
	Unauthorized  ErrorStatus = 6 // this responder knows nothing of that issuer (RFC 5019, 2.2.3)
)

// DER returns the whole OCSPResponse, as a fresh copy.
func (s ErrorStatus) DER() []byte { return []byte{0x30, 3, 0x0a, 1, byte(s)} }

// Error names the status as RFC 6960 does.
func (s ErrorStatus) Error() string {
	names := [...]string{Malformed: "malformedRequest", InternalError: "internalError", TryLater: "tryLater", SigRequired: "sigRequired", Unauthorized: "unauthorized"}
	if int(s) < len(names) && names[s] != "" {
		return "ocsp: the responder answered " + names[s]
	}
	return fmt.Sprintf("ocsp: the responder answered with status %d", uint8(s))
}
