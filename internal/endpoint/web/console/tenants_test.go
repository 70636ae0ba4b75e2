package console_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/endpoint/web/console"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

// An operator of one client who asks for every page and act of another client's
// objects is told that there is no such thing, and nothing happens.
func TestAnotherClientsObjectsDoNotExist(t *testing.T) {
	w := newWorld(t, options{})
	ctx := t.Context()
	w.operator("foo@example.com", access.RoleClientAdmin, w.foo.client.ID)
	o := w.order(w.bar, "e-banking")
	a, err := w.access.CreateAccount(ctx, w.root, access.Production, w.bar.client.ID, access.AccountFields{Name: "System of Bar"})
	must(t, err)
	tok, _, err := w.access.CreateToken(ctx, w.root, a.ID, access.TokenFields{Name: "token of bar"})
	must(t, err)
	cert, _, err := w.certs.Create(ctx, w.root, a.ID, apicert.Fields{Nickname: "cert of bar", Ends: w.clock.Now().AddDate(0, 6, 0)})
	must(t, err)
	op := w.operator("bar@example.com", access.RoleClientAdmin, w.bar.client.ID)
	grants, err := w.access.Grants(ctx, w.root, op.ID)
	must(t, err)
	messages, _, err := w.out.List(w.db.View(ctx), outbox.Filter{Client: w.bar.client.ID}, store.Page{})
	must(t, err)
	w.deliver()
	entries, _, err := w.audit.List(w.db.View(ctx), audit.Filter{Clients: []string{w.bar.client.ID}}, store.Page{})
	must(t, err)
	before := len(entries)
	ids := map[string]string{
		"/orders/{id}": o.ID, "/clients/{id}": w.bar.client.ID, "/services/{id}": w.bar.service.ID, "/orderers/{id}": w.bar.person.ID, "/accounts/{id}": a.ID,
		"/tokens/{id}": tok.ID, "/client-certificates/{id}": cert.ID, "/operators/{id}": op.ID, "/outbox/{id}": messages[0].ID, "/audit/{id}": entries[0].ID,
	}
	v := w.login("foo@example.com")
	_, patterns := console.Patterns()
	tried := 0
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(pattern, " ")
		for prefix, id := range ids {
			if strings.HasPrefix(path, prefix) {
				path = strings.Replace(path, "{id}", id, 1)
			}
		}
		path = strings.NewReplacer("{principal}", op.ID, "{grant}", grants[0].ID).Replace(path)
		if strings.Contains(path, "{") || !strings.Contains(path, "-0") {
			continue // pages without an object, and those of roles, authorities, jobs, and of oneself
		}
		tried++
		res := v.get(path)
		if method == "POST" {
			res = v.post(path, "name", "Taken over", "email", "x@example.com", "mobile", "+4512345678", "country", "NO", "why", "x", "reason", "keyCompromise", "role", access.RoleRAOperator,
				"over", "production/"+w.bar.client.ID, "form", "form-"+fmt.Sprint(tried), "how", "generate")
		}
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s %s answered %d %s: %s", method, path, res.StatusCode, res.Header.Get("Location"), excerpt(res.body))
		}
		for _, secret := range []string{"Bar AB", w.bar.person.Name, o.CommonName, "System of Bar", "cert of bar", "token of bar"} {
			if strings.Contains(res.body, secret) {
				t.Errorf("%s %s tells of %q", method, path, secret)
			}
		}
	}
	if tried < 45 {
		t.Fatalf("only %d pages and acts were tried", tried)
	}
	for _, path := range []string{"/orders/new?client=" + w.bar.client.ID, "/client-certificates/new?owner=" + a.ID, "/tokens/new?owner=" + a.ID, "/audit?client=" + w.bar.client.ID, "/outbox?client=" + w.bar.client.ID} {
		if res := v.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d", path, res.StatusCode)
		}
	}
	for _, path := range []string{"/", "/orders", "/orders?client=" + w.bar.client.ID, "/orders?q=" + o.ID, "/clients", "/clients?q=bar", "/accounts", "/operators", "/outbox", "/orders?format=csv", "/clients?format=csv"} {
		res := v.get(path)
		res.is(t, 200)
		for _, secret := range []string{"Bar AB", o.CommonName, "System of Bar", "bar@example.com", "nils@bar.example.com"} {
			if strings.Contains(res.body, secret) {
				t.Errorf("%s tells of %q", path, secret)
			}
		}
	}
	// An order for Foo's client with Bar's service or person.
	form := []string{"client", w.foo.client.ID, "form", "f", "mode", "generate", "short_name", "x"}
	v.post("/orders/new", append(form, "service", "bar", "orderer", w.foo.person.ID)...).is(t, 400, "Choose the service")
	v.post("/orders/new", append(form, "service", "foo", "orderer", w.bar.person.ID)...).is(t, 404)
	w.deliver()
	entries, _, err = w.audit.List(w.db.View(ctx), audit.Filter{Clients: []string{w.bar.client.ID}, Result: audit.OK}, store.Page{})
	must(t, err)
	if len(entries) > before {
		t.Errorf("something was done: %+v", entries[0])
	}
	if got := w.ordersOf(w.bar); len(got) != 1 || got[0].State != wscert.Issued {
		t.Errorf("orders of Bar: %+v", got)
	}
}

