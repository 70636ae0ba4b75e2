package lint

import (
	"bytes"
	"time"
)

// checkSerial: greater than zero, below 2^159, and long enough to hold 64 bits of
// randomness, which must not look as if there were none.
func checkSerial(s *subject) (Result, string) {
	n := s.cert.SerialNumber
	switch {
	case n.Sign() <= 0:
		return failed("the serial number is not greater than zero")
	case n.BitLen() > 159:
		return failed("the serial number has %d bits; fewer than 160 are allowed", n.BitLen())
	case n.BitLen() < 64:
		return failed("the serial number has %d bits and cannot hold 64 random ones", n.BitLen())
	}
	octets := n.Bytes()
	low := octets[len(octets)-8:]
	if bytes.Count(low, low[:1]) == len(low) {
		return failed("the last 64 bits of the serial number are not random")
	}
	return passed()
}

// notBeforeWindow is how far notBefore may lie from the time of signing.
const notBeforeWindow = 48 * time.Hour

func checkNotBefore(s *subject) (Result, string) {
	if s.in.Signed.IsZero() {
		return skipped()
	}
	if d := s.cert.NotBefore.Sub(s.in.Signed); d.Abs() > notBeforeWindow {
		return failed("the certificate begins at %s, more than %s from its signature at %s", s.cert.NotBefore.UTC().Format(time.RFC3339), notBeforeWindow, s.in.Signed.UTC().Format(time.RFC3339))
	}
	return passed()
}

// A validityLimit is a row of the table of how long a certificate may live, by the
// day on which it is signed.
type validityLimit struct {
	profile Profile
	from    time.Time // inclusive
	days    int       // of 86,400 seconds
}

// validityLimits in the order of days; the last row that has begun holds.
var validityLimits = []validityLimit{
	{PublicTLS, day(2020, 9, 1), 398},
	{PublicTLS, day(2026, 3, 15), 200},
	{PublicTLS, day(2027, 3, 15), 100},
	{PublicTLS, day(2029, 3, 15), 47},
	{PublicSMIME, day(2023, 9, 1), 825}, // 1185 for the legacy generation, banned since 2025-07-15
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// MaxValidity is the longest life in days of a certificate of this profile that is
// signed at the given time, or 0 where there is no limit. Both ends count (TLS BR
// 6.3.2): the last second is part of it.
func MaxValidity(p Profile, signed time.Time) int {
	days := 0
	for _, l := range validityLimits {
		if l.profile == p && !signed.Before(l.from) {
			days = l.days
		}
	}
	return days
}

func checkValidity(s *subject) (Result, string) {
	// A certificate cannot escape a new limit by being dated back.
	signed := s.signed
	if s.cert.NotBefore.After(signed) {
		signed = s.cert.NotBefore
	}
	limit := MaxValidity(s.profile, signed)
	if limit == 0 || !s.leaf() {
		return skipped()
	}
	life := s.cert.NotAfter.Sub(s.cert.NotBefore) + time.Second
	if life > time.Duration(limit)*24*time.Hour {
		return failed("the certificate lives for %.6g days; those signed on %s may live for %d", life.Hours()/24, signed.UTC().Format(time.DateOnly), limit)
	}
	return passed()
}
