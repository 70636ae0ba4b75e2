package tbs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"strings"
	"testing"
)

func TestKeyUsageBitsAgreeWithStandardLibrary(t *testing.T) {
	caKey := p256(t)
	for usage := x509.KeyUsage(1); usage < 1<<9; usage++ {
		c := rootOf(caKey)
		c.Extensions[1] = must(KeyUsage(usage))
		if cert := signed(t, c, caKey); cert.KeyUsage != usage {
			t.Fatalf("key usage %09b became %09b", usage, cert.KeyUsage)
		}
		var list asn1.BitString
		if _, err := asn1.Unmarshal(c.Extensions[1].Value, &list); err != nil || list.At(list.BitLength-1) != 1 {
			t.Fatalf("key usage %09b is not in DER: %x, %v", usage, c.Extensions[1].Value, err)
		}
	}
}

func TestBasicConstraintsCarryThePathLength(t *testing.T) {
	caKey := p256(t)
	for _, test := range []struct {
		ca       bool
		pathLen  int
		want     int
		wantZero bool
	}{{true, -1, -1, false}, {true, 0, 0, true}, {true, 3, 3, false}, {false, 3, -1, false}} {
		c := rootOf(caKey)
		c.Extensions[0] = BasicConstraints(test.ca, test.pathLen)
		cert := signed(t, c, caKey)
		if cert.IsCA != test.ca || cert.MaxPathLen != test.want || cert.MaxPathLenZero != test.wantZero {
			t.Errorf("%+v became CA %v, path length %d", test, cert.IsCA, cert.MaxPathLen)
		}
	}
}

func TestKeyIDIsTheTruncatedHashOfTheKeyBits(t *testing.T) {
	key := p256(t)
	point := must(key.PublicKey.Bytes())
	want := sha256.Sum256(point)
	got, err := KeyID(spkiOf(key))
	if err != nil || !bytes.Equal(got[:], want[:20]) {
		t.Errorf("got %x, %v; want %x", got, err, want[:20])
	}
	if cert := signed(t, rootOf(key), key); !bytes.Equal(cert.SubjectKeyId, want[:20]) {
		t.Errorf("the certificate carries %x", cert.SubjectKeyId)
	}
}

func TestRarerExtensionsReadWellInOpenSSL(t *testing.T) {
	caKey := p256(t)
	c := rootOf(caKey)
	c.Extensions = append(c.Extensions,
		must(ExtKeyUsage(TimeStamping)),
		must(CertificatePolicies(Policy{ID: asn1.ObjectIdentifier{1, 2, 3, 4}, CPS: "https://example.com/cps"}, Policy{ID: asn1.ObjectIdentifier{1, 2, 3, 5}})),
		must(SubjectAltName(SAN{UPN: []string{"åse@example.com"}}, true)),
		must(CRLDistributionPoints("http://a.example.com/1.crl", "http://b.example.com/1.crl")),
		OCSPNoCheck(),
		must(Custom(asn1.ObjectIdentifier{1, 2, 3, 9}, false, []byte{0x0c, 2, 'h', 'i'})),
	)
	out := run(t, "openssl", "x509", "-noout", "-text", "-in", writePEM(t, "cert.pem", signed(t, c, caKey)))
	for _, want := range []string{
		"X509v3 Extended Key Usage: critical\n                Time Stamping\n",
		"Policy: 1.2.3.4\n                  CPS: https://example.com/cps\n                Policy: 1.2.3.5",
		"X509v3 Subject Alternative Name: critical\n                othername: UPN:",
		"Full Name:\n                  URI:http://a.example.com/1.crl\n                  URI:http://b.example.com/1.crl",
		"OCSP No Check:", "1.2.3.9: \n                ..hi",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not show %q:\n%s", want, out)
		}
	}
	if mixed := must(ExtKeyUsage(TimeStamping, ClientAuth)); mixed.Critical {
		t.Error("a mixed extended key usage is critical")
	}
}

func TestExtensionsRefuseMalformedValues(t *testing.T) {
	san := func(s SAN) error { return second(SubjectAltName(s, false)) }
	for name, err := range map[string]error{
		"no key usage":                        second(KeyUsage(0)),
		"an unknown key usage":                second(KeyUsage(1 << 9)),
		"no purpose":                          second(ExtKeyUsage()),
		"an impossible purpose":               second(ExtKeyUsage(asn1.ObjectIdentifier{3, 1})),
		"a key that is none":                  second(SubjectKeyID([]byte{0x30, 0})),
		"no authority key identifier":         second(AuthorityKeyID(nil)),
		"no access":                           second(AIA(nil, nil)),
		"an OCSP URL with a space":            second(AIA([]string{"http://a b"}, nil)),
		"a CA URL without scheme":             second(AIA(nil, []string{"example.com/ca"})),
		"no CRL":                              second(CRLDistributionPoints()),
		"an empty CRL URL":                    second(CRLDistributionPoints("")),
		"no policy":                           second(CertificatePolicies()),
		"a policy twice":                      second(CertificatePolicies(Policy{ID: asn1.ObjectIdentifier{1, 2, 3}}, Policy{ID: asn1.ObjectIdentifier{1, 2, 3}})),
		"a CPS that is no URL":                second(CertificatePolicies(Policy{ID: asn1.ObjectIdentifier{1, 2, 3}, CPS: "cps"})),
		"a custom value of two elements":      second(Custom(asn1.ObjectIdentifier{1, 2, 3}, false, []byte{5, 0, 5, 0})),
		"a custom value that is cut short":    second(Custom(asn1.ObjectIdentifier{1, 2, 3}, false, []byte{4, 1})),
		"no name":                             san(SAN{}),
		"an empty DNS name":                   san(SAN{DNS: []string{""}}),
		"a NUL in a DNS name":                 san(SAN{DNS: []string{"a.example.com\x00.evil.test"}}),
		"a DNS name beyond ASCII":             san(SAN{DNS: []string{"bøf.example.com"}}),
		"a DNS name with a trailing dot":      san(SAN{DNS: []string{"example.com."}}),
		"a wildcard within a label":           san(SAN{DNS: []string{"a*.example.com"}}),
		"a wildcard further right":            san(SAN{DNS: []string{"a.*.example.com"}}),
		"a bare wildcard":                     san(SAN{DNS: []string{"*"}}),
		"a label of 64 characters":            san(SAN{DNS: []string{strings.Repeat("a", 64) + ".com"}}),
		"a DNS name of 255 characters":        san(SAN{DNS: []string{strings.Repeat("a.", 127) + "a"}}),
		"an e-mail address without at sign":   san(SAN{Email: []string{"example.com"}}),
		"an e-mail address without a mailbox": san(SAN{Email: []string{"@example.com"}}),
		"an e-mail address without a domain":  san(SAN{Email: []string{"a@"}}),
		"an e-mail address at a wildcard":     san(SAN{Email: []string{"a@*.example.com"}}),
		"an e-mail address with a name":       san(SAN{Email: []string{"A <a@example.com>"}}),
		"a URI without a scheme":              san(SAN{URI: []string{"//example.com"}}),
		"a URI that begins with a digit":      san(SAN{URI: []string{"1a:b"}}),
		"an IP address of five octets":        san(SAN{IP: []net.IP{make([]byte, 5)}}),
		"an empty UPN":                        san(SAN{UPN: []string{""}}),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
