package lint

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/encoding/asn1"
	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zcrypto/x509/pkix"

	"github.com/sealwright/sealwright/pki/tbs"
)

var (
	oidKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// Sets of key usages, of which one must be there.
const (
	signs   = zx509.KeyUsageDigitalSignature
	commits = zx509.KeyUsageDigitalSignature | zx509.KeyUsageContentCommitment
	agrees  = zx509.KeyUsageDigitalSignature | zx509.KeyUsageKeyEncipherment | zx509.KeyUsageKeyAgreement
)

// purposes is what RFC 5280, 4.2.1.12 calls consistent. Purposes that are not listed
// fit every key usage.
var purposes = []struct {
	purpose zx509.ExtKeyUsage
	name    string
	usage   zx509.KeyUsage
}{
	{zx509.ExtKeyUsageServerAuth, "server authentication", agrees},
	{zx509.ExtKeyUsageClientAuth, "client authentication", zx509.KeyUsageDigitalSignature | zx509.KeyUsageKeyAgreement},
	{zx509.ExtKeyUsageCodeSigning, "code signing", signs},
	{zx509.ExtKeyUsageEmailProtection, "e-mail protection", commits | agrees},
	{zx509.ExtKeyUsageTimeStamping, "time stamping", commits},
	{zx509.ExtKeyUsageOcspSigning, "OCSP signing", commits},
}

// checkKeyUsage: key usage, purposes and kind of key fit each other.
func checkKeyUsage(s *subject) (Result, string) {
	c := s.cert
	present := slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidKeyUsage) })
	signsCerts := c.KeyUsage&zx509.KeyUsageCertSign != 0
	switch {
	case !present:
		return failed("there is no key usage")
	case c.IsCA && !signsCerts:
		return failed("a CA must be allowed to sign certificates")
	case !c.IsCA && signsCerts:
		return failed("only a CA may sign certificates")
	case c.IsCA:
		return passed()
	}
	if bad := c.KeyUsage & wrongUsage(c.PublicKey); bad != 0 {
		return failed("a key of this kind cannot be used for encipherment or agreement as key usage %#x says", int(bad))
	}
	for _, p := range purposes {
		if slices.Contains(c.ExtKeyUsage, p.purpose) && c.KeyUsage&p.usage == 0 {
			return failed("the purpose %s does not fit key usage %#x", p.name, int(c.KeyUsage))
		}
	}
	if slices.Contains(c.ExtKeyUsage, zx509.ExtKeyUsageTimeStamping) {
		critical := slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidExtKeyUsage) && e.Critical })
		if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) != 1 || !critical {
			return failed("time stamping must be the only purpose, and critical")
		}
	}
	return passed()
}

// wrongUsage is what a key of this kind cannot do (RFC 8813, RFC 8410 section 5).
func wrongUsage(key any) zx509.KeyUsage {
	switch key.(type) {
	case *ecdsa.PublicKey, *zx509.AugmentedECDSA:
		return zx509.KeyUsageKeyEncipherment | zx509.KeyUsageDataEncipherment
	case ed25519.PublicKey:
		return zx509.KeyUsageKeyEncipherment | zx509.KeyUsageDataEncipherment | zx509.KeyUsageKeyAgreement
	}
	return 0
}

// checkPurpose: the certificate is for what its profile is for, and for nothing else.
func checkPurpose(s *subject) (Result, string) {
	if !s.leaf() || slices.Contains(s.cert.ExtKeyUsage, zx509.ExtKeyUsageOcspSigning) {
		return skipped()
	}
	wanted, name := zx509.ExtKeyUsageServerAuth, "server authentication"
	others := []zx509.ExtKeyUsage{zx509.ExtKeyUsageClientAuth}
	if s.profile == PublicSMIME {
		wanted, name = zx509.ExtKeyUsageEmailProtection, "e-mail protection"
		others = nil // which others are allowed depends on the generation; zlint knows them
	}
	if !slices.Contains(s.cert.ExtKeyUsage, wanted) {
		return failed("the purpose %s is missing", name)
	}
	for _, p := range s.cert.ExtKeyUsage {
		switch {
		case p == zx509.ExtKeyUsageAny, s.profile == PublicTLS && p != wanted && !slices.Contains(others, p),
			p == zx509.ExtKeyUsageCodeSigning, p == zx509.ExtKeyUsageTimeStamping, s.profile == PublicSMIME && p == zx509.ExtKeyUsageServerAuth:
			return failed("the certificate is for %s and must not be for purpose %s as well", name, purposeName(p))
		}
	}
	if s.profile == PublicTLS && len(s.cert.UnknownExtKeyUsage) > 0 {
		return failed("the certificate is for %s and must not be for purpose %s as well", name, s.cert.UnknownExtKeyUsage[0])
	}
	return passed()
}

func purposeName(p zx509.ExtKeyUsage) string {
	for _, known := range purposes {
		if known.purpose == p {
			return known.name
		}
	}
	return fmt.Sprintf("number %d", int(p))
}

// broken are parts of the names of signature algorithms over hashes that no longer hold.
var broken = []string{"MD2", "MD5", "SHA1"}

// checkAlgorithm: no broken hash, and an algorithm that the issuer's key can make.
func checkAlgorithm(s *subject) (Result, string) {
	name := s.cert.SignatureAlgorithm.String()
	for _, b := range broken {
		if strings.Contains(name, b) {
			return failed("the signature algorithm %s is broken", name)
		}
	}
	if s.in.Issuer == nil {
		return passed()
	}
	want, err := tbs.ForKey(s.in.Issuer.key)
	if err != nil {
		return failed("the issuer's key is of a kind that cannot sign: %v", err)
	}
	if kind(want.String()) != kind(name) {
		return failed("the certificate names the signature algorithm %s, but the issuer's key makes %s", name, want)
	}
	return passed()
}

// kind is the key's part of an algorithm's name, such as "RSA" in "SHA256-RSA".
func kind(name string) string {
	for _, k := range []string{"ECDSA", "RSA", "Ed25519"} {
		if strings.Contains(name, k) {
			return k
		}
	}
	return name
}
