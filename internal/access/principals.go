package access

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// principal is the row that operators and service accounts share.
type principal struct {
	id     string
	kind   PrincipalKind
	name   string
	realm  Realm
	client string
	status Status
	ends   time.Time
}

func (p principal) public() Principal { return Principal{Kind: p.kind, ID: p.id, Name: p.name} }

func findPrincipal(q store.Queryer, id string) (principal, error) {
	p := principal{id: id}
	var ends int64
	err := q.QueryRow(`SELECT kind, name, realm, client_id, status, ends_at FROM access_principals WHERE id = $1`, id).
		Scan(&p.kind, &p.name, &p.realm, &p.client, &p.status, &ends)
	p.ends = store.Time(ends)
	return p, found(err)
}

func insertPrincipal(tx *store.Tx, p principal, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO access_principals (id, kind, name, name_key, realm, client_id, status, ends_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.id, string(p.kind), p.name, fold(p.name), string(p.realm), p.client, string(p.status), store.Micros(p.ends), store.Micros(now))
	return err
}

// usable tells whether a principal may act now.
func usable(status Status, ends, now time.Time) error {
	if status != Active {
		return fault.Unauthenticatedf("access.disabled", "The account is not active.").WithNext("Ask an administrator.")
	}
	if !ends.IsZero() && !now.Before(ends) {
		return fault.Unauthenticatedf("access.ended", "The account ended on %s.", ends.Format(time.DateOnly)).WithNext("Ask an administrator to extend it.")
	}
	return nil
}

// ScopeOf is the scope of an operator or service account known by other means,
// such as an API client certificate. It is Unauthenticated for an account that
// does not exist, is disabled or has ended.
func (d *Directory) ScopeOf(ctx context.Context, id string) (Scope, error) {
	q := d.view(ctx)
	var p principal
	var ends, version int64
	p.id = id
	err := q.QueryRow(`SELECT p.kind, p.name, p.status, p.ends_at, v.n FROM access_principals p JOIN access_version v ON v.id = 1 WHERE p.id = $1`, id).
		Scan(&p.kind, &p.name, &p.status, &ends, &version)
	if err = found(err); fault.Of(err).Kind == fault.NotFound {
		return Scope{}, fault.Unauthenticatedf("access.unknown", "There is no such account.")
	} else if err != nil {
		return Scope{}, err
	}
	if err := usable(p.status, store.Time(ends), d.Clock.Now()); err != nil {
		return Scope{}, err
	}
	g, err := d.grantsOf(q, id, version)
	if err != nil {
		return Scope{}, err
	}
	return Scope{principal: p.public(), grants: g}, nil
}

// reaches tells whether s may do p on a principal with those grants: for
// everything, or in every place where it has rights.
func reaches(s Scope, p Permission, grants []grant) bool {
	if s.Allows(p, "", "") {
		return true
	}
	for _, g := range grants {
		if !s.Allows(p, g.realm, g.client) {
			return false
		}
	}
	return len(grants) > 0
}

// touches tells whether s may do p in one of those places.
func touches(s Scope, p Permission, grants []grant) bool {
	if s.Allows(p, "", "") {
		return true
	}
	for _, g := range grants {
		if s.Allows(p, g.realm, g.client) {
			return true
		}
	}
	return false
}
