package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// service is a customer account of a client.
type service struct {
	ID          string    `json:"id" example:"svc-0198b6a0-52f0-7e55-a1c0-93f1f0e7b2aa"`
	Realm       string    `json:"realm" enum:"preprod,production" example:"production"`
	Client      string    `json:"client" doc:"Id of the client."`
	Name        string    `json:"name" example:"demo" doc:"Stands in certificates and is unique in the environment for ever."`
	Profile     string    `json:"profile,omitempty" doc:"Graphical profile; absent for the default."`
	Status      string    `json:"status" enum:"active,closed"`
	HasPassword bool      `json:"hasPassword" doc:"Whether the web-service password is set."`
	Created     time.Time `json:"created"`
	Closed      time.Time `json:"closed,omitzero"`
}

func showService(v access.Service) service {
	return service{v.ID, string(v.Realm), v.Client, v.Name, v.Profile, string(v.Status), v.HasPassword, utc(v.Created), utc(v.Closed)}
}

type newService struct {
	Name    string `json:"name" minLength:"1" maxLength:"40" pattern:"^[a-z0-9-]+$" example:"demo" doc:"Characters a-z, 0-9 and dash."`
	Profile string `json:"profile,omitempty" maxLength:"40" doc:"Graphical profile."`
}

type serviceFields struct {
	Profile string `json:"profile" maxLength:"40" doc:"Graphical profile; empty for the default."`
}

type newPassword struct {
	Password string `json:"password,omitempty" minLength:"12" maxLength:"200" doc:"The new password; without it one is made."`
}

type setPassword struct {
	Password string `json:"password,omitempty" doc:"The password that was made, shown this once; absent when the caller chose it."`
}

func (s *server) services(r registrar) {
	const tag = "services"
	register(r, operation{
		id: "listServices", method: http.MethodGet, path: "/clients/{id}/services", tag: tag, summary: "List the services of a client", text: "Needs client.read and service.read.",
	}, func(ctx context.Context, in *struct {
		ByID
		Paging
		Search string `query:"search" maxLength:"200" doc:"Part of the name."`
	},
	) (*list[service], error) {
		if _, err := s.Access.Client(ctx, scope(ctx), in.ID); err != nil {
			return nil, err
		}
		l, err := s.Access.Services(ctx, scope(ctx), access.ServiceQuery{Client: in.ID, Search: in.Search, Page: in.page()})
		if err != nil {
			return nil, err
		}
		return listOf(ctx, l.Items, l.Next, showService), nil
	})
	register(r, operation{
		id: "createService", method: http.MethodPost, path: "/clients/{id}/services", tag: tag, status: http.StatusCreated, refusals: []int{409},
		summary: "Create a service", text: "Needs service.write.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body newService
	},
	) (*made[service], error) {
		v, err := s.Access.CreateService(ctx, scope(ctx), in.ID, in.Body.Name, access.ServiceFields{Profile: in.Body.Profile})
		return &made[service]{Prefix + "/services/" + v.ID, showService(v)}, err
	})
	register(r, operation{
		id: "getService", method: http.MethodGet, path: "/services/{id}", tag: tag, summary: "Look at a service", text: "Needs service.read.",
	}, func(ctx context.Context, in *ByID) (*one[service], error) {
		v, err := s.Access.Service(ctx, scope(ctx), in.ID)
		return show(showService(v), err)
	})
	register(r, operation{
		id: "updateService", method: http.MethodPut, path: "/services/{id}", tag: tag, refusals: []int{409}, summary: "Change a service", text: "Needs service.write.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body serviceFields
	},
	) (*one[service], error) {
		v, err := s.Access.UpdateService(ctx, scope(ctx), in.ID, access.ServiceFields{Profile: in.Body.Profile})
		return show(showService(v), err)
	})
	register(r, operation{
		id: "closeService", method: http.MethodPost, path: "/services/{id}/close", tag: tag, refusals: []int{409},
		summary: "Close a service", text: "Needs service.write. Its password stops at once. It cannot be undone.",
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return done(s.Access.CloseService(ctx, scope(ctx), in.ID))
	})
	register(r, operation{
		id: "setServicePassword", method: http.MethodPut, path: "/services/{id}/password", tag: tag, refusals: []int{409},
		summary: "Set the web-service password", text: "Needs service.write. The old one stops at once.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body newPassword
	},
	) (*one[setPassword], error) {
		if in.Body.Password != "" {
			return show(setPassword{}, s.Access.SetServicePassword(ctx, scope(ctx), in.ID, secret.New(in.Body.Password)))
		}
		p := secret.NewPassword(24)
		return show(setPassword{p.Reveal()}, s.Access.SetServicePassword(ctx, scope(ctx), in.ID, p))
	})
}
