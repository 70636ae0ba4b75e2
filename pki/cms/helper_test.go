package cms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/cms"
)

// An identity is a key with a self-signed certificate.
type identity struct {
	name string
	key  crypto.Signer
	cert *x509.Certificate
}

func newIdentity(tb testing.TB, name string, key crypto.Signer) identity {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(name[1])<<32 | 0x0edcba98), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		SubjectKeyId: []byte(name + " key"),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return identity{name, key, cert}
}

func newKey(tb testing.TB, name string) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch name {
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
	default:
		tb.Fatalf("no key called %s", name)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func identities(tb testing.TB, names ...string) []identity {
	tb.Helper()
	var out []identity
	for _, n := range names {
		out = append(out, newIdentity(tb, n, newKey(tb, n)))
	}
	return out
}

// A bench is a directory with files for foreign tools.
type bench struct {
	testing.TB
	dir string
}

func newBench(tb testing.TB) bench { return bench{tb, tb.TempDir()} }

func (b bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b bench) write(name string, data []byte) string {
	b.Helper()
	if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
		b.Fatal(err)
	}
	return b.path(name)
}

func (b bench) read(name string) []byte {
	b.Helper()
	data, err := os.ReadFile(b.path(name))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// keyFiles writes name.pem and name.key.
func (b bench) keyFiles(id identity) {
	b.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		b.Fatal(err)
	}
	b.write(id.name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	b.write(id.name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw}))
}

// run runs a foreign tool in the directory and fails the test if it fails.
func (b bench) run(name string, args ...string) string {
	b.Helper()
	c := exec.Command(name, args...)
	c.Dir = b.dir
	out, err := c.CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func sign(tb testing.TB, m cms.Message, content []byte, signers ...cms.Signer) []byte {
	tb.Helper()
	p, err := m.Prepare(signers...)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := p.Sign(content)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func parse(tb testing.TB, der []byte) *cms.SignedData {
	tb.Helper()
	d, err := cms.Parse(der)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
