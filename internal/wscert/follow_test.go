package wscert_test

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

// N29: whoever revokes a certificate, its order follows in the same transaction,
// and a file that waits to be fetched is erased.
func TestOrderFollowsItsCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.ca.OnChange = b.engine.Follow
		o := b.create(b.request())
		serial := must(hex.DecodeString(o.Serial))(t)
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return b.ca.Revoke(tx, o.Authority, serial, authority.KeyCompromise) }); err != nil {
			t.Fatal(err)
		}
		got := must(b.engine.Get(context.Background(), b.scope, o.ID))(t)
		if got.State != wscert.Revoked || !got.Claim().IsZero() {
			t.Errorf("the order is %s, to be fetched until %s", got.State, got.Claim())
		}
		if n := b.count(`SELECT COUNT(*) FROM handovers WHERE file IS NOT NULL`); n != 0 {
			t.Error("the file is still here")
		}
		second := b.create(b.request())
		if got := must(b.engine.Withdraw(context.Background(), b.scope, second.ID, authority.Superseded))(t); got.State != wscert.Revoked {
			t.Errorf("our own withdrawal leaves %s", got.State)
		}
	})
}
