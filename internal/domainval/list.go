package domainval

import (
	"context"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Query selects domains or validations; the zero Query selects all that the
// caller may read.
type Query struct {
	Realm  access.Realm
	Client string
	Search string // part of the name in either form; "*" and "?" are wildcards
	Page   store.Page
}

// A filter is a condition that grows with its arguments.
type filter struct {
	cond string
	args []any
}

func (f *filter) where(comparison string, v any) {
	f.args = append(f.args, v)
	f.cond += " AND " + strings.ReplaceAll(comparison, "?", "$"+strconv.Itoa(len(f.args)))
}

// filterOf turns a query into a condition on the columns that both lists have.
func filterOf(s access.Scope, q Query, nameColumn string) (filter, error) {
	after, resume, err := q.Page.Key()
	if err != nil {
		return filter{}, err
	}
	var f filter
	f.cond, f.args = s.Filter(access.DomainRead, "realm", "client", nil)
	if q.Realm != "" {
		f.where("realm = ?", string(q.Realm))
	}
	if q.Client != "" {
		f.where("client = ?", q.Client)
	}
	if text := strings.ToLower(strings.TrimSpace(q.Search)); text != "" {
		f.where("("+nameColumn+` LIKE ? ESCAPE '\' OR unicode LIKE ? ESCAPE '\')`, pattern(text))
	}
	if resume {
		f.args = append(f.args, after.Sort, after.ID)
		f.cond += " AND (created_at, id) < ($" + strconv.Itoa(len(f.args)-1) + ", $" + strconv.Itoa(len(f.args)) + ")"
	}
	f.args = append(f.args, q.Page.Size()+1)
	return f, nil
}

// pattern makes a LIKE pattern of what a person typed.
func pattern(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`, `?`, `_`).Replace(text) + "%"
}

func (f filter) order() string {
	return f.cond + ` ORDER BY created_at DESC, id DESC LIMIT $` + strconv.Itoa(len(f.args)) + ` + 0`
}

// List gives the clients' domains, newest first, a page at a time, and the
// cursor of the next page, which is empty on the last.
func (d *Desk) List(ctx context.Context, s access.Scope, q Query) (list []Domain, next string, err error) {
	f, err := filterOf(s, q, "domain")
	if err != nil {
		return nil, "", err
	}
	rows, err := d.db.View(ctx).Query(`SELECT `+domainColumns+` FROM domainval_domains WHERE `+f.order(), f.args...)
	list, err = store.Collect(rows, err, func(r *store.Rows) (Domain, error) { return d.scanDomain(r) })
	if err != nil || len(list) <= q.Page.Size() {
		return list, "", err
	}
	list = list[:q.Page.Size()]
	last := list[len(list)-1]
	return list, store.Key{Sort: store.Micros(last.Created), ID: last.ID}.Cursor(), nil
}

// Pending gives the validations of orders that wait for somebody (A188), newest
// first, a page at a time like [Desk.List].
func (d *Desk) Pending(ctx context.Context, s access.Scope, q Query) (list []Validation, next string, err error) {
	f, err := filterOf(s, q, "name")
	if err != nil {
		return nil, "", err
	}
	rows, err := d.db.View(ctx).Query(`SELECT `+validationColumns+` FROM domainval_validations WHERE state = 'pending' AND `+f.order(), f.args...)
	list, err = store.Collect(rows, err, func(r *store.Rows) (Validation, error) { return d.scanValidation(r) })
	if err != nil || len(list) <= q.Page.Size() {
		return list, "", err
	}
	list = list[:q.Page.Size()]
	last := list[len(list)-1]
	return list, store.Key{Sort: store.Micros(last.Created), ID: last.ID}.Cursor(), nil
}
