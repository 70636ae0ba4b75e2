package va_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/endpoint/va"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/pki/ocsp"
)

// A site is an installation whose certificates name the server that is running.
type site struct {
	*certtest.World
	url     string
	service access.Service
	dir     string
}

func newSite(t *testing.T, db *store.DB) *site {
	t.Helper()
	var h http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s := &site{World: certtest.NewAt(t, db, server.URL), url: server.URL, dir: t.TempDir()}
	h = telemetry.Correlate(va.New(s.Authorities, s.Clock))
	s.service = s.Service(t, access.Production, "demo")
	if err := s.Authorities.RotateResponders(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.publish(t)
	return s
}

func (s *site) publish(t *testing.T) {
	t.Helper()
	if err := s.Authorities.ProduceDueCRLs(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *site) do(t *testing.T, method, path string, body []byte, header ...string) answer {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	// As it stands, whatever the library would make of it.
	u.Opaque = "//" + u.Host + path
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, "openssl", args...)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (s *site) file(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// N29, seen from outside: OpenSSL follows the addresses in a certificate to its
// issuer, its revocation list and its OCSP responder.
func TestOpenSSLFollowsTheAddressesInACertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		cert := s.Issue(t, s.service, certtest.Order{})
		leaf := s.file(t, "leaf.pem", pemOf(cert.Certificate[0]))
		issuer, root := filepath.Join(s.dir, "issuer.pem"), s.file(t, "root.pem", pemOf(cert.Certificate[2]))

		text := openssl(t, "x509", "-in", leaf, "-noout", "-ext", "authorityInfoAccess,crlDistributionPoints")
		for _, want := range []string{"CA Issuers - URI:" + s.url + "/ca/production-clients-1.crt", "OCSP - URI:" + s.url + "/ocsp/production-clients-1", "URI:" + s.url + "/crl/production-clients-1.crl"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", text, want)
			}
		}
		der := filepath.Join(s.dir, "issuer.crt")
		command(t, "curl", "-sSf", "-o", der, s.url+"/ca/production-clients-1.crt")
		openssl(t, "x509", "-inform", "DER", "-in", der, "-out", issuer)
		chain := filepath.Join(s.dir, "chain.pem")
		command(t, "curl", "-sSf", "-o", chain, s.url+"/ca/production-clients-1.pem")
		openssl(t, "verify", "-CAfile", root, "-untrusted", chain, "-purpose", "sslclient", leaf)

		status := func(extra ...string) string {
			args := append([]string{"ocsp"}, extra...) // the digest counts for what follows it
			return openssl(t, append(args, "-issuer", issuer, "-cert", leaf, "-CAfile", root, "-url", s.url+"/ocsp/production-clients-1")...)
		}
		for _, extra := range [][]string{nil, {"-no_nonce"}, {"-sha256"}} {
			if out := status(extra...); !strings.Contains(out, "Response verify OK") || !strings.Contains(out, "leaf.pem: good") {
				t.Errorf("%v: %s", extra, out)
			}
		}
		crl := func() string {
			path := filepath.Join(s.dir, "list.crl")
			command(t, "curl", "-sSf", "-o", path, s.url+"/crl/production-clients-1.crl")
			return openssl(t, "crl", "-inform", "DER", "-in", path, "-CAfile", issuer, "-text", "-noout", "-verify")
		}
		if out := crl(); !strings.Contains(out, "verify OK") || !strings.Contains(out, "No Revoked Certificates") {
			t.Errorf("the first list: %s", out)
		}
		s.Clock.Advance(time.Second)
		s.Revoke(t, certtest.Issuer(access.Production), cert)
		if out := status(); !strings.Contains(out, "leaf.pem: revoked") || !strings.Contains(out, "keyCompromise") {
			t.Errorf("after withdrawal: %s", out)
		}
		s.Clock.Advance(time.Second)
		s.publish(t)
		if out := crl(); !strings.Contains(out, "verify OK") || !strings.Contains(strings.ToLower(out), cert.Leaf.SerialNumber.Text(16)) {
			t.Errorf("the next list: %s", out)
		}
	})
}

