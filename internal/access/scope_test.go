package access

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func TestEveryPermissionHasItsOwnBit(t *testing.T) {
	if len(permissions) > 64 {
		t.Fatalf("%d permissions do not fit a set", len(permissions))
	}
	for i, p := range permissions {
		if slices.Index(permissions[:], p) != i || permissionBit[p] == 0 {
			t.Errorf("%s is listed twice or has no bit", p)
		}
	}
	for _, r := range builtIn() {
		if err := checkPermissions(r.Permissions); err != nil {
			t.Errorf("role %s: %v", r.ID, err)
		}
	}
}

// A4, A42: rights differ per client. The table is the meaning of a grant.
func TestScopeRequire(t *testing.T) {
	who := Principal{OperatorKind, "op-1", "Operator"}
	some := setOf([]Permission{CertificateOrder, CertificateRevoke})
	onlyOrder := setOf([]Permission{CertificateOrder})
	perClient := Scope{principal: who, grants: []grant{{allowed: some, realm: Production, client: "a"}, {allowed: onlyOrder, realm: Production, client: "b"}}}
	perRealm := Scope{principal: who, grants: []grant{{allowed: some, realm: Preprod}}}
	everything := Scope{principal: who, grants: []grant{{allowed: some}}}
	service := ForService(Service{ID: "svc-1", Name: "demo", Realm: Production, Client: "a"}, DocumentRead)
	ok := fault.Kind(255)
	for _, c := range []struct {
		name   string
		scope  Scope
		p      Permission
		realm  Realm
		client string
		want   fault.Kind
	}{
		{"issue and revoke for A", perClient, CertificateRevoke, Production, "a", ok},
		{"issue for B", perClient, CertificateOrder, Production, "b", ok},
		{"but not revoke for B", perClient, CertificateRevoke, Production, "b", fault.Forbidden},
		{"C is not even there", perClient, CertificateOrder, Production, "c", fault.NotFound},
		{"nor is A in another realm", perClient, CertificateOrder, Preprod, "a", fault.NotFound},
		{"a client's rights are not the realm's", perClient, CertificateOrder, Production, "", fault.Forbidden},
		{"nor the installation's", perClient, CertificateOrder, "", "", fault.Forbidden},
		{"a realm's rights reach each client", perRealm, CertificateRevoke, Preprod, "x", ok},
		{"and the realm", perRealm, CertificateRevoke, Preprod, "", ok},
		{"and no other realm", perRealm, CertificateRevoke, Production, "x", fault.NotFound},
		{"rights over everything reach everywhere", everything, CertificateOrder, Production, "z", ok},
		{"and the installation", everything, CertificateOrder, "", "", ok},
		{"but no other permission", everything, SettingsWrite, "", "", fault.Forbidden},
		{"a service has no rights on its client", service, DocumentRead, Production, "a", fault.NotFound},
		{"the zero scope sees nothing", Scope{}, CertificateOrder, Production, "a", fault.NotFound},
		{"nor may it do anything", Scope{}, CertificateOrder, "", "", fault.Unauthenticated},
		{"the system may", System("jobs"), SettingsWrite, "", "", ok},
		{"what exists", System("jobs"), "nonsense", "", "", fault.Forbidden},
	} {
		err := c.scope.Require(c.p, c.realm, c.client)
		if c.want == ok && err != nil || c.want != ok && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if allows := c.scope.Allows(c.p, c.realm, c.client); allows != (err == nil) {
			t.Errorf("%s: Allows says %v", c.name, allows)
		}
	}
}

// N9: a service reaches its own data and no other's, even of the same client.
func TestServiceScopeReachesOneService(t *testing.T) {
	s := ForService(Service{ID: "svc-1", Name: "demo", Realm: Production, Client: "a"}, DocumentRead)
	for _, c := range []struct {
		name, client, service string
		realm                 Realm
		p                     Permission
		want                  bool
	}{
		{"its own", "a", "svc-1", Production, DocumentRead, true},
		{"another permission", "a", "svc-1", Production, DocumentWrite, false},
		{"another service", "a", "svc-2", Production, DocumentRead, false},
		{"no service", "a", "", Production, DocumentRead, false},
		{"another client", "b", "svc-1", Production, DocumentRead, false},
		{"another realm", "a", "svc-1", Preprod, DocumentRead, false},
	} {
		if got := s.AllowsService(c.p, c.realm, c.client, c.service); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// place of the property test: clients belong to one realm, services to one client.
type rowPlace struct {
	realm           Realm
	client, service string
}

func rowPlaces() []rowPlace {
	var out []rowPlace
	for _, r := range Realms() {
		for c := range 3 {
			client := fmt.Sprintf("%s-%d", r, c)
			for s := range 2 {
				out = append(out, rowPlace{r, client, fmt.Sprintf("%s-s%d", client, s)})
			}
		}
	}
	return out
}

// The SQL of Filter and FilterService keeps exactly the rows that Allows and
// AllowsService accept, for any grants.
func TestFilterAgreesWithAllows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		places := rowPlaces()
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`CREATE TABLE rows_of_tenants (realm TEXT, client TEXT, service TEXT)`); err != nil {
				return err
			}
			for _, p := range places {
				if _, err := tx.Exec(`INSERT INTO rows_of_tenants VALUES ($1, $2, $3)`, string(p.realm), p.client, p.service); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) {
			s := Scope{principal: Principal{OperatorKind, "op", "Operator"}, grants: rapid.SliceOfN(rapid.Custom(drawGrant), 0, 6).Draw(rt, "grants")}
			p := rapid.SampledFrom([]Permission{DocumentRead, DocumentWrite, CertificateOrder}).Draw(rt, "permission")
			compare := func(what, cond string, args []any, allows func(rowPlace) bool) {
				rows, err := db.View(t.Context()).Query(`SELECT service FROM rows_of_tenants WHERE $1 = 1 AND `+cond+` ORDER BY service`, args...)
				got, err := store.Collect(rows, err, func(r *store.Rows) (v string, err error) { return v, r.Scan(&v) })
				if err != nil {
					rt.Fatalf("%s: %v", what, err)
				}
				var want []string
				for _, pl := range places {
					if allows(pl) {
						want = append(want, pl.service)
					}
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					rt.Fatalf("%s: %s with %v gave %v, want %v", what, cond, args, got, want)
				}
			}
			cond, args := s.Filter(p, "realm", "client", []any{1})
			compare("Filter", cond, args, func(pl rowPlace) bool { return s.Allows(p, pl.realm, pl.client) })
			cond, args = s.FilterService(p, "realm", "client", "service", []any{1})
			compare("FilterService", cond, args, func(pl rowPlace) bool { return s.AllowsService(p, pl.realm, pl.client, pl.service) })
		})
	})
}

func drawGrant(rt *rapid.T) grant {
	g := grant{allowed: setOf(rapid.SliceOf(rapid.SampledFrom([]Permission{DocumentRead, DocumentWrite, CertificateOrder})).Draw(rt, "allowed"))}
	p := rapid.SampledFrom(rowPlaces()).Draw(rt, "place")
	switch rapid.IntRange(0, 3).Draw(rt, "level") {
	case 1:
		g.realm = p.realm
	case 2:
		g.realm, g.client = p.realm, p.client
	case 3:
		g.realm, g.client, g.service = p.realm, p.client, p.service
	}
	return g
}
