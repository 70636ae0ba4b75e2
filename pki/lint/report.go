package lint

import (
	"cmp"
	"slices"
	"time"

	"github.com/zmap/zlint/v3/lint"
)

// Version names the linters behind a report. The second number counts changes of
// our own rules.
const Version = "zlint v3.7.1, sealwright 1"

// OwnSource is the source of the rules that are ours.
const OwnSource = "Sealwright"

// reportFormat counts incompatible changes of the JSON form of [Report].
const reportFormat = 1

// A Stage says what was linted.
type Stage string

// The stages.
const (
	Presigned Stage = "presign" // a TBSCertificate that is about to be signed
	Issued    Stage = "issued"  // a signed certificate or pre-certificate
	CRL       Stage = "crl"
	OCSP      Stage = "ocsp"
)

// A Severity is what a finding means for the issuance.
type Severity string

// The severities, from harmless to forbidding.
const (
	Ignore Severity = "ignore"
	Warn   Severity = "warn"
	Error  Severity = "error"
)

func (s Severity) rank() int { return slices.Index([]Severity{Ignore, Warn, Error}, s) }

// A Result is what a lint itself said.
type Result string

// The results. Passed, NotApplicable and NotEffective are counted only.
const (
	Passed        Result = "pass"
	NotApplicable Result = "not-applicable"
	NotEffective  Result = "not-effective" // the rule was not in force when the certificate began
	Noticed       Result = "notice"
	Warned        Result = "warn"
	Failed        Result = "error"
	Broken        Result = "fatal" // the lint could not be run
)

// severity is what a result means where no row of the policy says otherwise.
func (r Result) severity() Severity {
	switch r {
	case Failed, Broken:
		return Error
	case Warned:
		return Warn
	}
	return Ignore
}

func resultOf(s lint.LintStatus) Result {
	switch s {
	case lint.Pass:
		return Passed
	case lint.NA:
		return NotApplicable
	case lint.NE:
		return NotEffective
	case lint.Notice:
		return Noticed
	case lint.Warn:
		return Warned
	case lint.Error:
		return Failed
	}
	return Broken
}

// A Report is the evidence of one linting. The JSON form is stable: findings have
// one order, and fields are only ever added within a format. Details are for people;
// a few lints of zlint word them differently from run to run.
type Report struct {
	Format   int       `json:"format"`
	Linter   string    `json:"linter"`
	Profile  Profile   `json:"profile"`
	Stage    Stage     `json:"stage"`
	Time     time.Time `json:"time"`
	SHA256   string    `json:"sha256"`  // of the linted octets, the TBSCertificate before signing
	Verdict  Severity  `json:"verdict"` // the worst severity found; "ignore" says nothing is wrong
	Counts   Counts    `json:"counts"`
	Findings []Finding `json:"findings"` // the worst first, then by name
}

// Counts are the results of all lints of the profile.
type Counts struct {
	Passed        int `json:"passed"`
	NotApplicable int `json:"notApplicable"`
	NotEffective  int `json:"notEffective"`
	Errors        int `json:"errors"` // by decided severity, as are the two below
	Warnings      int `json:"warnings"`
	Ignored       int `json:"ignored"`
}

// A Finding is a lint that did not simply pass.
type Finding struct {
	Lint     string   `json:"lint"`
	Source   string   `json:"source"`
	Citation string   `json:"citation,omitempty"`
	Result   Result   `json:"result"`
	Details  string   `json:"details,omitempty"`
	Severity Severity `json:"severity"`
}

// Has tells whether the lint of that name made a finding.
func (r Report) Has(name string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Lint == name })
}

// maxDetails bounds what a lint may say, in octets: some repeat the certificate.
const maxDetails = 1000

func (r *Report) add(l *Linter, name, source, citation string, result Result, details string) {
	switch result {
	case Passed:
		r.Counts.Passed++
		return
	case NotApplicable:
		r.Counts.NotApplicable++
		return
	case NotEffective:
		r.Counts.NotEffective++
		return
	}
	f := Finding{Lint: name, Source: source, Citation: citation, Result: result, Details: clip(details), Severity: l.decide(name, source, result, r.Time)}
	switch f.Severity {
	case Error:
		r.Counts.Errors++
	case Warn:
		r.Counts.Warnings++
	default:
		r.Counts.Ignored++
	}
	r.Findings = append(r.Findings, f)
}

// clip shortens at a boundary of characters, and keeps what is no UTF-8 out of JSON.
func clip(s string) string {
	out := []rune(s) // what is no UTF-8 becomes U+FFFD, one for each octet
	if len(out) > maxDetails {
		out = append(out[:maxDetails], '…')
	}
	return string(out)
}

func (r *Report) finish() Report {
	r.Verdict = Ignore
	for _, f := range r.Findings {
		if f.Severity.rank() > r.Verdict.rank() {
			r.Verdict = f.Severity
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity.rank(), a.Severity.rank()), cmp.Compare(a.Lint, b.Lint))
	})
	return *r
}
