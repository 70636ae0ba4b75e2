package wscert_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// N12, N13, N16, N17, N20, N21, N22, N31: the whole way of a key made here.
func TestAnOrderedCertificateReachesItsRecipientOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.request())
		if o.State != wscert.Issued || o.CommonName != "foo-ws-ssl-e-banking" {
			t.Fatalf("the order is %s, its certificate %s", o.State, o.CommonName)
		}
		if got := o.NotAfter; !got.Equal(o.NotBefore.AddDate(2, 0, 0)) {
			t.Errorf("N31: valid from %v to %v", o.NotBefore, got)
		}
		token, code := b.link(), b.code()
		b.secretsInClear(token, code)
		file, password := b.fetch()
		if password == "" {
			t.Fatal("no password came after the file (N21)")
		}
		key, leaf, chain, err := pkcs12.Decode(file, password)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Subject.CommonName != o.CommonName || key == nil || len(chain) != 2 {
			t.Errorf("the file holds %v with a chain of %d", leaf.Subject, len(chain))
		}
		if leaf.Subject.Organization[0] != "Foo ASA" || leaf.URIs[0].String() != "urn:x-sealwright:service:production:foo" {
			t.Errorf("N9: subject %v, names %v", leaf.Subject, leaf.URIs)
		}
		if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
			t.Errorf("extended key usage %v", leaf.ExtKeyUsage)
		}
		roots, middle := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(chain[1])
		middle.AddCert(chain[0])
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
		b.secretsInClear(password)
		if n := b.count(`SELECT COUNT(*) FROM handovers WHERE file IS NOT NULL OR password IS NOT NULL`); n != 0 {
			t.Error("the file was not erased here")
		}
		if n := b.count(`SELECT COUNT(*) FROM wscert_orders WHERE sealed_key IS NOT NULL`); n != 0 {
			t.Error("the key was not erased here")
		}
		if _, _, err := b.desk.File(t.Context(), token, "whatever"); !errors.Is(err, fault.Gone) {
			t.Errorf("a second download: %v", err)
		}
	})
}

// N14: only a person authorised by that client may receive.
func TestOnlyAnAuthorisedPersonOfTheClientReceives(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		other := must(b.access.CreateClient(t.Context(), b.scope, access.Production, access.ClientFields{Name: "Other", Country: "SE"}))(t)
		stranger := must(b.access.AddOrderer(t.Context(), b.scope, other.ID, access.OrdererFields{Name: "Ola", Email: "ola@other.example.com", Mobile: "+4791111111", Language: "nb"}))(t)
		for name, id := range map[string]string{"nobody": "", "somebody unknown": "per-unknown", "another client's person": stranger.ID} {
			r := b.request()
			r.Orderer = id
			if _, err := b.engine.Create(t.Context(), b.scope, r); err == nil {
				t.Errorf("an order for %s was taken", name)
			}
		}
		if err := b.access.DeactivateOrderer(t.Context(), b.scope, b.person.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.Create(t.Context(), b.scope, b.request()); err == nil {
			t.Error("an order for a deactivated person was taken")
		}
		if n := b.count(`SELECT COUNT(*) FROM wscert_orders`) + b.count(`SELECT COUNT(*) FROM certificates WHERE kind = 'ws-ssl'`); n != 0 {
			t.Errorf("%d rows were left by refused orders", n)
		}
	})
}

func TestAnOrderIsRefusedWithAReasonThatHelps(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	b := newBench(t, db, options{})
	rsa := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x")})
	for name, c := range map[string]struct {
		change func(*wscert.Request)
		code   string
	}{
		"unknown service":   {func(r *wscert.Request) { r.Service = "nope" }, "access.not_found"},
		"other environment": {func(r *wscert.Request) { r.Realm = access.Preprod }, "access.not_found"},
		"empty short name":  {func(r *wscert.Request) { r.ShortName = " — " }, "order.short_name"},
		"long short name":   {func(r *wscert.Request) { r.ShortName = strings.Repeat("x", 60) }, "order.short_name"},
		"too long a life":   {func(r *wscert.Request) { r.Spec.Life = wscert.Life{Years: 3} }, "order.life"},
		"negative life":     {func(r *wscert.Request) { r.Spec.Life = wscert.Life{Days: -1} }, "order.life"},
		"unknown mode":      {func(r *wscert.Request) { r.Mode = "magic" }, "order.mode"},
		"long comment":      {func(r *wscert.Request) { r.Comment = strings.Repeat("x", 3000) }, "order.comment"},
		"no request":        {func(r *wscert.Request) { r.Mode = wscert.Direct }, "csr.empty"},
		"a key as request":  {func(r *wscert.Request) { r.Mode, r.CSR = wscert.Direct, rsa }, "csr.private_key"},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.request()
			c.change(&r)
			_, err := b.engine.Create(t.Context(), b.scope, r)
			if f := fault.Of(err); err == nil || f.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	if n := b.count(`SELECT COUNT(*) FROM wscert_orders`); n != 0 {
		t.Errorf("%d refused orders were stored", n)
	}
}

func TestShortNamesBecomePartOfTheCertificatesName(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	b := newBench(t, db, options{})
	for short, want := range map[string]string{"my page": "foo-ws-ssl-my-page", "E-Banking": "foo-ws-ssl-e-banking", "Kundesenter Øst": "foo-ws-ssl-kundesenter-ost", "  a__b  ": "foo-ws-ssl-a-b"} {
		r := b.request()
		r.ShortName, r.Mode, r.CSR = short, wscert.Direct, newCSR(t)
		if o := b.create(r); o.CommonName != want {
			t.Errorf("N12: %q became %q, want %q", short, o.CommonName, want)
		}
	}
}

func TestACertificateFromARequestIsInTheAnswer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		r := b.request()
		r.Mode, r.CSR = wscert.Direct, newCSR(t)
		o := b.create(r)
		if o.State != wscert.Issued || o.Handover != "" {
			t.Fatalf("state %s, hand-over %q", o.State, o.Handover)
		}
		rec := must(b.engine.Certificate(t.Context(), o))(t)
		leaf := must(x509.ParseCertificate(rec.DER))(t)
		if rec.Status != authority.CertValid || leaf.SerialNumber.Text(16) != strings.TrimLeft(o.Serial, "0") {
			t.Errorf("%s %x", rec.Status, leaf.SerialNumber)
		}
		if got := b.messages(""); len(got) != 0 {
			t.Errorf("messages were sent: %q", got)
		}
	})
}

