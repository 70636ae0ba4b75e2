package wscert_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

// A bench is a small installation: one realm with real authorities, one client
// with a service and an authorised person, and a mailbox that keeps everything.
type bench struct {
	t       testing.TB
	db      *store.DB
	clock   *clock.Fake
	audit   *audit.Log
	ca      *authority.Authorities
	desk    *handover.Desk
	engine  *wscert.Engine
	queue   *jobs.Queue
	mail    *outbox.Dev
	access  *access.Directory
	client  access.Client
	service access.Service
	person  access.Orderer
	scope   access.Scope // may do everything
}

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

// must3 drops the second of three results.
func must3[T, U any](v T, _ U, err error) func(testing.TB) T { return must(v, err) }

// secondOperator is somebody else than the one who places orders.
var secondOperator = access.System("second")

type options struct {
	approval bool
	vault    []keys.Option
	caKey    keys.Algorithm
	caKeyRef string
}

func newBench(t testing.TB, db *store.DB, o options) *bench {
	t.Helper()
	ctx := context.Background()
	b := &bench{t: t, db: db, clock: clock.NewFake(noon), scope: access.System("test")}
	vault := must(keys.Open(ctx, db, must(keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key")))(t), b.clock, o.vault...))(t)
	key := must(keys.Generate(keys.Ed25519))(t)
	b.audit = audit.New(db, b.clock, key, "test/audit")
	blobs := must(blob.NewFiles(t.TempDir(), vault))(t)
	log := slog.New(slog.DiscardHandler)
	b.queue = jobs.New(db, b.clock, log, jobs.Options{})
	b.mail = outbox.NewDev(b.clock, 10_000)
	out := outbox.New(db, b.clock, log, b.queue, vault, map[outbox.Channel]outbox.Transport{outbox.Email: b.mail, outbox.SMS: b.mail}, outbox.Options{})
	b.access = must(access.New(access.Options{
		DB: db, Clock: b.clock, Audit: b.audit, Sealer: vault, Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
		Host: "localhost", Origins: []string{"https://localhost"},
	}))(t)
	b.ca = authority.New(db, vault, b.audit, blobs, b.clock, clock.NewGuard(b.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
	b.desk = handover.New(db, vault, out, b.audit, b.clock, handover.DefaultPolicy, func(_, token string) string { return "https://sealwright.example.com/pickup/" + token })
	pool := keys.NewPool(keys.Stock{})
	t.Cleanup(pool.Close)
	b.engine = wscert.New(db, b.ca, b.desk, vault, pool, out, b.audit, b.clock, wscert.Settings{
		Approval: o.approval, Life: wscert.Life{Years: 2}, LinkLife: handover.DefaultPolicy.LinkLife, Reminders: []int{60, 30, 14, 7, 1}, Lease: 30 * time.Second,
		Notify: func(context.Context, access.Realm, string) ([]string, error) {
			return []string{"operator@ra.example.com"}, nil
		},
	})
	b.found(o)
	return b
}

func (b *bench) found(o options) {
	ctx, t := context.Background(), b.t
	if o.caKey == "" {
		o.caKey = keys.P256
	}
	must(b.ca.CreateRoot(ctx, authority.Spec{ID: "production-root", Realm: "production", Name: "Test Root", Org: "Test", Key: keys.P384, Years: 20}))(t)
	must(b.ca.CreateIssuing(ctx, authority.Spec{ID: "production-clients-1", Realm: "production", Name: "Test Clients", Org: "Test", Purpose: authority.ClientAuth, Key: o.caKey, KeyRef: o.caKeyRef, Years: 10}, "production-root"))(t)
	b.client = must(b.access.CreateClient(ctx, b.scope, access.Production, access.ClientFields{Name: "Foo ASA", Country: "NO"}))(t)
	b.service = must(b.access.CreateService(ctx, b.scope, b.client.ID, "foo", access.ServiceFields{}))(t)
	b.person = must(b.access.AddOrderer(ctx, b.scope, b.client.ID, access.OrdererFields{Name: "Kari Nordmann", Email: "kari@foo.example.com", Mobile: "+4790000000", Language: "en"}))(t)
}

func (b *bench) request() wscert.Request {
	return wscert.Request{Realm: access.Production, Service: "foo", ShortName: "e-banking", Orderer: b.person.ID, Mode: wscert.Generate}
}

func (b *bench) create(r wscert.Request) *wscert.Order {
	b.t.Helper()
	return must(b.engine.Create(context.Background(), b.scope, r))(b.t)
}

// messages delivers what waits in the outbox and returns everything that came
// to an address or number, the newest first.
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

var (
	linkIn     = regexp.MustCompile(`/pickup/([A-Za-z0-9_-]+)`)
	codeIn     = regexp.MustCompile(`: (\d{6}) `)
	passwordIn = regexp.MustCompile(`: ([A-Za-z0-9]{12})\. It stays`)
)

// link and code read the newest e-mail and SMS to the authorised person.
func (b *bench) link() string {
	return b.match(linkIn, b.messages(b.person.Email))
}

func (b *bench) code() string {
	return b.match(codeIn, b.messages(b.person.Mobile))
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

// passwordSMS is the newest password that came by SMS, and how many came in all.
func (b *bench) passwordSMS() (newest string, n int) {
	for _, text := range b.messages(b.person.Mobile) {
		if m := passwordIn.FindStringSubmatch(text); m != nil {
			if n++; n == 1 {
				newest = m[1]
			}
		}
	}
	return newest, n
}

// fetch plays the recipient: link, one-time password, the whole file.
func (b *bench) fetch() (file []byte, passwordText string) {
	b.t.Helper()
	ctx := context.Background()
	token := b.link()
	_, before := b.passwordSMS()
	session, _, err := b.desk.Enter(ctx, token, b.code())
	if err != nil {
		b.t.Fatal(err)
	}
	file, d, err := b.desk.File(ctx, token, session.Reveal())
	if err != nil {
		b.t.Fatal(err)
	}
	if _, sent := b.passwordSMS(); sent != before {
		b.t.Fatal("the password was sent before the file had left (N21)")
	}
	if err := b.engine.CompletePickup(ctx, d, session.Reveal()); err != nil {
		b.t.Fatal(err)
	}
	passwordText, _ = b.passwordSMS()
	return file, passwordText
}

func newCSR(t testing.TB) []byte {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	return csrFor(t, key)
}

func csrFor(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// status is what the authority knows now, whatever the order at hand remembers.
func (b *bench) status(o *wscert.Order) string {
	b.t.Helper()
	serial := must(hex.DecodeString(o.Serial))(b.t)
	return must(b.ca.Lookup(b.db.View(context.Background()), o.Authority, serial))(b.t).Status
}

// count runs a counting query.
func (b *bench) count(query string, args ...any) int64 {
	b.t.Helper()
	var n int64
	if err := b.db.View(context.Background()).QueryRow(query, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// secretsInClear looks for texts in every table of the database.
func (b *bench) secretsInClear(needles ...string) {
	b.t.Helper()
	for table, text := range storetest.Dump(b.t, b.db) {
		for _, n := range needles {
			if strings.Contains(text, n) {
				b.t.Errorf("table %s holds a secret in clear", table)
			}
		}
	}
}
