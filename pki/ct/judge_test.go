package ct_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	google "github.com/google/certificate-transparency-go"
	googletls "github.com/google/certificate-transparency-go/tls"
	googlex509 "github.com/google/certificate-transparency-go/x509"

	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/ct/cttest"
)

var (
	now   = time.Date(2026, 5, 4, 8, 0, 0, 123_000_000, time.UTC)
	until = now.AddDate(0, 3, 0)
)

func newSigner(tb testing.TB, private crypto.Signer) *ct.Signer {
	tb.Helper()
	s, err := ct.NewSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func sign(tb testing.TB, s *ct.Signer, e ct.Entry) ct.SCT {
	tb.Helper()
	sct, err := s.SCT(e, ct.Millis(now))
	if err != nil {
		tb.Fatal(err)
	}
	return sct
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// theirs parses certificates for the foreign judge.
func theirs(tb testing.TB, ders ...[]byte) []*googlex509.Certificate {
	tb.Helper()
	var out []*googlex509.Certificate
	for _, der := range ders {
		c, err := googlex509.ParseCertificate(der)
		if googlex509.IsFatal(err) {
			tb.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// Row 37: what we sign and encode, certificate-transparency-go reads and verifies.
func TestCertificateTransparencyGoAgrees(t *testing.T) {
	ca := cttest.NewCA(t)
	precert := ca.Precert(t, "www.example.com", now, until)
	plain := ca.Certificate(t, "www.example.com", now, until)
	for _, k := range []struct {
		name    string
		private crypto.Signer
	}{
		{"ECDSA", cttest.Key(t)},
		{"RSA", must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))},
	} {
		t.Run(k.name, func(t *testing.T) {
			s := newSigner(t, k.private)
			judge := must[*google.SignatureVerifier](t)(google.NewSignatureVerifier(k.private.Public()))
			sct := sign(t, s, precertEntry(t, precert, ca.Issuer))
			final := ca.Final(t, precert, []ct.SCT{sct})
			millis := uint64(ct.Millis(now))
			for _, c := range []struct {
				name  string
				entry ct.Entry
				leaf  *google.MerkleTreeLeaf
			}{
				{"a certificate", ct.CertificateEntry(plain), google.CreateX509MerkleTreeLeaf(google.ASN1Cert{Data: plain}, millis)},
				{"a pre-certificate", precertEntry(t, precert, ca.Issuer), must[*google.MerkleTreeLeaf](t)(google.MerkleTreeLeafFromChain(theirs(t, precert, ca.Issuer), google.PrecertLogEntryType, millis))},
				{"the final certificate", precertEntry(t, final, ca.Issuer), must[*google.MerkleTreeLeaf](t)(google.MerkleTreeLeafForEmbeddedSCT(theirs(t, final, ca.Issuer), millis))},
			} {
				t.Run(c.name, func(t *testing.T) {
					sct := sign(t, s, c.entry)
					var their google.SignedCertificateTimestamp
					if rest, err := googletls.Unmarshal(must[[]byte](t)(sct.Marshal()), &their); err != nil || len(rest) > 0 {
						t.Fatalf("they do not read our SCT: %v, %d bytes left", err, len(rest))
					}
					if err := judge.VerifySCTSignature(their, google.LogEntry{Leaf: *c.leaf}); err != nil {
						t.Errorf("they do not accept our SCT: %v", err)
					}
					if their.LogID.KeyID != s.Key().ID() || their.Timestamp != millis {
						t.Errorf("they read %v", their)
					}
					leaf := ct.LeafOf(sct, c.entry)
					ours := must[[]byte](t)(leaf.Marshal())
					if want := must[[]byte](t)(googletls.Marshal(*c.leaf)); !bytes.Equal(ours, want) {
						t.Errorf("leaf\n%x, they write\n%x", ours, want)
					}
					if want := must[[32]byte](t)(google.LeafHashForLeaf(c.leaf)); must[ct.Hash](t)(leaf.Hash()) != want {
						t.Error("the leaf hashes differ")
					}
				})
			}
			head := must[ct.TreeHead](t)(s.TreeHead(7, ct.Millis(now), ct.Hash{1, 2}))
			body := must[[]byte](t)(json.Marshal(must[ct.TreeHeadResponse](t)(head.Response())))
			var response google.GetSTHResponse
			if err := json.Unmarshal(body, &response); err != nil {
				t.Fatal(err)
			}
			if err := judge.VerifySTHSignature(*must[*google.SignedTreeHead](t)(response.ToSignedTreeHead())); err != nil {
				t.Errorf("they do not accept our tree head: %v", err)
			}
			if err := s.Key().VerifyTreeHead(head); err != nil {
				t.Error(err)
			}
			head.Size++
			if err := s.Key().VerifyTreeHead(head); err != ct.ErrSignature {
				t.Errorf("a tree head of another size: %v", err)
			}
		})
	}
}

// Row 37: extra data is what certificate-transparency-go expects in get-entries.
func TestCertificateTransparencyGoReadsOurEntries(t *testing.T) {
	ca := cttest.NewCA(t)
	precert, plain := ca.Precert(t, "www.example.com", now, until), ca.Certificate(t, "www.example.com", now, until)
	chain := must[[]byte](t)(ct.MarshalChain(ca.Chain()))
	s := newSigner(t, cttest.Key(t))
	for _, c := range []struct {
		name      string
		entry     ct.Entry
		extra     []byte
		submitted []byte
	}{
		{"a certificate", ct.CertificateEntry(plain), chain, plain},
		{"a pre-certificate", precertEntry(t, precert, ca.Issuer), must[[]byte](t)(ct.PrecertExtra(precert, chain)), precert},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := ct.LeafOf(sign(t, s, c.entry), c.entry)
			raw, err := google.RawLogEntryFromLeaf(3, &google.LeafEntry{LeafInput: must[[]byte](t)(leaf.Marshal()), ExtraData: c.extra})
			if err != nil || !bytes.Equal(raw.Cert.Data, c.submitted) || len(raw.Chain) != 2 || !bytes.Equal(raw.Chain[1].Data, ca.Root) {
				t.Errorf("they read %+v (%v)", raw, err)
			}
			pre, above, err := ct.ParseExtra(c.entry.Type, c.extra)
			if err != nil || len(above) != 2 || !bytes.Equal(above[0], ca.Issuer) || (c.entry.Type == ct.TypePrecert) != bytes.Equal(pre, precert) {
				t.Errorf("we read %d certificates (%v)", len(above), err)
			}
		})
	}
}

// Row 23: openssl takes the SCT list of a certificate apart and sees what is in it.
func TestOpenSSLPrintsTheSCTs(t *testing.T) {
	ca := cttest.NewCA(t)
	precert := ca.Precert(t, "www.example.com", now, until)
	entry := precertEntry(t, precert, ca.Issuer)
	one, two := newSigner(t, cttest.Key(t)), newSigner(t, must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048)))
	final := ca.Final(t, precert, []ct.SCT{sign(t, one, entry), sign(t, two, entry)})
	file := filepath.Join(t.TempDir(), "final.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: final}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", file, "-noout", "-text").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	text := string(out)
	id := one.Key().ID()
	for _, want := range []string{
		"CT Precertificate SCTs", "Version   : v1 (0x0)", "Timestamp : May  4 08:00:00.123 2026 GMT",
		"ecdsa-with-SHA256", "sha256WithRSAEncryption", colons(id[:16]),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not print %q:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "Signed Certificate Timestamp:"); n != 2 {
		t.Errorf("openssl sees %d SCTs", n)
	}
}

func colons(b []byte) string {
	const hex = "0123456789ABCDEF"
	var parts []string
	for _, c := range b {
		parts = append(parts, string(hex[c>>4])+string(hex[c&15]))
	}
	return strings.Join(parts, ":")
}

func TestKeysOfOtherKindsAreRefused(t *testing.T) {
	small := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	large := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	for name, private := range map[string]crypto.Signer{"RSA 1024": small, "P-384": large} {
		if _, err := ct.NewSigner(private); err == nil {
			t.Errorf("%s signs as a log", name)
		}
		if _, err := ct.ParseKey(must[[]byte](t)(x509.MarshalPKIXPublicKey(private.Public()))); err == nil {
			t.Errorf("%s is read as a log's key", name)
		}
	}
	if _, err := ct.ParseKey([]byte("x")); err == nil {
		t.Error("nonsense is read as a log's key")
	}
	ours := newSigner(t, cttest.Key(t))
	if ct.LogIDOf(ours.SPKI()) != ours.Key().ID() {
		t.Error("the log id is not the hash of the key")
	}
}
