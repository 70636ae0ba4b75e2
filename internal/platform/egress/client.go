package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Options shape one client. The zero value suits most uses.
type Options struct {
	Roots       *x509.CertPool   // trust anchors; nil uses those of the system
	Certificate *tls.Certificate // shown to servers that ask for a client certificate
	Redirects   int              // how many redirects are followed; zero follows none
	Resolver    *net.Resolver    // nil uses that of the system
}

// Client returns an HTTP client under the policy. Beyond the address checks of
// [Policy.Dialer] it
//   - speaks TLS 1.2 or later only, unless PlainHTTP allows http URLs;
//   - follows as many redirects as the options say, each under the same checks;
//     one to another host is followed for GET and HEAD only and loses the
//     request's headers, which may hold credentials;
//   - gives up after Timeout, from connecting to the last byte of the body;
//   - fails reading a body larger than MaxBody with a fault of kind TooLarge
//     and code "egress.too_large", never by cutting it short.
//
// A client keeps connections open: make one per purpose and reuse it. Pass its
// errors through [Explain] before they are logged or shown.
func (p Policy) Client(o Options) *http.Client {
	dialer := p.Dialer()
	dialer.Resolver = o.Resolver
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots}
	if o.Certificate != nil {
		tlsConfig.Certificates = []tls.Certificate{*o.Certificate}
	}
	return &http.Client{
		Timeout: p.timeout(),
		Transport: &guard{policy: p, next: &http.Transport{
			Proxy:                  nil, // see the package comment
			DialContext:            dialer.DialContext,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    p.timeout(),
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error { return checkRedirect(r, via, o.Redirects) },
	}
}

// checkRedirect decides on one more hop. Scheme, port and address are checked
// by the guard and the dialer, as for any request.
func checkRedirect(r *http.Request, via []*http.Request, limit int) error {
	if limit == 0 {
		return http.ErrUseLastResponse
	}
	if len(via) > limit {
		return refused("The server at %s redirected more than %d times.", via[0].URL.Host, limit)
	}
	if r.URL.Host == via[0].URL.Host {
		return nil
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return refused("The server at %s redirected a %s request to another host, %s.", via[0].URL.Host, r.Method, r.URL.Host).
			WithNext("Configure the final address.")
	}
	accept := r.Header.Get("Accept")
	clear(r.Header)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return nil
}

// A guard checks each request on its way out, redirects included, and bounds
// each response.
type guard struct {
	policy Policy
	next   *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !(r.URL.Scheme == "http" && g.policy.PlainHTTP) {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of RoundTripper; nothing was read
		}
		return nil, refused("A request to %s would go over %q, which is not encrypted.", r.URL.Host, r.URL.Scheme).
			WithNext("Use an https:// address.")
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	limit := g.policy.maxBody()
	if resp.ContentLength > limit && r.Method != http.MethodHead {
		_ = resp.Body.Close() // refused unread
		return nil, tooLarge(r.URL.Host, limit)
	}
	if _, upgraded := resp.Body.(io.Writer); !upgraded {
		resp.Body = &boundedBody{ReadCloser: resp.Body, host: r.URL.Host, limit: limit, left: limit}
	}
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] through.
func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

// A boundedBody yields at most limit bytes and then an error, where
// io.LimitReader would pretend that the body ended.
type boundedBody struct {
	io.ReadCloser
	host        string
	limit, left int64
}

func (b *boundedBody) Read(dst []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(b.host, b.limit)
	}
	if int64(len(dst))-1 > b.left {
		dst = dst[:b.left+1] // one byte past the limit tells "exactly full" from "too large"
	}
	n, err := b.ReadCloser.Read(dst)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, tooLarge(b.host, b.limit)
	}
	return n, err
}

func tooLarge(host string, limit int64) error {
	return fault.New(fault.TooLarge, "egress.too_large", "The answer of %s is larger than %d bytes.", host, limit).
		WithNext("Raise egress.max_response in the configuration if the destination is trusted.")
}

// Explain turns an error of a client or dialer into a fault that may be logged
// and shown. The fault keeps the host but not the path or query of the URL,
// which may hold credentials. A refusal stays what it is; a time-out has the
// code "egress.timeout" and anything else "egress.failed", both of kind
// Unavailable. The error nil stays nil.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	host, cause := "the destination", err
	var u *url.Error
	if errors.As(err, &u) {
		cause = u.Err
		if parsed, parseErr := url.Parse(u.URL); parseErr == nil && parsed.Host != "" {
			host = parsed.Host
		}
	}
	var slow net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &slow) && slow.Timeout() {
		return fault.Unavailablef(cause, "egress.timeout", "No answer from %s in time.", host).
			WithNext("Check that it is up and reachable from here; the work is repeated if it is queued.")
	}
	return fault.Unavailablef(cause, "egress.failed", "The connection to %s failed.", host).
		WithNext("Check its address, that it is up and reachable from here, and its TLS certificate.")
}
