package reference

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
)

func serve(h http.Handler, method, path string, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader(body)))
	return w
}

func TestSignerGivesCertificatesThatVerify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "reference.db")
	s, err := NewSigner(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"a.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	w := serve(s, http.MethodPost, "/sign", request)
	block, _ := pem.Decode(w.Body.Bytes())
	if w.Code != http.StatusCreated || block == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckSignatureFrom(s.CA); err != nil {
		t.Error(err)
	}
	if !key.PublicKey.Equal(c.PublicKey) || c.VerifyHostname("a.example") != nil {
		t.Errorf("the certificate holds %v for %v", c.PublicKey, c.DNSNames)
	}
	der[len(der)-1] ^= 1
	if w := serve(s, http.MethodPost, "/sign", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})); w.Code != http.StatusBadRequest {
		t.Errorf("a request with a wrong signature gets %d", w.Code)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, file, "certificates"); n != 1 {
		t.Errorf("%d certificates are stored", n)
	}
}

func TestGroupStoresEveryTransactionThatItAcknowledged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "group.db")
	g, err := OpenGroup(file, `CREATE TABLE t (a BIGINT PRIMARY KEY)`)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if err := g.Do(Statement{`INSERT INTO t (a) VALUES ($1)`, []any{caller*1000 + i}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := g.Do(Statement{`INSERT INTO t (a) VALUES ($1)`, []any{0}}); err == nil {
		t.Error("a row that is there is stored again")
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, file, "t"); n != 400 {
		t.Errorf("%d of 400 rows are stored", n)
	}
}

func count(t *testing.T, file, table string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFilesComeBackAsTheyWentAndAreEncrypted(t *testing.T) {
	dir := t.TempDir()
	f, err := NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 17} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := bytes.Repeat([]byte("plain"), size/5+1)[:size]
			w := serve(f, http.MethodPost, "/", content)
			if w.Code != http.StatusCreated {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			id := w.Body.String()
			got := serve(f, http.MethodGet, "/"+id, nil)
			if !bytes.Equal(got.Body.Bytes(), content) || got.Header().Get("Content-Length") != fmt.Sprint(size) {
				t.Errorf("%d bytes came back, said to be %s", got.Body.Len(), got.Header().Get("Content-Length"))
			}
			if w := serve(f, http.MethodDelete, "/"+id, nil); w.Code != http.StatusNoContent {
				t.Errorf("delete: %d", w.Code)
			}
		})
	}
}
