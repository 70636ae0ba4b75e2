package access

import (
	"context"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// update runs a change on behalf of s. The audit entries name the scope's
// principal unless the endpoint has said something more exact.
func (d *Directory) update(ctx context.Context, s Scope, fn func(tx *store.Tx) error) error {
	return d.DB.Update(actingAs(ctx, s.principal), func(tx *store.Tx) error {
		tx.AfterCommit(d.tokens.clear)
		return fn(tx)
	})
}

func actingAs(ctx context.Context, p Principal) context.Context {
	o := audit.OriginOf(ctx)
	if o.Kind != audit.System && o.Kind != audit.Anonymous || p.Kind == "" || p.Kind == SystemKind {
		return ctx
	}
	o.Kind, o.ID, o.Name = string(p.Kind), p.ID, p.Name
	return audit.WithOrigin(ctx, o)
}

// note writes the audit entry of a change that succeeded. at says whose the
// object is; detail lists pairs of key and value, without secrets.
func (d *Directory) note(tx *store.Tx, action, kind, id string, at place, detail ...string) error {
	e := audit.Entry{Action: action, ObjectKind: kind, ObjectID: id, Realm: string(at.realm), Client: at.client, Service: at.service}
	for i := 0; i+1 < len(detail); i += 2 {
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail[detail[i]] = detail[i+1]
	}
	return d.Audit.Append(tx, e)
}

// A place says whose an object is; empty parts are nobody's.
type place struct {
	realm           Realm
	client, service string
}

// changed writes what a field was and became, for the detail of an audit entry.
func changed(pairs *[]string, field, before, after string) {
	if before != after {
		*pairs = append(*pairs, field, before+" → "+after)
	}
}
