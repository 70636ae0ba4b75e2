package theme

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestVendoredFilesAreThePublishedOnes(t *testing.T) {
	list, err := os.Open("static/vendor/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	listed := map[string]bool{}
	for s := bufio.NewScanner(list); s.Scan(); {
		sum, name, _ := strings.Cut(s.Text(), "  ")
		listed[name] = true
		b, err := os.ReadFile("static/vendor/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s differs from what npm published.", name)
		}
		if len(b) >= 1<<20 {
			t.Errorf("%s has %d bytes; vendored files stay below 1 MiB.", name, len(b))
		}
	}
	entries, err := os.ReadDir("static/vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".js") || strings.HasSuffix(e.Name(), ".css") {
			if !listed[e.Name()] {
				t.Errorf("%s has no checksum.", e.Name())
			}
		}
	}
	if len(listed) == 0 {
		t.Error("No file is listed.")
	}
}

func TestFirstPageStaysWithinItsBudget(t *testing.T) {
	const budget = 150_000 // bytes on the wire, style sheets and scripts
	total := 0
	for _, name := range []string{"tabler.min.css", "app.css", "htmx.min.js", "app.js"} {
		n := len(shared().byName[name].zipped)
		t.Logf("%-16s %6d bytes", name, n)
		total += n
	}
	if total == 0 || total > budget {
		t.Errorf("The first page loads %d bytes of style and script; the budget is %d.", total, budget)
	}
}

func get(h http.Handler, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestFilesAreServedUnderTheHashOfTheirContent(t *testing.T) {
	a, err := NewAssets("/static/", fstest.MapFS{"a.css": {Data: bytes.Repeat([]byte("a { color: red }\n"), 50)}, "sub/b.mjs": {Data: []byte("1")}, "LICENSE": {Data: []byte("words")}})
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAssets("/static/", fstest.MapFS{"a.css": {Data: []byte("a { color: blue }")}})
	if err != nil {
		t.Fatal(err)
	}
	if a.URL("a.css") == other.URL("a.css") {
		t.Error("Different content has the same address.")
	}
	r := get(a, a.URL("a.css"), "Accept-Encoding", "br, gzip;q=0.8")
	for name, want := range map[string]string{
		"Content-Type": "text/css; charset=utf-8", "Content-Encoding": "gzip", "Vary": "Accept-Encoding",
		"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q; want %q.", name, got, want)
		}
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !strings.HasPrefix(string(b), "a { color: red }") {
		t.Errorf("The compressed body reads %q, %v.", b, err)
	}
	if r := get(a, a.URL("a.css"), "Accept-Encoding", "gzip;q=0, identity"); r.Header.Get("Content-Encoding") != "" {
		t.Error("A client that refuses gzip got it.")
	}
	if r := get(a, a.URL("sub/b.mjs")); r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("A module has the type %q.", r.Header.Get("Content-Type"))
	}
}

func TestAnotherVersionsAddressIsServedButNotKept(t *testing.T) {
	r := get(Handler(), "/static/0123456789abcdef/app.js")
	if r.StatusCode != http.StatusOK || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("A page of another version got %d with Cache-Control %q; want 200, no-cache.", r.StatusCode, r.Header.Get("Cache-Control"))
	}
}

func TestNothingElseIsServed(t *testing.T) {
	prefix := strings.TrimSuffix(URL("app.css"), "app.css")
	for _, path := range []string{"/static/", prefix, prefix + "LICENSE.htmx", prefix + "SHA256SUMS", prefix + "../theme.go", "/static/app.css", "/static/zz/app.css", prefix + "css/10-tokens.css"} {
		if r := get(Handler(), path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d.", path, r.StatusCode)
		}
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, URL("app.css"), nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST answered %d.", w.Code)
	}
}

func TestAnSVGOpenedByItselfMayDoNothing(t *testing.T) {
	r := get(Handler(), URL("favicon.svg"))
	if r.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(r.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("The favicon travels with %v.", r.Header)
	}
}

func TestAnUnknownFileIsADefect(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("URL of a file that does not exist was given out.")
		}
	}()
	URL("nothing.css")
}

func TestStyleSheetsLeaveOutsideHostsAlone(t *testing.T) {
	err := fs.WalkDir(files, "css", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if bytes.Contains(b, []byte("http://")) || bytes.Contains(b, []byte("https://")) || bytes.Contains(b, []byte("@import")) {
			t.Errorf("%s loads something from elsewhere.", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
