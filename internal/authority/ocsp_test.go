package authority_test

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/ocsp"
)

func (f *fixture) certID(hash crypto.Hash, serial []byte) ocsp.CertID {
	f.t.Helper()
	x, err := f.ca.Get(f.t.Context(), "clients")
	f.check(err)
	issuer, err := ocsp.IssuerOf(x.Certificate)
	f.check(err)
	id, err := issuer.CertID(hash, serial)
	f.check(err)
	return id
}

// answer asks a node, and verifies what it answers.
func (f *fixture) answer(ca *authority.Authorities, nonce []byte, ids ...ocsp.CertID) (*ocsp.Response, authority.OCSPAnswer) {
	f.t.Helper()
	request, err := ocsp.BuildRequest(ids, nonce)
	f.check(err)
	answer, err := ca.AnswerOCSP(f.t.Context(), "clients", request)
	f.check(err)
	response, err := ocsp.ParseResponse(answer.DER)
	f.check(err)
	x, err := f.ca.Get(f.t.Context(), "clients")
	f.check(err)
	responder, err := response.Verify(x.Certificate, f.clock.Now())
	f.check(err)
	for _, s := range response.Responses {
		if !s.CurrentAt(f.clock.Now(), 0) || s.NextUpdate.After(responder.NotAfter) {
			f.t.Errorf("an answer for %v to %v at %v, whose signer ends %v", s.ThisUpdate, s.NextUpdate, f.clock.Now(), responder.NotAfter)
		}
	}
	return response, answer
}

func (f *fixture) ask(ca *authority.Authorities, serial []byte) ocsp.SingleResponse {
	f.t.Helper()
	response, _ := f.answer(ca, nil, f.certID(crypto.SHA1, serial))
	single, ok := response.Find(serial)
	if !ok {
		f.t.Fatal("no answer for the serial number")
	}
	return single
}

// Row 19: answers hold from 8 hours to 10 days, and are signed anew before half
// of it is over; until then the same octets are given to everybody.
func TestAnswersAreSignedOnceUntilTheyAreDue(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.check(f.ca.RotateResponders(t.Context()))
	c := f.issue()
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		id := f.certID(hash, c.Serial)
		_, first := f.answer(f.ca, nil, id)
		f.clock.Advance(12*time.Hour - 2*time.Second)
		if _, later := f.answer(f.ca, nil, id); !bytes.Equal(later.DER, first.DER) || !later.NextUpdate.Equal(first.NextUpdate) {
			t.Errorf("%v: signed anew after %v", hash, later.ThisUpdate.Sub(first.ThisUpdate))
		}
		f.clock.Advance(2 * time.Second)
		_, renewed := f.answer(f.ca, nil, id)
		if bytes.Equal(renewed.DER, first.DER) || !renewed.ThisUpdate.Equal(f.clock.Now().Truncate(time.Second)) || renewed.NextUpdate.Sub(renewed.ThisUpdate) != 24*time.Hour {
			t.Errorf("%v: not signed anew at half of its life: %v", hash, renewed.ThisUpdate)
		}
	}
	// A new signer, or another policy, makes all answers new.
	_, old := f.answer(f.ca, nil, f.certID(crypto.SHA1, c.Serial))
	f.clock.Advance(time.Second)
	f.policy(func(p *authority.Policy) { p.OCSPLife = 8 * time.Hour })
	if _, a := f.answer(f.ca, nil, f.certID(crypto.SHA1, c.Serial)); bytes.Equal(a.DER, old.DER) || a.NextUpdate.Sub(a.ThisUpdate) != 8*time.Hour {
		t.Errorf("after a change of policy: %v to %v", a.ThisUpdate, a.NextUpdate)
	}
	before, _ := f.answer(f.ca, nil, f.certID(crypto.SHA1, c.Serial))
	f.clock.Advance(21 * 24 * time.Hour)
	f.check(f.ca.RotateResponders(t.Context()))
	if after, _ := f.answer(f.ca, nil, f.certID(crypto.SHA1, c.Serial)); bytes.Equal(before.Certificates[0], after.Certificates[0]) {
		t.Error("the signer was not replaced")
	}
}

