package console_test

import (
	"context"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/sealwright/sealwright/internal/access"
)

// A keyed is a Chromium with a virtual authenticator that verifies its user.
type keyed struct {
	t   *testing.T
	ctx context.Context
}

func startKeyed(t *testing.T) *keyed {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Pages are tested in Chromium, which is not installed (Debian: apt-get install chromium): %v", err)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.Flag("headless", "new"), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("ignore-certificate-errors", true), chromedp.WSURLReadTimeout(time.Minute))
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() { closeBrowser(); stop() })
	k := &keyed{t, ctx}
	// Without a deadline: chromedp would end the browser with it.
	must(t, chromedp.Listen(ctx, func(any) {}))
	must(t, chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
		return err
	})))
	return k
}

func (k *keyed) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(k.ctx, time.Minute)
}

func (k *keyed) open(url string) {
	k.t.Helper()
	ctx, cancel := k.within()
	defer cancel()
	must(k.t, chromedp.Do(ctx, chromedp.Navigate(url)))
}

// follow clicks and waits for the page that comes of it.
func (k *keyed) follow(selector string) {
	k.t.Helper()
	ctx, cancel := k.within()
	defer cancel()
	r, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	if err != nil {
		k.t.Fatalf("%s: %v; the page says: %s", selector, err, k.text())
	}
	if r.Status != http.StatusOK {
		k.t.Fatalf("%s leads to status %d: %s", selector, r.Status, k.text())
	}
}

func (k *keyed) text() string {
	k.t.Helper()
	ctx, cancel := k.within()
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText + " | refused: " + (document.querySelector("[data-console-refused]")?.textContent ?? "")`))
	must(k.t, err)
	return v
}

func (k *keyed) fill(selector, text string) {
	k.t.Helper()
	ctx, cancel := k.within()
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("`+selector+`").value = "`+text+`"`))
	must(k.t, err)
}

func (k *keyed) says(text string) {
	k.t.Helper()
	if got := k.text(); !strings.Contains(got, text) {
		k.t.Fatalf("the page does not say %q but: %s", text, got)
	}
}

// A passkey from enrolment on: as the second factor, as the only thing that is
// asked for, and as a fresh proof.
func TestAPasskeyFromEnrolmentToFreshProof(t *testing.T) {
	w := newWorld(t, options{second: true})
	inv, err := w.access.InviteOperator(t.Context(), w.root, operatorFields("new@example.com"))
	must(t, err)
	_, err = w.access.Grant(t.Context(), w.root, inv.Operator.ID, access.RoleAdministrator, "", "")
	must(t, err)
	k := startKeyed(t)
	primary := "form:not([data-console-passkey]) .sw-btn-primary"
	k.open(w.server.URL + "/invitation/" + inv.Token.Reveal())
	k.fill("#f-password", goodPassword)
	k.fill("#f-again", goodPassword)
	k.follow(primary)
	k.fill("#f-name", "Key ring")
	k.follow("form[data-console-passkey=create] button[type=submit]")
	k.says("Keep your recovery codes")
	k.open(w.server.URL + "/me/security")
	k.says("Key ring")

	signOut := func() {
		t.Helper()
		k.open(w.server.URL + "/me")
		ctx, cancel := k.within()
		defer cancel()
		must(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS("summary.sw-user"), chromedp.NodeVisible)))
		k.follow(`form[action="/logout"] button`)
		k.says("You are signed out.")
	}
	signOut()
	k.follow("form[data-console-passkey=get] button[type=submit]") // nothing typed at all
	k.open(w.server.URL + "/me")
	k.says("new@example.com")

	signOut()
	k.fill("#f-email", "new@example.com")
	k.fill("#f-password", goodPassword)
	k.follow(primary)
	k.says("Show that it is you")
	k.follow("form[data-console-passkey=get] button[type=submit]")
	k.says("Overview")

	o := w.order(w.foo, "e-banking")
	w.clock.Advance(11 * time.Minute)
	k.open(w.server.URL + "/orders/" + o.ID + "/withdraw")
	k.says("Is it still you?")
	k.follow("form[data-console-passkey=get] button[type=submit]")
	k.says("Withdraw foo-ws-ssl-e-banking?")
}
