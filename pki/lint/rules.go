package lint

import (
	"fmt"
	"slices"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
)

// A subject is what our own rules look at.
type subject struct {
	cert    *zx509.Certificate
	in      Input
	stage   Stage
	profile Profile
	signed  time.Time // the time of signing, or notBefore where that is not known
	server  bool      // zlint's view: it may serve TLS
}

// leaf: the rules on content are about certificates of subscribers.
func (s *subject) leaf() bool { return !s.cert.IsCA }

// An ownRule is a lint of ours. It gives the worst result that it can, and details for
// people; [Passed] and [NotApplicable] go without.
type ownRule struct {
	id, citation string
	profiles     []Profile // nil: all but None
	check        func(*subject) (Result, string)
}

// The names of our rules that stand elsewhere too.
const ruleStatusSHA1 = "e_sw_status_sha1"

var publicProfiles = []Profile{PublicTLS, PublicSMIME}

// ownRules are what zlint cannot know, or sees differently than pki-rules do. As with
// zlint, "e" rules fail and "w" rules warn.
var ownRules = []ownRule{
	{"e_sw_serial", "TLS BR 7.1.2.7; RFC 5280: 4.1.2.2", nil, checkSerial},
	{"e_sw_not_before", "TLS BR 7.1.2.7", []Profile{PublicTLS, PublicSMIME, ETSI}, checkNotBefore},
	{"e_sw_validity", "TLS BR 6.3.2; S/MIME BR 6.3.2", publicProfiles, checkValidity},
	{"e_sw_common_name", "TLS BR 7.1.4.3; S/MIME BR 7.1.4.2.2", publicProfiles, checkCommonName},
	{"w_sw_common_name", "RFC 9525: 2", []Profile{ETSI, Private}, asWarning(checkCommonName)},
	{"e_sw_names", "TLS BR 4.2.2, 7.1.2.7.12; S/MIME BR 4.2.2", publicProfiles, checkNames},
	{"e_sw_policy", "TLS BR 7.1.2.7.9; S/MIME BR 7.1.6.1", publicProfiles, checkPolicy},
	{"e_sw_key_usage", "RFC 5280: 4.2.1.3, 4.2.1.12; RFC 3161: 2.3", nil, checkKeyUsage},
	{"e_sw_purpose", "TLS BR 7.1.2.7.10; S/MIME BR 7.1.2.3", publicProfiles, checkPurpose},
	{"e_sw_algorithm", "TLS BR 7.1.3.2", nil, checkAlgorithm},
	{"e_sw_issuer", "RFC 5280: 4.1.2.4, 4.2.1.1", nil, checkIssuer},
	{"e_sw_within_issuer", "RFC 5280: 6.1.3", nil, checkWithinIssuer},
	{"e_sw_sct_list", "RFC 6962: 3.3", nil, checkSCTs},
	{"e_sw_precertificate", "RFC 6962: 3.2; TLS BR 4.3.1.2", nil, checkPrecertificate},
}

func ownRulesOf(p Profile) []ownRule {
	if p == None {
		return nil
	}
	var out []ownRule
	for _, r := range ownRules {
		if r.profiles == nil || slices.Contains(r.profiles, p) {
			out = append(out, r)
		}
	}
	return out
}

// run keeps a defect of a rule from passing for a good certificate, as zlint does.
func (r ownRule) run(s *subject) (result Result, details string) {
	defer func() {
		if p := recover(); p != nil {
			result, details = Broken, fmt.Sprint(p)
		}
	}()
	return r.check(s)
}

func asWarning(check func(*subject) (Result, string)) func(*subject) (Result, string) {
	return func(s *subject) (Result, string) {
		result, details := check(s)
		if result == Failed {
			result = Warned
		}
		return result, details
	}
}

func failed(format string, args ...any) (Result, string) {
	return Failed, fmt.Sprintf(format, args...)
}

// passed and skipped are the two results without details.
func passed() (Result, string)  { return Passed, "" }
func skipped() (Result, string) { return NotApplicable, "" }
