package tbs

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/dn"
	"pgregory.net/rapid"
)

var (
	notBefore = time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	notAfter  = notBefore.Add(90 * 24 * time.Hour)
)

// must fails a table's set-up; tests of errors do not use it.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func spkiOf(key crypto.Signer) []byte { return must(x509.MarshalPKIXPublicKey(key.Public())) }

func rootOf(key crypto.Signer) *Certificate {
	name := must(dn.Name{{Type: dn.C, Value: "DK"}, {Type: dn.CN, Value: "Test Root"}}.DER())
	return &Certificate{
		Serial: NewSerial(notBefore, rand.Reader), Algorithm: must(ForKey(key.Public())),
		Issuer: name, Subject: name, NotBefore: notBefore, NotAfter: notAfter.AddDate(30, 0, 0), SPKI: spkiOf(key),
		Extensions: []Extension{
			BasicConstraints(true, 0),
			must(KeyUsage(x509.KeyUsageCertSign | x509.KeyUsageCRLSign)),
			must(SubjectKeyID(spkiOf(key))),
		},
	}
}

func leafOf(key, caKey crypto.Signer) *Certificate {
	keyID := must(KeyID(spkiOf(caKey)))
	return &Certificate{
		Serial: NewSerial(notBefore, rand.Reader), Algorithm: must(ForKey(caKey.Public())),
		Issuer:    rootOf(caKey).Subject,
		Subject:   must(dn.Name{{Type: dn.O, Value: "Sørensen"}, {Type: dn.CN, Value: "www.example.com"}}.DER()),
		NotBefore: notBefore, NotAfter: notAfter, SPKI: spkiOf(key),
		Extensions: []Extension{
			must(KeyUsage(x509.KeyUsageDigitalSignature)),
			must(ExtKeyUsage(ServerAuth, ClientAuth)),
			BasicConstraints(false, -1),
			must(AuthorityKeyID(keyID[:])),
			must(AIA([]string{"http://ocsp.example.com"}, []string{"http://aia.example.com/ca.cer"})),
			must(SubjectAltName(SAN{
				DNS: []string{"www.example.com", "*.example.com"}, Email: []string{"a@example.com"},
				URI: []string{"https://example.com/x"}, IP: []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")},
			}, false)),
			must(CertificatePolicies(Policy{ID: asn1.ObjectIdentifier{2, 23, 140, 1, 2, 2}})),
			must(CRLDistributionPoints("http://crl.example.com/1.crl")),
		},
	}
}

