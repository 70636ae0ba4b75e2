package order_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A119: an order whose certificate's record is gone or was closed by somebody
// else is for a person to look at, and nothing is issued for it.
func TestLostOrderIsUnknown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", "")
		lost := errors.New("lost")
		held := 0
		db.Interpose(func(update func() error) error {
			if held++; held > 1 {
				return lost // everything after the commit that holds the serial number
			}
			return update()
		})
		if _, err := b.engine.Create(t.Context(), b.scope, b.server(p, "www.foo.example")); err == nil {
			t.Fatal("the order did not notice that its commit was lost")
		}
		db.Interpose(nil)
		list, _, err := b.engine.List(t.Context(), b.scope, order.Filter{}, store.Page{})
		if err != nil || len(list) != 1 || list[0].State != order.Issue {
			t.Fatalf("%v %+v", err, list)
		}
		serial := must(hex.DecodeString(list[0].Serial))(t)
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return b.ca.Revoke(tx, list[0].Authority, serial, authority.Superseded) }); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Hour)
		b.drain()
		if got := b.get(list[0].ID); got.State != order.Unknown || got.Problem == "" || !got.Due().IsZero() {
			t.Errorf("it is %s (%q), due %s", got.State, got.Problem, got.Due())
		}
		b.invariants()
	})
}
