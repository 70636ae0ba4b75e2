package guide_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/web/guide"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

const (
	commonName  = "foo-ws-ssl-e-banking"
	filePass    = "Kq7mVx2nRt9w"
	servicePass = "Bond007"
)

// A site is a directory with a fetched file in it, and the web service that
// the file is for: it takes documents from the one certificate only.
type site struct {
	t      testing.TB
	dir    string
	params guide.Params
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// An authority signs certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a *authority) issue(t testing.TB, serial int64, template x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(serial), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := &template, crypto.Signer(key)
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer))(t)
	return must(x509.ParseCertificate(der))(t), key
}

func newAuthority(t testing.TB, name string) *authority {
	a := &authority{}
	a.cert, a.key = a.issue(t, 1, x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// newSite makes a site whose file is a .p12, or a .pem beside an own key.
func newSite(t testing.TB, brought bool) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	servers, clients := newAuthority(t, "Test TLS CA"), newAuthority(t, "Test Clients")
	leaf, key := clients.issue(t, 2, x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "urn", Opaque: "x-sealwright:service:production:foo"}},
	})
	server := serve(t, servers, clients)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.params = guide.Params{
		FileName: commonName + ".p12", CommonName: commonName, Service: "foo", Realm: "production",
		Host: "localhost", Port: must(strconv.Atoi(port))(t), TrustFile: "web-services.pem", NginxDir: filepath.Join(s.dir, "nginx"),
	}
	s.write("web-services.pem", toPEM("CERTIFICATE", servers.cert.Raw))
	if brought {
		s.params.FileName, s.params.KeyFile = commonName+".pem", commonName+".key"
		s.write(s.params.FileName, append(toPEM("CERTIFICATE", leaf.Raw), toPEM("CERTIFICATE", clients.cert.Raw)...))
		s.write(s.params.KeyFile, toPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))(t)))
		return s
	}
	s.write(s.params.FileName, must(pkcs12.Encode(pkcs12.Modern, key, leaf, []*x509.Certificate{clients.cert}, filePass, commonName))(t))
	return s
}

func serve(t testing.TB, servers, clients *authority) *httptest.Server {
	t.Helper()
	cert, key := servers.issue(t, 2, x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	server := httptest.NewUnstartedServer(http.HandlerFunc(receive))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// receive answers as the session data storage does: an id for a document.
func receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	name, password, _ := r.BasicAuth()
	switch {
	case err != nil || r.Method != http.MethodPost || r.URL.Path != "/doc/foo/sds" || string(body) != "Hello" || r.Header.Get("Content-Type") != "text/plain":
		http.Error(w, "bad request", http.StatusBadRequest)
	case name != "foo" || password != servicePass:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	case r.TLS.PeerCertificates[0].Subject.CommonName != commonName:
		http.Error(w, "forbidden", http.StatusForbidden)
	default:
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "received from "+commonName)
	}
}

func (s *site) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) guide(id string) guide.Guide {
	s.t.Helper()
	g := guide.Find(guide.Guides(s.params), id)
	if g.ID != id {
		s.t.Fatalf("There is no guide %q.", id)
	}
	return g
}

// step finds a step by the beginning of its title.
func (s *site) step(g guide.Guide, title string) guide.Step {
	s.t.Helper()
	for _, step := range g.Steps {
		if strings.HasPrefix(step.Title, title) {
			return step
		}
	}
	s.t.Fatalf("The guide %s has no step %q.", g.ID, title)
	return guide.Step{}
}

// typed runs commands as a user at a terminal would, who types what they are
// asked for. Without a controlling terminal the tools read it from the input.
func (s *site) typed(code, input string, environment ...string) string {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "sh", "-euc", code)
	c.Dir, c.Stdin, c.Env = s.dir, strings.NewReader(input), append(os.Environ(), environment...)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s\n%v\n%s", code, err, out)
	}
	return string(out)
}
