package csr

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/pki/dn"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"pgregory.net/rapid"
)

// openssl runs the tool in dir and returns what it wrote to standard output.
func openssl(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	command := exec.Command("openssl", args...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

const config = `
[req]
prompt = no
utf8 = yes
distinguished_name = name
attributes = attributes
req_extensions = extensions
[name]
C = DK
O = Sørensen
CN = www.example.com
[attributes]
challengePassword = let me in
[extensions]
keyUsage = digitalSignature
subjectAltName = DNS:www.example.com,DNS:example.com,email:a@example.com,URI:https://example.com/x,IP:192.0.2.1,IP:2001:db8::1,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@corp.example
`

// request makes a PEM request with openssl; args choose key and signature.
func request(t testing.TB, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "req.cnf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"req", "-new", "-config", "req.cnf", "-nodes", "-keyout", "key.pem"}, args...)
	return openssl(t, dir, args...)
}

var p256Args = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}

func der(t testing.TB, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block != nil {
		return block.Bytes
	}
	t.Fatalf("no PEM: %s", text)
	return nil
}

// A21: a CSR is PKCS #10, in base64 between beacons or binary.
func TestParseReadsWhatOpenSSLWrites(t *testing.T) {
	for name, args := range map[string][]string{
		"RSA-2048 SHA-256":    {"-newkey", "rsa:2048", "-sha256"},
		"RSA-2048 SHA-512":    {"-newkey", "rsa:2048", "-sha512"},
		"RSA-2048 PSS":        {"-newkey", "rsa:2048", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"},
		"P-256":               p256Args,
		"P-256 with SHA-512":  append([]string{"-sha512"}, p256Args...),
		"P-384":               {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"},
		"P-521":               {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"},
		"Ed25519":             {"-newkey", "ed25519"},
		"NEW in the beacons":  append([]string{"-newhdr"}, p256Args...),
		"text before the PEM": append([]string{"-text"}, p256Args...),
	} {
		t.Run(name, func(t *testing.T) {
			text := request(t, args...)
			r, err := Parse(text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got := r.Name.String(); got != "CN=www.example.com,O=Sørensen,C=DK" {
				t.Errorf("subject %s", got)
			}
			got := fmt.Sprintf("%v %v %v %v %v %d %s", r.DNS, r.Emails, r.URIs, r.IPs, r.UPNs, len(r.Extensions), r.Challenge)
			want := "[www.example.com example.com] [a@example.com] [https://example.com/x] [192.0.2.1 2001:db8::1] [a@corp.example] 2 let me in"
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			std, err := x509.ParseCertificateRequest(der(t, text))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(r.Raw, std.Raw) || !bytes.Equal(r.TBS, std.RawTBSCertificateRequest) || !bytes.Equal(r.SPKI, std.RawSubjectPublicKeyInfo) ||
				!bytes.Equal(r.Subject, std.RawSubject) || !r.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(std.PublicKey) {
				t.Error("crypto/x509 reads something else")
			}
		})
	}
}

func TestParseReadsEveryWrapping(t *testing.T) {
	text := request(t, p256Args...)
	binary := der(t, text)
	plain := base64.StdEncoding.EncodeToString(binary)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for name, data := range map[string]string{
		"PEM":                      string(text),
		"PEM with CRLF":            strings.ReplaceAll(string(text), "\n", "\r\n"),
		"PEM with a BOM":           "\ufeff" + string(text),
		"PEM in a mail":            "Dear CA,\n\nhere it is: \n\n" + string(text) + "\n-- \nJens",
		"PEM, indented":            "  " + strings.Join(lines, "\n  "),
		"PEM on one line":          strings.Join(lines, " "),
		"PEM without any breaks":   strings.Join(lines, ""),
		"PEM with a header":        strings.Replace(string(text), "-----\n", "-----\nComment: mine\n\n", 1),
		"DER":                      string(binary),
		"bare base64":              plain,
		"bare base64 in lines":     strings.Join(lines[1:len(lines)-1], "\r\n") + "\r\n",
		"bare base64 without pads": strings.TrimRight(plain, "="),
	} {
		if r, err := Parse([]byte(data)); err != nil || !bytes.Equal(r.Raw, binary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "req.cnf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cert := openssl(t, dir, "req", "-x509", "-new", "-config", "req.cnf", "-nodes", "-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "/dev/stdout")
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600); err != nil {
		t.Fatal(err)
	}
	key := openssl(t, dir, "pkey", "-in", "key.pem")
	traditional := openssl(t, dir, "rsa", "-in", "key.pem", "-traditional")
	public := openssl(t, dir, "pkey", "-in", "key.pem", "-pubout")
	p7 := openssl(t, dir, "crl2pkcs7", "-nocrl", "-certfile", "cert.pem")
	p12 := openssl(t, dir, "pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-passout", "pass:x")
	good := request(t, p256Args...)
	binary := der(t, good)
	for _, test := range []struct {
		name string
		data []byte
		code Code
		text string
	}{
		{"nothing", nil, Empty, "empty"},
		{"white space", []byte(" \r\n\t"), Empty, "empty"},
		{"too much", make([]byte, MaxSize+1), TooLarge, "65537 octets"},
		{"prose", []byte("Please send me a certificate!"), NotARequest, "neither PEM"},
		{"UTF-16", []byte("\xff\xfe-\x00"), NotARequest, "UTF-16"},
		{"a private key", key, PrivateKey, "This is a private key"},
		{"an RSA private key", traditional, PrivateKey, "This is a private key"},
		{"a private key in DER", der(t, key), PrivateKey, "This is a private key"},
		{"an RSA private key in DER", der(t, traditional), PrivateKey, "This is a private key"},
		{"a key before the request", append(bytes.Clone(key), good...), PrivateKey, "This is a private key"},
		{"a PKCS #12 file", p12, PrivateKey, "PKCS #12"},
		{"a certificate", cert, NotARequest, "This is a certificate, not a request"},
		{"a certificate in DER", der(t, cert), NotARequest, "This is a certificate, not a request"},
		{"a certificate in bare base64", []byte(base64.StdEncoding.EncodeToString(der(t, cert))), NotARequest, "This is a certificate, not a request"},
		{"a public key", public, NotARequest, "bare public key"},
		{"a public key in DER", der(t, public), NotARequest, "bare public key"},
		{"a PKCS #7 file", p7, NotARequest, "PKCS #7"},
		{"a PKCS #7 file in DER", der(t, p7), NotARequest, "PKCS #7"},
		{"another PEM block", bytes.ReplaceAll(good, []byte("CERTIFICATE REQUEST"), []byte("SSH2 KEY")), NotARequest, `"SSH2 KEY"`},
		{"a damaged BEGIN line", []byte("-----BEGIN \nfoo-----"), Malformed, "BEGIN line is damaged"},
		{"two requests", append(bytes.Clone(good), good...), SeveralBlocks, "2 PEM blocks"},
		{"a request cut off", good[:len(good)-40], Malformed, "cut off"},
		{"trailing octets", append(bytes.Clone(binary), 0), Malformed, "followed by 1 octets"},
		{"a second request behind it", append(bytes.Clone(binary), binary...), Malformed, "do not belong to it"},
		{"DER cut off", binary[:len(binary)-1], Malformed, "damaged"},
		{"an empty sequence", []byte{0x30, 0}, Malformed, "damaged"},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, test.data, test.code, test.text) })
	}
}

func expect(t *testing.T, data []byte, code Code, text string) {
	t.Helper()
	_, err := Parse(data)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Code != code || !strings.Contains(refusal.Text, text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	good := der(t, request(t, p256Args...))
	r, err := Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(good, r.TBS)
	for i := start; i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := Parse(bad); err == nil {
			t.Fatalf("octet %d was changed without notice", i)
		}
	}
}

func TestHostileRequestsAreRefused(t *testing.T) {
	sha1 := request(t, "-newkey", "rsa:2048", "-sha1")
	rsa := der(t, request(t, "-newkey", "rsa:2048"))
	ec := der(t, request(t, p256Args...))
	other := der(t, request(t, p256Args...))
	swapped := bytes.Clone(ec)
	copy(swapped[bytes.Index(swapped, spki(t, ec)):], spki(t, other))

	t.Run("signed by another key", func(t *testing.T) { expect(t, swapped, BadSignature, "does not match") })
	t.Run("MD5", func(t *testing.T) {
		expect(t, bytes.Replace(rsa, []byte("\x0d\x01\x01\x0b"), []byte("\x0d\x01\x01\x04"), 1), WeakSignature, "MD5")
	})
	t.Run("an unknown algorithm", func(t *testing.T) {
		expect(t, bytes.Replace(rsa, []byte("\x0d\x01\x01\x0b"), []byte("\x0d\x01\x01\x7b"), 1), WeakSignature, "not supported")
	})
	t.Run("a negative modulus", func(t *testing.T) {
		expect(t, bytes.Replace(rsa, []byte("\x02\x82\x01\x01\x00"), []byte("\x02\x82\x01\x01\xff"), 1), UnsupportedKey, "cannot be read")
	})
	t.Run("a secp256k1 key", func(t *testing.T) {
		expect(t, request(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), UnsupportedKey, "cannot be read")
	})
	t.Run("a P-224 key", func(t *testing.T) {
		expect(t, request(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-224"), UnsupportedKey, "cannot be certified")
	})
	t.Run("an RSA key of 512 bits", func(t *testing.T) {
		expect(t, request(t, "-newkey", "rsa:512"), UnsupportedKey, "512 bits")
	})
	t.Run("an Ed448 key", func(t *testing.T) {
		expect(t, request(t, "-newkey", "ed448"), UnsupportedKey, "cannot be read")
	})
	t.Run("SHA-1", func(t *testing.T) {
		expect(t, sha1, WeakSignature, "SHA-1")
		if _, err := (Options{AllowSHA1: true}).Parse(sha1); err != nil {
			t.Errorf("SHA-1 where it is allowed: %v", err)
		}
		damaged := bytes.Replace(der(t, sha1), []byte("example"), []byte("exemple"), 1)
		if _, err := (Options{AllowSHA1: true}).Parse(damaged); err == nil {
			t.Error("a damaged SHA-1 request is accepted")
		}
	})
}

func spki(t testing.TB, request []byte) []byte {
	t.Helper()
	r, err := Parse(request)
	if err != nil {
		t.Fatal(err)
	}
	return r.SPKI
}

// A huge modulus must cost nothing: it is refused for its size, not for its
// signature, which would take seconds to verify.
func TestAHugeModulusIsRefusedBeforeVerification(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 400_000)
	modulus.Sub(modulus, big.NewInt(1))
	expect(t, assemble(t, rsaSPKI(modulus), nil), UnsupportedKey, "400000 bits")
}

func rsaSPKI(modulus *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"))
		b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(modulus)
				b.AddASN1Int64(65537)
			})
		})
	})
	return b.BytesOrPanic()
}

