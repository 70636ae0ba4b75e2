package console_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
)

// D4 to D18: a client authentication certificate from form to deletion.
func TestAClientAuthenticationCertificate(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	v.get("/me").is(t, 200, "Client authentication certificates") // D8: the way there
	v.get("/me/certificates").is(t, 200, "No client authentication certificates", "Create a certificate")
	v.get("/client-certificates/new").is(t, 200, "create one first") // D10: there is no token yet
	limit := w.clock.Now().AddDate(0, 10, 0).Format(time.DateOnly)
	page := v.post("/tokens/new", "name", "ordering", "ends", limit)
	page.is(t, 200, "It is shown this once")
	token := regexp.MustCompile(`swt_[A-Za-z0-9_-]+`).FindString(page.body)
	if token == "" {
		t.Fatal("no token is shown")
	}
	if strings.Contains(v.get("/me/tokens").body, token) {
		t.Error("the token is shown again")
	}
	v.get("/client-certificates/new").is(t, 200, "Unique; letters, digits, spaces, dashes and underscores", "AES-256 (recommended)", "Legacy: 3DES and SHA-1", "invalid password",
		"SHA-256 (recommended)", "At the latest "+limit, `value="`+limit+`"`, "Generate certificate", "no API key", "cannot be changed", "downloaded once") // D3, D5, D6, D9 to D14
	fields := []string{"encryption", "modern", "hash", "SHA-256", "ends", limit}
	edit := regexp.MustCompile(`/tokens/tok-[^"/]+`).FindString(v.get("/me/tokens").body)
	v.get(edit).is(t, 200, limit, token[len(token)-6:])
	v.post(edit, "name", "ordering", "ends", "soon").is(t, 400, `"soon" is not a date`)
	v.post(edit, "name", "ordering", "ends", "").to(t, "/me/tokens?done=saved")
	v.get("/client-certificates/new").is(t, 200, "it sets no limit")
	v.post(edit, "name", "ordering", "ends", limit).to(t, "/me/tokens?done=saved")
	v.post("/client-certificates/new", append(fields, "nickname", "a/b")...).is(t, 400, "A nickname has", `value="a/b"`)                                                                // D9
	v.post("/client-certificates/new", "nickname", "late", "hash", "SHA-256", "ends", w.clock.Now().AddDate(0, 11, 0).Format(time.DateOnly)).is(t, 400, "cannot outlive the API token") // D10
	page = v.post("/client-certificates/new", append(fields, "nickname", "Payroll 2026")...)
	page.is(t, 200, "Password of the file", "It is shown this once", "Download once", "Close", "in API requests", "Copy") // D7, D15 to D18
	password := regexp.MustCompile(`<code\s+id="password"\s*>([^<]+)</code>`).FindStringSubmatch(page.body)[1]
	download := regexp.MustCompile(`/client-certificates/[^"]+/download`).FindString(page.body)
	v.post("/client-certificates/new", append(fields, "nickname", "payroll 2026")...).is(t, 409, "already") // D9: unique

	file := v.post(download)
	file.is(t, 200)
	if got := file.Header.Get("Content-Disposition"); got != `attachment; filename="Certificate_pkcs12.p12"` {
		t.Errorf("the file comes as %s", got)
	}
	opensWith(t, file.body, password)
	v.post(download).is(t, http.StatusGone) // D4, D16

	at := strings.TrimSuffix(download, "/download")
	v.get("/me/certificates").is(t, 200, "Payroll 2026", "Active", limit, "Downloaded")
	v.post(at+"/disable").to(t, "/me/certificates?done=cert.disabled")
	v.get("/me/certificates").is(t, 200, "Disabled", "Enable")
	v.post(at+"/enable").to(t, "/me/certificates?done=cert.enabled")
	v.get(at+"/delete").is(t, 200, "Delete the certificate Payroll 2026?")
	v.post(at+"/delete").to(t, "/me/certificates?done=cert.deleted")
	v.get("/me/certificates").is(t, 200, "No client authentication certificates")
}

// opensWith fails unless openssl opens the file with the password (D18).
func opensWith(t *testing.T, file, password string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.p12")
	must(t, os.WriteFile(name, []byte(file), 0o600))
	out, err := exec.Command("openssl", "pkcs12", "-in", name, "-nodes", "-passin", "pass:"+password).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PRIVATE KEY") {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
}

