package gallery_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/sealwright/sealwright/internal/endpoint/web/browsertest"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui/gallery"
)

func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(gallery.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

func check(t *testing.T, p *browsertest.Page, what, expression string) {
	t.Helper()
	if !browsertest.Eval[bool](p, expression) {
		t.Errorf("%s: not so (%s)", what, expression)
	}
}

func TestThemeIsChosenInPlaceAndKept(t *testing.T) {
	url := serve(t)
	p := browsertest.Open(t, url+"/login", browsertest.Options{})
	background := `getComputedStyle(document.body).backgroundColor`
	light := browsertest.Eval[string](p, background)
	browsertest.Eval[bool](p, `window.stayed = true`)
	p.Click(`.sw-theme button[value=dark]`)
	p.Until(background + ` !== "` + light + `"`)
	check(t, p, "the page was not loaded again", `window.stayed === true`)
	check(t, p, "the pressed button says so", `document.querySelector("[value=dark]").getAttribute("aria-pressed") === "true"`)
	p.Until(`fetch("/login").then(r => r.text()).then(t => t.includes('data-bs-theme="dark"'))`)
	p.Go(url + "/certificates")
	check(t, p, "the choice is kept", `document.documentElement.dataset.bsTheme === "dark"`)
	p.Click(`.sw-theme button[value=""]`)
	p.Until(`!document.documentElement.hasAttribute("data-bs-theme")`)
}

func TestWithoutScriptEverythingIsAPlainFormOrLink(t *testing.T) {
	url := serve(t)
	p := browsertest.Open(t, url+"/order", browsertest.Options{NoScript: true})
	if got := p.Text(".sw-dl time"); got != "2026-03-14 09:26 UTC" {
		t.Errorf("The time reads %q without script; want it in UTC.", got)
	}
	check(t, p, "buttons that need script are not offered", `[...document.querySelectorAll("[data-sw-copy]")].every(b => b.hidden)`)
	p.Follow(`[data-sw-dialog=revoke]`)
	if got := p.Text(".sw-confirm-panel h2"); !strings.Contains(got, "www.example.org") {
		t.Errorf("The confirm page asks %q and does not name the object.", got)
	}
	p.Follow(`.sw-theme button[value=dark]`)
	check(t, p, "the theme form leads back", `location.pathname === "/confirm" && document.documentElement.dataset.bsTheme === "dark"`)
}

func TestDestructiveActAsksAndNamesItsObject(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/order", browsertest.Options{Width: 1440, Height: 900})
	p.Click(`[data-sw-dialog=revoke]`)
	p.Visible(`#revoke[open]`)
	p.Accessible()
	p.ScreenshotView("dialog-1440-light")
	if got := p.Text("#revoke h2"); !strings.Contains(got, "www.example.org") {
		t.Errorf("The dialog asks %q and does not name the object.", got)
	}
	check(t, p, "the focus is on the harmless button", `document.activeElement.hasAttribute("data-sw-cancel")`)
	p.Click(`#revoke [data-sw-cancel]`)
	p.Gone(`#revoke`)
	check(t, p, "cancelling sends nothing", `location.pathname === "/order"`)
	p.Click(`[data-sw-dialog=revoke]`)
	p.Visible(`#revoke[open]`)
	browsertest.Eval[string](p, `document.querySelector("#f-reason").value = "key"`)
	p.Follow(`#revoke .sw-btn-danger`)
	if got := p.Text("#posted"); !strings.Contains(got, "serial=4a910c77") || !strings.Contains(got, "reason=key") {
		t.Errorf("The act posted %q.", got)
	}
}

func TestFirstFieldWithAnErrorGetsTheFocusAndIsDescribed(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/form?fault=1", browsertest.Options{})
	check(t, p, "focus", `document.activeElement.id === "f-names"`)
	check(t, p, "invalid", `document.activeElement.getAttribute("aria-invalid") === "true"`)
	check(t, p, "description", `document.activeElement.getAttribute("aria-describedby").split(" ").every(id => document.getElementById(id).textContent.length > 3)`)
	check(t, p, "nothing typed is lost", `document.activeElement.value === "exa mple.org\napi.example.org"`)
	p.Click(`.sw-errors a[href="#f-terms"]`)
	p.Until(`document.activeElement.id === "f-terms"`)
}

func TestUnsavedChangesAreAskedAbout(t *testing.T) {
	url := serve(t)
	p := browsertest.Open(t, url+"/form", browsertest.Options{})
	p.Fill("#f-cn", "other.example.org")
	p.Follow(`.sw-nav .sw-brand`)
	if len(p.Dialogs()) != 1 || !strings.HasPrefix(p.Dialogs()[0], "beforeunload") {
		t.Errorf("Leaving with changes asked %q; want one question.", p.Dialogs())
	}
	p.Go(url + "/form")
	p.Follow(`.sw-nav .sw-brand`)
	if len(p.Dialogs()) != 1 {
		t.Errorf("Leaving without changes asked too: %q.", p.Dialogs())
	}
}

func TestRowsAreWalkedWithTheKeyboardAndOpenedByClick(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/certificates", browsertest.Options{})
	browsertest.Eval[bool](p, `document.querySelector(".sw-row-link").focus() ?? true`)
	p.Press(kb.ArrowDown, kb.ArrowDown, kb.ArrowUp)
	check(t, p, "second row", `document.activeElement.textContent.includes("payments.example.com")`)
	p.Press(kb.End)
	check(t, p, "last row", `document.activeElement.textContent.includes("mail.example.org")`)
	p.Follow(`tr[data-href*=legacy] td:nth-child(3)`)
	if got := p.URL(); !strings.Contains(got, "/order?name=legacy") {
		t.Errorf("The row led to %s.", got)
	}
}

func TestSelectionIsCountedAndPosted(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/certificates", browsertest.Options{Width: 1440, Height: 900})
	check(t, p, "nothing to do with nothing selected", `[...document.querySelectorAll(".sw-bulk button")].every(b => b.disabled)`)
	p.Click(`[data-sw-select-all]`)
	if got := p.Text("[data-sw-count]"); got != "6 selected" {
		t.Errorf("The bar says %q.", got)
	}
	p.ScreenshotView("selection-1440-light")
	p.Click(`input[name=select][value="mail.example.org"]`)
	check(t, p, "some", `document.querySelector("[data-sw-select-all]").indeterminate`)
	p.Follow(`.sw-bulk button[value=renew]`)
	if got := p.Text("#posted"); strings.Count(got, "select=") != 5 || !strings.Contains(got, "do=renew") {
		t.Errorf("The bar posted %q.", got)
	}
}

func TestSortingAndFilteringReplaceTheTableAndChangeTheAddress(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/certificates", browsertest.Options{})
	browsertest.Eval[bool](p, `window.stayed = true`)
	p.Click(`thead th:nth-child(2) a`)
	p.Until(`location.search === "?sort=name" && document.querySelector("[aria-sort=ascending]") !== null`)
	p.Click(`thead th:nth-child(2) a`)
	p.Until(`location.search === "?sort=-name" && document.querySelector("[aria-sort=descending]") !== null`)
	p.Until(`!document.querySelector("[data-sw-select-all]").hidden && document.querySelector("[data-sw-count]").textContent === "0 selected"`)
	p.Fill("#f-q", "pay")
	p.Click(`.sw-filter button`)
	p.Until(`new URLSearchParams(location.search).get("q") === "pay"`)
	p.Click(`.sw-pager a[rel=next]`)
	p.Until(`new URLSearchParams(location.search).get("after") === "c6"`)
	check(t, p, "filters stay while paging", `new URLSearchParams(location.search).get("q") === "pay"`)
	check(t, p, "the page was not loaded again", `window.stayed === true`)
	check(t, p, "no page is left in the browser's storage", `localStorage.length === 0 && Object.keys(sessionStorage).every(k => k === "htmx-current-path-for-history")`)
}

func TestTimesAreLocalAndNameTheirZone(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/order", browsertest.Options{})
	check(t, p, "local", `(() => { const e = document.querySelector(".sw-dl time");
		const zone = new Intl.DateTimeFormat("en-GB", {timeZoneName: "short"}).formatToParts(new Date(e.dateTime)).find(x => x.type === "timeZoneName").value;
		return e.textContent.endsWith(zone) && e.title === "2026-03-14 09:26 UTC" && e.dateTime === "2026-03-14T09:26:53Z"; })()`)
	p.Go(p.URL()[:strings.LastIndex(p.URL(), "/")] + "/pickup")
	if got := p.Text(".sw-countdown"); !strings.HasSuffix(got, "days left") {
		t.Errorf("The countdown reads %q.", got)
	}
}

func TestAPartOfAPageRenewsItself(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/sign", browsertest.Options{})
	browsertest.Eval[bool](p, `(window.old = document.querySelector("#state")) !== null`)
	p.Until(`document.querySelector("#state") !== window.old`)
	if got := p.Text("#state .sw-alert"); got != "Nobody has signed yet." {
		t.Errorf("The renewed part reads %q.", got)
	}
}

func TestCopyingSaysSo(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/pickup", browsertest.Options{})
	p.Click(`[data-sw-copy=pin]`)
	p.Until(`document.querySelector("[data-sw-copy=pin]").textContent.trim() === "Copied" || String(getSelection()) === "K7RM-2QX9"`)
}

func TestNavigationIsADrawerOnThePhone(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/certificates", browsertest.Options{Width: 360, Height: 740, Touch: true})
	p.Gone("#sw-nav")
	p.Click(".sw-nav-open")
	p.Visible("#sw-nav:popover-open")
	p.Accessible()
	p.ScreenshotView("drawer-360-light")
	p.Press(kb.Escape)
	p.Gone("#sw-nav")
	p.Click(".sw-user")
	p.Visible(".sw-menu-body")
	p.ScreenshotView("menu-360-light")
	p.Press(kb.Escape)
	p.Gone(".sw-menu-body")
}

func TestAChosenFileIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "request.csr")
	if err := os.WriteFile(file, make([]byte, 2300), 0o600); err != nil {
		t.Fatal(err)
	}
	p := browsertest.Open(t, serve(t)+"/form", browsertest.Options{})
	p.Upload("#f-csr", file)
	p.Until(`document.querySelector("[data-sw-drop-text]").textContent === "request.csr (2.3 kB)"`)
}

