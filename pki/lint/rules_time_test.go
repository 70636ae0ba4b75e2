package lint

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// Row 1 is data with dates.
func TestTheLimitOfValidityChangesWithTheDay(t *testing.T) {
	for _, test := range []struct {
		profile Profile
		signed  time.Time
		days    int
	}{
		{PublicTLS, day(2026, 3, 14), 398},
		{PublicTLS, day(2026, 3, 15), 200},
		{PublicTLS, day(2027, 3, 14), 200},
		{PublicTLS, day(2027, 3, 15), 100},
		{PublicTLS, day(2029, 3, 14), 100},
		{PublicTLS, day(2029, 3, 15), 47},
		{PublicTLS, day(2040, 1, 1), 47},
		{PublicSMIME, day(2026, 1, 1), 825},
		{Private, day(2026, 1, 1), 0},
		{ETSI, day(2026, 1, 1), 0},
	} {
		if got := MaxValidity(test.profile, test.signed); got != test.days {
			t.Errorf("%s on %s: %d, want %d", test.profile, test.signed.Format(time.DateOnly), got, test.days)
		}
	}
}

// A certificate that is dated back over the day of a change must keep to the new limit.
func TestDatingBackDoesNotEscapeANewLimit(t *testing.T) {
	w := newWorld(t)
	l := w.tls()
	l.NotBefore = day(2027, 3, 14)
	days(200)(l)
	at := day(2027, 3, 15).Add(time.Hour)
	r, err := Presign(l.raw(t), PublicTLS, Input{Now: at, Issuer: w.issuer})
	if err != nil || !r.Has("e_sw_validity") {
		t.Errorf("%v %+v", err, r.Findings)
	}
}

func TestLimitsThemselvesAreAllowed(t *testing.T) {
	w := newWorld(t)
	for name, l := range map[string]*leaf{
		"exactly 200 days": func() *leaf { l := w.tls(); days(200)(l); return l }(),
		"48 hours back":    func() *leaf { l := w.tls(); l.NotBefore = signedAt.Add(-48 * time.Hour); days(90)(l); return l }(),
		"an empty subject": func() *leaf { l := w.tls(); l.cn = ""; return l }(),
		"a wildcard":       func() *leaf { l := w.tls(); l.cn = ""; l.san.DNS = []string{"*.example.com"}; return l }(),
		"a public address": func() *leaf { l := w.tls(); l.cn = "93.184.216.34"; l.san.IP = []net.IP{ip("93.184.216.34")}; return l }(),
		"64 bits":          func() *leaf { l := w.tls(); l.Serial = []byte{0x80, 1, 2, 3, 4, 5, 6, 7}; return l }(),
		"159 bits": func() *leaf {
			l := w.tls()
			l.Serial = append([]byte{0x7f}, bytes.Repeat([]byte{0x47, 0x11, 0x33}, 6)...)
			l.Serial = append(l.Serial, 1)
			return l
		}(),
	} {
		if r := w.presign(For(PublicTLS), l.raw(t)); r.Verdict == Error {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}
