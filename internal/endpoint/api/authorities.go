package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
)

// certificationAuthority is what is public about an authority.
type certificationAuthority struct {
	ID          string    `json:"id" example:"production-clients-1"`
	Realm       string    `json:"realm" example:"production" doc:"The environment; platform for that of API client certificates."`
	Name        string    `json:"name" example:"Sealwright Production Clients CA 1"`
	Kind        string    `json:"kind" enum:"root,issuing"`
	Purpose     string    `json:"purpose" example:"client-auth"`
	Parent      string    `json:"parent,omitempty" doc:"Id of the authority above; absent for a root."`
	Status      string    `json:"status" enum:"active,waiting,closed" doc:"waiting: for its certificate from an offline root. closed: issues no more, but still answers."`
	NotBefore   time.Time `json:"notBefore,omitzero"`
	NotAfter    time.Time `json:"notAfter,omitzero"`
	Certificate string    `json:"certificate,omitempty" doc:"Its certificate in PEM."`
	Links       *links    `json:"links,omitempty" doc:"Where it publishes."`
}

type links struct {
	Certificate string `json:"certificate" example:"http://pki.example.com/ca/production-clients-1.crt"`
	CRL         string `json:"crl" example:"http://pki.example.com/crl/production-clients-1.crl"`
	OCSP        string `json:"ocsp" example:"http://pki.example.com/ocsp/production-clients-1"`
}

func (s *server) showAuthority(a *authority.Authority) certificationAuthority {
	v := certificationAuthority{
		ID: a.ID, Realm: a.Realm, Name: a.Name, Kind: a.Kind, Purpose: string(a.Purpose), Parent: a.Parent, Status: a.Status,
	}
	if a.Certificate == nil {
		return v
	}
	u := s.Authority.URLs()
	v.NotBefore, v.NotAfter = utc(a.Certificate.NotBefore), utc(a.Certificate.NotAfter)
	v.Certificate = pemCertificate(a.DER)
	v.Links = &links{u.Issuer(a.ID), u.CRL(a.ID), u.OCSP(a.ID)}
	return v
}

// visibleAuthority: what has a certificate is published for everybody; what
// waits for one concerns those who run the installation.
func visibleAuthority(ctx context.Context, a *authority.Authority) bool {
	return a.Certificate != nil || scope(ctx).Allows(access.AuthorityRead, "", "")
}

func (s *server) authorities(r registrar) {
	const tag = "authorities"
	register(r, operation{
		id: "listAuthorities", method: http.MethodGet, path: "/authorities", tag: tag, summary: "List the certification authorities",
		text: "Every caller sees what is public about those that have a certificate; authority.read shows those that wait for one as well.",
	}, func(ctx context.Context, _ *struct{}) (*list[certificationAuthority], error) {
		all, err := s.Authority.List(ctx)
		if err != nil {
			return nil, err
		}
		seen := make([]*authority.Authority, 0, len(all))
		for _, a := range all {
			if visibleAuthority(ctx, a) {
				seen = append(seen, a)
			}
		}
		return listOf(ctx, seen, "", s.showAuthority), nil
	})
	register(r, operation{
		id: "getAuthority", method: http.MethodGet, path: "/authorities/{id}", tag: tag, summary: "Look at a certification authority",
	}, func(ctx context.Context, in *ByID) (*one[certificationAuthority], error) {
		a, err := s.Authority.Get(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if !visibleAuthority(ctx, a) {
			return nil, access.NotFound()
		}
		return show(s.showAuthority(a), nil)
	})
}
