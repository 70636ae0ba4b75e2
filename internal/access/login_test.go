package access

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

var wrongPassword = secret.New("not the password at all")

// Neither the answer nor the work tells whether an account exists: the fault,
// the number of slow hashes and the rows written are the same.
func TestAnUnknownAccountLooksLikeAWrongPassword(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		off, _ := w.operator("off", RoleAuditor, "", "")
		w.must(w.DisableOperator(w.ctx, w.root, off.ID))
		_, err := w.InviteOperator(w.ctx, w.root, OperatorFields{Email: "new@example.com", Name: "New"})
		w.must(err)
		type outcome struct {
			code, message        string
			work                 uint64
			throttles, auditRows int64
		}
		try := func(email string, p secret.Text) outcome {
			work, throttles, rows := w.Hasher.Work(), w.count(`SELECT COUNT(*) FROM access_throttles`), w.count(`SELECT COUNT(*) FROM audit_entries`)
			_, err := w.Login(w.ctx, email, p, Origin{Address: "192.0.2.9"})
			f := fault.Of(err)
			return outcome{
				f.Code, f.Message + f.Next, w.Hasher.Work() - work,
				w.count(`SELECT COUNT(*) FROM access_throttles`) - throttles, w.count(`SELECT COUNT(*) FROM audit_entries`) - rows,
			}
		}
		try("warm@example.com", wrongPassword) // creates the row of the address
		want := try("root@example.com", wrongPassword)
		if want.code != "login.failed" || want.work != 1 || want.throttles != 1 || want.auditRows != 1 {
			t.Fatalf("a wrong password: %+v", want)
		}
		for name, got := range map[string]outcome{
			"unknown":                           try("nobody@example.com", wrongPassword),
			"not an address":                    try("\xff\x00'; --", wrongPassword),
			"disabled, with the right password": try("off@example.com", secret.New(goodPassword)),
			"invited":                           try("new@example.com", secret.New("")),
		} {
			if got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
	})
}

// After five wrong tries an account waits, longer with each further one, on
// every node and after a restart, and whether or not it exists.
func TestAnAccountWaitsAfterWrongPasswords(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		address := 0
		for _, email := range []string{"root@example.com", "nobody@example.com"} {
			wrong := func() error {
				address++ // a guesser with many addresses
				_, err := w.Login(w.ctx, email, wrongPassword, Origin{Address: "198.51.100." + string(rune('0'+address%10))})
				return err
			}
			for range 5 {
				w.want(wrong(), fault.Unauthenticated, "login.failed")
			}
			for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
				err := wrong()
				w.want(err, fault.TooMany, "login.wait")
				if got := fault.Of(err).RetryAfter; got != wait {
					t.Errorf("%s: wait %v, want %v", email, got, wait)
				}
				w.clock.Advance(wait - time.Microsecond)
				w.Directory = newNode(t, w) // another process knows it too
				w.want(wrong(), fault.TooMany, "login.wait")
				w.clock.Advance(time.Microsecond)
				w.want(wrong(), fault.Unauthenticated, "login.failed")
			}
			work := w.Hasher.Work()
			_, err := w.Login(w.ctx, email, secret.New(goodPassword), Origin{Address: "203.0.113.1"})
			w.want(err, fault.TooMany, "login.wait") // even with the right one
			if w.Hasher.Work() != work {
				t.Error("a waiting account costs a slow hash")
			}
			w.clock.Advance(time.Hour)
			if email == "root@example.com" {
				w.login(email)
				if n := w.count(`SELECT COUNT(*) FROM access_throttles WHERE id = $1`, w.accountThrottle("login", email).id); n != 0 {
					t.Error("a right password does not forgive the wrong ones")
				}
			}
		}
	})
}

func TestAnAddressWaitsAfterWrongPasswordsForManyAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		o := Origin{Address: "2001:db8:1:2::1"}
		for i := range 20 {
			if i%4 == 3 { // a right password in between earns nothing
				_, err := w.Login(w.ctx, "root@example.com", secret.New(goodPassword), o)
				w.must(err)
			}
			_, err := w.Login(w.ctx, "guess"+string(rune('a'+i))+"@example.com", wrongPassword, o)
			w.want(err, fault.Unauthenticated, "login.failed")
		}
		o.Address = "2001:db8:1:2:ffff::2" // the same subscriber
		_, err := w.Login(w.ctx, "root@example.com", secret.New(goodPassword), o)
		w.want(err, fault.TooMany, "login.wait")
		o.Address = "2001:db8:1:3::1"
		_, err = w.Login(w.ctx, "root@example.com", secret.New(goodPassword), o)
		w.must(err)
	})
}

