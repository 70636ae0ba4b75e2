package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
)

// client is an organisation with an agreement.
type client struct {
	ID        string    `json:"id" example:"cli-0198b6a0-11aa-7f00-8c55-1f0a6a4f7e21"`
	Realm     string    `json:"realm" enum:"preprod,production" example:"production"`
	Name      string    `json:"name" example:"Example Bank"`
	Country   string    `json:"country" example:"DK"`
	OrgNumber string    `json:"orgNumber,omitempty" example:"12345678" doc:"In the register of that country."`
	Status    string    `json:"status" enum:"active,closed"`
	Created   time.Time `json:"created"`
}

func showClient(c access.Client) client {
	return client{c.ID, string(c.Realm), c.Name, c.Country, c.OrgNumber, string(c.Status), utc(c.Created)}
}

type clientFields struct {
	Name      string `json:"name" minLength:"1" maxLength:"120" example:"Example Bank"`
	Country   string `json:"country" minLength:"2" maxLength:"2" example:"DK" doc:"ISO 3166-1 alpha-2."`
	OrgNumber string `json:"orgNumber,omitempty" maxLength:"40" example:"12345678" doc:"In the register of that country; unique in the environment."`
}

type newClient struct {
	Realm     string `json:"realm" enum:"preprod,production" example:"production"`
	Name      string `json:"name" minLength:"1" maxLength:"120" example:"Example Bank"`
	Country   string `json:"country" minLength:"2" maxLength:"2" example:"DK" doc:"ISO 3166-1 alpha-2."`
	OrgNumber string `json:"orgNumber,omitempty" maxLength:"40" example:"12345678" doc:"In the register of that country; unique in the environment."`
}

type clientFilter struct {
	Paging
	Realm  string `query:"realm" enum:"preprod,production" doc:"Of this environment only."`
	Search string `query:"search" maxLength:"200" doc:"Part of the name or organisation number."`
}

func (s *server) clients(r registrar) {
	const tag = "clients"
	register(r, operation{
		id: "listClients", method: http.MethodGet, path: "/clients", tag: tag, summary: "List clients", text: "Shows those where the caller has client.read.",
	}, func(ctx context.Context, in *clientFilter) (*list[client], error) {
		l, err := s.Access.Clients(ctx, scope(ctx), access.ClientQuery{Realm: access.Realm(in.Realm), Search: in.Search, Page: in.page()})
		if err != nil {
			return nil, err
		}
		return listOf(ctx, l.Items, l.Next, showClient), nil
	})
	register(r, operation{
		id: "createClient", method: http.MethodPost, path: "/clients", tag: tag, status: http.StatusCreated, refusals: []int{404, 409},
		summary: "Create a client", text: "Needs client.write on the environment.",
	}, func(ctx context.Context, in *struct{ Body newClient }) (*made[client], error) {
		n := in.Body
		c, err := s.Access.CreateClient(ctx, scope(ctx), access.Realm(n.Realm), access.ClientFields{Name: n.Name, Country: n.Country, OrgNumber: n.OrgNumber})
		return &made[client]{Prefix + "/clients/" + c.ID, showClient(c)}, err
	})
	register(r, operation{
		id: "getClient", method: http.MethodGet, path: "/clients/{id}", tag: tag, summary: "Look at a client", text: "Needs client.read.",
	}, func(ctx context.Context, in *ByID) (*one[client], error) {
		c, err := s.Access.Client(ctx, scope(ctx), in.ID)
		return show(showClient(c), err)
	})
	register(r, operation{
		id: "updateClient", method: http.MethodPut, path: "/clients/{id}", tag: tag, refusals: []int{409}, summary: "Change a client", text: "Needs client.write.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body clientFields
	},
	) (*one[client], error) {
		n := in.Body
		c, err := s.Access.UpdateClient(ctx, scope(ctx), in.ID, access.ClientFields{Name: n.Name, Country: n.Country, OrgNumber: n.OrgNumber})
		return show(showClient(c), err)
	})
	register(r, operation{
		id: "closeClient", method: http.MethodPost, path: "/clients/{id}/close", tag: tag, refusals: []int{409},
		summary: "Close a client", text: "Needs client.write. Its services, authorised persons and service accounts end with it. It cannot be undone.",
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return done(s.Access.CloseClient(ctx, scope(ctx), in.ID))
	})
}
