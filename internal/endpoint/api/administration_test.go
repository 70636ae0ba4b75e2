package api_test

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func accountUntil(ends time.Time) access.AccountFields {
	return access.AccountFields{Name: "temporary", Ends: ends}
}

func TestAClientIsSetUpFromNothingThroughTheAPI(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		c := w.admin.post("/clients", object{"realm": "preprod", "name": "Lab", "country": "no", "orgNumber": "9"}).want(201)
		at := strings.TrimPrefix(c.header.Get("Location"), api.Prefix)
		w.admin.post("/clients", object{"realm": "preprod", "name": "Lab 2", "country": "NO", "orgNumber": "9"}).fault(409, "client.exists")
		if got := w.admin.do("PUT", api.Prefix+at, object{"name": "Laboratory", "country": "NO"}).want(200).text("name"); got != "Laboratory" {
			t.Errorf("renamed %s", got)
		}
		w.north.manager.do("PUT", api.Prefix+"/clients/"+w.north.client.ID, object{"name": "Mine", "country": "DK"}).fault(403, "access.forbidden")

		v := w.admin.post(at+"/services", object{"name": "lab"}).want(201)
		service := strings.TrimPrefix(v.header.Get("Location"), api.Prefix)
		w.admin.post(at+"/services", object{"name": "lab"}).fault(409, "service.exists")
		w.admin.post(at+"/services", object{"name": "La b"}).fault(400, "request.invalid")
		w.admin.do("PUT", api.Prefix+service, object{"profile": "blue"}).want(200)
		password := w.admin.do("PUT", api.Prefix+service+"/password", object{}).want(200).text("password")
		if _, _, err := w.access.VerifyServicePassword(t.Context(), access.Preprod, "lab", secret.New(password), access.Origin{Address: "192.0.2.1"}); err != nil {
			t.Errorf("the password that was made: %v", err)
		}
		if a := w.admin.do("PUT", api.Prefix+service+"/password", object{"password": "isfjell 42 rovdyr kq7"}).want(200); a.text("password") != "" {
			t.Error("a chosen password came back")
		}
		w.admin.do("PUT", api.Prefix+service+"/password", object{"password": "short"}).fault(400, "request.invalid")

		p := w.admin.post(at+"/orderers", object{"name": "Kari", "email": "kari@example.com", "mobile": "+47 900 00 000"}).want(201)
		person := strings.TrimPrefix(p.header.Get("Location"), api.Prefix)
		if p.text("mobile") != "+4790000000" || p.text("addedBy") != "First Administrator" {
			t.Errorf("%s", p.body)
		}
		w.admin.post(at+"/orderers", object{"name": "Kari", "email": "kari@example.com", "mobile": "12345678"}).fault(400, "field.mobile")
		w.admin.do("PUT", api.Prefix+person, object{"name": "Kari N", "email": "kari@example.com", "mobile": "+4790000001", "language": "nb"}).want(200)

		a := w.admin.post("/accounts", object{"name": "lab system", "realm": "preprod", "client": c.text("id")}).want(201)
		account := strings.TrimPrefix(a.header.Get("Location"), api.Prefix)
		g := w.admin.post(account+"/grants", object{"role": "integration", "realm": "preprod", "client": c.text("id")}).want(201)
		w.admin.post(account+"/grants", object{"role": "integration", "realm": "production"}).fault(400, "grant.account")
		key := w.admin.post(account+"/tokens", object{"name": "first"}).want(201).text("secret")
		system := w.caller(http.Header{"X-Api-Key": {key}}, nil)
		request, _ := csrFor(t, "rsa2048")
		system.post("/certificates", object{"realm": "preprod", "service": "lab", "shortName": "trial", "csr": request}).want(201)

		w.admin.do("DELETE", api.Prefix+account+"/grants/"+g.text("id"), nil).want(204)
		w.admin.do("DELETE", api.Prefix+account+"/grants/"+g.text("id"), nil).fault(404, "access.not_found")
		system.post("/certificates", object{"realm": "preprod", "service": "lab", "shortName": "trial", "csr": request}).fault(404, "access.not_found")
		w.admin.do("PUT", api.Prefix+account, object{"name": "lab system", "ends": w.clock.Now().AddDate(0, 0, 1)}).want(200)
		w.admin.post(account+"/disable", nil).want(204)
		w.admin.post(account+"/disable", nil).fault(409, "account.status")
		system.get("/me").fault(401, "access.disabled")
		w.admin.post(account+"/enable", nil).want(204)

		w.admin.post(person+"/deactivate", nil).want(204)
		w.admin.post(person+"/deactivate", nil).fault(409, "orderer.inactive")
		w.admin.post(service+"/close", nil).want(204)
		w.admin.post(service+"/close", nil).fault(409, "service.closed")
		w.admin.post(at+"/close", nil).want(204)
		w.admin.post(at+"/services", object{"name": "late"}).fault(409, "client.closed")
		for path, n := range map[string]int{
			at + "/services": 1, at + "/orderers": 1, at + "/orderers?activeOnly=true": 0, "/clients?realm=preprod": 1, "/clients?search=bank": 2,
			"/accounts?realm=preprod": 1, "/accounts?search=manager": 2, at + "/services?search=x": 0, account + "/grants": 0,
		} {
			if got := len(w.admin.get(path).want(200).items()); got != n {
				t.Errorf("%s: %d, want %d", path, got, n)
			}
		}
		for _, path := range []string{at, service, person, account} {
			w.admin.get(path).want(200)
		}
		if got := len(w.admin.get("/roles").want(200).items()); got < 6 {
			t.Errorf("%d roles", got)
		}
		w.north.system.get("/roles").fault(403, "access.forbidden")
	})
}

