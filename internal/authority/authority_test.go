package authority_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/ocsp"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

type fixture struct {
	t     testing.TB
	db    *store.DB
	clock *clock.Fake
	ca    *authority.Authorities
	dir   string // the master key and the blobs
}

func newFixture(t testing.TB, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, clock: clock.NewFake(noon), dir: t.TempDir()}
	_, err := keys.NewMasterFile(filepath.Join(f.dir, "master.key"))
	f.check(err)
	f.ca = f.open(db)
	_, err = f.ca.CreateRoot(t.Context(), authority.Spec{ID: "root", Realm: "production", Name: "Test Root", Org: "Test", Key: keys.P384, Years: 20})
	f.check(err)
	_, err = f.ca.CreateIssuing(t.Context(), authority.Spec{ID: "clients", Realm: "production", Name: "Test Clients", Org: "Test", Purpose: authority.ClientAuth, Key: keys.P256, Years: 10}, "root")
	f.check(err)
	return f
}

func (f *fixture) open(db *store.DB) *authority.Authorities {
	f.t.Helper()
	master, err := keys.MasterFile(filepath.Join(f.dir, "master.key"))
	f.check(err)
	vault, err := keys.Open(f.t.Context(), db, master, f.clock)
	f.check(err)
	key, err := keys.Generate(keys.Ed25519)
	f.check(err)
	blobs, err := blob.NewFiles(filepath.Join(f.dir, "blobs"), vault)
	f.check(err)
	return authority.New(db, vault, audit.New(db, f.clock, key, "test/audit"), blobs, f.clock, clock.NewGuard(f.clock, time.Time{}), authority.URLs{Base: "http://pki.example.com"})
}

// node is another node of the same installation, with its own connection.
func (f *fixture) node(url string) *fixture {
	f.t.Helper()
	n := *f
	n.db = storetest.Open(f.t, url)
	n.ca = f.open(n.db)
	return &n
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) plan() *authority.Intent {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.check(err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	f.check(err)
	subject, err := dn.Name{{Type: dn.CN, Value: "client"}}.DER()
	f.check(err)
	i, err := f.ca.Plan(f.t.Context(), "clients", authority.Draft{
		Subject: subject, SPKI: spki, KeyUsage: x509.KeyUsageDigitalSignature, Kind: "ws-ssl", OrderID: "ord-1", CommonName: "client",
		Validity: func(t time.Time) time.Time { return t.AddDate(1, 0, 0) },
	})
	f.check(err)
	return i
}

func (f *fixture) hold(i *authority.Intent) {
	f.t.Helper()
	f.check(f.db.Update(f.t.Context(), func(tx *store.Tx) error { return f.ca.Hold(tx, i) }))
}

func (f *fixture) issue() *authority.Certificate {
	f.t.Helper()
	i := f.plan()
	f.hold(i)
	c, err := f.ca.Sign(f.t.Context(), i)
	f.check(err)
	f.check(f.db.Update(f.t.Context(), func(tx *store.Tx) error { return f.ca.Record(tx, c) }))
	return c
}

func (f *fixture) revoke(c *authority.Certificate) error {
	return f.db.Update(f.t.Context(), func(tx *store.Tx) error {
		return f.ca.Revoke(tx, c.Authority, c.Serial, authority.KeyCompromise)
	})
}

func (f *fixture) crl() (*x509.RevocationList, authority.CRL) {
	f.t.Helper()
	c, err := f.ca.CurrentCRL(f.t.Context(), "clients")
	f.check(err)
	r, err := f.ca.OpenCRL(f.t.Context(), c)
	f.check(err)
	defer r.Close()
	der, err := io.ReadAll(r)
	f.check(err)
	list, err := x509.ParseRevocationList(der)
	f.check(err)
	x, err := f.ca.Get(f.t.Context(), "clients")
	f.check(err)
	f.check(list.CheckSignatureFrom(x.Certificate))
	return list, c
}

// Serial number and bytes are durable before the key is used, and the key is
// used once for them.
func TestNothingIsSignedBeforeItIsDurable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		i := f.plan()
		if _, err := f.ca.Sign(t.Context(), i); err == nil {
			t.Error("an intent was signed before it was held")
		}
		lost := errors.New("lost")
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			if err := f.ca.Hold(tx, i); err != nil {
				return err
			}
			return lost
		}); !errors.Is(err, lost) {
			t.Fatal(err)
		}
		if _, err := f.ca.Sign(t.Context(), i); err == nil {
			t.Error("an intent was signed although its commit failed")
		}
		f.hold(i)
		if _, err := f.ca.Sign(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ca.Sign(t.Context(), i); err == nil {
			t.Error("an intent was signed twice")
		}
	})
}

