// Package reference holds the bare servers that the product is measured
// against. Each does the work that cannot be left out and nothing else: no
// accounts, no audit, no log, no rules. They are not for any other use.
package reference

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A Signer is the smallest certification authority: it parses and verifies a
// request, signs, and stores the certificate in SQLite before it answers.
//
//	POST /sign   a certificate request in PEM; 201 and the certificate in PEM
//	GET /        200, for the calibration
type Signer struct {
	CA     *x509.Certificate
	key    crypto.Signer
	alg    tbs.Algorithm
	keyID  tbs.Extension
	writer *Group
}

// NewSigner founds the authority with a database file.
func NewSigner(file string) (*Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Reference CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	s := &Signer{key: key}
	if s.CA, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if s.alg, err = tbs.ForKey(key.Public()); err != nil {
		return nil, err
	}
	if s.keyID, err = tbs.AuthorityKeyID(s.CA.SubjectKeyId); err != nil {
		return nil, err
	}
	s.writer, err = OpenGroup(file, `CREATE TABLE certificates (serial BLOB PRIMARY KEY, der BLOB NOT NULL) WITHOUT ROWID`)
	return s, err
}

// ServeHTTP implements [http.Handler].
func (s *Signer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err == nil && r.Method == http.MethodPost {
		body, err = s.issue(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body) // the certificate is stored, whether or not the caller is still there
}

func (s *Signer) issue(request []byte) ([]byte, error) {
	r, err := csr.Parse(request)
	if err != nil {
		return nil, err
	}
	san, err := tbs.SubjectAltName(tbs.SAN{DNS: r.DNS}, len(r.Name) == 0)
	if err != nil {
		return nil, err
	}
	usage, err := tbs.KeyUsage(x509.KeyUsageDigitalSignature)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := tbs.Certificate{
		Serial: tbs.NewSerial(now, rand.Reader), Algorithm: s.alg, Issuer: s.CA.RawSubject, Subject: r.Subject, SPKI: r.SPKI,
		NotBefore: now.Add(-time.Minute).UTC().Truncate(time.Second), NotAfter: now.AddDate(2, 0, 0).UTC().Truncate(time.Second),
		Extensions: []tbs.Extension{s.keyID, usage, san},
	}
	raw, err := c.Bytes()
	if err != nil {
		return nil, err
	}
	der, err := tbs.Sign(raw, s.alg, s.key)
	if err != nil {
		return nil, err
	}
	if err := s.writer.Do(Statement{`INSERT INTO certificates (serial, der) VALUES ($1, $2)`, []any{c.Serial, der}}); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// Close closes the database.
func (s *Signer) Close() error { return s.writer.Close() }
