package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/product"
)

// LDAPSettings say which directory is asked, and what.
type LDAPSettings struct {
	URL      string // "ldaps://host", or "ldap://host", which StartTLS protects
	Plain    bool   // ldap:// without StartTLS, for tests on one machine
	Roots    *x509.CertPool
	BindDN   string // empty: anonymous
	Password secret.Text
	Base     string // DN of the subtree
	// Filter is an LDAP filter (RFC 4515); {name} stands for a parameter.
	Filter     string
	Attributes []string // what rows hold; "dn" is the entry's name
	// Dial connects, so that a policy can watch; nil: as the system does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// LDAP is a directory as data source.
type LDAP struct {
	s       LDAPSettings
	address string
	host    string
	direct  bool // TLS from the first octet
}

// NewLDAP checks the settings. The directory is reached at each search.
func NewLDAP(s LDAPSettings) (*LDAP, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" {
		return nil, misconfigured("The address of the directory is not ldaps://host or ldap://host.")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	if _, err := ldap.ParseDN(s.Base); err != nil || s.Base == "" {
		return nil, misconfigured("The base %q of the directory is not a name.", s.Base)
	}
	if len(s.Attributes) == 0 {
		return nil, misconfigured("The directory needs the attributes that rows hold.")
	}
	filter, err := fill(s.Filter, nil)
	if err == nil {
		_, err = ldap.CompileFilter(filter)
	}
	if err != nil {
		return nil, misconfigured("The filter of the directory cannot be read: %v.", err)
	}
	if s.Dial == nil {
		s.Dial = (&net.Dialer{Timeout: timeout}).DialContext
	}
	return &LDAP{s: s, address: net.JoinHostPort(u.Hostname(), port), host: u.Hostname(), direct: u.Scheme == "ldaps"}, nil
}

// Find gives at most limit records, and at most 500. Microsoft's binary
// objectGUID and objectSid are written as text.
func (l *LDAP) Find(ctx context.Context, parameters map[string]string, limit int) (product.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	filter, err := fill(l.s.Filter, parameters)
	if err != nil {
		return nil, misconfigured("The filter of the directory cannot be read: %v.", err)
	}
	c, err := l.connect(ctx)
	if err != nil {
		return nil, unavailable(err, "directory")
	}
	defer c.Close()
	n := bounded(limit)
	result, err := c.Search(ldap.NewSearchRequest(l.s.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, n, int(timeout.Seconds()), false, filter, l.s.Attributes, nil))
	// A result that was cut is what was asked for.
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil, unavailable(err, "directory")
	}
	var out product.Rows
	for _, entry := range result.Entries[:min(len(result.Entries), n)] {
		out = append(out, rowOf(entry))
	}
	return out, nil
}

func rowOf(entry *ldap.Entry) product.Row {
	row := product.Row{}
	put(row, "dn", entry.DN)
	for _, a := range entry.Attributes {
		for _, raw := range a.ByteValues {
			put(row, a.Name, attributeText(a.Name, raw))
		}
	}
	return row
}

func attributeText(name string, raw []byte) string {
	switch {
	case strings.EqualFold(name, "objectGUID") && len(raw) == 16:
		return guidText(raw)
	case strings.EqualFold(name, "objectSid"):
		return sidText(raw)
	}
	return string(raw)
}

// guidText: the first three groups are little-endian (MS-DTYP, 2.3.4.2).
func guidText(raw []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%s-%s", binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint16(raw[4:]),
		binary.LittleEndian.Uint16(raw[6:]), hex.EncodeToString(raw[8:10]), hex.EncodeToString(raw[10:]))
}

// sidText writes a binary security identifier (MS-DTYP, 2.4.2.2), or nothing if
// it is none.
func sidText(raw []byte) string {
	if len(raw) < 8 || raw[0] != 1 || len(raw) != 8+4*int(raw[1]) {
		return ""
	}
	var authority uint64
	for _, octet := range raw[2:8] {
		authority = authority<<8 | uint64(octet)
	}
	text := "S-1-" + strconv.FormatUint(authority, 10)
	for rest := raw[8:]; len(rest) > 0; rest = rest[4:] {
		text += "-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(rest)), 10)
	}
	return text
}

// connect opens, protects and signs in.
func (l *LDAP) connect(ctx context.Context) (*ldap.Conn, error) {
	raw, err := l.s.Dial(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	config := &tls.Config{ServerName: l.host, RootCAs: l.s.Roots, MinVersion: tls.VersionTLS12}
	if l.direct {
		raw = tls.Client(raw, config)
	}
	c := ldap.NewConn(raw, l.direct)
	c.SetTimeout(timeout)
	c.Start()
	if err := l.enter(c, config); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (l *LDAP) enter(c *ldap.Conn, config *tls.Config) error {
	if !l.direct && !l.s.Plain {
		if err := c.StartTLS(config); err != nil {
			return err
		}
	}
	if l.s.BindDN == "" {
		return nil
	}
	return c.Bind(l.s.BindDN, l.s.Password.Reveal())
}

// fill puts escaped parameters into a filter. One that the search does not give
// is empty, and an assertion of nothing matches nothing.
func fill(filter string, parameters map[string]string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(filter, "{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("a parameter is not closed")
		}
		out.WriteString(ldap.EscapeFilter(parameters[name]))
		filter = after
	}
}
