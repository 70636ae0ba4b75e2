package external

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
)

// Fields are what people say about a certificate.
type Fields struct {
	Owner      string   // who looks after it; free text of at most 200 bytes
	Comment    string   // at most 10,000 bytes
	Recipients []string // e-mail addresses that are reminded, at most 20
	// Address is the TLS server that uses the certificate, as host or host:port; it
	// is looked at again and again. Empty if there is none, or none to be looked at.
	Address string
}

const (
	maxOwner      = 200
	maxComment    = 10_000
	maxRecipients = 20
)

// check brings the fields to the form in which they are kept.
func (f *Fields) check() error {
	f.Owner, f.Comment = strings.TrimSpace(text(f.Owner)), strings.TrimSpace(text(f.Comment))
	switch {
	case len(f.Owner) > maxOwner || strings.ContainsFunc(f.Owner, unicode.IsControl):
		return fault.Invalidf("external.owner", "The owner is one line of at most %d bytes.", maxOwner).WithField("owner")
	case len(f.Comment) > maxComment:
		return fault.Invalidf("external.comment", "The comment has at most %d bytes.", maxComment).WithField("comment")
	}
	var recipients []string
	for _, address := range f.Recipients {
		if address = strings.TrimSpace(address); address == "" {
			continue
		}
		if err := outbox.CheckEmail(address); err != nil {
			return fault.Of(err).WithField("recipients")
		}
		if !slices.ContainsFunc(recipients, func(other string) bool { return strings.EqualFold(other, address) }) {
			recipients = append(recipients, address)
		}
	}
	if f.Recipients = recipients; len(f.Recipients) > maxRecipients {
		return fault.Invalidf("external.recipients", "At most %d addresses can be reminded.", maxRecipients).WithField("recipients")
	}
	var err error
	f.Address, err = parseAddress(f.Address)
	return err
}

// text drops what a database or a page cannot show.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// parseAddress reads host, host:port or an https URL, and writes host:port.
func parseAddress(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	bad := fault.Invalidf("external.address", "%q is not the address of a server.", s[:min(len(s), 80)]).
		WithNext("Write it like www.example.com or www.example.com:8443.").WithField("address")
	host, port := s, "443"
	if u, err := url.Parse(s); err == nil && u.Scheme == "https" {
		host = u.Host
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host = addr.String() // an IPv6 address has colons of its own
	} else if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", bad
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", bad
		}
		return net.JoinHostPort(addr.String(), port), nil
	}
	if !isHost(host) {
		return "", bad
	}
	return net.JoinHostPort(host, port), nil
}

// isHost tells whether s is a domain name as it goes into a query: letters of other
// scripts are in punycode.
func isHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