// assemble makes a request around the given key and attributes (the content of
// [0]) whose signature is a dummy.
func assemble(t testing.TB, key, attributes []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddBytes([]byte{0x30, 0})
			b.AddBytes(key)
			b.AddASN1(cbasn1.Tag(0xa0), func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		})
		b.AddBytes([]byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"))
		b.AddASN1BitString(make([]byte, 256))
	})
	return b.BytesOrPanic()
}

// requestWith makes a signed request with crypto/x509.
func requestWith(t testing.TB, template *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestDeceivingNamesAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		"a NUL in a DNS name":        "\x30\x05\x82\x03a\x00b",
		"a line break in a DNS name": "\x30\x05\x82\x03a\nb",
		"an empty DNS name":          "\x30\x02\x82\x00",
		"Latin-1 in an address":      "\x30\x05\x81\x03a@\xe5",
		"an IP address of 5 octets":  "\x30\x07\x87\x05abcde",
		"names that are no sequence": "\x04\x00",
		"octets behind the names":    "\x30\x00\x00",
		"a name that is cut short":   "\x30\x03\x82\x03a",
		"too many names":             string(manyNames(maxNames + 1)),
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, requestWith(t, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oidSubjectAltName, Value: []byte(value)}}}), Malformed, "")
		})
	}
	t.Run("a NUL in the subject", func(t *testing.T) {
		expect(t, requestWith(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a\x00b"}}), Malformed, "CN contains a NUL")
	})
	san := pkix.Extension{Id: oidSubjectAltName, Value: []byte("\x30\x03\x82\x01a")}
	t.Run("an extension twice", func(t *testing.T) {
		expect(t, requestWith(t, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{san, san}}), Malformed, "twice")
	})
}

