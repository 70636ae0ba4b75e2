package domainval

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Name is a domain name or IP address in the one form in which it is stored,
// compared and looked up. The zero Name is none; [ParseName] makes one.
type Name struct {
	ASCII    string     // A-labels in lower case, without "*." and trailing dot; an address as netip writes it
	Wildcard bool       // stands for the names one label below
	IP       netip.Addr // valid for an address only
}

// String gives the name as it stands in a certificate.
func (n Name) String() string {
	if n.Wildcard {
		return "*." + n.ASCII
	}
	return n.ASCII
}

// Unicode gives the name as people write it.
func (n Name) Unicode() string {
	if n.IP.IsValid() {
		return n.ASCII
	}
	u, err := profile.ToUnicode(n.ASCII)
	if err != nil {
		u = n.ASCII
	}
	if n.Wildcard {
		return "*." + u
	}
	return u
}

// profile is that of UTS 46 for looking names up, strict in what stands in a
// label and without the transitional mappings.
var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.ValidateLabels(true), idna.CheckHyphens(true), idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(true))

// ParseName reads a domain name, with or without "*." before it, or an IP
// address. Faults are of kind Invalid.
func ParseName(text string) (Name, error) {
	s := strings.TrimSuffix(strings.TrimSpace(text), ".")
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return Name{ASCII: addr.String(), IP: addr}, nil
	}
	rest, wildcard := strings.CutPrefix(s, "*.")
	ascii, err := profile.ToASCII(rest)
	if err == nil && !stable(ascii) || !utf8.ValidString(text) {
		ascii = ""
	}
	if err != nil || ascii == "" {
		return Name{}, fault.Invalidf("domain.malformed", "%q is not a domain name.", clip(text)).
			WithNext("Write a name such as www.example.org; letters outside ASCII are allowed.").WithField("domain").WithCause(err)
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if strings.Trim(last, "0123456789") == "" { // RFC 3696, section 2: it would be taken for an address
		return Name{}, fault.Invalidf("domain.malformed", "%q ends in a number and is neither a domain name nor an IP address.", clip(text)).WithField("domain")
	}
	return Name{ASCII: ascii, Wildcard: wildcard}, nil
}

// stable tells whether a name in A-labels is one that reading it again gives: a
// label that decodes to something else has two forms and is refused.
func stable(ascii string) bool {
	again, err := profile.ToASCII(ascii)
	return err == nil && again == ascii
}

// clip keeps what stands in a message short.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// internalSuffixes are the names that are not in the public DNS although some
// of them look like it (RFC 6761, 6762, 7686, 8375, 9476 and the ICANN
// resolution on .internal).
var internalSuffixes = []string{"test", "example", "invalid", "localhost", "local", "onion", "alt", "internal", "home.arpa"}

// reverseSuffixes are the zones of reverse look-ups (TLS BR 4.2.2, rule 17).
var reverseSuffixes = []string{"in-addr.arpa", "ip6.arpa"}

// CheckPublic tells whether a publicly trusted certificate may hold the name:
// it ends in a public suffix of the ICANN part of the list and is longer than
// it, and is no internal name, reverse zone or reserved address.
func (n Name) CheckPublic() error {
	if n.IP.IsValid() {
		if class := egress.Class(n.IP); class != "" {
			return n.refuse("address", "The address %s is not on the public internet (%s), so nobody can show control over it.", n, class)
		}
		return nil
	}
	if under(n.ASCII, internalSuffixes) || !strings.Contains(n.ASCII, ".") && icannSuffix(n.ASCII) == "" {
		return n.refuse("internal", "%s is an internal name: it is not in the public DNS, so nobody can show control over it.", n)
	}
	if under(n.ASCII, reverseSuffixes) {
		return n.refuse("reverse", "%s lies in a zone for reverse look-ups, which publicly trusted certificates must not hold.", n)
	}
	switch suffix := icannSuffix(n.ASCII); {
	case suffix == "":
		return n.refuse("internal", "%s ends in a top-level domain that does not exist in the public DNS.", n)
	case len(suffix) >= len(n.ASCII):
		return n.refuse("suffix", "%s is a public suffix: it belongs to a registry, not to one applicant.", n)
	}
	return nil
}

func (n Name) refuse(code, format string, args ...any) error {
	return fault.Invalidf("domain."+code, format, args...).WithNext("Use a name that you have registered, or a product that is not publicly trusted.").WithField("domain")
}

func under(name string, suffixes []string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return name == s || strings.HasSuffix(name, "."+s) })
}

// icannSuffix is the public suffix of a name by the ICANN part of the list
// (TLS BR 3.2.2.6); empty if its top-level domain is not on the list. A suffix
// of the private part is shortened until one of the ICANN part is left.
func icannSuffix(name string) string {
	for name != "" {
		suffix, icann := publicsuffix.PublicSuffix(name)
		if icann {
			return suffix
		}
		if _, name, _ = strings.Cut(suffix, "."); name == "" {
			return ""
		}
	}
	return ""
}

// Base is the base domain: one label more than the public suffix. That of an
// internal name is its last label; a public suffix is its own.
func (n Name) Base() string {
	if n.IP.IsValid() {
		return n.ASCII
	}
	suffix := icannSuffix(n.ASCII)
	if suffix == "" {
		return n.ASCII[strings.LastIndexByte(n.ASCII, '.')+1:]
	}
	if len(suffix) >= len(n.ASCII) {
		return n.ASCII
	}
	head := strings.TrimSuffix(n.ASCII, "."+suffix)
	return head[strings.LastIndexByte(head, '.')+1:] + "." + suffix
}

// maxAncestors bounds the look-ups that one name can cause.
const maxAncestors = 12

// Authorities lists the names at which control may be shown for n by a method
// that covers what is below: n itself and its ancestors up to the base domain
// (the authorization domain names of the TLS BR), at most 12 of them. Of a name
// with more labels the ones nearest to the base are kept, and n.
func (n Name) Authorities() []string {
	base := n.Base()
	var names []string
	for s := n.ASCII; ; _, s, _ = strings.Cut(s, ".") {
		names = append(names, s)
		if len(s) <= len(base) {
			break
		}
	}
	if over := len(names) - maxAncestors; over > 0 {
		names = slices.Delete(names, 1, 1+over)
	}
	return names
}

// covers tells whether evidence for a domain reaches a name.
func covers(domain string, subtree bool, n Name) bool {
	if n.ASCII == domain {
		return !n.Wildcard || subtree
	}
	return subtree && !n.IP.IsValid() && strings.HasSuffix(n.ASCII, "."+domain)
}
