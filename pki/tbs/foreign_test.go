package tbs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/pki/dn"
)

// fromOpenSSL has openssl encode a value from its own description of ASN.1.
func fromOpenSSL(t *testing.T, description string) []byte {
	t.Helper()
	dir := t.TempDir()
	conf, out := filepath.Join(dir, "conf"), filepath.Join(dir, "der")
	if err := os.WriteFile(conf, []byte("asn1 = "+description), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("openssl", "asn1parse", "-genconf", conf, "-noout", "-out", out).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, text)
	}
	der, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A8, A9, A10, A14, A36: the statements of qualified certificates and Microsoft's
// extensions have the octets that openssl makes of their ASN.1.
func TestRareExtensionsHaveTheOctetsOfTheirASN1(t *testing.T) {
	all := QCStatements{
		Compliance: true, SSCD: true, Types: []asn1.ObjectIdentifier{QcESign}, Retention: 10,
		PDS:   []PDS{{"https://example.com/pds", "EN"}},
		Limit: &MonetaryLimit{"eur", 5, 3}, Legislation: []string{"ch"}, Semantics: SemanticsNatural,
	}
	template := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 8, 1, 2}
	for _, c := range []struct {
		name string
		got  Extension
		want string
	}{
		{"qualified statements", must(all.Extension()), `SEQUENCE:qc
			[qc]
			a=SEQUENCE:a
			b=SEQUENCE:b
			c=SEQUENCE:c
			d=SEQUENCE:d
			e=SEQUENCE:e
			f=SEQUENCE:f
			g=SEQUENCE:g
			h=SEQUENCE:h
			[a]
			x=OID:0.4.0.1862.1.1
			[b]
			x=OID:0.4.0.1862.1.2
			y=SEQUENCE:limit
			[limit]
			x=PRINTABLESTRING:EUR
			y=INTEGER:5
			z=INTEGER:3
			[c]
			x=OID:0.4.0.1862.1.3
			y=INTEGER:10
			[d]
			x=OID:0.4.0.1862.1.4
			[e]
			x=OID:0.4.0.1862.1.5
			y=SEQUENCE:places
			[places]
			x=SEQUENCE:place
			[place]
			x=IA5STRING:https://example.com/pds
			y=PRINTABLESTRING:en
			[f]
			x=OID:0.4.0.1862.1.6
			y=SEQUENCE:types
			[types]
			x=OID:0.4.0.1862.1.6.1
			[g]
			x=OID:0.4.0.1862.1.7
			y=SEQUENCE:countries
			[countries]
			x=PRINTABLESTRING:CH
			[h]
			x=OID:1.3.6.1.5.5.7.11.2
			y=SEQUENCE:semantics
			[semantics]
			x=OID:0.4.0.194121.1.1`},
		{"template", must(MicrosoftTemplate(template, 100, 5)), `SEQUENCE:t
			[t]
			x=OID:1.3.6.1.4.1.311.21.8.1.2
			y=INTEGER:100
			z=INTEGER:5`},
		{"template name", must(MicrosoftTemplateName("DomainController")), `BMPSTRING:DomainController`},
		{"application policies", must(ApplicationPolicies(ClientAuth, SmartCardLogon)), `SEQUENCE:p
			[p]
			x=SEQUENCE:a
			y=SEQUENCE:b
			[a]
			x=OID:1.3.6.1.5.5.7.3.2
			[b]
			x=OID:1.3.6.1.4.1.311.20.2.2`},
		{"security identifier", must(MicrosoftSID("S-1-5-21-1-2-4294967295-500")), `SEQUENCE:s
			[s]
			x=IMPLICIT:0,SEQUENCE:n
			[n]
			x=OID:1.3.6.1.4.1.311.25.2.1
			y=EXPLICIT:0,OCTETSTRING:S-1-5-21-1-2-4294967295-500`},
		{"must staple", MustStaple(), `SEQUENCE:f
			[f]
			x=INTEGER:5`},
		{"domain controller's name", must(SubjectAltName(SAN{Other: []OtherName{must(NTDSReplication("6B29FC40-CA47-1067-B31D-00DD010662DA"))}}, false)), `SEQUENCE:s
			[s]
			x=IMPLICIT:0,SEQUENCE:n
			[n]
			x=OID:1.3.6.1.4.1.311.25.1
			y=EXPLICIT:0,FORMAT:HEX,OCTETSTRING:40fc296b47ca6710b31d00dd010662da`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if want := fromOpenSSL(t, strings.ReplaceAll(c.want, "\t", "")); !bytes.Equal(c.got.Value, want) {
				t.Errorf("got  %x\nwant %x", c.got.Value, want)
			}
		})
	}
}

