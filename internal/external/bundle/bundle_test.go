package bundle_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/external/opensslca"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// corpus is a root, an authority below it and two servers.
func corpus(tb testing.TB) *opensslca.Lab {
	tb.Helper()
	l := opensslca.New(tb)
	l.Issue(opensslca.Request{File: "root", Subject: "/C=DE/O=Other/CN=Other Root", CA: true})
	l.Issue(opensslca.Request{File: "sub", Issuer: "root", Subject: "/C=DE/O=Other/CN=Other Issuing", CA: true})
	l.Issue(opensslca.Request{File: "www", Issuer: "sub", Subject: "/C=DE/O=Sørensen og Co/CN=www.example.com", Names: "DNS:www.example.com,DNS:*.Shop.example.com,IP:192.0.2.7,IP:2001:db8::1,email:Web@mail.example.org,URI:https://id.example.net/x"})
	l.Issue(opensslca.Request{File: "api", Issuer: "sub", Names: "DNS:api.example.com"})
	return l
}

func prints(items []bundle.Item) (out []string) {
	for _, i := range items {
		if i.Certificate == nil {
			out = append(out, i.Problem)
		} else {
			out = append(out, i.Certificate.SHA256)
		}
	}
	return out
}

// fingerprint is what openssl says.
func fingerprint(l *opensslca.Lab, name, hash string) string {
	_, hex, _ := strings.Cut(l.Run("x509 -noout -fingerprint -"+hash+" -in "+name+".pem"), "=")
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(hex), ":", ""))
}

