package console_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

func operatorFields(email string) access.OperatorFields {
	return access.OperatorFields{Email: email, Name: "Operator " + email}
}

func (w *world) ordersOf(e estate) []*wscert.Order {
	w.t.Helper()
	list, _, err := w.orders.List(w.t.Context(), w.root, wscert.Filter{Client: e.client.ID}, store.Page{})
	must(w.t, err)
	return list
}

// N11 to N13: an order through the form, for an authorised person, under the name
// of the application; nothing that was typed is lost on an error.
func TestAnOrderThroughTheForm(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	v.get("/orders").is(t, 200, "No orders yet", "Place the first order")
	v.get("/orders/new").is(t, 200, "Client", "Foo ASA", "Bar AB")
	page := v.get("/orders/new?client=" + w.foo.client.ID)
	page.is(t, 200, w.foo.person.Name, "{service}-ws-ssl-{short name}", "AES-256 (recommended)", "invalid password",
		"Leave no copies on unsecured computers.", "Fetch the file directly on the server", "Never send the file by e-mail") // N24 to N26
	form := page.hidden(t, "form")
	fields := []string{"client", w.foo.client.ID, "form", form, "service", "foo", "mode", "generate", "algorithm", "p256", "profile", "modern", "comment", "kept < on error"}
	v.post("/orders/new", append(fields, "orderer", w.foo.person.ID, "short_name", "!!!")...).is(t, 400, "has no letter or digit", "kept < on error", `value="!!!"`)
	v.post("/orders/new", append(fields, "short_name", "e-banking")...).is(t, 400, "needs the authorised person")
	v.post("/orders/new", append(fields, "short_name", "e-banking", "orderer", w.bar.person.ID)...).is(t, 404) // of another client
	if len(w.ordersOf(w.foo)) != 0 {
		t.Fatal("a refused form made an order")
	}
	fields = append(fields, "short_name", "e-Banking", "orderer", w.foo.person.ID)
	done := v.post("/orders/new", fields...)
	o := w.ordersOf(w.foo)[0]
	done.to(t, "/orders/"+o.ID+"?done=order.placed")
	if o.CommonName != "foo-ws-ssl-e-banking" || o.Comment != "kept < on error" || o.CreatedBy != w.admin.Name {
		t.Errorf("order %+v", o)
	}
	v.post("/orders/new", fields...).to(t, "/orders/"+o.ID+"?done=order.placed") // pressed again
	v.post("/orders/new", append(fields, "comment", "x", "short_name", "other")...).to(t, "/orders/"+o.ID+"?done=order.placed")
	changed := append([]string{"short_name", "other"}, fields...)
	v.post("/orders/new", changed...).is(t, 409, "This form was sent before")
	if n := len(w.ordersOf(w.foo)); n != 1 {
		t.Fatalf("%d orders", n)
	}
}

// A form that is sent by eight hands at once issues once.
func TestADoubleSubmitIssuesOnce(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	fields := []string{"client", w.foo.client.ID, "form", "form-1", "service", "foo", "mode", "generate", "short_name", "app", "orderer", w.foo.person.ID}
	var wg sync.WaitGroup
	places := make([]string, 8)
	for i := range places {
		wg.Go(func() { places[i] = v.post("/orders/new", fields...).Header.Get("Location") })
	}
	wg.Wait()
	o := w.ordersOf(w.foo)
	if len(o) != 1 {
		t.Fatalf("%d orders", len(o))
	}
	for _, p := range places {
		if p != "/orders/"+o[0].ID+"?done=order.placed" {
			t.Errorf("one was led to %q", p)
		}
	}
}

// A45, A124, A125, A126, A127, A131, A134, A135, A154, A160, A161: what the certificate holds, its fingerprints and its downloads.
func TestTheOrderPageShowsTheCertificate(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	o := w.order(w.foo, "e-banking")
	at := "/orders/" + o.ID
	v.get(at).is(t, 200, "Messages", "Resend") // A146, A147
	w.deliver()
	der := v.get(at + "/certificate.cer")
	der.is(t, 200)
	x, err := x509.ParseCertificate([]byte(der.body))
	must(t, err)
	sum := sha256.Sum256(x.Raw)
	fingerprint := strings.ToUpper(hex.EncodeToString(sum[:]))
	v.get(at).is(t, 200, "foo-ws-ssl-e-banking", "urn:x-sealwright:service:production:foo", "Test Clients production", fingerprint[:2]+":"+fingerprint[2:4]+":",
		"Link sent", "tries left", "kari@foo.example.com", "Certificate signed", "Audit trail", "order.issue")
	block, rest := pem.Decode([]byte(v.get(at + "/certificate.pem").body))
	if block == nil || string(block.Bytes) != der.body || len(rest) != 0 {
		t.Error("the PEM is another certificate")
	}
	_, rest = pem.Decode([]byte(v.get(at + "/chain.pem").body))
	if block, _ = pem.Decode(rest); block == nil {
		t.Fatal("the chain is the certificate alone")
	}
	if x, err = x509.ParseCertificate(block.Bytes); err != nil || x.Subject.CommonName != "Test Clients production" {
		t.Errorf("the chain continues with %v, %v", x, err)
	}
	for _, q := range []string{"foo-ws", o.ID, o.Serial, strings.ToUpper(o.Serial)} {
		v.get("/orders?q="+q).is(t, 200, "foo-ws-ssl-e-banking")
	}
	v.get("/orders?q=other").is(t, 200, "Nothing matches", "Clear")
	csv := v.get("/orders?format=csv")
	csv.is(t, 200, "Name,Service,Client,State", "foo-ws-ssl-e-banking,foo,Foo ASA,To be fetched")
}

