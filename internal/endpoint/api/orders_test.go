package api_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// N12–N17, N29–N33: ordered for an authorised person, link and one-time password
// on their way, sent again, reissued, withdrawn.
func TestAnOrderTravelsFromPlacingToWithdrawal(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		c := w.north.system
		body := orderFor(w.north)
		body["encryption"], body["algorithm"], body["life"], body["comment"] = "legacy", "p384", object{"months": 6}, "for the new platform"
		a := c.post("/orders", body).want(201)
		id := a.text("id")
		if a.header.Get("Location") != api.Prefix+"/orders/"+id || a.text("commonName") != "north-ws-ssl-my-page" || a.text("recipient", "id") != w.north.person.ID ||
			a.text("delivery", "state") != "waiting" || a.text("claimBy") == "" {
			t.Fatalf("%s", a.body)
		}
		check(t, w.queue.Drain(t.Context()))
		if mails := w.mail.List(outbox.DevFilter{To: w.north.person.Email}); len(mails) != 1 {
			t.Errorf("%d e-mails", len(mails))
		}
		c.post("/orders/"+id+"/send-again", nil).want(200)
		check(t, w.queue.Drain(t.Context()))
		if mails := w.mail.List(outbox.DevFilter{To: w.north.person.Email}); len(mails) != 2 {
			t.Errorf("%d e-mails after sending again", len(mails))
		}
		again := c.do("POST", api.Prefix+"/orders/"+id+"/reissue", nil, "Idempotency-Key", "r").want(201)
		if again.text("predecessor") != id || again.text("id") == id {
			t.Errorf("reissued: %s", again.body)
		}
		if twice := c.do("POST", api.Prefix+"/orders/"+id+"/reissue", nil, "Idempotency-Key", "r").want(201); twice.text("id") != again.text("id") {
			t.Error("the same reissue made two orders")
		}
		c.do("POST", api.Prefix+"/orders/"+again.text("id")+"/reissue", nil, "Idempotency-Key", "r").fault(409, "idempotency.reused")

		pem := c.get("/orders/" + id + "/certificate").want(200)
		leaf := parsePEM(t, string(pem.body))[0]
		if pem.header.Get("Content-Disposition") != `attachment; filename="north-ws-ssl-my-page.pem"` || leaf.NotAfter.After(w.clock.Now().AddDate(0, 6, 1)) {
			t.Errorf("%v, until %v", pem.header, leaf.NotAfter)
		}
		der := c.do("GET", api.Prefix+"/orders/"+id+"/certificate", nil, "Accept", "application/pkix-cert").want(200)
		if got := must(x509.ParseCertificate(der.body))(t); !got.Equal(leaf) {
			t.Error("DER and PEM are different certificates")
		}

		gone := c.post("/orders/"+id+"/withdraw", object{"reason": "keyCompromise"}).want(200)
		if gone.text("state") != "REVOKED" || gone.text("delivery", "state") != "closed" {
			t.Errorf("withdrawn: %s", gone.body)
		}
		c.post("/orders/"+id+"/withdraw", object{}).fault(409, "order.not_issued")
		c.post("/orders/"+id+"/withdraw", object{"reason": "certificateHold"}).fault(400, "request.invalid")
		c.post("/orders/"+id+"/send-again", nil).fault(409, "order.nothing_to_fetch")
		c.get("/orders/" + id + "/certificate").want(200)
		c.get("/orders/"+id+"x").fault(404, "access.not_found")
	})
}

// A122, A123: one list of all that a caller may see, with filters, found by serial number.
func TestOrdersAreListedByPageAndFilter(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		c := w.north.system
		request, _ := csrFor(t, keys.P256)
		var serial string
		for _, name := range []string{"one", "two", "three", "four", "five"} {
			body := certificateFor(w.north, request)
			body["shortName"] = name
			serial = c.post("/certificates", body).want(201).text("serial")
			w.clock.Advance(time.Second)
		}
		w.south.system.post("/certificates", certificateFor(w.south, request)).want(201)
		var names []string
		for path := "/orders?limit=2&service=north"; path != ""; {
			a := c.get(path).want(200)
			for _, o := range a.items() {
				names = append(names, o["shortName"].(string))
			}
			next := a.text("next")
			if link := a.header.Get("Link"); next != "" && link != "<"+next+`>; rel="next"` {
				t.Errorf("Link: %s, next: %s", link, next)
			}
			path = strings.TrimPrefix(next, api.Prefix)
		}
		if got := strings.Join(names, " "); got != "five four three two one" {
			t.Errorf("pages: %s", got)
		}
		for path, n := range map[string]int{
			"/orders": 5, "/orders?realm=preprod": 0, "/orders?state=REVOKED": 0, "/orders?state=ISSUED": 5, "/orders?search=north-ws-ssl-t": 2,
			"/orders?search=" + serial: 1, "/orders?client=" + w.north.client.ID: 5, "/orders?service=south": 0,
			"/orders?expireBy=2020-01-01T00:00:00Z": 0, "/orders?expireBy=2999-01-01T00:00:00%2B01:00": 5,
		} {
			if got := len(c.get(path).want(200).items()); got != n {
				t.Errorf("%s: %d orders, want %d", path, got, n)
			}
		}
		if got := len(w.admin.get("/orders").want(200).items()); got != 6 {
			t.Errorf("the administrator sees %d", got)
		}
	})
}

