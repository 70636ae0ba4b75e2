package console_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/browsertest"
	"github.com/sealwright/sealwright/internal/wscert"
)

// furnish puts something on every page, and returns the address of each.
func (w *world) furnish() []string {
	w.t.Helper()
	ctx, t := w.t.Context(), w.t
	o := w.order(w.foo, "e-banking")
	next, err := w.orders.Reissue(ctx, w.root, o.ID)
	must(t, err)
	_, err = w.orders.Withdraw(ctx, w.root, o.ID, authority.Superseded)
	must(t, err)
	short := wscert.Request{Realm: access.Production, Service: "bar", ShortName: "my page", Orderer: w.bar.person.ID, Mode: wscert.Generate, Spec: wscert.Spec{Life: wscert.Life{Days: 20}}, Comment: "For the pilot"}
	_, err = w.orders.Create(ctx, w.root, short)
	must(t, err)
	a, err := w.access.CreateAccount(ctx, w.root, access.Production, w.foo.client.ID, access.AccountFields{Name: "Ordering system", Ends: w.clock.Now().AddDate(1, 0, 0)})
	must(t, err)
	_, err = w.access.Grant(ctx, w.root, a.ID, access.RoleIntegration, access.Production, w.foo.client.ID)
	must(t, err)
	for _, owner := range []string{a.ID, w.admin.ID} {
		_, _, err = w.access.CreateToken(ctx, w.root, owner, access.TokenFields{Name: "ordering", Ends: w.clock.Now().AddDate(0, 10, 0)})
		must(t, err)
		_, _, err = w.certs.Create(ctx, w.root, owner, apicert.Fields{Nickname: "Payroll 2026", Ends: w.clock.Now().AddDate(0, 6, 0)})
		must(t, err)
	}
	_, err = w.ca.ProduceCRL(ctx, "production-clients-1")
	must(t, err)
	op := w.operator("second@example.com", access.RoleRAOperator, w.foo.client.ID)
	w.deliver()
	_, err = w.orders.SendAgain(ctx, w.root, next.ID)
	must(t, err)
	return []string{
		"/", "/orders", "/orders?q=nothing", "/orders/new", "/orders/new?client=" + w.foo.client.ID, "/orders/" + next.ID, "/orders/" + next.ID + "/withdraw",
		"/clients", "/clients/new", "/clients/" + w.foo.client.ID, "/services/" + w.foo.service.ID, "/services/" + w.foo.service.ID + "/password", "/orderers/" + w.foo.person.ID,
		"/accounts", "/accounts/" + a.ID, "/operators", "/operators/" + op.ID, "/operators/invite", "/roles", "/roles/new", "/roles/ra-operator",
		"/me", "/me/security", "/me/tokens", "/me/certificates", "/client-certificates/new", "/tokens/new", "/factors/new",
		"/outbox", "/outbox/delivered", "/audit", "/authorities", "/authorities/production-clients-1", "/jobs", "/reauthenticate?next=/me",
	}
}

// signIn fills the log-in form as a person does.
func signIn(p *browsertest.Page, base, email string) {
	p.Go(base + "/login")
	p.Fill("#f-email", email)
	p.Fill("#f-password", goodPassword)
	p.Follow("form[action='/login'] button[type=submit]:not([data-sw-reveal])")
}

// Every page on a phone in the dark and on a desktop in the light, and the main ones
// the other way round: no violation of WCAG 2.2 AA that axe finds, none of the
// policy, no error of the script, nothing wider than the window.
func TestEveryPageInChromium(t *testing.T) {
	w := newWorld(t, options{})
	every := w.furnish()
	main := []string{"/", "/orders"}
	for _, path := range every {
		if strings.HasPrefix(path, "/orders/") || path == "/outbox" || path == "/me/security" {
			main = append(main, path)
		}
	}
	for _, o := range []browsertest.Options{
		{Width: 360, Height: 740, Touch: true},
		{Width: 360, Height: 740, Touch: true, Dark: true},
		{Width: 1440, Height: 900},
		{Width: 1440, Height: 900, Dark: true},
	} {
		scheme := map[bool]string{true: "dark", false: "light"}[o.Dark]
		t.Run(fmt.Sprintf("%d px, %s", o.Width, scheme), func(t *testing.T) {
			paths := every
			if o.Dark == (o.Width > 1000) {
				paths = main
			}
			o.Insecure = true
			p := browsertest.Start(t, o)
			p.Go(w.server.URL + "/login")
			p.Accessible()
			p.Screenshot(fmt.Sprintf("login-%d-%s", o.Width, scheme))
			signIn(p, w.server.URL, "root@example.com")
			for _, path := range paths {
				p.Go(w.server.URL + path)
				if p.URL() != w.server.URL+path {
					t.Fatalf("%s leads to %s", path, p.URL())
				}
				p.Accessible()
				p.Screenshot(fmt.Sprintf("%s-%d-%s", shotName(path), o.Width, scheme))
			}
			p.Expect("404")
			p.Go(w.server.URL + "/nothing-here")
			p.Accessible()
			p.Screenshot(fmt.Sprintf("error-%d-%s", o.Width, scheme))
		})
	}
}

// shotName makes a file name of an address, without what changes each time.
func shotName(path string) string {
	var parts []string
	for _, s := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/?=&", r) }) {
		if len(s) > 30 {
			s = "id"
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		return "overview"
	}
	return strings.Join(parts, "-")
}