// Guesses at once are all counted: no more than the limit reach the hash.
func TestGuessesAtOnceAreAllCounted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(o *Options) { o.AddressFailures = 1000 })
		var checked atomic.Int64
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				_, err := w.Login(w.ctx, "root@example.com", wrongPassword, Origin{Address: "192.0.2.7"})
				if errors.Is(err, fault.Unauthenticated) {
					checked.Add(1)
				} else if !errors.Is(err, fault.TooMany) {
					t.Errorf("unexpected: %v", err)
				}
			})
		}
		wg.Wait()
		if n := checked.Load(); n != 5 {
			t.Errorf("%d of 24 guesses at once were checked", n)
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(o *Options) { o.WithoutSecond = true })
		l := w.login("root@example.com")
		if s := w.session(l.Token); s.Stage != SignedIn || !s.Scope().Allows(SettingsWrite, "", "") || s.Origin.UserAgent != "Test" {
			t.Fatalf("session %+v", s)
		}
		_, err := w.Session(w.ctx, secret.New("guess"))
		w.want(err, fault.Unauthenticated, "session.ended")

		// Idle for 30 minutes; use in between keeps it alive, flushed or not.
		for i := range 4 {
			w.clock.Advance(29 * time.Minute)
			w.session(l.Token)
			if i%2 == 1 {
				w.must(w.Flush(w.ctx))
				w.Directory = newNode(t, w)
			}
		}
		w.clock.Advance(30 * time.Minute)
		_, err = w.Session(w.ctx, l.Token)
		w.want(err, fault.Unauthenticated, "session.ended")

		// Twelve hours whatever happens.
		l = w.login("root@example.com")
		for range 24 {
			w.clock.Advance(29 * time.Minute)
			w.session(l.Token)
		}
		w.clock.Advance(24 * time.Minute)
		_, err = w.Session(w.ctx, l.Token)
		w.want(err, fault.Unauthenticated, "session.ended")
		w.must(w.Sweep(w.ctx))
		if n := w.count(`SELECT COUNT(*) FROM access_sessions WHERE hash = $1`, secret.Hash(l.Token.Reveal())); n != 0 {
			t.Error("the sweep leaves an ended session")
		}
	})
}

func TestSigningOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(o *Options) { o.WithoutSecond = true })
		op, _ := w.operator("other", RoleAuditor, "", "")
		a, b, c := w.login("root@example.com"), w.login("root@example.com"), w.login("root@example.com")
		other := w.login(op.Email)
		list, err := w.Sessions(w.ctx, a.Session)
		w.must(err)
		if len(list) != 3 {
			t.Fatalf("%d sessions are listed", len(list))
		}
		w.want(w.EndSession(w.ctx, a.Session, other.Session.ID), fault.NotFound, "")
		w.must(w.EndSession(w.ctx, a.Session, b.Session.ID))
		_, err = w.Session(w.ctx, b.Token)
		w.want(err, fault.Unauthenticated, "session.ended")
		w.must(w.SignOut(w.ctx, c.Session))
		w.must(w.SignOutEverywhere(w.ctx, a.Session))
		_, err = w.Session(w.ctx, a.Token)
		w.want(err, fault.Unauthenticated, "session.ended")
		w.session(other.Token)
		w.must(w.DisableOperator(w.ctx, w.root, op.ID))
		_, err = w.Session(w.ctx, other.Token)
		w.want(err, fault.Unauthenticated, "session.ended")
	})
}

