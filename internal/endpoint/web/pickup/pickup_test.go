package pickup_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// N17 to N23: link, one-time password, file, and only then the password, which
// opens the file. Over both versions of HTTP, on both engines.
func TestAKeyFileIsFetchedOnceAndItsPasswordFollows(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 is %v", h2), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				b := newBench(t, db, noon)
				o, token := b.order(wscert.Generate)
				c := b.browser(token, h2)
				// N7 to N9, N25, N26: said before anything is asked for.
				want(t, "page", c.get(""), 200, "foo-ws-ssl-e-banking", "Kari Nordmann", "Production", "ends in 123", "2026-12-05 12:00 UTC", "Tries left: 5", "2026-11-21 12:30 UTC",
					"opens all data of the service foo", "Whoever holds it can make calls", "protected just as well", "Never send the file or its password by e-mail, chat", `autocomplete="one-time-code"`, `inputmode="numeric"`)
				code := b.code()
				c.enter(code[:3] + " " + code[3:])
				// N24 to N26: said before the download.
				want(t, "download page", c.get(""), 200, "Download foo-ws-ssl-e-banking.p12", "can be fetched once", "Leave no copies on machines", "curl --fail --continue-at -", c.session())
				want(t, "status", c.get("/status"), 200, `"state":"ready"`)
				if n := len(b.passwords()); n != 0 {
					t.Fatalf("%d passwords were sent before the file had left (N21).", n)
				}
				r := c.get("/file")
				want(t, "file", r, 200)
				c.await()
				length := fmt.Sprint(len(r.body))
				if h2 {
					length = "" // the end of the stream says that it is complete
				}
				for name, value := range map[string]string{
					"Content-Type": "application/x-pkcs12", "Content-Disposition": "attachment; filename=foo-ws-ssl-e-banking.p12", "Accept-Ranges": "bytes",
					"Cache-Control": "no-store", "Content-Length": length, "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff",
				} {
					if got := r.Header.Get(name); got != value {
						t.Errorf("%s is %q, want %q.", name, got, value)
					}
				}
				passwords := b.passwords()
				if len(passwords) != 1 {
					t.Fatalf("%d passwords were sent, want one.", len(passwords))
				}
				if _, cert, _, err := pkcs12.Decode([]byte(r.body), passwords[0]); err != nil || cert.Subject.CommonName != "foo-ws-ssl-e-banking" {
					t.Errorf("The password from the SMS does not open the file: %v (N20, N22).", err)
				}
				if d := b.delivery(o); d.State != handover.Delivered {
					t.Errorf("The delivery is %s.", d.State)
				}
				// N22, N23, N27, N28, N30, N34 to N36: what the recipient is told then.
				for _, sub := range []string{"", "/done"} {
					want(t, "done", c.get(sub), 200, "The password is on its way", "permanent password of foo-ws-ssl-e-banking.p12", "ends in 123", "works at once", "Delete the SMS", "Erase temporary copies",
						"a new certificate can be issued", "Protect a back-up as well as the original", "You are responsible", "report it at once", "the security desk", "tel:+4722000000", "guide=java", "Back-ups", "ws.sealwright.example.com")
				}
				want(t, "guide", c.get("/done?guide=curl"), 200, `cert = &#34;foo-ws-ssl-e-banking.p12&#34;`, "https://ws.sealwright.example.com/doc/foo/sds")
				want(t, "status", c.get("/status"), 200, `"state":"delivered"`)

				// A replay is refused, to the browser that fetched it and to others.
				want(t, "replay", c.get("/file"), 410, "handover.delivered")
				other := b.browser(token, h2)
				want(t, "other", other.get("", "Accept", "text/html"), 410, "fetched already", "If it was not you", "the security desk", "2026-11-21 12:00:00 UTC")
				want(t, "other done", other.get("/done"), 410, "handover.delivered")
				want(t, "other status", other.get("/status"), 410)
				want(t, "other code", other.post("/code", url.Values{"code": {code}}), 410)
				b.clock.Advance(31 * time.Minute)
				want(t, "done, later", c.get("/done"), 410, "handover.delivered")
				if n := len(b.passwords()); n != 1 {
					t.Errorf("%d passwords were sent in all.", n)
				}
				b.noSecretsOutside(token, c.session(), code, passwords[0])
			})
		})
	}
}

