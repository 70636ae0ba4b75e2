package lint

import (
	"testing"

	"github.com/sealwright/sealwright/pki/tbs"
)

// RFC 6962, 3.2 and 3.3; A112 to A114: the way from a pre-certificate to a certificate.
func TestACertificateIsComparedWithItsPrecertificate(t *testing.T) {
	w := newWorld(t)
	l := w.tls()
	l.extra = append(l.extra, tbs.Poison())
	pre := l.raw(t)
	if r := w.presign(For(PublicTLS), pre); r.Verdict == Error {
		t.Fatalf("the pre-certificate: %+v", r.Findings)
	}
	preCert := must(tbs.Sign(pre, l.Algorithm, w.key))
	final := must(tbs.ReplacePoison(pre, sctBytes(2)))
	other := w.tls()
	other.extra = append(other.extra, sctList(t, 2))
	for _, test := range []struct {
		name    string
		raw     []byte
		precert []byte
		scts    int
		lint    string
	}{
		{"the certificate made of it", final, pre, 2, ""},
		{"compared with the signed pre-certificate", final, preCert, 2, ""},
		{"fewer SCTs than wanted", final, pre, 3, "e_sw_sct_list"},
		{"no SCT at all", w.tls().raw(t), nil, 1, "e_sw_sct_list"},
		{"no SCT wanted", w.tls().raw(t), nil, 0, ""},
		{"another serial number", other.raw(t), pre, 2, "e_sw_precertificate"},
		{"the pre-certificate itself", pre, pre, 0, "e_sw_precertificate"},
		{"the pre-certificate instead of the certificate", pre, nil, 2, "e_sw_sct_list"},
		{"a certificate without SCTs and poison", w.tls().raw(t), pre, 0, "e_sw_precertificate"},
		{"something else as pre-certificate", final, []byte("hello"), 2, "e_sw_precertificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			der := must(tbs.Sign(test.raw, l.Algorithm, w.key))
			r, err := Certificate(der, PublicTLS, Input{Now: signedAt, Signed: signedAt, Issuer: w.issuer, SCTs: test.scts, Precert: test.precert})
			if err != nil {
				t.Fatal(err)
			}
			if (test.lint == "") != (r.Verdict != Error) || test.lint != "" && !r.Has(test.lint) {
				t.Errorf("verdict %s: %+v", r.Verdict, r.Findings)
			}
		})
	}
}
