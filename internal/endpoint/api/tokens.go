package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// token is an API token without its secret.
type token struct {
	ID       string    `json:"id" example:"tok-0198b6a4-0d1e-7b22-8c33-aa44bb55cc66"`
	Name     string    `json:"name" example:"nightly"`
	Hint     string    `json:"hint" example:"x9Qf2k" doc:"The token's last six characters."`
	Enabled  bool      `json:"enabled"`
	Ends     time.Time `json:"ends,omitzero" doc:"When it stops working; absent when it has no end."`
	LastUsed time.Time `json:"lastUsed,omitzero" doc:"Exact to a minute; absent when it was never used."`
	Created  time.Time `json:"created"`
}

func showToken(t access.Token) token {
	return token{t.ID, t.Name, t.Hint, t.Enabled, utc(t.Ends), utc(t.LastUsed), utc(t.Created)}
}

type newToken struct {
	Name string    `json:"name" minLength:"1" maxLength:"120" example:"nightly"`
	Ends time.Time `json:"ends,omitzero" doc:"When it shall stop working; without it, it has no end."`
}

type createdToken struct {
	Token  token  `json:"token"`
	Secret string `json:"secret" example:"swt_…" doc:"The token itself, shown this once."`
}

type enabled struct {
	Enabled bool `json:"enabled" doc:"Whether it works. Switching takes effect at once."`
}

// tokenOperations describes the operations on one owner's tokens.
type tokenOperations struct{ path, tag, owner, needs string }

func (t tokenOperations) list() operation {
	return operation{id: "list" + t.owner + "Tokens", method: http.MethodGet, path: t.path, tag: t.tag, summary: "List API tokens", text: t.needs}
}

func (t tokenOperations) create() operation {
	return operation{
		id: "create" + t.owner + "Token", method: http.MethodPost, path: t.path, tag: t.tag, status: http.StatusCreated, refusals: []int{409},
		summary: "Create an API token", text: t.needs + " The token is in this answer and nowhere else.",
	}
}

func (t tokenOperations) change() operation {
	return operation{
		id: "change" + t.owner + "Token", method: http.MethodPatch, path: t.path + "/{token}", tag: t.tag,
		summary: "Disable or enable an API token", text: t.needs,
	}
}

func (t tokenOperations) remove() operation {
	return operation{
		id: "delete" + t.owner + "Token", method: http.MethodDelete, path: t.path + "/{token}", tag: t.tag,
		summary: "Delete an API token", text: t.needs + " It stops working at once and for good.",
	}
}

func (s *server) listTokens(ctx context.Context, owner string, p store.Page) (*list[token], error) {
	l, err := s.Access.Tokens(ctx, scope(ctx), owner, p)
	if err != nil {
		return nil, err
	}
	return listOf(ctx, l.Items, l.Next, showToken), nil
}

func (s *server) createToken(ctx context.Context, path, owner string, n newToken) (*made[createdToken], error) {
	t, key, err := s.Access.CreateToken(ctx, scope(ctx), owner, access.TokenFields{Name: n.Name, Ends: n.Ends})
	if err != nil {
		return nil, err
	}
	return &made[createdToken]{Prefix + path + "/" + t.ID, createdToken{showToken(t), key.Reveal()}}, nil
}

// ownToken finds a token below the owner in whose path it is named.
func (s *server) ownToken(ctx context.Context, owner, id string) (access.Token, error) {
	t, err := s.Access.Token(ctx, scope(ctx), id)
	if err == nil && t.Owner != owner {
		err = access.NotFound()
	}
	return t, err
}

func (s *server) enableToken(ctx context.Context, owner, id string, on bool) (*one[token], error) {
	t, err := s.ownToken(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	t.Enabled = on
	return show(showToken(t), s.Access.SetTokenEnabled(ctx, scope(ctx), id, on))
}

func (s *server) deleteToken(ctx context.Context, owner, id string) (*struct{}, error) {
	if _, err := s.ownToken(ctx, owner, id); err != nil {
		return nil, err
	}
	return done(s.Access.DeleteToken(ctx, scope(ctx), id))
}