// D2: a service account has tokens and certificates of its own, on its page.
func TestAServiceAccountAndItsCredentials(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	v.get("/accounts").is(t, 200, "No service accounts yet")
	ends := w.clock.Now().AddDate(0, 6, 0).Format(time.DateOnly)
	a := v.post("/accounts/new", "name", "Ordering system", "over", "production/"+w.foo.client.ID, "ends", ends)
	at, _, _ := strings.Cut(a.Header.Get("Location"), "?")
	v.get(at).is(t, 200, "Foo ASA", "No API tokens", "No rights", ends[:4])
	id := strings.TrimPrefix(at, "/accounts/")
	v.post("/grants/"+id, "role", access.RoleIntegration, "over", "production/"+w.foo.client.ID).to(t, at+"?done=grant.given")
	v.post("/tokens/new", "owner", id, "name", "t").is(t, 200, "swt_")
	v.post("/client-certificates/new", "owner", id, "nickname", "c", "hash", "SHA-256", "ends", "2099-01-01").is(t, 400)
	v.post("/client-certificates/new", "owner", id, "nickname", "c", "hash", "SHA-256", "ends", ends).is(t, 200, "Password of the file")
	page := v.get(at)
	page.is(t, 200, "Integration", "Disable")
	tokenAt := regexp.MustCompile(`/tokens/[^"/]+`).FindAllString(page.body, -1)[1]
	v.post(tokenAt+"/disable").to(t, at+"?done=token.disabled")
	v.post(tokenAt+"/delete").to(t, at+"?done=token.deleted")
	v.post(at+"/disable").to(t, at+"?done=account.disabled")
	v.post(at+"/enable").to(t, at+"?done=account.enabled")
}

// The password that is made is shown once and is the one that works; the old
// one stops.
func TestAServicePasswordIsShownOnce(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	at := "/services/" + w.foo.service.ID
	v.post(at+"/password", "how", "choose", "password", "short").is(t, 400, "12 characters")
	page := v.post(at+"/password", "how", "generate")
	page.is(t, 200, "It is shown this once")
	password := regexp.MustCompile(`<code\s+id="password"\s*>([^<]+)</code>`).FindStringSubmatch(page.body)[1]
	if strings.Contains(v.get(at).body, password) {
		t.Error("the password is shown again")
	}
	_, _, err := w.access.VerifyServicePassword(t.Context(), access.Production, "foo", secretText(password), access.Origin{Address: "192.0.2.1"})
	must(t, err)
}

// N13, N14: clients, services and authorised persons through their forms.
func TestAClientFromFormToClosing(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	v.post("/clients/new", "realm", "production", "name", "", "country", "NO").is(t, 400)
	a := v.post("/clients/new", "realm", "production", "name", "New Client", "country", "NO", "org_number", "42")
	at, _, _ := strings.Cut(a.Header.Get("Location"), "?")
	v.get("/orders/new?client="+strings.TrimPrefix(at, "/clients/")).is(t, 200, "New Client has no service yet")
	v.post(at+"/services/new", "name", "Not Good").is(t, 400, `value="Not Good"`)
	a = v.post(at+"/services/new", "name", "shiny")
	if !strings.HasPrefix(a.Header.Get("Location"), "/services/svc-") {
		t.Fatalf("%d %s", a.StatusCode, excerpt(a.body))
	}
	person := []string{"name", "Authorised Person", "email", "a@new.example.com", "language", "en"}
	v.post(at+"/orderers/new", append(person, "mobile", "12")...).is(t, 400, `value="12"`, "a@new.example.com")
	v.post(at+"/orderers/new", append(person, "mobile", "+47 900 00 001")...).to(t, at+"?done=orderer.added")
	page := v.get(at)
	page.is(t, 200, "shiny", "Authorised Person", "+4790000001")
	orderer := regexp.MustCompile(`/orderers/per-[^"]+`).FindString(page.body)
	v.post(orderer, append(person, "mobile", "+4790000002")...).to(t, orderer+"?done=saved")
	v.post(orderer+"/end").to(t, orderer+"?done=orderer.ended")
	v.post(at+"/edit", "name", "Newer Client", "country", "SE").to(t, at+"?done=saved")
	v.get(at+"/close").is(t, 200, "Close Newer Client?")
	v.post(at+"/close").to(t, at+"?done=client.closed")
}

