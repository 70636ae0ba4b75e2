package keycheck_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A109: that nothing is blocked is remembered for a second, and forgotten at once
// by the node that blocks the first key.
func TestFirstBlockedKeyIsNoticed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := clock.NewFake(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
		signer, err := keys.Generate(keys.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		log := audit.New(db, now, signer, "test/audit")
		here, there := keycheck.New(db, log, now, nil, nil), keycheck.New(db, log, now, nil, nil)
		key, err := keys.Generate(keys.P256)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]*keycheck.Registry{"here": here, "there": there} {
			if err := r.Known(t.Context(), spki, key.Public()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := here.Block(tx, keycheck.Blocked{SPKI: keycheck.HashOf(spki), Reason: keycheck.Compromised, Source: "test"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := here.Known(t.Context(), spki, key.Public()); err == nil {
			t.Error("the node that blocked the key takes it")
		}
		now.Advance(time.Second)
		if err := there.Known(t.Context(), spki, key.Public()); err == nil {
			t.Error("another node takes it a second later")
		}
	})
}
