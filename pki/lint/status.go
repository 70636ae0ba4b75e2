package lint

import (
	"errors"
	"fmt"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"
	"golang.org/x/crypto/ocsp"
)

// maxCRL is the largest CRL that is linted, in octets. zlint needs all entries in
// memory, some twenty times their size; larger CRLs are built by the same code from
// the same rows, so linting a small one of the same authority tells as much.
const maxCRL = 4 << 20

// CRL lints a certificate revocation list. One of more than 4 MiB is an error.
func (l *Linter) CRL(der []byte, in Input) (Report, error) {
	if err := in.check(); err != nil || l.profile == None {
		return l.report(CRL, der, in).finish(), err
	}
	if len(der) > maxCRL {
		return Report{}, fmt.Errorf("lint: the CRL has %d octets; at most %d are linted", len(der), maxCRL)
	}
	list, err := parseCRL(der)
	if err != nil {
		return Report{}, err
	}
	r := l.report(CRL, der, in)
	for _, z := range l.crls {
		if !z.CheckEffective(list) {
			r.Counts.NotEffective++
			continue
		}
		result, details := guarded(func() (Result, string) {
			out := z.Execute(list, l.config)
			return resultOf(out.Status), out.Details
		})
		r.add(l, z.Name, string(z.Source), z.Citation, result, details)
	}
	l.noSHA1(r, list.SignatureAlgorithm.String())
	return r.finish(), nil
}

// OCSP lints an OCSP answer that was signed, not an error answer.
func (l *Linter) OCSP(der []byte, in Input) (Report, error) {
	if err := in.check(); err != nil || l.profile == None {
		return l.report(OCSP, der, in).finish(), err
	}
	answer, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		return Report{}, fmt.Errorf("lint: the OCSP answer cannot be read: %w", err)
	}
	r := l.report(OCSP, der, in)
	for _, z := range l.answers {
		if !z.CheckEffective(answer) {
			r.Counts.NotEffective++
			continue
		}
		result, details := guarded(func() (Result, string) {
			out := z.Execute(answer, l.config)
			return resultOf(out.Status), out.Details
		})
		r.add(l, z.Name, string(z.Source), z.Citation, result, details)
	}
	l.noSHA1(r, answer.SignatureAlgorithm.String())
	return r.finish(), nil
}

// noSHA1: from 2026-09-15 SHA-1 signs nothing any more, not even CRLs and OCSP
// answers of old authorities. Until then it is worth a warning.
func (l *Linter) noSHA1(r *Report, algorithm string) {
	result, details := Passed, ""
	for _, b := range broken {
		if strings.Contains(strings.ReplaceAll(algorithm, "-", ""), b) {
			result, details = Failed, "the signature algorithm "+algorithm+" is broken"
			if r.Time.Before(day(2026, 9, 15)) {
				result = Warned
			}
		}
	}
	r.add(l, ruleStatusSHA1, OwnSource, "TLS BR 7.1.3.2.1", result, details)
}

// guarded calls a panic a broken lint: zlint itself does so for certificates only.
func guarded(run func() (Result, string)) (result Result, details string) {
	defer func() {
		if p := recover(); p != nil {
			result, details = Broken, fmt.Sprint(p)
		}
	}()
	return run()
}

func parseCRL(der []byte) (list *zx509.RevocationList, err error) {
	defer func() {
		if p := recover(); p != nil {
			list, err = nil, fmt.Errorf("lint: the CRL cannot be read: %v", p)
		}
	}()
	if list, err = zx509.ParseRevocationList(der); err != nil {
		return nil, errors.Join(errors.New("lint: the CRL cannot be read"), err)
	}
	return list, nil
}
