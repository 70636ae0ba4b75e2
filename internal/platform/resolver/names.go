package resolver

import (
	"bytes"
	"strings"

	"github.com/miekg/dns"
)

// A question is a canonical name and a record type, in class IN.
type question struct {
	name string
	typ  uint16
}

// canonical brings a name into the one form used as key: fully qualified, lower
// case, escaped as the wire decoder does it.
func canonical(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), wire, 0, nil, false)
	if err != nil || n > 255 {
		return "", false
	}
	name, _, err = dns.UnpackDomainName(wire[:n], 0)
	return dns.CanonicalName(name), err == nil
}

// parent is the name without its first label; the root is its own parent.
func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// within tells whether a canonical name is zone or lies below it.
func within(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, zone) && dns.IsSubDomain(zone, name)
}

// below is the name one label under zone on the way to name, which must lie
// below zone.
func below(zone, name string) string {
	for p := parent(name); p != zone && p != "."; p = parent(name) {
		name = p
	}
	return name
}

// enclosing is the longest name that both names lie at or under.
func enclosing(a, b string) string {
	for ; !within(b, a); a = parent(a) { //nolint:revive // the loop is all there is
	}
	return a
}

// keepRight is the name made of the last n labels.
func keepRight(name string, n int) string {
	for dns.CountLabel(name) > n {
		name = parent(name)
	}
	return name
}

// compare orders names as RFC 4034, section 6.1, does: by labels from the
// right, as octets, in lower case.
func compare(a, b string) int {
	as, bs := labels(a), labels(b)
	for i := 1; i <= len(as) && i <= len(bs); i++ {
		if c := bytes.Compare(as[len(as)-i], bs[len(bs)-i]); c != 0 {
			return c
		}
	}
	return len(as) - len(bs)
}

// labels are the octets of a canonical name's labels.
func labels(name string) [][]byte {
	wire := make([]byte, 256)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return nil
	}
	var out [][]byte
	for i := 0; i < n && wire[i] != 0; i += 1 + int(wire[i]) {
		out = append(out, wire[i+1:i+1+int(wire[i])])
	}
	return out
}
