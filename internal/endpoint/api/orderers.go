package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
)

// orderer is a person whom a client has authorised.
type orderer struct {
	ID          string    `json:"id" example:"per-0198b6a1-0c3e-7a10-b7a4-52a0f1d2c3b4"`
	Client      string    `json:"client" doc:"Id of the client."`
	Name        string    `json:"name" example:"Authorised Person"`
	Email       string    `json:"email" example:"person@example.com"`
	Mobile      string    `json:"mobile" example:"+4512345678"`
	Language    string    `json:"language" example:"en"`
	Active      bool      `json:"active" doc:"Whether the person may order and receive."`
	AddedBy     string    `json:"addedBy"`
	Added       time.Time `json:"added"`
	Deactivated time.Time `json:"deactivated,omitzero"`
}

func showOrderer(o access.Orderer) orderer {
	return orderer{o.ID, o.Client, o.Name, o.Email, o.Mobile, o.Language, o.Active, o.AddedBy, utc(o.Added), utc(o.Deactivated)}
}

type ordererFields struct {
	Name     string `json:"name" minLength:"1" maxLength:"120" example:"Authorised Person"`
	Email    string `json:"email" minLength:"3" maxLength:"254" example:"person@example.com"`
	Mobile   string `json:"mobile" minLength:"7" maxLength:"40" example:"+4512345678" doc:"With + and the country's code. One-time passwords are sent there."`
	Language string `json:"language,omitempty" enum:"en,da,nb,sv,fi,de,fr,it" example:"en" doc:"Of messages; en by default."`
}

func (f ordererFields) fields() access.OrdererFields {
	return access.OrdererFields{Name: f.Name, Email: f.Email, Mobile: f.Mobile, Language: f.Language}
}

func (s *server) orderers(r registrar) {
	const tag = "orderers"
	register(r, operation{
		id: "listOrderers", method: http.MethodGet, path: "/clients/{id}/orderers", tag: tag, summary: "List the authorised persons of a client", text: "Needs client.read and orderer.read.",
	}, func(ctx context.Context, in *struct {
		ByID
		Paging
		Search     string `query:"search" maxLength:"200" doc:"Part of the name, e-mail address or mobile number."`
		ActiveOnly bool   `query:"activeOnly" doc:"Leave out those whose authorisation ended."`
	},
	) (*list[orderer], error) {
		if _, err := s.Access.Client(ctx, scope(ctx), in.ID); err != nil {
			return nil, err
		}
		l, err := s.Access.Orderers(ctx, scope(ctx), access.OrdererQuery{Client: in.ID, Search: in.Search, ActiveOnly: in.ActiveOnly, Page: in.page()})
		if err != nil {
			return nil, err
		}
		return listOf(ctx, l.Items, l.Next, showOrderer), nil
	})
	register(r, operation{
		id: "createOrderer", method: http.MethodPost, path: "/clients/{id}/orderers", tag: tag, status: http.StatusCreated, refusals: []int{409},
		summary: "Authorise a person", text: "Needs orderer.write.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body ordererFields
	},
	) (*made[orderer], error) {
		o, err := s.Access.AddOrderer(ctx, scope(ctx), in.ID, in.Body.fields())
		return &made[orderer]{Prefix + "/orderers/" + o.ID, showOrderer(o)}, err
	})
	register(r, operation{
		id: "getOrderer", method: http.MethodGet, path: "/orderers/{id}", tag: tag, summary: "Look at an authorised person", text: "Needs orderer.read.",
	}, func(ctx context.Context, in *ByID) (*one[orderer], error) {
		o, err := s.Access.Orderer(ctx, scope(ctx), in.ID)
		return show(showOrderer(o), err)
	})
	register(r, operation{
		id: "updateOrderer", method: http.MethodPut, path: "/orderers/{id}", tag: tag, refusals: []int{409},
		summary: "Correct what is known about a person", text: "Needs orderer.write. Orders that exist keep what they were made with.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body ordererFields
	},
	) (*one[orderer], error) {
		o, err := s.Access.UpdateOrderer(ctx, scope(ctx), in.ID, in.Body.fields())
		return show(showOrderer(o), err)
	})
	register(r, operation{
		id: "deactivateOrderer", method: http.MethodPost, path: "/orderers/{id}/deactivate", tag: tag, refusals: []int{409},
		summary: "End a person's authorisation", text: "Needs orderer.write.",
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return done(s.Access.DeactivateOrderer(ctx, scope(ctx), in.ID))
	})
}
