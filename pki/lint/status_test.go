package lint

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A114: CRLs and OCSP answers go through zlint too.
func TestCRLsAndAnswersAreLinted(t *testing.T) {
	at := must(x509.ParseCertificate(golden(t, "tls.pem"))).NotBefore
	for _, p := range []Profile{PublicTLS, PublicSMIME, ETSI, Private} {
		list, err := For(p).CRL(golden(t, "crl.pem"), Input{Now: at})
		if err != nil || list.Verdict == Error || list.Stage != CRL || list.Counts.Passed < 5 {
			t.Errorf("%s: %v %+v", p, err, list)
		}
		answer, err := For(p).OCSP(golden(t, "ocsp.der"), Input{Now: at})
		if err != nil || answer.Verdict != Ignore || answer.Stage != OCSP || answer.Counts.Passed == 0 {
			t.Errorf("%s: %v %+v", p, err, answer)
		}
	}
	for _, data := range [][]byte{nil, []byte("x"), golden(t, "tls.pem"), make([]byte, maxCRL+1)} {
		if _, err := For(PublicTLS).CRL(data, Input{Now: at}); err == nil {
			t.Error("a CRL that is none is linted")
		}
		if _, err := For(PublicTLS).OCSP(data, Input{Now: at}); err == nil {
			t.Error("an answer that is none is linted")
		}
	}
	// zlint's own CRL without a next update is found.
	bad := must(os.ReadFile(filepath.Join(zlintCorpus(t), "crlNotHaveNextUpdate.pem")))
	block, _ := pem.Decode(bad)
	r, err := For(PublicTLS).CRL(block.Bytes, Input{Now: at})
	if err != nil || r.Verdict != Error {
		t.Errorf("%v %+v", err, r)
	}
}

// Row 24: SHA-1 in CRLs and answers is a warning until 2026-09-14 and an error from then on.
func TestSHA1InStatusAnswersHasADate(t *testing.T) {
	for at, want := range map[time.Time]Severity{day(2026, 9, 14): Warn, day(2026, 9, 15): Error} {
		for _, name := range []string{"SHA1-RSA", "ECDSA-SHA1"} {
			r := Report{Time: at}
			For(PublicTLS).noSHA1(&r, name)
			if r.finish().Verdict != want {
				t.Errorf("%s on %s: %+v", name, at.Format(time.DateOnly), r)
			}
		}
	}
}
