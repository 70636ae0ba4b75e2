package tsa_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/tsa"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/pki/tsp"
)

// A site is a server with one unit, called "unit", below a root.
type site struct {
	testing.TB
	url, dir string
	clock    *clock.Fake
	rootKey  crypto.Signer
	root     *x509.Certificate
}

func newSite(t *testing.T, db *store.DB) *site {
	t.Helper()
	s := &site{TB: t, dir: t.TempDir(), clock: clock.NewFake(time.Now())}
	master, err := keys.NewMasterFile(filepath.Join(s.dir, "master.key"))
	s.check(err)
	vault, err := keys.Open(t.Context(), db, master, s.clock)
	s.check(err)
	s.rootKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.check(err)
	s.root = s.certificate(&x509.Certificate{Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, s.rootKey.Public())
	s.write("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.root.Raw}))
	units := timestamp.New(timestamp.Options{
		DB: db, Vault: vault, Audit: audit.New(db, s.clock, nil, "log.example.com/audit"), Clock: s.clock, Guard: clock.NewGuard(s.clock, time.Time{}), Issuer: s,
	})
	_, err = units.Create(t.Context(), access.System("test"), timestamp.Spec{
		ID: "unit", Realm: access.Production, Name: "Unit 1", Org: "Test", Policies: []string{"1.2.3.4.91"}, Key: keys.P256, Years: 1,
	})
	s.check(err)
	server := httptest.NewServer(telemetry.Correlate(tsa.New(units)))
	t.Cleanup(server.Close)
	s.url = server.URL + "/tsa/unit"
	return s
}

func (s *site) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) certificate(c *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	s.Helper()
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), s.clock.Now().Add(-time.Minute), s.clock.Now().AddDate(1, 0, 0)
	parent := s.root
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, s.rootKey)
	s.check(err)
	cert, err := x509.ParseCertificate(der)
	s.check(err)
	return cert
}

// Issue makes the site its own authority.
func (s *site) Issue(_ context.Context, spki []byte, p timestamp.Profile) ([]byte, [][]byte, error) {
	pub, err := x509.ParsePKIXPublicKey(spki)
	s.check(err)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	s.check(err)
	return s.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: p.Name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, pub).Raw, nil, nil
}

func (s *site) write(name string, content []byte) {
	s.Helper()
	s.check(os.WriteFile(filepath.Join(s.dir, name), content, 0o600))
}

func (s *site) read(name string) []byte {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	s.check(err)
	return b
}

func (s *site) run(name string, args ...string) string {
	s.Helper()
	c := exec.Command(name, args...)
	c.Dir = s.dir
	out, err := c.CombinedOutput()
	if err != nil {
		s.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (s *site) do(method, url, kind string, body io.Reader) (*http.Response, []byte) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, url, body)
	s.check(err)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(r)
	s.check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	s.check(err)
	return resp, b
}

// A34: the client is openssl, the carrier curl.
func TestOpenSSLAndCurlGetAStamp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		s.write("data", []byte("A document."))
		s.run("openssl", "ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query")
		s.run("curl", "-sS", "--fail", "-D", "head", "-o", "reply", "-H", "Content-Type: "+tsp.QueryType, "--data-binary", "@query", s.url)
		if out := s.run("openssl", "ts", "-verify", "-in", "reply", "-queryfile", "query", "-CAfile", "root.pem"); !strings.Contains(out, "Verification: OK") {
			t.Error(out)
		}
		head := string(s.read("head"))
		for _, want := range []string{"Content-Type: " + tsp.ReplyType, "Cache-Control: no-store", telemetry.CorrelationHeader + ": "} {
			if !strings.Contains(head, want) {
				t.Errorf("%q is not in %s", want, head)
			}
		}
	})
}

func TestWhatReachesNoUnitGetsAnErrorOfHTTP(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	for _, c := range []struct {
		name, method, url, kind string
		body                    []byte
		want                    int
	}{
		{"a look with the browser", http.MethodGet, s.url, "", nil, http.StatusMethodNotAllowed},
		{"PUT", http.MethodPut, s.url, tsp.QueryType, []byte("x"), http.StatusMethodNotAllowed},
		{"a form", http.MethodPost, s.url, "application/x-www-form-urlencoded", []byte("x"), http.StatusUnsupportedMediaType},
		{"no content type", http.MethodPost, s.url, "", []byte("x"), http.StatusUnsupportedMediaType},
		{"the reply's type", http.MethodPost, s.url, tsp.ReplyType, []byte("x"), http.StatusUnsupportedMediaType},
		{"the data itself", http.MethodPost, s.url, tsp.QueryType, make([]byte, tsp.MaxRequest+1), http.StatusRequestEntityTooLarge},
		{"another unit", http.MethodPost, s.url + "2", tsp.QueryType, []byte("x"), http.StatusNotFound},
		{"an impossible unit", http.MethodPost, s.url + "%00", tsp.QueryType, []byte("x"), http.StatusNotFound},
	} {
		resp, body := s.do(c.method, c.url, c.kind, bytes.NewReader(c.body))
		if resp.StatusCode != c.want || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") || len(body) == 0 {
			t.Errorf("%s: %s, %s: %s", c.name, resp.Status, resp.Header.Get("Content-Type"), body)
		}
		if id := resp.Header.Get(telemetry.CorrelationHeader); c.want != http.StatusNotFound && !strings.Contains(string(body), id) {
			t.Errorf("%s: the correlation id %s is not in %s", c.name, id, body)
		}
		if allow := resp.Header.Get("Allow"); c.want == http.StatusMethodNotAllowed && allow != http.MethodPost {
			t.Errorf("%s: allowed is %q", c.name, allow)
		}
	}
}

func TestWhatReachesAUnitGetsAnAnswerOfTheProtocol(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	s.write("data", []byte("A document."))
	s.run("openssl", "ts", "-query", "-data", "data", "-sha1", "-out", "sha1")
	s.run("openssl", "ts", "-query", "-data", "data", "-sha256", "-out", "query")
	for _, c := range []struct {
		name string
		body []byte
		want tsp.Failure
	}{
		{"nothing", nil, tsp.BadDataFormat},
		{"text", []byte("hello"), tsp.BadDataFormat},
		{"SHA-1", s.read("sha1"), tsp.BadAlg},
	} {
		resp, body := s.do(http.MethodPost, s.url, tsp.QueryType+"; x=y", bytes.NewReader(c.body))
		_, err := tsp.ParseResponse(body)
		var why *tsp.Rejection
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != tsp.ReplyType || !errors.As(err, &why) || why.Failure != c.want {
			t.Errorf("%s: %s, %v", c.name, resp.Status, err)
		}
	}
	s.clock.Advance(-time.Hour)
	_, body := s.do(http.MethodPost, s.url, tsp.QueryType, bytes.NewReader(s.read("query")))
	var why *tsp.Rejection
	if _, err := tsp.ParseResponse(body); err == nil || !errors.As(err, &why) {
		t.Errorf("before the certificate begins: %v", err)
	}
	s.clock.Advance(time.Hour)
	_, body = s.do(http.MethodPost, s.url, tsp.QueryType, bytes.NewReader(s.read("query")))
	if _, err := tsp.ParseResponse(body); err != nil {
		t.Error(err)
	}
	s.clock.Advance(-time.Hour)
	_, body = s.do(http.MethodPost, s.url, tsp.QueryType, bytes.NewReader(s.read("query")))
	if _, err := tsp.ParseResponse(body); !errors.As(err, &why) || why.Failure != tsp.TimeNotAvailable {
		t.Errorf("with a clock that ran backwards: %v", err)
	}
}