// A67: certificates come in every form that people have them in.
func TestEveryFormOfAFileIsRead(t *testing.T) {
	l := corpus(t)
	www, api := l.Read("www.pem"), l.Read("api.pem")
	both := slices.Concat(www, api)
	l.Write("both.pem", both)
	p7der := []byte(l.Run("crl2pkcs7 -nocrl -outform DER -certfile both.pem"))
	p7pem := []byte(l.Run("crl2pkcs7 -nocrl -certfile both.pem"))
	l.Write("text", []byte("signed text"))
	signed := []byte(l.Run("cms -sign -binary -nodetach -in text -signer www.pem -inkey www.key -certfile api.pem -outform DER"))
	streamed := []byte(l.Run("cms -sign -binary -stream -nodetach -in text -signer www.pem -inkey www.key -certfile api.pem -outform DER"))
	one, two := fingerprint(l, "www", "sha256"), fingerprint(l, "api", "sha256")
	bare := base64.StdEncoding.EncodeToString(l.DER("www"))
	cases := []struct {
		name string
		data []byte
		want []string
	}{
		{"one certificate in PEM", www, []string{one}},
		{"two in PEM", both, []string{one, two}},
		{"PEM with text around it", []byte("subject=x\n" + string(www) + "\nissuer=y\n" + string(api) + "bye"), []string{one, two}},
		{"PEM of another system's line ends", bytes.ReplaceAll(both, []byte("\n"), []byte("\r\n")), []string{one, two}},
		{"PEM with a byte order mark", append([]byte("\xef\xbb\xbf"), www...), []string{one}},
		{"DER", l.DER("www"), []string{one}},
		{"DER, one after the other", slices.Concat(l.DER("www"), l.DER("api")), []string{one, two}},
		{"base64 in one line", []byte(bare), []string{one}},
		{"base64 in many lines", []byte(bare[:64] + "\r\n" + bare[64:128] + "\n" + bare[128:]), []string{one}},
		{"PKCS #7 in DER", p7der, []string{one, two}},
		{"PKCS #7 in PEM", p7pem, []string{one, two}},
		{"PKCS #7 in a block for certificates", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p7der}), []string{one, two}},
		{"a signed message", signed, []string{two, one}},
		{"a signed message of indefinite length", streamed, []string{two, one}},
		{"a trusted certificate of openssl", []byte(l.Run("x509 -in www.pem -addtrust serverAuth -trustout")), []string{one}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			items, err := bundle.Read(c.data)
			got, want := prints(items), slices.Clone(c.want)
			if strings.HasPrefix(c.name, "a signed") || strings.Contains(c.name, "PKCS") { // a SET OF has no order
				slices.Sort(got)
				slices.Sort(want)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// A private key is never taken in, wherever it stands.
func TestFilesWithPrivateKeysAreRefused(t *testing.T) {
	l := corpus(t)
	l.Run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key")
	www := l.Read("www.pem")
	cases := []struct{ name, code, run string }{
		{"PKCS #12", "external.pkcs12", "pkcs12 -export -in www.pem -inkey www.key -passout pass:secret -out out"},
		{"PKCS #12 without a key", "external.pkcs12", "pkcs12 -export -nokeys -in www.pem -passout pass: -out out"},
		{"PKCS #8 in PEM", "external.private_key", "pkcs8 -topk8 -nocrypt -in www.key -out out"},
		{"PKCS #8 in DER", "external.private_key", "pkcs8 -topk8 -nocrypt -in www.key -outform DER -out out"},
		{"encrypted PKCS #8 in PEM", "external.private_key", "pkcs8 -topk8 -passout pass:secret -in www.key -out out"},
		{"encrypted PKCS #8 in DER", "external.private_key", "pkcs8 -topk8 -passout pass:secret -in www.key -outform DER -out out"},
		{"an RSA key of the old form", "external.private_key", "rsa -traditional -in rsa.key -outform DER -out out"},
		{"an elliptic-curve key of the old form", "external.private_key", "ec -in www.key -outform DER -out out"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l.Run(c.run)
			key := l.Read("out")
			files := map[string][]byte{"alone": key}
			if bytes.HasPrefix(key, []byte("-----")) {
				files["after a certificate"] = slices.Concat(www, key)
				files["cut off"] = slices.Concat(www, key[:60])
			} else {
				files["in base64"] = []byte(base64.StdEncoding.EncodeToString(key))
				files["after a certificate"] = slices.Concat(l.DER("www"), key)
				files["in the wrong block"] = slices.Concat(www, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: key}))
			}
			for name, data := range files {
				items, err := bundle.Read(data)
				if err == nil || fault.Of(err).Code != c.code || items != nil {
					t.Errorf("%s: %v, %v", name, prints(items), err)
				}
			}
		})
	}
	t.Run("a Java key store", func(t *testing.T) {
		l.Command("keytool", "-importcert", "-noprompt", "-storetype", "JKS", "-keystore", "store", "-storepass", "secret", "-alias", "a", "-file", "www.pem")
		if _, err := bundle.Read(l.Read("store")); err == nil || fault.Of(err).Code != "external.keystore" {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatIsWrongIsSaidOfEachPlace(t *testing.T) {
	l := corpus(t)
	www := string(l.Read("www.pem"))
	damaged := strings.Replace(www, "MII", "!!!", 1)
	public := l.Run("pkey -pubout -in www.key")
	one := fingerprint(l, "www", "sha256")
	l.Run("req -new -x509 -config openssl.cnf -key www.key -days 1 -out x.pem")
	encrypted := l.Run("cms -encrypt -in www.csr -outform PEM x.pem")
	empty := l.Run("crl2pkcs7 -nocrl")
	cases := []struct {
		name, data string
		want       []string // parts of the problem, or the fingerprint
	}{
		{"a damaged block between good ones", www + damaged + www, []string{one, "damaged", one}},
		{"a block that is cut off", www + www[:200], []string{one, "cut off"}},
		{"a certificate request", string(l.Read("www.csr")) + www, []string{"certificate request", one}},
		{"a public key", public, []string{"public key"}},
		{"a request in a block for certificates", strings.ReplaceAll(string(l.Read("www.csr")), "CERTIFICATE REQUEST", "CERTIFICATE"), []string{"no X.509 certificate"}},
		{"a public key in a block for certificates", strings.ReplaceAll(public, "PUBLIC KEY", "CERTIFICATE"), []string{"holds no certificate"}},
		{"an empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", []string{"holds no certificate"}},
		{"an encrypted message", encrypted, []string{"encrypted"}},
		{"a message without certificates", empty, []string{"holds no certificates"}},
		{"DER with something behind it", string(l.DER("www")) + "xyz", []string{one, "What follows"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			items, err := bundle.Read([]byte(c.data))
			if err != nil || len(items) != len(c.want) {
				t.Fatalf("got %q, %v", prints(items), err)
			}
			for i, got := range prints(items) {
				if !strings.Contains(got, c.want[i]) {
					t.Errorf("place %d: %q, want %q", i, got, c.want[i])
				}
			}
		})
	}
}

func TestFilesOfNoUseAreRefusedWhole(t *testing.T) {
	l := corpus(t)
	www := l.Read("www.pem")
	cases := []struct {
		name, code string
		data       []byte
	}{
		{"nothing", "external.empty", []byte(" \r\n")},
		{"a text", "external.form", []byte("My certificate, please.")},
		{"a picture", "external.form", []byte("\x89PNG\r\n\x1a\n")},
		{"a certificate cut off", "external.form", l.DER("www")[:300]},
		{"too many certificates", "external.count", bytes.Repeat(www, bundle.MaxCertificates+1)},
		{"too many certificates in DER", "external.count", bytes.Repeat(l.DER("api"), bundle.MaxCertificates+1)},
		{"too large", "external.size", bytes.Repeat([]byte("x"), bundle.MaxFile+1)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			items, err := bundle.Read(c.data)
			if err == nil || fault.Of(err).Code != c.code || fault.Of(err).Field != "file" || items != nil {
				t.Errorf("got %d items, %v", len(items), err)
			}
		})
	}
	if items, err := bundle.Read(bytes.Repeat(www, bundle.MaxCertificates)); err != nil || len(items) != bundle.MaxCertificates {
		t.Errorf("as many as are allowed: %d, %v", len(items), err)
	}
}

// FuzzRead: whatever is sent, there is a fault for people or a list within the limits
// whose texts any page and database can hold.
func FuzzRead(f *testing.F) {
	l := corpus(f)
	l.Issue(opensslca.Request{File: "brain", Key: "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1"})
	l.Issue(opensslca.Request{File: "pss", Key: "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"})
	l.Write("both.pem", slices.Concat(l.Read("www.pem"), l.Read("sub.pem")))
	f.Add(l.Read("both.pem"))
	for _, name := range []string{"www", "root", "brain", "pss"} {
		f.Add(l.DER(name))
	}
	f.Add([]byte(l.Run("crl2pkcs7 -nocrl -outform DER -certfile both.pem")))
	f.Add([]byte(l.Run("pkcs12 -export -in www.pem -inkey www.key -passout pass:x")))
	f.Add(l.Read("www.csr"))
	f.Add([]byte(base64.StdEncoding.EncodeToString(l.DER("api"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := bundle.Read(data)
		if err != nil {
			if !strings.HasPrefix(fault.Of(err).Code, "external.") || items != nil {
				t.Errorf("%d items and %v", len(items), err)
			}
			return
		}
		if len(items) == 0 || len(items) > bundle.MaxCertificates {
			t.Errorf("%d items", len(items))
		}
		var all []*bundle.Certificate
		for _, i := range items {
			if (i.Certificate == nil) == (i.Problem == "") || !clean(i.Problem) {
				t.Errorf("%+v", i)
			}
			if c := i.Certificate; c != nil {
				all = append(all, c)
				checkFacts(t, c)
			}
		}
		pool := bundle.NewPool(all)
		for _, c := range all {
			if n := len(pool.Chain(c)); n > 8 {
				t.Errorf("a chain of %d", n)
			}
		}
	})
}
