package wscert_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/wscert"
)

var errCrash = errors.New("crash")

// crashAt makes the nth following update crash: either nothing was persisted,
// or it was and nobody heard of it. Everything after it fails too, as it does
// in a process that is gone.
func crashAt(db *store.DB, n int, persisted bool) (reached *atomic.Bool) {
	var count atomic.Int64
	reached = new(atomic.Bool)
	db.Interpose(func(update func() error) error {
		switch i := int(count.Add(1)); {
		case i < n:
			return update()
		case i == n:
			reached.Store(true)
			if persisted {
				if err := update(); err != nil {
					return err
				}
			}
		}
		return errCrash
	})
	return reached
}

// An act is one way through the engine; run is interrupted, prepare is not.
type act struct {
	name    string
	options options
	prepare func(b *bench) func() error
}

func acts() []act {
	return []act{
		{name: "order with a key made here", prepare: func(b *bench) func() error {
			return func() error {
				_, err := b.engine.Create(context.Background(), b.scope, b.request())
				return err
			}
		}},
		{name: "order with a request", prepare: func(b *bench) func() error {
			r := b.request()
			r.Mode, r.CSR = wscert.Direct, newCSR(b.t)
			return func() error {
				_, err := b.engine.Create(context.Background(), b.scope, r)
				return err
			}
		}},
		{name: "approval", options: options{approval: true}, prepare: func(b *bench) func() error {
			o := b.create(b.request())
			return func() error {
				_, err := b.engine.Approve(context.Background(), secondOperator, o.ID)
				return err
			}
		}},
		{name: "request brought by the recipient", prepare: func(b *bench) func() error {
			r := b.request()
			r.Mode = wscert.Bring
			b.create(r)
			token := b.link()
			session := must3(b.desk.Enter(context.Background(), token, b.code()))(b.t)
			request := newCSR(b.t)
			return func() error {
				_, err := b.engine.SubmitCSR(context.Background(), token, session.Reveal(), request)
				return err
			}
		}},
		{name: "last byte of the file", prepare: func(b *bench) func() error {
			b.create(b.request())
			token := b.link()
			session := must3(b.desk.Enter(context.Background(), token, b.code()))(b.t)
			_, d, err := b.desk.File(context.Background(), token, session.Reveal())
			if err != nil {
				b.t.Fatal(err)
			}
			return func() error { return b.engine.CompletePickup(context.Background(), d, session.Reveal()) }
		}},
		{name: "withdrawal", prepare: func(b *bench) func() error {
			o := b.create(b.request())
			return func() error {
				_, err := b.engine.Withdraw(context.Background(), b.scope, o.ID, authority.KeyCompromise)
				return err
			}
		}},
	}
}

// Every durable point × {not persisted, persisted but reported failed} × resume.
func TestACrashAtAnyCommitEndsInOneCertificateOrNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, a := range acts() {
			for n := 1; ; n++ {
				more := false
				for _, persisted := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/commit %d/persisted=%v", a.name, n, persisted), func(t *testing.T) {
						more = crashOnce(t, db, a, n, persisted) || more
					})
				}
				if !more {
					break
				}
			}
		}
	})
}

// crashOnce runs one cell of the table and tells whether the crash was reached.
func crashOnce(t *testing.T, db *store.DB, a act, n int, persisted bool) bool {
	b := newBench(t, freshDB(t, db), a.options)
	run := a.prepare(b)
	reached := crashAt(b.db, n, persisted)
	err := run()
	b.db.Interpose(nil)
	if !reached.Load() {
		if err != nil {
			t.Fatalf("without a crash: %v", err)
		}
		return false
	}
	b.clock.Advance(10 * time.Minute) // past the lease
	for range 2 {
		if err := b.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.checkInvariants()
	return true
}

// checkInvariants delivers what waits and holds the database against what must
// be true at rest.
func (b *bench) checkInvariants() {
	b.t.Helper()
	b.messages("") // deliver
	housetest.Invariants(b.t, b.db)
}

// freshDB gives each cell an empty database on the same engine.
func freshDB(t *testing.T, like *store.DB) *store.DB {
	if like.Engine() == store.Postgres {
		return storetest.Open(t, storetest.Postgres(t))
	}
	return storetest.Open(t, storetest.SQLite(t))
}

// A flakyToken is an HSM that can be switched off. Like most, it does not sign
// ECDSA deterministically.
type flakyToken struct {
	key  *ecdsa.PrivateKey
	down atomic.Bool
}

func (f *flakyToken) Signer(context.Context, string) (crypto.Signer, error) {
	if f.down.Load() {
		return nil, fault.Unavailablef(nil, "keys.hsm_unavailable", "The HSM does not answer.")
	}
	return f, nil
}

func (f *flakyToken) Public() crypto.PublicKey { return f.key.Public() }

func (f *flakyToken) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if f.down.Load() {
		return nil, fault.Unavailablef(nil, "keys.hsm_unavailable", "The HSM does not answer.")
	}
	return f.key.Sign(rand.Reader, digest, opts)
}

