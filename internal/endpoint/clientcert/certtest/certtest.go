// Package certtest builds a small installation for tests of the web services:
// authorities for both environments, services with passwords, certificates of
// every kind, and TLS servers and clients that use them.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Platform is the realm of certificates that belong to no environment.
const Platform = "platform"

// Password is that of every service.
const Password = "isfjell-42-Rovdyr-kq7"

// A World is an installation. Its fields are the real parts.
type World struct {
	DB          *store.DB
	Clock       *clock.Fake
	Vault       *keys.Vault
	Audit       *audit.Log
	BlobDir     string
	Blobs       *blob.Store
	Authorities *authority.Authorities
	Directory   *access.Directory

	base   string // where authorities publish
	master string
	client map[access.Realm]access.Client
}

// New makes an installation in an empty database. Its clock starts at the
// machine's time, because foreign tools look at that, and moves when told to.
func New(tb testing.TB, db *store.DB) *World { return NewAt(tb, db, "http://127.0.0.1:1") }

// NewAt is [New] for an installation whose certificates name base as the place
// where their status is published.
func NewAt(tb testing.TB, db *store.DB, base string) *World {
	tb.Helper()
	dir := tb.TempDir()
	w := &World{
		Clock: clock.NewFake(time.Now()), BlobDir: filepath.Join(dir, "blobs"), base: base,
		master: filepath.Join(dir, "master.key"), client: map[access.Realm]access.Client{},
	}
	if _, err := keys.NewMasterFile(w.master); err != nil {
		tb.Fatal(err)
	}
	w.open(tb, db)
	for _, realm := range []string{string(access.Preprod), string(access.Production), Platform} {
		w.authority(tb, realm)
	}
	for _, realm := range access.Realms() {
		c, err := w.Directory.CreateClient(tb.Context(), access.System("test"), realm, access.ClientFields{Name: "Example Bank", Country: "NO"})
		if err != nil {
			tb.Fatal(err)
		}
		w.client[realm] = c
	}
	return w
}

// Node is another node of the same installation, over its own connection to the
// same database.
func (w *World) Node(tb testing.TB, db *store.DB) *World {
	tb.Helper()
	n := *w
	n.open(tb, db)
	return &n
}

func (w *World) open(tb testing.TB, db *store.DB) {
	tb.Helper()
	w.DB = db
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	w.Audit = audit.New(db, w.Clock, key, "log.example.com/audit")
	master, err := keys.MasterFile(w.master)
	if err != nil {
		tb.Fatal(err)
	}
	if w.Vault, err = keys.Open(tb.Context(), db, master, w.Clock); err != nil {
		tb.Fatal(err)
	}
	if w.Blobs, err = blob.NewFiles(w.BlobDir, w.Vault); err != nil {
		tb.Fatal(err)
	}
	w.Authorities = authority.New(db, w.Vault, w.Audit, w.Blobs, w.Clock, clock.NewGuard(w.Clock, time.Time{}), authority.URLs{Base: w.base})
	w.Directory, err = access.New(access.Options{
		DB: db, Clock: w.Clock, Audit: w.Audit, Sealer: w.Vault, Host: "sealwright.localhost", Origins: []string{"https://sealwright.localhost"},
		Hasher: password.NewHasher(password.Params{MemoryKiB: 64, Time: 1, Threads: 1}),
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Issuer is the id of a realm's authority for client certificates.
func Issuer[T ~string](realm T) string { return string(realm) + "-clients-1" }

// Root is the id of the authority above it.
func Root[T ~string](realm T) string { return string(realm) + "-root-1" }

func (w *World) authority(tb testing.TB, realm string) {
	tb.Helper()
	spec := authority.Spec{ID: Root(realm), Realm: realm, Name: "Test Root " + realm, Org: "Sealwright Test", Country: "NO", Key: keys.P256, Years: 20}
	if _, err := w.Authorities.CreateRoot(tb.Context(), spec); err != nil {
		tb.Fatal(err)
	}
	spec.ID, spec.Name, spec.Purpose, spec.Years = Issuer(realm), "Test Client CA "+realm, authority.ClientAuth, 10
	if _, err := w.Authorities.CreateIssuing(tb.Context(), spec, Root(realm)); err != nil {
		tb.Fatal(err)
	}
}

// Service makes a service of the realm's client, with [Password].
func (w *World) Service(tb testing.TB, realm access.Realm, name string) access.Service {
	tb.Helper()
	s := access.System("test")
	v, err := w.Directory.CreateService(tb.Context(), s, w.client[realm].ID, name, access.ServiceFields{})
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.Directory.SetServicePassword(tb.Context(), s, v.ID, secret.New(Password)); err != nil {
		tb.Fatal(err)
	}
	return v
}

// An Order says what certificate to issue. The zero values are those of a good
// one for a web service.
type Order struct {
	Authority string        // id; the realm's authority for clients
	Kind      string        // "ws-ssl"
	URI       []string      // the service's own name
	Starts    time.Duration // from now; a minute ago
	Life      time.Duration // two years
}

// Issue issues a certificate for a service and returns it with its key and chain.
func (w *World) Issue(tb testing.TB, v access.Service, o Order) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	cert := w.sign(tb, v, o.withDefaults(v), key)
	ders, err := w.Authorities.Chain(tb.Context(), o.withDefaults(v).Authority)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.DER)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{cert.DER}, ders...), PrivateKey: key, Leaf: leaf}
}

