package api_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/api"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/tbs"
)

// Raw is what nobody can do without: read the request, check its signature,
// build the certificate and sign it.
func BenchmarkRawParseVerifySign(b *testing.B) {
	request, _ := newCSR(b)
	key := must(keys.Generate(keys.P256))(b)
	alg := must(tbs.ForKey(key.Public()))(b)
	issuer := nameOf(b, key)
	now := time.Now()
	usage := must(tbs.KeyUsage(x509.KeyUsageDigitalSignature))(b)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r, err := csr.Parse(request)
			check(b, err)
			c := tbs.Certificate{
				Serial: tbs.NewSerial(now, rand.Reader), Algorithm: alg, Issuer: issuer, Subject: issuer,
				NotBefore: now, NotAfter: now.AddDate(2, 0, 0), SPKI: r.SPKI, Extensions: []tbs.Extension{usage},
			}
			_, err = tbs.Sign(must(c.Bytes())(b), alg, key)
			check(b, err)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
}

func newCSR(b *testing.B) ([]byte, string) {
	text, _ := csrFor(b, keys.P256)
	block, _ := pem.Decode([]byte(text))
	return block.Bytes, text
}

func nameOf(b *testing.B, key crypto.Signer) []byte {
	b.Helper()
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bench"}}
	der := must(x509.CreateCertificate(rand.Reader, t, t, key.Public(), key))(b)
	return must(x509.ParseCertificate(der))(b).RawSubject
}

// The same through the handler: token, description, validation, rules, two
// durable commits and the answer. 64 callers at once share the commits.
func BenchmarkCertificates(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) { benchmarkCertificates(b, storetest.Open(b, open(b))) })
	}
}

func benchmarkCertificates(b *testing.B, db *store.DB) {
	w := newWorld(b, db, options{})
	_, request := newCSR(b)
	body := string(must(json.Marshal(certificateFor(w.north, request)))(b))
	token := w.north.system.header.Get("Authorization")
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r := httptest.NewRequest("POST", api.Prefix+"/certificates", strings.NewReader(body))
			r.Header.Set("Authorization", token)
			r.Header.Set("Content-Type", "application/json")
			a := httptest.NewRecorder()
			w.handler.ServeHTTP(a, r)
			if a.Code != http.StatusCreated {
				b.Errorf("%d %s", a.Code, a.Body)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
}

// What authentication, routing and description cost without a domain behind
// them: a request whose last field is refused.
func BenchmarkARefusedRequest(b *testing.B) {
	w := newWorld(b, storetest.Open(b, storetest.SQLite(b)), options{})
	_, request := newCSR(b)
	c := certificateFor(w.north, request)
	c["zzz"] = 1
	body := string(must(json.Marshal(c))(b))
	token := w.north.system.header.Get("Authorization")
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", api.Prefix+"/certificates", strings.NewReader(body))
		r.Header.Set("Authorization", token)
		r.Header.Set("Content-Type", "application/json")
		a := httptest.NewRecorder()
		w.handler.ServeHTTP(a, r)
		if a.Code != http.StatusBadRequest {
			b.Fatalf("%d %s", a.Code, a.Body)
		}
	}
}
