package access

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// recentProof is how long a proof of identity counts for acts that change how
// one signs in.
const recentProof = 10 * time.Minute

const sessionColumns = `s.id, s.stage, s.created_at, s.last_seen_at, s.expires_at, s.reauthenticated_at, s.address, s.user_agent, v.n, ` + operatorColumns

const sessionTables = operatorTables + ` JOIN access_sessions s ON s.operator_id = o.id JOIN access_version v ON v.id = 1`

func scanSession(r scanner) (s Session, version int64, err error) {
	var created, seen, expires, proved, opCreated, login int64
	o := &s.Operator
	err = r.Scan(&s.ID, &s.Stage, &created, &seen, &expires, &proved, &s.Origin.Address, &s.Origin.UserAgent, &version,
		&o.ID, &o.Email, &o.Name, &o.Title, &o.Language, &o.Theme, &o.Muted, &o.Status, &opCreated, &login, &o.SecondFactor)
	s.Created, s.LastSeen, s.Expires, s.Reauthenticated = store.Time(created), store.Time(seen), store.Time(expires), store.Time(proved)
	o.Created, o.LastLogin = store.Time(opCreated), store.Time(login)
	return s, version, err
}

// Session turns the secret in a browser's cookie into the session. It is
// Unauthenticated when the session was signed out, was idle or open for too
// long, or the operator may not act. The scope is empty before [SignedIn].
func (d *Directory) Session(ctx context.Context, token secret.Text) (Session, error) {
	q := d.view(ctx)
	s, version, err := scanSession(q.QueryRow(`SELECT `+sessionColumns+sessionTables+` WHERE s.hash = $1`, secret.Hash(token.Reveal())))
	if err = found(err); fault.Of(err).Kind == fault.NotFound {
		return Session{}, sessionEnded()
	} else if err != nil {
		return Session{}, err
	}
	now := d.Clock.Now()
	s.LastSeen = store.Time(d.used.lastSeen(s.ID, store.Micros(s.LastSeen)))
	if !d.live(s, now) || s.Operator.Status != Active {
		return Session{}, sessionEnded()
	}
	if now.Sub(s.LastSeen) >= time.Minute {
		d.used.session(s.ID, store.Micros(now))
	}
	if s.Stage != SignedIn {
		return s, nil
	}
	grants, err := d.grantsOf(q, s.Operator.ID, version)
	if err != nil {
		return Session{}, err
	}
	s.scope = Scope{principal: Principal{OperatorKind, s.Operator.ID, s.Operator.Name}, grants: grants}
	return s, nil
}

func (d *Directory) live(s Session, now time.Time) bool {
	return now.Before(s.Expires) && now.Sub(s.LastSeen) < d.IdleTimeout
}

// Sessions lists the live sessions of whoever is signed in, newest first.
func (d *Directory) Sessions(ctx context.Context, s Session) ([]Session, error) {
	if s.Stage != SignedIn {
		return nil, notSignedIn()
	}
	now := d.Clock.Now()
	rows, err := d.view(ctx).Query(`SELECT `+sessionColumns+sessionTables+` WHERE s.operator_id = $1 AND s.expires_at > $2 AND s.stage = $3 ORDER BY s.created_at DESC, s.id LIMIT 100`,
		s.Operator.ID, store.Micros(now), string(SignedIn))
	all, err := store.Collect(rows, err, func(r *store.Rows) (Session, error) {
		s, _, err := scanSession(r)
		s.LastSeen = store.Time(d.used.lastSeen(s.ID, store.Micros(s.LastSeen)))
		return s, err
	})
	live := all[:0]
	for _, s := range all {
		if d.live(s, now) {
			live = append(live, s)
		}
	}
	return live, err
}

// SignOut ends the session at once, on every node.
func (d *Directory) SignOut(ctx context.Context, s Session) error { return d.endSession(ctx, s, s.ID) }

// EndSession ends another session of the same operator.
func (d *Directory) EndSession(ctx context.Context, s Session, id string) error {
	if s.Stage != SignedIn {
		return notSignedIn()
	}
	return d.endSession(ctx, s, id)
}

