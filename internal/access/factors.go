package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Factors are what an operator can prove a sign-in with beside the password.
type Factors struct {
	TOTP          bool
	Passkeys      []Passkey
	RecoveryCodes int // those not used yet
}

// Enrolled is the outcome of setting up a second factor.
type Enrolled struct {
	Login    Login         // set when it completed the sign-in: the cookie gets the new token
	Recovery []secret.Text // with the first second factor: codes to print and keep
}

// Factors lists the second factors of whoever has the session, at any stage:
// before [SignedIn] a page needs to know which one to ask for.
func (d *Directory) Factors(ctx context.Context, s Session) (Factors, error) {
	q := d.view(ctx)
	var f Factors
	err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM access_totp WHERE operator_id = $1 AND confirmed_at > 0), (SELECT COUNT(*) FROM access_recovery_codes WHERE operator_id = $1)`,
		s.Operator.ID).Scan(&f.TOTP, &f.RecoveryCodes)
	if err != nil {
		return Factors{}, err
	}
	rows, err := q.Query(`SELECT id, name, created_at, last_used_at FROM access_passkeys WHERE operator_id = $1 ORDER BY id`, s.Operator.ID)
	f.Passkeys, err = store.Collect(rows, err, func(r *store.Rows) (p Passkey, err error) {
		var created, used int64
		err = r.Scan(&p.ID, &p.Name, &created, &used)
		p.Created, p.LastUsed = store.Time(created), store.Time(used)
		return p, err
	})
	return f, err
}

// mayEnrol: a second factor is added while setting up the first, or by someone
// who has just proved who they are. A session that still owes its second factor
// cannot add one instead.
func (d *Directory) mayEnrol(s Session) error {
	if s.Stage == NeedsEnrolment {
		return nil
	}
	return s.RequireRecent(d.Clock.Now(), recentProof)
}

// enrolled runs after a factor was stored: the first one comes with recovery
// codes, and completes a sign-in that waited for it.
func (d *Directory) enrolled(tx *store.Tx, s Session, kind string) (Enrolled, error) {
	var e Enrolled
	if err := d.note(tx, "operator.factor_add", "operator", s.Operator.ID, place{}, "factor", kind); err != nil {
		return e, err
	}
	var codes int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_recovery_codes WHERE operator_id = $1`, s.Operator.ID).Scan(&codes); err != nil {
		return e, err
	}
	var err error
	if codes == 0 {
		if e.Recovery, err = replaceCodes(tx, s.Operator.ID); err != nil {
			return e, err
		}
	}
	if s.Stage == NeedsEnrolment {
		e.Login, err = d.promote(tx, s)
	}
	return e, err
}

// lockOperator orders changes to one operator's factors: without it two removals
// at once would each believe that the other factor stays.
func lockOperator(tx *store.Tx, id string) (Operator, error) {
	if _, err := tx.Exec(`UPDATE access_operators SET muted = muted WHERE id = $1`, id); err != nil {
		return Operator{}, err
	}
	return readOperator(tx, id)
}

// removeFactor deletes a factor, but not the last one while they are required.
func (d *Directory) removeFactor(ctx context.Context, s Session, kind, sql string, args ...any) error {
	if err := s.RequireRecent(d.Clock.Now(), recentProof); err != nil {
		return err
	}
	return d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error {
		if _, err := lockOperator(tx, s.Operator.ID); err != nil {
			return err
		}
		n, err := tx.Exec(sql, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return hidden()
		}
		after, err := readOperator(tx, s.Operator.ID)
		if err != nil {
			return err
		}
		if !after.SecondFactor {
			if !d.WithoutSecond {
				return fault.Conflictf("factor.last", "This is your last second factor.").WithNext("Add another one first.")
			}
			if _, err := tx.Exec(`DELETE FROM access_recovery_codes WHERE operator_id = $1`, s.Operator.ID); err != nil {
				return err
			}
		}
		return d.note(tx, "operator.factor_remove", "operator", s.Operator.ID, place{}, "factor", kind)
	})
}

// trySecond runs one try at a second factor under its throttle. check runs in
// the transaction and says whether the proof holds; a right one completes the
// sign-in, or renews the proof of a session that is signed in.
func (d *Directory) trySecond(ctx context.Context, s Session, kind string, check func(tx *store.Tx) (bool, error)) (Login, error) {
	if s.Stage == NeedsEnrolment || s.ID == "" {
		return Login{}, notSignedIn()
	}
	tries := d.accountThrottle("second", s.Operator.ID)
	if err := d.admit(ctx, tries); err != nil {
		return Login{}, err
	}
	var login Login
	var ok bool
	err := d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) (err error) {
		login = Login{}
		if ok, err = check(tx); err != nil {
			return err
		}
		if !ok {
			return d.noteSelf(tx, s.Operator, "operator."+kind, audit.Refused)
		}
		if err := tries.forgive(tx); err != nil {
			return err
		}
		if err := d.noteSelf(tx, s.Operator, "operator."+kind, audit.OK); err != nil {
			return err
		}
		if s.Stage == SignedIn {
			return d.proved(tx, s)
		}
		login, err = d.promote(tx, s)
		return err
	})
	if err == nil && !ok {
		err = fault.Unauthenticatedf("factor.wrong", "That did not prove who you are.").WithNext("Try again with a new code, or use another second factor.")
	}
	return login, err
}