func bytesOf(t testing.TB, c *Certificate) []byte {
	t.Helper()
	raw, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func signed(t testing.TB, c *Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := Sign(bytesOf(t, c), c.Algorithm, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func writePEM(t *testing.T, name string, certs ...*x509.Certificate) string {
	t.Helper()
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A37: X.509 version 3 certificates of the PKIX profile, under every kind of CA
// key, with AIA, AKI, SKI, BC, KU, EKU, SAN and CDP.
func TestForeignToolsAcceptTheCertificates(t *testing.T) {
	leafKey := p256(t)
	for name, caKey := range testKeys(t) {
		t.Run(name, func(t *testing.T) {
			root := signed(t, rootOf(caKey), caKey)
			leaf := signed(t, leafOf(leafKey, caKey), caKey)
			pool := x509.NewCertPool()
			pool.AddCert(root)
			if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "a.example.com", Roots: pool}); err != nil {
				t.Error(err)
			}
			rootFile, leafFile := writePEM(t, "root.pem", root), writePEM(t, "leaf.pem", leaf)
			run(t, "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "www.example.com", "-CAfile", rootFile, leafFile)
			out := run(t, "certtool", "--verify", "--load-ca-certificate", rootFile, "--infile", leafFile)
			if !strings.Contains(out, "Chain verification output: Verified. The certificate is trusted.") {
				t.Errorf("certtool: %s", out)
			}
			out = run(t, "openssl", "x509", "-in", leafFile, "-noout", "-text")
			for _, want := range []string{
				"Version: 3 (0x2)", "Subject: O = S\\C3\\B8rensen, CN = www.example.com", "X509v3 Key Usage: critical\n                Digital Signature\n",
				"TLS Web Server Authentication, TLS Web Client Authentication", "X509v3 Basic Constraints: critical\n                CA:FALSE",
				"OCSP - URI:http://ocsp.example.com", "CA Issuers - URI:http://aia.example.com/ca.cer",
				"DNS:www.example.com, DNS:*.example.com, email:a@example.com, URI:https://example.com/x, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
				"Policy: 2.23.140.1.2.2", "Full Name:\n                  URI:http://crl.example.com/1.crl", "X509v3 Authority Key Identifier: \n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("openssl does not show %q:\n%s", want, out)
				}
			}
		})
	}
}

// The builder and crypto/x509 agree byte for byte on what both can express.
func TestBytesAgreeWithStandardLibrary(t *testing.T) {
	caKey, key := p256(t), p256(t)
	root := signed(t, rootOf(caKey), caKey)
	for _, end := range []time.Time{notAfter, time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)} {
		c := leafOf(key, caKey)
		c.NotAfter = end
		ours := bytesOf(t, c)
		ca := *root
		template := &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(c.Serial), RawSubject: c.Subject, NotBefore: notBefore, NotAfter: end,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			BasicConstraintsValid: true, OCSPServer: []string{"http://ocsp.example.com"}, IssuingCertificateURL: []string{"http://aia.example.com/ca.cer"},
			DNSNames: []string{"www.example.com", "*.example.com"}, EmailAddresses: []string{"a@example.com"},
			ExtraExtensions: []pkix.Extension{{Id: oidSubjectAltName, Value: c.Extensions[5].Value}},
			Policies:        []x509.OID{must(x509.OIDFromInts([]uint64{2, 23, 140, 1, 2, 2}))}, CRLDistributionPoints: []string{"http://crl.example.com/1.crl"},
		}
		parsed := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, &ca, key.Public(), caKey))))
		theirs := &Certificate{
			Serial: c.Serial, Algorithm: c.Algorithm, Issuer: parsed.RawIssuer, Subject: parsed.RawSubject,
			NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter, SPKI: parsed.RawSubjectPublicKeyInfo,
		}
		for _, e := range parsed.Extensions {
			theirs.Extensions = append(theirs.Extensions, Extension{e.Id, e.Critical, e.Value})
			for _, own := range c.Extensions {
				if own.ID.Equal(e.Id) && (own.Critical != e.Critical || !bytes.Equal(own.Value, e.Value)) {
					t.Errorf("extension %s: %x, crypto/x509 has %x", e.Id, own.Value, e.Value)
				}
			}
		}
		if !bytes.Equal(bytesOf(t, theirs), parsed.RawTBSCertificate) {
			t.Error("rebuilding a certificate of crypto/x509 changes it")
		}
		if len(theirs.Extensions) != len(c.Extensions) || len(ours) != len(parsed.RawTBSCertificate) {
			t.Error("another set of extensions than crypto/x509")
		}
	}
}

