package bundle

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealwright/sealwright/pki/dn"
)

var (
	oidKeyID            = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAlternativeNames = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidUPN              = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// readExtension reads the extensions that matter here and passes over others.
func (c *Certificate) readExtension(id asn1.ObjectIdentifier, value cryptobyte.String) bool {
	switch {
	case id.Equal(oidKeyID):
		var key cryptobyte.String
		ok := value.ReadASN1(&key, cbasn1.OCTET_STRING)
		c.keyID = key
		return ok
	case id.Equal(oidAuthorityKeyID):
		var body, key cryptobyte.String
		var there bool
		ok := value.ReadASN1(&body, cbasn1.SEQUENCE) && body.ReadOptionalASN1(&key, &there, cbasn1.Tag(0).ContextSpecific())
		c.authorityID = key
		return ok
	case id.Equal(oidBasicConstraints):
		var body cryptobyte.String
		return value.ReadASN1(&body, cbasn1.SEQUENCE) &&
			(!body.PeekASN1Tag(cbasn1.BOOLEAN) || body.ReadASN1Boolean(&c.Authority))
	case id.Equal(oidAlternativeNames):
		return c.readNames(value)
	}
	return true
}

func (c *Certificate) readNames(value cryptobyte.String) bool {
	var list cryptobyte.String
	if !value.ReadASN1(&list, cbasn1.SEQUENCE) {
		return false
	}
	all := true
	for !list.Empty() {
		var content cryptobyte.String
		var tag cbasn1.Tag
		if !list.ReadAnyASN1(&content, &tag) {
			return false
		}
		name, ok := generalName(tag, content)
		if all = all && ok; name != "" {
			c.Names = append(c.Names, name)
		}
	}
	return all
}

// generalName writes a GeneralName (RFC 5280, section 4.2.1.6) as people know it. It
// is empty for kinds that nobody looks for.
func generalName(tag cbasn1.Tag, content cryptobyte.String) (string, bool) {
	switch tag {
	case cbasn1.Tag(1).ContextSpecific(), cbasn1.Tag(6).ContextSpecific(): // mailbox, URI
		return printable(string(content)), true
	case cbasn1.Tag(2).ContextSpecific():
		return strings.ToLower(printable(string(content))), true
	case cbasn1.Tag(4).ContextSpecific().Constructed():
		name, err := dn.Parse(content)
		return printable(name.String()), err == nil
	case cbasn1.Tag(7).ContextSpecific():
		ip, ok := netip.AddrFromSlice(content)
		if !ok {
			return "", false
		}
		return ip.String(), true
	case cbasn1.Tag(0).ContextSpecific().Constructed():
		return userPrincipalName(content)
	}
	return "", true
}

// userPrincipalName reads the one OtherName that people know.
func userPrincipalName(content cryptobyte.String) (string, bool) {
	var id asn1.ObjectIdentifier
	var value cryptobyte.String
	if !content.ReadASN1ObjectIdentifier(&id) {
		return "", false
	}
	if !id.Equal(oidUPN) {
		return "", true
	}
	if !content.ReadASN1(&value, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return "", false
	}
	name, err := dn.DirectoryString(value)
	return printable(name), err == nil
}

// Purpose is the set of names that the certificate is for: see [Purpose].
func (c *Certificate) Purpose() []string { return Purpose(c.CommonName, c.Names) }

// Purpose is the set of names that a certificate is for, in lower case and sorted: its
// alternative names or, where there are none, a common name that looks like a host or
// mailbox. It may be empty.
func Purpose(commonName string, alternative []string) []string {
	names := make([]string, 0, len(alternative))
	for _, n := range alternative {
		names = append(names, strings.ToLower(n))
	}
	if len(names) == 0 && strings.Contains(commonName, ".") && !strings.ContainsAny(commonName, " ,=") {
		names = append(names, strings.ToLower(commonName))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Identity is the same for certificates of exactly the same set of names, which
// follow each other. Without names it is that of the subject.
func (c *Certificate) Identity() string {
	h := sha256.New()
	names := c.Purpose()
	for _, n := range names {
		h.Write([]byte(n + "\x00"))
	}
	if len(names) == 0 {
		h.Write(c.subject)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Limits of what one certificate is found by.
const (
	maxSearchNames = 400
	maxSearchName  = 200 // octets
)

// SearchNames are what a certificate is found by, in lower case: the attributes of
// the subject but the country, the alternative names, and the domains above each of
// them that have more than one label.
func (c *Certificate) SearchNames() []string {
	var all []string
	seen := map[string]bool{}
	add := func(name string) {
		if name = SearchName(name); name != "" && !seen[name] && len(all) < maxSearchNames {
			seen[name] = true
			all = append(all, name)
		}
	}
	names := slices.Clone(c.Names)
	for _, a := range slices.Backward(c.attributes) {
		if !a.Type.Equal(dn.C) {
			names = append(names, printable(a.Value))
		}
	}
	for _, n := range names {
		add(n)
	}
	for _, n := range names {
		for _, d := range domainsAbove(n) {
			add(d)
		}
	}
	return all
}

// SearchName brings a name, or the beginning of one, to the form in which it is
// stored and looked for.
func SearchName(name string) string {
	name = strings.TrimSpace(strings.ToLower(strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", "\uFFFD"), "\uFFFD")))
	if len(name) > maxSearchName {
		name = strings.ToValidUTF8(name[:maxSearchName], "")
	}
	return name
}

func domainsAbove(name string) []string {
	domain := strings.TrimPrefix(strings.ToLower(name), "*.")
	if _, host, mail := strings.Cut(domain, "@"); mail {
		domain = host
	}
	if scheme, rest, uri := strings.Cut(domain, "://"); uri && scheme != "" {
		domain, _, _ = strings.Cut(rest, "/")
	}
	if _, err := netip.ParseAddr(domain); err == nil || strings.ContainsAny(domain, " ,=/:") {
		return nil
	}
	var above []string
	for strings.Contains(domain, ".") {
		above = append(above, domain)
		_, domain, _ = strings.Cut(domain, ".")
	}
	return above
}
