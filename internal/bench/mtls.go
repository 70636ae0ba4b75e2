package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// mutualTLS is row mtls: each operation opens a connection with a client
// certificate, without resumption, and makes one call on it. The product
// verifies chain, revocation and the service; the reference the chain.
func mutualTLS(ctx context.Context, s *session) error {
	dir, err := s.place("product")
	if err != nil {
		return err
	}
	p, err := s.install(ctx, plan{dir: dir})
	if err != nil {
		return err
	}
	defer func() { p.stop() }()
	certificate, err := p.clientCertificate(ctx, "mtls")
	if err != nil {
		return err
	}
	issuer := filepath.Join(dir, "issuer.pem")
	if err := os.WriteFile(issuer, []byte(p.Issuer), 0o600); err != nil {
		return err
	}
	var d bare
	reference, err := s.begin(ctx, &d, "mtls", "--clients", issuer)
	if err != nil {
		return err
	}
	defer reference.stop()
	trust, err := poolOf([]byte(d.Trust))
	if err != nil {
		return err
	}
	call, err := p.call(ctx, certificate)
	if err != nil {
		return err
	}
	for _, n := range s.numbers() {
		err := s.compare(ctx, "", n,
			target{name: bareName, server: reference, op: newConnections(trust, certificate, d.URL+"/", "")},
			target{name: product, server: p.process, op: call})
		if err != nil {
			return err
		}
	}
	if err := p.killUnderLoad(ctx, s.numbers()[0], call); err != nil {
		return err
	}
	s.check(call(ctx, 0) == nil, "the service answers after SIGKILL")
	return nil
}

// call stores a small document and gives the operation that fetches it over a
// connection of its own.
func (p *installation) call(ctx context.Context, certificate *tls.Certificate) (operation, error) {
	c := newCallers(p.Production, p.trust, 1, certificate)
	defer c.close()
	basic := basicAuth("demo", p.Logins.Production)
	a, err := c.do(ctx, 0, http.MethodPost, "/doc/demo/sds", []byte(fixedAnswer), map[string]string{"Authorization": basic, "Content-Type": "text/plain"})
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	return newConnections(p.trust, certificate, p.Production+"/doc/demo/sds/"+strings.TrimSpace(string(a.body)), basic), err
}

func basicAuth(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// newConnections makes each call on a connection of its own.
func newConnections(trust *x509.CertPool, certificate *tls.Certificate, address, authorization string) operation {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(trust, certificate), DialContext: dialLoopback, DisableKeepAlives: true}}
	return func(ctx context.Context, _ int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && (resp.StatusCode != http.StatusOK || string(body) != fixedAnswer) {
			err = fmt.Errorf("status %d: %.200s", resp.StatusCode, body)
		}
		return err
	}
}

// clientCertificate orders a certificate for the service demo in production.
func (p *installation) clientCertificate(ctx context.Context, name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	r, err := requestFor("client.bench.example", key)
	if err != nil {
		return nil, err
	}
	c := newCallers(p.Pages, p.trust, 1, nil)
	defer c.close()
	var v certificateAnswer
	body := map[string]string{"realm": "production", "service": "demo", "shortName": name, "csr": string(r.pem)}
	if err := c.json(ctx, 0, http.MethodPost, "/api/v1/certificates", p.Logins.Token, body, &v, http.StatusCreated); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(v.Certificate))
	if block == nil {
		return nil, errors.New("no certificate in the answer")
	}
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
}
