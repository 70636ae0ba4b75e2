package tsp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/tsp"
)

var (
	policy      = asn1.ObjectIdentifier{1, 2, 3, 4, 91}
	otherPolicy = asn1.ObjectIdentifier{1, 2, 3, 4, 92}
	data        = []byte("A document of which it shall be known that it existed.")
	moment      = time.Now().UTC().Truncate(time.Second).Add(123456 * time.Microsecond)
)

// A world is a root, a unit below it and a directory for foreign tools.
type world struct {
	testing.TB
	dir     string
	rootKey crypto.Signer
	root    *x509.Certificate
	unit    tsp.Unit
}

func newWorld(tb testing.TB, kind string) *world {
	tb.Helper()
	w := &world{TB: tb, dir: tb.TempDir()}
	w.rootKey = newKey(tb, "p256")
	w.root = w.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, w.rootKey.Public())
	key := newKey(tb, kind)
	w.unit = tsp.Unit{
		Key: key, Certificate: w.unitCertificate(key.Public(), nil), Policies: []asn1.ObjectIdentifier{policy, otherPolicy},
		Accuracy: 1500 * time.Millisecond, Resolution: time.Millisecond,
	}
	w.file("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.root.Raw}))
	w.file("unit.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.unit.Certificate.Raw}))
	return w
}

func newKey(tb testing.TB, kind string) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// unitCertificate issues one for a unit, changed by change.
func (w *world) unitCertificate(pub crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	w.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		w.Fatal(err)
	}
	c := &x509.Certificate{
		Subject:         pkix.Name{CommonName: "Unit 1", Organization: []string{"Test"}},
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}
	if change != nil {
		change(c)
	}
	return w.certificate(c, pub)
}

func (w *world) certificate(c *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	w.Helper()
	c.SerialNumber = big.NewInt(4711)
	c.NotBefore, c.NotAfter = moment.Add(-time.Hour), moment.Add(time.Hour)
	parent := w.root
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, w.rootKey)
	if err != nil {
		w.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.Fatal(err)
	}
	return cert
}

func (w *world) options() tsp.Options {
	pool := x509.NewCertPool()
	pool.AddCert(w.root)
	return tsp.Options{Roots: pool}
}

func (w *world) stamper() *tsp.Stamper {
	w.Helper()
	s, err := tsp.NewStamper(w.unit)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) stamp(r *tsp.Request) []byte {
	w.Helper()
	token, err := w.stamper().Stamp(r, 1<<63+5, moment)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

func (w *world) token(der []byte) *tsp.Token {
	w.Helper()
	t, err := tsp.ParseToken(der)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

func (w *world) file(name string, content []byte) string {
	w.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) read(name string) []byte {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// run runs a foreign tool in the directory and fails the test if it fails.
func (w *world) run(name string, args ...string) string {
	w.Helper()
	c := exec.Command(name, args...)
	c.Dir = w.dir
	out, err := c.CombinedOutput()
	if err != nil {
		w.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func request(certs bool) *tsp.Request {
	sum := sha256.Sum256(data)
	return &tsp.Request{Imprint: tsp.Imprint{Hash: crypto.SHA256, Digest: sum[:]}, Nonce: tsp.Nonce(big.NewInt(0xfeedbeef)), CertReq: certs}
}
