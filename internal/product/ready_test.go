package product

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/tbs"
)

// now lies under the limit of 200 days.
var now = time.Date(2026, time.September, 1, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var keys = sync.OnceValue(func() map[string]crypto.Signer {
	return map[string]crypto.Signer{
		"ec":  must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"rsa": must(rsa.GenerateKey(rand.Reader, 3072)),
		"ca":  must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
	}
})

func spki(name string) []byte { return must(x509.MarshalPKIXPublicKey(keys()[name].Public())) }

// issue makes the certificate of a profile as an authority would.
func issue(t testing.TB, out *Profile, key string) *x509.Certificate {
	t.Helper()
	ca := keys()["ca"]
	alg := must(tbs.ForKey(ca.Public()))
	id := must(tbs.KeyID(spki("ca")))
	issuer := must(dn.Name{{Type: dn.C, Value: "DK"}, {Type: dn.O, Value: "Example"}, {Type: dn.CN, Value: "Example CA"}}.DER())
	extensions := append(slices.Clone(out.Extensions), must(tbs.AuthorityKeyID(id[:])),
		must(tbs.AIA([]string{"http://ocsp.example.com"}, []string{"http://aia.example.com/ca.cer"})),
		must(tbs.CRLDistributionPoints("http://crl.example.com/ca.crl")))
	if out.SubjectKeyID {
		extensions = append(extensions, must(tbs.SubjectKeyID(spki(key))))
	}
	c := tbs.Certificate{
		Serial: tbs.NewSerial(now, rand.Reader), Algorithm: alg, Issuer: issuer, Subject: out.Subject,
		NotBefore: now, NotAfter: out.NotAfter(now), SPKI: spki(key), Extensions: extensions,
	}
	raw, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der := must(tbs.Sign(raw, alg, ca))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// text is what openssl shows of a certificate.
func text(t testing.TB, cert *x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cert.der")
	if err := os.WriteFile(file, cert.Raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "x509", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253,utf8,-esc_msb", "-in", file).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return string(out)
}

// lints are the findings of zlint of at least a warning; outside public trust, the
// rules of RFC 5280 and ETSI alone apply.
func lints(t testing.TB, cert *x509.Certificate, public bool) []string {
	t.Helper()
	parsed, err := zx509.ParseCertificate(cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	registry := lint.GlobalRegistry()
	if !public {
		registry, err = registry.Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280, lint.RFC3279, lint.RFC5480, lint.EtsiEsi}})
		if err != nil {
			t.Fatal(err)
		}
	}
	var out []string
	for name, r := range zlint.LintCertificateEx(parsed, registry).Results {
		if r.Status >= lint.Warn {
			out = append(out, fmt.Sprintf("%s: %s %s", name, r.Status, r.Details))
		}
	}
	slices.Sort(out)
	return out
}

// sample is a request that a ready-made product fulfils, what openssl must show
// of the certificate, and which lints speak up although all is well.
type sample struct {
	request Request
	shows   []string
	quiet   []string
	usage   x509.KeyUsage // with an RSA key
}

func values(pairs ...string) map[string][]string {
	out := map[string][]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = append(out[pairs[i]], pairs[i+1])
	}
	return out
}

const minor = "Ung mellem 15 og 18 - Kan som udgangspunkt ikke lave juridisk bindende aftaler"

const (
	signs   = x509.KeyUsageDigitalSignature
	commits = x509.KeyUsageContentCommitment
	wraps   = x509.KeyUsageKeyEncipherment
	data    = x509.KeyUsageDataEncipherment
)

