package access

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// code is what an authenticator app shows at a time.
func (w *world) code(key secret.Text, at time.Time) string {
	w.tb.Helper()
	c, err := totp.GenerateCode(key.Reveal(), at)
	w.must(err)
	return c
}

// enrolTOTP brings the first administrator to a session with an app set up.
func (w *world) enrolTOTP() (Login, secret.Text, []secret.Text) {
	w.tb.Helper()
	l := w.login("root@example.com")
	e, err := w.BeginTOTP(w.ctx, l.Session)
	w.must(err)
	done, err := w.ConfirmTOTP(w.ctx, l.Session, w.code(e.Secret, w.clock.Now()))
	w.must(err)
	return done.Login, e.Secret, done.Recovery
}

func TestAnOperatorWithoutSecondFactorGetsNowhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		l := w.login("root@example.com")
		s := w.session(l.Token)
		if s.Stage != NeedsEnrolment || s.Scope().Holds(ClientRead) || s.Scope().Principal() != (Principal{}) {
			t.Fatalf("stage %s with scope %+v", s.Stage, s.Scope())
		}
		_, err := w.Sessions(w.ctx, s)
		w.want(err, fault.Unauthenticated, "session.incomplete")
		w.want(w.SetPreferences(w.ctx, s, Preferences{}), fault.Unauthenticated, "session.incomplete")
		e, err := w.BeginTOTP(w.ctx, s)
		w.must(err)
		_, err = w.ConfirmTOTP(w.ctx, s, "000000")
		w.want(err, fault.Invalid, "totp.wrong")
		done, err := w.ConfirmTOTP(w.ctx, s, w.code(e.Secret, w.clock.Now()))
		w.must(err)
		if len(done.Recovery) != 10 || w.session(done.Login.Token).Stage != SignedIn || !w.session(done.Login.Token).Scope().Holds(ClientRead) {
			t.Errorf("after enrolment: %d codes", len(done.Recovery))
		}
		_, err = w.Session(w.ctx, l.Token)
		w.want(err, fault.Unauthenticated, "session.ended") // the earlier secret is worth nothing now
	})
}

// RFC 6238, section 5.2: a code is accepted once, and codes one step early or late.
func TestACodeIsUsedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, key, _ := w.enrolTOTP()
		used := w.code(key, w.clock.Now())
		verify := func(code string) error {
			_, err := w.VerifyTOTP(w.ctx, w.login("root@example.com").Session, code)
			return err
		}
		w.want(verify(used), fault.Unauthenticated, "factor.wrong") // it was used to enrol
		w.clock.Advance(10 * time.Minute)
		now := w.clock.Now()
		w.want(verify(w.code(key, now.Add(-2*totpStep))), fault.Unauthenticated, "factor.wrong")
		w.want(verify(w.code(key, now.Add(2*totpStep))), fault.Unauthenticated, "factor.wrong")
		w.must(verify(w.code(key, now.Add(-totpStep))))
		w.want(verify(w.code(key, now.Add(-totpStep))), fault.Unauthenticated, "factor.wrong")
		w.must(verify(w.code(key, now.Add(totpStep))))
		w.want(verify(w.code(key, now)), fault.Unauthenticated, "factor.wrong") // older than one used
	})
}

func TestASecondFactorWaitsAfterWrongCodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, key, _ := w.enrolTOTP()
		w.clock.Advance(time.Minute)
		l := w.login("root@example.com")
		for range 5 {
			_, err := w.VerifyTOTP(w.ctx, l.Session, "not a code")
			w.want(err, fault.Unauthenticated, "factor.wrong")
		}
		_, err := w.VerifyTOTP(w.ctx, w.login("root@example.com").Session, w.code(key, w.clock.Now()))
		w.want(err, fault.TooMany, "login.wait") // a new password login does not start over
		w.clock.Advance(30 * time.Second)
		done, err := w.VerifyTOTP(w.ctx, l.Session, w.code(key, w.clock.Now()))
		w.must(err)
		if w.session(done.Token).Stage != SignedIn {
			t.Error("the right code does not complete the sign-in")
		}
	})
}

func TestARecoveryCodeWorksOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		full, _, codes := w.enrolTOTP()
		first := codes[0].Reveal()
		l, err := w.VerifyRecoveryCode(w.ctx, w.login("root@example.com").Session, " "+first+" ")
		w.must(err)
		if w.session(l.Token).Stage != SignedIn {
			t.Error("not signed in")
		}
		_, err = w.VerifyRecoveryCode(w.ctx, w.login("root@example.com").Session, first)
		w.want(err, fault.Unauthenticated, "factor.wrong")
		if f, err := w.Factors(w.ctx, full.Session); err != nil || f.RecoveryCodes != 9 || !f.TOTP {
			t.Errorf("factors %+v, %v", f, err)
		}
		fresh, err := w.NewRecoveryCodes(w.ctx, full.Session)
		w.must(err)
		_, err = w.VerifyRecoveryCode(w.ctx, w.login("root@example.com").Session, codes[1].Reveal())
		w.want(err, fault.Unauthenticated, "factor.wrong")
		_, err = w.VerifyRecoveryCode(w.ctx, w.login("root@example.com").Session, fresh[1].Reveal())
		w.must(err)
	})
}

func TestTheLastSecondFactorStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		full, _, _ := w.enrolTOTP()
		w.want(w.RemoveTOTP(w.ctx, full.Session), fault.Conflict, "factor.last")
		_, err := w.BeginTOTP(w.ctx, full.Session)
		w.want(err, fault.Conflict, "totp.exists")
		w.clock.Advance(11 * time.Minute)
		late := w.session(full.Token)
		w.want(w.RemoveTOTP(w.ctx, late), fault.Forbidden, "session.reauthenticate")
		_, err = w.NewRecoveryCodes(w.ctx, late)
		w.want(err, fault.Forbidden, "session.reauthenticate")
		// A session that still owes its second factor cannot set up another instead.
		_, err = w.BeginTOTP(w.ctx, w.login("root@example.com").Session)
		w.want(err, fault.Unauthenticated, "session.incomplete")
		_, err = w.BeginPasskey(w.ctx, w.login("root@example.com").Session)
		w.want(err, fault.Unauthenticated, "session.incomplete")
	})
}
