package idempotency_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func key(t *testing.T, principal, value, content string) idempotency.Key {
	t.Helper()
	k, err := idempotency.New(principal, value, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func save(t *testing.T, keys *idempotency.Keys, k idempotency.Key, order string) error {
	t.Helper()
	return keys.DB.Update(t.Context(), func(tx *store.Tx) error { return keys.Save(tx, k, order) })
}

func TestAKeyFindsTheOrderOfItsFirstRequestAndNothingElse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fake := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
		keys := &idempotency.Keys{DB: db, Clock: fake}
		mine := key(t, "sa-1", "k-1", "body")
		if _, ok, err := keys.Find(t.Context(), mine); ok || err != nil {
			t.Fatalf("an unused key: %v %v", ok, err)
		}
		if err := save(t, keys, mine, "ord-1"); err != nil {
			t.Fatal(err)
		}
		if id, ok, err := keys.Find(t.Context(), mine); id != "ord-1" || !ok || err != nil {
			t.Fatalf("the same request again: %q %v %v", id, ok, err)
		}
		if _, _, err := keys.Find(t.Context(), key(t, "sa-1", "k-1", "other body")); fault.Of(err).Code != "idempotency.reused" {
			t.Fatalf("the same key with another body: %v", err)
		}
		if _, ok, err := keys.Find(t.Context(), key(t, "sa-2", "k-1", "other body")); ok || err != nil {
			t.Fatalf("another caller's key: %v %v", ok, err)
		}
		if err := save(t, keys, mine, "ord-2"); !errors.Is(err, idempotency.ErrTaken) {
			t.Fatalf("saving twice: %v", err)
		}
	})
}

func TestAKeyIsForgottenAfterTwoDaysWhetherSweptOrNot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fake := clock.NewFake(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
		keys := &idempotency.Keys{DB: db, Clock: fake}
		old, young := key(t, "sa-1", "old", "body"), key(t, "sa-1", "young", "body")
		if err := save(t, keys, old, "ord-1"); err != nil {
			t.Fatal(err)
		}
		fake.Advance(idempotency.Life + time.Second)
		if _, ok, err := keys.Find(t.Context(), old); ok || err != nil {
			t.Fatalf("after %v: %v %v", idempotency.Life, ok, err)
		}
		if err := save(t, keys, old, "ord-2"); err != nil {
			t.Fatalf("a forgotten key can be used again: %v", err)
		}
		fake.Advance(idempotency.Life + time.Second)
		if err := save(t, keys, young, "ord-3"); err != nil {
			t.Fatal(err)
		}
		if err := keys.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n int64
		if err := db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM idempotency_keys`).Scan(&n); err != nil || n != 1 {
			t.Fatalf("%d rows are left, want the young one: %v", n, err)
		}
	})
}

func TestOfEightRequestsAtOnceOneTakesTheKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		keys := &idempotency.Keys{DB: db, Clock: clock.System{}}
		k := key(t, "sa-1", "race", "body")
		results := make([]error, 8)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				results[i] = db.Update(t.Context(), func(tx *store.Tx) error { return keys.Save(tx, k, fmt.Sprint("ord-", i)) })
			})
		}
		wg.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else if !errors.Is(err, idempotency.ErrTaken) {
				t.Errorf("unexpected: %v", err)
			}
		}
		if won != 1 {
			t.Fatalf("%d took the key", won)
		}
	})
}

func TestAMalformedKeyIsRefused(t *testing.T) {
	for _, value := range []string{"", "with blank", "new\nline", "grün", strings.Repeat("x", 256)} {
		if _, err := idempotency.New("sa-1", value, nil); fault.Of(err).Code != "idempotency.key" {
			t.Errorf("%q: %v", value, err)
		}
	}
}