// The menu shows what the scope holds, and the pages behind what it does not hold
// refuse.
func TestTheMenuShowsWhatTheRoleHolds(t *testing.T) {
	w := newWorld(t, options{})
	w.operator("nobody@example.com", "", "")
	w.operator("orderer@example.com", access.RoleOrdererSelf, w.foo.client.ID)
	v := w.login("nobody@example.com")
	page := v.get("/")
	page.is(t, 200, "You have no rights yet")
	for _, path := range []string{"/orders", "/orders/new", "/clients", "/accounts", "/operators", "/roles", "/jobs", "/authorities", "/audit", "/outbox"} {
		if strings.Contains(page.body, `href="`+path+`"`) {
			t.Errorf("the menu offers %s", path)
		}
		if res := v.get(path); res.StatusCode != http.StatusForbidden && res.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d", path, res.StatusCode)
		}
	}
	v = w.login("orderer@example.com")
	v.get("/orders").is(t, 200, "No orders yet")
	for _, path := range []string{"/operators", "/roles", "/jobs", "/audit", "/clients/new", "/accounts/new", "/operators/invite", "/roles/new"} {
		if res := v.get(path); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s answered %d", path, res.StatusCode)
		}
	}
}

// A202: nobody edits their own rights.
func TestNobodyEditsTheirOwnRights(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	if page := v.get("/operators/" + w.admin.ID); strings.Contains(page.body, "Grant a role") || strings.Contains(page.body, "Take away") {
		t.Error("one's own rights are offered for change")
	}
	v.post("/grants/"+w.admin.ID, "role", access.RoleRAOperator, "over", "/").is(t, 403)
	v.get("/operators/" + w.admin.ID + "/disable")
	v.post("/operators/"+w.admin.ID+"/disable").is(t, 403)
	op := w.operator("second@example.com", access.RoleRAOperator, w.foo.client.ID)
	v.post("/grants/"+op.ID, "role", access.RoleAuditor, "over", "production/").to(t, "/operators/"+op.ID+"?done=grant.given")
	page := v.get("/operators/" + op.ID)
	page.is(t, 200, "Auditor", "Production")
	revoke := regexp.MustCompile(`/grants/[^"]+/revoke`).FindString(page.body)
	v.post(revoke).to(t, "/operators/"+op.ID+"?done=grant.taken")
	v.post("/operators/"+op.ID+"/disable").to(t, "/operators/"+op.ID+"?done=operator.disabled")
	w.visitor().post("/login", "email", "second@example.com", "password", goodPassword).is(t, 401)
	v.post("/operators/"+op.ID+"/enable").to(t, "/operators/"+op.ID+"?done=operator.enabled")
	v.post("/operators/"+op.ID+"/reset").is(t, 200, "is invited")
}

// Names that look like markup stay text, wherever they are shown or downloaded.
func TestHostileNamesStayText(t *testing.T) {
	const hostile = `=cmd()<img src=x onerror=alert(1)>"'`
	w := newWorld(t, options{name: hostile})
	for _, path := range w.furnish() {
		v := w.login("root@example.com")
		page := v.get(path)
		page.is(t, 200)
		if strings.Contains(page.body, "<img src=x") || strings.Contains(page.body, `onerror=alert(1)>"'`) {
			t.Errorf("%s shows a name as markup", path)
		}
	}
	v := w.login("root@example.com")
	shown := 0
	for _, path := range []string{"/", "/orders", "/orders/new", "/orders/new?client=" + w.foo.client.ID, "/clients", "/clients/" + w.foo.client.ID, "/orderers/" + w.foo.person.ID} {
		if strings.Contains(v.get(path).body, "&lt;img src=x onerror=alert(1)&gt;") {
			shown++
		}
	}
	if shown < 6 {
		t.Errorf("the hostile name is on %d of the pages only", shown)
	}
	// A spreadsheet takes what begins with "=" for a formula.
	for _, path := range []string{"/orders?format=csv", "/clients?format=csv"} {
		if body := v.get(path).body; !strings.Contains(body, "'=cmd()") || strings.Contains(body, `,"=cmd`) || strings.Contains(body, "\n\"=cmd") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if got := console.Defused("-1"); got != "'-1" {
		t.Errorf("-1 is written as %q", got)
	}
}