func TestChangingThePassword(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(o *Options) { o.WithoutSecond = true })
		a, b := w.login("root@example.com"), w.login("root@example.com")
		next := secret.New("velvet compass thirty otters")
		w.want(w.ChangePassword(w.ctx, a.Session, wrongPassword, next), fault.Unauthenticated, "login.failed")
		w.want(w.ChangePassword(w.ctx, a.Session, secret.New(goodPassword), secret.New("short")), fault.Invalid, "password.weak")
		w.want(w.ChangePassword(w.ctx, a.Session, secret.New(goodPassword), secret.New("root@example.com!")), fault.Invalid, "password.weak")
		w.must(w.ChangePassword(w.ctx, a.Session, secret.New(goodPassword), next))
		w.session(a.Token)
		_, err := w.Session(w.ctx, b.Token)
		w.want(err, fault.Unauthenticated, "session.ended")
		_, err = w.Login(w.ctx, "root@example.com", secret.New(goodPassword), Origin{})
		w.want(err, fault.Unauthenticated, "login.failed")

		w.clock.Advance(20 * time.Minute)
		s := w.session(a.Token)
		w.want(s.RequireRecent(w.clock.Now(), 10*time.Minute), fault.Forbidden, "session.reauthenticate")
		w.must(w.Reauthenticate(w.ctx, s, next))
		w.must(w.session(a.Token).RequireRecent(w.clock.Now(), 10*time.Minute))
		w.must(w.SetPreferences(w.ctx, s, Preferences{Language: "da", Theme: "dark", Muted: true}))
		if o := w.session(a.Token).Operator; o.Language != "da" || o.Theme != "dark" || !o.Muted {
			t.Errorf("preferences are %+v", o)
		}
	})
}

func TestAnInvitationWorksOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		inv, err := w.InviteOperator(w.ctx, w.root, OperatorFields{Email: "new@example.com", Name: "New"})
		w.must(err)
		_, err = w.InviteOperator(w.ctx, w.root, OperatorFields{Email: "NEW@example.com", Name: "New"})
		w.want(err, fault.Conflict, "operator.exists")
		if shown, err := w.InvitationFor(w.ctx, inv.Token); err != nil || shown.Operator.Email != "new@example.com" {
			t.Errorf("shown %+v, %v", shown, err)
		}
		_, err = w.AcceptInvitation(w.ctx, inv.Token, secret.New("password1234"), Origin{})
		w.want(err, fault.Invalid, "password.weak")
		l, err := w.AcceptInvitation(w.ctx, inv.Token, secret.New(goodPassword), Origin{})
		w.must(err)
		if s := w.session(l.Token); s.Stage != NeedsEnrolment || s.Scope().Principal().Kind != "" {
			t.Errorf("a new operator is at stage %s", s.Stage)
		}
		_, err = w.AcceptInvitation(w.ctx, inv.Token, secret.New(goodPassword), Origin{})
		w.want(err, fault.Gone, "invitation.gone")

		// A reset makes a new one, which expires.
		inv, err = w.ResetOperator(w.ctx, w.root, inv.Operator.ID)
		w.must(err)
		_, err = w.Session(w.ctx, l.Token)
		w.want(err, fault.Unauthenticated, "session.ended")
		_, err = w.Login(w.ctx, "new@example.com", secret.New(goodPassword), Origin{})
		w.want(err, fault.Unauthenticated, "login.failed")
		w.clock.Advance(72 * time.Hour)
		_, err = w.AcceptInvitation(w.ctx, inv.Token, secret.New(goodPassword), Origin{})
		w.want(err, fault.Gone, "invitation.gone")
	})
}

func TestThereIsOneFirstAdministrator(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, _, err := w.Bootstrap(w.ctx, Administrator{Email: "second@example.com", Name: "Second"})
		w.want(err, fault.Conflict, "access.bootstrapped")
		w.must(db.Update(w.ctx, func(tx *store.Tx) error { _, err := tx.Exec(`DELETE FROM access_grants`); return err }))
		op, inv, err := w.Bootstrap(w.ctx, Administrator{Email: "second@example.com", Name: "Second"})
		w.must(err)
		if op.Status != Invited || inv.Token.Empty() {
			t.Errorf("without a password: %+v", op)
		}
		_, err = w.AcceptInvitation(w.ctx, inv.Token, secret.New(goodPassword), Origin{})
		w.must(err)
		if !w.scopeOf(op.ID).Allows(SettingsWrite, "", "") {
			t.Error("the first administrator may not do everything")
		}
	})
}
