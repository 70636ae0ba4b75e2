package order_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/product"
)

const madeHereKey = `key = { types = ["EC_secp256r1"], generation = "PKCS12" }` + "\n"

// pass lets days go by with what runs every day.
func (b *bench) pass(days int) {
	b.t.Helper()
	for range days {
		b.clock.Advance(24 * time.Hour)
		if err := errors.Join(b.engine.RenewDue(b.t.Context()), b.engine.Remind(b.t.Context())); err != nil {
			b.t.Fatal(err)
		}
		b.drain()
	}
}

// successor is the order that renews another.
func (b *bench) successor(o *order.Order) *order.Order {
	b.t.Helper()
	got := b.get(o.ID)
	if got.Successor == "" {
		b.t.Fatalf("%s has no successor", o.ID)
	}
	return b.get(got.Successor)
}

// A99, A157, A162, A163, A164, A165, A166, A167, A168, A169: a certificate with a
// key made here renews itself, as often as its
// rule says; the one before is revoked some days later; the chain can be walked.
func TestAutomaticRenewalWithAKeyMadeHere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", madeHereKey+`rules = { renewal = { mode = "automatic", days_before = 10, count = 2, revoke_old = true, revoke_old_after_days = 3 } }`)
		r := b.madeHere(p, "www.foo.example")
		r.Validity, r.Tags, r.Owner, r.Recipients = 30, []string{"web"}, "Kari", []order.Recipient{{Kind: "renewal", Email: "ops@foo.example"}}
		o := b.create(r)
		b.pass(19)
		if got := b.get(o.ID); got.Successor != "" {
			t.Fatalf("renewed 11 days before its end by %s", got.Successor)
		}
		b.pass(2)
		second := b.successor(o)
		if second.State != order.Issued || second.Predecessor != o.ID || second.Origin != order.FromRenewal || second.CommonName != o.CommonName || second.Owner != "Kari" {
			t.Fatalf("%+v", second)
		}
		if tags := must(b.engine.Tags(t.Context(), second.ID, o.ID))(t); !slices.Equal(tags[second.ID], []string{"web"}) || len(tags[o.ID]) != 1 {
			t.Errorf("tags %v", tags)
		}
		if to := must(b.engine.Recipients(t.Context(), second))(t); len(to) != 1 || to[0].Email != "ops@foo.example" {
			t.Errorf("recipients %v", to)
		}
		if slices.Equal(b.certificate(second).RawSubjectPublicKeyInfo, b.certificate(o).RawSubjectPublicKeyInfo) {
			t.Error("the key is the same")
		}
		if got := b.get(o.ID); got.State != order.Issued {
			t.Errorf("the one before is %s at once", got.State)
		}
		b.pass(4)
		if got := b.get(o.ID); got.State != order.Revoked || got.Reason != authority.Superseded || got.Job(order.JobRevokeOld) == nil {
			t.Errorf("the one before is %s for %s", got.State, got.Reason)
		}
		b.pass(20)
		third := b.successor(second)
		chain := must(b.engine.Predecessors(t.Context(), third))(t)
		if len(chain) != 2 || chain[0].ID != second.ID || chain[1].ID != o.ID {
			t.Errorf("predecessors %v", chain)
		}
		renewal := must(b.engine.RenewalOf(t.Context(), third))(t)
		if renewal.Done != 2 || renewal.Rule.Count != 2 {
			t.Errorf("%+v", renewal)
		}
		told := len(b.notices.of(order.EventRenewalDue))
		b.pass(25)
		if got := b.get(third.ID); got.Successor != "" {
			t.Error("renewed more often than the rule says")
		}
		if now := b.notices.of(order.EventRenewalDue); len(now) == told || !strings.Contains(now[len(now)-1].Data["reason"], "as often") {
			t.Errorf("nobody was told that it renews no more: %+v", now)
		}
		if _, err := b.engine.Renew(t.Context(), b.scope, third.ID, nil); fault.Of(err).Code != "order.renewals" && fault.Of(err).Code != "order.not_issued" {
			t.Errorf("renewed by hand once more: %v", err)
		}
		if n := b.count(`SELECT COUNT(*) FROM orders`); n != 3 {
			t.Errorf("%d orders", n)
		}
		b.invariants()
	})
}