func TestARecipientCanBringTheRequest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		r := b.request()
		r.Mode = wscert.Bring
		o := b.create(r)
		if o.State != wscert.PendingCSR {
			t.Fatalf("state %s", o.State)
		}
		token := b.link()
		session, _, err := b.desk.Enter(t.Context(), token, b.code())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.desk.File(t.Context(), token, session.Reveal()); !errors.Is(err, fault.Conflict) {
			t.Errorf("a download before the request: %v", err)
		}
		if o, err = b.engine.SubmitCSR(t.Context(), token, session.Reveal(), newCSR(t)); err != nil || o.State != wscert.Issued {
			t.Fatalf("%v %v", o, err)
		}
		if _, err := b.engine.SubmitCSR(t.Context(), token, session.Reveal(), newCSR(t)); !errors.Is(err, fault.Conflict) {
			t.Errorf("a second request: %v", err)
		}
		file, d, err := b.desk.File(t.Context(), token, session.Reveal())
		if err != nil || !strings.HasPrefix(string(file), "-----BEGIN CERTIFICATE-----") {
			t.Fatalf("%q %v", file, err)
		}
		if err := b.engine.CompletePickup(t.Context(), d, session.Reveal()); err != nil {
			t.Fatal(err)
		}
		if _, sent := b.passwordSMS(); sent != 0 {
			t.Error("a password was sent for a file that has none")
		}
	})
}

func TestNobodyApprovesTheirOwnOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{approval: true})
		o := b.create(b.request())
		if o.State != wscert.PendingAuth || len(b.messages("")) != 0 {
			t.Fatalf("state %s", o.State)
		}
		if _, err := b.engine.Approve(t.Context(), b.scope, o.ID); !errors.Is(err, fault.Forbidden) {
			t.Errorf("approved by the one who placed it: %v", err)
		}
		second := access.System("second")
		var wg sync.WaitGroup
		issued := make(chan string, 8)
		for range 8 {
			wg.Go(func() {
				if o, err := b.engine.Approve(t.Context(), second, o.ID); err == nil {
					issued <- o.Serial
				}
			})
		}
		wg.Wait()
		if len(issued) != 1 || b.count(`SELECT COUNT(*) FROM certificates WHERE kind = 'ws-ssl' AND status = 'valid'`) != 1 {
			t.Errorf("eight approvals at once issued %d", len(issued))
		}
		rejected := b.create(b.request())
		if r, err := b.engine.Reject(t.Context(), second, rejected.ID, "not needed"); err != nil || r.State != wscert.Rejected {
			t.Errorf("%v %v", r, err)
		}
		if _, err := b.engine.Approve(t.Context(), second, rejected.ID); !errors.Is(err, fault.Conflict) {
			t.Errorf("a rejected order was approved: %v", err)
		}
	})
}

// N29, N30: withdrawal; N36: a new one may be issued instead; N33: in parallel.
func TestWithdrawalAndReissue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		first := b.create(b.request())
		b.fetch()
		second := must(b.engine.Reissue(t.Context(), b.scope, first.ID))(t)
		if second.Predecessor != first.ID || b.status(first) != authority.CertValid || b.status(second) != authority.CertValid {
			t.Fatalf("N33: both must be valid")
		}
		w, err := b.engine.Withdraw(t.Context(), b.scope, first.ID, authority.KeyCompromise)
		if err != nil || w.State != wscert.Revoked || b.status(first) != authority.CertRevoked {
			t.Fatalf("N29: %v %v", w, err)
		}
		if b.status(second) != authority.CertValid {
			t.Error("the other certificate went too")
		}
		if !strings.Contains(b.messages(b.person.Email)[0], "no longer accepted") {
			t.Error("the recipient was not told")
		}
		if _, err := b.engine.Withdraw(t.Context(), b.scope, first.ID, authority.Unspecified); !errors.Is(err, fault.Conflict) {
			t.Errorf("a second withdrawal: %v", err)
		}
		// Withdrawn before it was fetched: the file is gone.
		token := b.link()
		if _, err := b.engine.Withdraw(t.Context(), b.scope, second.ID, authority.Superseded); err != nil {
			t.Fatal(err)
		}
		if _, err := b.desk.Find(t.Context(), token); !errors.Is(err, fault.Gone) {
			t.Errorf("the link still leads somewhere: %v", err)
		}
	})
}

