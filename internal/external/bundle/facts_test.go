package bundle_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/external/opensslca"
)

func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// checkFacts holds for every certificate that is read.
func checkFacts(t *testing.T, c *bundle.Certificate) {
	t.Helper()
	texts := slices.Concat([]string{c.SHA1, c.SHA256, c.Serial, c.CommonName, c.Subject, c.Issuer, c.Key.Algorithm, c.Signature}, c.Names, c.SearchNames())
	for _, n := range c.Notes {
		texts = append(texts, n.Code, n.Text)
	}
	for _, s := range texts {
		if !clean(s) {
			t.Errorf("%q", s)
		}
	}
	if len(c.SHA256) != 64 || len(c.SHA1) != 40 || c.Serial == "" || c.Identity() == "" || c.Key.Algorithm == "" || c.Signature == "" || len(c.SearchNames()) > 400 {
		t.Errorf("%+v", c)
	}
	again, err := bundle.Parse(c.DER)
	if err != nil || again.SHA256 != c.SHA256 || again.Identity() != c.Identity() {
		t.Errorf("read again: %v", err)
	}
}

func parse(t testing.TB, l *opensslca.Lab, name string) *bundle.Certificate {
	t.Helper()
	c, err := bundle.Parse(l.DER(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A65, A66: serial number, subject and issuer are what openssl says.
func TestFactsAgreeWithOpenSSL(t *testing.T) {
	l := corpus(t)
	for _, name := range []string{"root", "sub", "www", "api"} {
		c := parse(t, l, name)
		checkFacts(t, c)
		say := func(option string) string {
			_, value, _ := strings.Cut(strings.TrimSpace(l.Run("x509 -noout -in "+name+".pem -nameopt RFC2253,-esc_msb,utf8 "+option)), "=")
			return value
		}
		at := func(option string) time.Time {
			when, err := time.Parse("Jan _2 15:04:05 2006 MST", say(option))
			if err != nil {
				t.Fatal(err)
			}
			return when.UTC()
		}
		if c.SHA1 != fingerprint(l, name, "sha1") || c.SHA256 != fingerprint(l, name, "sha256") || c.Serial != strings.TrimLeft(strings.ToLower(say("-serial")), "0") ||
			c.Subject != say("-subject") || c.Issuer != say("-issuer") || !c.NotBefore.Equal(at("-startdate")) || !c.NotAfter.Equal(at("-enddate")) {
			t.Errorf("%s: %+v", name, c)
		}
		if c.Authority != (name == "root" || name == "sub") || c.Key.String() != "P-256" || c.Key.Bits != 256 || c.Signature != "ECDSA with SHA-256" || len(c.Notes) != 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	www := parse(t, l, "www")
	if want := []string{"www.example.com", "*.shop.example.com", "192.0.2.7", "2001:db8::1", "Web@mail.example.org", "https://id.example.net/x"}; !slices.Equal(www.Names, want) || www.CommonName != "www.example.com" {
		t.Errorf("%q %q", www.CommonName, www.Names)
	}
}

// A67: weaknesses are told, and no kind of key keeps a certificate from being watched.
func TestKeysAndSignaturesAreDescribedAndWeaknessesNoted(t *testing.T) {
	l := corpus(t)
	l.Issue(opensslca.Request{File: "rsa", CA: true, Key: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"})
	l.Run("dsaparam -genkey -out dsa.key 1024")
	curve := func(name string) string { return "-algorithm EC -pkeyopt ec_paramgen_curve:" + name }
	cases := []struct {
		name           string
		r              opensslca.Request
		key, signature string
		notes          []string
	}{
		{"RSA", opensslca.Request{Issuer: "rsa", Key: "-algorithm RSA -pkeyopt rsa_keygen_bits:3072"}, "RSA 3072", "RSA with SHA-256", nil},
		{"a small RSA key", opensslca.Request{Issuer: "rsa", Key: "-algorithm RSA -pkeyopt rsa_keygen_bits:1024"}, "RSA 1024", "RSA with SHA-256", []string{"key.key_too_small"}},
		{"an RSA key with exponent 3", opensslca.Request{Issuer: "rsa", Key: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3"}, "RSA 2048", "RSA with SHA-256", []string{"key.weak_exponent"}},
		{"an RSA key for PSS alone", opensslca.Request{Key: "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"}, "RSASSA-PSS 2048", "RSASSA-PSS with SHA-256", nil},
		{"SHA-1", opensslca.Request{Issuer: "rsa", Options: "-md sha1"}, "P-256", "RSA with SHA-1", []string{"signature.weak"}},
		{"SHA-1 and ECDSA", opensslca.Request{Issuer: "root", Options: "-md sha1"}, "P-256", "ECDSA with SHA-1", []string{"signature.weak"}},
		{"MD5", opensslca.Request{Issuer: "rsa", Options: "-md md5"}, "P-256", "RSA with MD5", []string{"signature.weak"}},
		{"PSS with SHA-1", opensslca.Request{Issuer: "rsa", Options: "-md sha1 -sigopt rsa_padding_mode:pss"}, "P-256", "RSASSA-PSS with SHA-1", []string{"signature.weak"}},
		{"PSS with SHA-512", opensslca.Request{Issuer: "rsa", Options: "-md sha512 -sigopt rsa_padding_mode:pss"}, "P-256", "RSASSA-PSS with SHA-512", nil},
		{"a root signed with SHA-1", opensslca.Request{CA: true, Options: "-md sha1"}, "P-256", "ECDSA with SHA-1", nil},
		{"P-384", opensslca.Request{Issuer: "root", Key: curve("P-384"), Options: "-md sha384"}, "P-384", "ECDSA with SHA-384", nil},
		{"P-224", opensslca.Request{Issuer: "root", Key: curve("P-224")}, "P-224", "ECDSA with SHA-256", []string{"key.curve_not_allowed"}},
		{"P-192", opensslca.Request{Issuer: "root", Key: curve("P-192")}, "P-192", "ECDSA with SHA-256", []string{"key.key_too_small"}},
		{"brainpool", opensslca.Request{Issuer: "root", Key: curve("brainpoolP384r1")}, "brainpoolP384r1", "ECDSA with SHA-256", nil},
		{"secp256k1", opensslca.Request{Issuer: "root", Key: curve("secp256k1")}, "secp256k1", "ECDSA with SHA-256", nil},
		{"a curve that few know", opensslca.Request{Issuer: "root", Key: curve("sect283r1")}, "1.3.132.0.17", "ECDSA with SHA-256", nil},
		{"a curve without a name", opensslca.Request{Issuer: "root", Key: curve("P-256") + " -pkeyopt ec_param_enc:explicit"}, "EC", "ECDSA with SHA-256", []string{"key.unreadable"}},
		{"Ed25519", opensslca.Request{Key: "-algorithm ED25519", Options: "-md null"}, "Ed25519", "Ed25519", nil},
		{"Ed448", opensslca.Request{Key: "-algorithm ED448", Options: "-md null"}, "Ed448", "Ed448", nil},
		{"DSA", opensslca.Request{File: "dsa", Issuer: "root", Key: "old"}, "DSA 1024", "ECDSA with SHA-256", []string{"key.obsolete"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.r.File == "" {
				c.r.File = "test"
			}
			l.Issue(c.r)
			got := parse(t, l, c.r.File)
			checkFacts(t, got)
			var notes []string
			for _, n := range got.Notes {
				if notes = append(notes, n.Code); n.Text == "" {
					t.Errorf("a note without words: %+v", n)
				}
			}
			if got.Key.String() != c.key || got.Signature != c.signature || !slices.Equal(notes, c.notes) {
				t.Errorf("%s, %s, %q", got.Key, got.Signature, got.Notes)
			}
		})
	}
}

func TestOldAndOddCertificatesAreRead(t *testing.T) {
	l := corpus(t)
	l.Run("x509 -req -days 20000 -in www.csr -signkey www.key -set_serial 0x0 -out v1.pem")
	l.Issue(opensslca.Request{File: "late", Serial: "00FF", To: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)})
	l.Issue(opensslca.Request{File: "upn", Names: "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:kari@example.org,otherName:1.2.3;UTF8:x,dirName:dir,RID:1.2.3\n[dir]\nCN=inside"})
	negative := bytes.Replace(l.DER("late"), []byte{2, 2, 0, 0xff}, []byte{2, 2, 0xff, 0xfe}, 1)
	if v1 := parse(t, l, "v1"); v1.Serial != "0" || v1.Authority || len(v1.Names) != 0 {
		t.Errorf("version 1: %+v", v1)
	}
	if late := parse(t, l, "late"); late.Serial != "ff" || late.NotAfter.Year() != 9999 {
		t.Errorf("the end of time: %+v", late)
	}
	if c, err := bundle.Parse(negative); err != nil || c.Serial != "-2" {
		t.Errorf("a negative serial number: %+v, %v", c, err)
	}
	if upn := parse(t, l, "upn"); !slices.Equal(upn.Names, []string{"kari@example.org", "CN=inside"}) || len(upn.Notes) != 0 {
		t.Errorf("names of other kinds: %q %v", upn.Names, upn.Notes)
	}
	l.Issue(opensslca.Request{File: "bad", Names: "IP:192.0.2.7"})
	der := l.DER("bad")
	i := bytes.Index(der, []byte{0x30, 6, 0x87, 4, 192, 0, 2, 7})
	der[i+2] = 0x82 // a host with octets that no text has
	if c, err := bundle.Parse(der); err != nil || !clean(c.Names[0]) {
		t.Errorf("a name that is no text: %+v, %v", c, err)
	}
	der[i+1] = 7 // longer than what holds it
	if c, err := bundle.Parse(der); err != nil || len(c.Notes) != 1 || c.Notes[0].Code != "extension.unreadable" {
		t.Errorf("names that cannot be read: %+v, %v", c, err)
	}
}

// A67: the names are those that a search finds orders by, too.
func TestNamesAreFoundByTheirPartsAndTheDomainsAbove(t *testing.T) {
	l := corpus(t)
	got := parse(t, l, "www").SearchNames()
	for _, want := range []string{
		"www.example.com", "example.com", "*.shop.example.com", "shop.example.com", "192.0.2.7", "2001:db8::1",
		"web@mail.example.org", "mail.example.org", "example.org", "https://id.example.net/x", "id.example.net", "example.net", "sørensen og co",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not found by %q", want)
		}
	}
	for _, not := range []string{"com", "de", "org", "2.7", ""} {
		if slices.Contains(got, not) {
			t.Errorf("found by %q", not)
		}
	}
	if len(got) != 13 {
		t.Errorf("%q", got)
	}
}

func TestTheSetOfNamesDecidesWhatFollowsWhat(t *testing.T) {
	l := corpus(t)
	id := func(subject, names string) string {
		l.Issue(opensslca.Request{File: "x", Issuer: "sub", Subject: subject, Names: names})
		return parse(t, l, "x").Identity()
	}
	base := id("/CN=a.example.com", "DNS:a.example.com,DNS:b.example.com")
	for name, c := range map[string]struct {
		subject, names string
		same           bool
	}{
		"another order and other capitals": {"/O=Else/CN=b.example.com", "DNS:B.example.com,DNS:a.example.com,DNS:a.example.com", true},
		"one name less":                    {"/CN=a.example.com", "DNS:a.example.com", false},
		"one name more":                    {"/CN=a.example.com", "DNS:a.example.com,DNS:b.example.com,DNS:c.example.com", false},
	} {
		if (id(c.subject, c.names) == base) != c.same {
			t.Errorf("%s: the same is %t", name, !c.same)
		}
	}
	if id("/CN=a.example.com", "") != id("/O=x/CN=A.example.com", "DNS:a.example.com") {
		t.Error("a host in the common name is not taken for its name")
	}
	if id("/O=North/CN=Kari", "") == id("/O=South/CN=Kari", "") {
		t.Error("two people of one name are one")
	}
}

func TestChainsAreFoundBySignatureNotByNameAlone(t *testing.T) {
	l := corpus(t)
	l.Issue(opensslca.Request{File: "impostor", Issuer: "root", Subject: "/C=DE/O=Other/CN=Other Issuing", CA: true})
	l.Issue(opensslca.Request{File: "brainca", CA: true, Key: "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1"})
	l.Issue(opensslca.Request{File: "below", Issuer: "brainca"})
	l.Run("x509 -req -in www.csr -CA sub.pem -CAkey sub.key -CAcreateserial -days 9 -out plain.pem") // without key identifiers
	var all []*bundle.Certificate
	for _, name := range []string{"impostor", "below", "www", "plain", "root", "sub", "brainca"} {
		all = append(all, parse(t, l, name))
	}
	pool := bundle.NewPool(all)
	subjects := func(name string) (out []string) {
		for _, c := range pool.Chain(parse(t, l, name)) {
			out = append(out, c.SHA256)
		}
		return out
	}
	want := []string{fingerprint(l, "sub", "sha256"), fingerprint(l, "root", "sha256")}
	if got := subjects("www"); !slices.Equal(got, want) {
		t.Errorf("with key identifiers: %q", got)
	}
	if got := subjects("plain"); !slices.Equal(got, want) {
		t.Errorf("without: %q", got)
	}
	if got := subjects("below"); len(got) != 1 || got[0] != fingerprint(l, "brainca", "sha256") {
		t.Errorf("below an authority whose signatures cannot be verified: %q", got)
	}
	if got := subjects("root"); got != nil {
		t.Errorf("above the root: %q", got)
	}
}
