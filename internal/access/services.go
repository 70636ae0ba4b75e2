package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// ServiceFields are what can be changed about a service.
type ServiceFields struct {
	Profile string // graphical profile; empty for the default
}

// A ServiceQuery selects services; the zero query selects all that the caller
// may read.
type ServiceQuery struct {
	Realm  Realm
	Client string
	Search string // in the name
	Page   store.Page
}

const serviceColumns = `id, realm, client_id, name, profile, status, password_hash <> '', created_at, closed_at`

func scanService(r scanner) (v Service, err error) {
	var created, closed int64
	err = r.Scan(&v.ID, &v.Realm, &v.Client, &v.Name, &v.Profile, &v.Status, &v.HasPassword, &created, &closed)
	v.Created, v.Closed = store.Time(created), store.Time(closed)
	return v, err
}

// FindService reads a service that s may read: by service.read, or because s
// is that service.
func FindService(q store.Queryer, s Scope, id string) (Service, error) {
	v, err := scanService(q.QueryRow(`SELECT `+serviceColumns+` FROM access_services WHERE id = $1`, id))
	return visibleService(s, v, err)
}

// FindServiceByName is [FindService] by name.
func FindServiceByName(q store.Queryer, s Scope, realm Realm, name string) (Service, error) {
	v, err := scanService(q.QueryRow(`SELECT `+serviceColumns+` FROM access_services WHERE realm = $1 AND name = $2`, string(realm), name))
	return visibleService(s, v, err)
}

// FindServiceAndClient is [FindServiceByName] together with the client that the
// service belongs to, which needs no right of its own: one query where every
// order would make two.
func FindServiceAndClient(q store.Queryer, s Scope, realm Realm, name string) (Service, Client, error) {
	var v Service
	var c Client
	var created, closed, clientCreated int64
	err := q.QueryRow(`SELECT s.id, s.realm, s.client_id, s.name, s.profile, s.status, s.password_hash <> '', s.created_at, s.closed_at,
			c.id, c.realm, c.name, c.country, c.org_number, c.status, c.created_at
		FROM access_services s JOIN access_clients c ON c.id = s.client_id WHERE s.realm = $1 AND s.name = $2`, string(realm), name).
		Scan(&v.ID, &v.Realm, &v.Client, &v.Name, &v.Profile, &v.Status, &v.HasPassword, &created, &closed,
			&c.ID, &c.Realm, &c.Name, &c.Country, &c.OrgNumber, &c.Status, &clientCreated)
	v.Created, v.Closed, c.Created = store.Time(created), store.Time(closed), store.Time(clientCreated)
	if v, err = visibleService(s, v, err); err != nil {
		return Service{}, Client{}, err
	}
	return v, c, nil
}

func visibleService(s Scope, v Service, err error) (Service, error) {
	if err != nil {
		return Service{}, found(err)
	}
	if s.principal.Kind == ServiceKind && s.principal.ID == v.ID {
		return v, nil
	}
	if err := s.Require(ServiceRead, v.Realm, v.Client); err != nil {
		return Service{}, err
	}
	return v, nil
}

// Service reads one service; see [FindService].
func (d *Directory) Service(ctx context.Context, s Scope, id string) (Service, error) {
	return FindService(d.view(ctx), s, id)
}

// Services lists services by name; it needs service.read.
func (d *Directory) Services(ctx context.Context, s Scope, q ServiceQuery) (List[Service], error) {
	sel := selection{from: `SELECT ` + serviceColumns + ` FROM access_services`, sort: "name", id: "id"}
	sel.scope(s, ServiceRead, "realm", "client_id")
	if q.Realm != "" {
		sel.where("realm =", string(q.Realm))
	}
	if q.Client != "" {
		sel.where("client_id =", q.Client)
	}
	sel.search(q.Search, "name")
	return page(d.view(ctx), sel, q.Page, scanService, func(v Service) (string, string) { return v.Name, v.ID })
}

