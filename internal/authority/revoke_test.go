package authority_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/dn"
)

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// issueWith issues a certificate for a key, by any authority.
func (f *fixture) issueWith(id string, key crypto.Signer, change func(*authority.Draft)) *authority.Certificate {
	f.t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	f.check(err)
	subject, err := dn.Name{{Type: dn.CN, Value: "client"}}.DER()
	f.check(err)
	d := authority.Draft{
		Subject: subject, SPKI: spki, KeyUsage: x509.KeyUsageDigitalSignature, Kind: "ws-ssl", OrderID: "ord-1", CommonName: "client",
		Validity: func(t time.Time) time.Time { return t.AddDate(1, 0, 0) },
	}
	if change != nil {
		change(&d)
	}
	i, err := f.ca.Plan(f.t.Context(), id, d)
	f.check(err)
	f.hold(i)
	c, err := f.ca.Sign(f.t.Context(), i)
	f.check(err)
	f.check(f.db.Update(f.t.Context(), func(tx *store.Tx) error { return f.ca.Record(tx, c) }))
	return c
}

func (f *fixture) withdraw(c *authority.Certificate, w authority.Withdrawal) error {
	return f.db.Update(f.t.Context(), func(tx *store.Tx) error { return f.ca.Withdraw(tx, c.Authority, c.Serial, w) })
}

func (f *fixture) release(c *authority.Certificate) error {
	return f.db.Update(f.t.Context(), func(tx *store.Tx) error { return f.ca.Release(tx, c.Authority, c.Serial, "found again") })
}

func (f *fixture) record(c *authority.Certificate) authority.Record {
	f.t.Helper()
	r, err := f.ca.Lookup(f.db.View(f.t.Context()), c.Authority, c.Serial)
	f.check(err)
	return r
}

func (f *fixture) policy(change func(*authority.Policy)) {
	f.t.Helper()
	p, err := f.ca.Policy(f.t.Context(), "clients")
	f.check(err)
	change(&p)
	f.check(f.ca.SetPolicy(f.t.Context(), "clients", p))
}

// A149, A150, pki-rules row 21: what is shown to whom, and that nobody gets past it.
func TestReasonsDependOnWhoRevokes(t *testing.T) {
	for role, hidden := range map[authority.Role][]authority.Reason{
		authority.RoleSubscriber: {authority.PrivilegeWithdrawn, authority.CACompromise, authority.AACompromise, authority.RemoveFromCRL, authority.CertificateHold},
		authority.RoleOperator:   {authority.CACompromise, authority.AACompromise, authority.RemoveFromCRL, authority.CertificateHold},
		authority.RoleOfficer:    {authority.RemoveFromCRL, authority.CertificateHold},
		"nobody":                 {authority.Unspecified, authority.KeyCompromise},
	} {
		reasons := role.Reasons()
		if len(reasons) > 0 && reasons[0] != authority.Unspecified {
			t.Errorf("the menu of a %s begins with %v", role, reasons[0])
		}
		for _, r := range hidden {
			if slices.Contains(reasons, r) {
				t.Errorf("a %s is offered %v", role, r)
			}
		}
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, c := range []struct {
			by     authority.Role
			reason authority.Reason
			ok     bool
		}{
			{authority.RoleSubscriber, authority.Unspecified, true},
			{authority.RoleSubscriber, authority.PrivilegeWithdrawn, false},
			{authority.RoleOperator, authority.PrivilegeWithdrawn, true},
			{authority.RoleOperator, authority.AACompromise, false},
			{authority.RoleOfficer, authority.AACompromise, true},
			{authority.RoleOfficer, authority.CACompromise, false}, // of an end entity
			{authority.RoleOfficer, authority.RemoveFromCRL, false},
			{authority.RoleOfficer, 7, false},
			{"", authority.Unspecified, false},
		} {
			err := f.withdraw(f.issue(), authority.Withdrawal{By: c.by, Reason: c.reason})
			if c.ok != (err == nil) || err != nil && !errors.Is(err, fault.Invalid) {
				t.Errorf("%s gives %v: %v", c.by, c.reason, err)
			}
		}
		x, err := f.ca.Get(t.Context(), "clients")
		f.check(err)
		f.check(f.withdraw(&authority.Certificate{Authority: "root", Serial: x.Certificate.SerialNumber.Bytes()}, authority.Withdrawal{By: authority.RoleOfficer, Reason: authority.CACompromise}))
	})
}

