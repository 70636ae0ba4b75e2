package access

import (
	"context"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// OrdererFields are what is known about an authorised orderer (N13).
type OrdererFields struct {
	Name     string
	Email    string
	Mobile   string // blanks, dashes and brackets are dropped; stored as E.164
	Language string // empty: en
}

func (o *OrdererFields) check() error {
	var f form
	o.Name = f.name("name", o.Name)
	o.Email = strings.ToLower(f.email("email", o.Email))
	o.Mobile = f.mobile("mobile", o.Mobile)
	o.Language = f.language("language", o.Language)
	return f.err
}

// An OrdererQuery selects authorised orderers; the zero query selects all that
// the caller may read.
type OrdererQuery struct {
	Realm      Realm
	Client     string
	Search     string // in name, e-mail address and mobile number
	ActiveOnly bool
	Page       store.Page
}

const ordererColumns = `id, realm, client_id, name, email, mobile, language, active, added_by, added_at, deactivated_at`

func scanOrderer(r scanner) (o Orderer, err error) {
	var added, gone int64
	err = r.Scan(&o.ID, &o.Realm, &o.Client, &o.Name, &o.Email, &o.Mobile, &o.Language, &o.Active, &o.AddedBy, &added, &gone)
	o.Added, o.Deactivated = store.Time(added), store.Time(gone)
	return o, err
}

func findOrderer(q store.Queryer, s Scope, p Permission, id string) (Orderer, error) {
	o, err := scanOrderer(q.QueryRow(`SELECT `+ordererColumns+` FROM access_orderers WHERE id = $1`, id))
	if err != nil {
		return Orderer{}, found(err)
	}
	if err := s.Require(p, o.Realm, o.Client); err != nil {
		return Orderer{}, err
	}
	return o, nil
}

// AuthorisedOrderer returns the person if the client has authorised her or him
// to order and receive certificates, and a fault otherwise: NotFound for a
// person of another client, Forbidden for one whose authorisation ended (N14).
// The caller needs certificate.order or orderer.read on that client.
func AuthorisedOrderer(q store.Queryer, s Scope, client, ordererID string) (Orderer, error) {
	o, err := scanOrderer(q.QueryRow(`SELECT `+ordererColumns+` FROM access_orderers WHERE id = $1 AND client_id = $2`, ordererID, client))
	if err != nil {
		return Orderer{}, found(err)
	}
	if !s.Allows(CertificateOrder, o.Realm, o.Client) {
		if err := s.Require(OrdererRead, o.Realm, o.Client); err != nil {
			return Orderer{}, err
		}
	}
	if !o.Active {
		return Orderer{}, fault.Forbiddenf("orderer.inactive", "%s is no longer authorised to order and receive certificates.", o.Name).
			WithNext("Choose another authorised person, or have the client authorise this one again.").WithField("orderer")
	}
	return o, nil
}

// Orderer reads one authorised orderer; it needs orderer.read.
func (d *Directory) Orderer(ctx context.Context, s Scope, id string) (Orderer, error) {
	return findOrderer(d.view(ctx), s, OrdererRead, id)
}

// Orderers lists authorised orderers by name; it needs orderer.read.
func (d *Directory) Orderers(ctx context.Context, s Scope, q OrdererQuery) (List[Orderer], error) {
	sel := selection{from: `SELECT ` + ordererColumns + ` FROM access_orderers`, sort: "name_key", id: "id"}
	sel.scope(s, OrdererRead, "realm", "client_id")
	if q.Realm != "" {
		sel.where("realm =", string(q.Realm))
	}
	if q.Client != "" {
		sel.where("client_id =", q.Client)
	}
	if q.ActiveOnly {
		sel.conds = append(sel.conds, "active")
	}
	sel.search(q.Search, "name_key", "email", "mobile")
	return page(d.view(ctx), sel, q.Page, scanOrderer, func(o Orderer) (string, string) { return fold(o.Name), o.ID })
}

// AddOrderer authorises a person for a client; it needs orderer.write. One
// active person per e-mail address and client.
func (d *Directory) AddOrderer(ctx context.Context, s Scope, client string, f OrdererFields) (Orderer, error) {
	if err := f.check(); err != nil {
		return Orderer{}, err
	}
	o := Orderer{
		ID: ident.New("per"), Client: client, Name: f.Name, Email: f.Email, Mobile: f.Mobile, Language: f.Language,
		Active: true, AddedBy: s.principal.Name, Added: d.Clock.Now(),
	}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		c, err := activeClient(tx, s, OrdererWrite, client)
		if err != nil {
			return err
		}
		o.Realm = c.Realm
		n, err := tx.Exec(`INSERT INTO access_orderers (id, realm, client_id, name, name_key, email, mobile, language, active, added_by, added_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, TRUE, $9, $10) ON CONFLICT DO NOTHING`,
			o.ID, string(o.Realm), client, o.Name, fold(o.Name), o.Email, o.Mobile, o.Language, o.AddedBy, store.Micros(o.Added))
		if err != nil {
			return err
		}
		if n == 0 {
			return ordererExists(o.Email)
		}
		return d.note(tx, "orderer.add", "orderer", o.ID, place{o.Realm, client, ""}, "name", o.Name, "email", o.Email, "mobile", o.Mobile)
	})
	return o, err
}

func ordererExists(email string) error {
	return fault.Conflictf("orderer.exists", "The client has already authorised a person with the address %s.", email).WithField("email")
}

// UpdateOrderer corrects what is known about a person; it needs orderer.write.
// Certificates and orders that exist keep what they were made with.
func (d *Directory) UpdateOrderer(ctx context.Context, s Scope, id string, f OrdererFields) (Orderer, error) {
	if err := f.check(); err != nil {
		return Orderer{}, err
	}
	var o Orderer
	err := d.update(ctx, s, func(tx *store.Tx) (err error) {
		if o, err = findOrderer(tx, s, OrdererWrite, id); err != nil {
			return err
		}
		var others int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_orderers WHERE client_id = $1 AND email = $2 AND active AND id <> $3`,
			o.Client, f.Email, id).Scan(&others); err != nil {
			return err
		}
		if o.Active && others > 0 {
			return ordererExists(f.Email)
		}
		var diff []string
		changed(&diff, "name", o.Name, f.Name)
		changed(&diff, "email", o.Email, f.Email)
		changed(&diff, "mobile", o.Mobile, f.Mobile)
		changed(&diff, "language", o.Language, f.Language)
		o.Name, o.Email, o.Mobile, o.Language = f.Name, f.Email, f.Mobile, f.Language
		if _, err := tx.Exec(`UPDATE access_orderers SET name = $2, name_key = $3, email = $4, mobile = $5, language = $6 WHERE id = $1`,
			id, o.Name, fold(o.Name), o.Email, o.Mobile, o.Language); err != nil {
			return err
		}
		return d.note(tx, "orderer.update", "orderer", id, place{o.Realm, o.Client, ""}, diff...)
	})
	return o, err
}

// DeactivateOrderer ends a person's authorisation; it needs orderer.write. To
// authorise the same person again, add her or him anew.
func (d *Directory) DeactivateOrderer(ctx context.Context, s Scope, id string) error {
	return d.update(ctx, s, func(tx *store.Tx) error {
		o, err := findOrderer(tx, s, OrdererWrite, id)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE access_orderers SET active = FALSE, deactivated_at = $2 WHERE id = $1 AND active`, id, store.Micros(d.Clock.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("orderer.inactive", "%s is not authorised any more.", o.Name)
		}
		return d.note(tx, "orderer.deactivate", "orderer", id, place{o.Realm, o.Client, ""}, "name", o.Name)
	})
}