func TestAReopenedIntentGivesTheSameBytes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		i := f.plan()
		f.hold(i)
		first, err := f.ca.Sign(t.Context(), i)
		f.check(err)
		again, err := f.ca.Reopen(t.Context(), i.Authority, i.Serial)
		f.check(err)
		second, err := f.ca.Sign(t.Context(), again)
		f.check(err)
		if !bytes.Equal(first.DER, second.DER) {
			t.Error("two different certificates under one serial number")
		}
		f.check(db.Update(t.Context(), func(tx *store.Tx) error { return f.ca.Record(tx, first) }))
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return f.ca.Record(tx, second) }); !errors.Is(err, fault.Conflict) {
			t.Errorf("recorded twice: %v", err)
		}
		if _, err := f.ca.Reopen(t.Context(), i.Authority, i.Serial); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a recorded intent was reopened: %v", err)
		}
	})
}

func TestCertificatesAreWhatAClientAuthorityMayIssue(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	c := f.issue()
	leaf, err := x509.ParseCertificate(c.DER)
	f.check(err)
	if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || leaf.IsCA || !leaf.BasicConstraintsValid {
		t.Errorf("usage %v, CA %v", leaf.ExtKeyUsage, leaf.IsCA)
	}
	if leaf.CRLDistributionPoints[0] != "http://pki.example.com/crl/clients.crl" || leaf.OCSPServer[0] != "http://pki.example.com/ocsp/clients" || leaf.IssuingCertificateURL[0] != "http://pki.example.com/ca/clients.crt" {
		t.Errorf("%v %v %v", leaf.CRLDistributionPoints, leaf.OCSPServer, leaf.IssuingCertificateURL)
	}
	// pki-rules row 12: positive, under 2^159, at least 64 random bits; ours begins with the time.
	if bits := leaf.SerialNumber.BitLen(); leaf.SerialNumber.Sign() <= 0 || bits > 127 || bits < 100 {
		t.Errorf("serial number %x", leaf.SerialNumber)
	}
	x, err := f.ca.Get(t.Context(), "clients")
	f.check(err)
	if !x.Certificate.MaxPathLenZero || len(x.Certificate.ExtKeyUsage) == 0 {
		t.Error("the authority is not held to end entities of its purpose")
	}
}

// pki-rules row 20.
func TestListsFollowRevocationsAndTheClock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c := f.issue()
		f.check(f.ca.ProduceDueCRLs(t.Context()))
		list, first := f.crl()
		if len(list.RevokedCertificateEntries) != 0 || list.NextUpdate.Sub(list.ThisUpdate) > 10*24*time.Hour {
			t.Errorf("%d entries, valid %v", len(list.RevokedCertificateEntries), list.NextUpdate.Sub(list.ThisUpdate))
		}
		f.check(f.ca.ProduceDueCRLs(t.Context()))
		if _, same := f.crl(); same.Number != first.Number {
			t.Error("a list was made although nothing had happened")
		}
		f.clock.Advance(time.Minute)
		f.check(f.revoke(c))
		if err := f.revoke(c); !errors.Is(err, fault.Conflict) {
			t.Errorf("revoked twice: %v", err)
		}
		f.check(f.ca.ProduceDueCRLs(t.Context()))
		list, second := f.crl()
		if second.Number != first.Number+1 || len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].ReasonCode != int(authority.KeyCompromise) {
			t.Errorf("list %d has %v", second.Number, list.RevokedCertificateEntries)
		}
		f.clock.Advance(25 * time.Hour)
		f.check(f.ca.ProduceDueCRLs(t.Context()))
		if _, third := f.crl(); third.Number != second.Number+1 {
			t.Error("no new list after a day")
		}
		// An expired certificate stays for one more list, then goes.
		f.clock.Advance(366 * 24 * time.Hour)
		f.check(f.ca.ProduceDueCRLs(t.Context()))
		if list, _ := f.crl(); len(list.RevokedCertificateEntries) != 1 {
			t.Error("the entry left before it stood on a list after the expiry")
		}
		f.clock.Advance(25 * time.Hour)
		f.check(f.ca.ProduceDueCRLs(t.Context()))
		if list, _ := f.crl(); len(list.RevokedCertificateEntries) != 0 {
			t.Error("the entry of an expired certificate is still there")
		}
	})
}