func TestReasonsAreReadByTheirNames(t *testing.T) {
	for _, r := range append(authority.RoleOfficer.Reasons(), authority.CertificateHold) {
		if got, err := authority.ParseReason(r.String()); got != r || err != nil {
			t.Errorf("%v is read as %v, %v", r, got, err)
		}
	}
	if r, err := authority.ParseReason(""); r != authority.Unspecified || err != nil {
		t.Errorf("no name is %v, %v", r, err)
	}
	for _, name := range []string{"removeFromCRL", "boredom", "KeyCompromise"} {
		if _, err := authority.ParseReason(name); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pki-rules row 20: hold is forbidden unless the authority's policy allows it.
func TestHoldEndsInReleaseOrRevocation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		hold := authority.Withdrawal{By: authority.RoleOperator, Reason: authority.CertificateHold}
		c, open := f.issue(), f.plan()
		if err := f.withdraw(c, hold); !errors.Is(err, fault.Invalid) || f.record(c).Status != authority.CertValid {
			t.Errorf("hold without permission: %v", err)
		}
		f.policy(func(p *authority.Policy) { p.AllowHold = true })
		f.hold(open)
		if err := f.withdraw(&authority.Certificate{Authority: "clients", Serial: open.Serial}, hold); !errors.Is(err, fault.Conflict) {
			t.Errorf("hold of an intent: %v", err)
		}
		if err := f.release(c); !errors.Is(err, fault.Conflict) {
			t.Errorf("released though not held: %v", err)
		}
		f.check(f.withdraw(c, hold))
		if r := f.record(c); r.Status != authority.CertRevoked || r.Reason != authority.CertificateHold || !r.RevokedAt.Equal(f.clock.Now()) {
			t.Errorf("on hold: %+v", r)
		}
		if err := f.withdraw(c, hold); !errors.Is(err, fault.Conflict) {
			t.Errorf("held twice: %v", err)
		}
		f.check(f.release(c))
		if r := f.record(c); r.Status != authority.CertValid || r.Reason != authority.Unspecified || !r.RevokedAt.IsZero() {
			t.Errorf("released: %+v", r)
		}
		f.check(f.withdraw(c, hold))
		held := f.clock.Now()
		f.clock.Advance(time.Hour)
		f.check(f.withdraw(c, authority.Withdrawal{By: authority.RoleSubscriber, Reason: authority.Superseded}))
		if r := f.record(c); r.Reason != authority.Superseded || !r.RevokedAt.Equal(held) {
			t.Errorf("revoked after hold, which began at %v: %+v", held, r)
		}
		if err := f.release(c); !errors.Is(err, fault.Conflict) {
			t.Errorf("released though revoked for good: %v", err)
		}
	})
}

