package document

import (
	"context"
	"strconv"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Query selects documents; the zero Query selects all that the caller may read.
type Query struct {
	Realm   access.Realm
	Client  string
	Service string // id
	Page    store.Page
}

// List gives documents, newest first, a page at a time, and the cursor of the
// next page, which is empty on the last. It shows what the scope may read
// (document.read) and has not expired.
func (s *Store) List(ctx context.Context, sc access.Scope, q Query) (list []Document, next string, err error) {
	after, resume, err := q.Page.Key()
	if err != nil {
		return nil, "", err
	}
	cond, args := sc.FilterService(access.DocumentRead, "realm", "client", "service", nil)
	where := func(comparison string, v any) {
		args = append(args, v)
		cond += " AND " + comparison + " $" + strconv.Itoa(len(args))
	}
	where("expires_at >", store.Micros(s.clock.Now()))
	for _, c := range []struct{ column, value string }{{"realm", string(q.Realm)}, {"client", q.Client}, {"service", q.Service}} {
		if c.value != "" {
			where(c.column+" =", c.value)
		}
	}
	if resume {
		if !validID(after.ID) {
			return nil, "", fault.Invalidf("page.cursor", "The page cursor belongs to another list.").WithNext("Start from the first page.").WithField("cursor")
		}
		args = append(args, after.Sort, after.ID)
		cond += " AND (created_at, id) < ($" + strconv.Itoa(len(args)-1) + ", $" + strconv.Itoa(len(args)) + ")"
	}
	args = append(args, q.Page.Size()+1)
	rows, err := s.db.View(ctx).Query(`SELECT `+columns+` FROM documents WHERE `+cond+` ORDER BY created_at DESC, id DESC LIMIT $`+strconv.Itoa(len(args)), args...)
	list, err = store.Collect(rows, err, func(r *store.Rows) (Document, error) { return scan(r) })
	if err != nil || len(list) <= q.Page.Size() {
		return list, "", err
	}
	list = list[:q.Page.Size()]
	last := list[len(list)-1]
	return list, store.Key{Sort: store.Micros(last.Created), ID: last.ID}.Cursor(), nil
}