// In development mode programs read delivered messages without log-in; otherwise
// nobody does, and nobody else ever sees a secret.
func TestTheOutboxOfDevelopmentMode(t *testing.T) {
	w := newWorld(t, options{})
	w.order(w.foo, "e-banking")
	w.order(w.bar, "e-banking")
	w.deliver()
	asJSON := func(w *world, path string) answer {
		v := w.visitor()
		r, err := http.NewRequest("GET", v.base+path, nil)
		must(t, err)
		r.Header.Set("Accept", "application/json")
		return v.do(r)
	}
	var list []struct {
		ID, Channel, To, Subject, Body string
		DeliveredAt                    time.Time
	}
	a := asJSON(w, "/outbox?to=kari@foo.example.com")
	must(t, json.Unmarshal([]byte(a.body), &list))
	if len(list) != 1 || list[0].Channel != "email" || !strings.Contains(list[0].Body, "/pickup/") || list[0].DeliveredAt.IsZero() || list[0].ID == "" {
		t.Errorf("%s", a.body)
	}
	must(t, json.Unmarshal([]byte(asJSON(w, "/outbox").body), &list))
	if len(list) != 4 || list[0].DeliveredAt.Before(list[3].DeliveredAt) {
		t.Errorf("%d messages", len(list))
	}
	w.visitor().get("/outbox").to(t, "/login?next=%2Foutbox")
	v := w.login("root@example.com")
	v.get("/outbox/delivered").is(t, 200, "One-time password", "Follow the link", "nothing leaves this machine")
	page := v.get("/outbox")
	page.is(t, 200, "kari@foo.example.com", "Delivered")
	message := regexp.MustCompile(`/outbox/[a-z]+-[0-9a-f-]+`).FindString(page.body)
	v.get(message).is(t, 200, "[redacted]")

	live := newWorld(t, options{noDev: true})
	live.order(live.foo, "e-banking")
	live.deliver()
	if a := asJSON(live, "/outbox"); a.StatusCode == http.StatusOK || strings.Contains(a.body, "pickup") {
		t.Errorf("outside of development mode the answer is %d %s", a.StatusCode, a.body)
	}
	v = live.login("root@example.com")
	v.get("/outbox/delivered").is(t, 404)
	if strings.Contains(v.get("/outbox").body, "As received") {
		t.Error("the texts are offered outside of development mode")
	}
}

// An entry's proof is a file that anybody can check, and tampering is told.
func TestTheAuditLogIsListedProvenAndVerified(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	o := w.order(w.foo, "e-banking")
	w.deliver()
	page := v.get("/audit?object=" + o.ID)
	page.is(t, 200, "order.create", "order.issue")
	if strings.Contains(page.body, "client.create") {
		t.Error("the filter lets others through")
	}
	entry := regexp.MustCompile(`/audit/[a-z]*-?[0-9a-f-]{30,}`).FindString(page.body)
	v.get(entry).is(t, 200, "Entry", "Canonical form")
	file := v.get(entry + "/proof")
	file.is(t, 200)
	p, err := audit.ParseProof([]byte(file.body))
	must(t, err)
	if e, err := p.Entry(); err != nil || e.Entry.ObjectID != o.ID {
		t.Errorf("the proof is about %+v, %v", e.Entry, err)
	}
	v.post("/audit/verify").is(t, 200, "The log is as it was signed", "Signed checkpoint")
	must(t, w.db.Update(t.Context(), tamper))
	v.post("/audit/verify").is(t, 200, "The log was tampered with")
}

// A job that waits can be run by hand, and it stands in the audit log who did.
func TestAJobIsRunByHand(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	w.deliver()
	page := v.get("/jobs")
	page.is(t, 200, "order.sweep", "every 1m0s", "Run now")
	run := regexp.MustCompile(`/jobs/[^"]*order\.sweep/run`).FindString(page.body)
	v.post(run).to(t, "/jobs?done=job.run")
	v.get("/audit?action=job.run").is(t, 200, w.admin.Name)
	v.post("/jobs/none/run").is(t, 404)
}

// Roles are made from permissions, changed and deleted.
func TestARoleOfOnesOwn(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	v.get("/roles/ra-operator").is(t, 200, "certificate.order")
	v.post("/roles/new", "name", "", "permission-client.read", "on").is(t, 400)
	a := v.post("/roles/new", "name", "Desk", "permission-client.read", "on", "permission-certificate.search", "on")
	at, _, _ := strings.Cut(a.Header.Get("Location"), "?")
	v.get("/roles").is(t, 200, "Desk")
	v.post(at, "name", "Front desk", "permission-client.read", "on").to(t, at+"?done=saved")
	v.post(at+"/delete").to(t, "/roles?done=role.deleted")
}