// pki-rules row 19: "good" never for a serial number that was not issued.
func TestOCSPKnowsGoodRevokedAndUnknown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.check(f.ca.RotateResponders(t.Context()))
		good, bad, open := f.issue(), f.issue(), f.plan()
		f.hold(open)
		f.check(f.revoke(bad))
		x, err := f.ca.Get(t.Context(), "clients")
		f.check(err)
		ask := func(serial []byte) ocsp.SingleResponse {
			t.Helper()
			issuer, err := ocsp.IssuerOf(x.Certificate)
			f.check(err)
			id, err := issuer.CertID(crypto.SHA256, serial)
			f.check(err)
			request, err := ocsp.BuildRequest([]ocsp.CertID{id}, []byte("0123456789abcdef"))
			f.check(err)
			answer, err := f.ca.AnswerOCSP(t.Context(), "clients", request)
			f.check(err)
			response, err := ocsp.ParseResponse(answer.DER)
			f.check(err)
			responder, err := response.Verify(x.Certificate, f.clock.Now())
			f.check(err)
			if responder.Equal(x.Certificate) || !ocsp.NoCheck(responder) {
				t.Error("the answer was not signed by a delegated responder")
			}
			single, ok := response.Find(serial)
			if !ok {
				t.Fatal("no answer for the serial number")
			}
			return single
		}
		if s := ask(good.Serial); s.Status != ocsp.Good {
			t.Errorf("a valid certificate is %v", s.Status)
		}
		if s := ask(bad.Serial); s.Status != ocsp.Revoked || s.Reason != int(authority.KeyCompromise) {
			t.Errorf("a revoked certificate is %v, %v", s.Status, s.Reason)
		}
		if s := ask(open.Serial); s.Status == ocsp.Good {
			t.Error("a certificate that is not signed yet is good")
		}
		if s := ask([]byte{1, 2, 3}); s.Status != ocsp.Unknown {
			t.Errorf("a serial number of nobody is %v", s.Status)
		}
		// The responder is replaced before it ends.
		f.clock.Advance(25 * 24 * time.Hour)
		f.check(f.ca.RotateResponders(t.Context()))
		f.clock.Advance(10 * 24 * time.Hour)
		if s := ask(good.Serial); s.Status != ocsp.Good {
			t.Errorf("after a change of responder: %v", s.Status)
		}
	})
}

func TestAClosedAuthorityIssuesNothingAndIsRevoked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		x, err := f.ca.Get(t.Context(), "clients")
		f.check(err)
		f.check(f.ca.Close(t.Context(), "clients", authority.KeyCompromise))
		if _, err := f.ca.Plan(t.Context(), "clients", authority.Draft{}); !errors.Is(err, fault.Conflict) {
			t.Errorf("it still issues: %v", err)
		}
		r, err := f.ca.Lookup(db.View(t.Context()), "root", x.Certificate.SerialNumber.Bytes())
		f.check(err)
		if r.Status != authority.CertRevoked {
			t.Errorf("its certificate is %s", r.Status)
		}
		if err := f.ca.Close(t.Context(), "root", authority.Unspecified); !errors.Is(err, fault.Conflict) {
			t.Errorf("a root was closed: %v", err)
		}
	})
}

func TestNothingIsSignedWhileTheClockIsBehind(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.issue()
	f.clock.Advance(-time.Hour)
	if _, err := f.ca.Plan(context.Background(), "clients", authority.Draft{Validity: func(t time.Time) time.Time { return t }}); fault.Of(err).Code != "clock.backwards" {
		t.Errorf("got %v", err)
	}
	if _, err := f.ca.ProduceCRL(context.Background(), "clients"); fault.Of(err).Code != "clock.backwards" {
		t.Errorf("a list: %v", err)
	}
}

func TestWrongAuthoritiesAreRefused(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	good := authority.Spec{ID: "new", Realm: "production", Name: "New", Org: "Test", Purpose: authority.ClientAuth, Key: keys.P256, Years: 5}
	for name, change := range map[string]func(*authority.Spec){
		"id with capitals":   func(s *authority.Spec) { s.ID = "New" },
		"no name":            func(s *authority.Spec) { s.Name = "" },
		"no life":            func(s *authority.Spec) { s.Years = 0 },
		"a hundred years":    func(s *authority.Spec) { s.Years = 100 },
		"unknown purpose":    func(s *authority.Spec) { s.Purpose = "magic" },
		"country of letters": func(s *authority.Spec) { s.Country = "NORWAY" },
	} {
		s := good
		change(&s)
		if _, err := f.ca.CreateIssuing(t.Context(), s, "root"); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.ca.CreateIssuing(t.Context(), good, "clients"); !errors.Is(err, fault.Conflict) {
		t.Errorf("below an issuing authority: %v", err)
	}
	s := good
	s.ID = "clients"
	if _, err := f.ca.CreateIssuing(t.Context(), s, "root"); !errors.Is(err, fault.Conflict) {
		t.Errorf("an id that is taken: %v", err)
	}
	if _, err := f.ca.Import(t.Context(), "foreign", "production", asn1.NullBytes); !errors.Is(err, fault.Invalid) {
		t.Errorf("a root that is no certificate: %v", err)
	}
}
