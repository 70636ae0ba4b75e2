package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const password = "Pa55 word-&~"

type fixture struct {
	key   crypto.Signer
	cert  *x509.Certificate
	chain []*x509.Certificate
}

func issue(t testing.TB, name string, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newFixture(t testing.TB, key crypto.Signer) fixture {
	t.Helper()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := issue(t, "Test Root", caKey, nil, nil)
	return fixture{key, issue(t, "Leaf", key, ca, caKey), []*x509.Certificate{ca}}
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// run runs a foreign tool on a key file and returns everything it printed.
func run(t *testing.T, wantOK bool, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if (err == nil) != wantOK {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.p12")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A22: a key file holds the leaf's private key and the chain, encrypted with a
// PIN. D12: AES is the default, an old cipher the labelled choice. N20: without
// the password the file is useless. Judged by three foreign readers.
func TestForeignToolsReadTheKeyFile(t *testing.T) {
	keys := map[string]crypto.Signer{"RSA-2048": rsaKey(t), "P-256": ecKey(t)}
	for keyName, key := range keys {
		f := newFixture(t, key)
		for _, profile := range []Profile{Modern, Legacy} {
			t.Run(keyName+" "+string(profile), func(t *testing.T) {
				data, err := Encode(profile, f.key, f.cert, f.chain, password, "Jørgen's key")
				if err != nil {
					t.Fatal(err)
				}
				judgeWithOpenSSL(t, profile, f, data)
				path := write(t, data)

				out := run(t, true, "keytool", "-J-Xshare:auto", "-list", "-v", "-storetype", "PKCS12", "-keystore", path, "-storepass", password)
				for _, want := range []string{"PrivateKeyEntry", "Certificate chain length: 2", "CN=Leaf", "CN=Test Root"} {
					if !strings.Contains(out, want) {
						t.Errorf("keytool does not show %q:\n%s", want, out)
					}
				}

				out = run(t, true, "certtool", "--p12-info", "--inder", "--infile", path, "--password", password)
				for _, want := range []string{"Friendly name: Jørgen's key", "BEGIN CERTIFICATE"} {
					if !strings.Contains(out, want) {
						t.Errorf("certtool does not show %q:\n%s", want, out)
					}
				}
			})
		}
	}
}

func judgeWithOpenSSL(t *testing.T, profile Profile, f fixture, data []byte) {
	t.Helper()
	path := write(t, data)
	args := []string{"pkcs12", "-in", path, "-nodes", "-info", "-passin"}
	algorithms := []string{"MAC: sha256, Iteration 100000", "PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256"}
	if profile == Legacy {
		args = append([]string{"pkcs12", "-legacy"}, args[1:]...)
		algorithms = []string{"MAC: sha1, Iteration 2048", "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048"}
	}
	out := run(t, true, "openssl", append(args, "pass:"+password)...)
	for _, want := range append(algorithms, "friendlyName:", "subject=CN = Leaf", "subject=CN = Test Root", "localKeyID") {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not show %q:\n%s", want, out)
		}
	}
	// Both the key and the certificates must be under that cipher.
	if n := strings.Count(out, algorithms[1]); n != 2 {
		t.Errorf("the cipher is used %d times, not for key and certificates:\n%s", n, out)
	}
	want, err := x509.MarshalPKCS8PrivateKey(f.key)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.ReplaceAll(out, "\n", ""), base64.StdEncoding.EncodeToString(want)) {
		t.Error("openssl does not show the private key that went in")
	}
	run(t, false, "openssl", append(args, "pass:wrong")...)
	if bytes.Contains(data, want[len(want)-32:]) || bytes.Contains(data, f.cert.Raw) {
		t.Error("key or certificate stands in the file in clear")
	}
}

func TestDecodeGivesBackWhatWasEncoded(t *testing.T) {
	f := newFixture(t, ecKey(t))
	for _, profile := range []Profile{Modern, Legacy} {
		for _, name := range []string{"", "a name", strings.Repeat("ø", 255)} {
			data, err := Encode(profile, f.key, f.cert, f.chain, password, name)
			if err != nil {
				t.Fatal(err)
			}
			key, cert, chain, err := Decode(data, password)
			if err != nil {
				t.Fatalf("%s %q: %v", profile, name, err)
			}
			if !key.(*ecdsa.PrivateKey).Equal(f.key) || !cert.Equal(f.cert) || len(chain) != 1 || !chain[0].Equal(f.chain[0]) {
				t.Errorf("%s %q: not what was encoded", profile, name)
			}
			// N20: one wrong character is enough.
			if _, _, _, err := Decode(data, password+"x"); !errors.Is(err, ErrPassword) {
				t.Errorf("%s: a wrong password gives %v", profile, err)
			}
			damaged := bytes.Clone(data)
			damaged[len(damaged)/2] ^= 1
			if _, _, _, err := Decode(damaged, password); err == nil {
				t.Errorf("%s: a damaged file is read", profile)
			}
		}
	}
}

func TestTwoFilesOfOneKeyShareNoSalt(t *testing.T) {
	f := newFixture(t, ecKey(t))
	a, err := Encode(Legacy, f.key, f.cert, nil, password, "x")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encode(Legacy, f.key, f.cert, nil, password, "x")
	if err != nil {
		t.Fatal(err)
	}
	pa, err := parsePFX(a)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := parsePFX(b)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(pa.macSalt, pb.macSalt) || bytes.Equal(pa.certificates, pb.certificates) || bytes.Equal(pa.bagValue, pb.bagValue) {
		t.Error("two files share salts")
	}
}

func TestEncodeRefuses(t *testing.T) {
	f := newFixture(t, ecKey(t))
	for _, test := range []struct {
		name           string
		profile        Profile
		key            crypto.PrivateKey
		password, text string
		want           string
	}{
		{"an unknown profile", "rc2", f.key, password, "", "unknown profile"},
		{"an empty password", Modern, f.key, "", "", "password is empty"},
		{"a password beyond ASCII", Modern, f.key, "smørrebrød", "", "printable ASCII"},
		{"a password with a tab", Modern, f.key, "a\tb", "", "printable ASCII"},
		{"the key of another certificate", Modern, ecKey(t), password, "", "does not belong"},
		{"a key that is none", Modern, "key", password, "", "cannot be written"},
		{"a friendly name beyond the BMP", Modern, f.key, password, "🔑", "cannot hold"},
		{"a friendly name of 256 characters", Modern, f.key, password, strings.Repeat("x", 256), "255"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Encode(test.profile, test.key, f.cert, nil, test.password, test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && test.password != "" && strings.Contains(err.Error(), test.password) {
				t.Error("the error shows the password")
			}
		})
	}
}

// D12: the labels people choose between.
func TestTheOldProfileSaysThatItIsOld(t *testing.T) {
	if Modern.String() != "AES-256/SHA-256" || Legacy.String() != "legacy 3DES/SHA-1, for old importers" {
		t.Errorf("labels are %q and %q", Modern, Legacy)
	}
}

func BenchmarkEncode(b *testing.B) {
	f := newFixture(b, rsaKey(b))
	for _, profile := range []Profile{Modern, Legacy} {
		b.Run(string(profile), func(b *testing.B) {
			for b.Loop() {
				if _, err := Encode(profile, f.key, f.cert, f.chain, password, "a name"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
