package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// RolesOf names the roles that a principal holds anywhere.
func (d *Directory) RolesOf(ctx context.Context, principal string) ([]string, error) {
	rows, err := d.DB.View(ctx).Query(`SELECT DISTINCT r.name FROM access_grants g JOIN access_roles r ON r.id = g.role_id WHERE g.principal_id = $1 ORDER BY r.name`, principal)
	return store.Collect(rows, err, func(r *store.Rows) (name string, err error) { return name, r.Scan(&name) })
}
