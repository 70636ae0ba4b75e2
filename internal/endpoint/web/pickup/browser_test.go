package pickup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/sealwright/sealwright/internal/endpoint/web/browsertest"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

// shown is a bench whose clock is the browser's, so that what is left reads well.
func shown(t *testing.T) *bench {
	t.Helper()
	return newBench(t, storetest.Open(t, storetest.SQLite(t)), time.Now())
}

func (b *bench) address(token string) string { return b.server.URL + "/pickup/" + token }

// N24 to N28, N30, N34 to N36, on phone and desktop, light and dark: every page
// is checked by axe (WCAG 2.2 AA), for a policy that nothing violates, and for
// not scrolling sideways.
func TestEveryPageIsAccessibleOnPhoneAndDesktop(t *testing.T) {
	for _, o := range []browsertest.Options{
		{Width: 360, Height: 740, Touch: true, Insecure: true},
		{Width: 360, Height: 740, Touch: true, Dark: true, Insecure: true},
		{Width: 1440, Height: 900, Insecure: true},
		{Width: 1440, Height: 900, Dark: true, Insecure: true},
	} {
		scheme := map[bool]string{true: "dark", false: "light"}[o.Dark]
		t.Run(fmt.Sprintf("%d px, %s", o.Width, scheme), func(t *testing.T) {
			b := shown(t)
			_, token := b.order(wscert.Generate)
			p := browsertest.Start(t, o)
			p.Expect("the server responded with a status of 4")
			look := func(name string) {
				t.Helper()
				p.Accessible()
				if browsertest.Eval[bool](p, `document.documentElement.scrollWidth > innerWidth`) {
					t.Errorf("%s scrolls sideways.", name)
				}
				p.Screenshot(fmt.Sprintf("pickup-%s-%d-%s", name, o.Width, scheme))
			}
			p.Go(b.address(token))
			look("code")
			p.Fill("#f-code", "123 45")
			p.Follow(".sw-form .sw-btn-primary")
			look("code-wrong")
			p.Fill("#f-code", b.code())
			p.Follow(".sw-form .sw-btn-primary")
			look("file")
			p.Go(b.address(token) + "/done")
			look("not-yet")
			p.Go(b.address(token))
			if got := browsertest.Eval[int](p, `fetch(document.querySelector("a[download]").href).then(r => r.arrayBuffer()).then(b => b.byteLength)`); got == 0 {
				t.Error("The file is empty.")
			}
			p.Visible(".sw-tabs") // the page's script noticed
			look("done")
			for _, id := range []string{"curl", "openssl", "java", "dotnet", "nginx"} {
				p.Follow(`.sw-tabs a[href*="guide=` + id + `"]`)
				p.Visible("#guide-" + id)
				look("guide-" + id)
			}
			browsertest.Eval[bool](p, `cookieStore.delete("__Host-pickup").then(() => true, () => true)`)
			p.Go(b.server.URL + "/pickup/unknown")
			look("unknown")
			_, token = b.order(wscert.Bring)
			p.Go(b.address(token) + "?lang=nb")
			look("code-nb")
			p.Fill("#f-code", b.code())
			p.Follow(".sw-form .sw-btn-primary")
			look("request-nb")
		})
	}
}

func TestAnotherBrowserSeesThatTheFileIsGone(t *testing.T) {
	b := shown(t)
	_, token := b.order(wscert.Generate)
	c := b.browser(token, false)
	c.enter(b.code())
	c.get("/file")
	c.await()
	p := browsertest.Start(t, browsertest.Options{Width: 360, Height: 740, Touch: true, Insecure: true})
	p.Expect("status of 410")
	p.Go(b.address(token))
	p.Accessible()
	p.Screenshot("pickup-gone-360-light")
	if text := p.Text("main"); !strings.Contains(text, "If it was not you") || !strings.Contains(text, "the security desk") {
		t.Errorf("The page says:\n%s", text)
	}
}

// The whole way with nothing but the keyboard, and a real download.
func TestTheKeyboardAlonePicksUp(t *testing.T) {
	b := shown(t)
	_, token := b.order(wscert.Generate)
	p := browsertest.Open(t, b.address(token), browsertest.Options{Insecure: true})
	if got := browsertest.Eval[string](p, `document.activeElement.id`); got != "f-code" {
		t.Errorf("The focus is on %q, want the one-time password.", got)
	}
	p.Press(b.code(), kb.Enter)
	p.Visible("a[download]")
	for range 30 {
		p.Press(kb.Tab)
		if browsertest.Eval[bool](p, `document.activeElement.matches("a[download]")`) {
			break
		}
	}
	if !browsertest.Eval[bool](p, `document.activeElement.matches("a[download]")`) {
		t.Fatal("The keyboard does not reach the download.")
	}
	p.Press(kb.Enter)
	p.Visible(".sw-tabs") // the page's script noticed
	if n := len(b.passwords()); n != 1 {
		t.Errorf("%d passwords were sent, want one.", n)
	}
}

// Without script, links do what the script does.
func TestWithoutScriptThePagesAreFormsAndLinks(t *testing.T) {
	b := shown(t)
	_, token := b.order(wscert.Bring)
	p := browsertest.Open(t, b.address(token), browsertest.Options{Insecure: true, NoScript: true})
	p.Expect("status of 4")
	p.Fill("#f-code", b.code())
	p.Follow(".sw-form .sw-btn-primary")
	file := filepath.Join(t.TempDir(), "my.csr")
	if err := os.WriteFile(file, []byte(request(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Upload("#f-csr_file", file)
	p.Follow(".sw-form .sw-btn-primary")
	p.Visible("a[download]")
	if got := p.Follow(`a[href$="/done"]`); got != 409 {
		t.Errorf("“I have downloaded it” is answered with %d before the download.", got)
	}
	p.Follow(`.sw-form-actions a:last-child`)
	if got := browsertest.Eval[string](p, `document.querySelector("a[download]").getAttribute("href")`); got != "/pickup/"+token+"/file" {
		t.Errorf("The file is at %q.", got)
	}
	c := b.browser(token, false)
	session := browsertest.Eval[string](p, `document.getElementById("direct").textContent.match(/__Host-pickup=([^']+)/)[1]`)
	want(t, "file", c.get("/file", "Cookie", "__Host-pickup="+session), 200)
	b.settled(1)
	p.Follow(`a[href$="/done"]`)
	if text := p.Text("main"); !strings.Contains(text, "There is no password") {
		t.Errorf("The page says:\n%s", text)
	}
}
