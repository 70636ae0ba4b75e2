package lint

import (
	"net"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/encoding/asn1"
	"github.com/zmap/zlint/v3/util"
)

// checkCommonName: a common name is one of the alternative names, and what looks like
// a mailbox in the subject stands there too.
func checkCommonName(s *subject) (Result, string) {
	if !s.leaf() {
		return skipped()
	}
	for _, cn := range s.cert.Subject.CommonNames {
		if !s.named(cn) && (s.server && s.profile != PublicSMIME || strings.Contains(cn, "@")) {
			return failed("the common name %q is not among the subject alternative names", cn)
		}
	}
	for _, address := range s.cert.Subject.EmailAddress {
		if !slices.Contains(s.cert.EmailAddresses, address) {
			return failed("the e-mail address %q of the subject is not among the subject alternative names", address)
		}
	}
	return passed()
}

// named compares octet by octet, as TLS BR 7.1.4.3 demands, IP addresses by value.
func (s *subject) named(name string) bool {
	if slices.Contains(s.cert.DNSNames, name) || slices.Contains(s.cert.EmailAddresses, name) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && slices.ContainsFunc(s.cert.IPAddresses, ip.Equal)
}

// checkNames: everything that is named can be reached by everybody on the Internet.
func checkNames(s *subject) (Result, string) {
	if !s.leaf() {
		return skipped()
	}
	names := s.cert.DNSNames
	for _, address := range s.cert.EmailAddresses {
		at := strings.LastIndexByte(address, '@')
		if at < 1 {
			return failed("%q is not an e-mail address", address)
		}
		names = append(names[:len(names):len(names)], address[at+1:])
	}
	for _, name := range names {
		if why := s.internal(strings.ToLower(strings.TrimPrefix(name, "*."))); why != "" {
			return failed("%q %s", name, why)
		}
	}
	for _, ip := range s.cert.IPAddresses {
		if util.IsIANAReserved(ip) {
			return failed("the address %s is reserved or private", ip)
		}
	}
	return passed()
}

// internal says why a name is not one of the public DNS, or nothing.
func (s *subject) internal(name string) string {
	switch {
	case net.ParseIP(name) != nil:
		return "is an IP address, not a DNS name"
	case !strings.Contains(strings.Trim(name, "."), "."):
		return "is not a fully qualified domain name"
	case strings.HasSuffix(name, ".arpa"):
		return "belongs to a reverse zone"
	case !util.HasValidTLD(name, s.signed):
		return "is an internal name: its last label is no top-level domain"
	}
	return ""
}

// The reserved policy identifiers of the CA/Browser Forum.
var (
	tlsPolicies = []asn1.ObjectIdentifier{
		{2, 23, 140, 1, 1}, {2, 23, 140, 1, 2, 1}, {2, 23, 140, 1, 2, 2}, {2, 23, 140, 1, 2, 3},
	}
	smimePolicies = asn1.ObjectIdentifier{2, 23, 140, 1, 5} // .1 to .4 for the kind, .1 to .3 for the generation
)

// checkPolicy: exactly one of the identifiers that say how the subject was validated.
func checkPolicy(s *subject) (Result, string) {
	if !s.leaf() {
		return skipped()
	}
	found := 0
	for _, id := range s.cert.PolicyIdentifiers {
		reserved := len(id) == 7 && slices.Equal(id[:5], smimePolicies)
		if s.profile == PublicTLS {
			reserved = slices.ContainsFunc(tlsPolicies, func(p asn1.ObjectIdentifier) bool { return slices.Equal(p, id) })
		}
		if reserved {
			found++
		}
	}
	if found != 1 {
		return failed("the certificate names %d of the reserved policies of its kind; it must name one", found)
	}
	return passed()
}
