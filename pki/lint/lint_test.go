package lint

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// A35, A111, A114: certificates that OpenSSL made as the requirements want pass their
// profile, with at most warnings that are known.
func TestGoldenCertificatesPass(t *testing.T) {
	issuer := must(NewIssuer(golden(t, "ca.pem")))
	for _, test := range []struct {
		file    string
		profile Profile
	}{
		{"tls.pem", PublicTLS},
		{"smime.pem", PublicSMIME},
		{"private.pem", Private},
		{"private.pem", ETSI},
		{"tls.pem", Private},
		{"tls.pem", ETSI},
		{"ca.pem", Private},
	} {
		t.Run(test.file+" as "+string(test.profile), func(t *testing.T) {
			der := golden(t, test.file)
			cert := must(x509.ParseCertificate(der))
			r, err := Certificate(der, test.profile, Input{Now: cert.NotBefore, Signed: cert.NotBefore, Issuer: issuer})
			if err != nil || r.Verdict == Error || r.Counts.Passed < 20 {
				t.Errorf("%v, verdict %s of %d lints: %+v", err, r.Verdict, r.Counts.Passed, r.Findings)
			}
			for _, f := range r.Findings {
				if f.Severity == Warn && f.Lint != "w_subject_common_name_included" && (f.Lint != "w_ext_subject_key_identifier_missing_sub_cert" || test.profile != Private) {
					t.Errorf("a warning: %+v", f)
				}
			}
		})
	}
}

// The wrong profile is noticed: it is not enough that a certificate is good for something.
func TestAProfileRefusesCertificatesOfOtherKinds(t *testing.T) {
	for file, profile := range map[string]Profile{"tls.pem": PublicSMIME, "smime.pem": PublicTLS, "private.pem": PublicTLS} {
		r, err := Certificate(golden(t, file), profile, Input{Now: signedAt})
		if err != nil || r.Verdict != Error || !r.Has("e_sw_purpose") {
			t.Errorf("%s as %s: %v, %+v", file, profile, err, r.Findings)
		}
	}
}

// zlint itself is the judge: over all of its own test certificates and every profile,
// the short way gives the findings that zlint gives.
func TestFindingsAreThoseOfZlint(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(zlintCorpus(t), "*.pem"))
	if err != nil || len(files) < 500 {
		t.Fatalf("%d certificates, %v", len(files), err)
	}
	compared, found := 0, 0
	for i, file := range files {
		cert := corpusCertificate(t, file)
		if cert == nil {
			continue
		}
		profile := Profiles()[i%4] // all but None, in turn
		l := For(profile)
		registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: profiles()[profile].sources})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]Result{}
		for name, r := range zlint.LintCertificateEx(cert, registry).Results {
			if r.Status >= lint.Notice {
				want[name] = resultOf(r.Status) // not its details: some depend on the order of a map
			}
		}
		report := Report{Time: signedAt}
		l.runZlint(cert, &report)
		for _, f := range report.Findings {
			if want[f.Lint] != f.Result {
				t.Errorf("%s: %s says %s, zlint %q", filepath.Base(file), f.Lint, f.Result, want[f.Lint])
			}
			delete(want, f.Lint)
		}
		if len(want) > 0 {
			t.Errorf("%s: not found: %v", filepath.Base(file), want)
		}
		compared, found = compared+1, found+len(report.Findings)
	}
	if compared < 500 || found < 500 {
		t.Errorf("only %d certificates with %d findings were compared", compared, found)
	}
}

// corpusCertificate is nil for CRLs, OCSP answers and what is not to be parsed.
func corpusCertificate(t *testing.T, file string) *zx509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	cert, err := parse(block.Bytes)
	if err != nil {
		return nil
	}
	return cert
}

// What is linted is what will be signed: of the signed certificate, the same findings
// come out, and the report names the TBSCertificate.
func TestPresigningSeesTheSameAsLintingAfterwards(t *testing.T) {
	for name, w := range map[string]*world{"P-256": newWorld(t), "RSA": newWorldWith(t, rsaKey(t))} {
		t.Run(name, func(t *testing.T) {
			bad := w.tls()
			bad.cn = "other.example.com"
			for kind, l := range map[string]*leaf{"good": w.tls(), "bad": bad} {
				raw := l.raw(t)
				before := w.presign(For(PublicTLS), raw)
				der := must(tbsSign(w, l, raw))
				after, err := Certificate(der, PublicTLS, Input{Now: signedAt, Signed: signedAt, Issuer: w.issuer})
				if err != nil || !slices.Equal(before.Findings, after.Findings) || before.Counts != after.Counts {
					t.Errorf("%s: %v\nbefore %+v\nafter  %+v", kind, err, before, after)
				}
				if before.SHA256 != hexSum(raw) || after.SHA256 != hexSum(der) || before.Stage != Presigned || after.Stage != Issued {
					t.Errorf("%s: the reports name %s %s and %s %s", kind, before.Stage, before.SHA256, after.Stage, after.SHA256)
				}
			}
		})
	}
}

// TLS BR 4.3.1.2: nothing that verifies leaves the house before linting.
func TestTheDummySignatureVerifiesUnderNoKey(t *testing.T) {
	for _, w := range []*world{newWorld(t), newWorldWith(t, rsaKey(t))} {
		der, err := withDummySignature(w.tls().raw(t), w.issuer)
		if err != nil {
			t.Fatal(err)
		}
		cert := must(x509.ParseCertificate(der))
		if must(x509.ParseCertificate(w.ca)).CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
			t.Error("the dummy verifies")
		}
	}
}

