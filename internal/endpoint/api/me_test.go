package api_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

func TestACallerSeesWhoItIsAndWhatItMayDo(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		a := w.north.system.get("/me").want(200)
		if a.text("id") != w.north.account.ID || a.text("kind") != "service-account" || a.text("name") != "north system" ||
			a.text("credential", "method") != "token" || a.text("credential", "name") != "nightly" {
			t.Errorf("%s", a.body)
		}
		if !strings.Contains(string(a.body), `"certificate.order"`) || strings.Contains(string(a.body), `"certificate.approve"`) || !strings.Contains(string(a.body), w.north.client.ID) {
			t.Errorf("%s", a.body)
		}
		if got := w.admin.get("/me").want(200).text("kind"); got != "operator" {
			t.Errorf("the administrator is %s", got)
		}
	})
}

func TestTokensAreMadeShownOnceDisabledAndDeleted(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ends := w.clock.Now().AddDate(0, 0, 2).Truncate(time.Second)
		for owner, at := range map[*visitor]string{w.north.system: "/me/tokens", w.admin: "/accounts/" + w.south.account.ID + "/tokens"} {
			a := owner.post(at, object{"name": "short", "ends": ends}).want(201)
			id := a.text("token", "id")
			if a.header.Get("Location") != api.Prefix+at+"/"+id || a.text("token", "ends") != ends.Format(time.RFC3339) {
				t.Errorf("%v %s", a.header, a.body)
			}
			c := w.caller(http.Header{"X-Api-Key": {a.text("secret")}}, nil)
			c.get("/me").want(200)
			if l := owner.get(at).want(200); len(l.items()) != 2 || strings.Contains(string(l.body), a.text("secret")) {
				t.Errorf("listed: %s", l.body)
			}
			item := api.Prefix + at + "/" + id
			if d := owner.do("PATCH", item, object{"enabled": false}).want(200); d.json()["enabled"] != false {
				t.Errorf("%s", d.body)
			}
			c.get("/me").fault(401, "token.disabled")
			owner.do("PATCH", item, object{"enabled": true}).want(200)
			c.get("/me").want(200)
			owner.do("PATCH", item, object{}).fault(400, "request.invalid")
			w.north.manager.do("DELETE", item, nil).want(404)
			owner.do("DELETE", item, nil).want(204)
			owner.do("DELETE", item, nil).fault(404, "access.not_found")
			if a := c.get("/me"); a.fault(401, "token.unknown") != nil && a.header.Get("WWW-Authenticate") != `Bearer realm="sealwright", error="invalid_token"` {
				t.Errorf("%v", a.header)
			}
		}
		other := w.north.system.post("/me/tokens", object{"name": "over", "ends": ends}).want(201)
		w.clock.Advance(72 * time.Hour)
		w.caller(http.Header{"X-Api-Key": {other.text("secret")}}, nil).get("/me").fault(401, "token.ended")
		w.north.system.post("/me/tokens", object{"name": "past", "ends": ends}).fault(400, "token.ends")
	})
}

