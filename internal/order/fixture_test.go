package order_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/ocsp"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func must2[T, U any](v T, w U, err error) func(testing.TB) (T, U) {
	return func(t testing.TB) (T, U) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v, w
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	return must(hex.DecodeString(text))(t)
}

// A bench is a small installation with real authorities, products and keys;
// what looks outside is played by the test.
type bench struct {
	t        testing.TB
	db       *store.DB
	clock    *clock.Fake
	audit    *audit.Log
	ca       *authority.Authorities
	products *product.Products
	keys     *keycheck.Registry
	queue    *jobs.Queue
	engine   *order.Engine
	options  order.Options
	client   access.Client
	scope    access.Scope // may do everything
	other    access.Scope // so may this one, and it is somebody else
	domains  *domains
	notices  *notices
	shelf    *shelf
	people   *access.Directory
	token    *token // behind the issuing authority, if there is one
	logs     *logs
}

// options choose what differs from the plain bench.
type options struct {
	token bool // the issuing authority's key is in a security module
	logs  int  // how many transparency logs there are

	sources map[string]product.DataSource
}

func newBench(t testing.TB, db *store.DB, o options) *bench {
	t.Helper()
	ctx := context.Background()
	b := &bench{t: t, db: db, clock: clock.NewFake(noon), scope: access.System("test"), other: access.System("second")}
	var extras []keys.Option
	keyRef := ""
	if o.token {
		b.token = &token{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
		extras, keyRef = append(extras, keys.WithToken(b.token)), keys.HSMRef("issuing")
	}
	vault := must(keys.Open(ctx, db, must(keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key")))(t), b.clock, extras...))(t)
	b.audit = audit.New(db, b.clock, must(keys.Generate(keys.Ed25519))(t), "test/audit")
	blobs := must(blob.NewFiles(t.TempDir(), vault))(t)
	b.queue = jobs.New(db, b.clock, slog.New(slog.DiscardHandler), jobs.Options{})
	b.people = must(access.New(access.Options{
		DB: db, Clock: b.clock, Audit: b.audit, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	}))(t)
	b.ca = authority.New(db, vault, b.audit, blobs, b.clock, clock.NewGuard(b.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
	b.products = product.New(db, b.audit, b.clock)
	b.keys = keycheck.New(db, b.audit, b.clock, nil, owners{b})
	pool := keys.NewPool(keys.Stock{})
	t.Cleanup(pool.Close)
	b.domains, b.notices, b.shelf, b.logs = &domains{}, &notices{}, &shelf{}, &logs{}
	b.options = order.Options{
		DB: db, CA: b.ca, Products: b.products, Keys: b.keys, Domains: b.domains, Logs: b.logs, Publisher: b.shelf, Notices: b.notices,
		Vault: vault, Pool: pool, Blobs: blobs, Audit: b.audit, Clock: b.clock, Queue: b.queue,
		Settings: order.Settings{
			Sources: o.sources, Lease: 30 * time.Second, Retry: 5 * time.Second, Attempts: 5, ApprovalLife: 7 * 24 * time.Hour, Reminders: []int{60, 30, 14, 7, 1}, Base: "https://ra.example.com",
		},
	}
	b.engine = order.NewEngine(b.options)
	b.ca.OnChange = b.engine.Follow
	b.queue.Attach(b.engine, order.Lane, 4)
	b.queue.Handle(order.CTJob, b.engine.PublishFinal, jobs.KindOptions{})
	b.queue.Handle(order.RevokeOldJob, b.engine.RevokeRenewed, jobs.KindOptions{})
	must(b.ca.CreateRoot(ctx, authority.Spec{ID: "production-root", Realm: "production", Name: "Test Root", Org: "Test", Key: keys.P384, Years: 20}))(t)
	must(b.ca.CreateIssuing(ctx, authority.Spec{ID: "production-general", Realm: "production", Name: "Test Issuing", Org: "Test", Purpose: authority.General, Key: keys.P256, KeyRef: keyRef, Years: 10}, "production-root"))(t)
	b.client = must(b.people.CreateClient(ctx, b.scope, access.Production, access.ClientFields{Name: "Foo ASA", Country: "NO"}))(t)
	if o.logs > 0 {
		b.logs.open(b, o.logs)
	}
	return b
}

// product makes a product of a ready template, with what is said otherwise.
func (b *bench) product(template, overrides string) *product.Product {
	b.t.Helper()
	t := must(product.ReadyTemplate(template))(b.t)
	p := must(t.Product(template, access.Production, "", "production-general", []byte(overrides)))(b.t)
	return must(b.products.Create(context.Background(), b.scope, p, ""))(b.t)
}

func (b *bench) server(p *product.Product, names ...string) order.Request {
	r := order.Request{Client: b.client.ID, Product: p.ID, CSR: newCSR(b.t, names...)}
	return r
}

// madeHere is an order whose key is made here.
func (b *bench) madeHere(p *product.Product, name string) order.Request {
	r := order.Request{Client: b.client.ID, Product: p.ID}
	r.Fields = map[string][]string{"san.dns": {name}, "subject.O": {"Foo ASA"}}
	r.Holder, r.Mobile = "holder@foo.example", "+4790000000"
	return r
}

// mailbox is an order for a certificate that names its holder's mailbox.
func (b *bench) mailbox(p *product.Product) order.Request {
	r := b.madeHere(p, "kari.foo.example")
	r.Email, r.Holder = []string{"Kari@foo.example"}, ""
	return r
}

// tokenOf is the token in the latest message of an event.
func (b *bench) tokenOf(e order.Event) string {
	b.t.Helper()
	all := b.notices.of(e)
	if len(all) == 0 {
		b.t.Fatalf("nobody was told of %s", e)
	}
	link := all[len(all)-1].Data["link"]
	return link[strings.LastIndex(link, "/")+1:]
}

func (b *bench) create(r order.Request) *order.Order {
	b.t.Helper()
	return must(b.engine.Create(context.Background(), b.scope, r))(b.t)
}

func (b *bench) get(id string) *order.Order {
	b.t.Helper()
	return must(b.engine.Get(context.Background(), b.scope, id))(b.t)
}

// drain has the worker do what is due.
func (b *bench) drain() {
	b.t.Helper()
	if err := b.queue.Drain(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) count(query string, args ...any) (n int64) {
	b.t.Helper()
	if err := b.db.View(context.Background()).QueryRow(query, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// invariants hold at the end of every story.
func (b *bench) invariants() {
	b.t.Helper()
	for what, query := range map[string]string{
		"issued orders without a valid certificate":       `SELECT COUNT(*) FROM orders o WHERE o.state = 'ISSUED' AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.order_id = o.id AND c.status = 'valid')`,
		"valid certificates without an issued order":      `SELECT COUNT(*) FROM certificates c WHERE c.kind = 'order' AND c.status = 'valid' AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = c.order_id AND o.state = 'ISSUED')`,
		"orders with more than one valid certificate":     `SELECT COUNT(*) FROM (SELECT order_id FROM certificates WHERE kind = 'order' AND status = 'valid' GROUP BY order_id HAVING COUNT(*) > 1) twice`,
		"certificates that are neither valid nor revoked": `SELECT COUNT(*) FROM certificates WHERE kind = 'order' AND status NOT IN ('valid', 'revoked')`,
		"open approvals of orders that are done":          `SELECT COUNT(*) FROM order_approvals a JOIN orders o ON o.id = a.order_id WHERE a.state = 'open' AND a.act = 'issue' AND o.state <> 'PENDING_AUTH'`,
		"orders without their key in the index":           `SELECT COUNT(*) FROM orders o WHERE o.serial <> '' AND NOT EXISTS (SELECT 1 FROM order_keys k WHERE k.order_id = o.id)`,
		"orders that are due":                             `SELECT COUNT(*) FROM orders WHERE due > 0 AND state IN ('ISSUED', 'REVOKED', 'FAILED', 'REJECTED', 'UNKNOWN')`,
		"keys kept in orders that are done":               `SELECT COUNT(*) FROM order_work w JOIN orders o ON o.id = w.id WHERE w.sealed_key IS NOT NULL AND o.state IN ('ISSUED', 'REVOKED', 'FAILED', 'REJECTED', 'UNKNOWN')`,
		"orders without an audit entry of their making":   `SELECT COUNT(*) FROM orders o WHERE NOT EXISTS (SELECT 1 FROM audit_entries a WHERE a.object_id = o.id AND a.action = 'order.create')`,
		"issued orders without an audit entry of it":      `SELECT COUNT(*) FROM orders o WHERE o.state = 'ISSUED' AND NOT EXISTS (SELECT 1 FROM audit_entries a WHERE a.object_id = o.id AND a.action = 'order.issue')`,
		"revoked certificates without an entry in lists":  `SELECT COUNT(*) FROM certificates c WHERE c.status = 'revoked' AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.authority = c.authority AND r.serial = c.serial)`,
	} {
		if n := b.count(query); n != 0 {
			b.t.Errorf("%d %s", n, what)
		}
	}
}

// newCSR makes a request for a new key.
func newCSR(t testing.TB, names ...string) []byte {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	return csrFor(t, key, names...)
}

func csrFor(t testing.TB, key crypto.Signer, names ...string) []byte {
	t.Helper()
	cn := ""
	if len(names) > 0 {
		cn = names[0]
	}
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn, Organization: []string{"Foo ASA"}}, DNSNames: names}, key))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// answers holds lists and OCSP answers against what the orders say: whatever was
// given up is revoked there, and what is valid is not.
func (b *bench) answers(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if err := errors.Join(b.ca.RotateResponders(ctx), b.ca.ProduceDueCRLs(ctx)); err != nil {
		t.Fatal(err)
	}
	c := must(b.ca.CurrentCRL(ctx, "production-general"))(t)
	r := must(b.ca.OpenCRL(ctx, c))(t)
	defer r.Close()
	list := must(crl.Parse(must(io.ReadAll(r))(t)))(t)
	listed := map[string]bool{}
	for e, err := range list.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		listed[authority.SerialText(e.Serial)] = true
	}
	x := must(b.ca.Get(ctx, "production-general"))(t)
	issuer := must(ocsp.IssuerOf(x.Certificate))(t)
	n := 0
	for record, err := range b.ca.Find(ctx, authority.Filter{Authority: x.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		revoked := record.Status == authority.CertRevoked
		if listed[authority.SerialText(record.Serial)] != revoked {
			t.Errorf("%x is %s, and on the list: %v", record.Serial, record.Status, !revoked)
		}
		id := must(issuer.CertID(crypto.SHA1, record.Serial))(t)
		answer := must(b.ca.AnswerOCSP(ctx, x.ID, must(ocsp.BuildRequest([]ocsp.CertID{id}, nil))(t)))(t)
		response := must(ocsp.ParseResponse(answer.DER))(t)
		if single, ok := response.Find(record.Serial); !ok || (single.Status == ocsp.Revoked) != revoked {
			t.Errorf("%x is %s, and the answer is %+v", record.Serial, record.Status, single)
		}
	}
	if n == 0 {
		t.Error("there are no certificates")
	}
}

// certificate reads an order's certificate and verifies it up to the root.
func (b *bench) certificate(o *order.Order) *x509.Certificate {
	b.t.Helper()
	chain := must(b.engine.Chain(context.Background(), o))(b.t)
	leaf := must(x509.ParseCertificate(chain[0]))(b.t)
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for i, der := range chain[1:] {
		c := must(x509.ParseCertificate(der))(b.t)
		if i == len(chain)-2 {
			roots.AddCert(c)
		} else {
			middle.AddCert(c)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: b.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		b.t.Fatalf("certificate of %s: %v", o.ID, err)
	}
	return leaf
}

// owners breaks the circle between the registry of keys and the engine.
type owners struct{ b *bench }

func (o owners) Owner(q store.Queryer, hash string) ([]string, error) {
	return o.b.engine.Owner(q, hash)
}

// domains plays control validation.
type domains struct {
	pending  bool // control has not been shown
	failed   string
	caa      domainval.CAAReport
	caaErr   error
	asked    int // how often CAA was
	known    map[string]bool
	begun    []domainval.Order
	mails    []domainval.MailOrder
	canceled []string
}

// Begin opens again what was not shown in time, as the real one does.
func (d *domains) Begin(_ *store.Tx, o domainval.Order) (domainval.Status, error) {
	d.begun = append(d.begun, o)
	if d.failed != "" && d.known[o.ID] {
		d.failed, d.pending = "", true
	}
	d.know(o.ID)
	return domainval.Status{}, nil
}

func (d *domains) BeginMail(_ *store.Tx, o domainval.MailOrder) (domainval.Mail, error) {
	d.mails = append(d.mails, o)
	d.know(o.Order)
	return domainval.Mail{}, nil
}

func (d *domains) know(id string) {
	if d.known == nil {
		d.known = map[string]bool{}
	}
	d.known[id] = true
}

// Status knows of no validation before Begin.
func (d *domains) Status(_ store.Queryer, id string) (domainval.Status, error) {
	if !d.known[id] {
		return domainval.Status{Done: true}, nil
	}
	return domainval.Status{Done: !d.pending && d.failed == "", Failed: d.failed != "", Why: d.failed}, nil
}

func (d *domains) CheckCAA(context.Context, string, domainval.CAARequest) (domainval.CAAReport, error) {
	d.asked++
	return d.caa, d.caaErr
}

func (d *domains) Cancel(_ *store.Tx, id string) error {
	d.canceled = append(d.canceled, id)
	return nil
}

// notices keeps what would be sent.
type notices struct {
	mu   sync.Mutex
	sent []order.Notice
}

func (n *notices) Send(tx *store.Tx, x order.Notice) error {
	tx.AfterCommit(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.sent = append(n.sent, x)
	})
	return nil
}

// of returns the notices of an event, the latest last.
func (n *notices) of(e order.Event) (out []order.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.sent {
		if x.Event == e {
			out = append(out, x)
		}
	}
	return out
}

// shelf plays publication.
type shelf struct {
	mu      sync.Mutex
	queued  []publish.Item
	removed []string
}

func (s *shelf) Queue(tx *store.Tx, it publish.Item) error {
	tx.AfterCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.queued = append(s.queued, it)
	})
	return nil
}

func (s *shelf) QueueRemoval(tx *store.Tx, id, _ string) error {
	tx.AfterCommit(func() { s.removed = append(s.removed, id) })
	return nil
}
