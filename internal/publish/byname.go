package publish

import (
	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// ByName finds publishers by the names that products use, or by id: the client's
// own first, then the environment's. One that is not there is a Conflict.
func (p *Publishing) ByName(q store.Queryer, realm access.Realm, client string, names []string) ([]string, error) {
	var ids []string
	for _, name := range names {
		var id string
		err := q.QueryRow(`SELECT id FROM publish_publishers WHERE realm = $1 AND (client = $2 OR client = '') AND (name_key = $3 OR id = $4) AND deleted_at = 0
			ORDER BY client DESC LIMIT 1`, string(realm), client, fold(name), name).Scan(&id)
		if err != nil {
			return nil, fault.Conflictf("publish.unknown", "There is no publisher called %q.", name).WithNext("Create it, or change the product.").WithCause(err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
