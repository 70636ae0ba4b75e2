package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
)

// account is a service account.
type account struct {
	ID      string    `json:"id" example:"sa-0198b6a3-52f0-7e55-a1c0-93f1f0e7b2aa"`
	Name    string    `json:"name" example:"ordering system"`
	Realm   string    `json:"realm,omitempty" example:"production" doc:"Where it belongs; absent for every environment."`
	Client  string    `json:"client,omitempty" doc:"Id of the client that it belongs to; absent for every client."`
	Ends    time.Time `json:"ends,omitzero" doc:"When it stops working; absent when it has no end."`
	Status  string    `json:"status" enum:"active,disabled"`
	Created time.Time `json:"created"`
}

func showAccount(a access.ServiceAccount) account {
	return account{a.ID, a.Name, string(a.Realm), a.Client, utc(a.Ends), string(a.Status), utc(a.Created)}
}

type accountFields struct {
	Name string    `json:"name" minLength:"1" maxLength:"120" example:"ordering system"`
	Ends time.Time `json:"ends,omitzero" doc:"When it shall stop working; without it, it has no end."`
}

func (f accountFields) fields() access.AccountFields {
	return access.AccountFields{Name: f.Name, Ends: f.Ends}
}

type newAccount struct {
	Name   string    `json:"name" minLength:"1" maxLength:"120" example:"ordering system"`
	Realm  string    `json:"realm,omitempty" enum:"preprod,production" example:"production" doc:"Where it belongs; without it everywhere."`
	Client string    `json:"client,omitempty" maxLength:"80" doc:"Id of the client that it belongs to; without it every client of the environment."`
	Ends   time.Time `json:"ends,omitzero" doc:"When it shall stop working; without it, it has no end."`
}

type accountFilter struct {
	Paging
	Realm  string `query:"realm" enum:"preprod,production" doc:"Of this environment only."`
	Client string `query:"client" maxLength:"80" doc:"Of this client only (id)."`
	Search string `query:"search" maxLength:"200" doc:"Part of the name."`
}

func (s *server) accounts(r registrar) {
	const tag = "accounts"
	register(r, operation{
		id: "listAccounts", method: http.MethodGet, path: "/accounts", tag: tag, summary: "List service accounts", text: "Shows those where the caller has account.read.",
	}, func(ctx context.Context, in *accountFilter) (*list[account], error) {
		l, err := s.Access.Accounts(ctx, scope(ctx), access.AccountQuery{Realm: access.Realm(in.Realm), Client: in.Client, Search: in.Search, Page: in.page()})
		if err != nil {
			return nil, err
		}
		return listOf(ctx, l.Items, l.Next, showAccount), nil
	})
	register(r, operation{
		id: "createAccount", method: http.MethodPost, path: "/accounts", tag: tag, status: http.StatusCreated, refusals: []int{404, 409},
		summary: "Create a service account", text: "Needs account.write. It has no rights yet: grant it roles and create its tokens.",
	}, func(ctx context.Context, in *struct{ Body newAccount }) (*made[account], error) {
		n := in.Body
		a, err := s.Access.CreateAccount(ctx, scope(ctx), access.Realm(n.Realm), n.Client, access.AccountFields{Name: n.Name, Ends: n.Ends})
		return &made[account]{Prefix + "/accounts/" + a.ID, showAccount(a)}, err
	})
	register(r, operation{
		id: "getAccount", method: http.MethodGet, path: "/accounts/{id}", tag: tag, summary: "Look at a service account", text: "Needs account.read.",
	}, func(ctx context.Context, in *ByID) (*one[account], error) {
		a, err := s.Access.Account(ctx, scope(ctx), in.ID)
		return show(showAccount(a), err)
	})
	register(r, operation{
		id: "updateAccount", method: http.MethodPut, path: "/accounts/{id}", tag: tag, refusals: []int{409},
		summary: "Change a service account", text: "Needs account.write and all the rights that the account has.",
	}, func(ctx context.Context, in *struct {
		ByID
		Body accountFields
	},
	) (*one[account], error) {
		a, err := s.Access.UpdateAccount(ctx, scope(ctx), in.ID, in.Body.fields())
		return show(showAccount(a), err)
	})
	register(r, operation{
		id: "disableAccount", method: http.MethodPost, path: "/accounts/{id}/disable", tag: tag, refusals: []int{409},
		summary: "Stop a service account", text: "Needs account.write and all the rights that the account has. Its tokens and certificates stop working at once.",
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return done(s.Access.DisableAccount(ctx, scope(ctx), in.ID))
	})
	register(r, operation{
		id: "enableAccount", method: http.MethodPost, path: "/accounts/{id}/enable", tag: tag, refusals: []int{409},
		summary: "Let a service account act again", text: "Needs account.write and all the rights that the account has.",
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		return done(s.Access.EnableAccount(ctx, scope(ctx), in.ID))
	})
	s.accountTokens(r)
	s.accountCertificates(r)
}