func (o Order) withDefaults(v access.Service) Order {
	if o.Authority == "" {
		o.Authority = Issuer(v.Realm)
	}
	if o.Kind == "" {
		o.Kind = "ws-ssl"
	}
	if o.URI == nil {
		o.URI = []string{"urn:x-sealwright:service:" + string(v.Realm) + ":" + v.Name}
	}
	if o.Starts == 0 {
		o.Starts = -time.Minute
	}
	if o.Life == 0 {
		o.Life = 2 * 365 * 24 * time.Hour
	}
	return o
}

func (w *World) sign(tb testing.TB, v access.Service, o Order, key crypto.Signer) *authority.Certificate {
	tb.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	cn := v.Name + "-ws-ssl-test"
	subject, err := dn.Name{{Type: dn.C, Value: "NO"}, {Type: dn.O, Value: "Example Bank"}, {Type: dn.CN, Value: cn}}.DER()
	if err != nil {
		tb.Fatal(err)
	}
	intent, err := w.Authorities.Plan(tb.Context(), o.Authority, authority.Draft{
		Subject: subject, SPKI: spki, SAN: tbs.SAN{URI: o.URI}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: w.Clock.Now().Add(o.Starts), Validity: func(from time.Time) time.Time { return from.Add(o.Life) },
		Client: v.Client, Service: v.ID, Kind: o.Kind, OrderID: "ord-test", CommonName: cn,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.DB.Update(tb.Context(), func(tx *store.Tx) error { return w.Authorities.Hold(tx, intent) }); err != nil {
		tb.Fatal(err)
	}
	cert, err := w.Authorities.Sign(tb.Context(), intent)
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.DB.Update(tb.Context(), func(tx *store.Tx) error { return w.Authorities.Record(tx, cert) }); err != nil {
		tb.Fatal(err)
	}
	return cert
}

// Revoke withdraws a certificate.
func (w *World) Revoke(tb testing.TB, authorityID string, c tls.Certificate) {
	tb.Helper()
	err := w.DB.Update(tb.Context(), func(tx *store.Tx) error {
		return w.Authorities.Revoke(tx, authorityID, c.Leaf.SerialNumber.Bytes(), authority.KeyCompromise)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Refusals are the audit entries of refused client certificates, the latest first.
func (w *World) Refusals(tb testing.TB) []audit.Stored {
	tb.Helper()
	list, _, err := w.Audit.List(w.DB.View(tb.Context()), audit.Filter{Action: "clientcert.refuse", AllClients: true}, store.Page{Limit: 100})
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// WriteFiles writes certificate, chain and key as PEM, for tools that want files.
func WriteFiles(tb testing.TB, c tls.Certificate) (chain, key string) {
	tb.Helper()
	dir := tb.TempDir()
	var b []byte
	for _, der := range c.Certificate {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	chain, key = filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	write(tb, chain, b)
	write(tb, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return chain, key
}

func write(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}
