package pickup_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/guide"
	"github.com/sealwright/sealwright/internal/endpoint/web/pickup"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/wscert"
)

// A bench is a small installation with real domains behind a real TLS server.
type bench struct {
	t      testing.TB
	db     *store.DB
	clock  *clock.Fake
	audit  *audit.Log
	desk   *handover.Desk
	engine *wscert.Engine
	queue  *jobs.Queue
	mail   *outbox.Dev
	person access.Orderer
	server *httptest.Server
	log    *journal
	orders *unreliable
	key    keys.Algorithm // of the orders that are placed
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// unreliable is an order engine whose completion fails as often as asked, and
// whose authority's key can be away.
type unreliable struct {
	*wscert.Engine
	mu      sync.Mutex
	fails   int
	err     error
	keyAway bool
}

func (u *unreliable) Get(ctx context.Context, s access.Scope, id string) (*wscert.Order, error) {
	o, err := u.Engine.Get(ctx, s, id)
	if err == nil && u.keyAway {
		o.State = wscert.Issue
	}
	return o, err
}

func (u *unreliable) SubmitCSR(ctx context.Context, token, session string, request []byte) (*wscert.Order, error) {
	if u.keyAway {
		return nil, fault.Unavailablef(nil, "order.delayed", "The order is stored.")
	}
	return u.Engine.SubmitCSR(ctx, token, session, request)
}

func (u *unreliable) CompletePickup(ctx context.Context, d handover.Delivery, session string) error {
	u.mu.Lock()
	fail := u.fails > 0
	u.fails--
	u.mu.Unlock()
	if fail {
		return u.err
	}
	return u.Engine.CompletePickup(ctx, d, session)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newBench(t testing.TB, db *store.DB, now time.Time) *bench {
	t.Helper()
	ctx := context.Background()
	b := &bench{t: t, db: db, clock: clock.NewFake(now), log: &journal{}}
	vault := must(keys.Open(ctx, db, must(keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key")))(t), b.clock))(t)
	b.audit = audit.New(db, b.clock, must(keys.Generate(keys.Ed25519))(t), "test/audit")
	quiet := slog.New(slog.DiscardHandler)
	b.queue = jobs.New(db, b.clock, quiet, jobs.Options{})
	b.mail = outbox.NewDev(b.clock, 1000)
	out := outbox.New(db, b.clock, quiet, b.queue, vault, map[outbox.Channel]outbox.Transport{outbox.Email: b.mail, outbox.SMS: b.mail}, outbox.Options{})
	directory := must(access.New(access.Options{
		DB: db, Clock: b.clock, Audit: b.audit, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	}))(t)
	ca := authority.New(db, vault, b.audit, must(blob.NewFiles(t.TempDir(), vault))(t), b.clock, clock.NewGuard(b.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
	b.desk = handover.New(db, vault, out, b.audit, b.clock, handover.DefaultPolicy, func(_, token string) string { return "https://sealwright.example.com/pickup/" + token })
	pool := keys.NewPool(keys.Stock{})
	t.Cleanup(pool.Close)
	b.engine = wscert.New(db, ca, b.desk, vault, pool, out, b.audit, b.clock, wscert.Settings{
		Life: wscert.Life{Years: 2}, LinkLife: handover.DefaultPolicy.LinkLife, Reminders: []int{30}, Lease: 30 * time.Second,
		Notify: func(context.Context, access.Realm, string) ([]string, error) { return nil, nil },
	})
	b.orders = &unreliable{Engine: b.engine}
	must(ca.CreateRoot(ctx, authority.Spec{ID: "production-root", Realm: "production", Name: "Test Root", Org: "Test", Key: keys.P256, Years: 20}))(t)
	must(ca.CreateIssuing(ctx, authority.Spec{ID: "production-clients-1", Realm: "production", Name: "Test Clients", Org: "Test", Purpose: authority.ClientAuth, Key: keys.P256, Years: 10}, "production-root"))(t)
	scope := access.System("test")
	client := must(directory.CreateClient(ctx, scope, access.Production, access.ClientFields{Name: "Foo ASA", Country: "NO"}))(t)
	must(directory.CreateService(ctx, scope, client.ID, "foo", access.ServiceFields{}))(t)
	b.person = must(directory.AddOrderer(ctx, scope, client.ID, access.OrdererFields{Name: "Kari Nordmann", Email: "kari@foo.example.com", Mobile: "+4790000123", Language: "en"}))(t)
	b.serve()
	return b
}

// serve starts the pages as the product serves them: with correlation, log and
// recovery around them, over TLS.
func (b *bench) serve() {
	b.t.Helper()
	b.server = httptest.NewUnstartedServer(nil)
	pages := pickup.New(pickup.Deps{
		Desk: b.desk, Orders: b.orders, Clock: b.clock, BaseURL: "https://" + b.server.Listener.Addr().String(), Version: "1.0.0",
		Contact: pickup.Contact{Name: "the security desk", Phone: "+4722000000", Email: "security@sealwright.example.com"},
		Guide:   func(access.Realm) guide.Params { return guide.Params{Host: "ws.sealwright.example.com"} },
	})
	mux := http.NewServeMux()
	mux.Handle("/pickup/", pages)
	mux.Handle("/static/", theme.Handler())
	mux.Handle(theme.SwitchPath, theme.SwitchHandler())
	log := slog.New(slog.NewTextHandler(b.log, nil))
	b.server.Config.Handler = telemetry.Correlate(telemetry.AccessLog(log, telemetry.Recover(log, mux)))
	b.server.Config.ConnContext = pickup.ConnContext
	b.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.server.EnableHTTP2 = true
	b.server.StartTLS()
	b.t.Cleanup(b.server.Close)
}

// order places an order and returns its link's token.
func (b *bench) order(mode wscert.Mode) (*wscert.Order, string) {
	b.t.Helper()
	o := must(b.engine.Create(context.Background(), access.System("test"), wscert.Request{Realm: access.Production, Service: "foo", ShortName: "e-banking", Orderer: b.person.ID, Mode: mode, Spec: wscert.Spec{Algorithm: b.key}}))(b.t)
	return o, b.match(linkIn, b.messages(b.person.Email))
}

var (
	linkIn     = regexp.MustCompile(`/pickup/([A-Za-z0-9_-]+)`)
	codeIn     = regexp.MustCompile(`(?:: )(\d{6}) `)
	passwordIn = regexp.MustCompile(`: ([A-Za-z0-9]{12})\. It stays`)
)

// messages are what came to an address or number, the newest first.
func (b *bench) messages(to string) []string {
	b.t.Helper()
	if err := b.queue.Drain(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	var texts []string
	for _, m := range b.mail.List(outbox.DevFilter{To: to}) {
		texts = append(texts, m.Body.Reveal())
	}
	return texts
}

func (b *bench) match(re *regexp.Regexp, texts []string) string {
	b.t.Helper()
	for _, text := range texts {
		if m := re.FindStringSubmatch(text); m != nil {
			return m[1]
		}
	}
	b.t.Fatalf("no message matches %v: %q", re, texts)
	return ""
}

func (b *bench) code() string { return b.match(codeIn, b.messages(b.person.Mobile)) }

// passwords are those that came by SMS.
func (b *bench) passwords() []string {
	b.t.Helper()
	var list []string
	for _, text := range b.messages(b.person.Mobile) {
		if m := passwordIn.FindStringSubmatch(text); m != nil {
			list = append(list, m[1])
		}
	}
	return list
}

func (b *bench) delivery(o *wscert.Order) handover.Delivery {
	b.t.Helper()
	o = must(b.engine.Get(context.Background(), access.System("test"), o.ID))(b.t)
	return must(b.desk.Of(b.db.View(context.Background()), o.Handover))(b.t)
}

// A browser is a plain HTTP client with a cookie jar, as a person's.
type browser struct {
	t     testing.TB
	base  string
	token string
	http.Client
}

func (b *bench) browser(token string, h2 bool) *browser {
	b.t.Helper()
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	jar := must(cookiejar.New(nil))(b.t)
	// The small window makes an HTTP/2 server wait for its reader.
	transport := &http.Transport{TLSClientConfig: b.trust(), Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 512}}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: b.t, base: b.server.URL, token: token, Client: http.Client{
		Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *bench) trust() *tls.Config {
	return b.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// A reply is an answer that was read to its end.
type reply struct {
	*http.Response
	body string
}

func (c *browser) do(r *http.Request) (reply, error) {
	resp, err := c.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, string(body)}, err
}

// get asks below the link, with header fields given in pairs.
func (c *browser) get(sub string, header ...string) reply {
	c.t.Helper()
	return c.send(http.MethodGet, sub, "", header...)
}

// post sends a form as browsers do.
func (c *browser) post(sub string, fields url.Values, header ...string) reply {
	c.t.Helper()
	return c.send(http.MethodPost, sub, fields.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

func (c *browser) send(method, sub, body string, header ...string) reply {
	c.t.Helper()
	r := must(http.NewRequest(method, c.base+"/pickup/"+c.token+sub, strings.NewReader(body)))(c.t)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return must(c.do(r))(c.t)
}

// enter gives a one-time password that must be right.
func (c *browser) enter(code string) {
	c.t.Helper()
	if r := c.post("/code", url.Values{"code": {code}}); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/pickup/"+c.token {
		c.t.Fatalf("The one-time password was answered with %d to %q:\n%s", r.StatusCode, r.Header.Get("Location"), r.body)
	}
}

// await waits until the page knows that the file has left. In HTTP/1.1 a client
// has the last byte a moment before the server knows that it has.
func (c *browser) await() {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if r := c.get("/status"); strings.Contains(r.body, `"state":"delivered"`) {
			return
		}
	}
	c.t.Fatal("The download does not count as done.")
}

// session is the cookie's value.
func (c *browser) session() string {
	c.t.Helper()
	for _, cookie := range c.Jar.Cookies(must(url.Parse(c.base))(c.t)) {
		if cookie.Name == pickup.CookieName {
			return cookie.Value
		}
	}
	c.t.Fatal("The browser has no session.")
	return ""
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func want(t testing.TB, what string, r reply, status int, texts ...string) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s: status %d, want %d:\n%s", what, r.StatusCode, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			t.Errorf("%s: no %q in:\n%s", what, text, r.body)
		}
	}
}
