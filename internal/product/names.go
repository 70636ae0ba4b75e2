package product

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// maxValue bounds one value of a request, in bytes.
const maxValue = 4096

// normalise brings a value into the one form in which it is compared, checked
// and certified. Its error says what a person should mend.
func (f *planned) normalise(value string) (string, error) {
	value = strings.TrimSpace(value)
	if value == "" || len(value) > maxValue || !utf8.ValidString(value) {
		return "", errors.New("is empty, too long or not UTF-8")
	}
	switch f.name {
	case "subject.C", "subject.jurisdictionC", "subject.countryOfCitizenship", "subject.countryOfResidence":
		return strings.ToUpper(value), nil
	case "subject.emailAddress", "san.email":
		return mailbox(value)
	case "subject.CN":
		return value, nil
	case "san.dns":
		return domain(value)
	case "san.ip":
		return address(value)
	case "san.uri":
		return uri(value)
	case "san.upn":
		if at := strings.LastIndexByte(value, '@'); at < 1 || at == len(value)-1 {
			return "", errors.New("is not a user principal name such as name@example.com")
		}
	case "san.guid":
		return strings.ToLower(strings.Trim(value, "{}")), nil
	case "ext.sid":
		return strings.ToUpper(value), nil
	case "ext.scope":
		return strings.ToLower(value), nil
	}
	return value, nil
}

// domain gives the ASCII form of a domain name in lower case; a wildcard keeps
// its star.
func domain(name string) (string, error) {
	bare, wildcard := strings.CutPrefix(name, "*.")
	bare = strings.TrimSuffix(bare, ".")
	ascii, err := hostname(bare)
	if err != nil {
		return "", err
	}
	if wildcard {
		return "*." + ascii, nil
	}
	return ascii, nil
}

// hostname: plain ASCII names, nearly all there are, need no tables.
func hostname(name string) (string, error) {
	if plain(name) {
		if lower := strings.ToLower(name); labelsFit(lower) {
			return lower, nil
		}
		return "", errors.New("is not a domain name")
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || !labelsFit(ascii) {
		return "", errors.New("is not a domain name")
	}
	// A label that is punycode already must be one that IDNA would make.
	if unicode, err := idna.Lookup.ToUnicode(ascii); err != nil || unicode == "" {
		return "", errors.New("holds a label that is no valid punycode")
	}
	return ascii, nil
}

// plain tells whether a name is ASCII letters, digits, hyphens, underscores and
// dots, with no label of punycode or with hyphens where punycode has them.
func plain(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_':
		case c == '-':
			if i >= 3 && name[i-1] == '-' && (i == 3 || name[i-4] == '.') {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func labelsFit(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// mailbox keeps the local part as it is, for only its host may say that capitals
// do not matter.
func mailbox(text string) (string, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 1 || at > 64 {
		return "", errors.New("is not an e-mail address")
	}
	for i := 0; i < at; i++ {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>[]:;,\"@`, c) >= 0 {
			return "", errors.New("has characters before the @ that are not possible in an e-mail address of ASCII")
		}
	}
	host, err := hostname(text[at+1:])
	if err != nil || len(host)+at+1 > 254 {
		return "", errors.New("is not an e-mail address")
	}
	return text[:at+1] + host, nil
}

func address(text string) (string, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return "", errors.New("is not an IP address")
	}
	return ip.Unmap().String(), nil
}

func uri(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.String() == u.Scheme+":" {
		return "", errors.New("is not a URL")
	}
	if u.Host != "" {
		host, err := hostname(u.Hostname())
		if _, isIP := netip.ParseAddr(u.Hostname()); err != nil && isIP != nil {
			return "", errors.New("is not a URL with a domain name")
		}
		if isIP := strings.Contains(u.Hostname(), ":"); !isIP {
			u.Host = strings.Replace(u.Host, u.Hostname(), host, 1)
		}
	}
	return u.String(), nil
}

// publicName says why a domain name cannot be certified under public trust, or
// nothing (TLS BR 4.2.2, 7.1.2.7.12; a registry's own suffix, 3.2.2.6).
func publicName(name string) string {
	bare, wildcard := strings.CutPrefix(name, "*.")
	if strings.Contains(bare, "_") {
		return "holds an underscore"
	}
	if bare == "arpa" || strings.HasSuffix(bare, ".arpa") {
		return "lies in a zone of reverse addresses"
	}
	suffix, icann := publicsuffix.PublicSuffix(bare)
	if !icann && !strings.Contains(suffix, ".") {
		return "does not end in a public top-level domain"
	}
	if suffix == bare && icann {
		if wildcard {
			return fmt.Sprintf("covers all of %q, which belongs to a registry", bare)
		}
		return "belongs to a registry"
	}
	return ""
}

// reserved are the address blocks beyond those that netip knows, of the IANA
// special-purpose registries.
func reserved() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
	} {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// publicAddress tells whether an address may be certified under public trust (TLS
// BR 4.2.2).
func publicAddress(text string) bool {
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, block := range reserved() {
		if block.Contains(ip) {
			return false
		}
	}
	return true
}
