package access

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A selection builds the statement of a list: conditions joined by AND, a text
// column to sort by with the id to break ties, and one page by key.
type selection struct {
	from  string // "SELECT … FROM …"
	sort  string // the text column that orders the list
	id    string // the id column
	conds []string
	args  []any
}

// arg adds an argument and returns its parameter.
func (q *selection) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// where adds a condition that compares a column with a value.
func (q *selection) where(comparison string, v any) {
	q.conds = append(q.conds, comparison+" "+q.arg(v))
}

// search adds "one of the columns contains the text", unless the text is empty.
func (q *selection) search(text string, cols ...string) {
	if text = fold(text); text == "" {
		return
	}
	pattern := q.arg("%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%")
	var matches []string
	for _, c := range cols {
		matches = append(matches, c+` LIKE `+pattern+` ESCAPE '\'`)
	}
	q.conds = append(q.conds, "("+strings.Join(matches, " OR ")+")")
}

// scope adds the caller's limits.
func (q *selection) scope(s Scope, p Permission, realmCol, clientCol string) {
	var cond string
	cond, q.args = s.Filter(p, realmCol, clientCol, q.args)
	q.conds = append(q.conds, cond)
}

// page reads one page. key gives the sort text and id of an item.
func page[T any](r store.Queryer, q selection, p store.Page, scan func(scanner) (T, error), key func(T) (sort, id string)) (List[T], error) {
	after, ok, err := p.Key()
	if err != nil {
		return List[T]{}, err
	}
	if ok {
		sort, id, found := strings.Cut(after.ID, "\x00")
		if !found || strings.Contains(id, "\x00") {
			return List[T]{}, fault.Invalidf("page.cursor", "The page cursor belongs to another list.").WithNext("Start from the first page.").WithField("cursor")
		}
		q.conds = append(q.conds, "("+q.sort+", "+q.id+") > ("+q.arg(sort)+", "+q.arg(id)+")")
	}
	text := q.from
	if len(q.conds) > 0 {
		text += " WHERE " + strings.Join(q.conds, " AND ")
	}
	text += " ORDER BY " + q.sort + ", " + q.id + " LIMIT " + q.arg(p.Size()+1)
	rows, err := r.Query(text, q.args...)
	items, err := store.Collect(rows, err, func(rows *store.Rows) (T, error) { return scan(rows) })
	if err != nil {
		return List[T]{}, err
	}
	if len(items) <= p.Size() {
		return List[T]{Items: items}, nil
	}
	items = items[:p.Size()]
	sort, id := key(items[len(items)-1])
	return List[T]{Items: items, Next: store.Key{ID: sort + "\x00" + id}.Cursor()}, nil
}

// A scanner is a row of a list or a single row.
type scanner interface{ Scan(dest ...any) error }

// found turns a missing row into the answer that does not tell whether the
// object exists.
func found(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return hidden()
	}
	return err
}
