package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// ClientFields are what can be said about a client.
type ClientFields struct {
	Name      string
	Country   string // ISO 3166-1 alpha-2
	OrgNumber string // may be empty
}

func (c *ClientFields) check() error {
	var f form
	c.Name = f.name("name", c.Name)
	c.Country = f.country("country", c.Country)
	c.OrgNumber = f.text("org_number", c.OrgNumber, 40)
	return f.err
}

// A ClientQuery selects clients; the zero query selects all that the caller
// may read.
type ClientQuery struct {
	Realm  Realm
	Search string // in name and organisation number
	Page   store.Page
}

const clientColumns = `id, realm, name, country, org_number, status, created_at`

func scanClient(r scanner) (c Client, err error) {
	var created int64
	err = r.Scan(&c.ID, &c.Realm, &c.Name, &c.Country, &c.OrgNumber, &c.Status, &created)
	c.Created = store.Time(created)
	return c, err
}

// FindClient reads a client that s may read.
func FindClient(q store.Queryer, s Scope, id string) (Client, error) {
	return findClient(q, s, ClientRead, id)
}

// findClient reads a client on which s may do p.
func findClient(q store.Queryer, s Scope, p Permission, id string) (Client, error) {
	c, err := scanClient(q.QueryRow(`SELECT `+clientColumns+` FROM access_clients WHERE id = $1`, id))
	if err != nil {
		return Client{}, found(err)
	}
	if err := s.Require(p, c.Realm, c.ID); err != nil {
		return Client{}, err
	}
	return c, nil
}

// activeClient is findClient for a change that only an active client allows.
func activeClient(q store.Queryer, s Scope, p Permission, id string) (Client, error) {
	c, err := findClient(q, s, p, id)
	if err == nil && c.Status != Active {
		return Client{}, fault.Conflictf("client.closed", "The client %s is closed.", c.Name)
	}
	return c, err
}

// Client reads one client; it needs client.read.
func (d *Directory) Client(ctx context.Context, s Scope, id string) (Client, error) {
	return FindClient(d.view(ctx), s, id)
}

// Clients lists clients by name; it needs client.read.
func (d *Directory) Clients(ctx context.Context, s Scope, q ClientQuery) (List[Client], error) {
	sel := selection{from: `SELECT ` + clientColumns + ` FROM access_clients`, sort: "name_key", id: "id"}
	sel.scope(s, ClientRead, "realm", "id")
	if q.Realm != "" {
		sel.where("realm =", string(q.Realm))
	}
	sel.search(q.Search, "name_key", "org_number")
	return page(d.view(ctx), sel, q.Page, scanClient, func(c Client) (string, string) { return fold(c.Name), c.ID })
}

// CreateClient adds an organisation; it needs client.write on the realm. A
// second one with the same organisation number is a Conflict.
func (d *Directory) CreateClient(ctx context.Context, s Scope, realm Realm, f ClientFields) (Client, error) {
	if _, err := ParseRealm(string(realm)); err != nil {
		return Client{}, err
	}
	if err := s.Require(ClientWrite, realm, ""); err != nil {
		return Client{}, err
	}
	if err := f.check(); err != nil {
		return Client{}, err
	}
	c := Client{
		ID: ident.New("cli"), Realm: realm, Name: f.Name, Country: f.Country, OrgNumber: f.OrgNumber,
		Status: Active, Created: d.Clock.Now(),
	}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO access_clients (id, realm, name, name_key, country, org_number, status, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
			c.ID, string(c.Realm), c.Name, fold(c.Name), c.Country, c.OrgNumber, string(c.Status), store.Micros(c.Created))
		if err != nil {
			return err
		}
		if n == 0 {
			return orgTaken(c.OrgNumber)
		}
		return d.note(tx, "client.create", "client", c.ID, place{c.Realm, c.ID, ""}, "name", c.Name, "country", c.Country, "org_number", c.OrgNumber)
	})
	return c, err
}

func orgTaken(number string) error {
	return fault.Conflictf("client.exists", "There is already a client with the organisation number %s in this environment.", number).WithField("org_number")
}

// UpdateClient changes what is said about a client; it needs client.write.
func (d *Directory) UpdateClient(ctx context.Context, s Scope, id string, f ClientFields) (Client, error) {
	if err := f.check(); err != nil {
		return Client{}, err
	}
	var c Client
	err := d.update(ctx, s, func(tx *store.Tx) (err error) {
		if c, err = activeClient(tx, s, ClientWrite, id); err != nil {
			return err
		}
		var other string
		err = tx.QueryRow(`SELECT id FROM access_clients WHERE realm = $1 AND country = $2 AND org_number = $3 AND org_number <> '' AND id <> $4`,
			string(c.Realm), f.Country, f.OrgNumber, id).Scan(&other)
		if err == nil {
			return orgTaken(f.OrgNumber)
		} else if err := found(err); fault.Of(err).Kind != fault.NotFound {
			return err
		}
		var diff []string
		changed(&diff, "name", c.Name, f.Name)
		changed(&diff, "country", c.Country, f.Country)
		changed(&diff, "org_number", c.OrgNumber, f.OrgNumber)
		c.Name, c.Country, c.OrgNumber = f.Name, f.Country, f.OrgNumber
		if _, err := tx.Exec(`UPDATE access_clients SET name = $2, name_key = $3, country = $4, org_number = $5 WHERE id = $1`,
			id, c.Name, fold(c.Name), c.Country, c.OrgNumber); err != nil {
			return err
		}
		return d.note(tx, "client.update", "client", id, place{c.Realm, id, ""}, diff...)
	})
	return c, err
}

// CloseClient ends a client and, with it, its services, orderers and service
// accounts. It needs client.write and cannot be undone.
func (d *Directory) CloseClient(ctx context.Context, s Scope, id string) error {
	return d.update(ctx, s, func(tx *store.Tx) error {
		c, err := activeClient(tx, s, ClientWrite, id)
		if err != nil {
			return err
		}
		now := store.Micros(d.Clock.Now())
		for _, change := range []struct {
			sql  string
			args []any
		}{
			{`UPDATE access_clients SET status = $2 WHERE id = $1`, []any{id, string(Closed)}},
			{`UPDATE access_services SET status = $2, closed_at = $3, password_hash = '' WHERE client_id = $1 AND closed_at = 0`, []any{id, string(Closed), now}},
			{`UPDATE access_orderers SET active = FALSE, deactivated_at = $2 WHERE client_id = $1 AND active`, []any{id, now}},
			{`UPDATE access_principals SET status = $2 WHERE client_id = $1 AND kind = $3`, []any{id, string(Disabled), string(AccountKind)}},
		} {
			if _, err := tx.Exec(change.sql, change.args...); err != nil {
				return err
			}
		}
		return d.note(tx, "client.close", "client", id, place{c.Realm, id, ""}, "name", c.Name)
	})
}
