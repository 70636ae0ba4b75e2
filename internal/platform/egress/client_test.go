package egress_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// loopback is a policy under which the test servers can be reached.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Timeout: 5 * time.Second}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	f := fault.Of(err)
	if f.Code != "egress.refused" || !errors.Is(err, fault.Forbidden) || f.Next == "" {
		t.Fatalf("got %v (next %q), want egress.refused that tells how to allow it", err, f.Next)
	}
}

func roots(s *httptest.Server) egress.Options {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return egress.Options{Roots: pool}
}

func get(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	defer c.CloseIdleConnections()
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestClientReachesLoopbackOnlyWhenAllowed(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer s.Close()

	if body, err := get(t, loopback.Client(roots(s)), s.URL); err != nil || body != "hello" {
		t.Fatalf("allowed: %q, %v", body, err)
	}
	_, err := get(t, egress.Policy{}.Client(roots(s)), s.URL)
	wantRefused(t, err)
	if next := fault.Of(err).Next; !strings.Contains(next, "egress.allow") || !strings.Contains(next, "127.0.0.1/32") {
		t.Errorf("the refusal does not say how to allow: %q", next)
	}

	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{"localhost", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		t.Run("the guarded name "+host, func(t *testing.T) {
			_, err := get(t, egress.Policy{}.Client(roots(s)), "https://"+host+":"+port)
			wantRefused(t, err)
		})
	}
}

func TestClientSpeaksPlainHTTPOnlyWhenAllowed(t *testing.T) {
	var calls atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer s.Close()
	_, err := get(t, loopback.Client(egress.Options{}), s.URL)
	wantRefused(t, err)
	if calls.Load() != 0 {
		t.Error("the request went out although it was refused")
	}
	plain := loopback
	plain.PlainHTTP = true
	if _, err := get(t, plain.Client(egress.Options{}), s.URL); err != nil {
		t.Error(err)
	}
}

func TestClientIgnoresProxiesOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	_, err := get(t, egress.Policy{}.Client(egress.Options{}), "https://10.1.2.3/")
	wantRefused(t, err)
	if !strings.Contains(err.Error(), "10.1.2.3") {
		t.Errorf("refused for another address: %v", err)
	}
}

func TestClientRefusesTLS11AndUnknownIssuers(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	if _, err := get(t, loopback.Client(roots(s)), s.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	modern := httptest.NewTLSServer(http.NotFoundHandler())
	defer modern.Close()
	var unknown x509.UnknownAuthorityError
	if _, err := get(t, loopback.Client(egress.Options{}), modern.URL); !errors.As(err, &unknown) {
		t.Errorf("an unknown issuer: %v", err)
	}
}

func TestClientShowsItsCertificateToServersThatAsk(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Issuer.Organization[0])
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	options := roots(s)
	if _, err := get(t, loopback.Client(options), s.URL); err == nil {
		t.Error("accepted without a certificate")
	}
	options.Certificate = &s.TLS.Certificates[0] // any will do
	want := s.Certificate().Issuer.Organization[0]
	if body, err := get(t, loopback.Client(options), s.URL); err != nil || body != want {
		t.Errorf("%q, %v", body, err)
	}
}

func TestClientNeverCutsABodyShort(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, out := 1000, io.Writer(w)
		switch r.URL.Path {
		case "/more":
			size = 1001
		case "/stated":
			w.Header().Set("Content-Length", "1001")
			size = 1001
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			size, out = 1<<20, z
		}
		if r.URL.Path != "/stated" {
			w.(http.Flusher).Flush() // no Content-Length from here on
		}
		_, _ = out.Write(bytes.Repeat([]byte("x"), size))
	}))
	defer s.Close()
	policy := loopback
	policy.MaxBody = 1000
	for _, c := range []struct {
		name, path string
		ok         bool
	}{
		{"exactly the limit", "/", true},
		{"one byte more", "/more", false},
		{"one byte more as stated in the header", "/stated", false},
		{"small on the wire, large when decompressed", "/bomb", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := get(t, policy.Client(roots(s)), s.URL+c.path)
			switch {
			case c.ok && (err != nil || len(body) != 1000):
				t.Fatalf("%d bytes, %v", len(body), err)
			case !c.ok && (fault.Of(err).Code != "egress.too_large" || len(body) > 1000):
				t.Fatalf("%d bytes, %v", len(body), err)
			}
		})
	}
	resp, err := policy.Client(roots(s)).Head(s.URL + "/stated")
	if err != nil {
		t.Fatalf("a HEAD request has no body to bound: %v", err)
	}
	resp.Body.Close()
}

