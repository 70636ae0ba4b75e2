package lint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// signedAt is when the hand-made certificates are signed: the limit is 200 days.
var signedAt = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A world is a CA with which leaves are made, good ones and bad ones.
type world struct {
	t      testing.TB
	key    crypto.Signer
	leaf   crypto.Signer
	ca     []byte
	issuer *Issuer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
}

func newWorldWith(t testing.TB, key crypto.Signer) *world {
	t.Helper()
	w := &world{t: t, key: key, leaf: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	spki := must(x509.MarshalPKIXPublicKey(key.Public()))
	c := tbs.Certificate{
		Serial: tbs.NewSerial(signedAt, rand.Reader), Algorithm: must(tbs.ForKey(key.Public())), Issuer: caName(), Subject: caName(),
		NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(9, 0, 0), SPKI: spki,
		Extensions: []tbs.Extension{tbs.BasicConstraints(true, 0), must(tbs.KeyUsage(x509.KeyUsageCertSign | x509.KeyUsageCRLSign)), must(tbs.SubjectKeyID(spki))},
	}
	w.ca = must(tbs.Sign(must(c.Bytes()), c.Algorithm, key))
	w.issuer = must(NewIssuer(w.ca))
	return w
}

func caName() []byte {
	return must(dn.Name{{Type: dn.C, Value: "DK"}, {Type: dn.O, Value: "Test"}, {Type: dn.CN, Value: "Test CA"}}.DER())
}

// A leaf is what a hand-made certificate consists of; a violation changes it.
type leaf struct {
	tbs.Certificate
	cn       string
	san      tbs.SAN
	critical bool // of the alternative names
	usage    x509.KeyUsage
	purposes []asn1.ObjectIdentifier
	policies []tbs.Policy
	keyID    []byte
	extra    []tbs.Extension
	drop     []string // extensions to leave out, by OID
}

func policy(id string) tbs.Policy {
	return tbs.Policy{ID: oid(id)}
}

func oid(text string) (id asn1.ObjectIdentifier) {
	for part := range strings.SplitSeq(text, ".") {
		n := 0
		for _, c := range part {
			n = n*10 + int(c-'0')
		}
		id = append(id, n)
	}
	return id
}

// tls is a good certificate for a server.
func (w *world) tls() *leaf {
	return &leaf{
		Certificate: tbs.Certificate{
			Serial: tbs.NewSerial(signedAt, rand.Reader), Algorithm: must(tbs.ForKey(w.key.Public())), Issuer: caName(),
			NotBefore: signedAt.Add(-time.Hour), NotAfter: signedAt.Add(-time.Hour + 90*24*time.Hour - time.Second),
			SPKI: must(x509.MarshalPKIXPublicKey(w.leaf.Public())),
		},
		cn: "www.example.com", san: tbs.SAN{DNS: []string{"www.example.com", "example.com"}},
		usage: x509.KeyUsageDigitalSignature, purposes: []asn1.ObjectIdentifier{tbs.ServerAuth},
		policies: []tbs.Policy{policy("2.23.140.1.2.1")}, keyID: w.issuer.keyID,
	}
}

// smime is a good certificate for a mailbox (strict generation).
func (w *world) smime() *leaf {
	l := w.tls()
	l.cn, l.san = "kari@example.com", tbs.SAN{Email: []string{"kari@example.com"}}
	l.purposes, l.policies = []asn1.ObjectIdentifier{tbs.EmailProtection}, []tbs.Policy{policy("2.23.140.1.5.1.3")}
	return l
}

// private is a good certificate of a private PKI.
func (w *world) private() *leaf {
	l := w.tls()
	l.cn, l.san = "server.internal", tbs.SAN{DNS: []string{"server.internal"}}
	l.purposes, l.policies = []asn1.ObjectIdentifier{tbs.ClientAuth}, []tbs.Policy{policy("1.3.6.1.4.1.99999.1")}
	l.extra = append(l.extra, must(tbs.SubjectKeyID(l.SPKI)))
	return l
}

// raw builds the TBSCertificate.
func (l *leaf) raw(t testing.TB) []byte {
	t.Helper()
	l.Subject = []byte{0x30, 0}
	if l.cn != "" {
		l.Subject = must(dn.Name{{Type: dn.CN, Value: l.cn}}.DER())
	}
	return l.rawWithSubject(t)
}

func (l *leaf) rawWithSubject(t testing.TB) []byte {
	t.Helper()
	all := []tbs.Extension{
		tbs.BasicConstraints(false, -1), must(tbs.KeyUsage(l.usage)), must(tbs.ExtKeyUsage(l.purposes...)),
		must(tbs.AuthorityKeyID(l.keyID)), must(tbs.AIA([]string{"http://ocsp.example.com"}, []string{"http://aia.example.com/ca.cer"})),
		must(tbs.CertificatePolicies(l.policies...)), must(tbs.CRLDistributionPoints("http://crl.example.com/1.crl")),
	}
	if !l.san.Empty() {
		all = append(all, must(tbs.SubjectAltName(l.san, l.critical || l.cn == "")))
	}
	l.Extensions = nil
	for _, e := range append(all, l.extra...) {
		dropped := false
		for _, d := range l.drop {
			dropped = dropped || e.ID.Equal(oid(d))
		}
		if !dropped {
			l.Extensions = append(l.Extensions, e)
		}
	}
	raw, err := l.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (w *world) input() Input { return Input{Now: signedAt, Issuer: w.issuer} }

func (w *world) presign(l *Linter, raw []byte) Report {
	w.t.Helper()
	r, err := l.Presign(raw, w.input())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// golden reads a file that OpenSSL made; see testdata/golden.sh.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes
	}
	return data
}

// zlintCorpus is the directory of zlint's own test certificates, which come with it.
func zlintCorpus(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/zmap/zlint/v3").Output()
	if err != nil {
		t.Fatalf("where zlint is: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "testdata")
}

func ip(s string) net.IP { return net.ParseIP(s) }