func TestSeveritiesFollowTheRowsOfThePolicy(t *testing.T) {
	w := newWorld(t)
	l := w.tls()
	l.cn = "other.example.com" // e_sw_common_name and zlint's e_subject_common_name_not_exactly_from_san
	raw := l.raw(t)
	tomorrow, yesterday := signedAt.AddDate(0, 0, 1), signedAt.AddDate(0, 0, -1)
	const ours, theirs = "e_sw_common_name", "e_subject_common_name_not_exactly_from_san"
	for _, test := range []struct {
		name         string
		rules        []Rule
		ours, theirs Severity
	}{
		{"without rows", nil, Error, Error},
		{"by lint", []Rule{{Lint: ours, Severity: Warn}}, Warn, Error},
		{"by source", []Rule{{Source: "CABF_BR", Severity: Ignore}}, Error, Ignore},
		{"a lint wins over its source", []Rule{{Lint: theirs, Severity: Warn}, {Source: "CABF_BR", Severity: Ignore}}, Error, Warn},
		{"the later row wins", []Rule{{Lint: ours, Severity: Ignore}, {Lint: ours, Severity: Warn}}, Warn, Error},
		{"not yet", []Rule{{Lint: ours, Severity: Ignore, From: tomorrow}}, Error, Error},
		{"from now on", []Rule{{Lint: ours, Severity: Ignore, From: signedAt}}, Ignore, Error},
		{"no longer", []Rule{{Lint: ours, Severity: Ignore, Until: signedAt}}, Error, Error},
		{"for some days", []Rule{{Lint: ours, Severity: Ignore, From: yesterday, Until: tomorrow}}, Ignore, Error},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := w.presign(must(New(PublicTLS, test.rules...)), raw)
			for lint, want := range map[string]Severity{ours: test.ours, theirs: test.theirs} {
				i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Lint == lint })
				if i < 0 || r.Findings[i].Severity != want {
					t.Errorf("%s: %+v, want %s", lint, r.Findings, want)
				}
			}
		})
	}
}

func TestAMisspeltRowIsAnError(t *testing.T) {
	for name, r := range map[string]Rule{
		"an unknown lint":     {Lint: "e_no_such_lint", Severity: Warn},
		"an unknown source":   {Source: "CABF", Severity: Warn},
		"an unknown severity": {Lint: "e_sw_serial", Severity: "fatal"},
		"no severity":         {Lint: "e_sw_serial"},
		"lint and source":     {Lint: "e_sw_serial", Source: OwnSource, Severity: Warn},
		"neither":             {Severity: Warn},
		"an empty time":       {Lint: "e_sw_serial", Severity: Warn, From: signedAt, Until: signedAt},
	} {
		if _, err := New(PublicTLS, r); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := New("public"); err == nil {
		t.Error("an unknown profile is accepted")
	}
}

func TestTheReportIsStableJSON(t *testing.T) {
	w := newWorld(t)
	l := w.tls()
	l.Serial, l.cn = bytes.Repeat([]byte{0x41, 0x17}, 8), "other.example.com"
	raw := l.raw(t)
	first := must(json.Marshal(w.presign(For(PublicTLS), raw)))
	for range 5 {
		if again := must(json.Marshal(w.presign(For(PublicTLS), raw))); !bytes.Equal(first, again) {
			t.Fatalf("%s\n%s", first, again)
		}
	}
	var back Report
	if err := json.Unmarshal(first, &back); err != nil || back.Verdict != Error || back.Findings[0].Severity != Error {
		t.Errorf("%v %+v", err, back)
	}
	text := string(first)
	for _, want := range []string{
		`{"format":1,"linter":"` + Version + `","profile":"public-tls","stage":"presign","time":"2026-11-21T12:00:00Z","sha256":"`,
		`"verdict":"error","counts":{"passed":`,
		`{"lint":"e_sw_common_name","source":"Sealwright","citation":"TLS BR 7.1.4.3; S/MIME BR 7.1.4.2.2","result":"error","details":"the common name \"other.example.com\" is not among the subject alternative names","severity":"error"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

func TestTheProfileNoneLintsNothingAndSaysSo(t *testing.T) {
	w := newWorld(t)
	l := w.tls()
	l.cn = "other.example.com"
	r := w.presign(For(None), l.raw(t))
	if r.Verdict != Ignore || len(r.Findings) != 0 || r.Counts != (Counts{}) || r.Profile != None {
		t.Errorf("%+v", r)
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	w := newWorld(t)
	raw := w.tls().raw(t)
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "cut off": raw[:len(raw)-1], "an octet more": append(slices.Clone(raw), 0),
		"a certificate instead": golden(t, "tls.pem"), "too large": append([]byte{0x30, 0x84, 0, 4, 0, 0}, make([]byte, 1<<18)...),
	} {
		if r, err := For(PublicTLS).Presign(data, w.input()); err == nil {
			t.Errorf("%s before signing: %+v", name, r)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "a TBSCertificate": raw, "too large": make([]byte, maxCertificate+1)} {
		if r, err := For(PublicTLS).Certificate(data, w.input()); err == nil {
			t.Errorf("%s after signing: %+v", name, r)
		}
	}
	if _, err := For(PublicTLS).Presign(raw, Input{}); err == nil {
		t.Error("no time is given")
	}
	if _, err := NewIssuer(golden(t, "tls.pem")); err == nil {
		t.Error("a leaf is taken for an issuer")
	}
}

func TestTheVersionIsThatOfTheModule(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimPrefix(strings.Split(Version, ",")[0], "zlint "); !strings.Contains(string(mod), "github.com/zmap/zlint/v3 "+want) {
		t.Errorf("go.mod has another zlint than %s", want)
	}
}