func TestBytesRefuses(t *testing.T) {
	caKey := p256(t)
	for _, test := range []struct {
		name  string
		spoil func(*Certificate)
		want  string
	}{
		{"serial number zero", func(c *Certificate) { c.Serial = []byte{0, 0} }, "greater than zero"},
		{"no serial number", func(c *Certificate) { c.Serial = nil }, "greater than zero"},
		{"a serial number of 21 octets", func(c *Certificate) { c.Serial = bytes.Repeat([]byte{1}, 21) }, "takes 21 octets"},
		{"a serial number that needs a 21st octet for its sign", func(c *Certificate) { c.Serial = bytes.Repeat([]byte{0x80}, 20) }, "takes 21 octets"},
		{"no algorithm", func(c *Certificate) { c.Algorithm = Algorithm{} }, "no signature algorithm"},
		{"an end before the beginning", func(c *Certificate) { c.NotAfter = c.NotBefore.Add(-time.Second) }, "before it begins"},
		{"the year 10000", func(c *Certificate) { c.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "the year 10000"},
		{"the year 1949", func(c *Certificate) { c.NotBefore = time.Date(1949, 1, 1, 0, 0, 0, 0, time.UTC) }, "the year 1949"},
		{"an empty issuer", func(c *Certificate) { c.Issuer = []byte{0x30, 0} }, "issuer is empty"},
		{"an issuer with octets behind it", func(c *Certificate) { c.Issuer = append(bytes.Clone(c.Issuer), 0) }, "issuer is not"},
		{"no subject", func(c *Certificate) { c.Subject = nil }, "subject is not"},
		{"an empty subject", func(c *Certificate) { c.Subject = []byte{0x30, 0} }, "critical subject alternative name"},
		{"no key", func(c *Certificate) { c.SPKI = nil }, "SubjectPublicKeyInfo"},
		{"no extensions", func(c *Certificate) { c.Extensions = nil }, "needs extensions"},
		{"an extension without value", func(c *Certificate) { c.Extensions[0].Value = nil }, "has no value"},
		{"an extension twice", func(c *Certificate) { c.Extensions = append(c.Extensions, c.Extensions[0]) }, "occurs twice"},
		{"an extension with an impossible OID", func(c *Certificate) { c.Extensions[0].ID = asn1.ObjectIdentifier{7} }, "invalid OID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := leafOf(caKey, caKey)
			test.spoil(c)
			if _, err := c.Bytes(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAnEmptySubjectNeedsACriticalName(t *testing.T) {
	caKey := p256(t)
	c := leafOf(caKey, caKey)
	c.Subject = []byte{0x30, 0}
	c.Extensions[5].Critical = true
	cert := signed(t, c, caKey)
	if len(cert.Subject.Names) != 0 || cert.DNSNames[0] != "www.example.com" {
		t.Error("not a certificate named by its alternative name")
	}
}

func TestAssembleRefusesAForeignAlgorithm(t *testing.T) {
	caKey := p256(t)
	raw := bytesOf(t, leafOf(caKey, caKey))
	for name, err := range map[string]error{
		"another algorithm": second(Assemble(raw, ECDSAWithSHA384, []byte{1})),
		"no signature":      second(Assemble(raw, ECDSAWithSHA256, nil)),
		"trailing octets":   second(Assemble(append(bytes.Clone(raw), 0), ECDSAWithSHA256, []byte{1})),
		"something else":    second(Assemble([]byte{0x30, 0}, ECDSAWithSHA256, []byte{1})),
	} {
		if err == nil {
			t.Errorf("%s is assembled", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestValidityCrosses2050InTheRightForm(t *testing.T) {
	caKey := p256(t)
	c := leafOf(caKey, caKey)
	c.NotBefore = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
	c.NotAfter = time.Date(2050, 1, 1, 0, 59, 59, 999, time.FixedZone("east", 3600)) // still 2049 in UTC
	if raw := bytesOf(t, c); !bytes.Contains(raw, []byte("\x17\x0d491231235959Z")) || bytes.Contains(raw, []byte{0x18, 15}) {
		t.Error("2049 is not UTCTime")
	}
	c.NotAfter = time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	if !bytes.Contains(bytesOf(t, c), []byte("\x18\x0f20500101000000Z")) {
		t.Error("2050 is not GeneralizedTime")
	}
}

func TestFieldsSurviveTheEncoding(t *testing.T) {
	caKey := p256(t)
	rapid.Check(t, func(t *rapid.T) {
		c := rootOf(caKey)
		c.Serial = rapid.SliceOfN(rapid.Byte(), 1, 19).Draw(t, "serial")
		c.Serial[len(c.Serial)-1] |= 1
		c.NotBefore = time.Unix(rapid.Int64Range(-631152000, 4e9).Draw(t, "begin"), 0).UTC()
		c.NotAfter = c.NotBefore.Add(time.Duration(rapid.Int64Range(0, 9e9).Draw(t, "seconds")) * time.Second)
		c.Extensions = append(c.Extensions, must(Custom(asn1.ObjectIdentifier{1, 2, 3, 4}, rapid.Bool().Draw(t, "critical"),
			must(asn1.Marshal(rapid.SliceOf(rapid.Byte()).Draw(t, "value"))))))
		raw, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(must(Sign(raw, c.Algorithm, caKey)))
		if err != nil {
			t.Fatal(err)
		}
		last := cert.Extensions[len(cert.Extensions)-1]
		want := c.Extensions[len(c.Extensions)-1]
		if cert.SerialNumber.Cmp(new(big.Int).SetBytes(c.Serial)) != 0 || !cert.NotBefore.Equal(c.NotBefore) || !cert.NotAfter.Equal(c.NotAfter) ||
			!bytes.Equal(cert.RawTBSCertificate, raw) || last.Critical != want.Critical || !bytes.Equal(last.Value, want.Value) {
			t.Fatalf("%+v became %+v", c, cert)
		}
	})
}

func TestExtensionsOfEveryLengthAreDER(t *testing.T) {
	caKey := p256(t)
	for _, size := range []int{1, 0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0xfc, 0xfd, 0xff, 0x100, 0xfffc, 0xffff, 0x10000} {
		c := rootOf(caKey)
		value := must(asn1.Marshal(make([]byte, size)))
		c.Extensions = append(c.Extensions, must(Custom(asn1.ObjectIdentifier{1, 2, 3, 4}, false, value)))
		cert := signed(t, c, caKey)
		if last := cert.Extensions[len(cert.Extensions)-1]; !bytes.Equal(last.Value, value) {
			t.Errorf("a value of %d octets came back with %d", len(value), len(last.Value))
		}
	}
	c := rootOf(caKey)
	c.Extensions[0].Value = make([]byte, 1<<24)
	if _, err := c.Bytes(); err == nil {
		t.Error("an extension of 16 MiB is written")
	}
}

func TestSerialNumbersGrowWithTimeAndNeverRepeat(t *testing.T) {
	seen := map[string]bool{}
	for _, now := range []time.Time{{}, time.Unix(0, 0), notBefore, notBefore.Add(time.Millisecond), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		for range 100 {
			serial := NewSerial(now, rand.Reader)
			if len(serial) != 16 || serial[0] == 0 || serial[0] >= 0x80 || seen[string(serial)] {
				t.Fatalf("serial %x at %s", serial, now)
			}
			seen[string(serial)] = true
		}
	}
	early, late := NewSerial(notBefore, rand.Reader), NewSerial(notBefore.Add(time.Millisecond), rand.Reader)
	if bytes.Compare(early, late) >= 0 {
		t.Errorf("%x is not below %x", early, late)
	}
}

func BenchmarkBytes(b *testing.B) {
	caKey := p256(b)
	c := leafOf(caKey, caKey)
	b.ReportAllocs()
	for b.Loop() {
		bytesOf(b, c)
	}
}

func BenchmarkBytesAndSign(b *testing.B) {
	caKey := p256(b)
	c := leafOf(caKey, caKey)
	for b.Loop() {
		if _, err := Sign(bytesOf(b, c), c.Algorithm, caKey); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRawSignAndVerify is what BytesAndSign cannot go below.
func BenchmarkRawSignAndVerify(b *testing.B) {
	caKey := p256(b)
	alg := ECDSAWithSHA256
	for b.Loop() {
		if _, err := alg.Sign(caKey, []byte("x")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStandardLibraryCreate(b *testing.B) {
	caKey := p256(b)
	root := signed(b, rootOf(caKey), caKey)
	leaf := signed(b, leafOf(caKey, caKey), caKey)
	leaf.ExtraExtensions = nil
	for b.Loop() {
		if _, err := x509.CreateCertificate(rand.Reader, leaf, root, caKey.Public(), caKey); err != nil {
			b.Fatal(err)
		}
	}
}