func TestAFormIsSentOnce(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/login", browsertest.Options{})
	p.Fill("#f-user", "a@example.org")
	p.Fill("#f-password", "correct horse")
	check(t, p, "the second press is swallowed", `(() => {
		const form = document.querySelector("form.sw-form"), button = form.querySelector("button[type=submit]");
		let sent = 0;
		addEventListener("submit", e => { if (!e.defaultPrevented) sent++; e.preventDefault(); });
		button.click(); button.click();
		return sent === 1 && button.getAttribute("aria-busy") === "true";
	})()`)
	p.Click(`[data-sw-reveal]`)
	check(t, p, "the password can be read", `document.querySelector("#f-password").type === "text"`)
}

func TestKeyboardReachesContentFirst(t *testing.T) {
	p := browsertest.Open(t, serve(t)+"/", browsertest.Options{Dark: true})
	p.Press(kb.Tab)
	check(t, p, "skip link", `document.activeElement.className === "sw-skip"`)
	p.ScreenshotView("skip-1280-dark")
	p.Press(kb.Enter)
	p.Until(`location.hash === "#sw-content"`)
	p.Press(kb.Tab)
	check(t, p, "then the content", `document.querySelector("main").contains(document.activeElement)`)
	check(t, p, "with a visible ring", `getComputedStyle(document.activeElement).outlineStyle === "solid"`)
	p.ScreenshotView("focus-1280-dark")
}