func TestAnUnclaimedFileExpiresAndItsCertificateIsRevoked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		unclaimed, claimed := b.create(b.request()), b.create(b.request())
		b.fetch() // the newest link
		b.clock.Advance(15 * 24 * time.Hour)
		if err := b.engine.ExpireUnclaimed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.status(unclaimed) != authority.CertRevoked {
			t.Error("the unclaimed certificate is still valid")
		}
		if b.status(claimed) != authority.CertValid {
			t.Error("the claimed certificate was revoked")
		}
		if n := b.count(`SELECT COUNT(*) FROM handovers WHERE file IS NOT NULL`); n != 0 {
			t.Error("the unclaimed file is still here")
		}
	})
}

func TestRemindersComeInStepsAndStopWithASuccessor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.request())
		b.fetch()
		reminders := func() int { return strings.Count(strings.Join(b.messages(b.person.Email), "\n"), "expires") }
		remindAt := func(days int) {
			b.clock.Set(o.NotAfter.AddDate(0, 0, -days).Add(time.Minute))
			for range 2 { // a second run at the same time sends nothing
				if err := b.engine.Remind(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, days := range []int{60, 30, 14} {
			remindAt(days)
			if got := reminders(); got != i+1 {
				t.Fatalf("%d reminders after the one for %d days", got, days)
			}
		}
		if !slices.ContainsFunc(b.messages("operator@ra.example.com"), func(s string) bool { return strings.Contains(s, "in 14 days") }) {
			t.Error("the operators were not reminded")
		}
		must(b.engine.Reissue(context.Background(), b.scope, o.ID))(t)
		b.fetch()
		remindAt(7)
		if got := reminders(); got != 3 {
			t.Errorf("%d reminders although there is a successor", got)
		}
	})
}

func TestListsArePagedSearchedAndScoped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		var all []*wscert.Order
		for _, short := range []string{"alpha", "beta", "alphabet", "gamma", "delta"} {
			r := b.request()
			r.ShortName, r.Mode, r.CSR = short, wscert.Direct, newCSR(t)
			all = append(all, b.create(r))
			b.clock.Advance(time.Second)
		}
		var seen []string
		cursor := ""
		for {
			list, next, err := b.engine.List(t.Context(), b.scope, wscert.Filter{}, store.Page{Limit: 2, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range list {
				seen = append(seen, o.ShortName)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(seen, []string{"delta", "gamma", "alphabet", "beta", "alpha"}) {
			t.Errorf("pages gave %v", seen)
		}
		spelled := strings.ToUpper(all[1].Serial[:2] + ":" + all[1].Serial[2:])
		for search, want := range map[string]int{"foo-ws-ssl-alpha": 2, "FOO-WS-SSL-ALPHAB": 1, all[0].ID: 1, spelled: 1, "zzz": 0, "": 5} {
			list, _, err := b.engine.List(t.Context(), b.scope, wscert.Filter{Search: search}, store.Page{})
			if err != nil || len(list) != want {
				t.Errorf("search %q found %d, want %d (%v)", search, len(list), want, err)
			}
		}
		ending, _, err := b.engine.List(t.Context(), b.scope, wscert.Filter{ExpireFrom: noon, ExpireBy: noon.AddDate(2, 0, 1)}, store.Page{})
		if err != nil || len(ending) != 5 || ending[0].ShortName != "alpha" || ending[4].ShortName != "delta" {
			t.Errorf("%d end within two years, the soonest first: %v", len(ending), err)
		}
		if unclaimed, _, err := b.engine.List(t.Context(), b.scope, wscert.Filter{Unclaimed: true}, store.Page{}); err != nil || len(unclaimed) != 0 {
			t.Errorf("%d unclaimed (%v)", len(unclaimed), err)
		}
		if failed, _, err := b.engine.List(t.Context(), b.scope, wscert.Filter{State: wscert.Failed}, store.Page{}); err != nil || len(failed) != 0 {
			t.Errorf("%d failed (%v)", len(failed), err)
		}
		if _, _, err := b.engine.List(t.Context(), b.scope, wscert.Filter{State: "X' OR '1'='1"}, store.Page{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("a state that is none: %v", err)
		}
		none, _, err := b.engine.List(t.Context(), access.Scope{}, wscert.Filter{}, store.Page{})
		if err != nil || len(none) != 0 {
			t.Errorf("nobody in particular sees %d orders (%v)", len(none), err)
		}
		if _, err := b.engine.Get(t.Context(), access.Scope{}, all[0].ID); err == nil {
			t.Error("nobody in particular reads an order")
		}
	})
}