func TestTheAuthoritiesSayWhereTheyPublish(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		if got := len(w.north.system.get("/authorities").want(200).items()); got != 6 {
			t.Errorf("%d authorities", got)
		}
		a := w.north.system.get("/authorities/production-clients-1").want(200)
		if a.text("links", "crl") != "http://pki.example.com/crl/production-clients-1.crl" || len(parsePEM(t, a.text("certificate"))) != 1 || a.text("parent") != "production-root" {
			t.Errorf("%s", a.body)
		}
		w.north.system.get("/authorities/nobody").fault(404, "authority.unknown")
	})
}

// Every act stands in the log under its caller, and its proof convinces
// somebody who has the log's public key only.
func TestTheAuditLogIsReadFilteredAndProved(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		o := w.north.system.post("/orders", orderFor(w.north)).want(201)
		w.south.system.post("/orders", orderFor(w.south)).want(201)
		must(w.audit.Sequence(t.Context()))(t)
		mine := w.north.manager.get("/audit?action=order.create").want(200).items()
		if len(mine) != 1 || mine[0]["objectId"] != o.text("id") || mine[0]["actor"] != "north system (token nightly)" || mine[0]["from"] != "127.0.0.1" {
			t.Fatalf("%v", mine)
		}
		for path, n := range map[string]int{
			"/audit?action=order.create": 2, "/audit?action=order.create&client=" + w.south.client.ID: 1, "/audit?action=order.&realm=production": 4,
			"/audit?correlation=" + o.header.Get("X-Correlation-Id") + "&action=order.issue": 1, "/audit?action=order.create&to=2020-01-01T00:00:00Z": 0,
		} {
			if got := len(w.admin.get(path).want(200).items()); got != n {
				t.Errorf("%s: %d entries, want %d", path, got, n)
			}
		}
		id := mine[0]["id"].(string)
		w.north.manager.get("/audit/" + id).want(200)
		w.north.system.get("/audit").fault(403, "access.forbidden")
		w.north.system.get("/audit/"+id).fault(403, "access.forbidden")
		w.admin.get("/audit?objectKind=order").fault(400, "audit.object")
		file := w.north.manager.get("/audit/" + id + "/proof").want(200)
		if file.header.Get("Content-Disposition") != `attachment; filename="`+id+`.proof.json"` {
			t.Errorf("%v", file.header)
		}
		p := must(audit.ParseProof(file.body))(t)
		if err := audit.CheckProof(p, w.auditKey.Public().(ed25519.PublicKey)); err != nil {
			t.Errorf("the proof: %v", err)
		}
		late := w.north.system.post("/orders", orderFor(w.north)).want(201)
		pending := w.admin.get("/audit?objectKind=order&objectId=" + late.text("id")).want(200).items()[0]["id"].(string)
		w.admin.get("/audit/"+pending+"/proof").fault(409, "audit.pending")
	})
}

