package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// invite makes the only valid invitation of an operator and hands it to the
// inviter, all in one transaction.
func (d *Directory) invite(tx *store.Tx, o Operator) (Invitation, error) {
	inv := Invitation{Operator: o, Token: secret.NewToken(), Expires: d.Clock.Now().Add(d.InvitationLife)}
	if _, err := tx.Exec(`DELETE FROM access_invitations WHERE operator_id = $1`, o.ID); err != nil {
		return inv, err
	}
	if _, err := tx.Exec(`INSERT INTO access_invitations (hash, operator_id, expires_at) VALUES ($1, $2, $3)`,
		secret.Hash(inv.Token.Reveal()), o.ID, store.Micros(inv.Expires)); err != nil {
		return inv, err
	}
	if d.Inviter != nil {
		if err := d.Inviter.Invite(tx, inv); err != nil {
			return inv, err
		}
	}
	return inv, d.note(tx, "operator.invite", "operator", o.ID, place{}, "email", o.Email)
}

// ResetOperator takes an operator's password, second factors and sessions away
// and invites anew: for one who lost them, or whose account was abused. API
// tokens stay. It needs what [Directory.UpdateOperator] needs; nobody resets
// themselves.
func (d *Directory) ResetOperator(ctx context.Context, s Scope, id string) (Invitation, error) {
	var inv Invitation
	_, err := d.changeOperator(ctx, s, id, false, func(tx *store.Tx, o *Operator) error {
		if o.Status == Disabled {
			return fault.Conflictf("operator.disabled", "%s is disabled.", o.Name).WithNext("Enable the operator first.")
		}
		if err := forgetSignIns(tx, id); err != nil {
			return err
		}
		for _, sql := range []string{
			`DELETE FROM access_totp WHERE operator_id = $1`,
			`DELETE FROM access_passkeys WHERE operator_id = $1`,
			`DELETE FROM access_recovery_codes WHERE operator_id = $1`,
			`UPDATE access_operators SET password_hash = '' WHERE id = $1`,
		} {
			if _, err := tx.Exec(sql, id); err != nil {
				return err
			}
		}
		if err := d.note(tx, "operator.reset", "operator", id, place{}, "name", o.Name); err != nil {
			return err
		}
		var err error
		inv, err = d.invite(tx, *o)
		return err
	})
	return inv, err
}

// InvitationFor tells whom an invitation is for, without using it up. An
// unknown, used or expired one is Gone.
func (d *Directory) InvitationFor(ctx context.Context, token secret.Text) (Invitation, error) {
	return d.findInvitation(d.view(ctx), token)
}

func (d *Directory) findInvitation(q store.Queryer, token secret.Text) (Invitation, error) {
	var id string
	var expires int64
	err := q.QueryRow(`SELECT operator_id, expires_at FROM access_invitations WHERE hash = $1`, secret.Hash(token.Reveal())).Scan(&id, &expires)
	if err = found(err); fault.Of(err).Kind == fault.NotFound || (err == nil && !d.Clock.Now().Before(store.Time(expires))) {
		return Invitation{}, fault.Gonef("invitation.gone", "The invitation was used, replaced or has expired.").WithNext("Ask an administrator for a new one.")
	} else if err != nil {
		return Invitation{}, err
	}
	o, err := readOperator(q, id)
	return Invitation{Operator: o, Token: token, Expires: store.Time(expires)}, err
}

// AcceptInvitation sets the password and begins a session, which goes on to
// set up a second factor. The invitation works once.
func (d *Directory) AcceptInvitation(ctx context.Context, token, password secret.Text, o Origin) (Login, error) {
	inv, err := d.findInvitation(d.view(ctx), token)
	if err != nil {
		return Login{}, err
	}
	if err := checkPassword(password, inv.Operator.Email, inv.Operator.Name); err != nil {
		return Login{}, err
	}
	hash, err := d.Hasher.Hash(ctx, password)
	if err != nil {
		return Login{}, err
	}
	var login Login
	err = d.DB.Update(ctx, func(tx *store.Tx) error {
		inv, err := d.findInvitation(tx, token)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM access_invitations WHERE hash = $1`, secret.Hash(token.Reveal()))
		if err != nil {
			return err
		}
		if n == 0 || inv.Operator.Status == Disabled {
			return fault.Gonef("invitation.gone", "The invitation was used, replaced or has expired.").WithNext("Ask an administrator for a new one.")
		}
		op := inv.Operator
		if _, err := tx.Exec(`UPDATE access_operators SET password_hash = $2 WHERE id = $1`, op.ID, hash); err != nil {
			return err
		}
		if op.Status == Invited {
			if err := setStatus(tx, &op, Active); err != nil {
				return err
			}
		}
		if err := d.noteSelf(tx, op, "operator.accept", audit.OK); err != nil {
			return err
		}
		login, err = d.startSession(tx, op, o)
		return err
	})
	return login, err
}

// An Administrator is who runs a new installation first.
type Administrator struct {
	Email    string
	Name     string
	Language string      // empty: en
	Password secret.Text // empty: an invitation is made instead
}

// Bootstrap makes the first administrator, with rights over everything. With a
// password the operator can sign in at once; without one the invitation comes
// back, to be handed over by whoever called. It is a Conflict when an
// administrator exists.
func (d *Directory) Bootstrap(ctx context.Context, a Administrator) (Operator, Invitation, error) {
	f := OperatorFields{Email: a.Email, Name: a.Name, Language: a.Language}
	if err := f.check(); err != nil {
		return Operator{}, Invitation{}, err
	}
	status, hash := Invited, ""
	if !a.Password.Empty() {
		if err := checkPassword(a.Password, f.Email, f.Name); err != nil {
			return Operator{}, Invitation{}, err
		}
		var err error
		if hash, err = d.Hasher.Hash(ctx, a.Password); err != nil {
			return Operator{}, Invitation{}, err
		}
		status = Active
	}
	var o Operator
	var inv Invitation
	err := d.DB.Update(ctx, func(tx *store.Tx) (err error) {
		inv = Invitation{}
		// Every bootstrap takes this row's lock, so that two at once make one administrator.
		if err := newVersion(tx); err != nil {
			return err
		}
		var have int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_grants WHERE role_id = $1`, RoleAdministrator).Scan(&have); err != nil {
			return err
		}
		if have > 0 {
			return fault.Conflictf("access.bootstrapped", "There is already an administrator.").WithNext("Sign in as one to add others.")
		}
		if o, err = d.insertOperator(tx, f, status, hash); err != nil {
			return err
		}
		if err := insertGrant(tx, Grant{ID: ident.New("grt"), Principal: o.ID, Role: RoleAdministrator, GrantedBy: "installation", Granted: o.Created}); err != nil {
			return err
		}
		if err := d.note(tx, "role.grant", "principal", o.ID, place{}, "role", RoleAdministrator); err != nil {
			return err
		}
		if status == Invited {
			inv, err = d.invite(tx, o)
		}
		return err
	})
	return o, inv, err
}