// A41: an order waits for somebody else's approval; two at once make one certificate.
func TestTwoApprovalsAtOnceIssueOneCertificate(t *testing.T) {
	each(t, options{approval: true}, func(t *testing.T, w *world) {
		request, _ := csrFor(t, keys.P256)
		a := w.north.system.post("/certificates", certificateFor(w.north, request)).want(202)
		if a.text("state") != "PENDING_AUTH" || a.text("certificate") != "" {
			t.Fatalf("%s", a.body)
		}
		at := "/orders/" + a.text("order")
		w.north.system.post(at+"/approve", nil).fault(403, "access.forbidden")
		w.north.system.get(at+"/certificate").fault(409, "order.not_issued")
		answers := make([]answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = []*visitor{w.admin, w.second, w.north.manager}[i%3].post(at+"/approve", nil) })
		}
		wg.Wait()
		won := 0
		for _, x := range answers {
			if x.status == 200 {
				won++
			} else if x.status != 409 {
				t.Errorf("%d %s", x.status, x.body)
			}
		}
		var n int64
		check(t, w.db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM certificates WHERE order_id = $1`, a.text("order")).Scan(&n))
		if won != 1 || n != 1 {
			t.Fatalf("%d approvals counted, %d certificates", won, n)
		}
		w.north.system.get(at + "/certificate").want(200)

		b := w.north.manager.post("/orders", orderFor(w.north)).want(201)
		w.north.manager.post("/orders/"+b.text("id")+"/approve", nil).fault(403, "order.four_eyes")
		w.admin.post("/orders/"+b.text("id")+"/reject", object{}).fault(400, "request.invalid")
		if r := w.admin.post("/orders/"+b.text("id")+"/reject", object{"why": "not needed"}).want(200); r.text("state") != "REJECTED" || r.text("problem") != "not needed" {
			t.Errorf("%s", r.body)
		}
		w.admin.post("/orders/"+b.text("id")+"/approve", nil).fault(409, "order.not_pending")
	})
}

// A signingToken is an HSM that can be switched off.
type signingToken struct {
	crypto.Signer
	off atomic.Bool
}

func (k *signingToken) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.off.Load() {
		return nil, fault.Unavailablef(nil, "keys.signer", "The signer does not answer.")
	}
	return k.Signer.Sign(r, digest, opts)
}

// opened makes a signingToken a [keys.Token].
type opened struct{ *signingToken }

func (o opened) Signer(context.Context, string) (crypto.Signer, error) { return o.signingToken, nil }

// When the authority's key cannot be used the order exists all the same: the
// problem names it, a repetition finds it, and nobody orders twice.
func TestAnOrderThatIsDelayedIsNamedInTheProblem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		hsm := &signingToken{Signer: must(keys.Generate(keys.P256))(t)}
		w := newWorld(t, db, options{signer: opened{hsm}})
		request, _ := csrFor(t, keys.P256)
		send := func() answer {
			return w.north.system.do("POST", api.Prefix+"/certificates", certificateFor(w.north, request), "Idempotency-Key", "k")
		}
		hsm.off.Store(true)
		first := send()
		p := first.fault(503, "order.delayed")
		id, _ := p["order"].(string)
		if id == "" || first.header.Get("Retry-After") == "" {
			t.Fatalf("%v %s", first.header, first.body)
		}
		if p := send().fault(503, "order.delayed"); p["order"] != id {
			t.Errorf("the repetition names %v", p["order"])
		}
		if got := w.north.system.get("/orders/" + id).want(200).text("state"); got != "ISSUE" {
			t.Errorf("the order is %s", got)
		}
		w.north.system.get("/orders/"+id+"/certificate").fault(409, "order.not_issued")
		if a := w.south.system.get("/orders/" + id); a.fault(404, "access.not_found")["order"] != nil {
			t.Errorf("a stranger learns that the order exists: %s", a.body)
		}
		hsm.off.Store(false)
		w.clock.Advance(time.Minute)
		check(t, w.orders.Sweep(t.Context()))
		if a := send().want(201); a.text("order") != id || a.text("certificate") == "" {
			t.Errorf("after the key is back: %s", a.body)
		}
	})
}
