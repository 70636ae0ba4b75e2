package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sealwright/sealwright/internal/endpoint/web/console"
)

// The session cookie is one that no other host and no script can read or set.
func TestTheSessionCookieIsGuarded(t *testing.T) {
	w := newWorld(t, options{})
	v := w.visitor()
	a := v.post("/login", "email", "root@example.com", "password", goodPassword)
	a.to(t, "/")
	cookie := a.Cookies()[0]
	if cookie.Name != "__Host-session" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %+v", cookie)
	}
	if v.get("/").Header.Get("Cache-Control") != "no-store" {
		t.Error("a page may be stored")
	}
	v.get("/login?next=/orders").to(t, "/orders")
	v.post("/logout").to(t, "/login?done=signed-out")
	v.get("/").to(t, "/login")
}

// Nobody learns from the answer whether an account exists.
func TestAnUnknownOperatorAndAWrongPasswordLookTheSame(t *testing.T) {
	w := newWorld(t, options{})
	one := w.visitor().post("/login", "email", "root@example.com", "password", "wrong")
	two := w.visitor().post("/login", "email", "nobody@example.com", "password", "wrong")
	one.is(t, 401, "The e-mail address or the password is wrong.")
	clean := func(a answer) string {
		body := regexp.MustCompile(`<code>[0-9a-f]{16}</code>`).ReplaceAllString(a.body, "")
		return regexp.MustCompile(`value="[a-z]+@example\.com"`).ReplaceAllString(body, "")
	}
	if one.StatusCode != two.StatusCode || clean(one) != clean(two) {
		t.Error("the two answers differ")
	}
	if !strings.Contains(one.body, `value="root@example.com"`) {
		t.Error("the e-mail address has to be typed again")
	}
}

func TestRedirectsStayOnThisHost(t *testing.T) {
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "/%0d%0aX: y\r\n", "javascript:alert(1)", "orders", "", "/a\tb", "http:/evil.example"} {
		if got := console.Local(next); got != "/" && !strings.HasPrefix(got, "/%0d") {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	w := newWorld(t, options{})
	for _, next := range []string{"https://evil.example/x", "//evil.example", `/\evil.example`} {
		w.visitor().post("/login", "email", "root@example.com", "password", goodPassword, "next", next).to(t, "/")
	}
	w.visitor().post("/login", "email", "root@example.com", "password", goodPassword, "next", "/orders?state=ISSUED").to(t, "/orders?state=ISSUED")
}

// An expired session keeps where one was.
func TestAnEndedSessionComesBackToThePage(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	v.get("/clients?q=foo").is(t, 200, "Foo ASA")
	w.clock.Advance(13 * time.Hour)
	v.get("/clients?q=foo").to(t, "/login?next="+url.QueryEscape("/clients?q=foo"))
	v.post("/clients/new", "name", "Lost").is(t, 401, "You are not signed in any more; nothing was done.")
	v.post("/login", "email", "root@example.com", "password", goodPassword, "next", "/clients?q=foo").to(t, "/clients?q=foo")
}

func TestAPageOfAnotherSiteCannotSendForms(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	_, patterns := console.Patterns()
	tried := 0
	for _, p := range patterns {
		path, ok := strings.CutPrefix(p, "POST ")
		if !ok {
			continue
		}
		tried++
		path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x")
		for _, site := range []string{"cross-site", "same-site"} {
			if a := v.do(v.form(path, site, "name", "x")); a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "page of another site") {
				t.Errorf("POST %s from %s answered %d", path, site, a.StatusCode)
			}
		}
	}
	if tried < 30 {
		t.Fatalf("only %d acts were tried", tried)
	}
	v.get("/me").is(t, 200) // still signed in: nothing was done
}

