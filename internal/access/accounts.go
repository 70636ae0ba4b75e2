package access

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// AccountFields are what can be said about a service account.
type AccountFields struct {
	Name string
	Ends time.Time // zero: no end
}

func (a *AccountFields) check(now time.Time) error {
	var f form
	a.Name = f.name("name", a.Name)
	if !a.Ends.IsZero() && !a.Ends.After(now) {
		f.fail("ends", "account.ends", "The end date %s has passed.", a.Ends.Format(time.DateOnly))
	}
	return f.err
}

// An AccountQuery selects service accounts; the zero query selects all that
// the caller may read.
type AccountQuery struct {
	Realm  Realm
	Client string
	Search string // in the name
	Page   store.Page
}

const accountColumns = `id, name, realm, client_id, ends_at, status, created_at`

func scanAccount(r scanner) (a ServiceAccount, err error) {
	var ends, created int64
	err = r.Scan(&a.ID, &a.Name, &a.Realm, &a.Client, &ends, &a.Status, &created)
	a.Ends, a.Created = store.Time(ends), store.Time(created)
	return a, err
}

func findAccount(q store.Queryer, s Scope, p Permission, id string) (ServiceAccount, error) {
	a, err := scanAccount(q.QueryRow(`SELECT `+accountColumns+` FROM access_principals WHERE id = $1 AND kind = $2`, id, string(AccountKind)))
	if err != nil {
		return ServiceAccount{}, found(err)
	}
	if a.Realm == "" && !s.Allows(p, "", "") {
		return ServiceAccount{}, hidden() // its existence is nobody's business below that level
	}
	if err := s.Require(p, a.Realm, a.Client); err != nil {
		return ServiceAccount{}, err
	}
	return a, nil
}

// Account reads one service account; it needs account.read where it belongs.
func (d *Directory) Account(ctx context.Context, s Scope, id string) (ServiceAccount, error) {
	return findAccount(d.view(ctx), s, AccountRead, id)
}

// Accounts lists service accounts by name; it needs account.read.
func (d *Directory) Accounts(ctx context.Context, s Scope, q AccountQuery) (List[ServiceAccount], error) {
	sel := selection{from: `SELECT ` + accountColumns + ` FROM access_principals`, sort: "name_key", id: "id"}
	sel.where("kind =", string(AccountKind))
	sel.scope(s, AccountRead, "realm", "client_id")
	if q.Realm != "" {
		sel.where("realm =", string(q.Realm))
	}
	if q.Client != "" {
		sel.where("client_id =", q.Client)
	}
	sel.search(q.Search, "name_key")
	return page(d.view(ctx), sel, q.Page, scanAccount, func(a ServiceAccount) (string, string) { return fold(a.Name), a.ID })
}

// CreateAccount adds a service account for one client, a realm (empty client)
// or everything (empty realm), without rights: grant it roles and create its
// tokens. It needs account.write there.
func (d *Directory) CreateAccount(ctx context.Context, s Scope, realm Realm, client string, f AccountFields) (ServiceAccount, error) {
	now := d.Clock.Now()
	if err := f.check(now); err != nil {
		return ServiceAccount{}, err
	}
	a := ServiceAccount{ID: ident.New("sa"), Name: f.Name, Realm: realm, Client: client, Ends: f.Ends, Status: Active, Created: now}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		if err := s.Require(AccountWrite, realm, client); err != nil {
			return err
		}
		if client != "" {
			if c, err := activeClient(tx, s, AccountWrite, client); err != nil {
				return err
			} else if c.Realm != realm {
				return hidden()
			}
		} else if realm != "" && !realm.Valid() {
			return hidden()
		}
		if err := insertPrincipal(tx, principal{a.ID, AccountKind, a.Name, realm, client, Active, a.Ends}, now); err != nil {
			return err
		}
		return d.note(tx, "account.create", "service-account", a.ID, place{realm, client, ""}, "name", a.Name, "ends", dateText(a.Ends))
	})
	return a, err
}

func dateText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.RFC3339)
}

// UpdateAccount changes name and end date; it needs account.write, and all the
// rights that the account has.
func (d *Directory) UpdateAccount(ctx context.Context, s Scope, id string, f AccountFields) (ServiceAccount, error) {
	if err := f.check(d.Clock.Now()); err != nil {
		return ServiceAccount{}, err
	}
	return d.changeAccount(ctx, s, id, func(tx *store.Tx, a *ServiceAccount) error {
		var diff []string
		changed(&diff, "name", a.Name, f.Name)
		changed(&diff, "ends", dateText(a.Ends), dateText(f.Ends))
		a.Name, a.Ends = f.Name, f.Ends
		if _, err := tx.Exec(`UPDATE access_principals SET name = $2, name_key = $3, ends_at = $4 WHERE id = $1`, id, a.Name, fold(a.Name), store.Micros(a.Ends)); err != nil {
			return err
		}
		return d.note(tx, "account.update", "service-account", id, a.place(), diff...)
	})
}

func (a ServiceAccount) place() place { return place{a.Realm, a.Client, ""} }

// DisableAccount stops a service account at once, with all its tokens and
// certificates; it needs what UpdateAccount needs.
func (d *Directory) DisableAccount(ctx context.Context, s Scope, id string) error {
	return d.setAccountStatus(ctx, s, id, Disabled, "account.disable")
}

// EnableAccount lets a disabled service account act again; it needs what
// UpdateAccount needs. It is a Conflict when its client is closed.
func (d *Directory) EnableAccount(ctx context.Context, s Scope, id string) error {
	return d.setAccountStatus(ctx, s, id, Active, "account.enable")
}

func (d *Directory) setAccountStatus(ctx context.Context, s Scope, id string, status Status, action string) error {
	_, err := d.changeAccount(ctx, s, id, func(tx *store.Tx, a *ServiceAccount) error {
		if status == Active && a.Client != "" {
			if _, err := activeClient(tx, s, AccountWrite, a.Client); err != nil {
				return err
			}
		}
		n, err := tx.Exec(`UPDATE access_principals SET status = $2 WHERE id = $1 AND status <> $2`, id, string(status))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("account.status", "The service account %s is already %s.", a.Name, status)
		}
		return d.note(tx, action, "service-account", id, a.place(), "name", a.Name)
	})
	return err
}

func (d *Directory) changeAccount(ctx context.Context, s Scope, id string, fn func(tx *store.Tx, a *ServiceAccount) error) (ServiceAccount, error) {
	var a ServiceAccount
	err := d.update(ctx, s, func(tx *store.Tx) (err error) {
		if a, err = findAccount(tx, s, AccountWrite, id); err != nil {
			return err
		}
		grants, err := loadGrants(tx, id)
		if err != nil {
			return err
		}
		if !s.coversAll(grants) {
			return exceeds()
		}
		return fn(tx, &a)
	})
	return a, err
}
