package access

import (
	"context"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Grant gives a role to an operator or service account, over one client, a
// realm (empty client) or everything (empty realm). It needs role.grant there
// and every permission of the role there; nobody grants to themselves (A202).
// A service account gets nothing outside the client it was made for.
func (d *Directory) Grant(ctx context.Context, s Scope, principal, role string, realm Realm, client string) (Grant, error) {
	g := Grant{
		ID: ident.New("grt"), Principal: principal, Role: role, Realm: realm, Client: client,
		GrantedBy: s.principal.Name, Granted: d.Clock.Now(),
	}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		s, err := fresh(tx, s)
		if err != nil {
			return err
		}
		if err := checkPlace(tx, s, realm, client); err != nil {
			return err
		}
		if err := mayGrant(tx, s, g); err != nil {
			return err
		}
		if err := insertGrant(tx, g); err != nil {
			return err
		}
		return d.note(tx, "role.grant", "principal", principal, place{realm, client, ""}, "role", role)
	})
	return g, err
}

// checkPlace refuses a realm or client that does not exist.
func checkPlace(tx *store.Tx, s Scope, realm Realm, client string) error {
	if realm == "" && client == "" {
		return nil
	}
	if _, err := ParseRealm(string(realm)); err != nil {
		return err
	}
	if client == "" {
		return nil
	}
	c, err := activeClient(tx, s, RoleGrant, client)
	if err != nil {
		return err
	}
	if c.Realm != realm {
		return fault.Invalidf("grant.realm", "The client %s is not in the environment %s.", c.Name, realm).WithField("realm")
	}
	return nil
}

func mayGrant(tx *store.Tx, s Scope, g Grant) error {
	if err := s.Require(RoleGrant, g.Realm, g.Client); err != nil {
		return err
	}
	if g.Principal == s.principal.ID {
		return ownRights()
	}
	p, err := findPrincipal(tx, g.Principal)
	if err != nil {
		return err
	}
	if p.kind == AccountKind && !(grant{realm: p.realm, client: p.client}).covers(g.Realm, g.Client) {
		return fault.Invalidf("grant.account", "The service account %s may only get rights where it belongs.", p.name).WithField("client")
	}
	if _, err := tx.Exec(`UPDATE access_roles SET name = name WHERE id = $1`, g.Role); err != nil { // see changeableRole
		return err
	}
	set, err := rolePermissions(tx, g.Role)
	if err != nil {
		return err
	}
	if !s.coversAll([]grant{{allowed: set, realm: g.Realm, client: g.Client}}) {
		return exceeds()
	}
	return nil
}

func insertGrant(tx *store.Tx, g Grant) error {
	n, err := tx.Exec(`INSERT INTO access_grants (id, principal_id, role_id, realm, client_id, granted_by, granted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		g.ID, g.Principal, g.Role, string(g.Realm), g.Client, g.GrantedBy, store.Micros(g.Granted))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Conflictf("grant.exists", "That role is already granted there.")
	}
	return nil
}

const grantColumns = `id, principal_id, role_id, realm, client_id, granted_by, granted_at`

func scanGrant(r scanner) (g Grant, err error) {
	var at int64
	err = r.Scan(&g.ID, &g.Principal, &g.Role, &g.Realm, &g.Client, &g.GrantedBy, &at)
	g.Granted = store.Time(at)
	return g, err
}

// Revoke takes a granted role away, at once on every node. It needs what
// granting it needs.
func (d *Directory) Revoke(ctx context.Context, s Scope, id string) error {
	return d.update(ctx, s, func(tx *store.Tx) error {
		s, err := fresh(tx, s)
		if err != nil {
			return err
		}
		g, err := scanGrant(tx.QueryRow(`SELECT `+grantColumns+` FROM access_grants WHERE id = $1`, id))
		if err != nil {
			return found(err)
		}
		if err := mayGrant(tx, s, g); err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM access_grants WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return hidden()
		}
		return d.note(tx, "role.revoke", "principal", g.Principal, place{g.Realm, g.Client, ""}, "role", g.Role)
	})
}

// Grants lists what a principal was granted. Everybody may see their own;
// otherwise only those in places where the caller has role.read are shown.
func (d *Directory) Grants(ctx context.Context, s Scope, principal string) ([]Grant, error) {
	cond, args := "(1 = 1)", []any{principal}
	if principal != s.principal.ID {
		cond, args = s.Filter(RoleRead, "realm", "client_id", args)
	}
	rows, err := d.view(ctx).Query(`SELECT `+grantColumns+` FROM access_grants WHERE principal_id = $1 AND `+cond+` ORDER BY realm, client_id, role_id`, args...)
	return store.Collect(rows, err, func(r *store.Rows) (Grant, error) { return scanGrant(r) })
}

// fresh reads the caller's rights again inside the transaction, one caller at a
// time: two administrators who take each other's rights away at once must not
// both succeed. It also tells every node that rights change.
func fresh(tx *store.Tx, s Scope) (Scope, error) {
	if err := newVersion(tx); err != nil {
		return Scope{}, err
	}
	if s.principal.Kind != OperatorKind && s.principal.Kind != AccountKind {
		return s, nil
	}
	p, err := findPrincipal(tx, s.principal.ID)
	if err != nil {
		return Scope{}, err
	}
	if err := usable(p.status, time.Time{}, time.Time{}); err != nil {
		return Scope{}, err
	}
	grants, err := loadGrants(tx, p.id)
	return Scope{principal: p.public(), grants: grants}, err
}

// newVersion tells every node that rights have changed; the row's lock orders
// those who change them.
func newVersion(tx *store.Tx) error {
	_, err := tx.Exec(`UPDATE access_version SET n = n + 1 WHERE id = 1`)
	return err
}

// loadGrants reads what a principal may do.
func loadGrants(q store.Queryer, principal string) ([]grant, error) {
	rows, err := q.Query(`SELECT g.role_id, g.realm, g.client_id, COALESCE(r.permissions, '[]')
		FROM access_grants g LEFT JOIN access_roles r ON r.id = g.role_id WHERE g.principal_id = $1`, principal)
	return store.Collect(rows, err, func(r *store.Rows) (grant, error) {
		var role, realm, client, text string
		if err := r.Scan(&role, &realm, &client, &text); err != nil {
			return grant{}, err
		}
		set, ok := builtInSets[role]
		if !ok {
			var err error
			if set, err = decodePermissions(text); err != nil {
				return grant{}, err
			}
		}
		return grant{allowed: set, realm: Realm(realm), client: client}, nil
	})
}

// rightsCache keeps principals' grants while nobody's rights change. The
// version is read before the grants, so an entry is never newer than it says.
type rightsCache struct {
	mu      sync.RWMutex
	version int64
	grants  map[string][]grant
}

const maxCachedRights = 10_000

func (d *Directory) grantsOf(q store.Queryer, principal string, version int64) ([]grant, error) {
	c := &d.rights
	c.mu.RLock()
	g, ok := c.grants[principal]
	ok = ok && c.version == version
	c.mu.RUnlock()
	if ok {
		return g, nil
	}
	g, err := loadGrants(q, principal)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version < version || len(c.grants) >= maxCachedRights {
		c.version, c.grants = max(c.version, version), nil
	}
	if c.version == version {
		if c.grants == nil {
			c.grants = map[string][]grant{}
		}
		c.grants[principal] = g
	}
	return g, nil
}
