package demo

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"

	"github.com/sealwright/sealwright/pki/ocsp"
)

func (p *player) production() string { return p.cfg.Environment.Production.PublicURL + "/doc/demo/sds" }

// basic adds the service's user name and password.
func basic(service, password string) func(*http.Request) {
	return func(r *http.Request) {
		r.SetBasicAuth(service, password)
		r.Header.Set("Content-Type", "application/pdf")
	}
}

func (p *player) upload(*Site) (string, error) {
	p.content = make([]byte, 1<<20)
	rand.Read(p.content)
	resp, id, err := p.call(p.mutual, http.MethodPost, p.production(), p.content, basic("demo", p.logins.Production))
	if err != nil {
		return "", err
	}
	if err := want(resp, id, http.StatusCreated); err != nil {
		return "", err
	}
	p.document = strings.TrimSpace(string(id))
	if len(p.document) != 58 {
		return "", fmt.Errorf("the id %q has %d characters, not 58", p.document, len(p.document))
	}
	return "document " + p.document, nil
}

func (p *player) fetch(*Site) (string, error) {
	resp, body, err := p.call(p.mutual, http.MethodGet, p.production()+"/"+p.document, nil, basic("demo", p.logins.Production))
	if err != nil {
		return "", err
	}
	if err := want(resp, body, http.StatusOK); err != nil {
		return "", err
	}
	if !bytes.Equal(body, p.content) || resp.Header.Get("Content-Type") != "application/pdf" {
		return "", fmt.Errorf("the document came back changed: %d bytes of %s", len(body), resp.Header.Get("Content-Type"))
	}
	return fmt.Sprintf("the same %d bytes, the same type", len(body)), nil
}

// refused makes the call that worked before and expects a refusal with a reason.
func (p *player) refused(c *http.Client) (string, error) {
	resp, body, err := p.call(c, http.MethodGet, p.production()+"/"+p.document, nil, basic("demo", p.logins.Production))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return "", want(resp, body, http.StatusForbidden)
	}
	return fmt.Sprintf("%s: %s", resp.Status, firstLine(body)), nil
}

func (p *player) without(*Site) (string, error) { return p.refused(p.client) }

// withAnother orders a certificate for another client's service, from a request
// this time, and tries it on demo's document.
func (p *player) withAnother(s *Site) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", err
	}
	var made struct {
		Certificate string `json:"certificate"`
	}
	err = p.api("/certificates", map[string]any{
		"realm": "production", "service": "other", "shortName": "batch",
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	}, &made, http.StatusCreated)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode([]byte(made.Certificate))
	if block == nil {
		return "", fmt.Errorf("the answer holds no certificate")
	}
	p.stranger = p.browser(s, &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key})
	return p.refused(p.stranger)
}

func (p *player) preprod(*Site) (string, error) {
	address := p.cfg.Environment.Preprod.PublicURL + "/doc/demo/sds"
	resp, id, err := p.call(p.client, http.MethodPost, address, []byte("hello"), basic("demo", p.logins.Preprod))
	if err != nil {
		return "", err
	}
	if err := want(resp, id, http.StatusCreated); err != nil {
		return "", err
	}
	resp, body, err := p.call(p.client, http.MethodGet, address+"/"+strings.TrimSpace(string(id)), nil, basic("demo", p.logins.Preprod))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%q came back", body), want(resp, body, http.StatusOK)
}

func (p *player) withdraw(*Site) (string, error) {
	err := p.api("/orders/"+p.order.ID+"/withdraw", map[string]any{"reason": "keyCompromise"}, &p.order, http.StatusOK)
	if err == nil && p.order.State != "REVOKED" {
		err = fmt.Errorf("the order is %s", p.order.State)
	}
	return p.order.CommonName + " is " + p.order.State, err
}

func (p *player) afterwards(*Site) (string, error) { return p.refused(p.mutual) }

func (p *player) ocsp(s *Site) (string, error) {
	issuer, err := s.House.Authority.Get(p.ctx, "production-clients-1")
	if err != nil {
		return "", err
	}
	who, err := ocsp.IssuerOf(issuer.Certificate)
	if err != nil {
		return "", err
	}
	serial, err := hex.DecodeString(p.order.Serial)
	if err != nil {
		return "", err
	}
	id, err := who.CertID(crypto.SHA256, serial)
	if err != nil {
		return "", err
	}
	request, err := ocsp.BuildRequest([]ocsp.CertID{id}, nil)
	if err != nil {
		return "", err
	}
	resp, der, err := p.call(p.client, http.MethodPost, s.House.Authority.URLs().OCSP(issuer.ID), request, func(r *http.Request) { r.Header.Set("Content-Type", "application/ocsp-request") })
	if err != nil {
		return "", err
	}
	if err := want(resp, der, http.StatusOK); err != nil {
		return "", err
	}
	answer, err := ocsp.ParseResponse(der)
	if err != nil {
		return "", err
	}
	if _, err := answer.Verify(issuer.Certificate, s.House.Clock.Now()); err != nil {
		return "", err
	}
	single, ok := answer.Find(serial)
	if !ok || single.Status != ocsp.Revoked {
		return "", fmt.Errorf("the answer says %v", single.Status)
	}
	return "signed by the authority's responder, revoked at " + single.RevokedAt.Format("15:04:05 MST"), nil
}
