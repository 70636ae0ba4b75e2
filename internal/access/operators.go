package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// OperatorFields are what can be said about an operator (A193–A199).
type OperatorFields struct {
	Email    string
	Name     string
	Title    string
	Language string // empty: en
}

func (o *OperatorFields) check() error {
	var f form
	o.Email = f.email("email", o.Email)
	o.Name = f.name("name", o.Name)
	o.Title = f.text("title", o.Title, maxName)
	o.Language = f.language("language", o.Language)
	return f.err
}

// An OperatorQuery selects operators; the zero query selects all that the
// caller may read.
type OperatorQuery struct {
	Search string // in name and e-mail address
	Status Status
	Page   store.Page
}

// operatorColumns are read from o (access_operators) and p (access_principals).
const operatorColumns = `p.id, o.email, p.name, o.title, o.language, o.theme, o.muted, p.status, p.created_at, o.last_login_at,
	(EXISTS (SELECT 1 FROM access_totp f WHERE f.operator_id = p.id AND f.confirmed_at > 0) OR EXISTS (SELECT 1 FROM access_passkeys k WHERE k.operator_id = p.id))`

const operatorTables = ` FROM access_principals p JOIN access_operators o ON o.id = p.id`

func scanOperator(r scanner) (o Operator, err error) {
	var created, login int64
	err = r.Scan(&o.ID, &o.Email, &o.Name, &o.Title, &o.Language, &o.Theme, &o.Muted, &o.Status, &created, &login, &o.SecondFactor)
	o.Created, o.LastLogin = store.Time(created), store.Time(login)
	return o, err
}

func readOperator(q store.Queryer, id string) (Operator, error) {
	o, err := scanOperator(q.QueryRow(`SELECT `+operatorColumns+operatorTables+` WHERE p.id = $1`, id))
	return o, found(err)
}

// Operator reads one operator: oneself, or with operator.read in one of the
// places where that operator has rights.
func (d *Directory) Operator(ctx context.Context, s Scope, id string) (Operator, error) {
	q := d.view(ctx)
	o, err := readOperator(q, id)
	if err != nil {
		return Operator{}, err
	}
	if s.principal.ID == id {
		return o, nil
	}
	grants, err := loadGrants(q, id)
	if err != nil {
		return Operator{}, err
	}
	if err := mayManage(s, principal{kind: OperatorKind}, grants, false); err != nil {
		return Operator{}, err
	}
	return o, nil
}

// Operators lists operators by name. With operator.read for everything all are
// shown, otherwise those with rights where the caller has it.
func (d *Directory) Operators(ctx context.Context, s Scope, q OperatorQuery) (List[Operator], error) {
	if err := s.RequireAnywhere(OperatorRead); err != nil {
		return List[Operator]{}, err
	}
	sel := selection{from: `SELECT ` + operatorColumns + operatorTables, sort: "p.name_key", id: "p.id"}
	if !s.Allows(OperatorRead, "", "") {
		var cond string
		cond, sel.args = s.Filter(OperatorRead, "g.realm", "g.client_id", sel.args)
		sel.conds = append(sel.conds, "EXISTS (SELECT 1 FROM access_grants g WHERE g.principal_id = p.id AND "+cond+")")
	}
	if q.Status != "" {
		sel.where("p.status =", string(q.Status))
	}
	sel.search(q.Search, "p.name_key", "o.email_key")
	return page(d.view(ctx), sel, q.Page, scanOperator, func(o Operator) (string, string) { return fold(o.Name), o.ID })
}

// InviteOperator adds an operator without rights, who chooses a password by
// the invitation's link; grant roles afterwards. It needs operator.write
// anywhere. A second operator with the same e-mail address is a Conflict.
func (d *Directory) InviteOperator(ctx context.Context, s Scope, f OperatorFields) (Invitation, error) {
	if err := s.RequireAnywhere(OperatorWrite); err != nil {
		return Invitation{}, err
	}
	if err := f.check(); err != nil {
		return Invitation{}, err
	}
	var inv Invitation
	err := d.update(ctx, s, func(tx *store.Tx) error {
		o, err := d.insertOperator(tx, f, Invited, "")
		if err != nil {
			return err
		}
		inv, err = d.invite(tx, o)
		return err
	})
	return inv, err
}

func (d *Directory) insertOperator(tx *store.Tx, f OperatorFields, status Status, hash string) (Operator, error) {
	o := Operator{
		ID: ident.New("op"), Email: f.Email, Name: f.Name, Title: f.Title, Language: f.Language,
		Status: status, Created: d.Clock.Now(),
	}
	var taken int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_operators WHERE email_key = $1`, fold(f.Email)).Scan(&taken); err != nil {
		return o, err
	}
	if taken > 0 {
		return o, emailTaken(f.Email)
	}
	if err := insertPrincipal(tx, principal{id: o.ID, kind: OperatorKind, name: o.Name, status: status}, o.Created); err != nil {
		return o, err
	}
	n, err := tx.Exec(`INSERT INTO access_operators (id, email, email_key, title, language, password_hash) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		o.ID, o.Email, fold(o.Email), o.Title, o.Language, hash)
	if err != nil {
		return o, err
	}
	if n == 0 {
		return o, emailTaken(f.Email)
	}
	return o, d.note(tx, "operator.create", "operator", o.ID, place{}, "email", o.Email, "name", o.Name)
}

func emailTaken(email string) error {
	return fault.Conflictf("operator.exists", "There is already an operator with the address %s.", email).WithField("email")
}

