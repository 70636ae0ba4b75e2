package lint

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/tbs"
)

// checkIssuer: name and key identifier are those of the CA, octet by octet.
func checkIssuer(s *subject) (Result, string) {
	issuer := s.in.Issuer
	switch {
	case issuer == nil:
		return skipped()
	case !bytes.Equal(s.cert.RawIssuer, issuer.subject):
		return failed("the issuer's name is not the subject of the CA's certificate")
	case len(s.cert.AuthorityKeyId) == 0 && bytes.Equal(s.cert.RawIssuer, s.cert.RawSubject): // a root may go without
		return passed()
	case len(issuer.keyID) > 0 && !bytes.Equal(s.cert.AuthorityKeyId, issuer.keyID):
		return failed("the authority key identifier %x is not the CA's %x", s.cert.AuthorityKeyId, issuer.keyID)
	}
	return passed()
}

// checkWithinIssuer: a certificate that outlives its CA cannot be verified to its end.
func checkWithinIssuer(s *subject) (Result, string) {
	issuer := s.in.Issuer
	switch {
	case issuer == nil:
		return skipped()
	case s.cert.NotAfter.After(issuer.notAfter):
		return failed("the certificate ends at %s, after its CA at %s", s.cert.NotAfter.UTC().Format(time.RFC3339), issuer.notAfter.UTC().Format(time.RFC3339))
	case s.cert.NotBefore.Before(issuer.notBefore):
		return failed("the certificate begins at %s, before its CA at %s", s.cert.NotBefore.UTC().Format(time.RFC3339), issuer.notBefore.UTC().Format(time.RFC3339))
	}
	return passed()
}

const (
	extPoison  = "1.3.6.1.4.1.11129.2.4.3"
	extSCTList = "1.3.6.1.4.1.11129.2.4.2"
)

// checkSCTs: a final certificate carries as many SCTs as wanted, each of another log,
// and a pre-certificate carries none.
func checkSCTs(s *subject) (Result, string) {
	_, poisoned := s.cert.ExtensionsMap[extPoison]
	_, listed := s.cert.ExtensionsMap[extSCTList]
	if poisoned && listed {
		return failed("a pre-certificate must not carry an SCT list")
	}
	if s.in.SCTs == 0 && !listed {
		return skipped()
	}
	logs := map[string]bool{}
	for _, sct := range s.cert.SignedCertificateTimestampList {
		id := string(sct.LogID[:])
		if logs[id] {
			return failed("two SCTs are of the log %x", id)
		}
		logs[id] = true
	}
	switch {
	case listed && len(logs) == 0:
		return failed("the SCT list cannot be read or is empty")
	case poisoned && s.stage == Issued:
		return failed("%d SCTs are wanted, but this is a pre-certificate", s.in.SCTs)
	case !poisoned && len(logs) < s.in.SCTs:
		return failed("the certificate carries %d SCTs; %d are wanted", len(logs), s.in.SCTs)
	}
	return passed()
}

// checkPrecertificate: the certificate is the pre-certificate with the poison replaced
// by the SCT list, and nothing else changed. Only then does the linting of the one
// count for the other.
func checkPrecertificate(s *subject) (Result, string) {
	if s.in.Precert == nil {
		return skipped()
	}
	pre := s.in.Precert
	if inner, ok := tbsOf(pre); ok {
		pre = inner
	}
	want, err := tbs.LogTBS(pre)
	if err != nil {
		return failed("the pre-certificate cannot be compared: %v", err)
	}
	got, err := tbs.LogTBS(s.cert.RawTBSCertificate)
	if err != nil {
		return failed("the certificate cannot be compared with its pre-certificate: %v", err)
	}
	if !bytes.Equal(want, got) {
		return failed("the certificate differs from its pre-certificate %s", firstDifference(want, got))
	}
	if _, poisoned := s.cert.ExtensionsMap[extPoison]; poisoned {
		return failed("the certificate is still a pre-certificate")
	}
	return passed()
}

// tbsOf takes the TBSCertificate out of a Certificate. What begins with a version or
// a number is a TBSCertificate already.
func tbsOf(der []byte) ([]byte, bool) {
	input := cryptobyte.String(der)
	var fields, inner cryptobyte.String
	ok := input.ReadASN1(&fields, cbasn1.SEQUENCE) && fields.ReadASN1Element(&inner, cbasn1.SEQUENCE)
	return inner, ok
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at octet %d", i)
		}
	}
	return fmt.Sprintf("in length: %d and %d octets", len(a), len(b))
}
