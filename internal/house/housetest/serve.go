package housetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/config"
)

// Serve serves the site until the test ends or stop is called, whose result is
// that of [house.House.Serve].
func (s *Site) Serve(tb testing.TB) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = s.House.Serve(ctx, func([]*house.Listener) { close(ready) })
	}()
	stop = func() error {
		cancel()
		<-done
		return err
	}
	select {
	case <-ready:
	case <-done:
		tb.Fatalf("serve: %v", err)
	}
	tb.Cleanup(func() { _ = stop() }) // a test that cares has called it
	return stop
}

// A Caller makes requests from outside, over TLS, with the site's root as its
// only trust.
type Caller struct {
	HTTP *http.Client
	Facts
	Config *config.Config
}

// Caller makes a caller, with a client certificate unless that is nil.
func (s *Site) Caller(certificate *tls.Certificate) (*Caller, error) {
	anchor, err := s.House.TrustAnchor(context.Background())
	if err != nil {
		return nil, err
	}
	return NewCaller(s.House.Config, s.Facts, anchor, certificate)
}

// NewCaller makes a caller of a site that another process serves; anchor is its
// root in PEM.
func NewCaller(cfg *config.Config, f Facts, anchor []byte, certificate *tls.Certificate) (*Caller, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(anchor) {
		return nil, errors.New("the trust anchor cannot be read")
	}
	t := &tls.Config{RootCAs: roots}
	if certificate != nil {
		t.Certificates = []tls.Certificate{*certificate}
	}
	return &Caller{Facts: f, Config: cfg, HTTP: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: t, DialContext: dialLoopback, MaxIdleConnsPerHost: 16},
	}}, nil
}

// dialLoopback reaches names under localhost without asking a resolver.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// An Answer is a response that has been read.
type Answer struct {
	Status int
	Proto  string // such as HTTP/2.0
	Header http.Header
	Body   []byte
}

// Do makes a request and reads the answer.
func (c *Caller) Do(req *http.Request) (Answer, error) {
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Proto, resp.Header, body}, err
}

// API calls the REST API with the account's token. Answers of 200 to 299 are
// read into the last argument, unless it is nil.
func (c *Caller) API(ctx context.Context, method, path string, body, into any) (Answer, error) {
	return c.keyed(ctx, "", method, path, body, into)
}

// keyed is API with an Idempotency-Key, unless that is empty.
func (c *Caller) keyed(ctx context.Context, key, method, path string, body, into any) (Answer, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Config.Server.PublicURL+"/api/v1"+path, in)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	a, err := c.Do(req)
	if err == nil && into != nil && a.Status/100 == 2 {
		err = json.Unmarshal(a.Body, into)
	}
	return a, err
}

// Issued is an order or certificate as the API answers it.
type Issued struct {
	ID          string `json:"id"`    // of an order
	Order       string `json:"order"` // of a certificate
	State       string `json:"state"`
	Serial      string `json:"serial"`
	Certificate string `json:"certificate"`
}

// Certificate gets a certificate for a new key from the API, and the pair for TLS.
func (c *Caller) Certificate(ctx context.Context, shortName string) (Issued, *tls.Certificate, Answer, error) {
	var out Issued
	key, request, err := NewCSR()
	if err != nil {
		return out, nil, Answer{}, err
	}
	a, err := c.API(ctx, http.MethodPost, "/certificates", map[string]any{
		"realm": "production", "service": ServiceName, "shortName": shortName, "csr": string(request), "orderer": c.Person,
	}, &out)
	if err != nil || a.Status != http.StatusCreated {
		return out, nil, a, err
	}
	block, _ := pem.Decode([]byte(out.Certificate))
	if block == nil {
		return out, nil, a, fmt.Errorf("the answer holds no certificate: %s", a.Body)
	}
	return out, &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, a, nil
}

// Order places an order whose key is made by the site. The short name is the
// Idempotency-Key too: the same call again gives the same order.
func (c *Caller) Order(ctx context.Context, shortName string) (Issued, Answer, error) {
	var out Issued
	a, err := c.keyed(ctx, "order-"+shortName, http.MethodPost, "/orders", map[string]any{
		"realm": "production", "service": ServiceName, "shortName": shortName, "orderer": c.Person, "mode": "generate",
	}, &out)
	return out, a, err
}

// Document sends a request to session data storage in production: with a body
// it uploads, and path is empty; otherwise path is the document's id.
func (c *Caller) Document(ctx context.Context, method, id string, body io.Reader) (Answer, error) {
	address := c.Config.Environment.Production.PublicURL + "/doc/" + ServiceName + "/sds"
	if id != "" {
		address += "/" + id
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return Answer{}, err
	}
	req.SetBasicAuth(ServiceName, c.Password)
	req.Header.Set("Content-Type", "application/pdf")
	return c.Do(req)
}