func manyNames(n int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Repeat([]byte("\x82\x01a"), n)) })
	return b.BytesOrPanic()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	label := rapid.StringMatching(`[a-z0-9]{1,20}`)
	rapid.Check(t, func(rt *rapid.T) {
		dns := rapid.SliceOfN(label, 0, 5).Draw(rt, "dns")
		o := rapid.StringN(1, 64, -1).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) }).Draw(rt, "o")
		ips := []net.IP{}
		for _, raw := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 4, 4), 0, 3).Draw(rt, "ips") {
			ips = append(ips, raw)
		}
		data := requestWith(t, &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{o}}, DNSNames: dns, IPAddresses: ips})
		r, err := Parse(data)
		if err != nil {
			rt.Fatal(err)
		}
		if r.Name.Value(dn.O) != o || fmt.Sprint(r.DNS) != fmt.Sprint(dns) || fmt.Sprint(r.IPs) != fmt.Sprint(ips) {
			rt.Fatalf("read %v %v %v", r.Name, r.DNS, r.IPs)
		}
	})
}

func FuzzParse(f *testing.F) {
	good := request(f, p256Args...)
	f.Add(good)
	f.Add(der(f, good))
	f.Add(der(f, request(f, "-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss")))
	f.Add(der(f, request(f, "-newkey", "rsa:2048", "-sha1")))
	f.Add(assemble(f, rsaSPKI(big.NewInt(15)), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Options{AllowSHA1: true}.Parse(data)
		if err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Text == "" {
				t.Fatalf("an error without code: %v", err)
			}
			return
		}
		std, err := x509.ParseCertificateRequest(r.Raw)
		if err == nil && std.CheckSignature() != nil {
			t.Fatal("crypto/x509 refuses the signature")
		}
	})
}

// FuzzInfo goes past the signature, which a fuzzer cannot forge.
func FuzzInfo(f *testing.F) {
	r, err := Parse(request(f, p256Args...))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.TBS)
	f.Fuzz(func(t *testing.T, info []byte) {
		r := &Request{Raw: info, TBS: info}
		if err := r.readInfo(); err != nil {
			return
		}
		for _, name := range append(append(r.DNS, r.Emails...), r.URIs...) {
			if strings.ContainsAny(name, "\x00\r\n ") || name == "" {
				t.Fatalf("deceiving name %q", name)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := der(b, request(b, p256Args...))
	b.Run("csr.Parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crypto x509", func(b *testing.B) {
		for b.Loop() {
			r, err := x509.ParseCertificateRequest(data)
			if err != nil || r.CheckSignature() != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature alone", func(b *testing.B) {
		r, err := x509.ParseCertificateRequest(data)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if r.CheckSignature() != nil {
				b.Fatal("bad signature")
			}
		}
	})
}
