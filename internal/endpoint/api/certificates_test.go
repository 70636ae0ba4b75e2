package api_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

func each(t *testing.T, o options, fn func(t *testing.T, w *world)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(t, newWorld(t, db, o)) })
}

func parsePEM(t *testing.T, text string) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return out
		}
		out = append(out, must(x509.ParseCertificate(b.Bytes))(t))
	}
}

// N7, N9, N12, N23: a request at hand becomes a certificate in one call, named
// after service and short name, valid at once, with the key of the request.
func TestACertificateRequestBecomesACertificateInOneCall(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		request, key := csrFor(t, keys.P256)
		a := w.north.system.post("/certificates", certificateFor(w.north, request)).want(201)
		if a.header.Get("Location") != api.Prefix+"/orders/"+a.text("order") || a.text("state") != "ISSUED" {
			t.Fatalf("%v %s", a.header, a.body)
		}
		leaf := parsePEM(t, a.text("certificate"))[0]
		chain := parsePEM(t, a.text("chain"))
		if len(chain) != 1 || leaf.CheckSignatureFrom(chain[0]) != nil {
			t.Fatal("the chain does not lead from the certificate to the authority")
		}
		if leaf.Subject.CommonName != "north-ws-ssl-e-banking" || leaf.URIs[0].String() != "urn:x-sealwright:service:production:north" {
			t.Errorf("named %q %v", leaf.Subject.CommonName, leaf.URIs)
		}
		if leaf.NotBefore.After(w.clock.Now()) || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey) {
			t.Error("not valid yet, or with another key")
		}
		if got := must(time.Parse(time.RFC3339, a.text("notAfter")))(t); !got.Equal(leaf.NotAfter) || !strings.HasSuffix(a.text("notAfter"), "Z") {
			t.Errorf("notAfter %s, certificate %s", a.text("notAfter"), leaf.NotAfter)
		}
		b := w.north.system.do("POST", api.Prefix+"/certificates", certificateFor(w.north, request), "Accept", "application/pem-certificate-chain").want(201)
		if got := parsePEM(t, string(b.body)); b.header.Get("Content-Type") != "application/pem-certificate-chain" || len(got) != 2 {
			t.Errorf("as PEM: %s %s", b.header.Get("Content-Type"), b.body)
		}
	})
}

func TestAPlainCaseOfEachRefusedCertificateRequest(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		good, _ := csrFor(t, keys.P256)
		block, _ := pem.Decode([]byte(good))
		forged := bytes.Clone(block.Bytes)
		forged[len(forged)-1] ^= 1
		weak := "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
		for name, c := range map[string]struct {
			change object
			status int
			code   string
			field  string
		}{
			"no PEM":                          {object{"csr": "hello"}, 400, "", "csr"},
			"PEM around nothing":              {object{"csr": weak}, 400, "", "csr"},
			"a signature that does not fit":   {object{"csr": string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: forged}))}, 400, "", "csr"},
			"cut in the middle":               {object{"csr": string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes[:60]}))}, 400, "", "csr"},
			"an unknown environment":          {object{"realm": "moon"}, 400, "request.invalid", "realm"},
			"a service that does not exist":   {object{"service": "nobody"}, 404, "access.not_found", ""},
			"a service in another realm":      {object{"realm": "preprod"}, 404, "access.not_found", ""},
			"another client's service":        {object{"service": "south"}, 404, "access.not_found", ""},
			"a short name without a letter":   {object{"shortName": "---"}, 400, "order.short_name", ""},
			"a life that is too long":         {object{"life": object{"years": 3}}, 400, "order.life", "life"},
			"a life that is negative":         {object{"life": object{"days": -1}}, 400, "request.invalid", "life.days"},
			"another client's person":         {object{"orderer": w.south.person.ID}, 404, "access.not_found", ""},
			"an unknown field":                {object{"subject": "CN=me"}, 400, "request.invalid", "subject"},
			"a known field in another casing": {object{"Realm": "production"}, 400, "request.invalid", "Realm"},
			"a number where text belongs":     {object{"service": 7}, 400, "request.invalid", "service"},
		} {
			body := certificateFor(w.north, good)
			for k, v := range c.change {
				body[k] = v
			}
			a := w.north.system.post("/certificates", body).want(c.status)
			p := a.fault(c.status, map[bool]string{true: a.text("code"), false: c.code}[c.code == ""])
			if c.code == "" && !strings.HasPrefix(a.text("code"), "csr.") || c.field != "" && p["field"] != c.field {
				t.Errorf("%s: %s", name, a.body)
			}
		}
		if left := w.north.system.get("/orders").want(200).items(); len(left) != 0 {
			t.Errorf("%d orders were left behind", len(left))
		}
	})
}