// CreateService adds a service to a client; it needs service.write there. The
// name is unique in the realm for ever, because it stands in certificates.
func (d *Directory) CreateService(ctx context.Context, s Scope, client, name string, f ServiceFields) (Service, error) {
	if !serviceName.MatchString(name) {
		return Service{}, fault.Invalidf("service.name", "The service name %q must be 1 to 40 of the characters a-z, 0-9 and -.", name).WithField("name")
	}
	if err := f.check(); err != nil {
		return Service{}, err
	}
	v := Service{ID: ident.New("svc"), Client: client, Name: name, Profile: f.Profile, Status: Active, Created: d.Clock.Now()}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		c, err := activeClient(tx, s, ServiceWrite, client)
		if err != nil {
			return err
		}
		v.Realm = c.Realm
		n, err := tx.Exec(`INSERT INTO access_services (id, realm, client_id, name, profile, status, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			v.ID, string(v.Realm), v.Client, v.Name, v.Profile, string(v.Status), store.Micros(v.Created))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("service.exists", "The service name %s is taken.", name).WithNext("Choose another name.").WithField("name")
		}
		return d.note(tx, "service.create", "service", v.ID, v.place(), "name", name)
	})
	return v, err
}

func (f *ServiceFields) check() error {
	var c form
	f.Profile = c.text("profile", f.Profile, 40)
	return c.err
}

func (v Service) place() place { return place{v.Realm, v.Client, v.ID} }

// changeService reads an active service that s may write and lets fn change it.
func (d *Directory) changeService(ctx context.Context, s Scope, id string, fn func(tx *store.Tx, v *Service) error) (Service, error) {
	var v Service
	err := d.update(ctx, s, func(tx *store.Tx) (err error) {
		v, err = scanService(tx.QueryRow(`SELECT `+serviceColumns+` FROM access_services WHERE id = $1`, id))
		if err != nil {
			return found(err)
		}
		if err := s.Require(ServiceWrite, v.Realm, v.Client); err != nil {
			return err
		}
		if v.Status != Active {
			return fault.Conflictf("service.closed", "The service %s is closed.", v.Name)
		}
		return fn(tx, &v)
	})
	return v, err
}

// UpdateService changes a service; it needs service.write.
func (d *Directory) UpdateService(ctx context.Context, s Scope, id string, f ServiceFields) (Service, error) {
	if err := f.check(); err != nil {
		return Service{}, err
	}
	return d.changeService(ctx, s, id, func(tx *store.Tx, v *Service) error {
		var diff []string
		changed(&diff, "profile", v.Profile, f.Profile)
		v.Profile = f.Profile
		if _, err := tx.Exec(`UPDATE access_services SET profile = $2 WHERE id = $1`, id, v.Profile); err != nil {
			return err
		}
		return d.note(tx, "service.update", "service", id, v.place(), diff...)
	})
}

// CloseService ends a service; its password stops at once. It needs
// service.write and cannot be undone.
func (d *Directory) CloseService(ctx context.Context, s Scope, id string) error {
	_, err := d.changeService(ctx, s, id, func(tx *store.Tx, v *Service) error {
		if _, err := tx.Exec(`UPDATE access_services SET status = $2, closed_at = $3, password_hash = '' WHERE id = $1`,
			id, string(Closed), store.Micros(d.Clock.Now())); err != nil {
			return err
		}
		return d.note(tx, "service.close", "service", id, v.place(), "name", v.Name)
	})
	return err
}

// SetServicePassword sets the web-service password; the old one stops at once.
// It needs service.write. The password is a machine's: it needs 12 characters,
// and [secret.NewPassword] makes a good one.
func (d *Directory) SetServicePassword(ctx context.Context, s Scope, id string, p secret.Text) error {
	v, err := FindService(d.view(ctx), s, id)
	if err != nil {
		return err
	}
	if err := s.Require(ServiceWrite, v.Realm, v.Client); err != nil {
		return err
	}
	// Passwords for trying out may be short: the old contract's demo / Bond007 is.
	if short := len(p.Reveal()) < minPreprodPassword; v.Realm == Production || short {
		if err := checkPassword(p, v.Name); err != nil {
			return err
		}
	}
	// The slow hash is made before the transaction: on SQLite it would hold up
	// every other writer.
	hash, err := d.Hasher.Hash(ctx, p)
	if err != nil {
		return err
	}
	_, err = d.changeService(ctx, s, id, func(tx *store.Tx, v *Service) error {
		if _, err := tx.Exec(`UPDATE access_services SET password_hash = $2 WHERE id = $1`, id, hash); err != nil {
			return err
		}
		return d.note(tx, "service.password", "service", id, v.place())
	})
	return err
}

// minPreprodPassword is the least length of a web-service password in preprod.
const minPreprodPassword = 6