// pki-rules row 21: only key compromise may take the place of another reason.
// Row 30: what OCSP says of a certificate, its list says too.
func TestKeyCompromiseOverwritesOtherReasons(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.check(f.ca.RotateResponders(t.Context()))
		f.clock.Advance(time.Hour)
		revoked := func(reason authority.Reason) *authority.Certificate {
			c := f.issue()
			f.check(f.withdraw(c, authority.Withdrawal{By: authority.RoleOperator, Reason: reason}))
			return c
		}
		a, b := revoked(authority.Superseded), revoked(authority.Unspecified)
		at := f.clock.Now()
		f.clock.Advance(time.Hour)
		if err := f.withdraw(a, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.CessationOfOperation}); !errors.Is(err, fault.Conflict) {
			t.Errorf("another reason: %v", err)
		}
		if err := f.withdraw(a, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.KeyCompromise, Since: f.clock.Now().Add(time.Hour)}); !errors.Is(err, fault.Invalid) {
			t.Errorf("since tomorrow: %v", err)
		}
		since := at.Add(-30 * time.Second)
		f.check(f.withdraw(a, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.KeyCompromise, Since: since}))
		if err := f.withdraw(a, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.KeyCompromise}); !errors.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		f.policy(func(p *authority.Policy) { p.Backdate = true })
		f.check(f.withdraw(b, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.KeyCompromise, Since: since.AddDate(-1, 0, 0)}))

		f.check(f.ca.ProduceDueCRLs(t.Context()))
		list, _ := f.crl()
		for name, k := range map[string]struct {
			c    *authority.Certificate
			at   time.Time
			exts int
		}{
			"with the moment as invalidity date":                         {a, at, 2},
			"backdated, but not to before the certificate came to exist": {b, f.record(b).NotBefore, 1},
		} {
			e := find(t, list, k.c.Serial)
			single := f.ask(f.ca, k.c.Serial)
			if e.ReasonCode != int(authority.KeyCompromise) || !e.RevocationTime.Equal(k.at.Truncate(time.Second)) || len(e.Extensions) != k.exts {
				t.Errorf("%s: on the list %+v; want %v", name, e, k.at)
			}
			if single.Reason != e.ReasonCode || !single.RevokedAt.Equal(e.RevocationTime) {
				t.Errorf("%s: by OCSP %+v, on the list %+v", name, single, e)
			}
		}
	})
}

func find(t *testing.T, list *x509.RevocationList, serial []byte) x509.RevocationListEntry {
	t.Helper()
	for _, e := range list.RevokedCertificateEntries {
		if authority.SerialText(e.SerialNumber.Bytes()) == authority.SerialText(serial) {
			return e
		}
	}
	t.Fatalf("%x is not on the list", serial)
	return x509.RevocationListEntry{}
}