// Rules of the house 2 and 10: what a caller sends wrongly does not come back.
func TestARequestThatIsWrongInFormIsRefusedInOneShape(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		c := w.north.system
		at := api.Prefix + "/certificates"
		c.do("POST", at, `{"realm":`).fault(400, "request.invalid")
		c.do("POST", at, `[]`).fault(400, "request.invalid")
		c.do("POST", at, ``).fault(400, "request.invalid")
		c.do("POST", at, `{}`, "Content-Type", "text/plain").fault(415, "request.content_type")
		c.do("POST", at, `{}`, "Content-Type", "application/json; charset=latin1").fault(415, "request.content_type")
		c.do("POST", at, `{}`, "Content-Type", "application/vnd.x+json").fault(415, "request.content_type")
		c.do("POST", at, `{}`, "Content-Type", "").fault(415, "request.content_type")
		c.do("POST", at, `{"csr":"`+strings.Repeat("A", 70_000)+`"}`).fault(413, "request.too_large")
		c.do("GET", api.Prefix+"/orders?limit=0", nil).fault(400, "request.invalid")
		c.do("GET", api.Prefix+"/orders?limit=501", nil).fault(400, "request.invalid")
		c.do("GET", api.Prefix+"/orders?colour=red", nil).fault(400, "request.invalid")
		c.do("GET", api.Prefix+"/orders?cursor=!!", nil).fault(400, "page.cursor")
		c.do("GET", api.Prefix+"/orders?expireBy=tomorrow", nil).fault(400, "request.invalid")
		c.do("GET", api.Prefix+"/nothing", nil).fault(404, "request.path")
		if a := c.do("DELETE", api.Prefix+"/orders", nil); a.fault(405, "request.method") != nil && a.header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("Allow: %s", a.header.Get("Allow"))
		}
		p := c.do("POST", at, `{"realm":"x","service":7,"csr":"topsecret"}`).fault(400, "request.invalid")
		if errs, _ := p["errors"].([]any); len(errs) < 3 {
			t.Errorf("all fields at fault are to be named: %v", p)
		}
		if a := c.do("POST", at, `{"csr":{"topsecret":1}}`); bytes.Contains(a.body, []byte("topsecret")) && !bytes.Contains(a.body, []byte(`"field"`)) {
			t.Errorf("what was sent came back: %s", a.body)
		}
	})
}

// The same request with the same Idempotency-Key gives one order, however often
// and however close together it is sent.
func TestEightIdenticalRequestsAtOnceMakeOneOrder(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		request, _ := csrFor(t, keys.P256)
		answers := make([]answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answers[i] = w.north.system.do("POST", api.Prefix+"/certificates", certificateFor(w.north, request), "Idempotency-Key", "k-1")
			})
		}
		wg.Wait()
		for _, a := range answers {
			if a.want(201).text("order") != answers[0].text("order") || a.text("certificate") != answers[0].text("certificate") {
				t.Errorf("different answers: %s", a.body)
			}
		}
		if n := len(w.north.system.get("/orders").want(200).items()); n != 1 {
			t.Fatalf("%d orders", n)
		}
		again := certificateFor(w.north, request)
		again["shortName"] = "other"
		w.north.system.do("POST", api.Prefix+"/certificates", again, "Idempotency-Key", "k-1").fault(409, "idempotency.reused")
		w.north.system.do("POST", api.Prefix+"/certificates", again, "Idempotency-Key", "no blanks").fault(400, "idempotency.key")
		// Another caller's key is another key.
		w.south.system.do("POST", api.Prefix+"/certificates", certificateFor(w.south, request), "Idempotency-Key", "k-1").want(201)
		w.clock.Advance(49 * time.Hour)
		w.north.system.do("POST", api.Prefix+"/certificates", again, "Idempotency-Key", "k-1").want(201)
	})
}

func TestARefusedRequestDoesNotUseUpItsKey(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		body := orderFor(w.north)
		body["orderer"] = "per-nobody"
		w.north.system.do("POST", api.Prefix+"/orders", body, "Idempotency-Key", "k").fault(404, "access.not_found")
		w.north.system.do("POST", api.Prefix+"/orders", orderFor(w.north), "Idempotency-Key", "k").want(201)
	})
}

// Rule of the house 10: logs name the route, never the path; the copy of the
// request that handlers get does not hide it.
func TestTheAccessLogNamesTheRouteAndNotTheObject(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)), options{})
	var log bytes.Buffer
	logged := telemetry.Correlate(telemetry.AccessLog(slog.New(slog.NewTextHandler(&log, nil)), w.bare))
	r := httptest.NewRequest("GET", api.Prefix+"/orders/ord-secret", nil)
	r.Header = w.admin.header.Clone()
	logged.ServeHTTP(httptest.NewRecorder(), r)
	if text := log.String(); !strings.Contains(text, `route="GET /api/v1/orders/{id}"`) || strings.Contains(text, "ord-secret") {
		t.Errorf("%s", text)
	}
}
