package order_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// withdraw revokes a certificate behind the engine's back.
func (b *bench) withdraw(o *order.Order, reason authority.Reason) {
	b.t.Helper()
	if err := b.db.Update(b.t.Context(), func(tx *store.Tx) error {
		return b.ca.Withdraw(tx, o.Authority, unhex(b.t, o.Serial), authority.Withdrawal{By: authority.RoleOperator, Reason: reason})
	}); err != nil {
		b.t.Fatal(err)
	}
}

// An order follows its certificate when somebody else revokes it: state, key
// file, publication, questions, counters, and each of them once.
func TestOrderFollowsItsCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", madeHereKey+`rules = { approval_revoke = { count = 1 }, publication = { publishers = ["directory"], default = true } }`)
		o := b.create(b.madeHere(p, "www.foo.example"))
		_, approval, err := b.engine.Revoke(t.Context(), b.scope, o.ID, order.Revocation{Reason: authority.Superseded})
		if err != nil || approval == "" {
			t.Fatal(approval, err)
		}
		b.withdraw(o, authority.CessationOfOperation)
		b.withdraw(o, authority.KeyCompromise)
		got := b.get(o.ID)
		if got.State != order.Revoked || got.Reason != authority.KeyCompromise || got.RevokedAt.IsZero() || len(b.shelf.removed) == 0 {
			t.Errorf("%s for %s since %s, removed %v", got.State, got.Reason, got.RevokedAt, b.shelf.removed)
		}
		if n := b.count(`SELECT COUNT(*) FROM order_files`); n != 0 {
			t.Errorf("%d key files", n)
		}
		if a := must(b.engine.Approval(t.Context(), b.scope, approval))(t); a.State != order.Lapsed {
			t.Errorf("somebody is still asked: %s", a.State)
		}
		if n := b.count(`SELECT SUM(n) FROM order_usage WHERE event = 'revoked'`); n != 1 {
			t.Errorf("counted %d times", n)
		}
		b.invariants()
	})
}

// A119: an order whose serial number is revoked while it waits to sign issues
// nothing and says so.
func TestOrderWhoseSerialNumberIsRevokedMeanwhile(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		b.logs.down.Store(http.StatusServiceUnavailable)
		o := b.create(b.server(b.product("tls-server-private", withCT), "www.foo.example"))
		if o.State != order.PreIssue {
			t.Fatalf("%s: %s", o.State, o.Problem)
		}
		b.withdraw(o, authority.KeyCompromise)
		b.logs.down.Store(0)
		b.clock.Advance(time.Minute)
		b.drain()
		if got := b.get(o.ID); got.State != order.Unknown || got.Problem == "" {
			t.Errorf("%s: %s", got.State, got.Problem)
		}
		b.invariants()
		b.answers(t)
	})
}