// From invitation to a complete sign-in with an authenticator app, and in again by
// recovery code, each of which works once.
func TestFromInvitationToSecondFactor(t *testing.T) {
	w := newWorld(t, options{second: true})
	inv, err := w.access.InviteOperator(t.Context(), w.root, operatorFields("new@example.com"))
	must(t, err)
	v := w.visitor()
	path := "/invitation/" + inv.Token.Reveal()
	page := v.get(path)
	page.is(t, 200, "Welcome, Operator")
	if strings.Contains(page.body, inv.Token.Reveal()) {
		t.Error("the page repeats the secret of its address")
	}
	v.post(path, "password", goodPassword, "again", "something else").is(t, 400, "The two passwords are not the same.")
	v.post(path, "password", "short", "again", "short").is(t, 400)
	v.post(path, "password", goodPassword, "again", goodPassword).to(t, "/factors/new")
	v.get("/orders").to(t, "/factors/new?next=%2Forders") // enrolment cannot be skipped
	v.get("/factors/new").is(t, 200, "Set up a passkey", "Set up an authenticator app")
	page = v.post("/factors/app", "next", "/")
	page.is(t, 200, "data:image/png;base64,", "Or type this secret into the app")
	address := page.hidden(t, "url")
	u, err := url.Parse(address)
	must(t, err)
	v.post("/factors/app/confirm", "url", address, "code", "000000").is(t, 400, "data:image/png;base64,") // the same picture again
	code, err := totp.GenerateCode(u.Query().Get("secret"), w.clock.Now())
	must(t, err)
	page = v.post("/factors/app/confirm", "url", address, "code", code)
	page.is(t, 200, "Keep your recovery codes")
	codes := regexp.MustCompile(`(?s)<code\s+id="codes"[^>]*>(.*?)</code>`).FindStringSubmatch(page.body)
	list := strings.Fields(codes[1])
	if len(list) != 10 {
		t.Fatalf("%d recovery codes: %q", len(list), list)
	}
	v.get("/me").is(t, 200, "new@example.com")
	w.visitor().get(path).is(t, 410) // the invitation worked once

	again := w.visitor()
	again.post("/login", "email", "new@example.com", "password", goodPassword, "next", "/me").to(t, "/login/second?next=%2Fme")
	again.get("/me").to(t, "/login/second?next=%2Fme")
	again.post("/login/second", "code", code, "next", "/me").is(t, 401) // a code works once
	w.clock.Advance(time.Minute)
	next, err := totp.GenerateCode(u.Query().Get("secret"), w.clock.Now())
	must(t, err)
	again.post("/login/second", "code", next, "next", "/me").to(t, "/me")

	lost := w.visitor()
	lost.post("/login", "email", "new@example.com", "password", goodPassword)
	lost.get("/login/recovery").is(t, 200, "Use a recovery code")
	lost.post("/login/recovery", "code", list[0]).to(t, "/")
	other := w.visitor()
	other.post("/login", "email", "new@example.com", "password", goodPassword)
	other.post("/login/recovery", "code", list[0]).is(t, 401)
}

func TestSignOutEverywhereEndsAllSessions(t *testing.T) {
	w := newWorld(t, options{})
	one, two := w.login("root@example.com"), w.login("root@example.com")
	one.get("/me/security").is(t, 200, "Sign out everywhere", "This one")
	one.post("/me/sessions/end-all").to(t, "/login?done=signed-out-everywhere")
	two.get("/me").to(t, "/login?next=%2Fme")
}

func TestThePasswordIsChangedWithTheOldOneOnly(t *testing.T) {
	w := newWorld(t, options{})
	v, other := w.login("root@example.com"), w.login("root@example.com")
	const next = "orchard lantern quiet ninety"
	v.post("/me/password", "old", "wrong", "password", next, "again", next).is(t, 401, "That is not your present password.")
	v.post("/me/password", "old", goodPassword, "password", next, "again", next).to(t, "/me/security?done=password.changed")
	other.get("/me").to(t, "/login?next=%2Fme")
	w.visitor().post("/login", "email", "root@example.com", "password", goodPassword).is(t, 401)
}

func FuzzRedirectsStayOnThisHost(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b=//c", "https://x", "/\t/x", "/%2f/x", "/.//x"} {
		f.Add(s)
	}
	base, err := url.Parse("https://here.example/login")
	must(f, err)
	f.Fuzz(func(t *testing.T, next string) {
		u, err := base.Parse(console.Local(next))
		if err != nil || u.Scheme != "https" || u.Host != "here.example" {
			t.Errorf("%q leads to %v, %v", next, u, err)
		}
	})
}
