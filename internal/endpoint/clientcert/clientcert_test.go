package clientcert_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// gate is a web service of one service in production: it says who called.
func gate(v *clientcert.Verifier, s access.Service) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := v.Identify(r.Context(), r.TLS, clientcert.Want{Realm: string(access.Production), Kind: clientcert.WebService})
		if err == nil {
			err = v.RequireService(r.Context(), id, s)
		}
		if err != nil {
			fault.WriteText(w, err, telemetry.Correlation(r.Context()))
			return
		}
		_, _ = io.WriteString(w, id.CommonName+" of "+id.ServiceName)
	})
}

func verifier(w *certtest.World) *clientcert.Verifier {
	return clientcert.New(w.Authorities, w.DB, w.Audit, w.Clock, nil)
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// caKey is an authority's own certificate with its key, as only a thief has it.
func caKey(t *testing.T, w *certtest.World, id string) tls.Certificate {
	t.Helper()
	x, err := w.Authorities.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	key, err := w.Vault.Signer(t.Context(), x.KeyRef)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{x.DER}, PrivateKey: key, Leaf: x.Certificate}
}

// copyOf is a template for a certificate that says what c says.
func copyOf(c tls.Certificate) *x509.Certificate {
	l := c.Leaf
	return &x509.Certificate{
		SerialNumber: l.SerialNumber, Subject: l.Subject, NotBefore: l.NotBefore, NotAfter: l.NotAfter, KeyUsage: l.KeyUsage,
		ExtKeyUsage: l.ExtKeyUsage, BasicConstraintsValid: true, URIs: l.URIs, IsCA: l.IsCA, SubjectKeyId: l.SubjectKeyId,
	}
}

// foreign is a hierarchy of somebody else with exactly our names.
func foreign(t *testing.T, w *certtest.World) tls.Certificate {
	root := certtest.SelfMade(t, copyOf(caKey(t, w, certtest.Root(access.Production))), nil)
	return certtest.SelfMade(t, copyOf(caKey(t, w, certtest.Issuer(access.Production))), &root)
}

// N1, N3, N7, N9, N10: who is let in, and the reason for everybody else.
func TestEachCertificateIsAcceptedOrRefusedWithItsReason(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := certtest.New(t, db)
		service, other := w.Service(t, access.Production, "demo"), w.Service(t, access.Production, "other")
		twin := w.Service(t, access.Preprod, "demo")
		v := verifier(w)
		server := certtest.Serve(t, v, string(access.Production), gate(v, service))

		good := w.Issue(t, service, certtest.Order{})
		withdrawn := w.Issue(t, service, certtest.Order{})
		w.Revoke(t, certtest.Issuer(access.Production), withdrawn)
		ours, theirs := caKey(t, w, certtest.Issuer(access.Production)), foreign(t, w)
		unregistered := copyOf(good)
		unregistered.SerialNumber = big.NewInt(4711)
		serverOnly := copyOf(good)
		serverOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		uri := "urn:x-sealwright:service:production:demo"
		made := func(template *x509.Certificate, by *tls.Certificate) *tls.Certificate {
			c := certtest.SelfMade(t, template, by)
			return &c
		}
		issued := func(s access.Service, o certtest.Order) *tls.Certificate { c := w.Issue(t, s, o); return &c }

		for _, c := range []struct {
			name string
			cert *tls.Certificate
			code string // empty: accepted
			says string
		}{
			{"the right certificate", &good, "", "demo-ws-ssl-test of demo"},
			{"no certificate", nil, "missing", "in the environment production"},
			{"one that its holder signed", made(copyOf(good), nil), "foreign", "not issued by this installation"},
			{"one of a foreign authority with our names", made(copyOf(good), &theirs), "foreign", "not issued by this installation"},
			{"our authority's own certificate", &ours, "usage", "not meant for client authentication"},
			{"one for servers", made(serverOnly, &ours), "usage", "not meant for client authentication"},
			{"one signed with our key behind our back", made(unregistered, &ours), "unregistered", "not in the register"},
			{"another one under a serial number of ours", made(copyOf(good), &ours), "unregistered", "not in the register"},
			{"that of the same service in the other environment", issued(twin, certtest.Order{}), "environment", "belongs to the environment preprod"},
			{"an API certificate", issued(service, certtest.Order{Kind: "api", Authority: certtest.Issuer(certtest.Platform)}), "kind", "is of the kind api"},
			{"an API certificate of this realm", issued(service, certtest.Order{Kind: "api"}), "kind", "is of the kind api"},
			{"another service's", issued(other, certtest.Order{}), "other_service", `issued for the service "other"`},
			{"one that ended a second ago", issued(service, certtest.Order{Starts: -time.Hour, Life: time.Hour - 2*time.Second}), "expired", "expired on"},
			{"one that begins in an hour", issued(service, certtest.Order{Starts: time.Hour}), "not_yet_valid", "becomes valid on"},
			{"a withdrawn one", &withdrawn, "withdrawn", "was withdrawn on"},
			{"one that names no service", issued(service, certtest.Order{URI: []string{"urn:other:x"}}), "no_service", "does not name the service"},
			{"one that names two services", issued(service, certtest.Order{URI: []string{uri, uri + "2"}}), "no_service", "does not name the service"},
			{"one whose name is of the other environment", issued(service, certtest.Order{URI: []string{"urn:x-sealwright:service:preprod:demo"}}), "no_service", "does not name the service"},
			{"one whose name is another service's", issued(service, certtest.Order{URI: []string{uri + "2"}}), "other_service", "which is not the one"},
		} {
			status, body := get(t, server.Client(t, c.cert), server.URL)
			if c.code == "" {
				if status != http.StatusOK || body != c.says {
					t.Errorf("%s: %d %q", c.name, status, body)
				}
				continue
			}
			if status != http.StatusForbidden || !strings.Contains(body, "(clientcert."+c.code+",") || !strings.Contains(body, c.says) {
				t.Errorf("%s: %d %q; want %s", c.name, status, body, c.code)
			}
			if e := w.Refusals(t); len(e) == 0 || e[0].Entry.Detail["reason"] != c.code || e[0].Entry.Result != "refused" {
				t.Errorf("%s: the audit log has %+v", c.name, e)
			}
		}
	})
}

func TestAnIntentIsNoCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := certtest.New(t, db)
		v := verifier(w)
		service := w.Service(t, access.Production, "demo")
		ca := caKey(t, w, certtest.Issuer(access.Production))
		c := certtest.SelfMade(t, copyOf(w.Issue(t, service, certtest.Order{})), &ca)
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE certificates SET status = 'intent', der = $1`, c.Leaf.Raw)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, err := v.Identify(t.Context(), &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.Leaf}}, clientcert.Want{Realm: "production", Kind: clientcert.WebService})
		if fault.Of(err).Code != "clientcert.unregistered" {
			t.Errorf("Identify gave %v", err)
		}
	})
}

// N29: withdrawn on one node, refused by the other in the very next request on
// a connection that is open and was good a moment before.
func TestAWithdrawalHoldsOnEveryNodeAtOnce(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		w := certtest.New(t, storetest.Open(t, url))
		second := w.Node(t, storetest.Open(t, url))
		service := w.Service(t, access.Production, "demo")
		spare := w.Issue(t, service, certtest.Order{})
		v := verifier(second)
		server := certtest.Serve(t, v, string(access.Production), gate(v, service))
		for _, http2 := range []bool{false, true} {
			cert := w.Issue(t, service, certtest.Order{})
			client := server.Client(t, &cert)
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = http2
			for range 3 {
				if status, body := get(t, client, server.URL); status != http.StatusOK {
					t.Fatalf("before: %d %s", status, body)
				}
			}
			w.Revoke(t, certtest.Issuer(access.Production), cert)
			if status, body := get(t, client, server.URL); status != http.StatusForbidden || !strings.Contains(body, "withdrawn") {
				t.Errorf("after: %d %s", status, body)
			}
		}
		// The service's other certificate is untouched.
		if status, body := get(t, server.Client(t, &spare), server.URL); status != http.StatusOK {
			t.Errorf("the other certificate: %d %s", status, body)
		}
	})
}

// N23: usable from the moment of issue; N31 to N33: the new one and the old one
// work side by side until the old one ends.
func TestCertificatesWorkInParallelUntilTheyExpire(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := certtest.New(t, db)
		service := w.Service(t, access.Production, "demo")
		v := verifier(w)
		server := certtest.Serve(t, v, string(access.Production), gate(v, service))
		call := func(c *http.Client) int { status, _ := get(t, c, server.URL); return status }

		first := w.Issue(t, service, certtest.Order{})
		old := server.Client(t, &first)
		if call(old) != http.StatusOK {
			t.Error("a new certificate is not usable immediately")
		}
		w.Clock.Set(first.Leaf.NotAfter.Add(-24 * time.Hour))
		next := w.Issue(t, service, certtest.Order{})
		young := server.Client(t, &next)
		if call(old) != http.StatusOK || call(young) != http.StatusOK {
			t.Error("the two certificates do not work side by side")
		}
		w.Clock.Set(first.Leaf.NotAfter.Add(999 * time.Millisecond)) // the last second counts
		if call(old) != http.StatusOK {
			t.Error("the old one ended early")
		}
		w.Clock.Set(first.Leaf.NotAfter.Add(time.Second))
		if call(old) != http.StatusForbidden || call(young) != http.StatusOK {
			t.Error("the old one goes on, or the new one does not")
		}
	})
}

func TestTheCertificatesOfAWithdrawnAuthorityEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := certtest.New(t, db)
		service := w.Service(t, access.Production, "demo")
		v := verifier(w)
		server := certtest.Serve(t, v, string(access.Production), gate(v, service))
		cert := w.Issue(t, service, certtest.Order{})
		open := server.Client(t, &cert)
		if status, _ := get(t, open, server.URL); status != http.StatusOK {
			t.Fatal("refused before the withdrawal")
		}
		w.Revoke(t, certtest.Root(access.Production), caKey(t, w, certtest.Issuer(access.Production)))
		if status, body := get(t, server.Client(t, &cert), server.URL); status != http.StatusForbidden || !strings.Contains(body, "issuer_withdrawn") {
			t.Errorf("a new connection: %d %s", status, body)
		}
		w.Clock.Advance(time.Minute)
		if status, _ := get(t, open, server.URL); status != http.StatusForbidden {
			t.Error("an open connection goes on after a minute")
		}
	})
}

func TestAnAuthorityThatIsNewIsKnownAtOnce(t *testing.T) {
	w := certtest.New(t, storetest.Open(t, storetest.SQLite(t)))
	service := w.Service(t, access.Production, "demo")
	v := verifier(w)
	server := certtest.Serve(t, v, string(access.Production), gate(v, service))
	first := w.Issue(t, service, certtest.Order{})
	if status, _ := get(t, server.Client(t, &first), server.URL); status != http.StatusOK {
		t.Fatal("the first authority is refused")
	}
	spec := authority.Spec{ID: "production-clients-2", Realm: "production", Name: "Test Client CA production", Org: "Sealwright Test", Country: "NO", Purpose: authority.ClientAuth, Key: "p256", Years: 9}
	if _, err := w.Authorities.CreateIssuing(t.Context(), spec, certtest.Root(access.Production)); err != nil {
		t.Fatal(err)
	}
	// It has the very name of the first: the signature decides.
	second := w.Issue(t, service, certtest.Order{Authority: spec.ID})
	if status, body := get(t, server.Client(t, &second), server.URL); status != http.StatusOK {
		t.Errorf("the second authority: %d %s", status, body)
	}
	if status, _ := get(t, server.Client(t, &first), server.URL); status != http.StatusOK {
		t.Error("the first authority is refused")
	}
}

func TestNobodyGetsInWhileTheDatabaseIsGone(t *testing.T) {
	url := storetest.SQLite(t)
	w := certtest.New(t, storetest.Open(t, url))
	service := w.Service(t, access.Production, "demo")
	cert := w.Issue(t, service, certtest.Order{})
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(w.Node(t, db))
	ctx := v.ConnContext(t.Context(), nil)
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf}}
	want := clientcert.Want{Realm: "production", Kind: clientcert.WebService}
	if _, err := v.Identify(ctx, state, want); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if id, err := v.Identify(ctx, state, want); err == nil || errors.Is(err, fault.Forbidden) || id.Status != "" {
		t.Errorf("Identify gave %+v, %v", id, err)
	}
}

// A session that TLS resumes brings the certificate along; it is judged anew.
func TestAResumedSessionIsJudgedAnew(t *testing.T) {
	w := certtest.New(t, storetest.Open(t, storetest.SQLite(t)))
	service := w.Service(t, access.Production, "demo")
	v := verifier(w)
	server := certtest.Serve(t, v, string(access.Production), gate(v, service))
	cert := w.Issue(t, service, certtest.Order{})
	cfg := server.ClientConfig(&cert)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	resumed := false
	cfg.VerifyConnection = func(s tls.ConnectionState) error { resumed = s.DidResume; return nil }
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	get(t, client, server.URL)
	if status, body := get(t, client, server.URL); status != http.StatusOK || !resumed {
		t.Fatalf("resumed %v: %d %s", resumed, status, body)
	}
	w.Revoke(t, certtest.Issuer(access.Production), cert)
	if status, body := get(t, client, server.URL); status != http.StatusForbidden || !resumed || !strings.Contains(body, "withdrawn") {
		t.Errorf("resumed %v: %d %s", resumed, status, body)
	}
}

func TestAStolenCertificateWithoutItsKeyIsStoppedByTLS(t *testing.T) {
	w := certtest.New(t, storetest.Open(t, storetest.SQLite(t)))
	service := w.Service(t, access.Production, "demo")
	v := verifier(w)
	server := certtest.Serve(t, v, string(access.Production), gate(v, service))
	cert := w.Issue(t, service, certtest.Order{})
	var err error
	if cert.PrivateKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	cert.PrivateKey = liar{cert.PrivateKey.(crypto.Signer), cert.Leaf.PublicKey}
	if resp, err := server.Client(t, &cert).Get(server.URL); err == nil {
		resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
}

// liar signs with another key than the one that it shows.
type liar struct {
	crypto.Signer
	public crypto.PublicKey
}

func (l liar) Public() crypto.PublicKey { return l.public }

func FuzzServiceName(f *testing.F) {
	f.Add("urn:x-sealwright:service:production:demo")
	f.Add("urn:x-sealwright:service:production:demo:more")
	f.Add("URN:x-sealwright:service::")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		realm, service := clientcert.ServiceOf(&x509.Certificate{Subject: pkix.Name{}, URIs: []*url.URL{u}})
		if service != "" && !strings.EqualFold(text, "urn:x-sealwright:service:"+realm+":"+service) && u.Fragment == "" && u.RawQuery == "" && !u.ForceQuery {
			t.Errorf("%q names %q in %q", text, service, realm)
		}
	})
}
