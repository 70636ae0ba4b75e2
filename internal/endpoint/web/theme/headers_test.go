package theme

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestPagesTravelWithAStrictPolicy(t *testing.T) {
	h := SecurityHeaders(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	r := get(h, "/")
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if got := r.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("The policy is\n\t%s; want\n\t%s", got, want)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q; want %q.", name, got, want)
		}
	}
	if r.Header.Get("Permissions-Policy") == "" {
		t.Error("There is no Permissions-Policy.")
	}
	strict := get(Headers{Policy: DefaultPolicy(), HSTS: 24 * time.Hour}.Wrap(h), "/")
	if got := strict.Header.Get("Strict-Transport-Security"); got != "max-age=86400" {
		t.Errorf("HSTS is %q.", got)
	}
}

func TestOneResponseCanHaveItsOwnPolicy(t *testing.T) {
	base := DefaultPolicy()
	p := base.WithFormAction("https://rp.example").WithFrameAncestors("https://portal.example").WithWorker("'self'")
	h := SecurityHeaders(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		SetPolicy(w, p)
		w.WriteHeader(http.StatusOK)
	}))
	got := get(h, "/").Header.Get("Content-Security-Policy")
	for _, part := range []string{"form-action 'self' https://rp.example;", "frame-ancestors https://portal.example;", "worker-src 'self';"} {
		if !strings.Contains(got, part) {
			t.Errorf("The policy %q lacks %q.", got, part)
		}
	}
	if s := base.String(); strings.Contains(s, "example") {
		t.Errorf("Deriving a policy changed the original: %s", s)
	}
}

func TestAnOriginCannotSmuggleInADirective(t *testing.T) {
	for _, hostile := range []string{"https://a.example; script-src *", "https://a.example script-src", "a\r\nSet-Cookie: x=y", "https://a.example,default-src", ""} {
		if got := DefaultPolicy().WithFormAction(hostile).String(); got != DefaultPolicy().String() {
			t.Errorf("%q made the policy %s", hostile, got)
		}
	}
}

func post(back, choice string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodPost, SwitchPath, strings.NewReader(url.Values{"theme": {choice}, "back": {back}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	SwitchHandler().ServeHTTP(w, r)
	return w.Result()
}

func TestTheThemeFormKeepsTheChoiceAndLeadsBack(t *testing.T) {
	r := post("/orders?sort=-name", "dark")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/orders?sort=-name" {
		t.Errorf("The form led to %d %q.", r.StatusCode, r.Header.Get("Location"))
	}
	next := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range r.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("The cookie is %v.", c)
		}
		next.AddCookie(c)
	}
	if got := FromRequest(next); got != Dark {
		t.Errorf("The next page is %q.", got)
	}
	if c := post("/", "purple").Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("An unknown choice set %v; want the cookie removed.", c)
	}
	if r := post("/", "light", "Accept", "application/json"); r.StatusCode != http.StatusNoContent {
		t.Errorf("The script was answered %d.", r.StatusCode)
	}
	w := httptest.NewRecorder()
	SwitchHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, SwitchPath, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET was answered %d.", w.Code)
	}
}

func TestTheWayBackStaysOnThisHost(t *testing.T) {
	for _, back := range []string{"", "https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "orders", "/a\r\nX: y", "/%zz"} {
		if got := post(back, "dark").Header.Get("Location"); got != "/" {
			t.Errorf("back=%q led to %q.", back, got)
		}
	}
}

func TestAForgedCookieMeansAutomatic(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Cookie", cookieName+`=dark>onload`)
	if got := FromRequest(r); got != Auto {
		t.Errorf("The choice is %q.", got)
	}
}
