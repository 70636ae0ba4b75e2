package external

import (
	"context"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// ImportFrom imports the certificate that the server at the address in f shows, with
// the chain that it sends, and goes on watching the server. It needs certificate.order
// for the client. A server that shows nothing is a fault: "egress.refused" where the
// configuration forbids the connection, otherwise one of kind Unavailable.
func (r *Registry) ImportFrom(ctx context.Context, s access.Scope, client string, f Fields) (Result, error) {
	owner, err := r.clientFor(ctx, s, client)
	if err != nil {
		return Result{}, err
	}
	if err := f.check(); err != nil {
		return Result{}, err
	}
	if f.Address == "" {
		return Result{}, fault.Invalidf("external.address", "There is no address to look at.").WithField("address")
	}
	e, err := r.look(ctx, f.Address)
	if err != nil {
		return Result{}, err
	}
	results := make([]Result, 1)
	err = r.importBatch(ctx, s, owner, f, []entry{e}, results)
	return results[0], err
}

// Adopt imports the certificate that the server of another one shows now, which takes
// over owner, comment, recipients and address; the earlier one stays, without an
// address. It needs certificate.order. It is a Conflict when the server still shows
// the earlier one.
func (r *Registry) Adopt(ctx context.Context, s access.Scope, id string) (*Certificate, error) {
	old, err := r.withAddress(ctx, s, id)
	if err != nil {
		return nil, err
	}
	client, err := r.clientFor(ctx, s, old.Client)
	if err != nil {
		return nil, err
	}
	e, err := r.look(ctx, old.Address)
	if err != nil {
		return nil, err
	}
	if e.facts.SHA256 == old.SHA256 {
		return nil, fault.Conflictf("external.unchanged", "The server %s still shows the certificate %s.", old.Address, old.Title())
	}
	var adopted *Certificate
	err = r.update(ctx, s, func(tx *store.Tx) error {
		c, fresh, err := r.add(tx, s, client, old.Fields, e)
		if err != nil {
			return err
		}
		if !fresh { // it was imported before and is now the one to be watched
			if err := r.move(tx, c.ID, old.Address); err != nil {
				return err
			}
		}
		n, err := tx.Exec(`UPDATE external_certificates SET version = version + 1 WHERE id = $1 AND version = $2`, old.ID, old.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			return errChanged(old)
		}
		adopted = c
		if err := r.move(tx, old.ID, ""); err != nil {
			return err
		}
		return r.record(tx, "external.adopt", old, "address", old.Address, "successor", c.ID, "successor_sha256", c.SHA256)
	})
	if err != nil {
		return nil, err
	}
	return r.get(r.DB.View(ctx), access.System("external"), access.CertificateSearch, adopted.ID)
}
