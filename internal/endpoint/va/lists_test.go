package va_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/crl"
)

func (s *site) policy(t *testing.T, change func(*authority.Policy)) {
	t.Helper()
	id := certtest.Issuer(access.Production)
	p, err := s.Authorities.Policy(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	change(&p)
	if err := s.Authorities.SetPolicy(t.Context(), id, p); err != nil {
		t.Fatal(err)
	}
}

// Row 20: the addresses in certificates and lists lead to shards and deltas.
func TestShardsAndDeltasAreFoundByTheirAddresses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		s.Clock.Advance(time.Second)
		s.policy(t, func(p *authority.Policy) { p.Shards, p.Deltas = 1, true })
		s.publish(t) // a new full list, too, that names its delta
		cert := s.Issue(t, s.service, certtest.Order{})
		fetch := func(address string) *crl.CRL {
			t.Helper()
			path, ok := strings.CutPrefix(address, s.url)
			if !ok {
				t.Fatalf("%s is not ours", address)
			}
			a := s.do(t, "GET", path, nil)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/pkix-crl" || a.header.Get("ETag") == "" || a.header.Get("Last-Modified") == "" || a.header.Get("Cache-Control") == "" {
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
			if b := s.do(t, "GET", path, nil, "If-None-Match", a.header.Get("ETag")); b.status != http.StatusNotModified {
				t.Errorf("%s: a second time %d", path, b.status)
			}
			if b := s.do(t, "GET", path, nil, "Range", "bytes=5-9"); b.status != http.StatusPartialContent || !bytes.Equal(b.body, a.body[5:10]) {
				t.Errorf("%s: a part is %d %x", path, b.status, b.body)
			}
			list, err := crl.Parse(a.body)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		shard := fetch(cert.Leaf.CRLDistributionPoints[0])
		if shard.IDP == nil || shard.IDP.URIs[0] != cert.Leaf.CRLDistributionPoints[0] || len(shard.Freshest) != 1 {
			t.Fatalf("the shard's scope is %+v, its delta %v", shard.IDP, shard.Freshest)
		}
		s.Clock.Advance(time.Second)
		s.Revoke(t, certtest.Issuer(access.Production), cert)
		s.publish(t)
		delta := fetch(shard.Freshest[0])
		full := fetch(s.url + "/crl/production-clients-1.crl")
		if delta.DeltaBase == nil || delta.IDP == nil || full.IDP != nil || full.DeltaBase != nil {
			t.Errorf("delta %+v, full %+v", delta.List, full.List)
		}
		if d := fetch(full.Freshest[0]); d.DeltaBase.Cmp(full.Number) != 0 || d.IDP != nil {
			t.Errorf("the full list %v has a delta over %v", full.Number, d.DeltaBase)
		}
		for _, path := range []string{"2.crl", "0.crl", "01.crl", "+1.crl", "-1.crl", "1", "1.der", "delta", "delta-delta.crl", "2-delta.crl", ".crl", "-delta.crl", "99999999999999999999.crl", "1%00.crl"} {
			if a := s.do(t, "GET", "/crl/production-clients-1/"+path, nil); a.status != http.StatusNotFound {
				t.Errorf("%s: %d", path, a.status)
			}
		}
		if a := s.do(t, "GET", "/crl/%ff/1.crl", nil); a.status != http.StatusNotFound {
			t.Errorf("an authority that cannot be: %d", a.status)
		}
	})
}

// The judge is GnuTLS.
func TestGnuTLSTakesAnswersAndLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		cert := s.Issue(t, s.service, certtest.Order{})
		leaf, issuer := s.file(t, "leaf.pem", pemOf(cert.Certificate[0])), s.file(t, "issuer.pem", pemOf(cert.Certificate[1]))
		status := func(nonce string) string {
			return command(t, "ocsptool", "--ask="+s.url+"/ocsp/production-clients-1", nonce, "--load-cert="+leaf, "--load-issuer="+issuer, "--verify-allow-broken")
		}
		for _, nonce := range []string{"--nonce", "--no-nonce"} {
			if out := status(nonce); !strings.Contains(out, "Verifying OCSP Response: Success") || !strings.Contains(out, "Certificate Status: good") {
				t.Errorf("%s: %s", nonce, out)
			}
		}
		s.Clock.Set(time.Now()) // GnuTLS judges by the real clock
		s.Revoke(t, certtest.Issuer(access.Production), cert)
		for _, nonce := range []string{"--nonce", "--no-nonce"} {
			if out := status(nonce); !strings.Contains(out, "Verifying OCSP Response: Success") || !strings.Contains(out, "Certificate Status: revoked") {
				t.Errorf("%s: %s", nonce, out)
			}
		}
		s.publish(t)
		path := filepath.Join(s.dir, "list.crl")
		command(t, "curl", "-sSf", "-o", path, s.url+"/crl/production-clients-1.crl")
		if out := command(t, "certtool", "--crl-info", "--inder", "--infile", path); !strings.Contains(out, fmt.Sprintf("Serial Number (hex): %x", cert.Leaf.SerialNumber.Bytes())) {
			t.Error(out)
		}
		pem := filepath.Join(s.dir, "list.pem")
		openssl(t, "crl", "-inform", "DER", "-in", path, "-out", pem)
		if out := command(t, "certtool", "--verify-crl", "--infile", pem, "--load-ca-certificate", issuer); !strings.Contains(out, "Verified.") {
			t.Error(out)
		}
	})
}

// RFC 9110, 13.1: conditions on answers that were signed ahead.
func TestOCSPAnswersAreNotSentTwice(t *testing.T) {
	s := newSite(t, storetest.Open(t, storetest.SQLite(t)))
	der := s.request(t, s.Issue(t, s.service, certtest.Order{}), false)
	get := func(header ...string) answer {
		t.Helper()
		return s.do(t, "GET", "/ocsp/production-clients-1/"+url.PathEscape(base64.StdEncoding.EncodeToString(der)), nil, header...)
	}
	a := get()
	tag, signed := a.header.Get("ETag"), a.header.Get("Last-Modified")
	s.Clock.Advance(time.Hour)
	if b := get(); !bytes.Equal(b.body, a.body) || b.header.Get("ETag") != tag || b.header.Get("Last-Modified") != signed || b.header.Get("Content-Length") != fmt.Sprint(len(b.body)) {
		t.Errorf("an hour later: %v", b.header)
	}
	later := s.Clock.Now().Format(http.TimeFormat)
	for _, k := range []struct {
		name   string
		header []string
		status int
	}{
		{"the tag", []string{"If-None-Match", tag}, 304},
		{"the tag among others", []string{"If-None-Match", `"a", W/` + tag}, 304},
		{"any", []string{"If-None-Match", "*"}, 304},
		{"another tag", []string{"If-None-Match", `"a"`}, 200},
		{"another tag, and a time", []string{"If-None-Match", `"a"`, "If-Modified-Since", later}, 200},
		{"the time", []string{"If-Modified-Since", signed}, 304},
		{"a later time", []string{"If-Modified-Since", later}, 304},
		{"an earlier time", []string{"If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}, 200},
		{"no time", []string{"If-Modified-Since", "yesterday"}, 200},
	} {
		b := get(k.header...)
		if b.status != k.status || (len(b.body) == 0) != (k.status == 304) || b.header.Get("ETag") != tag || b.header.Get("Cache-Control") == "" {
			t.Errorf("%s: %d with %d octets, %v", k.name, b.status, len(b.body), b.header)
		}
	}
}
