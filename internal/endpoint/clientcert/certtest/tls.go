package certtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// A Server is a TLS server on loopback that asks for client certificates.
type Server struct {
	URL    string
	CAFile string // PEM of its certificate
	roots  *x509.CertPool
}

// Serve serves h as the web services of a realm are served: with v's TLS
// configuration, its connection context and a correlation id.
func Serve(tb testing.TB, v *clientcert.Verifier, realm string, h http.Handler) *Server {
	tb.Helper()
	cert := serverCertificate(tb)
	ts := httptest.NewUnstartedServer(telemetry.Correlate(h))
	ts.TLS = v.TLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1", "http/1.0"}}, realm)
	ts.EnableHTTP2 = true
	ts.Config.ConnContext = v.ConnContext
	ts.StartTLS()
	tb.Cleanup(ts.Close)
	s := &Server{URL: ts.URL, CAFile: filepath.Join(tb.TempDir(), "server.pem"), roots: x509.NewCertPool()}
	s.roots.AddCert(cert.Leaf)
	write(tb, s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Leaf.Raw}))
	return s
}

// Client is an HTTP client that shows c, whatever the server asks for, or
// nothing if c is nil.
func (s *Server) Client(tb testing.TB, c *tls.Certificate) *http.Client {
	tb.Helper()
	tr := &http.Transport{TLSClientConfig: s.ClientConfig(c), ExpectContinueTimeout: 5 * time.Second}
	tb.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ClientConfig is the TLS side of [Server.Client].
func (s *Server) ClientConfig(c *tls.Certificate) *tls.Config {
	cfg := &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if c != nil {
		// Not Certificates: Go would keep one back that the server does not ask for.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	return cfg
}

func serverCertificate(tb testing.TB) tls.Certificate {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	return SelfMade(tb, t, nil)
}

// SelfMade signs a certificate as anybody can, with the key of parent or, when
// that is nil, with its own.
func SelfMade(tb testing.TB, template *x509.Certificate, parent *tls.Certificate) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	issuer, by, rest := template, any(key), [][]byte(nil)
	if parent != nil {
		issuer, by, rest = parent.Leaf, parent.PrivateKey, parent.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{bytes.Clone(der)}, rest...), PrivateKey: key, Leaf: leaf}
}