// N26: what the outbox shows holds neither link nor password.
func TestMessagesAreSeenAndSentAgain(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		o := w.north.system.post("/orders", orderFor(w.north)).want(201)
		list := w.north.manager.get("/outbox").want(200).items() // a caller with one client need not name it
		if len(list) != 2 {
			t.Fatalf("%v", list)
		}
		for _, m := range list {
			d := w.north.manager.get("/outbox/" + m["id"].(string)).want(200)
			if m["objectId"] != o.text("id") || !strings.Contains(d.text("body"), "[redacted]") || strings.Contains(d.text("body"), "/pickup/") {
				t.Errorf("%s", d.body)
			}
		}
		id := list[0]["id"].(string)
		if a := w.north.manager.post("/outbox/"+id+"/resend", nil).want(200); a.text("id") != id || a.text("state") != "waiting" {
			t.Errorf("%s", a.body)
		}
		w.north.system.get("/outbox").fault(403, "access.forbidden")
		w.north.system.post("/outbox/"+id+"/resend", nil).fault(403, "access.forbidden")
		check(t, w.queue.Drain(t.Context()))
		w.north.manager.post("/outbox/"+id+"/resend", nil).fault(410, "outbox.secret_erased")
		withdrawn := w.north.system.post("/orders/"+o.text("id")+"/withdraw", object{}).want(200)
		check(t, w.queue.Drain(t.Context()))
		note := w.admin.get("/outbox?state=delivered&channel=email&to=" + w.north.person.Email + "&objectKind=order&objectId=" + withdrawn.text("id") + "&limit=1").want(200).items()[0]
		if a := w.admin.post("/outbox/"+note["id"].(string)+"/resend", nil).want(200); a.text("resendOf") != note["id"] {
			t.Errorf("%s", a.body)
		}
		if got := w.admin.get("/audit?action=outbox.resend").want(200).items(); len(got) != 2 {
			t.Errorf("%d entries about it", len(got))
		}
		w.admin.get("/outbox/out-nobody").fault(404, "access.not_found")
		w.admin.get("/outbox?state=lost").fault(400, "request.invalid")
	})
}

func TestJobsAreSeenAndRunByHand(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		check(t, w.queue.Drain(t.Context())) // plants the schedules
		list := w.admin.get("/jobs?kind=jobs.sweep").want(200).items()
		if len(list) != 1 || list[0]["every"] != "1h0m0s" {
			t.Fatalf("%v", list)
		}
		a := w.admin.post("/jobs/"+list[0]["id"].(string)+"/run", nil).want(200)
		if due := must(time.Parse(time.RFC3339, a.text("due")))(t); due.After(w.clock.Now()) {
			t.Errorf("due %v", due)
		}
		w.admin.post("/jobs/job-nobody/run", nil).fault(404, "job.not_found")
		w.north.manager.post("/jobs/"+list[0]["id"].(string)+"/run", nil).fault(403, "access.forbidden")
		if got := w.admin.get("/audit?action=job.run").want(200).items(); len(got) != 1 {
			t.Errorf("%d entries about it", len(got))
		}
	})
}
