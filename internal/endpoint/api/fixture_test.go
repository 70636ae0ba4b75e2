package api_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/endpoint/caller"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/wscert"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // callers that are refused are logged, and most here are
	os.Exit(m.Run())
}

// A world is a whole installation behind a TLS server: two clients in
// production with a service, an authorised person and callers each.
type world struct {
	tb       testing.TB
	db       *store.DB
	clock    *clock.Fake
	audit    *audit.Log
	auditKey crypto.Signer
	ca       *authority.Authorities
	access   *access.Directory
	orders   *wscert.Engine
	certs    *apicert.Desk
	queue    *jobs.Queue
	mail     *outbox.Dev
	pool     *keys.Pool
	bare     http.Handler // the API itself
	handler  http.Handler // within the layers that a server has
	server   *httptest.Server
	spec     *spec // nil until it has been read

	root         access.Scope // the administrator's
	rootID       string
	north, south tenant
	admin        *visitor // the administrator
	second       *visitor // another administrator
}

// A tenant is a client with what belongs to it.
type tenant struct {
	client  access.Client
	service access.Service
	person  access.Orderer
	account access.ServiceAccount // integration
	system  *visitor              // that account
	manager *visitor              // a service account that runs the client
}

type options struct {
	approval bool
	signer   keys.Token // of the key of production-clients-1
}