func (s *site) request(t *testing.T, cert tls.Certificate, nonce bool) []byte {
	t.Helper()
	issuer, err := s.Authorities.Get(t.Context(), certtest.Issuer(access.Production))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "request.der")
	args := []string{"ocsp", "-issuer", s.file(t, "i.pem", pemOf(issuer.DER)), "-cert", s.file(t, "c.pem", pemOf(cert.Leaf.Raw)), "-reqout", path}
	if !nonce {
		args = append(args, "-no_nonce")
	}
	openssl(t, args...)
	der, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOCSPWithGetInEverySpellingOfBase64(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	x, err := s.Authorities.Get(t.Context(), certtest.Issuer(access.Production))
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := ocsp.IssuerOf(x.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	// A serial number whose base64 has both characters that clients spell
	// differently, and two slashes in a row, which a mux would make one.
	var request []byte
	var text string
	for pad := 0; pad < 3 && (!strings.Contains(text, "//") || !strings.Contains(text, "+")); pad++ {
		id, err := issuer.CertID(crypto.SHA1, append(bytes.Repeat([]byte{1}, pad+1), 0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff, 0xff))
		if err != nil {
			t.Fatal(err)
		}
		if request, err = ocsp.BuildRequest([]ocsp.CertID{id}, nil); err != nil {
			t.Fatal(err)
		}
		text = base64.StdEncoding.EncodeToString(request)
	}
	if !strings.Contains(text, "//") || !strings.Contains(text, "+") {
		t.Fatal("the request has no two slashes and a plus sign: " + text)
	}
	const prefix = "/ocsp/production-clients-1/"
	for name, path := range map[string]string{
		"as it is":             text,
		"percent-encoded":      url.QueryEscape(text),
		"path-encoded":         url.PathEscape(text),
		"lower-case escapes":   strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d").Replace(text),
		"without padding":      strings.TrimRight(text, "="),
		"in the URL alphabet":  base64.RawURLEncoding.EncodeToString(request),
		"plus became a space":  strings.ReplaceAll(text, "+", "%20"),
		"only slashes escaped": strings.ReplaceAll(text, "/", "%2F"),
	} {
		a := s.do(t, "GET", prefix+path, nil)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/ocsp-response" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
			continue
		}
		if _, err := ocsp.ParseResponse(a.body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 5019, section 6.2.
func TestOCSPAnswersSayHowLongTheyKeep(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	cert := s.Issue(t, s.service, certtest.Order{})
	plain, nonce := s.request(t, cert, false), s.request(t, cert, true)
	const prefix = "/ocsp/production-clients-1"
	get := func(method string, der []byte, header ...string) answer {
		return s.do(t, method, prefix+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(der)), nil, header...)
	}
	a := get("GET", plain)
	h := a.header
	if h.Get("Cache-Control") != "max-age=3600, public, no-transform, must-revalidate" || h.Get("ETag") == "" ||
		h.Get("Last-Modified") != s.Clock.Now().Format(http.TimeFormat) || h.Get("Expires") != s.Clock.Now().Truncate(time.Second).Add(24*time.Hour).Format(http.TimeFormat) {
		t.Errorf("headers %v", h)
	}
	if b := get("GET", plain, "If-Modified-Since", h.Get("Last-Modified")); b.status != http.StatusNotModified || len(b.body) != 0 {
		t.Errorf("conditional: %d", b.status)
	}
	if b := get("HEAD", plain); b.status != http.StatusOK || len(b.body) != 0 || b.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", b.status, b.header)
	}
	for name, b := range map[string]answer{"with a nonce": get("GET", nonce), "posted": s.do(t, "POST", prefix, plain, "Content-Type", "application/ocsp-request")} {
		if b.status != http.StatusOK || b.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, b.status, b.header)
		}
		if _, err := ocsp.ParseResponse(b.body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOCSPRefusesInItsOwnWords(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		request := s.request(t, s.Issue(t, s.service, certtest.Order{}), false)
		text := url.PathEscape(base64.StdEncoding.EncodeToString(request))
		for _, k := range []struct {
			name, method, path string
			body               []byte
			want               ocsp.ErrorStatus
		}{
			{"nonsense", "POST", "/ocsp/production-clients-1", []byte("hello"), ocsp.Malformed},
			{"nothing", "POST", "/ocsp/production-clients-1", nil, ocsp.Malformed},
			{"more than 64 KiB", "POST", "/ocsp/production-clients-1", make([]byte, 70<<10), ocsp.Malformed},
			{"another authority's certificate", "POST", "/ocsp/preprod-clients-1", request, ocsp.Unauthorized},
			{"no such authority", "POST", "/ocsp/nobody", request, ocsp.Unauthorized},
			{"an authority that is a path", "POST", "/ocsp/..%2f..", request, ocsp.Unauthorized},
			{"an authority with a NUL", "POST", "/ocsp/a%00", request, ocsp.Unauthorized},
			{"no base64", "GET", "/ocsp/production-clients-1/%21%21", nil, ocsp.Malformed},
			{"an empty request", "GET", "/ocsp/production-clients-1/", nil, ocsp.Malformed},
			{"a request without end", "GET", "/ocsp/production-clients-1/" + strings.Repeat("A", 5000), nil, ocsp.Malformed},
			{"by GET, no such authority", "GET", "/ocsp/%ff/" + text, nil, ocsp.Unauthorized},
		} {
			a := s.do(t, k.method, k.path, k.body)
			if a.status != http.StatusOK || !bytes.Equal(a.body, k.want.DER()) || a.header.Get("Content-Type") != "application/ocsp-response" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %x %v", k.name, a.status, a.body, a.header)
			}
		}
	})
}