const ofAccount = "Needs account.read to look and account.write to change, with all the rights that the account has."

func (s *server) accountTokens(r registrar) {
	op := tokenOperations{"/accounts/{id}/tokens", "accounts", "Account", ofAccount}
	register(r, op.list(), func(ctx context.Context, in *struct {
		ByID
		Paging
	},
	) (*list[token], error) {
		return s.listTokens(ctx, in.ID, in.page())
	})
	register(r, op.create(), func(ctx context.Context, in *struct {
		ByID
		Body newToken
	},
	) (*made[createdToken], error) {
		return s.createToken(ctx, "/accounts/"+in.ID+"/tokens", in.ID, in.Body)
	})
	register(r, op.change(), func(ctx context.Context, in *struct {
		ByID
		Token string `path:"token" maxLength:"80" doc:"The token's id."`
		Body  enabled
	},
	) (*one[token], error) {
		return s.enableToken(ctx, in.ID, in.Token, in.Body.Enabled)
	})
	register(r, op.remove(), func(ctx context.Context, in *struct {
		ByID
		Token string `path:"token" maxLength:"80" doc:"The token's id."`
	},
	) (*struct{}, error) {
		return s.deleteToken(ctx, in.ID, in.Token)
	})
}

func (s *server) accountCertificates(r registrar) {
	op := certificateOperations{"/accounts/{id}/api-certificates", "accounts", "Account", ofAccount}
	register(r, op.list(), func(ctx context.Context, in *ByID) (*list[apiCertificate], error) {
		return s.listAPICertificates(ctx, in.ID)
	})
	register(r, op.create(), func(ctx context.Context, in *struct {
		ByID
		Body newAPICertificate
	},
	) (*made[createdAPICertificate], error) {
		return s.createAPICertificate(ctx, "/accounts/"+in.ID+"/api-certificates", in.ID, in.Body)
	})
	type item struct {
		ByID
		Certificate string `path:"certificate" maxLength:"80" doc:"The certificate's id."`
	}
	register(r, op.get(), func(ctx context.Context, in *item) (*one[apiCertificate], error) {
		return s.getAPICertificate(ctx, in.ID, in.Certificate)
	})
	register(r, op.download(), func(ctx context.Context, in *item) (*certificateFile, error) {
		return s.downloadAPICertificate(ctx, in.ID, in.Certificate)
	})
	register(r, op.change(), func(ctx context.Context, in *struct {
		ByID
		Certificate string `path:"certificate" maxLength:"80" doc:"The certificate's id."`
		Body        enabled
	},
	) (*one[apiCertificate], error) {
		return s.enableAPICertificate(ctx, in.ID, in.Certificate, in.Body.Enabled)
	})
	register(r, op.remove(), func(ctx context.Context, in *item) (*struct{}, error) {
		return s.deleteAPICertificate(ctx, in.ID, in.Certificate)
	})
}
