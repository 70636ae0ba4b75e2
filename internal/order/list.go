package order

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Filter narrows a list of orders; what is set must all hold.
type Filter struct {
	Realm    access.Realm
	Clients  []string
	Products []string
	// Authority is the id of the authority that issued.
	Authority string
	States    []State
	Origin    Origin
	Owner     string
	Tags      []string // all of them
	Reasons   []authority.Reason
	// Search finds an order id, a serial number in any spelling, or any part of a
	// name: an attribute of the subject, an alternative name, or a domain above
	// one. "*" stands for any ending.
	Search string
	// From and To bound the beginning of validity: from, and before. The latest come
	// first.
	From, To time.Time
	// EndFrom and EndBy pick issued certificates that end in between, the soonest
	// first. Other lists have the newest orders first.
	EndFrom, EndBy time.Time
}

// get reads an order for the engine's own use.
func (e *Engine) get(ctx context.Context, id string) (*Order, error) {
	o, err := scanWhole(e.DB.View(ctx).QueryRow(`SELECT `+columns+`, `+workColumns+` FROM orders o JOIN order_work w ON w.id = o.id WHERE o.id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, access.NotFound()
	}
	return o, err
}

// Get returns an order that the caller may see, with its jobs.
func (e *Engine) Get(ctx context.Context, s access.Scope, id string) (*Order, error) {
	o, err := e.get(ctx, id)
	if err != nil {
		return nil, err
	}
	return o, s.Require(access.CertificateSearch, o.Realm, o.Client)
}

// loadFor reads an order on which the caller may do p.
func (e *Engine) loadFor(ctx context.Context, s access.Scope, p access.Permission, id string) (*work, error) {
	o, err := e.Get(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if err := s.Require(p, o.Realm, o.Client); err != nil {
		return nil, err
	}
	return e.workOn(ctx, o)
}

// Certificate is the certificate of an order that was issued.
func (e *Engine) Certificate(ctx context.Context, o *Order) (authority.Record, error) {
	serial, err := serialOf(o)
	if err != nil || len(serial) == 0 || o.State != Issued && o.State != Revoked {
		return authority.Record{}, fault.Conflictf("order.not_issued", "The order %s is %s; there is no certificate.", o.ID, o.State)
	}
	return e.CA.Lookup(e.DB.View(ctx), o.Authority, serial)
}

// Chain is the certificate with those above it, leaf first, root last, in DER.
func (e *Engine) Chain(ctx context.Context, o *Order) ([][]byte, error) {
	r, err := e.Certificate(ctx, o)
	if err != nil {
		return nil, err
	}
	above, err := e.CA.Chain(ctx, o.Authority)
	return append([][]byte{r.DER}, above...), err
}

// List returns a page of the orders that the caller may see and the cursor of
// the next one. A search by name has them by name and then the oldest first; an
// order with several names that fit stands at the first of them.
func (e *Engine) List(ctx context.Context, s access.Scope, f Filter, p store.Page) ([]*Order, string, error) {
	var q query
	if err := q.search(ctx, e, f.Search); err != nil || q.nothing {
		return nil, "", err
	}
	client := "o.client"
	if q.named() {
		client = "n.client" // leads into the index of names
	}
	cond, args := s.Filter(access.CertificateSearch, "o.realm", client, q.args)
	q.conds, q.args = append(q.conds, cond), args
	q.filter(f, client)
	q.sort(f)
	key, more, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	size := p.Size()
	var list []hit
	for len(list) <= size {
		from := q
		if more {
			from.after(key)
		}
		hits, err := e.hits(ctx, &from, size+1)
		if err != nil {
			return nil, "", err
		}
		full := len(hits) > size
		if full {
			key, more = q.key(hits[size]), true
		}
		if q.prefix {
			if hits, err = e.firsts(ctx, q, hits); err != nil {
				return nil, "", err
			}
		}
		list = append(list, hits...)
		if !full {
			break
		}
	}
	next := ""
	if len(list) > size {
		list, next = list[:size], q.key(list[size-1]).Cursor()
	}
	out := make([]*Order, len(list))
	for i, h := range list {
		out[i] = h.order
	}
	return out, next, nil
}

// A hit is an order with the name by which it was found.
type hit struct {
	order *Order
	name  string
}

func (e *Engine) hits(ctx context.Context, q *query, limit int) ([]hit, error) {
	rows, err := e.DB.View(ctx).Query(q.text(limit), q.args...)
	return store.Collect(rows, err, func(r *store.Rows) (h hit, err error) {
		if !q.named() {
			h.order, err = scanRow(r)
			return h, err
		}
		var name []byte
		h.order, err = scan(r, &name)
		h.name = string(name)
		return h, err
	})
}

// firsts leaves out hits of orders that have another name before it that fits,
// by which they were found already.
func (e *Engine) firsts(ctx context.Context, q query, hits []hit) ([]hit, error) {
	var sub query
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.order.ID
	}
	if len(ids) == 0 {
		return hits, nil
	}
	in(&sub, "id", ids)
	rows, err := e.DB.View(ctx).Query(`SELECT id, evidence FROM order_work WHERE `+sub.conds[0], sub.args...)
	first := map[string]string{}
	_, err = store.Collect(rows, err, func(r *store.Rows) (struct{}, error) {
		var id, text string
		var found struct {
			Names []string `json:"names"`
		}
		if err := r.Scan(&id, &text); err != nil {
			return struct{}{}, err
		}
		err := json.Unmarshal([]byte(text), &found)
		names := searchNames(found.Names)
		if i, _ := slices.BinarySearch(names, q.low); i < len(names) {
			first[id] = names[i]
		}
		return struct{}{}, err
	})
	return slices.DeleteFunc(hits, func(h hit) bool { return first[h.order.ID] != h.name }), err
}

// query builds one statement over the orders.
type query struct {
	conds   []string
	args    []any
	from    string // the index of names or tags, when that leads
	id      string // the column of the order's id in what leads
	by      string
	low     string
	prefix  bool   // the search is for all names that begin with low
	nothing bool   // the search can find nothing
	column  string // sorted by this time before the id; empty: the id alone
	desc    bool
}

func (q *query) add(cond string, arg any) {
	q.args = append(q.args, arg)
	q.conds = append(q.conds, fmt.Sprintf(cond, len(q.args)))
}

func in[T ~string](q *query, column string, values []T) {
	if len(values) == 0 {
		return
	}
	marks := make([]string, len(values))
	for i, v := range values {
		q.args = append(q.args, string(v))
		marks[i] = fmt.Sprintf("$%d", len(q.args))
	}
	q.conds = append(q.conds, column+" IN ("+strings.Join(marks, ", ")+")")
}

func (q *query) filter(f Filter, client string) {
	if f.Realm != "" {
		q.add("o.realm = $%d", string(f.Realm))
	}
	in(q, client, f.Clients)
	in(q, "o.product", f.Products)
	if f.Authority != "" {
		q.add("o.authority = $%d", f.Authority)
	}
	if len(f.States) == 1 && f.States[0] == Issued || f.ending() {
		q.conds = append(q.conds, "o.state = 'ISSUED'") // written out: an index of some states serves no parameter
	} else {
		if len(f.States) > 0 && !slices.Contains(f.States, Issued) {
			q.conds = append(q.conds, "o.state <> 'ISSUED'")
		}
		in(q, "o.state", f.States)
	}
	if len(f.Reasons) > 0 {
		marks := make([]string, len(f.Reasons))
		for i, r := range f.Reasons {
			marks[i] = fmt.Sprint(int(r))
		}
		q.conds = append(q.conds, "o.state = 'REVOKED'", "o.reason IN ("+strings.Join(marks, ", ")+")")
	}
	if f.Origin != "" {
		q.add("o.origin = $%d", string(f.Origin))
	}
	if f.Owner != "" {
		q.conds = append(q.conds, "o.owner <> ''")
		q.add("o.owner = $%d", f.Owner)
	}
	q.tags(f)
	for cond, at := range map[string]time.Time{"o.not_before >= $%d": f.From, "o.not_before < $%d": f.To, "o.not_after >= $%d": f.EndFrom, "o.not_after < $%d": f.EndBy} {
		if !at.IsZero() {
			q.add(cond, store.Micros(at))
		}
	}
}

// tags narrows to orders with all of some tags. Without another lead, the index
// of tags leads.
func (q *query) tags(f Filter) {
	tags := f.Tags
	if len(tags) > 0 && q.from == "" && !f.ending() && !f.beginning() {
		q.from, q.id = "order_tags l JOIN orders o ON o.id = l.order_id", "l.order_id"
		q.add("l.tag = $%d", tags[0])
		tags = tags[1:]
	}
	for _, t := range tags {
		q.add("EXISTS (SELECT 1 FROM order_tags t WHERE t.order_id = o.id AND t.tag = $%d)", t)
	}
}

func (f Filter) ending() bool    { return !f.EndFrom.IsZero() || !f.EndBy.IsZero() }
func (f Filter) beginning() bool { return !f.From.IsZero() || !f.To.IsZero() }

// search narrows by order id, serial number or part of a name.
func (q *query) search(ctx context.Context, e *Engine, text string) error {
	text = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")))
	if text == "" || text == "*" {
		return nil
	}
	if strings.HasPrefix(text, "ord-") {
		q.add("o.id = $%d", text)
		return nil
	}
	if serial := parseSerial(text); serial != nil {
		id, err := e.CA.OrderOf(ctx, serial)
		q.add("o.id = $%d", id)
		q.nothing = id == ""
		return err
	}
	q.from, q.id = "order_names n JOIN orders o ON o.id = n.order_id", "n.order_id"
	// A wildcard name is found by the domain below the star.
	if rest, ok := strings.CutPrefix(text, "*."); ok && !strings.HasSuffix(rest, "*") {
		q.add("n.name = $%d", []byte(rest))
		return nil
	}
	q.low, q.prefix = strings.TrimSuffix(text, "*"), true
	q.add("n.name >= $%d", []byte(q.low))
	q.add("n.name < $%d", append([]byte(q.low), 0xff)) // no UTF-8 holds this byte
	return nil
}

func (q *query) named() bool { return strings.HasPrefix(q.from, "order_names") }

func (q *query) sort(f Filter) {
	if q.id == "" {
		q.id = "o.id"
	}
	switch {
	case q.named():
		q.by = "n.name, n.order_id"
	case f.ending():
		q.column, q.by = "o.not_after", "o.not_after, "+q.id
	case f.beginning():
		q.column, q.desc, q.by = "o.not_before", true, "o.not_before DESC, "+q.id+" DESC"
	default:
		q.desc, q.by = true, q.id+" DESC"
	}
}

// after continues behind a key.
func (q *query) after(key store.Key) {
	q.conds, q.args = slices.Clone(q.conds), slices.Clone(q.args)
	sign := ">"
	if q.desc {
		sign = "<"
	}
	pair := func(columns string, a, b any) {
		q.args = append(q.args, a, b)
		q.conds = append(q.conds, fmt.Sprintf("(%s) %s ($%d, $%d)", columns, sign, len(q.args)-1, len(q.args)))
	}
	switch name, id, _ := strings.Cut(key.ID, "\x00"); {
	case q.named():
		pair("n.name, n.order_id", []byte(name), id)
	case q.column != "":
		pair(q.column+", "+q.id, key.Sort, key.ID)
	default:
		q.add(q.id+" "+sign+" $%d", key.ID)
	}
}

func (q *query) key(last hit) store.Key {
	k := store.Key{ID: last.order.ID}
	switch {
	case q.named():
		k.ID = last.name + "\x00" + last.order.ID
	case q.column == "o.not_after":
		k.Sort = store.Micros(last.order.NotAfter)
	case q.column == "o.not_before":
		k.Sort = store.Micros(last.order.NotBefore)
	}
	return k
}

func (q *query) text(limit int) string {
	from, what := cmp.Or(q.from, "orders o"), columns
	if q.named() {
		what += ", n.name"
	}
	return fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d`, what, from, strings.Join(q.conds, " AND "), q.by, limit)
}

// parseSerial reads a serial number as people copy it: with colons or spaces, in
// any case, with or without 0x or leading zeros. Fewer than 16 digits are taken
// for a name.
func parseSerial(text string) []byte {
	text = strings.TrimPrefix(strings.NewReplacer(":", "", " ", "").Replace(text), "0x")
	if len(text) < 16 || len(text) > 42 {
		return nil
	}
	if len(text)%2 == 1 {
		text = "0" + text
	}
	serial, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	for len(serial) > 1 && serial[0] == 0 {
		serial = serial[1:]
	}
	return serial
}