func newWorld(tb testing.TB, db *store.DB, o options) *world {
	tb.Helper()
	ctx := context.Background()
	w := &world{tb: tb, db: db, clock: clock.NewFake(time.Now())}
	master := must(keys.NewMasterFile(filepath.Join(tb.TempDir(), "master.key")))(tb)
	var more []keys.Option
	if o.signer != nil {
		more = append(more, keys.WithToken(o.signer))
	}
	vault := must(keys.Open(ctx, db, master, w.clock, more...))(tb)
	w.auditKey = must(keys.Generate(keys.Ed25519))(tb)
	w.audit = audit.New(db, w.clock, w.auditKey, "test.example/audit")
	blobs := must(blob.NewFiles(tb.TempDir(), vault))(tb)
	log := slog.New(slog.DiscardHandler)
	w.queue = jobs.New(db, w.clock, log, jobs.Options{})
	w.mail = outbox.NewDev(w.clock, 10_000)
	out := outbox.New(db, w.clock, log, w.queue, vault, map[outbox.Channel]outbox.Transport{outbox.Email: w.mail, outbox.SMS: w.mail}, outbox.Options{})
	w.access = must(access.New(access.Options{
		DB: db, Clock: w.clock, Audit: w.audit, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	}))(tb)
	w.ca = authority.New(db, vault, w.audit, blobs, w.clock, clock.NewGuard(w.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
	desk := handover.New(db, vault, out, w.audit, w.clock, handover.DefaultPolicy, func(_, token string) string { return "https://ra.example.com/pickup/" + token })
	w.pool = keys.NewPool(keys.Stock{})
	tb.Cleanup(w.pool.Close)
	w.orders = wscert.New(db, w.ca, desk, vault, w.pool, out, w.audit, w.clock, wscert.Settings{
		Approval: o.approval, Life: wscert.Life{Years: 2}, LinkLife: handover.DefaultPolicy.LinkLife, Reminders: []int{30, 7}, Lease: 30 * time.Second,
		Notify: func(context.Context, access.Realm, string) ([]string, error) { return nil, nil },
	})
	w.certs = &apicert.Desk{DB: db, Authority: w.ca, Vault: vault, Audit: w.audit, Clock: w.clock}
	w.authorities(o)
	verifier := clientcert.New(w.ca, db, w.audit, w.clock, nil)
	want := clientcert.Want{Realm: apicert.Realm, Kind: apicert.Kind}
	w.bare = api.New(api.Deps{
		DB: db, Access: w.access, Orders: w.orders, APICerts: w.certs, Authority: w.ca, Audit: w.audit, Outbox: out, Queue: w.queue,
		Idempotency: &idempotency.Keys{DB: db, Clock: w.clock},
		Callers: caller.New(caller.Options{
			Directory: w.access, Certificates: w.certs, Clock: w.clock,
			Identify: func(ctx context.Context, state *tls.ConnectionState) (authority.Record, error) {
				id, err := verifier.Identify(ctx, state, want)
				return id.Record, err
			},
		}),
	})
	w.handler = telemetry.Correlate(telemetry.Recover(log, w.bare))
	w.server = httptest.NewUnstartedServer(w.handler)
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	w.server.StartTLS()
	tb.Cleanup(w.server.Close)
	w.people()
	w.spec = readSpec(tb, w)
	return w
}

func (w *world) authorities(o options) {
	ctx, tb := context.Background(), w.tb
	ref := ""
	if o.signer != nil {
		ref = "hsm:clients"
	}
	for _, realm := range []string{"production", "preprod", apicert.Realm} {
		must(w.ca.CreateRoot(ctx, authority.Spec{ID: realm + "-root", Realm: realm, Name: realm + " Root", Org: "Test", Key: keys.P256, Years: 20}))(tb)
		s := authority.Spec{ID: realm + "-clients-1", Realm: realm, Name: realm + " Clients", Org: "Test", Purpose: authority.ClientAuth, Key: keys.P256, Years: 10}
		if realm == "production" {
			s.KeyRef = ref
		}
		must(w.ca.CreateIssuing(ctx, s, realm+"-root"))(tb)
	}
}

func (w *world) people() {
	ctx, tb := context.Background(), w.tb
	op, _, err := w.access.Bootstrap(ctx, access.Administrator{Email: "root@example.com", Name: "First Administrator", Password: secret.New("lantern pickle orbit seven")})
	check(tb, err)
	w.rootID = op.ID
	w.root = must(w.access.ScopeOf(ctx, op.ID))(tb)
	w.admin = w.token(op.ID)
	other := must(w.access.CreateAccount(ctx, w.root, "", "", access.AccountFields{Name: "second administrator"}))(tb)
	must(w.access.Grant(ctx, w.root, other.ID, access.RoleAdministrator, "", ""))(tb)
	w.second = w.token(other.ID)
	w.north, w.south = w.tenant("north"), w.tenant("south")
}

func (w *world) tenant(name string) tenant {
	ctx, tb := context.Background(), w.tb
	var t tenant
	t.client = must(w.access.CreateClient(ctx, w.root, access.Production, access.ClientFields{Name: name + " bank", Country: "DK", OrgNumber: name}))(tb)
	t.service = must(w.access.CreateService(ctx, w.root, t.client.ID, name, access.ServiceFields{}))(tb)
	t.person = must(w.access.AddOrderer(ctx, w.root, t.client.ID, access.OrdererFields{Name: "Person of " + name, Email: name + "@example.com", Mobile: "+4512345678"}))(tb)
	t.account, t.system = w.account(name+" system", access.RoleIntegration, t.client.ID)
	_, t.manager = w.account(name+" manager", access.RoleClientAdmin, t.client.ID)
	return t
}

// account makes a service account with a role on a production client.
func (w *world) account(name, role, client string) (access.ServiceAccount, *visitor) {
	ctx := context.Background()
	a := must(w.access.CreateAccount(ctx, w.root, access.Production, client, access.AccountFields{Name: name}))(w.tb)
	must(w.access.Grant(ctx, w.root, a.ID, role, access.Production, client))(w.tb)
	return a, w.token(a.ID)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		check(tb, err)
		return v
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// A visitor sends requests with a credential.
type visitor struct {
	w      *world
	header http.Header
	client *http.Client
}

func (w *world) token(owner string) *visitor {
	_, key, err := w.access.CreateToken(context.Background(), w.root, owner, access.TokenFields{Name: "nightly"})
	check(w.tb, err)
	return w.caller(http.Header{"Authorization": {"Bearer " + key.Reveal()}}, nil)
}

// caller makes a caller with any header and, unless nil, a client certificate.
func (w *world) caller(h http.Header, c *tls.Certificate) *visitor {
	pool := x509.NewCertPool()
	pool.AddCert(w.server.Certificate())
	cfg := &tls.Config{RootCAs: pool}
	if c != nil {
		cfg.Certificates = []tls.Certificate{*c}
	}
	t := &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 16}
	w.tb.Cleanup(t.CloseIdleConnections)
	return &visitor{w, h, &http.Client{Transport: t}}
}

// An answer is what came back.
type answer struct {
	tb     testing.TB
	status int
	header http.Header
	body   []byte
	what   string
}

func (c *visitor) do(method, path string, body any, headers ...string) answer {
	c.w.tb.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(b))
	default:
		reader = bytes.NewReader(must(json.Marshal(b))(c.w.tb))
	}
	r := must(http.NewRequestWithContext(context.Background(), method, c.w.server.URL+path, reader))(c.w.tb)
	for k, v := range c.header {
		r.Header[k] = v
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res := must(c.client.Do(r))(c.w.tb)
	defer res.Body.Close()
	a := answer{c.w.tb, res.StatusCode, res.Header, must(io.ReadAll(res.Body))(c.w.tb), method + " " + path}
	if c.w.spec != nil {
		if err := c.w.spec.documented(method, path, a.status, a.header, a.body); err != nil {
			c.w.tb.Errorf("%s: not as described: %v: %s", a.what, err, a.body)
		}
	}
	return a
}

func (c *visitor) get(path string) answer            { return c.do("GET", api.Prefix+path, nil) }
func (c *visitor) post(path string, body any) answer { return c.do("POST", api.Prefix+path, body) }

// want fails unless the answer has the status.
func (a answer) want(status int) answer {
	a.tb.Helper()
	if a.status != status {
		a.tb.Fatalf("%s: status %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// fault fails unless the answer is a whole problem document with the code.
func (a answer) fault(status int, code string) map[string]any {
	a.tb.Helper()
	a.want(status)
	p := a.json()
	if a.header.Get("Content-Type") != "application/problem+json" || p["code"] != code || p["status"] != float64(status) ||
		p["detail"] == "" || p["type"] != "urn:sealwright:problem:"+code || p["correlation"] != a.header.Get(telemetry.CorrelationHeader) {
		a.tb.Fatalf("%s: want a problem %s: %s", a.what, code, a.body)
	}
	return p
}

func (a answer) json() map[string]any {
	a.tb.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.tb.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return v
}

// text is a member of the answer.
func (a answer) text(names ...string) string {
	a.tb.Helper()
	var v any = a.json()
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	s, _ := v.(string)
	return s
}

func (a answer) items() []map[string]any {
	a.tb.Helper()
	var v struct{ Items []map[string]any }
	check(a.tb, json.Unmarshal(a.body, &v))
	return v.Items
}

// csrFor makes a certificate request with a fresh key.
func csrFor(tb testing.TB, alg keys.Algorithm) (string, crypto.Signer) {
	tb.Helper()
	key := must(keys.Generate(alg))(tb)
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(tb)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
}

type object = map[string]any

func certificateFor(t tenant, request string) object {
	return object{"realm": "production", "service": t.service.Name, "shortName": "e-banking", "csr": request}
}

func orderFor(t tenant) object {
	return object{"realm": "production", "service": t.service.Name, "shortName": "my page", "orderer": t.person.ID, "mode": "generate"}
}
