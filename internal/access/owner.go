package access

import (
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// An Owner is the operator or service account that a credential belongs to.
type Owner struct {
	Principal
	Realm  Realm  // of a service account; empty for everything
	Client string // of a service account; empty for every client of the realm
	Ends   time.Time
	Active bool
}

// CredentialOwner reads the owner of a credential that another domain keeps,
// such as an API client certificate. Owners need the permission own; others
// need what they would need for the owner's API tokens.
func CredentialOwner(q store.Queryer, s Scope, owner string, own Permission, write bool) (Owner, error) {
	p, err := findPrincipal(q, owner)
	if err != nil {
		return Owner{}, err
	}
	o := Owner{Principal: p.public(), Realm: p.realm, Client: p.client, Ends: p.ends, Active: p.status == Active}
	if s.principal.ID == owner {
		return o, s.RequireAnywhere(own)
	}
	if s.system {
		return o, nil
	}
	grants, err := loadGrants(q, owner)
	if err != nil {
		return Owner{}, err
	}
	return o, mayManage(s, p, grants, write)
}
