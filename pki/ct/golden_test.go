package ct_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"testing"

	"github.com/google/certificate-transparency-go/testdata"

	"github.com/sealwright/sealwright/pki/ct"
)

// The golden data are those of certificate-transparency-go v1.4.0, package
// testdata: certificates, SCTs and leaf hashes of a log of 2012.

func fromPEM(tb testing.TB, text string) []byte {
	tb.Helper()
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes
	}
	tb.Fatal("not PEM")
	return nil
}

func goldenKey(tb testing.TB) ct.Key {
	tb.Helper()
	spki, err := base64.StdEncoding.DecodeString(testdata.LogPublicKeyB64)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := ct.ParseKey(spki)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func precertEntry(tb testing.TB, der, issuer []byte) ct.Entry {
	tb.Helper()
	e, err := ct.PrecertEntry(der, issuer)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// Pki-rules rows 23 and 37: SCTs that another log signed for a certificate, a
// pre-certificate and the final certificate verify, and give the leaf hashes
// that others compute.
func TestGoldenSCTsVerifyAndGiveTheKnownLeaf(t *testing.T) {
	key, ca := goldenKey(t), fromPEM(t, testdata.CACertPEM)
	embedded := fromPEM(t, testdata.TestEmbeddedCertPEM)
	for _, c := range []struct {
		name  string
		entry ct.Entry
		sct   []byte
		leaf  string
	}{
		{"a certificate", ct.CertificateEntry(fromPEM(t, testdata.TestCertPEM)), testdata.TestCertProof, testdata.TestCertB64LeafHash},
		{"a pre-certificate", precertEntry(t, fromPEM(t, testdata.TestPreCertPEM), ca), testdata.TestPreCertProof, testdata.TestPreCertB64LeafHash},
		{"the final certificate", precertEntry(t, embedded, ca), testdata.TestPreCertProof, testdata.TestPreCertB64LeafHash},
	} {
		t.Run(c.name, func(t *testing.T) {
			sct, err := ct.ParseSCT(c.sct)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.VerifySCT(sct, c.entry); err != nil {
				t.Error(err)
			}
			if h, err := ct.LeafOf(sct, c.entry).Hash(); err != nil || h.String() != c.leaf {
				t.Errorf("leaf %s, want %s (%v)", h, c.leaf, err)
			}
			if b, err := sct.Marshal(); err != nil || !bytes.Equal(b, c.sct) {
				t.Errorf("written again as %x, want %x (%v)", b, c.sct, err)
			}
			sct.Timestamp++
			if err := key.VerifySCT(sct, c.entry); err != ct.ErrSignature {
				t.Errorf("with another timestamp: %v", err)
			}
			sct.LogID[0]++
			if err := key.VerifySCT(sct, c.entry); err != ct.ErrLogID {
				t.Errorf("of another log: %v", err)
			}
		})
	}
	list, err := ct.EmbeddedList(embedded)
	if err != nil {
		t.Fatal(err)
	}
	scts, err := ct.SplitList(list)
	if err != nil || len(scts) != 1 || !bytes.Equal(scts[0], testdata.TestPreCertProof) {
		t.Errorf("embedded are %x (%v)", scts, err)
	}
	invalid, err := ct.ParseSCT(testdata.TestInvalidProof)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.VerifySCT(invalid, precertEntry(t, fromPEM(t, testdata.TestInvalidEmbeddedCertPEM), ca)); err != ct.ErrSignature {
		t.Errorf("the golden invalid SCT: %v", err)
	}
}