// certificateOf opens the downloaded file as a TLS client does.
func certificateOf(t *testing.T, file []byte, password string) *tls.Certificate {
	t.Helper()
	key, leaf, chain, err := pkcs12.Decode(file, password)
	check(t, err)
	out := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, c := range chain[:1] {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out
}

// D1, D2, D4, D7, D14 to D18: made in one act, password shown once, downloaded
// once, used in mutual TLS in place of a token with the owner's rights and in
// the owner's name, disabled, enabled, deleted.
func TestAnAPIClientCertificateTakesThePlaceOfAToken(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		me := w.north.system
		a := me.post("/me/api-certificates", object{"nickname": "ordering-system_1", "ends": w.clock.Now().AddDate(1, 0, 0)}).want(201)
		at := strings.TrimPrefix(a.header.Get("Location"), api.Prefix)
		download := strings.TrimPrefix(a.text("download"), api.Prefix)
		file := me.post(download, nil).want(200)
		if file.header.Get("Content-Type") != "application/x-pkcs12" || file.header.Get("Content-Disposition") != `attachment; filename="Certificate_pkcs12.p12"` {
			t.Errorf("%v", file.header)
		}
		me.post(download, nil).fault(410, "apicert.fetched")
		cert := certificateOf(t, file.body, a.text("password"))
		if d := cert.Leaf.NotAfter; d.After(w.clock.Now().AddDate(1, 0, 1)) || cert.Leaf.SignatureAlgorithm != x509.ECDSAWithSHA256 {
			t.Errorf("until %v, %v", d, cert.Leaf.SignatureAlgorithm)
		}
		if l := me.get("/me/api-certificates").want(200); len(l.items()) != 1 || strings.Contains(string(l.body), a.text("password")) || l.items()[0]["downloaded"] == nil {
			t.Errorf("listed: %s", l.body)
		}

		c := w.caller(nil, cert) // no token
		who := c.get("/me").want(200)
		if who.text("id") != w.north.account.ID || who.text("credential", "method") != "certificate" || who.text("credential", "name") != "ordering-system_1" {
			t.Errorf("%s", who.body)
		}
		o := c.post("/orders", orderFor(w.north)).want(201)
		c.get("/clients/"+w.south.client.ID).fault(404, "access.not_found")
		entries := w.admin.get("/audit?objectKind=order&objectId=" + o.text("id") + "&action=order.create").want(200).items()
		if len(entries) != 1 || entries[0]["actorId"] != w.north.account.ID || entries[0]["actor"] != "north system (certificate ordering-system_1)" ||
			entries[0]["actorKind"] != "certificate" || entries[0]["from"] != "127.0.0.1" || entries[0]["correlation"] != o.header.Get("X-Correlation-Id") {
			t.Errorf("audit: %v", entries)
		}

		// With a token beside it, both must belong to the same owner.
		w.caller(me.header, cert).get("/me").want(200)
		w.caller(w.admin.header, cert).get("/me").fault(401, "caller.two_owners")

		me.do("PATCH", api.Prefix+at, object{"enabled": false}).want(200)
		c.get("/me").fault(401, "apicert.disabled")
		me.do("PATCH", api.Prefix+at, object{"enabled": true}).want(200)
		c.get("/me").want(200)
		w.admin.post("/accounts/"+w.north.account.ID+"/disable", nil).want(204)
		c.get("/me").fault(401, "access.disabled")
		w.admin.post("/accounts/"+w.north.account.ID+"/enable", nil).want(204)
		c.get("/me").want(200)
		me.do("DELETE", api.Prefix+at, nil).want(204)
		c.get("/me").fault(401, "clientcert.withdrawn")
		me.get(at).fault(404, "access.not_found")
	})
}