// A108: where the key is the customer's, the renewal waits for a request, by link
// or by an operator, until the certificate ends or is revoked.
func TestAutomaticRenewalWaitsForTheRequest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { renewal = { mode = "automatic", days_before = 10 } }`)
		place := func(name string) *order.Order {
			r := b.server(p, name)
			r.Validity, r.Holder = 30, "holder@foo.example"
			return b.create(r)
		}
		waiting := func() *order.Order {
			list, _ := must2(b.engine.List(t.Context(), b.scope, order.Filter{States: []order.State{order.PendingCSR}}, store.Page{}))(t)
			if len(list) != 1 {
				t.Fatalf("%d renewals wait", len(list))
			}
			return b.get(list[0].ID)
		}
		o := place("www.foo.example")
		b.pass(21)
		next := waiting()
		told := b.notices.of(order.EventRenewalLink)
		if len(told) != 1 || told[0].Holder != "holder@foo.example" || !told[0].Secret || next.Job(order.JobRenewal).State != order.JobWaiting {
			t.Fatalf("told %+v, the job %+v", told, next.Job(order.JobRenewal))
		}
		if _, err := b.engine.Retry(t.Context(), b.scope, next.ID); !errors.Is(err, fault.Conflict) || b.get(next.ID).State != order.PendingCSR {
			t.Errorf("taken up without a request: %v", err)
		}
		if _, err := b.engine.Renew(t.Context(), b.scope, o.ID, nil); fault.Of(err).Code != "order.renewing" {
			t.Errorf("renewed twice at once: %v", err)
		}
		token := b.tokenOf(order.EventRenewalLink)
		if _, err := b.engine.SubmitCSRByLink(t.Context(), token, []byte("nothing")); !errors.Is(err, fault.Invalid) {
			t.Errorf("a bad request: %v", err)
		}
		got := must(b.engine.SubmitCSRByLink(t.Context(), token, newCSR(t, "www.foo.example")))(t)
		if got.State != order.Issued || b.get(o.ID).Successor != got.ID || got.Job(order.JobRenewal).State != order.JobSuccess {
			t.Errorf("%s: %s", got.State, got.Problem)
		}
		if _, err := b.engine.SubmitCSRByLink(t.Context(), token, newCSR(t, "www.foo.example")); !errors.Is(err, fault.Gone) {
			t.Errorf("the link is used twice: %v", err)
		}

		// Revoked meanwhile: there is nothing to renew.
		second := got
		b.pass(21)
		next = waiting()
		if _, _, err := b.engine.Revoke(t.Context(), b.scope, second.ID, order.Revocation{Reason: authority.PrivilegeWithdrawn}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.SubmitCSR(t.Context(), b.scope, next.ID, newCSR(t, "www.foo.example")); !errors.Is(err, fault.Conflict) {
			t.Errorf("a revoked certificate is renewed: %v", err)
		}
		b.pass(12)
		if got := b.get(next.ID); got.State != order.Failed || got.Problem == "" {
			t.Errorf("past the end it is %s", got.State)
		}

		// By an operator.
		third := place("shop.foo.example")
		b.pass(21)
		got = must(b.engine.SubmitCSR(t.Context(), b.scope, waiting().ID, newCSR(t, "shop.foo.example")))(t)
		if got.State != order.Issued || got.Predecessor != third.ID {
			t.Errorf("%s: %s", got.State, got.Problem)
		}
		b.invariants()
	})
}

// A155, A164: a manual rule tells once that it is time, and is not served before.
func TestManualRenewalIsNoticedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", madeHereKey+`rules = { renewal = { mode = "manual", days_before = 14 } }`)
		r := b.madeHere(p, "www.foo.example")
		r.Validity = 40
		o := b.create(r)
		if _, err := b.engine.Renew(t.Context(), b.scope, o.ID, nil); fault.Of(err).Code != "order.too_early" {
			t.Errorf("renewed at once: %v", err)
		}
		b.pass(27)
		b.pass(3)
		keys := map[string]bool{}
		for _, n := range b.notices.of(order.EventRenewalDue) {
			keys[n.Key] = true
		}
		if len(keys) != 1 {
			t.Errorf("notices %v", keys)
		}
		got := must(b.engine.Renew(t.Context(), b.scope, o.ID, nil))(t)
		b.drain()
		if got = b.get(got.ID); got.State != order.Issued || b.get(o.ID).State != order.Issued {
			t.Errorf("%s: %s", got.State, got.Problem)
		}
		if _, err := b.engine.Renew(t.Context(), b.scope, o.ID, nil); fault.Of(err).Code != "order.renewed" {
			t.Errorf("renewed twice: %v", err)
		}
		b.invariants()
	})
}

// A101: reminders come once for each of the days, and not once there is a successor.
func TestReminders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", madeHereKey+`rules = { renewal = { mode = "manual", days_before = 20 } }`)
		r := b.madeHere(p, "www.foo.example")
		r.Validity = 40
		o, alone := b.create(r), b.create(b.madeHere(p, "other.foo.example"))
		days := func(o *order.Order) (out []string) {
			for _, n := range b.notices.of(order.EventExpiry) {
				if n.Order.ID == o.ID {
					out = append(out, n.Data["run"])
				}
			}
			return out
		}
		b.pass(15)
		if got := days(o); !slices.Equal(got, []string{"remind-30"}) {
			t.Errorf("after 15 of 40 days: %v", got)
		}
		b.pass(12)
		must(b.engine.Renew(t.Context(), b.scope, o.ID, nil))(t)
		b.pass(13)
		if got := days(o); !slices.Equal(got, []string{"remind-30", "remind-14"}) {
			t.Errorf("with a successor: %v", got)
		}
		b.pass(397 - 40)
		if got := days(alone); !slices.Equal(got, []string{"remind-60", "remind-30", "remind-14", "remind-7", "remind-1"}) {
			t.Errorf("to its end: %v", got)
		}
	})
}

// A105: what was ordered is issued as it was ordered; a renewal is of the product
// as it is now.
func TestProductThatChangesMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		rules := `rules = { approval_issue = { count = %d }, renewal = { mode = "automatic", days_before = 10 } }`
		p := b.product("tls-server-private", madeHereKey+fmt.Sprintf(rules, 1))
		r := b.madeHere(p, "www.foo.example")
		r.Validity = 30
		o := b.create(r)
		change := func(def string) {
			template := must(product.ReadyTemplate("tls-server-private"))(t)
			next := must(template.Product(p.Name, p.Realm, "", p.Authority, []byte(def)))(t)
			p = must(b.products.Change(t.Context(), b.scope, p.ID, p.Version, next, ""))(t)
		}
		change(madeHereKey + fmt.Sprintf(rules, 0) + "\nsubject = { OU = { state = \"fixed\", values = [\"New\"], sources = [] } }")
		if err := b.products.Retire(t.Context(), b.scope, p.ID, true); err != nil {
			t.Fatal(err)
		}
		must(b.engine.Decide(t.Context(), b.other, must(b.engine.ApprovalsOf(t.Context(), o))(t)[0].ID, true, ""))(t)
		o = b.get(o.ID)
		if o.State != order.Issued || o.ProductVersion != 1 || strings.Contains(o.Subject, "New") {
			t.Fatalf("%s of version %d for %s: %s", o.State, o.ProductVersion, o.Subject, o.Problem)
		}

		// Retired: it does not renew itself, and people are told why.
		b.pass(21)
		due := b.notices.of(order.EventRenewalDue)
		if b.count(`SELECT COUNT(*) FROM orders`) != 1 || len(due) == 0 || !strings.Contains(due[0].Data["reason"], "no orders for the product") {
			t.Errorf("%d orders, told %+v", b.count(`SELECT COUNT(*) FROM orders`), due)
		}
		if err := b.products.Retire(t.Context(), b.scope, p.ID, false); err != nil {
			t.Fatal(err)
		}
		next := must(b.engine.Renew(t.Context(), b.scope, o.ID, nil))(t)
		b.drain()
		if next = b.get(next.ID); next.State != order.Issued || next.ProductVersion != 2 || !strings.Contains(next.Subject, "OU=New") {
			t.Errorf("%s of version %d for %s: %s", next.State, next.ProductVersion, next.Subject, next.Problem)
		}
		b.invariants()
	})
}

// A renewal that fails is begun again at the next of the days, not every day.
func TestRenewalThatFailedIsTriedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", madeHereKey+`rules = { renewal = { mode = "automatic", days_before = 21 }, domain_control = "dns-http" }`)
		r := b.madeHere(p, "www.foo.example")
		r.Validity = 60
		o := b.create(r)
		b.domains.failed = "Control over www.foo.example was not shown within 30 days."
		b.pass(45)
		if n := b.count(`SELECT COUNT(*) FROM orders WHERE predecessor = $1`, o.ID); n != 1 {
			t.Fatalf("%d renewals 15 days before the end", n)
		}
		*b.domains = domains{}
		b.pass(2)
		if got := b.successor(o); got.State != order.Issued {
			t.Errorf("%s: %s", got.State, got.Problem)
		}
		b.invariants()
	})
}
