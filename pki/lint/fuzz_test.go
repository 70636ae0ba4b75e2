package lint

import (
	"encoding/json"
	"testing"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
)

func FuzzCertificate(f *testing.F) {
	for _, name := range []string{"tls.pem", "smime.pem", "private.pem", "ca.pem"} {
		f.Add(golden(f, name))
	}
	w := newWorld(f)
	l := w.tls()
	l.extra = append(l.extra, sctList(f, 2))
	f.Add(must(tbsSign(w, l, l.raw(f))))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, p := range []Profile{PublicTLS, PublicSMIME} {
			r, err := Certificate(der, p, Input{Now: signedAt, Signed: signedAt, Issuer: w.issuer, SCTs: 1, Precert: der})
			if err != nil {
				continue
			}
			for _, finding := range r.Findings {
				if finding.Source == OwnSource && finding.Result == Broken {
					t.Errorf("%s broke: %s", finding.Lint, finding.Details)
				}
			}
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		}
	})
}

func BenchmarkLint(b *testing.B) {
	w := newWorld(b)
	raw := w.tls().raw(b)
	der := must(withDummySignature(raw, w.issuer))
	for _, p := range Profiles() {
		b.Run("presign "+string(p), func(b *testing.B) {
			l := For(p)
			for b.Loop() {
				if _, err := l.Presign(raw, w.input()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("zlint alone, all lints", func(b *testing.B) {
		for b.Loop() {
			cert, err := zx509.ParseCertificate(der)
			if err != nil {
				b.Fatal(err)
			}
			zlint.LintCertificate(cert)
		}
	})
	b.Run("parsing alone", func(b *testing.B) {
		for b.Loop() {
			if _, err := zx509.ParseCertificate(der); err != nil {
				b.Fatal(err)
			}
		}
	})
}
