package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
)

// grant is a role that was given to a caller, and where it holds.
type grant struct {
	ID        string    `json:"id" example:"grt-0198b6a6-1b2c-7d3e-8f40-516273849506"`
	Role      string    `json:"role" example:"integration" doc:"Id of the role."`
	Realm     string    `json:"realm,omitempty" example:"production" doc:"Where it holds; absent for every environment."`
	Client    string    `json:"client,omitempty" doc:"Id of the client where it holds; absent for every client."`
	GrantedBy string    `json:"grantedBy"`
	Granted   time.Time `json:"granted"`
}

func showGrant(g access.Grant) grant {
	return grant{g.ID, g.Role, string(g.Realm), g.Client, g.GrantedBy, utc(g.Granted)}
}

func showGrants(all []access.Grant) []grant {
	out := make([]grant, len(all))
	for i, g := range all {
		out[i] = showGrant(g)
	}
	return out
}

type newGrant struct {
	Role   string `json:"role" minLength:"1" maxLength:"80" example:"integration" doc:"Id of the role."`
	Realm  string `json:"realm,omitempty" enum:"preprod,production" example:"production" doc:"Where it shall hold; without it everywhere."`
	Client string `json:"client,omitempty" maxLength:"80" doc:"Id of the client where it shall hold; without it every client of the environment."`
}

// role is a named set of permissions.
type role struct {
	ID          string   `json:"id" example:"integration"`
	Name        string   `json:"name" example:"Integration"`
	Description string   `json:"description"`
	BuiltIn     bool     `json:"builtIn" doc:"Comes with the product and cannot be changed."`
	Permissions []string `json:"permissions" nullable:"false" example:"[\"certificate.order\"]"`
}

func showRole(r access.Role) role {
	v := role{ID: r.ID, Name: r.Name, Description: r.Description, BuiltIn: r.BuiltIn, Permissions: make([]string, len(r.Permissions))}
	for i, p := range r.Permissions {
		v.Permissions[i] = string(p)
	}
	return v
}

func (s *server) grants(r registrar) {
	const tag = "accounts"
	register(r, operation{
		id: "listRoles", method: http.MethodGet, path: "/roles", tag: tag, summary: "List the roles that can be granted", text: "Needs role.read.",
	}, func(ctx context.Context, _ *struct{}) (*list[role], error) {
		roles, err := s.Access.Roles(ctx, scope(ctx))
		if err != nil {
			return nil, err
		}
		return listOf(ctx, roles, "", showRole), nil
	})
	register(r, operation{
		id: "listAccountGrants", method: http.MethodGet, path: "/accounts/{id}/grants", tag: tag, summary: "List the roles of a service account",
		text: "Needs account.read; shows the grants in places where the caller has role.read.",
	}, func(ctx context.Context, in *ByID) (*list[grant], error) {
		found, err := s.accountGrants(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return listOf(ctx, found, "", showGrant), nil
	})
	register(r, operation{
		id: "createAccountGrant", method: http.MethodPost, path: "/accounts/{id}/grants", tag: tag, status: http.StatusCreated, refusals: []int{409},
		summary: "Grant a role to a service account", text: "Needs role.grant there and every permission of the role there.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body newGrant
	},
	) (*made[grant], error) {
		if _, err := s.Access.Account(ctx, scope(ctx), in.ID); err != nil {
			return nil, err
		}
		g, err := s.Access.Grant(ctx, scope(ctx), in.ID, in.Body.Role, access.Realm(in.Body.Realm), in.Body.Client)
		return &made[grant]{Prefix + "/accounts/" + in.ID + "/grants/" + g.ID, showGrant(g)}, err
	})
	register(r, operation{
		id: "deleteAccountGrant", method: http.MethodDelete, path: "/accounts/{id}/grants/{grant}", tag: tag,
		summary: "Take a role away from a service account", text: "Needs what granting it needs. It takes effect at once.",
	}, func(ctx context.Context, in *struct {
		ByID
		Grant string `path:"grant" maxLength:"80" doc:"The grant's id."`
	},
	) (*struct{}, error) {
		found, err := s.accountGrants(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		for _, g := range found {
			if g.ID == in.Grant {
				return done(s.Access.Revoke(ctx, scope(ctx), g.ID))
			}
		}
		return nil, access.NotFound()
	})
}

// accountGrants lists the grants of a service account that the caller may see.
func (s *server) accountGrants(ctx context.Context, id string) ([]access.Grant, error) {
	if _, err := s.Access.Account(ctx, scope(ctx), id); err != nil {
		return nil, err
	}
	return s.Access.Grants(ctx, scope(ctx), id)
}
