package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/ocsp"
	"github.com/sealwright/sealwright/pki/tbs"
	foreign "golang.org/x/crypto/ocsp"
)

// full is an answer with everything in it.
func (w *world) full(tb testing.TB) (*ocsp.Answer, crypto.Signer) {
	tb.Helper()
	a, key := w.template(true)
	for _, cert := range []*x509.Certificate{w.good, w.revoked, w.other} {
		id, err := w.issuer.CertID(crypto.SHA256, cert.SerialNumber.Bytes())
		must(tb, err)
		s := w.single(id)
		s.ArchiveCutoff = now.AddDate(-7, 0, 0)
		a.Responses = append(a.Responses, s)
	}
	a.Responses[2].NextUpdate = time.Time{}
	a.Nonce, a.ExtendedRevoke = bytes.Repeat([]byte{5}, 32), true
	return a, key
}

func (w *world) build(tb testing.TB, a *ocsp.Answer, key crypto.Signer) []byte {
	tb.Helper()
	der, err := ocsp.Build(a, algorithm(tb, key), key)
	must(tb, err)
	return der
}

func TestWhatIsBuiltIsReadBackAndVerifies(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	a, key := w.full(t)
	got, err := ocsp.ParseResponse(w.build(t, a, key))
	must(t, err)
	if !reflect.DeepEqual(&got.Answer, a) {
		t.Errorf("read %+v\nwant %+v", got.Answer, *a)
	}
	responder, err := got.Verify(w.ca, now)
	must(t, err)
	if !responder.Equal(w.responder) || !ocsp.NoCheck(responder) || ocsp.NoCheck(w.ca) {
		t.Errorf("verified with %v", responder.Subject)
	}
	s, ok := got.Find(append([]byte{0}, w.revoked.SerialNumber.Bytes()...))
	if !ok || s.Status != ocsp.Revoked || s.Reason != crl.KeyCompromise {
		t.Errorf("found %+v", s)
	}
	if _, ok := got.Find([]byte{1, 2, 3}); ok {
		t.Error("found a serial number that was not answered")
	}
}

