package console_test

import (
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// A visitor is a browser without eyes: cookies, no scripts.
type visitor struct {
	t    testing.TB
	base string
	*http.Client
}

func (w *world) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	roots := x509.NewCertPool()
	roots.AddCert(w.server.Certificate())
	return &visitor{w.t, w.server.URL, &http.Client{
		Jar:           jar,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// An answer is a response that was read.
type answer struct {
	*http.Response
	body string
}

func (v *visitor) do(r *http.Request) answer {
	v.t.Helper()
	res, err := v.Do(r)
	must(v.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(v.t, err)
	return answer{res, string(b)}
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	r, err := http.NewRequest("GET", v.base+path, nil)
	must(v.t, err)
	return v.do(r)
}

// post sends a form as a page of this host would.
func (v *visitor) post(path string, fields ...string) answer {
	v.t.Helper()
	return v.do(v.form(path, "same-origin", fields...))
}

func (v *visitor) form(path, site string, fields ...string) *http.Request {
	v.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequest("POST", v.base+path, strings.NewReader(values.Encode()))
	must(v.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	return r
}

// to fails unless the answer leads to a path.
func (a answer) to(t testing.TB, path string) {
	t.Helper()
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != path {
		t.Fatalf("%s %s answered %d leading to %q, want %q\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, got, path, excerpt(a.body))
	}
}

// is fails unless the answer has a status and its text holds all of these.
func (a answer) is(t testing.TB, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s answered %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, excerpt(a.body))
	}
	shown := html.UnescapeString(a.body)
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			t.Errorf("%s %s does not say %q:\n%s", a.Request.Method, a.Request.URL, text, excerpt(a.body))
		}
	}
}

var tags = regexp.MustCompile(`(?s)<(script|style|head).*?</(script|style|head)>|<[^>]*>`)

// excerpt is the text of a page, for messages.
func excerpt(page string) string {
	text := strings.Join(strings.Fields(tags.ReplaceAllString(page, " ")), " ")
	if len(text) > 1500 {
		text = text[:1500] + "…"
	}
	return text
}

// hidden reads a hidden field of a page.
func (a answer) hidden(t testing.TB, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + regexp.QuoteMeta(name) + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no field %q in\n%s", name, excerpt(a.body))
	}
	return html.UnescapeString(m[1])
}

// login signs in with the password alone.
func (w *world) login(email string) *visitor {
	w.t.Helper()
	v := w.visitor()
	v.post("/login", "email", email, "password", goodPassword).to(w.t, "/")
	return v
}