// A132, A149, N29, N30: a withdrawal names the object, asks for a reason and a fresh proof, and
// works once.
func TestAWithdrawalAsksForAFreshProof(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	o := w.order(w.foo, "e-banking")
	at := "/orders/" + o.ID
	w.clock.Advance(11 * time.Minute)
	v.get(at+"/withdraw").to(t, "/reauthenticate?next=%2Forders%2F"+o.ID+"%2Fwithdraw")
	v.post(at+"/withdraw", "reason", "keyCompromise").to(t, "/reauthenticate?next=%2Forders%2F"+o.ID+"%2Fwithdraw")
	v.post("/reauthenticate", "password", "wrong", "next", at+"/withdraw").is(t, 401, "That is not your password.")
	v.post("/reauthenticate", "password", goodPassword, "next", at+"/withdraw").to(t, at+"/withdraw")
	v.get(at+"/withdraw").is(t, 200, "Withdraw foo-ws-ssl-e-banking?", o.Serial, "The key is lost or in wrong hands")
	v.post(at+"/withdraw", "reason", "keyCompromise").to(t, at+"?done=order.withdrawn")
	page := v.get(at)
	page.is(t, 200, "Withdrawn", "keyCompromise")
	if strings.Contains(page.body, "Withdraw …") { // A152
		t.Error("a withdrawn certificate can be withdrawn again")
	}
	v.post(at+"/withdraw", "reason", "keyCompromise").is(t, 409)
	entries, _, err := w.audit.List(w.db.View(t.Context()), audit.Filter{AllClients: true, Action: "order.withdraw"}, store.Page{})
	must(t, err)
	if len(entries) != 1 || entries[0].Origin.Kind != audit.Operator || entries[0].Origin.ID != w.admin.ID || entries[0].Origin.From != "127.0.0.1" || entries[0].Origin.Correlation == "" {
		t.Errorf("audit %+v", entries)
	}
}

// A41: four eyes. Whoever placed an order cannot approve it.
func TestAnOrderIsApprovedBySomebodyElse(t *testing.T) {
	w := newWorld(t, options{approval: true})
	w.operator("second@example.com", access.RoleRAOperator, w.foo.client.ID)
	first, second := w.login("root@example.com"), w.login("second@example.com")
	first.post("/orders/new", "client", w.foo.client.ID, "form", "f1", "service", "foo", "mode", "generate", "short_name", "a", "orderer", w.foo.person.ID)
	first.post("/orders/new", "client", w.foo.client.ID, "form", "f2", "service", "foo", "mode", "generate", "short_name", "b", "orderer", w.foo.person.ID)
	list := w.ordersOf(w.foo)
	one, two := "/orders/"+list[0].ID, "/orders/"+list[1].ID
	if page := first.get(one); strings.Contains(page.body, one+"/approve") {
		t.Error("whoever placed an order is offered to approve it")
	}
	first.post(one+"/approve").is(t, 403, "You placed this order yourself")
	second.get("/").is(t, 200, "Orders waiting for approval")
	second.get(one).is(t, 200, "Approve", "Reject")
	second.post(one+"/approve").to(t, one+"?done=order.approved")
	second.post(two+"/reject", "why", "").is(t, 400, "Say why")
	second.post(two+"/reject", "why", "not agreed").to(t, two+"?done=order.rejected")
	second.get(two).is(t, 200, "Rejected", "not agreed")
}

// N32, N33, N36: a reissue goes to the same person, and both certificates work.
func TestAReissueIsASuccessor(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	o := w.order(w.foo, "e-banking")
	at := "/orders/" + o.ID
	form := v.get(at+"/reissue").hidden(t, "form")
	a := v.post(at+"/reissue", "form", form)
	next := w.ordersOf(w.foo)[0]
	a.to(t, "/orders/"+next.ID+"?done=order.placed")
	v.post(at+"/reissue", "form", form).to(t, "/orders/"+next.ID+"?done=order.placed")
	v.get("/orders/"+next.ID).is(t, 200, "Predecessor")
	v.get(at).is(t, 200, "Successor", "Valid to")
	v.post("/orders/"+next.ID+"/send-again").to(t, "/orders/"+next.ID+"?done=order.sent")
}

// A88, A89, A90: a pasted request issues at once, and what cannot be used is said beside the field.
func TestAPastedRequestIssuesAtOnce(t *testing.T) {
	w := newWorld(t, options{})
	v := w.login("root@example.com")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	fields := []string{"client", w.foo.client.ID, "form", "f1", "service", "foo", "mode", "direct", "short_name", "portal"}
	v.post("/orders/new", append(fields, "csr", "nonsense")...).is(t, 400, "nonsense", `id="f-csr-error"`)
	v.post("/orders/new", append(fields, "csr", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})))...)
	o := w.ordersOf(w.foo)[0]
	v.get("/orders/"+o.ID).is(t, 200, "Valid", "The request came with the order")
}