// noSecretsOutside looks into the log and the database.
func (b *bench) noSecretsOutside(secrets ...string) {
	b.t.Helper()
	dump := storetest.Dump(b.t, b.db)
	for i, s := range secrets {
		if strings.Contains(b.log.String(), s) {
			b.t.Errorf("Secret %d stands in the log.", i)
		}
		for table, rows := range dump {
			if len(s) > 6 && strings.Contains(rows, s) {
				b.t.Errorf("Secret %d stands in the table %s.", i, table)
			}
		}
	}
	if !strings.Contains(b.log.String(), `route="GET /pickup/{token}/file"`) {
		b.t.Errorf("The log does not name the routes:\n%s", b.log.String())
	}
}

func TestTheCookieCannotBeReadSentElsewhereOrTakenAlong(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), noon)
	_, token := b.order(wscert.Generate)
	r := b.browser(token, false).post("/code?lang=da", url.Values{"code": {b.code()}})
	if got := r.Header.Get("Location"); got != "/pickup/"+token+"?lang=da" {
		t.Errorf("The form leads to %q.", got)
	}
	cookie := r.Header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-pickup=", "Path=/;", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=1800"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("No %s in %q.", attribute, cookie)
		}
	}
}

// N18: wrong, spent, late and malformed one-time passwords.
func TestAOneTimePasswordIsRefusedInWordsThatHelp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, noon)
		o, token := b.order(wscert.Generate)
		c := b.browser(token, false)
		code := b.code()
		wrong := map[bool]string{true: "111111", false: "000000"}[code == "000000"]
		want(t, "malformed", c.post("/code", url.Values{"code": {"12ab"}}), 400, "has six digits", `value="12ab"`, `aria-invalid="true"`, "autofocus", "Tries left: 5")
		want(t, "wrong", c.post("/code", url.Values{"code": {wrong}}), 400, "4 tries are left", `value="`+wrong+`"`, `id="f-code-error"`, "Tries left: 4")
		want(t, "in Danish", c.post("/code?lang=da", url.Values{"code": {wrong}}), 400, "forsøg tilbage: 3", `lang="da"`, "/code?lang=da")
		for range 3 {
			c.post("/code", url.Values{"code": {wrong}})
		}
		want(t, "spent", c.post("/code", url.Values{"code": {code}}), 410, "can no longer be used", "Ask for a new one")
		r := c.post("/resend", nil)
		want(t, "too soon", r, 429, "sent a moment ago", `role="alert"`, "Send me a new one")
		if r.Header.Get("Retry-After") != "30" {
			t.Errorf("Retry-After is %q.", r.Header.Get("Retry-After"))
		}
		b.clock.Advance(31 * time.Second)
		r = c.post("/resend", nil)
		if r.StatusCode != 303 || r.Header.Get("Location") != "/pickup/"+token+"?sent=1" {
			t.Fatalf("Resending answered %d to %q.", r.StatusCode, r.Header.Get("Location"))
		}
		want(t, "flash", c.get("?sent=1"), 200, "is on its way by SMS", "Tries left: 5")
		code = b.code()
		b.clock.Advance(31 * time.Minute)
		want(t, "late", c.post("/code", url.Values{"code": {code}}), 410, "older than 30 minutes", `id="f-code-error"`)
		want(t, "page then", c.get(""), 200, "no valid one-time password")
		b.clock.Advance(time.Minute)
		c.post("/resend", nil)
		c.enter(b.code())
		if d := b.delivery(o); d.State != handover.Open {
			t.Errorf("The delivery is %s.", d.State)
		}
		b.clock.Advance(31 * time.Minute)
		want(t, "the session ends", c.get("/file"), 401, "handover.session_expired")
	})
}

func TestAMultipartOrLargeOrForeignFormIsHandled(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), noon)
	_, token := b.order(wscert.Generate)
	c := b.browser(token, false)
	want(t, "large", c.post("/code", url.Values{"code": {strings.Repeat("1", 100_000)}}), 413, "more than 64 kB")
	want(t, "damaged", c.send("POST", "/code", "x", "Content-Type", "multipart/form-data; boundary=b"), 400, "arrived damaged")
	want(t, "cross-site", c.post("/code", url.Values{"code": {b.code()}}, "Origin", "https://evil.example.com", "Accept", "text/html"), 403, "from another site", "<html")
	want(t, "cross-site", c.post("/resend", nil, "Sec-Fetch-Site", "cross-site"), 403, "pickup.cross_site")
	want(t, "no session", c.get("/file"), 401, "handover.session")
	want(t, "no session, for people", c.get("/file", "Accept", "text/html"), 401, "<html", "Give the one-time password")
	want(t, "no session, for the script", c.get("/status"), 401, `"code":"handover.session"`)
	want(t, "done too early", c.get("/done"), 303)
	want(t, "address of a form", c.get("/code"), 303)
}