func TestAnswersAreCurrentFromThisToNextUpdate(t *testing.T) {
	s := ocsp.SingleResponse{ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	open := ocsp.SingleResponse{ThisUpdate: now}
	for _, c := range []struct {
		name      string
		single    ocsp.SingleResponse
		at        time.Duration
		tolerance time.Duration
		want      bool
	}{
		{"at the start", s, 0, 0, true},
		{"before the start", s, -time.Second, 0, false},
		{"before the start by a clock's error", s, -time.Second, time.Minute, true},
		{"at the end", s, time.Hour, 0, true},
		{"after the end", s, time.Hour + time.Second, 0, false},
		{"without an end, soon", open, time.Second, time.Minute, true},
		{"without an end, later", open, time.Hour, time.Minute, false},
	} {
		if got := c.single.CurrentAt(now.Add(c.at), c.tolerance); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// The foreign parser is golang.org/x/crypto/ocsp.
func TestTheForeignParserReadsOurAnswers(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	for _, delegated := range []bool{false, true} {
		for _, c := range []struct {
			cert   *x509.Certificate
			status int
		}{{w.good, foreign.Good}, {w.revoked, foreign.Revoked}, {w.other, foreign.Unknown}} {
			request, err := foreign.CreateRequest(c.cert, w.ca, &foreign.RequestOptions{Hash: crypto.SHA256})
			must(t, err)
			der, err := w.answer(request, delegated)
			must(t, err)
			got, err := foreign.ParseResponseForCert(der, c.cert, w.ca)
			must(t, err)
			if got.Status != c.status || !got.ProducedAt.Equal(now) || !got.NextUpdate.Equal(now.Add(10*time.Hour)) {
				t.Errorf("%s is read as %+v", c.cert.Subject, got)
			}
			if c.status == foreign.Revoked && (got.RevocationReason != foreign.KeyCompromise || !got.RevokedAt.Equal(now.Add(-2*time.Hour))) {
				t.Errorf("revoked for %d at %v", got.RevocationReason, got.RevokedAt)
			}
		}
	}
}

func TestAnswersOfForeignRespondersAreReadAndVerify(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	byLibrary, err := foreign.CreateResponse(w.ca, w.responder, foreign.Response{
		Status: foreign.Revoked, SerialNumber: w.revoked.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour),
		RevokedAt: now.Add(-time.Hour), RevocationReason: foreign.Superseded, Certificate: w.responder, IssuerHash: crypto.SHA256,
	}, w.responderKey)
	must(t, err)
	for name, der := range map[string][]byte{
		"x/crypto":            byLibrary,
		"openssl, named":      answerByOpenSSL(t, w, "-nonce"),
		"openssl, by its key": answerByOpenSSL(t, w, "-nonce", "-resp_key_id"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ocsp.ParseResponse(der)
			must(t, err)
			responder, err := got.Verify(w.ca, now)
			must(t, err)
			if !responder.Equal(w.responder) {
				t.Errorf("verified with %v", responder.Subject)
			}
			s, ok := got.Find(w.revoked.SerialNumber.Bytes())
			if !ok || s.Status != ocsp.Revoked || s.Reason != crl.Superseded || !s.RevokedAt.Equal(now.Add(-time.Hour)) {
				t.Errorf("found %+v", s)
			}
		})
	}
}

// answerByOpenSSL runs `openssl ocsp` as a responder over its own database.
func answerByOpenSSL(t *testing.T, w *world, options ...string) []byte {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(w.responderKey)
	must(t, err)
	w.save(t, "responder.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	const layout = "060102150405Z"
	line := "R\t" + now.AddDate(1, 0, 0).Format(layout) + "\t" + now.Add(-time.Hour).Format(layout) + ",superseded\tFF00000000000000000000000000000001\tunknown\t/CN=revoked\n"
	w.save(t, "index", []byte(line))
	args := append([]string{
		"ocsp", "-index", w.path("index"), "-CA", w.path("ca.pem"), "-rsigner", w.path("responder.pem"), "-rkey", w.path("responder.key"),
		"-issuer", w.path("ca.pem"), "-cert", w.path("revoked.pem"), "-respout", w.path("answer.der"), "-ndays", "1", "-noverify",
	}, options...)
	run(t, "openssl", args...)
	der, err := os.ReadFile(w.path("answer.der"))
	must(t, err)
	return der
}

func TestAnswersByThoseWhoMayNotAreRefused(t *testing.T) {
	w, stranger := newWorld(t, newKey(t), newKey(t)), newWorld(t, newKey(t), newKey(t))
	for name, c := range map[string]struct {
		change func(*x509.Certificate) // of the responder's certificate
		by     *world                  // who issues it
		want   error
	}{
		"no OCSP signing purpose":     {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, w, ocsp.ErrResponder},
		"no purpose at all":           {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, w, ocsp.ErrResponder},
		"not yet valid":               {func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }, w, ocsp.ErrResponder},
		"expired":                     {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, w, ocsp.ErrResponder},
		"a key that may not sign":     {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, w, ocsp.ErrResponder},
		"an authority of equal name":  {func(*x509.Certificate) {}, stranger, ocsp.ErrResponder},
		"none of these: it is proper": {func(*x509.Certificate) {}, w, nil},
	} {
		t.Run(name, func(t *testing.T) {
			template := responderTemplate()
			c.change(template)
			a, key := w.full(t)
			a.Certificates = [][]byte{c.by.issue(t, template, key).Raw}
			got, err := ocsp.ParseResponse(w.build(t, a, key))
			must(t, err)
			if _, err := got.Verify(w.ca, now); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnswersThatAreAlteredOrAboutOthersAreRefused(t *testing.T) {
	w, stranger := newWorld(t, newKey(t), newKey(t)), newWorld(t, newKey(t), newKey(t))
	a, key := w.full(t)
	der := w.build(t, a, key)
	altered := bytes.Replace(der, []byte("\x0a\x01\x01"), []byte("\x0a\x01\x04"), 1)
	got, err := ocsp.ParseResponse(altered)
	must(t, err)
	if _, err := got.Verify(w.ca, now); !errors.Is(err, tbs.ErrBadSignature) {
		t.Errorf("an altered reason: %v", err)
	}
	got, err = ocsp.ParseResponse(der)
	must(t, err)
	if _, err := got.Verify(stranger.ca, now); err == nil {
		t.Error("an answer about another authority's certificates verifies")
	}
	a.Certificates = nil
	got, err = ocsp.ParseResponse(w.build(t, a, key))
	must(t, err)
	if _, err := got.Verify(w.ca, now); !errors.Is(err, ocsp.ErrResponder) {
		t.Errorf("an answer without the responder's certificate: %v", err)
	}
}

func TestAnswersThatContradictThemselvesAreNotBuilt(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	for name, spoil := range map[string]func(*ocsp.Answer){
		"no responses":                 func(a *ocsp.Answer) { a.Responses = nil },
		"no responder":                 func(a *ocsp.Answer) { a.ResponderKeyHash = nil },
		"no producedAt":                func(a *ocsp.Answer) { a.ProducedAt = time.Time{} },
		"no status":                    func(a *ocsp.Answer) { a.Responses[0].Status = 0 },
		"no CertID":                    func(a *ocsp.Answer) { a.Responses[0].ID.Raw = nil },
		"no thisUpdate":                func(a *ocsp.Answer) { a.Responses[0].ThisUpdate = time.Time{} },
		"nextUpdate before thisUpdate": func(a *ocsp.Answer) { a.Responses[0].NextUpdate = now.Add(-time.Hour) },
		"good with a reason":           func(a *ocsp.Answer) { a.Responses[0].Reason = crl.Superseded },
		"good with a revocation date":  func(a *ocsp.Answer) { a.Responses[0].RevokedAt = now },
		"revoked without a date":       func(a *ocsp.Answer) { a.Responses[1].RevokedAt = time.Time{} },
		"revoked for reason 7":         func(a *ocsp.Answer) { a.Responses[1].Reason = 7 },
		"archive cutoff after 9999":    func(a *ocsp.Answer) { a.Responses[1].ArchiveCutoff = now.AddDate(9000, 0, 0) },
		"a nonce of 129 octets":        func(a *ocsp.Answer) { a.Nonce = make([]byte, 129) },
	} {
		a, key := w.full(t)
		spoil(a)
		if _, err := ocsp.Build(a, algorithm(t, key), key); err == nil {
			t.Errorf("%s: built", name)
		}
	}
}

// Each case replaces one element of a good answer by another of equal length.
func TestBadAnswersAreNotRead(t *testing.T) {
	w := newWorld(t, newKey(t), newKey(t))
	a, key := w.full(t)
	a.ProducedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := w.build(t, a, key)
	for _, c := range []struct{ name, from, to string }{
		{"another type", "\x30\x01\x01\x04\x82", "\x30\x01\x02\x04\x82"},
		{"a responder named a third way", "\xa2\x16\x04\x14", "\xa3\x16\x04\x14"},
		{"the 13th month", "20260102030405Z", "20261302030405Z"},
		{"fractions of a second", "20260102030405Z", "202601020304.5Z"},
		{"a status that is none", "\x80\x00\x18\x0f", "\x83\x00\x18\x0f"},
		{"reason 7", "\x0a\x01\x01", "\x0a\x01\x07"},
		{"a nonce that is not DER", "\x04\x22\x04\x20", "\x04\x22\x04\x1f"},
		{"extended revoke with a value", "\x30\x01\x09\x04\x02\x05\x00", "\x30\x01\x09\x04\x02\x04\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !bytes.Contains(good, []byte(c.from)) {
				t.Fatalf("the good answer does not hold %x", c.from)
			}
			if _, err := ocsp.ParseResponse(bytes.Replace(good, []byte(c.from), []byte(c.to), 1)); !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("error %v", err)
			}
		})
	}
	for n := range len(good) {
		if _, err := ocsp.ParseResponse(good[:n]); !errors.Is(err, ocsp.ErrMalformed) {
			t.Fatalf("cut after %d octets: %v", n, err)
		}
	}
	for name, der := range map[string][]byte{
		"a tail": append(bytes.Clone(good), 0), "an error with a body": {0x30, 5, 0x0a, 1, 1, 5, 0}, "too long": make([]byte, ocsp.MaxResponse+1),
	} {
		if _, err := ocsp.ParseResponse(der); !errors.Is(err, ocsp.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is read, and can be built, is read again as the same; nothing is
// verified for an authority that signed nothing.
func FuzzParseResponse(f *testing.F) {
	w, stranger := newWorld(f, newKey(f), newKey(f)), newWorld(f, newKey(f), newKey(f))
	a, key := w.full(f)
	alg := algorithm(f, key)
	f.Add(w.build(f, a, key))
	a.Nonce, a.ExtendedRevoke, a.Certificates = nil, false, nil
	f.Add(w.build(f, a, key))
	f.Add(ocsp.TryLater.DER())
	byName, err := foreign.CreateResponse(w.ca, w.ca, foreign.Response{SerialNumber: big.NewInt(1), ThisUpdate: now, NextUpdate: now}, w.caKey)
	must(f, err)
	f.Add(byName)
	f.Fuzz(func(t *testing.T, der []byte) {
		parsed, err := ocsp.ParseResponse(der)
		if err != nil {
			if status := ocsp.ErrorStatus(0); !errors.Is(err, ocsp.ErrMalformed) && !errors.As(err, &status) {
				t.Errorf("an error of neither kind: %v", err)
			}
			return
		}
		if _, err := parsed.Verify(stranger.ca, now); err == nil {
			t.Error("an answer verifies for an authority that never signed")
		}
		again, err := ocsp.Build(&parsed.Answer, alg, key)
		if err != nil {
			return
		}
		reparsed, err := ocsp.ParseResponse(again)
		must(t, err)
		if !reflect.DeepEqual(parsed.Answer, reparsed.Answer) {
			t.Errorf("read %+v, then %+v", parsed.Answer, reparsed.Answer)
		}
	})
}

// The raw signature beside it is what an answer cannot cost less than.
func BenchmarkBuild(b *testing.B) {
	w := newWorld(b, newKey(b), newKey(b))
	id, err := w.issuer.CertID(crypto.SHA1, w.good.SerialNumber.Bytes())
	must(b, err)
	a, key := w.template(true)
	a.Responses, a.Nonce = []ocsp.SingleResponse{w.single(id)}, make([]byte, 32)
	alg := algorithm(b, key)
	b.Run("answer P-256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := ocsp.Build(a, alg, key)
			must(b, err)
		}
	})
	message := make([]byte, 300)
	b.Run("signed and checked by tbs", func(b *testing.B) {
		for b.Loop() {
			_, err := alg.Sign(key, message)
			must(b, err)
		}
	})
	b.Run("raw signature", func(b *testing.B) {
		for b.Loop() {
			sum := sha256.Sum256(message)
			_, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
			must(b, err)
		}
	})
}

func BenchmarkParseRequest(b *testing.B) {
	w := newWorld(b, newKey(b), newKey(b))
	der := wrapRequest(certID(b, w), nil)
	b.ReportAllocs()
	for b.Loop() {
		_, err := ocsp.ParseRequest(der)
		must(b, err)
	}
}
