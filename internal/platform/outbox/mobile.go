package outbox

import (
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// ParseMobile brings an international telephone number to its E.164 form:
// "+47 900 00 000", "0047 90000000" and "+47-900-00-000" give "+4790000000". It
// wants the country code, and 8 to 15 digits with it (ITU-T E.164, section 6).
// Otherwise it returns a fault with code "mobile.malformed". Whether the number
// exists, or is a mobile one, only its operator knows.
func ParseMobile(s string) (string, error) {
	compact := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\u00a0', '-', '.', '(', ')', '/':
			return -1
		}
		return r
	}, s)
	if rest, ok := strings.CutPrefix(compact, "00"); ok {
		compact = "+" + rest
	}
	digits, international := strings.CutPrefix(compact, "+")
	plain := strings.Trim(digits, "0123456789") == "" && !strings.HasPrefix(digits, "0")
	if len(s) > 40 || !international || !plain || len(digits) < 8 || len(digits) > 15 {
		return "", fault.Invalidf("mobile.malformed", "%q is not an international mobile number.", clip(s)).
			WithNext("Write it with the country code, like +47 900 00 000.").WithField("mobile")
	}
	return "+" + digits, nil
}