// D5, D6, D9, D10, D12, D13: what the form takes and refuses; calls end with it.
func TestWhatAnAPIClientCertificateMayBe(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		acc := must(w.access.CreateAccount(t.Context(), w.root, "production", w.north.client.ID, accountUntil(w.clock.Now().AddDate(0, 6, 0))))(t)
		at := "/accounts/" + acc.ID + "/api-certificates"
		soon := w.clock.Now().AddDate(0, 1, 0)
		w.admin.post(at, object{"nickname": "no token yet", "ends": soon}).want(201)
		w.admin.post("/accounts/"+acc.ID+"/tokens", object{"name": "t", "ends": w.clock.Now().AddDate(0, 3, 0)}).want(201)

		w.admin.post(at, object{"nickname": "x", "ends": w.clock.Now().AddDate(0, 7, 0)}).fault(400, "apicert.ends")  // D10: after the account
		w.admin.post(at, object{"nickname": "x", "ends": w.clock.Now().AddDate(0, 4, 0)}).fault(400, "apicert.ends")  // D10: after the token
		w.admin.post(at, object{"nickname": "x", "ends": w.clock.Now().AddDate(0, 0, -1)}).fault(400, "apicert.ends") // past
		w.admin.post(at, object{"nickname": "a/b", "ends": soon}).fault(400, "request.invalid")                       // D9
		w.admin.post(at, object{"nickname": "x", "ends": soon, "hash": "sha1"}).fault(400, "request.invalid")         // D13
		w.admin.post(at, object{"nickname": "x", "ends": soon, "encryption": "rc2"}).fault(400, "request.invalid")    // D12
		a := w.admin.post(at, object{"nickname": "Old importer_1", "ends": soon, "encryption": "legacy", "hash": "sha256"}).want(201)
		w.admin.post(at, object{"nickname": "old IMPORTER_1", "ends": soon}).fault(409, "apicert.nickname_taken") // D9
		id := a.text("certificate", "id")
		w.admin.do("PATCH", api.Prefix+at+"/"+id, object{"ends": soon}).fault(400, "request.invalid") // D5
		w.admin.do("PATCH", api.Prefix+"/accounts/"+w.south.account.ID+"/api-certificates/"+id, object{"enabled": false}).fault(404, "access.not_found")
		file := w.admin.post(at+"/"+id+"/download", nil).want(200)
		cert := certificateOf(t, file.body, a.text("password"))
		if got := w.admin.get(at + "/" + id).want(200).text("encryption"); got != "legacy" {
			t.Errorf("encryption %s", got)
		}
		w.clock.Advance(35 * 24 * time.Hour)
		w.caller(nil, cert).get("/me").fault(401, "clientcert.expired")
	})
}

func TestACallerWhoIsNotKnownLearnsHowToBe(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		if a := w.caller(nil, nil).get("/orders"); a.fault(401, "caller.missing")["next"] == nil || a.header.Get("WWW-Authenticate") != `Bearer realm="sealwright"` {
			t.Errorf("%v %s", a.header, a.body)
		}
		key := w.admin.header.Get("Authorization")[len("Bearer "):]
		w.caller(http.Header{"X-Api-Key": {key}}, nil).get("/me").want(200)
		w.caller(http.Header{"Authorization": {"bearer " + key}}, nil).get("/me").want(200)
		w.caller(http.Header{"Authorization": {"Basic YTpi"}}, nil).get("/me").fault(401, "caller.scheme")
		w.caller(http.Header{"Authorization": {"Bearer " + key}, "X-Api-Key": {key}}, nil).get("/me").fault(401, "caller.two_tokens")
		w.caller(http.Header{"Authorization": {"Bearer " + key[:20]}}, nil).get("/me").fault(401, "token.unknown")
		// Nobody in particular learns whether an object exists or a body is right.
		w.caller(nil, nil).post("/orders", `{`).fault(401, "caller.missing")
		// A page of another site in a browser that holds the certificate.
		w.admin.do("POST", api.Prefix+"/orders/x/approve", nil, "Sec-Fetch-Site", "cross-site").fault(403, "caller.cross_origin")

		dead := w.caller(http.Header{"X-Api-Key": {"swt_" + strings.Repeat("A", 43)}}, nil)
		for range 10 {
			dead.get("/me").fault(401, "token.unknown")
		}
		if a := dead.get("/me"); a.fault(429, "caller.wait") != nil && a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
		w.admin.get("/me").want(200) // others behind the same address go on
		w.clock.Advance(10 * time.Second)
		dead.get("/me").fault(401, "token.unknown")
	})
}

// A certificate for web services opens a service's data and nothing else (N9).
func TestAWebServiceCertificateDoesNotOpenTheAPI(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		request, key := csrFor(t, "p256")
		a := w.north.system.post("/certificates", certificateFor(w.north, request)).want(201)
		leaf := parsePEM(t, a.text("certificate"))[0]
		w.caller(nil, &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}).get("/me").fault(401, "clientcert.kind")
	})
}