func TestACompromisedKeyTakesAllItsCertificatesWithIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		_, err := f.ca.CreateIssuing(t.Context(), authority.Spec{ID: "servers", Realm: "production", Name: "Servers", Org: "Test", Purpose: authority.ServerAuth, Key: keys.P256, Years: 10}, "root")
		f.check(err)
		key, other := newKey(t), newKey(t)
		mine := []*authority.Certificate{f.issueWith("clients", key, nil), f.issueWith("clients", key, nil), f.issueWith("servers", key, nil)}
		f.check(f.withdraw(mine[1], authority.Withdrawal{By: authority.RoleSubscriber, Reason: authority.Superseded}))
		theirs := f.issueWith("clients", other, nil)
		// As if the keys' hashes began alike.
		f.check(db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE certificates SET spki = (SELECT spki FROM certificates WHERE serial = $1) WHERE serial = $2`, mine[0].Serial, theirs.Serial)
			return err
		}))
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		f.check(err)
		for round, want := range []authority.Tally{{Revoked: 3}, {Already: 3}} {
			got, err := f.ca.RevokeBySPKI(t.Context(), spki, authority.Withdrawal{By: authority.RoleOfficer, Reason: authority.KeyCompromise})
			if err != nil || got != want {
				t.Errorf("round %d: %+v, %v; want %+v", round, got, err, want)
			}
		}
		for i, c := range mine {
			if r := f.record(c); r.Status != authority.CertRevoked || r.Reason != authority.KeyCompromise {
				t.Errorf("certificate %d is %s, %v", i, r.Status, r.Reason)
			}
		}
		if r := f.record(theirs); r.Status != authority.CertValid {
			t.Errorf("the certificate of another key is %s", r.Status)
		}
	})
}

func TestARevocationCodeRevokesOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c := f.issue()
		var first, code secret.Text
		f.check(db.Update(t.Context(), func(tx *store.Tx) (err error) {
			if first, err = f.ca.NewRevocationCode(tx, c.Authority, c.Serial); err == nil {
				code, err = f.ca.NewRevocationCode(tx, c.Authority, c.Serial)
			}
			return err
		}))
		var kept string
		f.check(db.View(t.Context()).QueryRow(`SELECT hash FROM revocation_codes`).Scan(&kept))
		if kept == code.Reveal() || len(code.Reveal()) < 22 {
			t.Errorf("kept %q of a code of %d characters", kept, len(code.Reveal()))
		}
		for name, wrong := range map[string]secret.Text{"replaced": first, "wrong": secret.New("abc"), "empty": {}} {
			if _, err := f.ca.WithdrawByCode(t.Context(), wrong, authority.Unspecified); !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r, err := f.ca.ByCode(t.Context(), code); err != nil || r.CommonName != "client" || r.Status != authority.CertValid {
			t.Errorf("shown: %+v, %v", r, err)
		}
		if _, err := f.ca.WithdrawByCode(t.Context(), code, authority.PrivilegeWithdrawn); !errors.Is(err, fault.Invalid) {
			t.Errorf("a reason that subscribers may not give: %v", err)
		}
		if _, err := f.ca.WithdrawByCode(t.Context(), code, authority.KeyCompromise); err != nil {
			t.Fatal(err)
		}
		if r := f.record(c); r.Reason != authority.KeyCompromise || r.Status != authority.CertRevoked {
			t.Errorf("%+v", r)
		}
		if _, err := f.ca.WithdrawByCode(t.Context(), code, authority.KeyCompromise); !errors.Is(err, fault.NotFound) {
			t.Errorf("a second time: %v", err)
		}
	})
}

func TestWhoeverHoldsTheKeyMayRevoke(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		key := newKey(t)
		c, second := f.issueWith("clients", key, nil), f.issueWith("clients", key, nil)
		request := func(key crypto.Signer, name string) []byte {
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
			f.check(err)
			return der
		}
		damaged := request(key, authority.ProofName(c.Serial))
		damaged[len(damaged)-1] ^= 1
		for name, k := range map[string]struct {
			request []byte
			want    fault.Kind
		}{
			"another key":                 {request(newKey(t), authority.ProofName(c.Serial)), fault.NotFound},
			"an ordinary request":         {request(key, "client"), fault.Invalid},
			"no serial number":            {request(key, "revoke all"), fault.Invalid},
			"another serial number":       {request(key, authority.ProofName([]byte{1})), fault.NotFound},
			"a signature that is damaged": {damaged, fault.Invalid},
		} {
			if _, err := f.ca.WithdrawByProof(t.Context(), k.request, authority.KeyCompromise); !errors.Is(err, k.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if f.record(c).Status != authority.CertValid || f.record(second).Status != authority.CertValid {
			t.Fatal("something was revoked without proof")
		}
		if n, err := f.ca.WithdrawByProof(t.Context(), request(key, authority.ProofName(c.Serial)), authority.Superseded); err != nil || n.Revoked != 1 || f.record(second).Status != authority.CertValid {
			t.Errorf("superseded: %+v, %v", n, err)
		}
		if n, err := f.ca.WithdrawByProof(t.Context(), request(key, authority.ProofName(c.Serial)), authority.KeyCompromise); err != nil || n.Revoked != 2 || f.record(second).Status != authority.CertRevoked {
			t.Errorf("compromised: %+v, %v", n, err)
		}
	})
}

// pki-rules row 22: an incident's certificates are found by authority, profile
// and period, and revoked in steps that can be repeated.
func TestAnIncidentFindsAndRevokesItsCertificates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		before := f.issue()
		f.clock.Advance(time.Hour)
		from := f.clock.Now()
		other := f.issueWith("clients", newKey(t), func(d *authority.Draft) { d.Kind = "api" })
		const many = 501 // more than a page
		f.check(db.Update(t.Context(), func(tx *store.Tx) error {
			for range many {
				i := f.plan()
				if err := f.ca.Hold(tx, i); err != nil {
					return err
				}
				if err := f.ca.Record(tx, &authority.Certificate{Authority: "clients", Serial: i.Serial, DER: i.TBS}); err != nil {
					return err
				}
			}
			return nil
		}))
		f.clock.Advance(time.Hour)
		to := f.clock.Now()
		after := f.issue()
		filter := authority.Filter{Authority: "clients", Realm: "production", Kind: "ws-ssl", IssuedFrom: from, IssuedTo: to, ValidAt: to}
		count := func(f2 authority.Filter) (n int) {
			for _, err := range f.ca.Find(t.Context(), f2) {
				f.check(err)
				n++
			}
			return n
		}
		if n := count(filter); n != many {
			t.Errorf("found %d of %d", n, many)
		}
		for name, k := range map[string]struct {
			filter authority.Filter
			want   int
		}{
			"all, with the authority itself": {authority.Filter{}, many + 4},
			"of nobody":                      {authority.Filter{Client: "cli-nobody"}, 0},
			"revoked":                        {authority.Filter{Statuses: []string{authority.CertRevoked}}, 0},
			"those that outlive a century":   {authority.Filter{ValidAt: to.AddDate(100, 0, 0)}, 0},
			"the first hour":                 {authority.Filter{Authority: "clients", IssuedTo: from}, 1},
		} {
			if n := count(k.filter); n != k.want {
				t.Errorf("%s: %d, want %d", name, n, k.want)
			}
		}
		half := 0
		n, err := f.ca.WithdrawAll(t.Context(), filter, func(authority.Record) bool { half++; return half <= many/2 }, authority.Withdrawal{By: authority.RoleOfficer, Reason: authority.Superseded, Why: "incident"})
		if err != nil || n.Revoked != many/2 {
			t.Errorf("the first half: %+v, %v", n, err)
		}
		if n, err = f.ca.WithdrawAll(t.Context(), filter, nil, authority.Withdrawal{By: authority.RoleOfficer, Reason: authority.Superseded}); err != nil || n.Revoked != many-many/2 {
			t.Errorf("the rest: %+v, %v", n, err)
		}
		for name, c := range map[string]*authority.Certificate{"before": before, "another kind": other, "after": after} {
			if r := f.record(c); r.Status != authority.CertValid {
				t.Errorf("%s: %s", name, r.Status)
			}
		}
	})
}

func TestPoliciesKeepToTheRules(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for name, change := range map[string]func(*authority.Policy){
		"a list for eleven days":       func(p *authority.Policy) { p.CRLLife = 11 * 24 * time.Hour },
		"a list every eight days":      func(p *authority.Policy) { p.CRLEvery, p.CRLLife = 8*24*time.Hour, 10*24*time.Hour },
		"a list as old as its life":    func(p *authority.Policy) { p.CRLEvery = p.CRLLife },
		"a pause of two days":          func(p *authority.Policy) { p.CRLEvery, p.CRLPause = 4*24*time.Hour, 2*24*time.Hour },
		"a million shards":             func(p *authority.Policy) { p.Shards = 1_000_000 },
		"an answer for an hour":        func(p *authority.Policy) { p.OCSPLife = time.Hour },
		"an answer for eleven days":    func(p *authority.Policy) { p.OCSPLife = 11 * 24 * time.Hour },
		"an archive before its start":  func(p *authority.Policy) { p.OCSPArchive = -time.Hour },
		"shards of less than no lists": func(p *authority.Policy) { p.Shards = -1 },
	} {
		p := authority.DefaultPolicy()
		change(&p)
		if err := f.ca.SetPolicy(t.Context(), "clients", p); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := authority.DefaultPolicy()
	p.CRLLife, p.CRLEvery, p.Shards = 366*24*time.Hour, 180*24*time.Hour, 0
	if err := f.ca.SetPolicy(t.Context(), "root", p); err != nil {
		t.Errorf("a root's list for a year: %v", err)
	}
	if got, err := f.ca.Policy(t.Context(), "root"); err != nil || got != p {
		t.Errorf("read back %+v, %v", got, err)
	}
	if err := f.ca.SetPolicy(t.Context(), "nobody", p); !errors.Is(err, fault.NotFound) {
		t.Errorf("of nobody: %v", err)
	}
}