func TestListsAreCachedAndResumed(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	const path = "/crl/production-clients-1.crl"
	a := s.do(t, "GET", path, nil)
	h := a.header
	list, err := x509.ParseRevocationList(a.body)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK || h.Get("Content-Type") != "application/pkix-crl" || h.Get("Cache-Control") != "public, max-age=600" ||
		h.Get("Last-Modified") != list.ThisUpdate.Format(http.TimeFormat) || h.Get("ETag") == "" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", a.status, h)
	}
	for name, condition := range map[string][]string{"by tag": {"If-None-Match", h.Get("ETag")}, "by time": {"If-Modified-Since", h.Get("Last-Modified")}} {
		if b := s.do(t, "GET", path, nil, condition...); b.status != http.StatusNotModified || len(b.body) != 0 {
			t.Errorf("%s: %d", name, b.status)
		}
	}
	if b := s.do(t, "GET", path, nil, "Range", "bytes=10-"); b.status != http.StatusPartialContent || !bytes.Equal(b.body, a.body[10:]) {
		t.Errorf("resumed: %d", b.status)
	}
	if b := s.do(t, "HEAD", path, nil); b.status != http.StatusOK || len(b.body) != 0 || b.header.Get("ETag") != h.Get("ETag") {
		t.Errorf("HEAD: %d %v", b.status, b.header)
	}
	// Near its end, and after it, a list is not kept for longer than it is valid.
	s.Clock.Set(list.NextUpdate.Add(-5 * time.Second))
	if c := s.do(t, "GET", path, nil).header.Get("Cache-Control"); c != "public, max-age=5" {
		t.Errorf("near the end: %s", c)
	}
	s.Clock.Set(list.NextUpdate.Add(time.Hour))
	if c := s.do(t, "GET", path, nil).header.Get("Cache-Control"); c != "public, max-age=0" {
		t.Errorf("after the end: %s", c)
	}
	s.publish(t)
	if b := s.do(t, "GET", path, nil, "If-None-Match", h.Get("ETag")); b.status != http.StatusOK || bytes.Equal(a.body, b.body) {
		t.Errorf("the next list: %d", b.status)
	}
}

func TestEverythingElseIsNotFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		for _, k := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/", 404},
			{"GET", "/ca/nobody.crt", 404},
			{"GET", "/ca/production-clients-1", 404},
			{"GET", "/ca/production-clients-1.exe", 404},
			{"GET", "/ca/.crt", 404},
			{"GET", "/ca/%00.crt", 404},
			{"GET", "/ca/%ff.pem", 404},
			{"GET", "/ca/..%2f..%2fx.crt", 404},
			{"GET", "/ca/a%0d%0ab.crt", 404},
			{"GET", "/crl/nobody.crl", 404},
			{"GET", "/crl/production-clients-1.crt", 404},
			{"GET", "/crl/'.crl", 404},
			{"GET", "/login", 404},
			{"GET", "/ocsp/production-clients-1", 405},
			{"POST", "/crl/production-clients-1.crl", 405},
			{"DELETE", "/ca/production-clients-1.crt", 405},
		} {
			a := s.do(t, k.method, k.path, nil)
			if a.status != k.status || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s %s: %d %v %q", k.method, k.path, a.status, a.header, a.body)
			}
		}
		for path, kind := range map[string]string{"/ca/production-root-1.crt": "application/pkix-cert", "/ca/production-root-1.pem": "application/pem-certificate-chain"} {
			a := s.do(t, "GET", path, nil)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != kind || a.header.Get("Cache-Control") != "public, max-age=86400" {
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
		}
	})
}

func TestADatabaseThatIsGoneIsTryLater(t *testing.T) {
	address := storetest.SQLite(t)
	s := newSite(t, storetest.Open(t, address))
	request := s.request(t, s.Issue(t, s.service, certtest.Order{}), false)
	db, err := store.Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	n := s.Node(t, db)
	h := va.New(n.Authorities, n.Clock)
	if _, err := n.Authorities.Get(t.Context(), certtest.Issuer(access.Production)); err != nil {
		t.Fatal(err) // it is remembered for a second, in which the database goes
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/ocsp/production-clients-1", bytes.NewReader(request)))
	if !bytes.Equal(w.Body.Bytes(), ocsp.TryLater.DER()) || w.Code != http.StatusOK {
		t.Errorf("OCSP: %d %x", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/crl/production-clients-1.crl", nil))
	if w.Code < 500 || !strings.Contains(w.Body.String(), "correlation") {
		t.Errorf("CRL: %d %s", w.Code, w.Body)
	}
}
