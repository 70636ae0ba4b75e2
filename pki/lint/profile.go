package lint

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	_ "github.com/zmap/zlint/v3" // registers the lints
	"github.com/zmap/zlint/v3/lint"
)

// A Profile says by which rules a certificate is judged.
type Profile string

// The profiles.
const (
	PublicTLS   Profile = "public-tls"   // CA/Browser Forum TLS BR and EVG, root programmes, RFCs
	PublicSMIME Profile = "public-smime" // CA/Browser Forum S/MIME BR, Mozilla, RFCs
	ETSI        Profile = "etsi"         // EN 319 412, RFCs; TLS BR too where the certificate is for servers
	Private     Profile = "private"      // RFCs and what makes a certificate unusable
	None        Profile = "none"         // nothing is linted; the report says so
)

// Profiles lists them in the order in which a form shows them.
func Profiles() []Profile { return []Profile{PublicTLS, PublicSMIME, ETSI, Private, None} }

// A Rule is a row of the policy: what findings of a lint, or of all lints of a
// source, mean from one day until another.
type Rule struct {
	Lint     string    `json:"lint,omitempty"`   // the name of a lint, or
	Source   string    `json:"source,omitempty"` // of a source such as "CABF_BR"; one of the two
	Severity Severity  `json:"severity"`
	From     time.Time `json:"from,omitzero"`  // by the time of linting; zero: always
	Until    time.Time `json:"until,omitzero"` // exclusive; zero: for ever
	Why      string    `json:"why,omitempty"`
}

func (r Rule) check() error {
	if r.Severity.rank() < 0 {
		return fmt.Errorf("there is no severity %q", r.Severity)
	}
	if (r.Lint == "") == (r.Source == "") {
		return errors.New("name either a lint or a source")
	}
	if !r.Until.IsZero() && !r.From.Before(r.Until) {
		return errors.New("the row ends before it begins")
	}
	if r.Source != "" && r.Source != OwnSource && !slices.Contains(lint.GlobalRegistry().Sources(), lint.LintSource(r.Source)) {
		return fmt.Errorf("there is no source %q", r.Source)
	}
	if r.Lint != "" && !known(r.Lint) {
		return fmt.Errorf("there is no lint %q", r.Lint)
	}
	return nil
}

func known(name string) bool {
	all := lint.GlobalRegistry()
	return all.CertificateLints().ByName(name) != nil || all.RevocationListLints().ByName(name) != nil || all.OcspResponseLints().ByName(name) != nil ||
		slices.ContainsFunc(ownRules, func(r ownRule) bool { return r.id == name }) || name == ruleStatusSHA1
}

// decide finds the severity of a finding. A row for the lint wins over one for its
// source, and among equals the later row wins.
func (l *Linter) decide(name, source string, result Result, at time.Time) Severity {
	severity, byName := result.severity(), false
	for _, r := range l.rules {
		if at.Before(r.From) || !r.Until.IsZero() && !at.Before(r.Until) {
			continue
		}
		switch {
		case r.Lint == name:
			severity, byName = r.Severity, true
		case r.Lint == "" && r.Source == source && !byName:
			severity = r.Severity
		}
	}
	return severity
}

// For is the linter of a profile without further rows. It is made when it is first
// asked for; an unknown profile panics, since profiles are constants.
func For(p Profile) *Linter {
	l, ok := linters[p]
	if !ok {
		panic(fmt.Sprintf("lint: there is no profile %q", p))
	}
	return l()
}

// linters are made once and never written again.
var linters = func() map[Profile]func() *Linter {
	all := map[Profile]func() *Linter{}
	for _, p := range Profiles() {
		all[p] = sync.OnceValue(func() *Linter {
			l, err := New(p)
			if err != nil {
				panic(err) // unreachable: a test makes every profile
			}
			return l
		})
	}
	return all
}()

// A setup is what a profile stands for.
type setup struct {
	sources []lint.LintSource
	rules   []Rule
}

var rfcs = []lint.LintSource{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC6962, lint.RFC8813}

// profiles is the table of which lints apply where, and of the severities in which
// we differ from zlint.
func profiles() map[Profile]setup {
	forum := []Rule{
		{Lint: "w_ext_subject_key_identifier_missing_sub_cert", Severity: Ignore, Why: "RFC 5280 recommends what TLS BR 7.1.2.7.6 does not"},
		{Lint: "w_ct_sct_policy_count_unsatisfied", Severity: Ignore, Why: "how many SCTs are wanted is the product's business; see sw_sct_list"},
	}
	return map[Profile]setup{
		PublicTLS: {
			sources: slices.Concat(rfcs, []lint.LintSource{
				lint.CABFBaselineRequirements, lint.CABFEVGuidelines, lint.MozillaRootStorePolicy, lint.AppleRootStorePolicy,
				lint.ChromeRootStorePolicy, lint.Community,
			}),
			rules: append(forum, Rule{Lint: "n_dnsname_wildcard_left_of_public_suffix", Severity: Error, Why: "TLS BR 3.2.2.6"}),
		},
		PublicSMIME: {
			sources: slices.Concat(rfcs, []lint.LintSource{lint.CABFSMIMEBaselineRequirements, lint.MozillaRootStorePolicy, lint.Community}),
		},
		ETSI: {
			sources: slices.Concat(rfcs, []lint.LintSource{lint.EtsiEsi, lint.CABFBaselineRequirements, lint.CABFEVGuidelines, lint.Community}),
			rules:   forum,
		},
		Private: {sources: rfcs},
		None:    {},
	}
}