func TestUnknownLinksAreAnsweredAlikeAndCounted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, noon)
		_, token := b.order(wscert.Generate)
		c := b.browser("x", false)
		var first reply
		for i, bad := range []string{"x", strings.Repeat("A", 43), token + "x", "a%2Fb", "%00"} {
			c.token = bad
			r := c.get("")
			want(t, bad, r, 404, "handover.link")
			r.body, _, _ = strings.Cut(r.body, "correlation")
			if i == 0 {
				first = r
			} else if r.body != first.body {
				t.Errorf("%q is answered with %q, %q with %q.", bad, r.body, "x", first.body)
			}
		}
		want(t, "page", c.get("", "Accept", "text/html", "Accept-Language", "fi, sv-SE;q=0.8"), 404, `lang="sv"`, "leder ingenstans")
		for range 24 {
			want(t, "guess", c.get("/file"), 404)
		}
		r := c.get("/file")
		want(t, "guess 31", r, 429, "pickup.guessing")
		if r.Header.Get("Retry-After") != "20" {
			t.Errorf("Retry-After is %q.", r.Header.Get("Retry-After"))
		}
		c.token = token
		want(t, "the right link, from there", c.get(""), 429)
		b.clock.Advance(10 * time.Minute)
		want(t, "the right link, later", c.get(""), 200)
	})
}

// N14, N26: acts stand in the audit log under the recipient's name and address.
func TestTheAuditLogNamesThePersonAndTheAddress(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), noon)
	_, token := b.order(wscert.Generate)
	c := b.browser(token, false)
	c.enter(b.code())
	c.get("/file")
	c.await()
	found := map[string]bool{}
	list, _, err := b.audit.List(b.db.View(t.Context()), audit.Filter{AllClients: true}, store.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Origin.Kind == audit.Person && e.Origin.Name == "Kari Nordmann" && e.Origin.From == "127.0.0.1" && len(e.Origin.Correlation) > 8 {
			found[e.Entry.Action] = true
		}
	}
	if !found["handover.enter"] || !found["handover.deliver"] {
		t.Errorf("The person's acts in the audit log: %v.", found)
	}
}

func request(t testing.TB) string {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func TestARecipientBringsARequestAndFetchesTheCertificate(t *testing.T) {
	upload := func(field string) func(t *testing.T, c *browser, csr string) reply {
		return func(t *testing.T, c *browser, csr string) reply {
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			if err := form.WriteField("csr", ""); err != nil {
				t.Fatal(err)
			}
			must(must(form.CreateFormFile(field, "my.csr"))(t).Write([]byte(csr)))(t)
			if err := form.Close(); err != nil {
				t.Fatal(err)
			}
			return c.send("POST", "/request", body.String(), "Content-Type", form.FormDataContentType())
		}
	}
	for name, send := range map[string]func(t *testing.T, c *browser, csr string) reply{
		"typed":           func(_ *testing.T, c *browser, csr string) reply { return c.post("/request", url.Values{"csr": {csr}}) },
		"as the file csr": upload("csr"), "as the page's file": upload("csr_file"),
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				b := newBench(t, db, noon)
				_, token := b.order(wscert.Bring)
				c := b.browser(token, false)
				want(t, "too early", c.post("/request", url.Values{"csr": {request(t)}}), 401, "one-time password")
				c.enter(b.code())
				want(t, "page", c.get(""), 200, "never leaves your server", "openssl req -new", "-keyout &#39;foo-ws-ssl-e-banking.key&#39;", `name="csr"`, `type="file"`)
				want(t, "nothing", send(t, c, " "), 400, "There is no certificate request", `id="f-csr-error"`)
				want(t, "nonsense", send(t, c, "-----BEGIN nonsense"), 400, "cannot be used", "-----BEGIN nonsense</textarea>")
				want(t, "no file yet", c.get("/file"), 409)
				csr := request(t)
				if r := send(t, c, csr); r.StatusCode != 303 {
					t.Fatalf("The request was answered with %d:\n%s", r.StatusCode, r.body)
				}
				want(t, "page", c.get(""), 200, "Download foo-ws-ssl-e-banking.pem")
				if r := send(t, c, csr); r.StatusCode != 303 {
					t.Errorf("A second request was answered with %d.", r.StatusCode)
				}
				r := c.get("/file")
				want(t, "file", r, 200, "BEGIN CERTIFICATE")
				if got := r.Header.Get("Content-Type"); got != "application/x-pem-file" {
					t.Errorf("Content-Type is %s.", got)
				}
				c.await()
				want(t, "done", c.get(""), 200, "There is no password", "foo-ws-ssl-e-banking.key", "Fetched")
				if n := len(b.passwords()); n != 0 {
					t.Errorf("%d passwords were sent for a certificate.", n)
				}
			})
		})
	}
}

