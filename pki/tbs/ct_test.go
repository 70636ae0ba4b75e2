package tbs

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
)

// sctList frames opaque SCTs as RFC 6962, 3.3 does.
func sctList(scts ...string) []byte {
	var body []byte
	for _, s := range scts {
		body = append(append(body, byte(len(s)>>8), byte(len(s))), s...)
	}
	return append([]byte{byte(len(body) >> 8), byte(len(body))}, body...)
}

var someSCTs = sctList(strings.Repeat("a", 119), strings.Repeat("b", 119))

// The poison is taken out and nothing else changes. The oracle is
// crypto/x509, which builds both certificates from scratch; the poison stands
// first, in the middle and last.
func TestReplacePoisonGivesTheCertificateBuiltFromScratch(t *testing.T) {
	caKey, key := p256(t), p256(t)
	root := signed(t, rootOf(caKey), caKey)
	others := leafOf(key, caKey).Extensions
	listValue := must(asn1.Marshal(someSCTs))
	for position := range len(others) + 1 {
		c := leafOf(key, caKey)
		c.Extensions = slices.Insert(slices.Clone(others), position, Poison())
		final, err := ReplacePoison(bytesOf(t, c), someSCTs)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: signed(t, c, caKey).SerialNumber, RawSubject: c.Subject, NotBefore: notBefore, NotAfter: notAfter}
		for _, e := range c.Extensions {
			if e.ID.Equal(oidPoison) {
				e = Extension{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: listValue}
			}
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: e.ID, Critical: e.Critical, Value: e.Value})
		}
		parsed := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, root, key.Public(), caKey))))
		if !bytes.Equal(final, parsed.RawTBSCertificate) {
			t.Errorf("poison at %d: got  %x\nwant %x", position, final, parsed.RawTBSCertificate)
		}
		// RFC 6962, 3.2: what the logs signed is the same for both.
		if !bytes.Equal(must(LogTBS(bytesOf(t, c))), must(LogTBS(final))) {
			t.Errorf("poison at %d: the logs would have signed something else", position)
		}
		c.Extensions = others
		if !bytes.Equal(must(LogTBS(final)), bytesOf(t, c)) {
			t.Errorf("poison at %d: LogTBS is not the certificate without its SCTs", position)
		}
	}
}

func TestOpenSSLReadsTheFinalCertificate(t *testing.T) {
	caKey := p256(t)
	root := signed(t, rootOf(caKey), caKey)
	c := leafOf(caKey, caKey)
	c.Extensions = append(c.Extensions, Poison())
	pre := writePEM(t, "pre.pem", signed(t, c, caKey))
	if out := run(t, "openssl", "x509", "-in", pre, "-noout", "-text"); !strings.Contains(out, "CT Precertificate Poison: critical") {
		t.Errorf("openssl sees no pre-certificate:\n%s", out)
	}
	// A version 1 SCT with a dummy key and signature, so that openssl takes it apart.
	sct := "\x00" + strings.Repeat("K", 32) + "\x00\x00\x01\x90\x00\x00\x00\x00" + "\x00\x00" + "\x04\x03\x00\x08" + "\x30\x06\x02\x01\x01\x02\x01\x01"
	der := must(Sign(must(ReplacePoison(bytesOf(t, c), sctList(sct))), c.Algorithm, caKey))
	final := writePEM(t, "final.pem", must(x509.ParseCertificate(der)))
	run(t, "openssl", "verify", "-x509_strict", "-CAfile", writePEM(t, "root.pem", root), final)
	out := run(t, "openssl", "x509", "-in", final, "-noout", "-text")
	if !strings.Contains(out, "Signed Certificate Timestamp:") || !strings.Contains(out, "ecdsa-with-SHA256") || strings.Contains(out, "Poison") {
		t.Errorf("openssl does not read the SCT list:\n%s", out)
	}
}

func TestReplacePoisonRefuses(t *testing.T) {
	caKey := p256(t)
	build := func(extensions ...Extension) []byte {
		c := leafOf(caKey, caKey)
		c.Extensions = append(c.Extensions, extensions...)
		return bytesOf(t, c)
	}
	good := build(Poison())
	lenient, wrong := Poison(), Poison()
	lenient.Critical = false
	wrong.Value = []byte{1, 1, 0xff}
	final := must(ReplacePoison(good, someSCTs))
	twice := bytes.Replace(build(Poison(), Extension{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 9}, Critical: true, Value: []byte{5, 0}}),
		[]byte("\xd6\x79\x02\x04\x09"), []byte("\xd6\x79\x02\x04\x03"), 1)
	for _, test := range []struct {
		name      string
		pre, list []byte
		want      string
	}{
		{"a certificate without poison", build(), someSCTs, "exactly one poison"},
		{"two poisons", twice, someSCTs, "exactly one poison"},
		{"a poison that is not critical", build(lenient), someSCTs, "poison extension is malformed"},
		{"a poison with another value", build(wrong), someSCTs, "poison extension is malformed"},
		{"a final certificate", final, someSCTs, "no poison"},
		{"poison and SCT list together", build(Poison(), Extension{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: []byte{4, 0}}), someSCTs, "exactly one"},
		{"trailing octets", append(bytes.Clone(good), 0), someSCTs, "not a TBSCertificate"},
		{"a TBSCertificate cut short", good[:len(good)-1], someSCTs, "not a TBSCertificate"},
		{"nothing", nil, someSCTs, "not a TBSCertificate"},
		{"no SCTs", good, nil, "SCT list"},
		{"an empty SCT list", good, sctList(), "SCT list"},
		{"an empty SCT", good, sctList(""), "SCT list"},
		{"an SCT list with trailing octets", good, append(bytes.Clone(someSCTs), 0), "SCT list"},
		{"an SCT list in DER", good, must(asn1.Marshal(someSCTs)), "SCT list"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ReplacePoison(test.pre, test.list); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func FuzzReplacePoison(f *testing.F) {
	caKey := p256(f)
	c := leafOf(caKey, caKey)
	c.Extensions = append(c.Extensions, Poison())
	f.Add(bytesOf(f, c), someSCTs)
	c.Extensions = []Extension{Poison()}
	f.Add(bytesOf(f, c), someSCTs)
	f.Fuzz(func(t *testing.T, pre, list []byte) {
		final, err := ReplacePoison(pre, list)
		if err != nil {
			return
		}
		before, err := LogTBS(pre)
		if err != nil {
			t.Fatal(err)
		}
		after, err := LogTBS(final)
		if err != nil || !bytes.Equal(before, after) {
			t.Fatalf("the logs would have signed something else: %v", err)
		}
		if _, err := ReplacePoison(final, list); err == nil {
			t.Fatal("the poison is still there")
		}
		if !bytes.Contains(final, list) {
			t.Fatal("the SCT list is not in the certificate")
		}
	})
}

func BenchmarkReplacePoison(b *testing.B) {
	caKey := p256(b)
	c := leafOf(caKey, caKey)
	c.Extensions = append(c.Extensions, Poison())
	pre := bytesOf(b, c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReplacePoison(pre, someSCTs); err != nil {
			b.Fatal(err)
		}
	}
}
