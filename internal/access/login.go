package access

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The lives of sessions that are not signed in yet.
const (
	secondFactorLife = 10 * time.Minute
	enrolmentLife    = 30 * time.Minute
)

// Login checks an operator's password and begins a session at the stage that
// comes next. Unknown, invited and disabled accounts give the same fault as a
// wrong password, after the same statements and the same slow hash. After too
// many wrong tries at an account or from an address it is TooMany, whether or
// not the account exists.
func (d *Directory) Login(ctx context.Context, email string, password secret.Text, o Origin) (Login, error) {
	account := d.accountThrottle("login", fold(email))
	address := d.addressThrottle("login", o.Address)
	if err := d.admit(ctx, account, address); err != nil {
		return Login{}, err
	}
	id, hash, err := d.operatorHash(ctx, email)
	if err != nil {
		return Login{}, err
	}
	ok, err := d.Hasher.Verify(ctx, hash, password)
	if err != nil {
		return Login{}, err
	}
	if !ok {
		return Login{}, d.refuseLogin(ctx, id)
	}
	renewed := ""
	if d.Hasher.Outdated(hash) {
		if renewed, err = d.Hasher.Hash(ctx, password); err != nil {
			return Login{}, err
		}
	}
	var login Login
	err = d.DB.Update(ctx, func(tx *store.Tx) error {
		op, err := readOperator(tx, id)
		if err != nil {
			return err
		}
		if err := account.forgive(tx); err != nil {
			return err
		}
		if err := address.refund(tx); err != nil {
			return err
		}
		if renewed != "" {
			if _, err := tx.Exec(`UPDATE access_operators SET password_hash = $2 WHERE id = $1 AND password_hash = $3`, id, renewed, hash); err != nil {
				return err
			}
		}
		if err := d.noteSelf(tx, op, "operator.password", audit.OK); err != nil {
			return err
		}
		login, err = d.startSession(tx, op, o)
		return err
	})
	return login, err
}

// operatorHash is the password hash of an active operator, and empty for
// everybody else.
func (d *Directory) operatorHash(ctx context.Context, email string) (id, hash string, err error) {
	var status string
	err = d.view(ctx).QueryRow(`SELECT p.id, o.password_hash, p.status`+operatorTables+` WHERE o.email_key = $1`, fold(email)).Scan(&id, &hash, &status)
	if err = found(err); fault.Of(err).Kind == fault.NotFound {
		return "", "", nil
	}
	if Status(status) != Active {
		hash = ""
	}
	return id, hash, err
}

// refuseLogin records a wrong try. What was typed as the account is not
// recorded: sometimes it is a password.
func (d *Directory) refuseLogin(ctx context.Context, id string) error {
	err := d.DB.Update(ctx, func(tx *store.Tx) error {
		return d.Audit.Append(tx, audit.Entry{Action: "operator.password", ObjectKind: "operator", ObjectID: id, Result: audit.Refused})
	})
	if err != nil {
		return err
	}
	return fault.Unauthenticatedf("login.failed", "The e-mail address or the password is wrong.").
		WithNext("Check both. Whoever lost the password asks an administrator for a new invitation.")
}

// noteSelf records what an operator did while not signed in yet.
func (d *Directory) noteSelf(tx *store.Tx, op Operator, action string, result audit.Result) error {
	return d.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "operator", ObjectID: op.ID, Result: result, Detail: map[string]string{"name": op.Name}})
}

// startSession begins a session after a right password, at the stage that the
// operator's second factors call for.
func (d *Directory) startSession(tx *store.Tx, op Operator, o Origin) (Login, error) {
	switch {
	case op.SecondFactor:
		return d.insertSession(tx, op, NeedsSecondFactor, secondFactorLife, o)
	case d.WithoutSecond:
		return d.signedIn(tx, op, o)
	}
	return d.insertSession(tx, op, NeedsEnrolment, enrolmentLife, o)
}

// signedIn begins a session that carries rights.
func (d *Directory) signedIn(tx *store.Tx, op Operator, o Origin) (Login, error) {
	if _, err := tx.Exec(`UPDATE access_operators SET last_login_at = $2 WHERE id = $1`, op.ID, store.Micros(d.Clock.Now())); err != nil {
		return Login{}, err
	}
	if err := d.noteSelf(tx, op, "operator.login", audit.OK); err != nil {
		return Login{}, err
	}
	return d.insertSession(tx, op, SignedIn, d.SessionTimeout, o)
}

// maxUserAgent bounds what a browser says of itself.
const maxUserAgent = 300

func (d *Directory) insertSession(tx *store.Tx, op Operator, stage Stage, life time.Duration, o Origin) (Login, error) {
	now := d.Clock.Now()
	o.UserAgent = clip(o.UserAgent, maxUserAgent)
	o.Address = clip(o.Address, 64)
	token := secret.NewToken()
	s := Session{
		ID: ident.New("ses"), Operator: op, Stage: stage, Created: now, LastSeen: now, Expires: now.Add(life),
		Reauthenticated: now, Origin: o,
	}
	if _, err := tx.Exec(`INSERT INTO access_sessions (id, hash, operator_id, stage, created_at, last_seen_at, expires_at, reauthenticated_at, address, user_agent)
		VALUES ($1, $2, $3, $4, $5, $5, $6, $5, $7, $8)`,
		s.ID, secret.Hash(token.Reveal()), op.ID, string(stage), store.Micros(now), store.Micros(s.Expires), o.Address, o.UserAgent); err != nil {
		return Login{}, err
	}
	if stage == SignedIn {
		grants, err := loadGrants(tx, op.ID)
		if err != nil {
			return Login{}, err
		}
		s.scope = Scope{principal: Principal{OperatorKind, op.ID, op.Name}, grants: grants}
	}
	return Login{Token: token, Session: s}, nil
}

// clip makes what a stranger sent fit for the database.
func clip(text string, limit int) string {
	text = cleanText(text)
	if r := []rune(text); len(r) > limit {
		return string(r[:limit])
	}
	return text
}

// promote replaces a session that waited for a second factor by one that is
// signed in, with a new secret, so that one overheard earlier is worth nothing.
func (d *Directory) promote(tx *store.Tx, s Session) (Login, error) {
	n, err := tx.Exec(`DELETE FROM access_sessions WHERE id = $1 AND stage <> $2`, s.ID, string(SignedIn))
	if err != nil {
		return Login{}, err
	}
	if n == 0 {
		return Login{}, sessionEnded()
	}
	op, err := readOperator(tx, s.Operator.ID)
	if err != nil {
		return Login{}, err
	}
	if op.Status != Active {
		return Login{}, sessionEnded()
	}
	return d.signedIn(tx, op, s.Origin)
}

func sessionEnded() error {
	return fault.Unauthenticatedf("session.ended", "The session has ended.").WithNext("Sign in again.")
}

func notSignedIn() error {
	return fault.Unauthenticatedf("session.incomplete", "The sign-in is not complete.").WithNext("Finish it with your second factor.")
}
