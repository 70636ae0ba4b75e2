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
	mine := owned{
		path: "/me", tag: "me", name: "My", whose: "one's own", needsToken: "Needs token.own.", needsCertificate: "Needs apicert.own.",
	}
	tokens(s, r, mine, func(ctx context.Context, _ *struct{}) string { return scope(ctx).Principal().ID })
	apiCertificates(s, r, mine, func(ctx context.Context, _ *struct{}) string { return scope(ctx).Principal().ID })
}

// owned says whose credentials a set of operations is about. The same
// operations exist for the caller and for service accounts.
type owned struct {
	path, tag, name, whose       string
	needsToken, needsCertificate string
}

func (o owned) operation(id, method, path, summary, text string) operation {
	return operation{id: id, method: method, path: o.path + path, tag: o.tag, summary: summary, text: text}
}
