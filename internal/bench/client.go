package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// callers are HTTP clients with one TLS 1.3 connection each, which stays open.
type callers struct {
	base    string
	clients []*http.Client
}

// newCallers makes n clients of a server that shows a certificate under trust.
// certificate, if given, is the client certificate that they show.
func newCallers(base string, trust *x509.CertPool, n int, certificate *tls.Certificate) *callers {
	c := &callers{base: base, clients: make([]*http.Client, n)}
	for i := range c.clients {
		c.clients[i] = &http.Client{
			Transport:     &http.Transport{TLSClientConfig: clientTLS(trust, certificate), DialContext: dialLoopback, MaxIdleConnsPerHost: 1, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       time.Minute,
		}
	}
	return c
}

func clientTLS(trust *x509.CertPool, certificate *tls.Certificate) *tls.Config {
	c := &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS13}
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	return c
}

// dialLoopback reaches names under localhost without a resolver (RFC 6761,
// section 6.3), and nothing else.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// close ends the connections, so that the server stops waiting on them.
func (c *callers) close() {
	for _, x := range c.clients {
		x.CloseIdleConnections()
	}
}

// An answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// want turns an unexpected status into an error that shows the beginning of the answer.
func (a answer) want(status int) error {
	if a.status == status {
		return nil
	}
	return fmt.Errorf("status %d instead of %d: %.200s", a.status, status, a.body)
}

// do makes a request as one of the callers and reads the whole answer.
func (c *callers) do(ctx context.Context, caller int, method, address string, body []byte, header map[string]string) (answer, error) {
	if strings.HasPrefix(address, "/") {
		address = c.base + address
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, in)
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.clients[caller].Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

func (c *callers) get(ctx context.Context, caller int, path string) ([]byte, error) {
	a, err := c.do(ctx, caller, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	return a.body, a.want(http.StatusOK)
}

// json makes a JSON request with a token and reads the answer into a value.
func (c *callers) json(ctx context.Context, caller int, method, path, token string, body, into any, status int) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	a, err := c.do(ctx, caller, method, path, text, map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"})
	if err == nil {
		err = a.want(status)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(a.body, into)
}

// A request is a certificate request with what its certificate must hold.
type request struct {
	pem  []byte
	spki []byte
	name string // DNS name
}

// A pool hands out certificate requests that were made ahead: the caller's keys
// are not what is measured. When they are used up it begins again.
type pool struct {
	mu   sync.Mutex
	all  []request
	next int
}

// newPool makes n requests with fresh P-256 keys and one DNS name each.
func newPool(n int) (*pool, error) {
	p := &pool{all: make([]request, n)}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				p.all[i], errs[w] = newRequest(fmt.Sprintf("host-%d.bench.example", i))
			}
		})
	}
	wg.Wait()
	return p, errors.Join(errs...)
}

func newRequest(name string) (request, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return request{}, err
	}
	return requestFor(name, key)
}

func requestFor(name string, key *ecdsa.PrivateKey) (request, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, key)
	if err != nil {
		return request{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	return request{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), spki, name}, err
}

func (p *pool) take() request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.all[p.next%len(p.all)]
	p.next++
	return r
}

// checkEach is how often a signature is verified: on one answer in so many.
const checkEach = 64

// checkCertificate reads a certificate in PEM and holds it against the request:
// its key, and on one in 64 the signature of its issuer.
func checkCertificate(text []byte, r request, issuer *x509.Certificate, nth int) (*x509.Certificate, error) {
	c, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.RawSubjectPublicKeyInfo, r.spki) {
		return nil, errors.New("the certificate holds another key than the request")
	}
	if nth%checkEach == 0 && issuer != nil {
		return c, c.CheckSignatureFrom(issuer)
	}
	return c, nil
}

// parsePEM reads the first certificate of a text.
func parsePEM(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no certificate in %.100q", text)
	}
	return x509.ParseCertificate(block.Bytes)
}

func poolOf(text []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate to trust")
	}
	return p, nil
}