// A6: name constraints and the rarer alternative names, read by openssl and the
// standard library.
func TestConstraintsAndRareNamesAreReadByOthers(t *testing.T) {
	caKey := p256(t)
	_, network, err := net.ParseCIDR("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	directory := must(dn.Name{{Type: dn.O, Value: "Example"}}.DER())
	c := rootOf(caKey)
	c.Extensions = append(c.Extensions,
		must(NameConstraints(
			Subtrees{DNS: []string{"example.com"}, Email: []string{"example.com", "a@example.org"}, IP: []net.IPNet{*network}, Directory: [][]byte{directory}},
			Subtrees{URI: []string{".example.net"}})),
		must(CertificatePolicies(Policy{ID: asn1.ObjectIdentifier{1, 2, 3}, CPS: "https://example.com/cps", Notice: "Læs først"})),
		must(SubjectAltName(SAN{DirectoryNames: [][]byte{directory}, RegisteredIDs: []asn1.ObjectIdentifier{{1, 2, 3, 4}}, Other: []OtherName{must(SmtpUTF8Mailbox("åse@example.com"))}}, false)),
		must(QCStatements{Compliance: true}.Extension()))
	cert := signed(t, c, caKey)
	if cert.PermittedDNSDomains[0] != "example.com" || cert.PermittedEmailAddresses[1] != "a@example.org" || cert.PermittedIPRanges[0].String() != "192.0.2.0/24" ||
		cert.ExcludedURIDomains[0] != ".example.net" {
		t.Errorf("crypto/x509 reads %+v", cert)
	}
	out := run(t, "openssl", "x509", "-noout", "-text", "-in", writePEM(t, "cert.pem", cert))
	for _, want := range []string{
		"X509v3 Name Constraints: critical", "Permitted:\n                  DNS:example.com", "IP:192.0.2.0/255.255.255.0", "DirName:O = Example",
		"Excluded:\n                  URI:.example.net", "Explicit Text: L", "DirName:/O=Example", "Registered ID:1.2.3.4", "SmtpUTF8Mailbox:", "qcStatements",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not show %q:\n%s", want, out)
		}
	}
	if _, err := x509.ParseCertificate(cert.Raw); err != nil {
		t.Error(err)
	}
}

func TestRareExtensionsRefuseMalformedValues(t *testing.T) {
	san := func(s SAN) error { return second(SubjectAltName(s, false)) }
	for name, err := range map[string]error{
		"no statement":                          second(QCStatements{}.Extension()),
		"a disclosure statement over http":      second(QCStatements{PDS: []PDS{{"http://example.com", "en"}}}.Extension()),
		"a disclosure statement in no language": second(QCStatements{PDS: []PDS{{"https://example.com", "eng"}}}.Extension()),
		"a country of three letters":            second(QCStatements{Legislation: []string{"CHE"}}.Extension()),
		"a limit without a currency":            second(QCStatements{Limit: &MonetaryLimit{"", 1, 1}}.Extension()),
		"a template of a negative version":      second(MicrosoftTemplate(asn1.ObjectIdentifier{1, 2, 3}, -1, 0)),
		"a template without a name":             second(MicrosoftTemplateName("")),
		"no application policy":                 second(ApplicationPolicies()),
		"an identifier without sub-authority":   second(MicrosoftSID("S-1-5")),
		"an identifier of revision 2":           second(MicrosoftSID("S-2-5-21")),
		"an identifier with a plus sign":        second(MicrosoftSID("S-1-5-+21")),
		"an identifier with a leading zero":     second(MicrosoftSID("S-1-5-021")),
		"an identifier that is too large":       second(MicrosoftSID("S-1-5-4294967296")),
		"a GUID that is too short":              second(NTDSReplication("6b29fc40-ca47-1067-b31d")),
		"a GUID of other groups":                second(NTDSReplication("6b29fc40ca-47-1067-b31d-00dd010662da")),
		"no constraint":                         second(NameConstraints(Subtrees{}, Subtrees{})),
		"an empty domain":                       second(NameConstraints(Subtrees{DNS: []string{""}}, Subtrees{})),
		"a wildcard domain":                     second(NameConstraints(Subtrees{DNS: []string{"*.example.com"}}, Subtrees{})),
		"an empty mailbox":                      second(NameConstraints(Subtrees{}, Subtrees{Email: []string{""}})),
		"a network without a mask":              second(NameConstraints(Subtrees{}, Subtrees{IP: []net.IPNet{{IP: net.IPv4zero}}})),
		"a notice of 201 characters":            second(CertificatePolicies(Policy{ID: asn1.ObjectIdentifier{1, 2}, Notice: strings.Repeat("ø", 201)})),
		"an empty directory name":               san(SAN{DirectoryNames: [][]byte{{0x30, 0}}}),
		"an impossible registered identifier":   san(SAN{RegisteredIDs: []asn1.ObjectIdentifier{{3, 1}}}),
		"an other name of two elements":         san(SAN{Other: []OtherName{{asn1.ObjectIdentifier{1, 2}, []byte{5, 0, 5, 0}}}}),
		"an international address at nobody":    second(SmtpUTF8Mailbox("æ@")),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