// changeOperator reads an operator whom s may take control of and lets fn
// change her or him. Oneself is refused unless self is allowed.
func (d *Directory) changeOperator(ctx context.Context, s Scope, id string, self bool, fn func(tx *store.Tx, o *Operator) error) (Operator, error) {
	var o Operator
	err := d.update(ctx, s, func(tx *store.Tx) (err error) {
		if o, err = readOperator(tx, id); err != nil {
			return err
		}
		if id == s.principal.ID && !self {
			return fault.Forbiddenf("operator.self", "Nobody can disable or reset themselves.").WithNext("Ask another administrator.")
		}
		now, err := fresh(tx, s)
		if err != nil {
			return err
		}
		grants, err := loadGrants(tx, id)
		if err != nil {
			return err
		}
		if err := mayManage(now, principal{kind: OperatorKind}, grants, true); err != nil {
			return err
		}
		return fn(tx, &o)
	})
	return o, err
}

// UpdateOperator changes what is said about an operator. It needs
// operator.write wherever that operator has rights, and all those rights.
func (d *Directory) UpdateOperator(ctx context.Context, s Scope, id string, f OperatorFields) (Operator, error) {
	if err := f.check(); err != nil {
		return Operator{}, err
	}
	return d.changeOperator(ctx, s, id, true, func(tx *store.Tx, o *Operator) error {
		var others int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_operators WHERE email_key = $1 AND id <> $2`, fold(f.Email), id).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return emailTaken(f.Email)
		}
		var diff []string
		changed(&diff, "email", o.Email, f.Email)
		changed(&diff, "name", o.Name, f.Name)
		changed(&diff, "title", o.Title, f.Title)
		changed(&diff, "language", o.Language, f.Language)
		o.Email, o.Name, o.Title, o.Language = f.Email, f.Name, f.Title, f.Language
		if _, err := tx.Exec(`UPDATE access_principals SET name = $2, name_key = $3 WHERE id = $1`, id, o.Name, fold(o.Name)); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE access_operators SET email = $2, email_key = $3, title = $4, language = $5 WHERE id = $1`,
			id, o.Email, fold(o.Email), o.Title, o.Language); err != nil {
			return err
		}
		return d.note(tx, "operator.update", "operator", id, place{}, diff...)
	})
}

// DisableOperator stops an operator at once: sessions end, tokens and
// certificates are refused. It needs what UpdateOperator needs; nobody
// disables themselves, so an administrator always remains.
func (d *Directory) DisableOperator(ctx context.Context, s Scope, id string) error {
	_, err := d.changeOperator(ctx, s, id, false, func(tx *store.Tx, o *Operator) error {
		if err := setStatus(tx, o, Disabled); err != nil {
			return err
		}
		if err := forgetSignIns(tx, id); err != nil {
			return err
		}
		return d.note(tx, "operator.disable", "operator", id, place{}, "name", o.Name)
	})
	return err
}

// EnableOperator lets a disabled operator sign in again; it needs what
// UpdateOperator needs. One who never chose a password needs a new invitation:
// use ResetOperator.
func (d *Directory) EnableOperator(ctx context.Context, s Scope, id string) error {
	_, err := d.changeOperator(ctx, s, id, false, func(tx *store.Tx, o *Operator) error {
		var hash string
		if err := tx.QueryRow(`SELECT password_hash FROM access_operators WHERE id = $1`, id).Scan(&hash); err != nil {
			return err
		}
		status := Active
		if hash == "" && !o.SecondFactor {
			status = Invited
		}
		if err := setStatus(tx, o, status); err != nil {
			return err
		}
		return d.note(tx, "operator.enable", "operator", id, place{}, "name", o.Name)
	})
	return err
}

func setStatus(tx *store.Tx, o *Operator, status Status) error {
	if o.Status == status {
		return fault.Conflictf("operator.status", "%s is already %s.", o.Name, status)
	}
	o.Status = status
	_, err := tx.Exec(`UPDATE access_principals SET status = $2 WHERE id = $1`, o.ID, string(status))
	return err
}

// forgetSignIns ends every session and invitation of an operator.
func forgetSignIns(tx *store.Tx, id string) error {
	for _, sql := range []string{
		`DELETE FROM access_sessions WHERE operator_id = $1`,
		`DELETE FROM access_invitations WHERE operator_id = $1`,
	} {
		if _, err := tx.Exec(sql, id); err != nil {
			return err
		}
	}
	return nil
}

// Preferences are an operator's own choices.
type Preferences struct {
	Language string
	Theme    string // "light", "dark" or empty
	Muted    bool   // A200; keeping it needs notify.own
}

// SetPreferences stores the choices of whoever is signed in.
func (d *Directory) SetPreferences(ctx context.Context, s Session, p Preferences) error {
	if s.Stage != SignedIn {
		return notSignedIn()
	}
	var f form
	p.Language = f.language("language", p.Language)
	if p.Theme != "" && p.Theme != "light" && p.Theme != "dark" {
		f.fail("theme", "preferences.theme", "The theme %q is neither light nor dark.", p.Theme)
	}
	if f.err != nil {
		return f.err
	}
	if p.Muted != s.Operator.Muted {
		if err := s.scope.RequireAnywhere(NotifyOwn); err != nil {
			return err
		}
	}
	return d.update(ctx, s.scope, func(tx *store.Tx) error {
		if _, err := tx.Exec(`UPDATE access_operators SET language = $2, theme = $3, muted = $4 WHERE id = $1`, s.Operator.ID, p.Language, p.Theme, p.Muted); err != nil {
			return err
		}
		return d.note(tx, "operator.preferences", "operator", s.Operator.ID, place{}, "language", p.Language, "theme", p.Theme)
	})
}