// Order and withdrawal with nothing but a keyboard, and the preview of the name.
func TestOrderAndWithdrawByKeyboard(t *testing.T) {
	w := newWorld(t, options{})
	p := browsertest.Start(t, browsertest.Options{Width: 1280, Height: 800, Insecure: true})
	p.Go(w.server.URL + "/login?next=" + "/orders/new%3Fclient=" + w.foo.client.ID)
	p.Press("root@example.com", kb.Tab, goodPassword, kb.Enter)
	p.Visible("#f-short_name")
	p.Until(`document.activeElement.id === "f-short_name"`)
	p.Press("My e-Bank")
	p.Until(`document.querySelector("[data-console-name]").value === "foo-ws-ssl-my-e-bank"`)
	tabTo(p, "f-orderer")
	p.Press("A")
	tabTo(p, "f-mode")
	p.Until(`!document.querySelector("#f-csr").checkVisibility()`)
	p.Press(kb.ArrowDown, kb.ArrowDown)
	p.Until(`document.querySelector("#f-csr").checkVisibility() && !document.querySelector("#f-algorithm").checkVisibility()`)
	p.Press(kb.ArrowUp, kb.ArrowUp)
	p.Until(`document.querySelector("#f-algorithm").checkVisibility()`)
	tabTo(p, "f-comment")
	p.Press(kb.Tab, kb.Enter)
	p.Visible(".sw-alert-ok")
	p.Accessible()

	for range 60 {
		if browsertest.Eval[bool](p, `document.activeElement.dataset.swDialog === "withdraw"`) {
			break
		}
		p.Press(kb.Tab)
	}
	// What Enter does to a link. The key itself cannot be sent here: the driver sends
	// keydown and keypress apart, and the second would hit the button that has the
	// focus by then.
	browsertest.Eval[bool](p, `(document.activeElement.click(), true)`)
	p.Visible("#withdraw .sw-btn-danger")
	p.Until(`document.querySelector("dialog[open]").contains(document.activeElement)`)
	p.ScreenshotView("withdraw-dialog")
	tabTo(p, "f-reason")
	p.Press("T", kb.Tab)
	for i := 0; i < 3 && !browsertest.Eval[bool](p, `document.activeElement.textContent.includes("Withdraw the certificate")`); i++ {
		p.Press(kb.Tab)
	}
	p.Press(kb.Enter)
	p.Visible(".sw-badge-danger")
	if o := w.ordersOf(w.foo); len(o) != 1 || o[0].State != wscert.Revoked || o[0].CommonName != "foo-ws-ssl-my-e-bank" {
		t.Fatalf("orders %+v", o)
	}
}

// tabTo presses the tabulator until the element has the focus.
func tabTo(p *browsertest.Page, id string) {
	for range 30 {
		if browsertest.Eval[string](p, `document.activeElement.id`) == id {
			return
		}
		p.Press(kb.Tab)
	}
	p.Until(`document.activeElement.id === "` + id + `"`)
}

// Every page works without a script: an order from log-in to withdrawal.
func TestOrderAndWithdrawWithoutScript(t *testing.T) {
	w := newWorld(t, options{})
	p := browsertest.Start(t, browsertest.Options{Width: 390, Height: 800, Insecure: true, NoScript: true})
	p.Go(w.server.URL + "/login?next=/orders/new%3Fclient=" + w.foo.client.ID)
	p.Press("root@example.com", kb.Tab, goodPassword)
	p.Follow("form[action='/login'] .sw-btn-primary")
	p.Press("portal") // the field has the focus
	p.Click("#f-orderer")
	p.Press("A", kb.Enter)
	p.Follow("form[action='/orders/new'] .sw-btn-primary")
	list := w.ordersOf(w.foo)
	if len(list) != 1 {
		t.Fatalf("%d orders", len(list))
	}
	p.Follow(`a[data-sw-dialog="withdraw"]`)
	p.Follow(".sw-confirm-panel .sw-btn-danger")
	if o := w.ordersOf(w.foo)[0]; o.State != wscert.Revoked {
		t.Fatalf("the order is %s", o.State)
	}
}

// The pages that only a form leads to: setting up the app, and what is shown once.
func TestPagesShownOnceInChromium(t *testing.T) {
	w := newWorld(t, options{second: true})
	w.operator("new@example.com", access.RoleAdministrator, "")
	p := browsertest.Start(t, browsertest.Options{Width: 360, Height: 740, Touch: true, Insecure: true})
	signIn(p, w.server.URL, "new@example.com")
	if !strings.HasSuffix(p.URL(), "/factors/new") {
		t.Fatalf("the sign-in continues at %s", p.URL())
	}
	p.Screenshot("factors-new")
	p.Follow("form[action='/factors/app'] button")
	p.Accessible()
	p.Screenshot("factors-app")

	w = newWorld(t, options{})
	_, _, err := w.access.CreateToken(t.Context(), w.root, w.admin.ID, access.TokenFields{Name: "ordering"})
	must(t, err)
	p = browsertest.Start(t, browsertest.Options{Width: 1280, Height: 800, Insecure: true})
	signIn(p, w.server.URL, "root@example.com")
	p.Go(w.server.URL + "/client-certificates/new")
	p.Fill("#f-nickname", "Payroll 2026")
	p.Follow("form[action='/client-certificates/new'] .sw-btn-primary")
	p.Accessible()
	p.Visible("[data-sw-copy=password]") // D15
	p.Screenshot("certificate-ready")
}
