package external

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Change sets the fields of a certificate. version is that of the certificate as the
// caller saw it; a Conflict says that somebody else was quicker. It needs
// certificate.annotate, and certificate.order to change the address.
func (r *Registry) Change(ctx context.Context, s access.Scope, id string, version int64, f Fields) (*Certificate, error) {
	before, err := r.get(r.DB.View(ctx), s, access.CertificateAnnotate, id)
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	moved := f.Address != before.Address
	if moved {
		if err := s.Require(access.CertificateOrder, before.Realm, before.Client); err != nil {
			return nil, err
		}
	}
	if version != before.Version {
		return nil, errChanged(before)
	}
	now := r.Clock.Now()
	err = r.update(ctx, s, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE external_certificates SET owner = $1, comment = $2, recipients = $3, version = version + 1, updated_at = $4 WHERE id = $5 AND version = $6`,
			f.Owner, f.Comment, list(f.Recipients), store.Micros(now), id, version)
		if err != nil {
			return err
		}
		if n == 0 {
			return errChanged(before)
		}
		if moved {
			if err := r.move(tx, id, f.Address); err != nil {
				return err
			}
		}
		return r.record(tx, "external.change", before, changes(before.Fields, f)...)
	})
	if err != nil {
		return nil, err
	}
	return r.get(r.DB.View(ctx), access.System("external"), access.CertificateSearch, id)
}

// move sets the address of the server and forgets what another one showed.
func (r *Registry) move(tx *store.Tx, id, address string) error {
	due := int64(0)
	if address != "" {
		due = store.Micros(r.Clock.Now())
	}
	_, err := tx.Exec(`UPDATE external_certificates SET address = $1, check_due = $2, check_state = '', checked_at = 0, seen_at = 0, shown = '', shown_end = 0, problem = '' WHERE id = $3`,
		address, due, id)
	return err
}

// changes lists what is different, for the audit log.
func changes(before, after Fields) []string {
	var detail []string
	for _, d := range []struct{ name, before, after string }{
		{"owner", before.Owner, after.Owner},
		{"recipients", strings.Join(before.Recipients, ", "), strings.Join(after.Recipients, ", ")},
		{"address", before.Address, after.Address},
	} {
		if d.before != d.after {
			detail = append(detail, d.name, fmt.Sprintf("%q → %q", d.before, d.after))
		}
	}
	if before.Comment != after.Comment {
		detail = append(detail, "comment", "changed")
	}
	return detail
}

// Delete takes a certificate off the list; nobody is reminded of it any more. It needs
// certificate.order.
func (r *Registry) Delete(ctx context.Context, s access.Scope, id string) error {
	return r.update(ctx, s, func(tx *store.Tx) error {
		c, err := r.get(tx, s, access.CertificateOrder, id)
		if err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM external_names WHERE certificate = $1`,
			`DELETE FROM external_ders WHERE certificate = $1`,
			`DELETE FROM external_certificates WHERE id = $1`,
		} {
			if _, err := tx.Exec(statement, id); err != nil {
				return err
			}
		}
		return r.record(tx, "external.delete", c, "issuer", c.Issuer, "serial", c.Serial, "owner", c.Owner)
	})
}
