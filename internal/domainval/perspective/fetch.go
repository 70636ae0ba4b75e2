package perspective

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Limits of one fetch.
const (
	maxHops  = 10
	maxFile  = 4 << 10 // a random value has 40 bytes
	maxTries = 4       // addresses of one host
	maxFetch = 20 * time.Second
)

// redirects are the status codes that are followed (TLS BR 3.2.2.4.18).
var redirects = []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}

// fetch gets a file from a web server: over HTTP first, and then wherever the
// server redirects to, within the rules of TLS BR 3.2.2.4.18.
func (l *Local) fetch(ctx context.Context, host, path string) *Fetch {
	ctx, cancel := context.WithTimeout(ctx, maxFetch)
	defer cancel()
	out := &Fetch{}
	next := &url.URL{Scheme: "http", Host: l.hostPort(host), Path: path}
	for len(out.Hops) <= maxHops {
		if next, out.Failure = l.hop(ctx, next, out); next == nil {
			return out
		}
	}
	out.Failure = fmt.Sprintf("The server redirected more than %d times.", maxHops)
	return out
}

func (l *Local) hostPort(host string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if l.HTTPPort == 0 || l.HTTPPort == 80 {
		return host
	}
	return host + ":" + strconv.Itoa(int(l.HTTPPort))
}

// hop does one request. It returns where to go on, or nil once the file is
// here or something is wrong, which the second result then says.
func (l *Local) hop(ctx context.Context, u *url.URL, out *Fetch) (*url.URL, string) {
	hop := Hop{URL: u.String()}
	defer func() { out.Hops = append(out.Hops, hop) }()
	var address atomic.Pointer[netip.Addr] // the one tried last, told from the transport's goroutine
	client := l.client(func(a netip.Addr) { address.Store(&a) })
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Sprintf("The address %s cannot be asked.", u.Redacted())
	}
	r.Header.Set("User-Agent", "Sealwright domain validation")
	resp, err := client.Do(r)
	if a := address.Load(); a != nil {
		hop.Address = a.String()
	}
	if err != nil {
		return nil, sentence(u, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read as far as it matters
	hop.Status = resp.StatusCode
	if slices.Contains(redirects, resp.StatusCode) {
		return l.redirect(u, resp.Header.Get("Location"))
	}
	out.Status = resp.StatusCode
	out.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxFile+1))
	switch {
	case err != nil:
		return nil, sentence(u, err)
	case len(out.Body) > maxFile:
		out.Body = nil
		return nil, fmt.Sprintf("The file at %s is larger than %d bytes.", u.Redacted(), maxFile)
	}
	return nil, ""
}

// redirect checks where a server sends us: http or https, on the ports of the
// web, to a name and not to an address.
func (l *Local) redirect(from *url.URL, location string) (*url.URL, string) {
	to, err := from.Parse(location)
	if err != nil || location == "" || to.Hostname() == "" {
		return nil, fmt.Sprintf("%s redirects to %.100q, which is no address.", from.Redacted(), location)
	}
	port := map[string]uint16{"http": l.port(false), "https": l.port(true)}[to.Scheme]
	if given := to.Port(); given != "" {
		n, _ := strconv.ParseUint(given, 10, 16) // a port that does not parse is 0 and refused
		if port != 0 && uint16(n) != l.port(false) && uint16(n) != l.port(true) {
			port = 0
		}
	}
	if port == 0 {
		return nil, fmt.Sprintf("%s redirects to %.100q; only http and https on ports 80 and 443 are followed.", from.Redacted(), to.Redacted())
	}
	if _, err := netip.ParseAddr(to.Hostname()); err == nil && to.Hostname() != from.Hostname() {
		return nil, fmt.Sprintf("%s redirects to the IP address %s; only names are followed.", from.Redacted(), to.Hostname())
	}
	to.User, to.Fragment = nil, ""
	return to, ""
}

func (l *Local) port(secure bool) uint16 {
	switch {
	case secure && l.HTTPSPort != 0:
		return l.HTTPSPort
	case secure:
		return 443
	case l.HTTPPort != 0:
		return l.HTTPPort
	}
	return 80
}

// client makes a client for one request: it keeps no connection, so that no
// answer travels over one that another name opened.
func (l *Local) client(connected func(netip.Addr)) *http.Client {
	policy := l.Egress
	policy.Ports = []uint16{l.port(false), l.port(true)}
	dialer := policy.Dialer()
	return &http.Client{
		Timeout:       maxFetch,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, hostPort string) (net.Conn, error) {
				return l.dial(ctx, dialer, network, hostPort, connected)
			},
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 32 << 10,
			// The file proves control, not the certificate, which the applicant may
			// be about to replace; TLS BR 3.2.2.4.18 asks for none.
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, //nolint:gosec // see above
		},
	}
}

// dial resolves the host with the validating resolver, never with the
// system's, and tries its addresses in order, IPv6 first.
func (l *Local) dial(ctx context.Context, dialer *net.Dialer, network, hostPort string, connected func(netip.Addr)) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	addrs, err := l.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs[:min(len(addrs), maxTries)] {
		connected(a)
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (l *Local) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	var addrs []netip.Addr
	var failure *Failure
	for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeA} {
		a, err := l.Resolver.Fresh(ctx, host, qtype)
		if err != nil {
			failure = describe(err)
			continue
		}
		for _, rr := range a.Records {
			var ip net.IP
			switch rr := rr.(type) {
			case *dns.AAAA:
				ip = rr.AAAA
			case *dns.A:
				ip = rr.A
			}
			if addr, ok := netip.AddrFromSlice(ip); ok {
				addrs = append(addrs, addr.Unmap())
			}
		}
	}
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case failure != nil:
		return nil, fmt.Errorf("the address of %s cannot be found (%s: %s)", host, failure.Kind, failure.Text)
	}
	return nil, fmt.Errorf("%s has no address in the DNS", host)
}

// sentence says what went wrong without the noise of the HTTP client.
func sentence(u *url.URL, err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	text := err.Error()
	var f *fault.Fault
	if errors.As(err, &f) {
		text = f.Message
	}
	return fmt.Sprintf("%s did not give the file: %.300s.", u.Redacted(), strings.TrimSuffix(text, "."))
}
