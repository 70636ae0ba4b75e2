package ocsp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/ocsp"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Foreign tools judge by the real clock, so that times are relative to it.
var now = time.Now().UTC().Truncate(time.Second)

// A world is an authority, its delegated responder, and three certificates that
// it issued, by the standard library: good, revoked and unknown.
type world struct {
	ca, responder        *x509.Certificate
	caKey, responderKey  crypto.Signer
	issuer               *ocsp.Issuer
	dir                  string
	attach               bool // the authority's own certificate to its answers
	good, revoked, other *x509.Certificate
}

func newWorld(tb testing.TB, caKey, responderKey crypto.Signer) *world {
	tb.Helper()
	w := &world{caKey: caKey, responderKey: responderKey, dir: tb.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Status CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId: keyHash(tb, caKey),
	}
	w.ca = template
	w.ca = w.issue(tb, template, caKey)
	template = responderTemplate()
	template.SubjectKeyId = keyHash(tb, responderKey)
	w.responder = w.issue(tb, template, responderKey)
	w.good = w.issue(tb, leaf("good", "77"), newKey(tb))
	w.revoked = w.issue(tb, leaf("revoked", "ff00000000000000000000000000000001"), newKey(tb))
	w.other = w.issue(tb, leaf("other", "79"), newKey(tb))
	for name, cert := range map[string]*x509.Certificate{"ca": w.ca, "good": w.good, "revoked": w.revoked, "other": w.other, "responder": w.responder} {
		w.save(tb, name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	issuer, err := ocsp.IssuerOf(w.ca)
	must(tb, err)
	w.issuer = issuer
	return w
}

func keyHash(tb testing.TB, key crypto.Signer) []byte {
	tb.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(tb, err)
	bits, err := ocsp.KeyBits(spki)
	must(tb, err)
	return ocsp.KeyHash(bits)
}

func responderTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Status responder"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}},
	}
}

func leaf(name, serial string) *x509.Certificate {
	n, _ := new(big.Int).SetString(serial, 16)
	return &x509.Certificate{SerialNumber: n, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
}

func (w *world) issue(tb testing.TB, template *x509.Certificate, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, w.ca, key.Public(), w.caKey)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return cert
}

