package access

import (
	"slices"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A202: nobody edits their own rights, by no road.
func TestNobodyChangesTheirOwnRights(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		me := w.root.Principal().ID
		_, err := w.Grant(w.ctx, w.root, me, RoleAuditor, Production, "")
		w.want(err, fault.Forbidden, "grant.own")
		own, err := w.Grants(w.ctx, w.root, me)
		w.must(err)
		w.want(w.Revoke(w.ctx, w.root, own[0].ID), fault.Forbidden, "grant.own")
		w.want(w.DisableOperator(w.ctx, w.root, me), fault.Forbidden, "operator.self")
		_, err = w.ResetOperator(w.ctx, w.root, me)
		w.want(err, fault.Forbidden, "operator.self")

		role, err := w.CreateRole(w.ctx, w.root, RoleFields{Name: "Role keeper", Permissions: []Permission{RoleRead, RoleWrite}})
		w.must(err)
		_, keeper := w.operator("keeper", role.ID, "", "")
		_, err = w.UpdateRole(w.ctx, keeper, role.ID, RoleFields{Name: "Role keeper", Permissions: []Permission{RoleRead}})
		w.want(err, fault.Forbidden, "grant.own")
	})
}

// A1, A2, A3, A201: rights are handed out by role, and never more than one has.
func TestNobodyGrantsWhatTheyDoNotHave(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, boss := w.operator("boss", RoleClientAdmin, Production, w.north.ID)
		helper, _ := w.operator("helper", "", "", "")
		g, err := w.Grant(w.ctx, boss, helper.ID, RoleRAOperator, Production, w.north.ID)
		w.must(err)
		for _, c := range []struct {
			name, role string
			realm      Realm
			client     string
			kind       fault.Kind
			code       string
		}{
			{"the same again", RoleRAOperator, Production, w.north.ID, fault.Conflict, "grant.exists"},
			{"more than one has there", RoleAdministrator, Production, w.north.ID, fault.Forbidden, "grant.exceeds"},
			{"the same in the whole realm", RoleRAOperator, Production, "", fault.Forbidden, "access.forbidden"},
			{"the same over everything", RoleRAOperator, "", "", fault.Forbidden, "access.forbidden"},
			{"the same for another client", RoleRAOperator, Production, w.south.ID, fault.NotFound, "access.not_found"},
			{"a role that does not exist", "role-none", Production, w.north.ID, fault.NotFound, ""},
			{"a client in the wrong realm", RoleRAOperator, Preprod, w.north.ID, fault.Invalid, "grant.realm"},
		} {
			_, err := w.Grant(w.ctx, boss, helper.ID, c.role, c.realm, c.client)
			t.Log(c.name)
			w.want(err, c.kind, c.code)
		}
		chief, _ := w.operator("chief", RoleAdministrator, Production, w.north.ID)
		grants, err := w.Grants(w.ctx, w.root, chief.ID)
		w.must(err)
		w.want(w.Revoke(w.ctx, boss, grants[0].ID), fault.Forbidden, "grant.exceeds")
		w.want(w.DisableOperator(w.ctx, boss, chief.ID), fault.Forbidden, "grant.exceeds")
		_, _, err = w.CreateToken(w.ctx, boss, chief.ID, TokenFields{Name: "stolen"})
		w.want(err, fault.Forbidden, "grant.exceeds") // a token of a superior is the superior's rights
		w.must(w.Revoke(w.ctx, boss, g.ID))
		w.want(w.Revoke(w.ctx, boss, g.ID), fault.NotFound, "")
	})
}

// Two administrators cannot lock each other out: an administrator remains,
// even when the second still acts on what was read before the first.
func TestAnAdministratorAlwaysRemains(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		first := w.root.Principal().ID
		for name, act := range map[string]func(actor Scope, on Operator) error{
			"disable": func(s Scope, on Operator) error { return w.DisableOperator(w.ctx, s, on.ID) },
			"revoke": func(s Scope, on Operator) error {
				g, err := w.Grants(w.ctx, w.root, on.ID)
				w.must(err)
				return w.Revoke(w.ctx, s, g[0].ID)
			},
		} {
			op, stale := w.operator("second-"+name, RoleAdministrator, "", "")
			w.must(act(w.root, op))
			if err := act(stale, Operator{ID: first}); fault.Of(err).Kind != fault.Unauthenticated && fault.Of(err).Kind != fault.Forbidden {
				t.Errorf("%s with rights that are gone: %v", name, err)
			}
		}
		if !w.scopeOf(first).Allows(SettingsWrite, "", "") {
			t.Error("no administrator remains")
		}
	})
}

func TestAChangedRightCountsAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		role, err := w.CreateRole(w.ctx, w.root, RoleFields{Name: "Finder", Permissions: []Permission{CertificateSearch}})
		w.must(err)
		op, s := w.operator("finder", role.ID, Production, w.north.ID)
		if !s.Allows(CertificateSearch, Production, w.north.ID) || s.Allows(CertificateOrder, Production, w.north.ID) {
			t.Fatal("the role does not say what it allows")
		}
		// A second node has a cache of its own.
		other := newNode(t, w)
		if _, err := other.ScopeOf(w.ctx, op.ID); err != nil {
			t.Fatal(err)
		}
		_, err = w.UpdateRole(w.ctx, w.root, role.ID, RoleFields{Name: "Finder", Permissions: []Permission{CertificateOrder}})
		w.must(err)
		s, err = other.ScopeOf(w.ctx, op.ID)
		w.must(err)
		if s.Allows(CertificateSearch, Production, w.north.ID) || !s.Allows(CertificateOrder, Production, w.north.ID) {
			t.Error("the changed role did not reach the other node")
		}
		w.want(w.DeleteRole(w.ctx, w.root, role.ID), fault.Conflict, "role.in_use")
		grants, err := w.Grants(w.ctx, w.root, op.ID)
		w.must(err)
		w.must(w.Revoke(w.ctx, w.root, grants[0].ID))
		if s, err = other.ScopeOf(w.ctx, op.ID); err != nil || s.Holds(CertificateOrder) {
			t.Errorf("a revoked role still counts on the other node: %v", err)
		}
		w.must(w.DeleteRole(w.ctx, w.root, role.ID))
		w.must(w.DisableOperator(w.ctx, w.root, op.ID))
		_, err = other.ScopeOf(w.ctx, op.ID)
		w.want(err, fault.Unauthenticated, "access.disabled")
	})
}

// newNode is another process on the same database.
func newNode(t *testing.T, w *world) *Directory {
	t.Helper()
	d, err := New(w.Options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRolesAreNamedSetsOfPermissions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, err := w.CreateRole(w.ctx, w.root, RoleFields{Name: "Bad", Permissions: []Permission{"certificate.forge"}})
		w.want(err, fault.Invalid, "role.permission")
		mine, err := w.CreateRole(w.ctx, w.root, RoleFields{Name: "Mine", Permissions: []Permission{CertificateRevoke, CertificateSearch}})
		w.must(err)
		_, err = w.CreateRole(w.ctx, w.root, RoleFields{Name: "mine"})
		w.want(err, fault.Conflict, "role.exists")
		_, err = w.UpdateRole(w.ctx, w.root, RoleAuditor, RoleFields{Name: "x"})
		w.want(err, fault.Conflict, "role.built_in")
		_, boss := w.operator("boss", RoleClientAdmin, Production, w.north.ID)
		_, err = w.CreateRole(w.ctx, boss, RoleFields{Name: "x"})
		w.want(err, fault.Forbidden, "access.forbidden")
		roles, err := w.Roles(w.ctx, boss)
		w.must(err)
		last := roles[len(roles)-1]
		if last.ID != mine.ID || last.BuiltIn || !slices.Equal(last.Permissions, []Permission{CertificateSearch, CertificateRevoke}) || !roles[0].BuiltIn {
			t.Errorf("roles are %+v", roles)
		}
	})
}

// A role that a newer release wrote holds permissions unknown here: they allow
// nothing, and the known ones still work.
func TestUnknownPermissionsAllowNothing(t *testing.T) {
	set, err := decodePermissions(`["certificate.search","quantum.entangle"]`)
	if err != nil || !slices.Equal(set.list(), []Permission{CertificateSearch}) {
		t.Errorf("%v, %v", set.list(), err)
	}
	if set.has("quantum.entangle") || set.has("") {
		t.Error("an unknown permission is allowed")
	}
}

// A210, D2: a service account stays where it belongs and ends when it ends.
func TestServiceAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ends := w.clock.Now().Add(24 * time.Hour)
		a, err := w.CreateAccount(w.ctx, w.root, Production, w.north.ID, AccountFields{Name: "robot", Ends: ends})
		w.must(err)
		_, err = w.Grant(w.ctx, w.root, a.ID, RoleIntegration, Production, "")
		w.want(err, fault.Invalid, "grant.account")
		_, err = w.Grant(w.ctx, w.root, a.ID, RoleIntegration, Production, w.south.ID)
		w.want(err, fault.Invalid, "grant.account")
		_, err = w.Grant(w.ctx, w.root, a.ID, RoleIntegration, Production, w.north.ID)
		w.must(err)
		_, _, err = w.CreateToken(w.ctx, w.root, a.ID, TokenFields{Name: "t", Ends: ends.Add(time.Second)})
		w.want(err, fault.Invalid, "token.ends")
		_, key, err := w.CreateToken(w.ctx, w.root, a.ID, TokenFields{Name: "t"})
		w.must(err)
		s, _, err := w.AuthenticateToken(w.ctx, key)
		w.must(err)
		if s.Principal() != (Principal{AccountKind, a.ID, "robot"}) || !s.Allows(CertificateOrder, Production, w.north.ID) {
			t.Errorf("scope of %+v", s.Principal())
		}
		w.clock.Advance(24 * time.Hour)
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "access.ended")
		_, err = w.UpdateAccount(w.ctx, w.root, a.ID, AccountFields{Name: "robot"})
		w.must(err)
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.must(err)
		w.must(w.DisableAccount(w.ctx, w.root, a.ID))
		_, _, err = w.AuthenticateToken(w.ctx, key)
		w.want(err, fault.Unauthenticated, "access.disabled")
		w.want(w.DisableAccount(w.ctx, w.root, a.ID), fault.Conflict, "account.status")
		w.must(w.EnableAccount(w.ctx, w.root, a.ID))
		// It has no e-mail address and no password, so there is nothing to sign in with.
		_, err = w.Login(w.ctx, "robot", secretOf(goodPassword), Origin{})
		w.want(err, fault.Unauthenticated, "login.failed")
	})
}
