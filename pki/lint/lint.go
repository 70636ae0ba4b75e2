// Package lint checks certificates, CRLs and OCSP answers before and after they
// are signed (TLS BR and S/MIME BR 4.3.1.2), with zlint and with rules of our own.
//
//	linter := lint.For(lint.PublicTLS)
//	report, err := linter.Presign(tbs, lint.Input{Now: now, Issuer: issuer})
//	if report.Verdict == lint.Error { … }   // do not sign; store the report
//	report, err = linter.Certificate(der, lint.Input{Now: now, Signed: now, Issuer: issuer, Precert: pre, SCTs: 2})
//
// What is linted before signing is exactly what will be signed: [Linter.Presign]
// wraps the TBSCertificate with a constant in place of the signature.
//
// A [Profile] says which sources of lints apply; [New] adds or changes severities by
// lint or source, with effective dates. An error of these functions says that the
// input could not be read at all, which must stop an issuance like a finding does.
//
// A linter is made once and used by any number of goroutines. A certificate for
// public TLS costs 0.3 ms, half of zlint's own run over all its lints; one of a
// private PKI costs 0.1 ms.
package lint

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
	"github.com/zmap/zlint/v3/util"
)

// An Input is what cannot be read from the linted object.
type Input struct {
	Now    time.Time // the time of linting; goes into the report. Required
	Signed time.Time // when the object was signed; zero when that is not known. Presign takes Now
	Issuer *Issuer   // nil: nothing is compared with the issuer

	SCTs    int    // how many SCTs a final certificate must carry; see Precert
	Precert []byte // DER of the pre-certificate or its TBSCertificate; nil: there is none to compare with
}

// A Linter lints under one profile and one set of severities. Build it with [New] or [For].
type Linter struct {
	profile Profile
	rules   []Rule // the profile's, then the caller's: later rows win
	certs   []*lint.CertificateLint
	crls    []*lint.RevocationListLint
	answers []*lint.OcspResponseLint
	config  lint.Configuration
	own     []ownRule
}

// maxCertificate is the largest certificate that is linted, in octets.
const maxCertificate = 256 << 10

// New makes a linter. Rows of rules come after the profile's own and win over them.
// A row that names an unknown lint or source, or a severity that does not exist, is an
// error: a misspelt row would silently change nothing.
func New(p Profile, rules ...Rule) (*Linter, error) {
	setup, ok := profiles()[p]
	if !ok {
		return nil, fmt.Errorf("lint: there is no profile %q", p)
	}
	for i, r := range rules {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("lint: row %d: %w", i+1, err)
		}
	}
	l := &Linter{profile: p, rules: slices.Concat(setup.rules, rules), own: ownRulesOf(p)}
	all := lint.GlobalRegistry()
	l.config = all.GetConfiguration()
	applies := func(s lint.LintSource) bool { return slices.Contains(setup.sources, s) }
	for _, z := range all.CertificateLints().Lints() {
		if applies(z.Source) {
			l.certs = append(l.certs, z)
		}
	}
	for _, z := range all.RevocationListLints().Lints() {
		if applies(z.Source) {
			l.crls = append(l.crls, z)
		}
	}
	for _, z := range all.OcspResponseLints().Lints() {
		if applies(z.Source) {
			l.answers = append(l.answers, z)
		}
	}
	return l, nil
}

// Certificate lints a signed certificate or pre-certificate.
func Certificate(der []byte, p Profile, in Input) (Report, error) { return For(p).Certificate(der, in) }

// Presign lints a TBSCertificate before it is signed.
func Presign(tbs []byte, p Profile, in Input) (Report, error) { return For(p).Presign(tbs, in) }

// Certificate lints a signed certificate or pre-certificate. The signature itself is
// not verified: that is [pki/tbs]' business when it signs.
//
// [pki/tbs]: https://pkg.go.dev/github.com/sealwright/sealwright/pki/tbs
func (l *Linter) Certificate(der []byte, in Input) (Report, error) {
	return l.certificate(der, der, Issued, in)
}

// Presign lints a TBSCertificate before it is signed (TLS BR 4.3.1.2).
func (l *Linter) Presign(tbs []byte, in Input) (Report, error) {
	der, err := withDummySignature(tbs, in.Issuer)
	if err != nil {
		return Report{}, err
	}
	in.Signed = in.Now
	return l.certificate(der, tbs, Presigned, in)
}

// certificate lints der; evidence is the octets that the report names by their hash.
func (l *Linter) certificate(der, evidence []byte, stage Stage, in Input) (Report, error) {
	if l.profile == None {
		return l.report(stage, evidence, in).finish(), in.check()
	}
	if len(der) > maxCertificate {
		return Report{}, fmt.Errorf("lint: the certificate has %d octets; at most %d are linted", len(der), maxCertificate)
	}
	if err := in.check(); err != nil {
		return Report{}, err
	}
	cert, err := parse(der)
	if err != nil {
		return Report{}, err
	}
	r := l.report(stage, evidence, in)
	l.runZlint(cert, r)
	s := &subject{cert: cert, in: in, stage: stage, profile: l.profile, signed: in.Signed, server: util.IsServerAuthCert(cert)}
	if s.signed.IsZero() {
		s.signed = cert.NotBefore
	}
	for _, rule := range l.own {
		result, details := rule.run(s)
		r.add(l, rule.id, OwnSource, rule.citation, result, details)
	}
	return r.finish(), nil
}

// runZlint is what zlint.LintCertificateEx does, without a map of all results and
// without making lints whose date or kind of certificate rules them out.
func (l *Linter) runZlint(cert *zx509.Certificate, r *Report) {
	server, email, code := util.IsServerAuthCert(cert), util.IsEmailProtectionCert(cert), util.IsCodeSigning(cert.PolicyIdentifiers)
	for _, z := range l.certs {
		if !z.OverrideFrameworkFilter {
			if z.Source == lint.CABFBaselineRequirements && !server || z.Source == lint.CABFSMIMEBaselineRequirements && !email ||
				z.Source == lint.CABFCSBaselineRequirements && !code {
				r.Counts.NotApplicable++
				continue
			}
		}
		if !z.CheckEffective(cert) {
			r.Counts.NotEffective++
			continue
		}
		result := z.Execute(cert, l.config) // recovers from panics and calls them fatal
		r.add(l, z.Name, string(z.Source), z.Citation, resultOf(result.Status), result.Details)
	}
}

// parse keeps a panic of the parser, which is not ours, from ending the process.
func parse(der []byte) (cert *zx509.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			cert, err = nil, fmt.Errorf("lint: the certificate cannot be read: %v", p)
		}
	}()
	cert, err = zx509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("lint: the certificate cannot be read: %w", err)
	}
	return cert, nil
}

func (in Input) check() error {
	if in.Now.IsZero() {
		return errors.New("lint: the time of linting is not given")
	}
	return nil
}

func (l *Linter) report(stage Stage, evidence []byte, in Input) *Report {
	sum := sha256.Sum256(evidence)
	return &Report{
		Format: reportFormat, Linter: Version, Profile: l.profile, Stage: stage, Time: in.Now.UTC().Truncate(time.Microsecond),
		SHA256: hex.EncodeToString(sum[:]), Findings: []Finding{},
	}
}