func TestAnswersAreSignedBeforeTheyAreAskedFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.check(f.ca.PresignOCSP(t.Context())) // no signers yet
		f.check(f.ca.RotateResponders(t.Context()))
		good, bad, expired := f.issue(), f.issue(), f.issueWith("clients", newKey(t), func(d *authority.Draft) {
			d.NotBefore = noon.AddDate(-1, 0, 0)
			d.Validity = func(from time.Time) time.Time { return from.AddDate(0, 1, 0) }
		})
		f.check(f.revoke(bad))
		f.check(f.ca.PresignOCSP(t.Context()))
		signed := f.clock.Now()
		f.clock.Advance(time.Hour)
		for name, k := range map[string]struct {
			c    *authority.Certificate
			want ocsp.Status
			at   time.Time
		}{"good": {good, ocsp.Good, signed}, "revoked": {bad, ocsp.Revoked, signed}, "expired": {expired, ocsp.Good, f.clock.Now()}} {
			if s := f.ask(f.ca, k.c.Serial); s.Status != k.want || !s.ThisUpdate.Equal(k.at) {
				t.Errorf("%s: %v, signed at %v, want %v", name, s.Status, s.ThisUpdate, k.at)
			}
		}
		// Those that will soon be due are renewed, the others are not.
		f.clock.Advance(9 * time.Hour)
		f.check(f.ca.PresignOCSP(t.Context()))
		renewed := f.clock.Now()
		f.clock.Advance(time.Hour)
		f.check(f.ca.PresignOCSP(t.Context()))
		if s := f.ask(f.ca, good.Serial); !s.ThisUpdate.Equal(renewed) {
			t.Errorf("signed at %v, want %v", s.ThisUpdate, renewed)
		}
		// A revocation is never hidden by an answer that was signed before.
		f.check(f.revoke(good))
		if s := f.ask(f.ca, good.Serial); s.Status != ocsp.Revoked {
			t.Errorf("after revocation: %v", s.Status)
		}
	})
}

// Issue: "revocation visible in OCSP at once", here, and within a second on the
// other nodes; so are hold and release.
func TestARevocationIsSeenHereAtOnceAndElsewhereWithinASecond(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, storetest.Open(t, url))
		f.policy(func(p *authority.Policy) { p.AllowHold = true })
		f.check(f.ca.RotateResponders(t.Context()))
		there := f.node(url)
		certificates := []*authority.Certificate{f.issue(), f.issue(), f.issue()}
		for _, c := range certificates {
			for _, ca := range []*authority.Authorities{f.ca, there.ca} {
				if s := f.ask(ca, c.Serial); s.Status != ocsp.Good {
					t.Fatalf("at first: %v", s.Status)
				}
			}
		}
		for i, c := range certificates {
			f.check(f.withdraw(c, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.CertificateHold}))
			if s := f.ask(f.ca, c.Serial); s.Status != ocsp.Revoked {
				t.Errorf("%d: here at once: %v", i, s.Status)
			}
			f.clock.Advance(900 * time.Millisecond)
			if s := f.ask(there.ca, c.Serial); s.Status != ocsp.Revoked || s.Reason != int(authority.CertificateHold) {
				t.Errorf("%d: there within a second: %v", i, s.Status)
			}
			f.check(f.release(c))
			if s := f.ask(f.ca, c.Serial); s.Status != ocsp.Good {
				t.Errorf("%d: released, here: %v", i, s.Status)
			}
			f.clock.Advance(900 * time.Millisecond)
			if s := f.ask(there.ca, c.Serial); s.Status != ocsp.Good {
				t.Errorf("%d: released, there: %v", i, s.Status)
			}
		}
		// The other way round, and by a program that dies at once.
		brief := f.node(url)
		f.check(brief.revoke(certificates[0]))
		f.clock.Advance(900 * time.Millisecond)
		for name, ca := range map[string]*authority.Authorities{"here": f.ca, "there": there.ca} {
			if s := f.ask(ca, certificates[0].Serial); s.Status != ocsp.Revoked {
				t.Errorf("%s: %v", name, s.Status)
			}
		}
	})
}

