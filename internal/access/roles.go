package access

import (
	"context"
	"slices"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The ids of the built-in roles.
const (
	RoleAdministrator = "administrator"        // everything (A1)
	RoleClientAdmin   = "client-administrator" // runs a client: its people, services and accounts (A2)
	RoleRAOperator    = "ra-operator"          // orders, approves, revokes (A3, A39)
	RoleAuditor       = "auditor"              // reads everything, changes nothing
	RoleOrdererSelf   = "orderer-self"         // orders for oneself
	RoleIntegration   = "integration"          // a system that orders and revokes
)

// builtIn roles live in the program, so that a new release can extend them
// without touching the database.
func builtIn() []Role {
	ra := []Permission{
		CertificateSearch, CertificateDownload, CertificateOrder, CertificateApprove, CertificateRevoke, CertificatePublish,
		CertificateAnnotate, AcmeRead, DomainRead, DomainValidate, ClientRead, ServiceRead, OrdererRead, ProductRead,
		OutboxRead, OutboxResend, TokenOwn, APICertOwn, NotifyOwn,
	}
	admin := append(slices.Clone(ra), ServiceWrite, OrdererWrite, OperatorRead, OperatorWrite, AccountRead, AccountWrite,
		RoleRead, RoleGrant, AuditRead, DocumentRead)
	return []Role{
		{ID: RoleAdministrator, Name: "Administrator", Description: "May do everything.", Permissions: Permissions()},
		{ID: RoleClientAdmin, Name: "Client administrator", Description: "Runs a client: its people, services and service accounts.", Permissions: admin},
		{ID: RoleRAOperator, Name: "RA operator", Description: "Orders, approves, renews and revokes certificates.", Permissions: ra},
		{ID: RoleAuditor, Name: "Auditor", Description: "Reads everything and changes nothing.", Permissions: []Permission{
			CertificateSearch, AcmeRead, DomainRead, ClientRead, ServiceRead, OrdererRead, ProductRead, OperatorRead, AccountRead,
			RoleRead, AuditRead, OutboxRead, JobRead, AuthorityRead, SettingsRead,
		}},
		{ID: RoleOrdererSelf, Name: "Orderer", Description: "Orders certificates and follows them.", Permissions: []Permission{
			CertificateSearch, CertificateDownload, CertificateOrder, ClientRead, ServiceRead, APICertOwn, NotifyOwn,
		}},
		{ID: RoleIntegration, Name: "Integration", Description: "A system that orders, finds and revokes certificates.", Permissions: []Permission{
			CertificateSearch, CertificateDownload, CertificateOrder, CertificateRevoke, ClientRead, ServiceRead, OrdererRead, ProductRead, TokenOwn, APICertOwn,
		}},
	}
}

// builtInSets are the permissions of the built-in roles by id.
var builtInSets = func() map[string]permissionSet {
	m := map[string]permissionSet{}
	for _, r := range builtIn() {
		m[r.ID] = setOf(r.Permissions)
	}
	return m
}()

// maxRoles bounds the roles of an installation, so that their list needs no pages.
const maxRoles = 500

// RoleFields are what can be said about a role.
type RoleFields struct {
	Name        string
	Description string
	Permissions []Permission
}

func (r *RoleFields) check() error {
	var f form
	r.Name = f.name("name", r.Name)
	r.Description = f.text("description", r.Description, maxText)
	if f.err != nil {
		return f.err
	}
	return checkPermissions(r.Permissions)
}

func scanRole(r scanner) (role Role, err error) {
	var text string
	if err := r.Scan(&role.ID, &role.Name, &role.Description, &text); err != nil {
		return role, err
	}
	set, err := decodePermissions(text)
	role.Permissions = set.list()
	return role, err
}

// Roles lists all roles, the built-in ones first; it needs role.read anywhere.
func (d *Directory) Roles(ctx context.Context, s Scope) ([]Role, error) {
	if err := s.RequireAnywhere(RoleRead); err != nil {
		return nil, err
	}
	out := builtIn()
	for i := range out {
		out[i].BuiltIn = true
	}
	rows, err := d.view(ctx).Query(`SELECT id, name, description, permissions FROM access_roles ORDER BY name_key, id`)
	own, err := store.Collect(rows, err, func(r *store.Rows) (Role, error) { return scanRole(r) })
	return append(out, own...), err
}

// rolePermissions are the permissions of any role, built-in or not.
func rolePermissions(q store.Queryer, id string) (permissionSet, error) {
	if set, ok := builtInSets[id]; ok {
		return set, nil
	}
	var text string
	if err := q.QueryRow(`SELECT permissions FROM access_roles WHERE id = $1`, id).Scan(&text); err != nil {
		return 0, found(err)
	}
	return decodePermissions(text)
}

// mayWriteRole: roles work in every client, so changing one needs role.write
// for everything and each permission concerned for everything too.
func mayWriteRole(s Scope, concerned permissionSet) error {
	if err := s.Require(RoleWrite, "", ""); err != nil {
		return err
	}
	if !s.coversAll([]grant{{allowed: concerned}}) {
		return exceeds()
	}
	return nil
}

func exceeds() error {
	return fault.Forbiddenf("grant.exceeds", "Nobody can hand out or take away rights that they do not have themselves.").
		WithNext("Ask somebody with wider rights.")
}

// CreateRole adds a role; it needs role.write and every permission in it.
func (d *Directory) CreateRole(ctx context.Context, s Scope, f RoleFields) (Role, error) {
	if err := f.check(); err != nil {
		return Role{}, err
	}
	set := setOf(f.Permissions)
	if err := mayWriteRole(s, set); err != nil {
		return Role{}, err
	}
	r := Role{ID: ident.New("role"), Name: f.Name, Description: f.Description, Permissions: set.list()}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		var have int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_roles`).Scan(&have); err != nil {
			return err
		}
		if have >= maxRoles {
			return fault.TooManyf(0, "role.limit", "There are already %d roles.", have).WithNext("Delete roles that nobody uses.")
		}
		n, err := tx.Exec(`INSERT INTO access_roles (id, name, name_key, description, permissions) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			r.ID, r.Name, fold(r.Name), r.Description, set.encode())
		if err != nil {
			return err
		}
		if n == 0 {
			return roleExists(r.Name)
		}
		return d.note(tx, "role.create", "role", r.ID, place{}, "name", r.Name, "permissions", set.encode())
	})
	return r, err
}