func (w *world) save(tb testing.TB, name string, data []byte) string {
	tb.Helper()
	path := w.path(name)
	must(tb, os.WriteFile(path, data, 0o600))
	return path
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return key
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func algorithm(tb testing.TB, key crypto.Signer) tbs.Algorithm {
	tb.Helper()
	alg, err := tbs.ForKey(key.Public())
	must(tb, err)
	return alg
}

// single answers for one CertID as the world has it.
func (w *world) single(id ocsp.CertID) ocsp.SingleResponse {
	s := ocsp.SingleResponse{ID: id, Status: ocsp.Unknown, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(10 * time.Hour)}
	serial := new(big.Int).SetBytes(id.Serial)
	switch {
	case !w.issuer.Matches(id):
	case serial.Cmp(w.good.SerialNumber) == 0:
		s.Status = ocsp.Good
	case serial.Cmp(w.revoked.SerialNumber) == 0:
		s.Status, s.RevokedAt, s.Reason = ocsp.Revoked, now.Add(-2*time.Hour), crl.KeyCompromise
	}
	return s
}

// answer is a whole responder, but for the transport.
func (w *world) answer(request []byte, delegated bool) ([]byte, error) {
	parsed, err := ocsp.ParseRequest(request)
	if err != nil {
		return ocsp.Malformed.DER(), nil
	}
	a, key := w.template(delegated)
	a.Nonce = parsed.Nonce
	for _, id := range parsed.IDs {
		a.Responses = append(a.Responses, w.single(id))
	}
	alg, err := tbs.ForKey(key.Public())
	if err != nil {
		return nil, err
	}
	return ocsp.Build(a, alg, key)
}

func (w *world) template(delegated bool) (*ocsp.Answer, crypto.Signer) {
	if delegated {
		return &ocsp.Answer{ProducedAt: now, ResponderKeyHash: w.responder.SubjectKeyId, Certificates: [][]byte{w.responder.Raw}}, w.responderKey
	}
	a := &ocsp.Answer{ProducedAt: now, ResponderKeyHash: w.ca.SubjectKeyId}
	if w.attach {
		a.Certificates = [][]byte{w.ca.Raw}
	}
	return a, w.caKey
}

// serve answers on loopback, and keeps nothing.
func (w *world) serve(t *testing.T, delegated bool) string {
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(io.LimitReader(r.Body, ocsp.MaxRequest+1))
		if err != nil {
			t.Error(err)
		}
		der, err := w.answer(request, delegated)
		if err != nil {
			t.Error(err)
		}
		out.Header().Set("Content-Type", "application/ocsp-response")
		if _, err := out.Write(der); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// A18, PKI rules 19 and 33: judged by `openssl ocsp`, with SHA-1 and SHA-256
// names, with and without nonce, one certificate and several, and signed requests.
func TestOpenSSLAcceptsAnswers(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey, "ECDSA": newKey(t), "Ed25519": ed} {
		w := newWorld(t, newKey(t), key)
		if name == "RSA" {
			w = newWorld(t, key, newKey(t))
		}
		leafKey := newKey(t)
		w.save(t, "signer.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.issue(t, leaf("asker", "50"), leafKey).Raw}))
		pkcs8, err := x509.MarshalPKCS8PrivateKey(leafKey)
		must(t, err)
		w.save(t, "signer.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
		for _, delegated := range []bool{false, true} {
			url := w.serve(t, delegated)
			for _, options := range [][]string{{"-no_nonce"}, {"-nonce"}, {"-nonce", "-sha256"}, {"-signer", w.path("signer.pem"), "-signkey", w.path("signer.key")}} {
				t.Run(name+map[bool]string{false: " direct ", true: " delegated "}[delegated]+options[0]+map[bool]string{true: " SHA-256"}[len(options) == 2], func(t *testing.T) {
					args := append([]string{"ocsp", "-issuer", w.path("ca.pem"), "-CAfile", w.path("ca.pem"), "-url", url}, options...)
					args = append(args, "-cert", w.path("good.pem"), "-cert", w.path("revoked.pem"), "-cert", w.path("other.pem"), "-resp_text")
					text := run(t, "openssl", args...)
					contains(t, text, "Response verify OK", "good.pem: good", "revoked.pem: revoked", "other.pem: unknown", "Reason: keyCompromise")
					if strings.Contains(text, "no nonce in response") || strings.Contains(text, "Nonce Verify error") {
						t.Error(text)
					}
					if options[0] == "-nonce" {
						contains(t, text, "OCSP Nonce")
					}
				})
			}
		}
	}
}

func TestGnuTLSAcceptsAnswers(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	w.attach = true
	for _, delegated := range []bool{false, true} {
		url := w.serve(t, delegated)
		for cert, want := range map[string]string{"good": "Certificate Status: good", "revoked": "Certificate Status: revoked"} {
			answer := w.path(cert + ".ocsp")
			text := run(t, "ocsptool", "--ask="+url, "--nonce", "--load-cert", w.path(cert+".pem"), "--load-issuer", w.path("ca.pem"),
				"--load-trust", w.path("ca.pem"), "--outfile", answer)
			contains(t, text, "Verifying OCSP Response: Success")
			contains(t, run(t, "ocsptool", "--response-info", "--infile", answer), want, "Nonce: ")
		}
	}
}

func TestErrorAnswersAreUnderstoodByOpenSSL(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	for status, want := range map[ocsp.ErrorStatus]string{
		ocsp.Malformed: "malformedrequest (1)", ocsp.InternalError: "internalerror (2)", ocsp.TryLater: "trylater (3)",
		ocsp.SigRequired: "sigrequired (5)", ocsp.Unauthorized: "unauthorized (6)",
	} {
		file := w.save(t, "error.der", status.DER())
		// It shows the status and ends with 1, as for every answer that is none.
		out, err := exec.Command("openssl", "ocsp", "-respin", file, "-resp_text", "-noverify").CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Errorf("openssl: %v", err)
		}
		contains(t, string(out), "Responder Error: "+want)
		if _, err := ocsp.ParseResponse(status.DER()); err != status { //nolint:errorlint // not wrapped, by contract
			t.Errorf("%v is read as %v", status, err)
		}
	}
}

func TestRareFieldsAreShownByOpenSSL(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	id, err := w.issuer.CertID(crypto.SHA1, w.good.SerialNumber.Bytes())
	must(t, err)
	a, key := w.template(true)
	s := w.single(id)
	s.ArchiveCutoff = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	a.Responses, a.ExtendedRevoke = []ocsp.SingleResponse{s}, true
	der, err := ocsp.Build(a, algorithm(t, key), key)
	must(t, err)
	file := w.save(t, "rare.der", der)
	contains(t, run(t, "openssl", "ocsp", "-respin", file, "-resp_text", "-CAfile", w.path("ca.pem")),
		"Response verify OK", "OCSP Archive Cutoff", "Jan  2 03:04:05 2020 GMT",
		"\n        valid: \n") // what OpenSSL calls extended revoke: its name for 1.3.6.1.5.5.7.48.1.9 is older than RFC 6960
}