// An authority whose key cannot be used delays the certificate; the recipient
// is told so and need not send the request again.
func TestARequestIsKeptWhileTheAuthorityCannotSign(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), noon)
	_, token := b.order(wscert.Bring)
	c := b.browser(token, false)
	c.enter(b.code())
	b.orders.keyAway = true
	if r := c.post("/request", url.Values{"csr": {request(t)}}); r.StatusCode != 303 {
		t.Fatalf("The request was answered with %d:\n%s", r.StatusCode, r.body)
	}
	want(t, "page", c.get(""), 200, "is being issued", "no need to send it again", `data-pickup-state="issuing"`)
	want(t, "status", c.get("/status"), 200, `"state":"issuing"`)
	want(t, "done", c.get("/done"), 303)
}

// The one-time password that another browser asks for ends the first one's session.
func TestTwoBrowsersCannotBothHaveIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, noon)
		_, token := b.order(wscert.Generate)
		first, second := b.browser(token, false), b.browser(token, false)
		code := b.code()
		first.enter(code)
		want(t, "second", second.get(""), 200, "used already, in another browser")
		want(t, "second, same password", second.post("/code", url.Values{"code": {code}}), 410)
		b.clock.Advance(time.Minute)
		second.post("/resend", nil)
		second.enter(b.code())
		want(t, "first", first.get("/file"), 401)
		want(t, "first's page", first.get(""), 200, "used already, in another browser")
		want(t, "second", second.get("/file"), 200)
		second.await()
		want(t, "first, then", first.get(""), 410)
		want(t, "second, then", second.get(""), 200, "The password is on its way")
	})
}

// A link in a web mail leads here cross-site, and a strict cookie stays behind:
// the page then loads itself once more.
func TestALinkFromAWebMailFindsTheSessionAgain(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), noon)
	_, token := b.order(wscert.Generate)
	c, stray := b.browser(token, false), b.browser(token, false)
	want(t, "first visit", stray.get("", "Sec-Fetch-Site", "cross-site"), 200, "Six digits")
	c.enter(b.code())
	r := stray.get("", "Sec-Fetch-Site", "cross-site")
	if r.Header.Get("Refresh") != "0" || r.body != "" {
		t.Errorf("The page does not load itself again: %v %s", r.Header, r.body)
	}
	want(t, "without the session", stray.get("", "Sec-Fetch-Site", "same-origin"), 200, "used already")
	c.get("/file")
	c.await()
	if r := stray.get("", "Sec-Fetch-Site", "cross-site"); r.Header.Get("Refresh") != "0" {
		t.Error("After the download it does not load itself again.")
	}
}

func TestAWithdrawnOrExpiredDeliveryIsGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, noon)
		_, token := b.order(wscert.Generate)
		c := b.browser(token, false)
		b.clock.Advance(15 * 24 * time.Hour)
		want(t, "expired", c.get("", "Accept", "text/html"), 410, "not fetched in time", "Ask for a new certificate")
		want(t, "expired, for programs", c.get("/file"), 410, "handover.closed")
	})
}

// The counters of links that do not exist stay within their bounds, and many at
// once are counted right.
func TestParallelGuessesAreCounted(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), noon)
	var wait sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	for range 8 {
		c := b.browser("nothing", false)
		wait.Go(func() {
			for range 6 {
				r := must(http.NewRequest(http.MethodGet, c.base+"/pickup/nothing", nil))(t)
				resp, err := c.do(r)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[resp.StatusCode]++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if seen[404] < 30 || seen[404] > 37 || seen[404]+seen[429] != 48 {
		t.Errorf("The answers were %v; want 30 of 404, and one more for each that was under way.", seen)
	}
}
