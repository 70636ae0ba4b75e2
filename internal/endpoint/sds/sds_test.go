package sds_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/document"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/endpoint/sds"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

const maxSize = 400 << 20

// A bench is both environments of an installation, each behind TLS.
type bench struct {
	*certtest.World
	demo    map[access.Realm]access.Service
	other   map[access.Realm]access.Service
	server  map[access.Realm]*certtest.Server
	handled chan struct{} // gets a value when a request has been handled
}

func newBench(t testing.TB, db *store.DB) *bench {
	w := certtest.New(t, db)
	b := &bench{World: w, demo: map[access.Realm]access.Service{}, other: map[access.Realm]access.Service{}, server: map[access.Realm]*certtest.Server{}, handled: make(chan struct{}, 100)}
	docs := document.New(db, w.Blobs, w.Audit, w.Clock, document.Settings{Life: func(t time.Time) time.Time { return t.AddDate(0, 0, 30) }, MaxSize: maxSize})
	v := clientcert.New(w.Authorities, db, w.Audit, w.Clock, nil)
	for _, realm := range access.Realms() {
		b.demo[realm], b.other[realm] = w.Service(t, realm, "demo"), w.Service(t, realm, "other")
		h := sds.New(realm, docs, w.Directory, v)
		b.server[realm] = certtest.Serve(t, v, string(realm), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			select {
			case b.handled <- struct{}{}:
			default:
			}
		}))
	}
	return b
}

// An answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
}

type request struct {
	method, url, user, password, contentType string
	body                                     io.Reader
	header                                   map[string]string
}

func do(t testing.TB, c *http.Client, q request) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, q.url, q.body)
	if err != nil {
		t.Fatal(err)
	}
	if q.user != "" {
		r.SetBasicAuth(q.user, q.password)
	}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// is checks the status, and that an error's text names its code and the
// correlation id of the header.
func (a answer) is(t *testing.T, what string, status int, code string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d (%s); want %d", what, a.status, a.body, status)
		return
	}
	if want := "(" + code + ", correlation " + a.header.Get("X-Correlation-Id") + ")"; code != "" && !strings.Contains(a.body, want) {
		t.Errorf("%s: text %q; want %s", what, a.body, want)
	}
}

