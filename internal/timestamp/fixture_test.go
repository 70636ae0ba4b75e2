package timestamp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/timestamp"
	"github.com/sealwright/sealwright/pki/tsp"
)

var system = access.System("test")

// An authority is a root and a certificate authority below it; both are real.
type authority struct {
	tb       testing.TB
	clock    clock.Clock
	rootKey  crypto.Signer
	key      crypto.Signer
	root, ca *x509.Certificate
	serial   atomic.Int64

	change func(c *x509.Certificate)                                              // what it issues
	issue  func(cert []byte, chain [][]byte, err error) ([]byte, [][]byte, error) // what it returns
	before func()                                                                 // runs first
}

func newAuthority(tb testing.TB, c clock.Clock) *authority {
	tb.Helper()
	a := &authority{tb: tb, clock: c, rootKey: newKey(tb), key: newKey(tb)}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	a.root = a.certificate(template("Root"), nil, a.rootKey.Public(), a.rootKey)
	a.ca = a.certificate(template("Time CA"), a.root, a.key.Public(), a.rootKey)
	return a
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func (a *authority) certificate(c, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	a.tb.Helper()
	c.SerialNumber = big.NewInt(a.serial.Add(1))
	c.NotBefore, c.NotAfter = a.clock.Now().Add(-time.Minute), a.clock.Now().AddDate(1, 0, 0)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, by)
	if err != nil {
		a.tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return cert
}

func (a *authority) Issue(_ context.Context, spki []byte, p timestamp.Profile) ([]byte, [][]byte, error) {
	if a.before != nil {
		a.before()
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, nil, err
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: p.Name, Organization: []string{p.Org}}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}
	if a.change != nil {
		a.change(c)
	}
	cert := a.certificate(c, a.ca, pub, a.key)
	if a.issue != nil {
		return a.issue(cert.Raw, [][]byte{a.ca.Raw}, nil)
	}
	return cert.Raw, [][]byte{a.ca.Raw}, nil
}

// A site is an installation; nodes of it are made with node.
type site struct {
	testing.TB
	dir   string
	clock *clock.Fake
	ca    *authority
}

// A node is one process of it.
type node struct {
	*timestamp.Units
	site  *site
	db    *store.DB
	vault *keys.Vault
}

// newSite starts at the machine's time, because openssl looks at that.
func newSite(tb testing.TB) *site {
	tb.Helper()
	s := &site{TB: tb, dir: tb.TempDir(), clock: clock.NewFake(time.Now())}
	if _, err := keys.NewMasterFile(filepath.Join(s.dir, "master.key")); err != nil {
		tb.Fatal(err)
	}
	s.ca = newAuthority(tb, s.clock)
	return s
}

func (s *site) node(db *store.DB, offset func() (time.Duration, bool)) *node {
	s.Helper()
	master, err := keys.MasterFile(filepath.Join(s.dir, "master.key"))
	if err != nil {
		s.Fatal(err)
	}
	vault, err := keys.Open(s.Context(), db, master, s.clock)
	if err != nil {
		s.Fatal(err)
	}
	return &node{site: s, db: db, vault: vault, Units: timestamp.New(timestamp.Options{
		DB: db, Vault: vault, Audit: audit.New(db, s.clock, nil, "log.example.com/audit"), Clock: s.clock,
		Guard: clock.NewGuard(s.clock, time.Time{}), Issuer: s.ca, Offset: offset,
	})}
}

// each runs a test on both engines, with one node and a unit called "unit".
func each(t *testing.T, change func(*timestamp.Spec), fn func(t *testing.T, n *node)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newSite(t).node(db, nil)
		n.create(t, change)
		fn(t, n)
	})
}

func spec() timestamp.Spec {
	return timestamp.Spec{ID: "unit", Realm: access.Production, Name: "Unit 1", Org: "Test", Policies: []string{"1.2.3.4.91", "1.2.3.4.92"}, Key: keys.P256, Years: 1}
}

func (n *node) create(tb testing.TB, change func(*timestamp.Spec)) timestamp.Unit {
	tb.Helper()
	x := spec()
	if change != nil {
		change(&x)
	}
	u, err := n.Create(tb.Context(), system, x)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

func query(tb testing.TB) []byte {
	tb.Helper()
	sum := sha256.Sum256([]byte("data"))
	der, err := (&tsp.Request{Imprint: tsp.Imprint{Hash: crypto.SHA256, Digest: sum[:]}, Nonce: tsp.Nonce(big.NewInt(77)), CertReq: true}).Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// stamp asks for a stamp and gets one that verifies.
func (n *node) stamp(tb testing.TB) *tsp.Verified {
	tb.Helper()
	answer, err := n.Stamp(tb.Context(), "unit", query(tb))
	if err != nil {
		tb.Fatal(err)
	}
	v, err := n.site.verify(answer)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func (s *site) verify(answer []byte) (*tsp.Verified, error) {
	der, err := tsp.ParseResponse(answer)
	if err != nil {
		return nil, err
	}
	token, err := tsp.ParseToken(der)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.root)
	return token.Verify(tsp.Options{Roots: roots})
}

// refused asks for a stamp and gets none, for this reason.
func (n *node) refused(tb testing.TB, request []byte, want tsp.Failure) error {
	tb.Helper()
	answer, err := n.Stamp(tb.Context(), "unit", request)
	_, why := tsp.ParseResponse(answer)
	var r *tsp.Rejection
	if !errors.As(why, &r) || r.Failure != want {
		tb.Fatalf("answered %v (%v), not %s", why, err, want)
	}
	return err
}

func (s *site) write(name string, content []byte) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *site) read(name string) []byte {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.Fatal(err)
	}
	return b
}

// openssl runs it in the site's directory and fails the test if it fails.
func (s *site) openssl(args ...string) string {
	s.Helper()
	c := exec.Command("openssl", args...)
	c.Dir = s.dir
	out, err := c.CombinedOutput()
	if err != nil {
		s.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return string(bytes.ToValidUTF8(out, nil))
}

func pemFile(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}
