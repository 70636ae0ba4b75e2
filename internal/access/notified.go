package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// maxNotified bounds how many operators hear of one event.
const maxNotified = 100

// Notified returns the e-mail addresses of the active operators who may order
// certificates for a client and have not muted notifications (A101, A200).
// Operators are few, so their rights are read one by one.
func (d *Directory) Notified(ctx context.Context, realm Realm, client string) ([]string, error) {
	q := d.view(ctx)
	type candidate struct{ id, email string }
	rows, err := q.Query(`SELECT o.id, o.email FROM access_operators o JOIN access_principals p ON p.id = o.id
		WHERE p.status = 'active' AND o.muted = FALSE ORDER BY o.id LIMIT 1000`)
	list, err := store.Collect(rows, err, func(r *store.Rows) (c candidate, err error) { return c, r.Scan(&c.id, &c.email) })
	if err != nil {
		return nil, err
	}
	var version int64
	if err := q.QueryRow(`SELECT n FROM access_version WHERE id = 1`).Scan(&version); err != nil {
		return nil, err
	}
	var out []string
	for _, c := range list {
		grants, err := d.grantsOf(q, c.id, version)
		if err != nil {
			return nil, err
		}
		if (Scope{grants: grants}).Allows(CertificateOrder, realm, client) && len(out) < maxNotified {
			out = append(out, c.email)
		}
	}
	return out, nil
}
