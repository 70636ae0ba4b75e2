package cms_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/pki/cms"
)

// openssl 3.0 does not know Ed25519 in CMS; GnuTLS judges that below.
func TestOpenSSLVerifiesWhatWeSign(t *testing.T) {
	for name, s := range variants(t) {
		if name == "ed25519" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.keyFiles(identity{"ca", s.Key, s.Certificate})
			args := []string{"cms", "-verify", "-binary", "-inform", "DER", "-CAfile", "ca.pem", "-purpose", "any", "-out", "out"}
			if s.SigningCertificate {
				args = append(args, "-cades") // RFC 5126: signing-certificate-v2 must be right
			}
			b.write("attached", sign(t, cms.Message{Certificates: [][]byte{s.Certificate.Raw}}, text, s))
			b.run("openssl", append(args, "-in", "attached")...)
			if !bytes.Equal(b.read("out"), text) {
				t.Error("openssl verified other content")
			}
			b.write("detached", sign(t, cms.Message{Detached: true, Certificates: [][]byte{s.Certificate.Raw}}, text, s))
			b.write("content", text)
			b.run("openssl", append(args, "-in", "detached", "-content", "content")...)
		})
	}
}

func TestOpenSSLVerifiesSeveralSignersAndOtherContentTypes(t *testing.T) {
	b := newBench(t)
	ids := identities(t, "rsa", "p256")
	var roots []byte
	m := cms.Message{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}}
	var signers []cms.Signer
	for _, id := range ids {
		b.keyFiles(id)
		roots = append(roots, b.read(id.name+".pem")...)
		m.Certificates = append(m.Certificates, id.cert.Raw)
		signers = append(signers, cms.Signer{Key: id.key, Certificate: id.cert})
	}
	b.write("roots", roots)
	b.write("message", sign(t, m, text, signers...))
	b.run("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "message", "-CAfile", "roots", "-purpose", "any", "-out", "out")
	if !bytes.Equal(b.read("out"), text) {
		t.Error("openssl verified other content")
	}
	// All of it is DER: encoding it again changes nothing.
	b.run("openssl", "cms", "-cmsout", "-inform", "DER", "-in", "message", "-outform", "DER", "-out", "again")
	if !bytes.Equal(b.read("again"), b.read("message")) {
		t.Error("openssl encodes the message differently")
	}
}

func TestOpenSSLReadsAMessageOfCertificatesOnly(t *testing.T) {
	b := newBench(t)
	ids := identities(t, "p256", "p384")
	der := sign(t, cms.Message{Certificates: [][]byte{ids[0].cert.Raw, ids[1].cert.Raw}}, nil)
	b.write("certs.p7c", der)
	out := b.run("openssl", "pkcs7", "-inform", "DER", "-in", "certs.p7c", "-print_certs", "-noout")
	if strings.Count(out, "subject=") != 2 {
		t.Errorf("openssl sees %s", out)
	}
	d := parse(t, der)
	if len(d.Certificates) != 2 || !d.Detached {
		t.Errorf("parsed %+v", d)
	}
	if _, err := d.Verify(cms.Check{Content: []byte{}}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("nobody signed, and yet: %v", err)
	}
}

func TestGnuTLSVerifiesEd25519AndRSA(t *testing.T) {
	for _, id := range identities(t, "ed25519", "rsa", "p256") {
		b := newBench(t)
		b.keyFiles(id)
		b.write("message", sign(t, cms.Message{Certificates: [][]byte{id.cert.Raw}}, text, cms.Signer{Key: id.key, Certificate: id.cert}))
		out := b.run("certtool", "--p7-verify", "--inder", "--infile", "message", "--load-ca-certificate", id.name+".pem")
		if !strings.Contains(out, "Signature status: ok") {
			t.Errorf("%s: %s", id.name, out)
		}
	}
}

func TestWeVerifyWhatOpenSSLSigns(t *testing.T) {
	ids := identities(t, "rsa", "p256", "p384", "p521")
	for _, c := range []struct {
		name, key string
		args      []string
		detached  bool
		bound     bool
	}{
		{"attached", "rsa", []string{"-nodetach"}, false, false},
		{"streamed, with indefinite lengths and the content in pieces", "rsa", []string{"-nodetach", "-stream"}, false, false},
		{"detached", "p256", nil, true, false},
		{"without attributes", "rsa", []string{"-nodetach", "-noattr"}, false, false},
		{"without attributes, detached", "p384", []string{"-noattr"}, true, false},
		{"named by key identifier", "p384", []string{"-nodetach", "-keyid"}, false, false},
		{"CAdES", "p521", []string{"-nodetach", "-cades"}, false, true},
		{"PSS", "rsa", []string{"-nodetach", "-keyopt", "rsa_padding_mode:pss", "-md", "sha384"}, false, false},
		{"PSS with a short salt", "rsa", []string{"-nodetach", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20", "-md", "sha256"}, false, false},
		{"PSS without salt", "rsa", []string{"-nodetach", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:0", "-md", "sha256"}, false, false},
		{"SHA-512", "rsa", []string{"-nodetach", "-md", "sha512"}, false, false},
		{"without certificates", "p256", []string{"-nodetach", "-nocerts"}, false, false},
		{"the signer's certificate among others", "p256", []string{"-nodetach", "-certfile", "rsa.pem"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			for _, id := range ids {
				b.keyFiles(id)
			}
			content := bytes.Repeat(text, 2000) // several pieces
			b.write("content", content)
			b.run("openssl", append([]string{"cms", "-sign", "-binary", "-in", "content", "-signer", c.key + ".pem", "-inkey", c.key + ".key", "-outform", "DER", "-out", "message"}, c.args...)...)
			d := parse(t, b.read("message"))
			if d.Detached != c.detached {
				t.Fatalf("detached: %v", d.Detached)
			}
			check := cms.Check{}
			for _, id := range ids {
				check.Certificates = append(check.Certificates, id.cert)
			}
			if c.detached {
				check.Content = content
			}
			all, err := d.Verify(check)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(all[0].Content, content) || all[0].Certificate.Subject.CommonName != c.key || all[0].Bound != c.bound {
				t.Errorf("verified %d octets by %s, bound %v", len(all[0].Content), all[0].Certificate.Subject, all[0].Bound)
			}
		})
	}
}

// Row 24 of the rules of the trade: SHA-1 nowhere.
func TestSHA1IsRefused(t *testing.T) {
	b := newBench(t)
	id := identities(t, "rsa")[0]
	b.keyFiles(id)
	b.write("content", text)
	for name, more := range map[string][]string{
		"SHA-1":                    {"-md", "sha1"},
		"PSS, whose default it is": {"-md", "sha1", "-keyopt", "rsa_padding_mode:pss"},
		"in the mask of PSS":       {"-md", "sha256", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"},
	} {
		args := []string{"cms", "-sign", "-binary", "-nodetach", "-in", "content", "-signer", "rsa.pem", "-inkey", "rsa.key", "-outform", "DER", "-out", "message"}
		b.run("openssl", append(args, more...)...)
		if _, err := parse(t, b.read("message")).Verify(cms.Check{}); !errors.Is(err, cms.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEncryptedMessageIsToldApart(t *testing.T) {
	b := newBench(t)
	b.keyFiles(identities(t, "rsa")[0])
	b.write("content", text)
	b.run("openssl", "cms", "-encrypt", "-binary", "-in", "content", "-outform", "DER", "-out", "message", "rsa.pem")
	if _, err := cms.Parse(b.read("message")); !errors.Is(err, cms.ErrMalformed) || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("EnvelopedData: %v", err)
	}
}