func (b *bench) counts(t testing.TB) (rows, files int) {
	t.Helper()
	if err := b.DB.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM documents`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(b.BlobDir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, files
}

func TestADocumentGoesUpComesDownAndGoesAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		s := b.server[access.Preprod]
		c := s.Client(t, nil)
		at := s.URL + "/doc/demo/sds"
		for _, k := range []struct{ url, contentType, want string }{
			{at, "application/pdf", "application/pdf"},
			{at + "/", "text/plain;charset=utf8", "text/plain;charset=utf8"},
			{at, "text/plain;charset=iso8859-1", "text/plain;charset=iso8859-1"},
			{at, "application/x-www-form-urlencoded", "application/x-www-form-urlencoded"}, // curl -d
			{at, "", document.DefaultContentType},
			{at, "text/html", "text/html"},
		} {
			content := "<script>alert(1)</script>&a=b\n" + k.contentType
			up := do(t, c, request{method: "POST", url: k.url, user: "demo", password: certtest.Password, contentType: k.contentType, body: strings.NewReader(content)})
			up.is(t, "upload", http.StatusCreated, "")
			if len(up.body) != 58 || up.header.Get("Location") != "/doc/demo/sds/"+up.body {
				t.Fatalf("the id is %q, the location %q", up.body, up.header.Get("Location"))
			}
			q := request{method: "GET", url: at + "/" + up.body, user: "demo", password: certtest.Password}
			down := do(t, c, q)
			down.is(t, "download", http.StatusOK, "")
			h := down.header
			if down.body != content || h.Get("Content-Type") != k.want {
				t.Errorf("%q came back as %q", k.contentType, h.Get("Content-Type"))
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Disposition") != "attachment" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "sandbox") || !strings.Contains(h.Get("Cache-Control"), "no-store") {
				t.Errorf("headers %v", h)
			}
			q.method = "HEAD"
			if head := do(t, c, q); head.status != http.StatusOK || head.header.Get("Content-Length") != fmt.Sprint(len(content)) || head.header.Get("Content-Type") != k.want || head.body != "" {
				t.Errorf("HEAD: %+v", head)
			}
			q.method = "DELETE"
			do(t, c, q).is(t, "delete", http.StatusNoContent, "")
			do(t, c, q).is(t, "delete again", http.StatusNotFound, "document.unknown")
			q.method = "GET"
			do(t, c, q).is(t, "after delete", http.StatusNotFound, "document.unknown")
		}
		if rows, files := b.counts(t); rows != 0 || files != 0 {
			t.Errorf("%d rows, %d files remain", rows, files)
		}
	})
}

func TestCredentialsDecide(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		s := b.server[access.Preprod]
		c := s.Client(t, nil)
		// The service of that name in the other environment has another password.
		const elsewhere = "another-password-9x4"
		if err := b.Directory.SetServicePassword(t.Context(), access.System("test"), b.demo[access.Production].ID, secret.New(elsewhere)); err != nil {
			t.Fatal(err)
		}
		for _, k := range []struct {
			name, path, user, password string
			status                     int
			code                       string
		}{
			{"no credentials", "demo", "", "", 401, "sds.credentials"},
			{"a wrong password", "demo", "demo", "wr0ng-9", 401, "service.login"},
			{"no such service", "nobody", "nobody", certtest.Password, 401, "service.login"},
			{"the other environment's password", "demo", "demo", elsewhere, 401, "service.login"},
			{"another service's path", "other", "demo", certtest.Password, 403, "sds.other_service"},
			{"the right ones", "demo", "demo", certtest.Password, 201, ""},
		} {
			a := do(t, c, request{method: "POST", url: s.URL + "/doc/" + k.path + "/sds", user: k.user, password: k.password, body: strings.NewReader("x")})
			a.is(t, k.name, k.status, k.code)
			challenge := a.header.Get("WWW-Authenticate")
			if want := `Basic realm="Sealwright preprod", charset="UTF-8"`; k.status == 401 && challenge != want || k.status != 401 && challenge != "" {
				t.Errorf("%s: challenge %q", k.name, challenge)
			}
			if strings.Contains(a.body, k.password) && k.password != "" {
				t.Errorf("%s: the answer tells the password", k.name)
			}
		}
		if rows, _ := b.counts(t); rows != 1 {
			t.Errorf("%d documents", rows)
		}
	})
}

// N2: the client certificate is needed for SDS in production; N4: and only
// there; N8, N9: it opens the data of its one service together with the password.
func TestProductionAsksForTheServicesCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		s := b.server[access.Production]
		good := b.Issue(t, b.demo[access.Production], certtest.Order{})
		others := b.Issue(t, b.other[access.Production], certtest.Order{})
		test := b.Issue(t, b.demo[access.Preprod], certtest.Order{})
		post := func(c *tls.Certificate, service, password string) answer {
			return do(t, s.Client(t, c), request{method: "POST", url: s.URL + "/doc/" + service + "/sds", user: service, password: password, body: strings.NewReader("production")})
		}
		post(nil, "demo", certtest.Password).is(t, "without a certificate", 403, "clientcert.missing")
		post(&others, "demo", certtest.Password).is(t, "another service's certificate", 403, "clientcert.other_service")
		post(&test, "demo", certtest.Password).is(t, "the test environment's certificate", 403, "clientcert.environment")
		post(&good, "other", certtest.Password).is(t, "another service's path and password", 403, "clientcert.other_service")
		post(&good, "demo", "wrong").is(t, "a wrong password", 401, "service.login")
		up := post(&good, "demo", certtest.Password)
		up.is(t, "certificate and password", 201, "")

		q := request{method: "GET", url: s.URL + "/doc/demo/sds/" + up.body, user: "demo", password: certtest.Password}
		if down := do(t, s.Client(t, &good), q); down.body != "production" {
			t.Errorf("came back: %+v", down)
		}
		do(t, s.Client(t, nil), q).is(t, "reading without a certificate", 403, "clientcert.missing")
		q.url, q.user = s.URL+"/doc/other/sds/"+up.body, "other"
		foreign := do(t, s.Client(t, &others), q)
		foreign.is(t, "another service, properly authenticated", 404, "document.unknown")
		q.url = s.URL + "/doc/other/sds/" + strings.Repeat("0", 58)
		if none := do(t, s.Client(t, &others), q); cut(none.body) != cut(foreign.body) {
			t.Errorf("%q tells more than %q", foreign.body, none.body)
		}
		// In preprod the same id does not exist, and certificates do not matter.
		p := b.server[access.Preprod]
		q = request{method: "GET", url: p.URL + "/doc/demo/sds/" + up.body, user: "demo", password: certtest.Password}
		do(t, p.Client(t, &good), q).is(t, "production's document in preprod", 404, "document.unknown")

		b.Revoke(t, certtest.Issuer(access.Production), good) // N29
		q.url = s.URL + "/doc/demo/sds/" + up.body
		do(t, s.Client(t, &good), q).is(t, "after withdrawal", 403, "clientcert.withdrawn")

		list, _, err := b.Audit.List(db.View(t.Context()), audit.Filter{Action: "document.create", AllClients: true}, store.Page{})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d audit entries (%v)", len(list), err)
		}
		if e := list[0]; e.Origin.Kind != audit.Certificate || !strings.HasPrefix(e.Origin.ID, certtest.Issuer(access.Production)+"/") ||
			e.Origin.Name != "demo-ws-ssl-test" || e.Origin.From != "127.0.0.1" || e.Entry.ObjectID != up.body || e.Entry.Service != b.demo[access.Production].ID {
			t.Errorf("audit %+v", e)
		}
	})
}

// cut removes the correlation id.
func cut(text string) string { before, _, _ := strings.Cut(text, ", correlation"); return before }

func TestInterruptedDownloadsAreResumed(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)))
	s := b.server[access.Preprod]
	c := s.Client(t, nil)
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	up := do(t, c, request{method: "POST", url: s.URL + "/doc/demo/sds", user: "demo", password: certtest.Password, contentType: "application/pdf", body: bytes.NewReader(content)})
	q := request{method: "GET", url: s.URL + "/doc/demo/sds/" + up.body, user: "demo", password: certtest.Password}
	tag := do(t, c, q).header.Get("ETag")
	for _, k := range []struct {
		name, span, condition string
		status                int
		from, to              int
	}{
		{"from the middle across chunks", "bytes=100001-", tag, 206, 100_001, len(content)},
		{"a part", "bytes=65530-65545", tag, 206, 65_530, 65_546},
		{"the end", "bytes=-7", tag, 206, len(content) - 7, len(content)},
		{"another version", "bytes=5-", `"other"`, 200, 0, len(content)},
		{"beyond the end", "bytes=99999999-", tag, 416, 0, 0},
	} {
		q.header = map[string]string{"Range": k.span, "If-Range": k.condition}
		a := do(t, c, q)
		if a.status != k.status || k.status < 300 && a.body != string(content[k.from:k.to]) {
			t.Errorf("%s: status %d, %d bytes", k.name, a.status, len(a.body))
		}
	}
	// curl goes on where an earlier download stopped.
	part := filepath.Join(t.TempDir(), "part.pdf")
	if err := os.WriteFile(part, content[:123_456], 0o600); err != nil {
		t.Fatal(err)
	}
	curl(t, "--cacert", s.CAFile, "-u", "demo:"+certtest.Password, "-C", "-", "-o", part, q.url)
	if got, err := os.ReadFile(part); err != nil || !bytes.Equal(got, content) {
		t.Errorf("curl has %d bytes (%v)", len(got), err)
	}
}

func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	return string(out)
}

// N2, N6: curl, as in the install guide.
func TestCurlUploadsAndDownloads(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)))
	s := b.server[access.Production]
	chain, key := certtest.WriteFiles(t, b.Issue(t, b.demo[access.Production], certtest.Order{}))
	file := filepath.Join(t.TempDir(), "contract.pdf")
	if err := os.WriteFile(file, bytes.Repeat([]byte("%PDF"), 500_000), 0o600); err != nil {
		t.Fatal(err)
	}
	auth := []string{"--cacert", s.CAFile, "--cert", chain, "--key", key, "-u", "demo:" + certtest.Password}
	for _, extra := range [][]string{{"--anyauth"}, {"-H", "Expect: 100-continue"}, {"-H", "Transfer-Encoding: chunked"}, {"--http1.0"}, {"--http1.1", "--anyauth", "-H", "Expect:"}, {"--http2", "--anyauth"}} {
		args := append(append([]string{}, auth...), extra...)
		id := curl(t, append(args, "-H", "Content-Type: application/pdf", "--data-binary", "@"+file, s.URL+"/doc/demo/sds")...)
		if len(id) != 58 {
			t.Fatalf("%v: %q", extra, id)
		}
		back := filepath.Join(t.TempDir(), "back.pdf")
		out := curl(t, append(auth, "-o", back, "-w", "%{http_code} %{content_type}", s.URL+"/doc/demo/sds/"+id)...)
		want, err1 := os.ReadFile(file)
		got, err2 := os.ReadFile(back)
		if out != "200 application/pdf" || err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %s, %d bytes", extra, out, len(got))
		}
	}
}

func TestPathTricksLeadNowhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		s := b.server[access.Preprod]
		c := s.Client(t, nil)
		up := do(t, c, request{method: "POST", url: s.URL + "/doc/demo/sds", user: "demo", password: certtest.Password, body: strings.NewReader("secret")})
		id := up.body
		for _, path := range []string{
			"/doc/demo/sds/..%2fsds%2f" + id, "/doc/demo/sds/%2e%2e/" + id, "/doc/demo/sds//" + id, "/doc/demo/sds/" + id + "%00",
			"/doc/demo/sds/" + id + "/", "/doc/demo/sds/" + id + "/x", "/doc/demo/sds/" + strings.ToUpper(id), "/doc/demo/sds/%ff%fe",
			"/doc/other/sds/../../demo/sds/" + id, "/doc/demo%00/sds/" + id, "/doc/%ff/sds/" + id, "/doc//sds/" + id, "/doc/demo/sds", "/doc/demo/sds/", "/doc/demo/SDS/" + id,
			"/doc/demo/sds/" + id[:57], "/doc/demo/sds/" + id + "0", "/doc/demo/sds/" + strings.Repeat("a", 5000), "/doc/demo/sds/%27%20OR%201=1--",
		} {
			for _, method := range []string{"GET", "DELETE", "PUT", "PATCH", "OPTIONS"} {
				a := do(t, c, request{method: method, url: s.URL + path, user: "demo", password: certtest.Password})
				if a.status < 300 || a.status >= 500 || strings.Contains(a.body, "secret") {
					t.Errorf("%s %s: %d %q", method, path, a.status, a.body)
				}
			}
		}
		do(t, c, request{method: "GET", url: s.URL + "/doc/demo/sds/" + id, user: "de\x00mo", password: certtest.Password}).is(t, "a user with a NUL", 403, "sds.other_service")
		do(t, c, request{method: "GET", url: s.URL + "/doc/DEMO/sds/" + id, user: "DEMO", password: certtest.Password}).is(t, "a name in capitals", 200, "")
	})
}