// A node that was away while very many certificates were revoked forgets all.
func TestMoreChangesThanAreWorthReadingAreSeenToo(t *testing.T) {
	url := storetest.SQLite(t)
	f := newFixture(t, storetest.Open(t, url))
	f.check(f.ca.RotateResponders(t.Context()))
	c := f.issue()
	f.ask(f.ca, c.Serial)
	f.check(f.node(url).revoke(c))
	f.check(f.db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE revocation_counters SET seq = 100000 WHERE shard = -1`)
		return err
	}))
	f.clock.Advance(time.Second)
	if s := f.ask(f.ca, c.Serial); s.Status != ocsp.Revoked {
		t.Errorf("%v", s.Status)
	}
}

// RFC 9654, 2.1, and RFC 8954 before it: nonces of 1 to 128 octets are repeated,
// and such an answer is nobody else's.
func TestNoncesAreRepeated(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.check(f.ca.RotateResponders(t.Context()))
	c := f.issue()
	for _, size := range []int{1, 16, 32, 33, 128} {
		nonce := bytes.Repeat([]byte{byte(size)}, size)
		r, a := f.answer(f.ca, nonce, f.certID(crypto.SHA1, c.Serial))
		if !bytes.Equal(r.Nonce, nonce) || !a.NextUpdate.IsZero() {
			t.Errorf("%d octets: %x, to be kept until %v", size, r.Nonce, a.NextUpdate)
		}
	}
}

func TestSeveralCertificatesAreAnsweredTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.check(f.ca.RotateResponders(t.Context()))
		good, bad := f.issue(), f.issue()
		f.check(f.revoke(bad))
		ids := []ocsp.CertID{f.certID(crypto.SHA1, good.Serial), f.certID(crypto.SHA256, bad.Serial), f.certID(crypto.SHA1, []byte{9})}
		r, a := f.answer(f.ca, nil, ids...)
		for i, want := range []ocsp.Status{ocsp.Good, ocsp.Revoked, ocsp.Unknown} {
			if s := r.Responses[i]; s.Status != want || !bytes.Equal(s.ID.Raw, ids[i].Raw) {
				t.Errorf("response %d: %v about %x", i, s.Status, s.ID.Raw)
			}
		}
		if !a.NextUpdate.IsZero() {
			t.Error("an answer about a serial number that may be issued tomorrow is to be kept")
		}
		// One of another authority spoils the request.
		root, err := f.ca.Get(t.Context(), "root")
		f.check(err)
		issuer, err := ocsp.IssuerOf(root.Certificate)
		f.check(err)
		foreign, err := issuer.CertID(crypto.SHA1, []byte{1})
		f.check(err)
		for name, ids := range map[string][]ocsp.CertID{"alone": {foreign}, "among ours": {ids[0], foreign}} {
			request, err := ocsp.BuildRequest(ids, nil)
			f.check(err)
			if a, err := f.ca.AnswerOCSP(t.Context(), "clients", request); err != nil || !bytes.Equal(a.DER, ocsp.Unauthorized.DER()) {
				t.Errorf("%s: %x, %v", name, a.DER, err)
			}
		}
	})
}

// RFC 6960, 2.2: a responder that answers "revoked" for serial numbers that were
// never used says so, and with this date and reason.
func TestUnusedSerialNumbersAreRevokedWherePolicySaysSo(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.check(f.ca.RotateResponders(t.Context()))
	f.policy(func(p *authority.Policy) { p.UnknownRevoked = true })
	f.clock.Advance(time.Second)
	r, a := f.answer(f.ca, nil, f.certID(crypto.SHA1, []byte{1, 2, 3}))
	s := r.Responses[0]
	if s.Status != ocsp.Revoked || !s.RevokedAt.Equal(time.Unix(0, 0)) || s.Reason != int(authority.CertificateHold) || !r.ExtendedRevoke || !a.NextUpdate.IsZero() {
		t.Errorf("%+v, %v", s, r.ExtendedRevoke)
	}
	// Once it is issued, nothing of that remains.
	if s := f.ask(f.ca, f.issue().Serial); s.Status != ocsp.Good {
		t.Errorf("%v", s.Status)
	}
}

// Row 30, RFC 6960, 4.4.4: the state of expired certificates is told as far back
// as the archive goes.
func TestAnswersForExpiredCertificatesSayHowFarBackTheyGo(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.policy(func(p *authority.Policy) { p.OCSPArchive = 30 * 24 * time.Hour })
	c := f.issue()
	f.check(f.ca.RotateResponders(t.Context()))
	if s := f.ask(f.ca, c.Serial); !s.ArchiveCutoff.IsZero() {
		t.Errorf("a certificate that is valid: %v", s.ArchiveCutoff)
	}
	f.clock.Advance(400 * 24 * time.Hour)
	f.check(f.ca.RotateResponders(t.Context()))
	for range 2 { // signed, and from memory
		if s := f.ask(f.ca, c.Serial); !s.ArchiveCutoff.Equal(f.clock.Now().Truncate(time.Second).AddDate(0, 0, -30)) {
			t.Errorf("an expired one: %v", s.ArchiveCutoff)
		}
	}
	f.policy(func(p *authority.Policy) { p.OCSPArchive = 50 * 365 * 24 * time.Hour })
	f.clock.Advance(time.Second)
	x, err := f.ca.Get(t.Context(), "clients")
	f.check(err)
	if s := f.ask(f.ca, c.Serial); !s.ArchiveCutoff.Equal(x.Certificate.NotBefore) {
		t.Errorf("further back than the authority exists: %v", s.ArchiveCutoff)
	}
}

func TestNothingIsSignedBeyondTheAuthoritysEnd(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	c := f.issue()
	x, err := f.ca.Get(t.Context(), "clients")
	f.check(err)
	f.clock.Set(x.Certificate.NotAfter.Add(-5 * 24 * time.Hour))
	for range 3 { // the signer that ends with the authority is not replaced again and again
		f.check(f.ca.RotateResponders(t.Context()))
		f.clock.Advance(time.Hour)
	}
	r, _ := f.answer(f.ca, nil, f.certID(crypto.SHA1, c.Serial))
	var signers int
	f.check(f.db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM certificates WHERE kind = 'ocsp' AND authority = 'clients'`).Scan(&signers))
	if signers != 1 || len(r.Certificates) != 1 {
		t.Errorf("%d signers", signers)
	}
	f.clock.Set(x.Certificate.NotAfter.Add(-time.Hour))
	if s := f.ask(f.ca, c.Serial); s.NextUpdate.After(x.Certificate.NotAfter) {
		t.Errorf("an answer until %v", s.NextUpdate)
	}
}