func roleExists(name string) error {
	return fault.Conflictf("role.exists", "There is already a role named %s.", name).WithField("name")
}

// UpdateRole changes a role. It needs role.write, and every permission that is
// in it before or after; nobody changes a role that they hold (A202).
func (d *Directory) UpdateRole(ctx context.Context, s Scope, id string, f RoleFields) (Role, error) {
	if err := f.check(); err != nil {
		return Role{}, err
	}
	set := setOf(f.Permissions)
	r := Role{ID: id, Name: f.Name, Description: f.Description, Permissions: set.list()}
	err := d.update(ctx, s, func(tx *store.Tx) error {
		old, err := d.changeableRole(tx, s, id, set)
		if err != nil {
			return err
		}
		var others int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_roles WHERE name_key = $1 AND id <> $2`, fold(r.Name), id).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return roleExists(r.Name)
		}
		if _, err := tx.Exec(`UPDATE access_roles SET name = $2, name_key = $3, description = $4, permissions = $5 WHERE id = $1`,
			id, r.Name, fold(r.Name), r.Description, set.encode()); err != nil {
			return err
		}
		if err := newVersion(tx); err != nil {
			return err
		}
		var diff []string
		changed(&diff, "name", old.Name, r.Name)
		changed(&diff, "permissions", setOf(old.Permissions).encode(), set.encode())
		return d.note(tx, "role.update", "role", id, place{}, diff...)
	})
	return r, err
}

// DeleteRole removes a role that nobody holds; it needs what UpdateRole needs.
func (d *Directory) DeleteRole(ctx context.Context, s Scope, id string) error {
	return d.update(ctx, s, func(tx *store.Tx) error {
		old, err := d.changeableRole(tx, s, id, 0)
		if err != nil {
			return err
		}
		var holders int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM access_grants WHERE role_id = $1`, id).Scan(&holders); err != nil {
			return err
		}
		if holders > 0 {
			return fault.Conflictf("role.in_use", "The role %s is held %d times.", old.Name, holders).WithNext("Take it away from its holders first.")
		}
		if _, err := tx.Exec(`DELETE FROM access_roles WHERE id = $1`, id); err != nil {
			return err
		}
		return d.note(tx, "role.delete", "role", id, place{}, "name", old.Name)
	})
}

func (d *Directory) changeableRole(tx *store.Tx, s Scope, id string, after permissionSet) (Role, error) {
	if _, ok := builtInSets[id]; ok {
		return Role{}, fault.Conflictf("role.built_in", "The role %s comes with the product and cannot be changed.", id).WithNext("Make a role of your own.")
	}
	if err := s.Require(RoleWrite, "", ""); err != nil {
		return Role{}, err
	}
	// Taking the row's lock first keeps a grant from slipping in before a delete.
	if _, err := tx.Exec(`UPDATE access_roles SET name = name WHERE id = $1`, id); err != nil {
		return Role{}, err
	}
	old, err := scanRole(tx.QueryRow(`SELECT id, name, description, permissions FROM access_roles WHERE id = $1`, id))
	if err != nil {
		return Role{}, found(err)
	}
	if err := mayWriteRole(s, setOf(old.Permissions)|after); err != nil {
		return Role{}, err
	}
	var own int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_grants WHERE role_id = $1 AND principal_id = $2`, id, s.principal.ID).Scan(&own); err != nil {
		return Role{}, err
	}
	if own > 0 {
		return Role{}, ownRights()
	}
	return old, nil
}

func ownRights() error {
	return fault.Forbiddenf("grant.own", "Nobody can change their own rights.").WithNext("Ask another administrator.")
}