func samples() map[string]sample {
	noKeyID := []string{"w_ext_subject_key_identifier_missing_sub_cert"} // TLS BR 7.1.2.7.6 against RFC 5280, 4.2.1.2
	organisation := values("subject.C", "dk", "subject.O", "Eksempel A/S", "subject.L", "Aarhus", "subject.organizationIdentifier", "NTRDK-12345678")
	person := values("subject.C", "DK", "subject.GN", "Åse", "subject.SN", "Ødegård")
	with := func(m map[string][]string, pairs ...string) map[string][]string {
		m = maps.Clone(m)
		maps.Copy(m, values(pairs...))
		return m
	}
	without := func(m map[string][]string, names ...string) map[string][]string {
		m = maps.Clone(m)
		for _, n := range names {
			delete(m, n)
		}
		return m
	}
	mail := []string{"aase@example.dk"}
	company := without(organisation, "subject.organizationIdentifier", "subject.L")
	both := map[string][]string{}
	maps.Copy(both, person)
	maps.Copy(both, without(organisation, "subject.L"))
	eid := func(kind string) map[string][]string {
		return values("subject.O", "Eksempel A/S // CVR:12345678", "subject.serialNumber", "CVR:12345678-"+kind+":42", "subject.CN", "Eksempel")
	}
	eidUsage := signs | commits | wraps | data
	sponsor := sample{Request{Fields: both, Email: mail}, []string{"CN=Åse Ødegård,SN=Ødegård,GN=Åse,organizationIdentifier=NTRDK-12345678,O=Eksempel A/S,C=DK", "email:aase@example.dk"}, nil, signs | wraps}
	legal := sample{Request{Fields: without(organisation, "subject.L"), Email: mail}, []string{"CN=Eksempel A/S,organizationIdentifier=NTRDK-12345678,O=Eksempel A/S,C=DK", "email:aase@example.dk"}, nil, signs | wraps}
	natural := sample{Request{Fields: person, Email: mail}, []string{"CN=Åse Ødegård,SN=Ødegård,GN=Åse,C=DK"}, nil, signs | wraps}
	box := sample{Request{Email: mail}, []string{"CN=aase@example.dk", "email:aase@example.dk"}, nil, signs | wraps}
	show := func(s sample, more ...string) sample { s.shows = append(slices.Clone(s.shows), more...); return s }
	return map[string]sample{
		"tls-server-dv": {
			Request{DNS: []DNSName{{Name: "*.Blåbær.dk", WithBase: true}, {Name: "example.dk", WithWWW: true}}},
			[]string{"DNS:*.xn--blbr-roah.dk, DNS:xn--blbr-roah.dk, DNS:example.dk, DNS:www.example.dk", "Subject Alternative Name: critical", "2.23.140.1.2.1", "TLS Web Server Authentication\n"},
			noKeyID, signs | wraps,
		},
		"tls-server-ov": {
			Request{DNS: []DNSName{{Name: "example.dk"}}, Fields: without(organisation, "subject.organizationIdentifier")},
			[]string{"Subject: O=Eksempel A/S,L=Aarhus,C=DK", "DNS:example.dk", "2.23.140.1.2.2"},
			noKeyID, signs | wraps,
		},
		"tls-server-private": {
			Request{DNS: []DNSName{{Name: "server.internal"}}, IP: []string{"10.0.0.1", "::ffff:10.0.0.2", "FE80::1"}, Validity: 100},
			[]string{"CN=server.internal", "DNS:server.internal, IP Address:10.0.0.1, IP Address:10.0.0.2, IP Address:FE80:0:0:0:0:0:0:1"},
			nil, signs | wraps,
		},
		"tls-client": {
			Request{SubjectDN: "commonname=device 1, o=Eksempel, c=dk", Extensions: RequestExtensions{Role: "reader", DeviceSerial: "42", Scope: "00FF"}},
			[]string{"CN=device 1,O=Eksempel,C=DK", "TLS Web Client Authentication", "1.3.6.1.4.1.43121.1.4.2.0.1", "1.3.6.1.4.1.43121.1.4.2.0.2", "1.3.6.1.4.1.43121.1.4.2.0.3"},
			nil, signs,
		},
		"smime-mailbox-strict":            show(box, "2.23.140.1.5.1.3", "E-mail Protection\n"),
		"smime-mailbox-multipurpose":      show(box, "2.23.140.1.5.1.2", "E-mail Protection, TLS Web Client Authentication"),
		"smime-organisation-strict":       show(legal, "2.23.140.1.5.2.3"),
		"smime-organisation-multipurpose": show(legal, "2.23.140.1.5.2.2"),
		"smime-sponsor-strict":            show(sponsor, "2.23.140.1.5.3.3"),
		"smime-sponsor-multipurpose":      show(sponsor, "2.23.140.1.5.3.2"),
		"smime-individual-strict":         show(natural, "2.23.140.1.5.4.3"),
		"smime-individual-multipurpose":   show(natural, "2.23.140.1.5.4.2"),
		"document-signing":                {Request{Fields: person}, []string{"CN=Åse Ødegård,SN=Ødegård,GN=Åse,C=DK", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.311.10.3.12"}, nil, commits},
		"document-sealing":                {Request{Fields: without(organisation, "subject.L")}, []string{"CN=Eksempel A/S,organizationIdentifier=NTRDK-12345678,O=Eksempel A/S,C=DK"}, nil, signs | commits},
		"qualified-person": {
			Request{Fields: with(person, "subject.serialNumber", "PNODK-0101701234")},
			[]string{"CN=Åse Ødegård,SN=Ødegård,GN=Åse,serialNumber=PNODK-0101701234,C=DK", "qcStatements", "0.4.0.194112.1.2"},
			nil, commits,
		},
		"qualified-seal": {Request{Fields: without(organisation, "subject.L")}, []string{"CN=Eksempel A/S,organizationIdentifier=NTRDK-12345678,O=Eksempel A/S,C=DK", "qcStatements", "0.4.0.194112.1.3"}, nil, commits},
		"code-signing":   {Request{Fields: without(organisation, "subject.organizationIdentifier")}, []string{"CN=Eksempel A/S,O=Eksempel A/S,L=Aarhus,C=DK", "Code Signing"}, nil, signs},
		"time-stamping":  {Request{Fields: with(company, "subject.CN", "TSU 1")}, []string{"CN=TSU 1,O=Eksempel A/S,C=DK", "Extended Key Usage: critical\n                Time Stamping\n"}, nil, signs},
		"ocsp-responder": {Request{Fields: with(company, "subject.CN", "OCSP 1")}, []string{"OCSP Signing", "OCSP No Check"}, nil, signs},
		"domain-controller": {
			Request{DNS: []DNSName{{Name: "dc1.corp.example.dk"}, {Name: "corp.example.dk"}}, Fields: values("san.guid", "{6B29FC40-CA47-1067-B31D-00DD010662DA}"), Extensions: RequestExtensions{MSSID: "S-1-5-21-1-2-3-1000"}},
			[]string{
				"CN=dc1.corp.example.dk", "DNS:dc1.corp.example.dk, DNS:corp.example.dk, othername:", "TLS Web Client Authentication, TLS Web Server Authentication, Microsoft Smartcard Login, Signing KDC Response",
				"1.3.6.1.4.1.311.21.7", "1.3.6.1.4.1.311.21.10", "1.3.6.1.4.1.311.25.2",
			},
			nil, signs | wraps,
		},
		"smartcard-logon": {
			Request{UPN: []string{"åse@corp.example.dk"}, Fields: values("subject.CN", "Åse"), Extensions: RequestExtensions{MSSID: "s-1-5-21-1-2-3-1001"}},
			[]string{"CN=Åse", "othername: UPN:", "Microsoft Smartcard Login, TLS Web Client Authentication", "1.3.6.1.4.1.311.21.7", "1.3.6.1.4.1.311.21.10", "S-1-5-21-1-2-3-1001"},
			nil, signs | wraps,
		},
		"eid-person": {
			Request{Fields: values("subject.serialNumber", "PID:9208-2002-2-123456789012", "subject.OU", minor)},
			[]string{"CN=Pseudonym,serialNumber=PID:9208-2002-2-123456789012,OU=" + minor + ",O=Ingen organisatorisk tilknytning,C=DK", "1.2.208.169.1.1.1.1.3"},
			[]string{"e_subject_organizational_unit_name_max_length"},
			eidUsage,
		},
		"eid-employee": {Request{Fields: eid("RID")}, []string{"CN=Eksempel,serialNumber=CVR:12345678-RID:42,O=Eksempel A/S // CVR:12345678,C=DK", "1.2.208.169.1.1.1.2.3"}, nil, eidUsage},
		"eid-company":  {Request{Fields: eid("UID")}, []string{"serialNumber=CVR:12345678-UID:42", "1.2.208.169.1.1.1.3.3"}, nil, eidUsage},
		"eid-function": {Request{Fields: eid("FID")}, []string{"serialNumber=CVR:12345678-FID:42", "1.2.208.169.1.1.1.4.3"}, nil, eidUsage},
	}
}

// ready makes a product of a template.
func readyProduct(t testing.TB, name string, overrides string) *Product {
	t.Helper()
	template, err := ReadyTemplate(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := template.Product("Product "+name, access.Production, "cli-1", "ca-1", []byte(overrides))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A14, A29, A30, A83, A86: every ready-made product has no errors, and its certificates say in openssl
// and to zlint what they should.
func TestEveryReadyProductMakesItsCertificate(t *testing.T) {
	all, err := Ready()
	if err != nil {
		t.Fatal(err)
	}
	wanted := samples()
	for _, template := range all {
		t.Run(template.Name, func(t *testing.T) {
			s, ok := wanted[template.Name]
			if !ok {
				t.Fatal("the template has no sample")
			}
			delete(wanted, template.Name)
			p := readyProduct(t, template.Name, "")
			for _, f := range p.Lint(now) {
				if f.Severity == Error {
					t.Errorf("lint: %+v", f)
				}
			}
			for _, key := range []string{"rsa", "ec"} {
				checkSample(t, p, s, key)
			}
		})
	}
	if len(wanted) > 0 {
		t.Errorf("no template for %v", slices.Sorted(maps.Keys(wanted)))
	}
}

func checkSample(t *testing.T, p *Product, s sample, key string) {
	t.Helper()
	s.request.SPKI = spki(key)
	out, err := p.Resolve(s.request, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := issue(t, out, key)
	usage := s.usage
	if key == "ec" {
		usage &^= wraps | data
	}
	if cert.KeyUsage != usage {
		t.Errorf("key usage with %s is %b, want %b", key, cert.KeyUsage, usage)
	}
	shown := text(t, cert)
	for _, want := range s.shows {
		if !strings.Contains(shown, want) && !strings.Contains(string(cert.Raw), want) {
			t.Errorf("openssl does not show %q:\n%s", want, shown)
		}
	}
	for _, finding := range lints(t, cert, p.Definition.Rules.PublicTrust) {
		if !slices.ContainsFunc(s.quiet, func(q string) bool { return strings.HasPrefix(finding, q) }) {
			t.Errorf("zlint with %s: %s", key, finding)
		}
	}
	offersEC := slices.Contains(p.Definition.Key.Types, P256)
	if err := out.Key.Check(keys()[key].Public()); (err == nil) != (key == "rsa" || offersEC) {
		t.Errorf("the policy on %s keys says %v", key, err)
	}
}
