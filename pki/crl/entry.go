package crl

import (
	"errors"
	"fmt"
	"time"
)

// Reasons for revocation (RFC 5280, 5.3.1). CertificateHold and RemoveFromCRL
// belong to suspension, which TLS BR 4.9.13 forbids; RemoveFromCRL is for delta
// lists only.
const (
	Unspecified          = 0 // never written: 5.3.1 wants the extension left out
	KeyCompromise        = 1
	CACompromise         = 2
	AffiliationChanged   = 3
	Superseded           = 4
	CessationOfOperation = 5
	CertificateHold      = 6
	RemoveFromCRL        = 8
	PrivilegeWithdrawn   = 9
	AACompromise         = 10
)

// ValidReason says whether RFC 5280 defines the reason; 7 is not used.
func ValidReason(reason int) bool {
	return reason >= Unspecified && reason <= AACompromise && reason != 7
}

// maxSerial is in octets of DER content, sign included: RFC 5280, 4.1.2.2.
const maxSerial = 20

// AppendEntry appends to dst the DER of one revoked certificate, ready to be
// stored and handed to [Write].
//
// Serial is the serial number as a big-endian magnitude, as [math/big.Int.Bytes]
// gives; leading zeros do not matter. At is the revocation date, invalidity the
// date from which the key was not to be trusted, or zero for none; both are cut
// to whole seconds. A serial number that is zero or not below 2^159, an
// undefined reason, and a time outside the years 1950 to 9999 are errors, and
// dst is returned as it was: a stored bad entry would spoil every later list.
func AppendEntry(dst []byte, serial []byte, at time.Time, reason int, invalidity time.Time) ([]byte, error) {
	for len(serial) > 0 && serial[0] == 0 {
		serial = serial[1:]
	}
	switch {
	case len(serial) == 0:
		return dst, errors.New("crl: an entry needs a serial number above zero")
	case len(serial) > maxSerial || len(serial) == maxSerial && serial[0] >= 0x80:
		return dst, fmt.Errorf("crl: serial number %x is not below 2^159", serial)
	case !ValidReason(reason):
		return dst, fmt.Errorf("crl: RFC 5280 defines no revocation reason %d", reason)
	case !encodable(at) || !invalidity.IsZero() && !encodable(invalidity):
		return dst, errors.New("crl: revocation and invalidity dates must lie in the years 1950 to 9999")
	}
	// An entry is far below 128 octets, so that all its lengths are one octet and
	// can be put right afterwards.
	start := len(dst)
	dst = append(dst, tagSequence, 0, tagInteger, byte(len(serial)))
	if serial[0] >= 0x80 {
		dst[len(dst)-1]++
		dst = append(dst, 0)
	}
	dst = append(dst, serial...)
	dst = appendTime(dst, at)
	dst = appendEntryExtensions(dst, reason, invalidity)
	dst[start+1] = byte(len(dst) - start - 2)
	return dst, nil
}

func appendEntryExtensions(dst []byte, reason int, invalidity time.Time) []byte {
	if reason == Unspecified && invalidity.IsZero() {
		return dst
	}
	start := len(dst)
	dst = append(dst, tagSequence, 0)
	if reason != Unspecified {
		dst = append(dst, tagSequence, 10)
		dst = append(dst, oidReasonCode...)
		dst = append(dst, tagOctetString, 3, tagEnumerated, 1, byte(reason))
	}
	if !invalidity.IsZero() {
		dst = append(dst, tagSequence, 24)
		dst = append(dst, oidInvalidityDate...)
		dst = append(dst, tagOctetString, 17)
		dst = appendGeneralizedTime(dst, invalidity)
	}
	dst[start+1] = byte(len(dst) - start - 2)
	return dst
}