func (d *Directory) endSession(ctx context.Context, s Session, id string) error {
	return d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM access_sessions WHERE id = $1 AND operator_id = $2`, id, s.Operator.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return hidden()
		}
		return d.note(tx, "session.end", "session", id, place{})
	})
}

func (s Session) principal() Principal {
	return Principal{OperatorKind, s.Operator.ID, s.Operator.Name}
}

// SignOutEverywhere ends all sessions of the operator, this one too.
func (d *Directory) SignOutEverywhere(ctx context.Context, s Session) error {
	if s.Stage != SignedIn {
		return notSignedIn()
	}
	return d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM access_sessions WHERE operator_id = $1`, s.Operator.ID); err != nil {
			return err
		}
		return d.note(tx, "session.end_all", "operator", s.Operator.ID, place{})
	})
}

// RequireRecent returns nil when the operator proved who they are within that
// time before now, and otherwise the Forbidden fault "session.reauthenticate",
// on which the page asks for the password or second factor again.
func (s Session) RequireRecent(now time.Time, within time.Duration) error {
	if s.Stage != SignedIn {
		return notSignedIn()
	}
	if now.Sub(s.Reauthenticated) < within {
		return nil
	}
	return fault.Forbiddenf("session.reauthenticate", "This needs a fresh proof of who you are.").WithNext("Enter your password or use your second factor.")
}

// Reauthenticate proves the operator anew by password. Wrong tries count
// towards the account's lock-out.
func (d *Directory) Reauthenticate(ctx context.Context, s Session, password secret.Text) error {
	if s.Stage != SignedIn {
		return notSignedIn()
	}
	if _, err := d.provePassword(ctx, s, password); err != nil {
		return err
	}
	return d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error { return d.proved(tx, s) })
}

// provePassword checks the operator's own password, counted like a login, and
// returns its hash.
func (d *Directory) provePassword(ctx context.Context, s Session, password secret.Text) (string, error) {
	account := d.accountThrottle("login", fold(s.Operator.Email))
	if err := d.admit(ctx, account); err != nil {
		return "", err
	}
	id, hash, err := d.operatorHash(ctx, s.Operator.Email)
	if err != nil {
		return "", err
	}
	ok, err := d.Hasher.Verify(ctx, hash, password)
	if err != nil {
		return "", err
	}
	if !ok || id != s.Operator.ID {
		return "", d.refuseLogin(actingAs(ctx, s.principal()), s.Operator.ID)
	}
	return hash, d.DB.Update(ctx, account.forgive)
}

// proved notes that the operator has just shown who they are.
func (d *Directory) proved(tx *store.Tx, s Session) error {
	n, err := tx.Exec(`UPDATE access_sessions SET reauthenticated_at = $2 WHERE id = $1 AND stage = $3`, s.ID, store.Micros(d.Clock.Now()), string(SignedIn))
	if err != nil {
		return err
	}
	if n == 0 {
		return sessionEnded()
	}
	return d.noteSelf(tx, s.Operator, "operator.reauthenticate", audit.OK)
}

// ChangePassword sets a new password after checking the old one, and ends all
// other sessions. An operator who has only passkeys leaves the old one empty
// and must have proved who they are within ten minutes.
func (d *Directory) ChangePassword(ctx context.Context, s Session, old, next secret.Text) error {
	if s.Stage != SignedIn {
		return notSignedIn()
	}
	if err := checkPassword(next, s.Operator.Email, s.Operator.Name); err != nil {
		return err
	}
	_, before, err := d.operatorHash(ctx, s.Operator.Email)
	if err != nil {
		return err
	}
	if before == "" {
		err = s.RequireRecent(d.Clock.Now(), recentProof)
	} else {
		before, err = d.provePassword(ctx, s, old)
	}
	if err != nil {
		return err
	}
	hash, err := d.Hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	return d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE access_operators SET password_hash = $2 WHERE id = $1 AND password_hash = $3`, s.Operator.ID, hash, before)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("password.changed", "The password was changed meanwhile.").WithNext("Sign in again.")
		}
		if _, err := tx.Exec(`DELETE FROM access_sessions WHERE operator_id = $1 AND id <> $2`, s.Operator.ID, s.ID); err != nil {
			return err
		}
		if err := d.proved(tx, s); err != nil {
			return err
		}
		return d.note(tx, "operator.password_change", "operator", s.Operator.ID, place{})
	})
}
