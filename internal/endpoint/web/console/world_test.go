package console_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/console"
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
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/wscert"
)

const goodPassword = "lantern pickle orbit seven"

// world is an installation with real domains behind a TLS server: clients "Foo"
// and "Bar" in production with a service and a person each, and an administrator.
type world struct {
	t      testing.TB
	db     *store.DB
	clock  *clock.Fake
	access *access.Directory
	orders *wscert.Engine
	certs  *apicert.Desk
	audit  *audit.Log
	out    *outbox.Outbox
	queue  *jobs.Queue
	dev    *outbox.Dev
	ca     *authority.Authorities
	server *httptest.Server
	root   access.Scope

	foo, bar estate
	admin    access.Operator
}

// estate is a client with what belongs to it.
type estate struct {
	client  access.Client
	service access.Service
	person  access.Orderer
}

type options struct {
	second   bool // a second factor is required
	approval bool
	noDev    bool
	name     string // of the client Foo and all that belongs to it; empty: Foo ASA
}

func newWorld(t testing.TB, o options) *world {
	t.Helper()
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	host := fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	w := &world{t: t, clock: clock.NewFake(time.Now().UTC().Truncate(time.Second)), root: access.System("test")}
	w.db = storetest.Open(t, storetest.SQLite(t))
	master, err := keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key"))
	must(t, err)
	vault, err := keys.Open(ctx, w.db, master, w.clock)
	must(t, err)
	signer, err := keys.Generate(keys.Ed25519)
	must(t, err)
	w.audit = audit.New(w.db, w.clock, signer, "test/audit")
	blobs, err := blob.NewFiles(t.TempDir(), vault)
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	w.queue = jobs.New(w.db, w.clock, log, jobs.Options{})
	w.dev = outbox.NewDev(w.clock, 1000)
	w.out = outbox.New(w.db, w.clock, log, w.queue, vault, map[outbox.Channel]outbox.Transport{outbox.Email: w.dev, outbox.SMS: w.dev}, outbox.Options{})
	w.access, err = access.New(access.Options{
		DB: w.db, Clock: w.clock, Audit: w.audit, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{host}, WithoutSecond: !o.second, AddressFailures: 10_000,
	})
	must(t, err)
	w.ca = authority.New(w.db, vault, w.audit, blobs, w.clock, clock.NewGuard(w.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
	desk := handover.New(w.db, vault, w.out, w.audit, w.clock, handover.DefaultPolicy, func(_, token string) string { return "https://sealwright.example.com/pickup/" + token })
	pool := keys.NewPool(keys.Stock{})
	t.Cleanup(pool.Close)
	w.orders = wscert.New(w.db, w.ca, desk, vault, pool, w.out, w.audit, w.clock, wscert.Settings{
		Approval: o.approval, Life: wscert.Life{Years: 2}, LinkLife: handover.DefaultPolicy.LinkLife, Reminders: []int{30}, Lease: 30 * time.Second,
		Notify: func(context.Context, access.Realm, string) ([]string, error) { return nil, nil },
	})
	w.certs = &apicert.Desk{DB: w.db, Authority: w.ca, Vault: vault, Audit: w.audit, Clock: w.clock}
	w.queue.Every("order.sweep", time.Minute, func(context.Context, jobs.Job) error { return nil })
	d := console.Deps{
		DB: w.db, Clock: w.clock, Access: w.access, Orders: w.orders, APICerts: w.certs, Authority: w.ca, Audit: w.audit, Outbox: w.out, Dev: w.dev,
		Queue: w.queue, Idempotency: &idempotency.Keys{DB: w.db, Clock: w.clock}, Version: "1.0.0",
	}
	if o.noDev {
		d.Dev = nil
	}
	w.found(o)
	w.server = httptest.NewUnstartedServer(telemetry.Correlate(console.New(d)))
	w.server.Listener.Close()
	w.server.Listener = listener
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a browser closes connections as it likes
	w.server.StartTLS()
	w.server.URL = host
	t.Cleanup(w.server.Close)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) found(o options) {
	ctx, t := context.Background(), w.t
	for _, realm := range []string{"production", apicert.Realm} {
		_, err := w.ca.CreateRoot(ctx, authority.Spec{ID: realm + "-root", Realm: realm, Name: "Test Root " + realm, Org: "Test", Key: keys.P256, Years: 20})
		must(t, err)
		_, err = w.ca.CreateIssuing(ctx, authority.Spec{ID: realm + "-clients-1", Realm: realm, Name: "Test Clients " + realm, Org: "Test", Purpose: authority.ClientAuth, Key: keys.P256, Years: 10}, realm+"-root")
		must(t, err)
	}
	if o.name == "" {
		o.name = "Foo ASA"
	}
	w.foo = w.estate(o.name, "foo", "kari@foo.example.com", "+4790000000")
	w.bar = w.estate("Bar AB", "bar", "nils@bar.example.com", "+4690000000")
	admin, _, err := w.access.Bootstrap(ctx, access.Administrator{Email: "root@example.com", Name: "First Administrator", Password: secret.New(goodPassword)})
	must(t, err)
	w.admin = admin
}

func (w *world) estate(name, service, email, mobile string) estate {
	ctx := context.Background()
	cl, err := w.access.CreateClient(ctx, w.root, access.Production, access.ClientFields{Name: name, Country: "NO"})
	must(w.t, err)
	s, err := w.access.CreateService(ctx, w.root, cl.ID, service, access.ServiceFields{})
	must(w.t, err)
	person := "Authorised Person of " + service
	if strings.Contains(name, "<") {
		person = name
	}
	p, err := w.access.AddOrderer(ctx, w.root, cl.ID, access.OrdererFields{Name: person, Email: email, Mobile: mobile})
	must(w.t, err)
	return estate{cl, s, p}
}

// operator makes an active operator with a role over a client.
func (w *world) operator(email, role, client string) access.Operator {
	w.t.Helper()
	ctx := context.Background()
	inv, err := w.access.InviteOperator(ctx, w.root, access.OperatorFields{Email: email, Name: "Operator " + email})
	must(w.t, err)
	if role != "" {
		realm := access.Production
		if client == "" {
			realm = ""
		}
		_, err = w.access.Grant(ctx, w.root, inv.Operator.ID, role, realm, client)
		must(w.t, err)
	}
	_, err = w.access.AcceptInvitation(ctx, inv.Token, secret.New(goodPassword), access.Origin{Address: "192.0.2.1"})
	must(w.t, err)
	return inv.Operator
}

func (w *world) order(e estate, short string) *wscert.Order {
	w.t.Helper()
	o, err := w.orders.Create(context.Background(), w.root, wscert.Request{Realm: access.Production, Service: e.service.Name, ShortName: short, Orderer: e.person.ID, Mode: wscert.Generate})
	must(w.t, err)
	return o
}

// deliver sends what waits in the outbox, and gives the audit entries their places.
func (w *world) deliver() {
	w.t.Helper()
	must(w.t, w.queue.Drain(context.Background()))
	_, err := w.audit.Sequence(context.Background())
	must(w.t, err)
}

func secretText(s string) secret.Text { return secret.New(s) }

// tamper changes an audit entry as somebody with the database's password could.
func tamper(tx *store.Tx) error {
	_, err := tx.Exec(`UPDATE audit_entries SET action = 'order.forged' WHERE action = 'order.issue'`)
	return err
}
