package access

import (
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// D1, D2, D8: one's own certificates, or those of a service account that one
// runs; the owner's limits come along.
func TestCredentialOwner(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		a, _ := w.account("robot", RoleIntegration, Production, w.north.ID)
		me, ra := w.operator("ra", RoleRAOperator, Production, w.north.ID)
		_, boss := w.operator("boss", RoleClientAdmin, Production, w.north.ID)
		_, south := w.operator("south", RoleClientAdmin, Production, w.south.ID)
		auditor, audit := w.operator("auditor", RoleAuditor, Production, w.north.ID)
		ok := fault.Kind(255)
		for _, c := range []struct {
			name  string
			scope Scope
			owner string
			want  fault.Kind
		}{
			{"one's own", ra, me.ID, ok},
			{"one's own without the permission", audit, auditor.ID, fault.Forbidden},
			{"a service account that one runs", boss, a.ID, ok},
			{"a service account that one may only see", audit, a.ID, fault.Forbidden},
			{"a service account of another client", south, a.ID, fault.NotFound},
			{"nobody's", w.root, "sa-none", fault.NotFound},
		} {
			o, err := CredentialOwner(db.View(w.ctx), c.scope, c.owner, APICertOwn, true)
			if c.want == ok && (err != nil || o.ID != c.owner || !o.Active) || c.want != ok && fault.Of(err).Kind != c.want {
				t.Errorf("%s: %+v, %v", c.name, o, err)
			}
		}
	})
}

// A200: who may order for a client hears of it, unless muted.
func TestNotified(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(o *Options) { o.WithoutSecond = true })
		w.operator("loud", RoleRAOperator, Production, w.north.ID)
		w.operator("quiet", RoleRAOperator, Production, w.north.ID)
		w.operator("south", RoleRAOperator, Production, w.south.ID)
		w.operator("auditor", RoleAuditor, Production, w.north.ID)
		w.must(w.SetPreferences(w.ctx, w.session(w.login("quiet@example.com").Token), Preferences{Muted: true}))
		got, err := w.Notified(w.ctx, Production, w.north.ID)
		w.must(err)
		if names(got, func(s string) string { return s }) != "[root@example.com loud@example.com]" {
			t.Errorf("notified %v", got)
		}
	})
}
