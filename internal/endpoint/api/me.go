package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
)

// self is the caller.
type self struct {
	ID          string     `json:"id" example:"sa-0198b6a3-52f0-7e55-a1c0-93f1f0e7b2aa"`
	Kind        string     `json:"kind" enum:"operator,service-account" example:"service-account"`
	Name        string     `json:"name" example:"ordering system"`
	Credential  credential `json:"credential" doc:"What the caller showed."`
	Permissions []string   `json:"permissions" nullable:"false" example:"[\"certificate.order\",\"certificate.search\"]" doc:"What the caller may do somewhere."`
	Grants      []grant    `json:"grants" nullable:"false" doc:"The roles behind them, and where they hold."`
}

type credential struct {
	Method string    `json:"method" enum:"token,certificate" example:"token"`
	Name   string    `json:"name" example:"nightly" doc:"Of the token, or the certificate's nickname."`
	Ends   time.Time `json:"ends,omitzero" doc:"When it stops working; absent when it has no end."`
}

func (s *server) me(r registrar) {
	register(r, operation{
		id: "getMe", method: http.MethodGet, path: "/me", tag: "me", summary: "Who am I, and what may I do?",
	}, func(ctx context.Context, _ *struct{}) (*one[self], error) {
		c := visitOf(ctx).caller
		p := c.Scope.Principal()
		v := self{ID: p.ID, Kind: string(p.Kind), Name: p.Name, Credential: credential{string(c.Method), c.Name, utc(c.Ends)}, Permissions: []string{}}
		for _, x := range access.Permissions() {
			if c.Scope.Holds(x) {
				v.Permissions = append(v.Permissions, string(x))
			}
		}
		grants, err := s.Access.Grants(ctx, c.Scope, p.ID)
		v.Grants = showGrants(grants)
		return show(v, err)
	})
	s.myTokens(r)
	s.myCertificates(r)
}

// self makes the caller the owner of credentials.
func (s *server) self(ctx context.Context) string { return scope(ctx).Principal().ID }

func (s *server) myTokens(r registrar) {
	op := tokenOperations{"/me/tokens", "me", "My", "Needs token.own."}
	register(r, op.list(), func(ctx context.Context, in *Paging) (*list[token], error) {
		return s.listTokens(ctx, s.self(ctx), in.page())
	})
	register(r, op.create(), func(ctx context.Context, in *struct{ Body newToken }) (*made[createdToken], error) {
		return s.createToken(ctx, op.path, s.self(ctx), in.Body)
	})
	register(r, op.change(), func(ctx context.Context, in *struct {
		Token string `path:"token" maxLength:"80" doc:"The token's id."`
		Body  enabled
	},
	) (*one[token], error) {
		return s.enableToken(ctx, s.self(ctx), in.Token, in.Body.Enabled)
	})
	register(r, op.remove(), func(ctx context.Context, in *struct {
		Token string `path:"token" maxLength:"80" doc:"The token's id."`
	},
	) (*struct{}, error) {
		return s.deleteToken(ctx, s.self(ctx), in.Token)
	})
}

func (s *server) myCertificates(r registrar) {
	op := certificateOperations{"/me/api-certificates", "me", "My", "Needs apicert.own."}
	register(r, op.list(), func(ctx context.Context, _ *struct{}) (*list[apiCertificate], error) {
		return s.listAPICertificates(ctx, s.self(ctx))
	})
	register(r, op.create(), func(ctx context.Context, in *struct{ Body newAPICertificate }) (*made[createdAPICertificate], error) {
		return s.createAPICertificate(ctx, op.path, s.self(ctx), in.Body)
	})
	type item struct {
		Certificate string `path:"certificate" maxLength:"80" doc:"The certificate's id."`
	}
	register(r, op.get(), func(ctx context.Context, in *item) (*one[apiCertificate], error) {
		return s.getAPICertificate(ctx, s.self(ctx), in.Certificate)
	})
	register(r, op.download(), func(ctx context.Context, in *item) (*certificateFile, error) {
		return s.downloadAPICertificate(ctx, s.self(ctx), in.Certificate)
	})
	register(r, op.change(), func(ctx context.Context, in *struct {
		Certificate string `path:"certificate" maxLength:"80" doc:"The certificate's id."`
		Body        enabled
	},
	) (*one[apiCertificate], error) {
		return s.enableAPICertificate(ctx, s.self(ctx), in.Certificate, in.Body.Enabled)
	})
	register(r, op.remove(), func(ctx context.Context, in *item) (*struct{}, error) {
		return s.deleteAPICertificate(ctx, s.self(ctx), in.Certificate)
	})
}