func TestAnOrderSurvivesTheLossOfTheHSM(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		token := &flakyToken{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
		b := newBench(t, db, options{vault: []keys.Option{keys.WithToken(token)}, caKeyRef: keys.HSMRef("clients")})
		token.down.Store(true)
		o, err := b.engine.Create(t.Context(), b.scope, b.request())
		if !errors.Is(err, fault.Unavailable) || fault.Of(err).Code != "order.delayed" || o == nil || o.State != wscert.Issue {
			t.Fatalf("%v %v", o, err)
		}
		if got := b.messages(""); len(got) != 0 {
			t.Errorf("somebody was told before there is a certificate: %q", got)
		}
		b.clock.Advance(10 * time.Second)
		if err := b.engine.Sweep(t.Context()); err == nil {
			t.Error("the sweep did not report that the HSM is still away")
		}
		token.down.Store(false)
		b.clock.Advance(10 * time.Second)
		if err := b.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The first serial number may have been signed by the HSM: it is revoked.
		if n := b.count(`SELECT COUNT(*) FROM certificates WHERE kind = 'ws-ssl' AND status = 'revoked'`); n == 0 {
			t.Error("a certificate that may exist was not revoked")
		}
		b.checkInvariants()
		if _, password := b.fetch(); password == "" {
			t.Error("the order did not reach its recipient")
		}
	})
}

// N18: thirty minutes, five tries, a limited number of new ones.
func TestOneTimePasswordsAreLimitedInTimeTriesAndNumber(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.create(b.request())
		token, code := b.link(), b.code()
		enter := func(code string) error {
			_, _, err := b.desk.Enter(t.Context(), token, code)
			return err
		}
		wrong := "000000"
		if code == wrong {
			wrong = "111111"
		}
		for i := range 5 {
			if err := enter(wrong); err == nil {
				t.Fatalf("wrong try %d was accepted", i)
			}
		}
		if err := enter(code); fault.Of(err).Code != "handover.code_spent" {
			t.Errorf("after five wrong tries the right one gives %v", err)
		}
		if _, err := b.desk.NewCode(t.Context(), token); !errors.Is(err, fault.TooMany) {
			t.Errorf("a new one at once: %v", err)
		}
		b.clock.Advance(time.Minute)
		if _, err := b.desk.NewCode(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		late := b.code()
		b.clock.Advance(31 * time.Minute)
		if err := enter(late); fault.Of(err).Code != "handover.code_expired" {
			t.Errorf("N18: after 31 minutes: %v", err)
		}
		for {
			b.clock.Advance(time.Minute)
			if _, err := b.desk.NewCode(t.Context(), token); err != nil {
				if fault.Of(err).Code != "handover.codes" {
					t.Fatal(err)
				}
				break
			}
		}
		if n := b.count(`SELECT codes_sent FROM handovers`); n != int64(handover.DefaultPolicy.CodeLimit) {
			t.Errorf("%d one-time passwords were sent", n)
		}
		if err := enter(b.code()); err != nil {
			t.Errorf("the last one must still work: %v", err)
		}
		if err := enter(b.code()); fault.Of(err).Code != "handover.code_spent" {
			t.Errorf("a reused one: %v", err)
		}
		if _, err := b.desk.Find(t.Context(), "guessed"); !errors.Is(err, fault.NotFound) {
			t.Errorf("a guessed link: %v", err)
		}
	})
}

func TestParallelGuessesCount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.create(b.request())
		token, code := b.link(), b.code()
		results := make(chan error, 40)
		for i := range 40 {
			go func() {
				guess := fmt.Sprintf("%06d", i)
				if guess == code {
					guess = "999999"
				}
				_, _, err := b.desk.Enter(context.Background(), token, guess)
				results <- err
			}()
		}
		wrong := 0
		for range 40 {
			if err := <-results; fault.Of(err).Code == "handover.code_wrong" {
				wrong++
			}
		}
		if wrong > 4 || b.count(`SELECT tries FROM handovers`) != 5 {
			t.Errorf("%d guesses were judged, %d counted", wrong+1, b.count(`SELECT tries FROM handovers`))
		}
	})
}

func TestTheBrowserThatGaveTheLastPasswordHasTheSession(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.create(b.request())
		token := b.link()
		first := must3(b.desk.Enter(t.Context(), token, b.code()))(t)
		b.clock.Advance(time.Minute)
		if _, err := b.desk.NewCode(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		second := must3(b.desk.Enter(t.Context(), token, b.code()))(t)
		if _, _, err := b.desk.File(t.Context(), token, first.Reveal()); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("the first browser still downloads: %v", err)
		}
		_, d, err := b.desk.File(t.Context(), token, second.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.engine.CompletePickup(t.Context(), d, first.Reveal()); err == nil {
			t.Error("the first browser completed the delivery")
		}
		if err := b.engine.CompletePickup(t.Context(), d, second.Reveal()); err != nil {
			t.Error(err)
		}
		if err := b.engine.CompletePickup(t.Context(), d, second.Reveal()); !errors.Is(err, fault.Gone) {
			t.Errorf("completed twice: %v", err)
		}
		if _, n := b.passwordSMS(); n != 1 {
			t.Errorf("%d passwords were sent", n)
		}
	})
}
