package access

import (
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// The old clients send the password with each call: the slow hash runs once a
// minute, and a change counts at once.
func TestTheServicePasswordIsHashedOnceAMinute(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, secret.New(goodPassword)))
		o := Origin{Address: "192.0.2.5"}
		call := func(p secret.Text) (work uint64, err error) {
			before := w.Hasher.Work()
			v, s, err := w.VerifyServicePassword(w.ctx, Production, "north", p, o)
			if err == nil && (v.ID != w.northSvc.ID || !s.AllowsService(DocumentWrite, Production, w.north.ID, v.ID) || s.Holds(ServiceWrite)) {
				t.Errorf("service %+v with scope %+v", v, s)
			}
			return w.Hasher.Work() - before, err
		}
		for i, want := range []uint64{1, 0, 0} {
			if work, err := call(secret.New(goodPassword)); err != nil || work != want {
				t.Fatalf("call %d: %d hashes, %v", i, work, err)
			}
		}
		if work, err := call(wrongPassword); fault.Of(err).Code != "service.login" || work != 1 {
			t.Errorf("a wrong password: %d hashes, %v", work, err)
		}
		w.clock.Advance(time.Minute)
		if work, err := call(secret.New(goodPassword)); err != nil || work != 1 {
			t.Errorf("after a minute: %d hashes, %v", work, err)
		}
		next := secret.New("velvet compass thirty otters")
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, next))
		_, err := call(secret.New(goodPassword))
		w.want(err, fault.Unauthenticated, "service.login")
		_, err = call(next)
		w.must(err)
		if _, s, err := w.ServiceScope(w.ctx, w.northSvc.ID); err != nil || !s.AllowsService(DocumentRead, Production, w.north.ID, w.northSvc.ID) {
			t.Errorf("scope by other means: %v", err)
		}
		w.must(w.CloseService(w.ctx, w.root, w.northSvc.ID))
		_, _, err = w.ServiceScope(w.ctx, w.northSvc.ID)
		w.want(err, fault.Unauthenticated, "service.closed")
		_, err = call(next)
		w.want(err, fault.Unauthenticated, "service.login")
	})
}

func TestAnUnknownServiceLooksLikeAWrongPassword(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, secret.New(goodPassword)))
		_, err := w.CreateService(w.ctx, w.root, w.north.ID, "without", ServiceFields{})
		w.must(err)
		for _, c := range []struct {
			name  string
			realm Realm
		}{{"north", Production}, {"nobody", Production}, {"without", Production}, {"north", Preprod}, {"\x00\xff", Production}} {
			before := w.Hasher.Work()
			_, s, err := w.VerifyServicePassword(w.ctx, c.realm, c.name, secret.New(""), Origin{Address: "192.0.2.6"})
			w.want(err, fault.Unauthenticated, "service.login")
			if w.Hasher.Work()-before != 1 || s.Holds(DocumentRead) {
				t.Errorf("%s in %s differs", c.name, c.realm)
			}
		}
	})
}

// Guesses from one address make that address wait, and leave the service's own
// calls alone.
func TestGuessingAtAServiceDoesNotLockItOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, secret.New(goodPassword)))
		guess := func() error {
			_, _, err := w.VerifyServicePassword(w.ctx, Production, "north", wrongPassword, Origin{Address: "198.51.100.9"})
			return err
		}
		for range 5 {
			w.want(guess(), fault.Unauthenticated, "service.login")
		}
		w.want(guess(), fault.TooMany, "login.wait")
		_, _, err := w.VerifyServicePassword(w.ctx, Production, "north", secret.New(goodPassword), Origin{Address: "192.0.2.5"})
		w.must(err)
	})
}

func TestTheCacheOfVerifiedPasswordsIsBounded(t *testing.T) {
	var c passwordCache
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3*maxVerified + 5 {
		c.add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(c.seen) > maxVerified {
		t.Errorf("%d entries", len(c.seen))
	}
	a, b := c.mac("svc-1", "hash", secret.New("x")), c.mac("svc-1", "has", secret.New("hx"))
	if a == b {
		t.Error("hash and password run into each other")
	}
}

func BenchmarkVerifyServicePassword(b *testing.B) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			w := newWorld(b, storetest.Open(b, url(b)))
			w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, secret.New(goodPassword)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := w.VerifyServicePassword(w.ctx, Production, "north", secret.New(goodPassword), Origin{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A client that starts with a burst of calls is one try, not many wrong ones.
func TestABurstOfCallsWithTheRightPasswordIsOneTry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.must(w.SetServicePassword(w.ctx, w.root, w.northSvc.ID, secret.New(goodPassword)))
		before := w.Hasher.Work()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, _, err := w.VerifyServicePassword(w.ctx, Production, "north", secret.New(goodPassword), Origin{Address: "192.0.2.9"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := w.Hasher.Work() - before; n > 2 {
			t.Errorf("%d evaluations of the slow hash", n)
		}
	})
}