func TestRedirectsAreCountedAndRechecked(t *testing.T) {
	var leaked atomic.Value
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("X-Api-Key") + r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "other")
	}))
	defer other.Close()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/loop": "/loop", "/once": "/end", "/metadata": "https://169.254.169.254/latest",
			"/plain": "http://127.0.0.1:1/", "/other": other.URL, "/post-other": other.URL,
		}[r.URL.Path]
		if to == "" {
			_, _ = io.WriteString(w, "end")
			return
		}
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	})
	options := roots(s)
	options.Redirects = 3
	client := loopback.Client(options)
	defer client.CloseIdleConnections()

	if body, err := get(t, client, s.URL+"/once"); err != nil || body != "end" {
		t.Errorf("one redirect: %q, %v", body, err)
	}
	for _, path := range []string{"/metadata", "/plain"} {
		_, err := get(t, client, s.URL+path)
		wantRefused(t, err)
	}
	if _, err := get(t, client, s.URL+"/loop"); fault.Of(err).Code != "egress.refused" {
		t.Errorf("an endless redirect: %v", err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/other", nil)
	r.Header.Set("X-Api-Key", "topsecret")
	r.Header.Set("Authorization", "Bearer topsecret")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if leaked.Load() != "" {
		t.Errorf("another host received the credentials %q", leaked.Load())
	}
	_, err = client.Post(s.URL+"/post-other", "text/plain", strings.NewReader("one-time password"))
	wantRefused(t, err)

	options.Redirects = 0
	none := loopback.Client(options)
	defer none.CloseIdleConnections()
	resp, err = none.Get(s.URL + "/once")
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("without redirects the answer itself comes back: %v", err)
	}
	resp.Body.Close()
}

// A name that resolves to an allowed address first and to a guarded one at the
// next look-up is the attack of DNS rebinding.
func TestRebindingANameGainsNothing(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") }))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	answer := &atomic.Value{}
	answer.Store([4]byte{127, 0, 0, 1})
	options := roots(s)
	options.Resolver = stubDNS(t, answer)

	url := "https://example.com:" + port // a name in the test server's certificate
	if body, err := get(t, loopback.Client(options), url); err != nil || body != "inside" {
		t.Fatalf("before: %q, %v", body, err)
	}
	elsewhere := loopback
	elsewhere.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	client := elsewhere.Client(options)
	_, err := get(t, client, url)
	wantRefused(t, err)

	answer.Store([4]byte{127, 0, 0, 9})
	_, err = get(t, loopback.Client(options), url)
	wantRefused(t, err)
	if !strings.Contains(err.Error(), "127.0.0.9") {
		t.Errorf("the refusal does not name the address: %v", err)
	}
}

// stubDNS serves every A query with the stored address and has no AAAA records.
func stubDNS(t *testing.T, answer *atomic.Value) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(dnsReply(buf[:n], answer.Load().([4]byte)), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// dnsReply answers a query of one question (RFC 1035, section 4.1).
func dnsReply(query []byte, a [4]byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	reply := append([]byte{}, query[:end+5]...)
	binary.BigEndian.PutUint16(reply[2:], 0x8180) // response, recursion available, no error
	binary.BigEndian.PutUint16(reply[10:], 0)     // no additional records
	if kind == 1 {
		binary.BigEndian.PutUint16(reply[6:], 1)
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // name pointer, A, IN, TTL 0, length
		reply = append(reply, a[:]...)
	}
	return reply
}

func TestDialerGuardsPlainConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := loopback.Dialer().DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	_, err = egress.Policy{}.Dialer().DialContext(t.Context(), "tcp", l.Addr().String())
	wantRefused(t, err)
	_, err = loopback.Dialer().DialContext(t.Context(), "unix", "/run/nothing.sock")
	if fault.Of(err).Code != "egress.refused" {
		t.Errorf("a unix socket: %v", err)
	}
}

func TestExplainKeepsCredentialsOfTheURLOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // nobody listens now

	_, err = get(t, loopback.Client(egress.Options{}), "https://"+addr+"/send?password=topsecret")
	f := fault.Of(egress.Explain(err))
	if f.Code != "egress.failed" || !errors.Is(f, fault.Unavailable) || strings.Contains(f.Error(), "topsecret") || !strings.Contains(f.Message, addr) {
		t.Errorf("a closed port: %v", f)
	}

	release := make(chan struct{})
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	slow := loopback
	slow.Timeout = 50 * time.Millisecond
	_, err = get(t, slow.Client(roots(s)), s.URL+"?password=topsecret")
	f = fault.Of(egress.Explain(err))
	if f.Code != "egress.timeout" || strings.Contains(f.Error(), "topsecret") {
		t.Errorf("a silent server: %v", f)
	}

	_, err = get(t, egress.Policy{}.Client(egress.Options{}), "https://127.0.0.1/?password=topsecret")
	wantRefused(t, egress.Explain(err))
	if strings.Contains(egress.Explain(err).Error(), "topsecret") {
		t.Error("a refusal shows the query")
	}
	if egress.Explain(nil) != nil {
		t.Error("no error became one")
	}
}
