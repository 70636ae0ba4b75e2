package order

import (
	"context"
	"encoding/hex"
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
	States   []State
	Origin   Origin
	Owner    string
	Tag      string
	Reasons  []authority.Reason
	// Search finds an order id, a serial number in any spelling, or any part of a
	// name: an attribute of the subject, an alternative name, or a domain above
	// one. "*" stands for any ending.
	Search   string
	From, To time.Time // of the beginning of validity: from, and before
	// EndFrom and EndBy pick issued certificates that end in between, the soonest
	// first. Other lists have the newest first.
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
	return e.load(ctx, id)
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
// the next one. A search by name has them by name and then the oldest first.
func (e *Engine) List(ctx context.Context, s access.Scope, f Filter, p store.Page) ([]*Order, string, error) {
	var q query
	cond, args := s.Filter(access.CertificateSearch, "o.realm", "o.client", nil)
	q.conds, q.args = append(q.conds, cond), args
	q.filter(f)
	if err := q.search(ctx, e, f.Search); err != nil {
		return nil, "", err
	}
	if q.nothing {
		return nil, "", nil
	}
	q.sort(f)
	if err := q.after(p); err != nil {
		return nil, "", err
	}
	size := p.Size()
	type hit struct {
		order *Order
		name  string
	}
	rows, err := e.DB.View(ctx).Query(q.text(size+1), q.args...)
	hits, err := store.Collect(rows, err, func(r *store.Rows) (hit, error) {
		var h hit
		var err error
		if q.named() {
			h.order, err = scan(r, &h.name)
		} else {
			h.order, err = scanRow(r)
		}
		return h, err
	})
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(hits) > size {
		hits = hits[:size]
		last := hits[size-1]
		next = q.cursor(last.order, last.name)
	}
	list := make([]*Order, 0, len(hits))
	for _, h := range hits {
		if !slices.ContainsFunc(list, func(o *Order) bool { return o.ID == h.order.ID }) {
			list = append(list, h.order)
		}
	}
	return list, next, nil
}

// query builds one statement over the orders.
type query struct {
	conds   []string
	args    []any
	from    string // the name index, when that leads
	by      string
	nothing bool // the search can find nothing
	ending  bool // sorted by the end of validity
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

func (q *query) filter(f Filter) {
	if f.Realm != "" {
		q.add("o.realm = $%d", string(f.Realm))
	}
	in(q, "o.client", f.Clients)
	in(q, "o.product", f.Products)
	if len(f.States) == 1 && f.States[0] == Issued || !f.EndBy.IsZero() {
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
		q.add("o.owner = $%d", f.Owner)
	}
	if f.Tag != "" {
		q.add("EXISTS (SELECT 1 FROM order_tags t WHERE t.order_id = o.id AND t.tag = $%d)", f.Tag)
	}
	for cond, at := range map[string]time.Time{"o.not_before >= $%d": f.From, "o.not_before < $%d": f.To, "o.not_after >= $%d": f.EndFrom, "o.not_after < $%d": f.EndBy} {
		if !at.IsZero() {
			q.add(cond, store.Micros(at))
		}
	}
}

// search narrows by order id, serial number or part of a name.
func (q *query) search(ctx context.Context, e *Engine, text string) error {
	text = strings.ToLower(strings.TrimSpace(text))
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
	q.from = "order_names n JOIN orders o ON o.id = n.order_id"
	// A wildcard name is found by itself and by the domain below the star.
	if strings.HasPrefix(text, "*.") && !strings.HasSuffix(text[1:], "*") {
		q.add("n.name = $%d", text[2:])
		return nil
	}
	if prefix, open := strings.CutSuffix(text, "*"); open {
		q.add("n.name >= $%d", prefix)
		q.add("n.name < $%d", prefix+"\U0010FFFF")
		return nil
	}
	q.add("n.name >= $%d", text)
	q.add("n.name < $%d", text+"\U0010FFFF")
	return nil
}

func (q *query) named() bool { return q.from != "" }

func (q *query) sort(f Filter) {
	switch {
	case q.named():
		q.by = "n.name, n.order_id"
	case !f.EndBy.IsZero():
		q.ending, q.by = true, "o.not_after, o.id"
	default:
		q.by = "o.id DESC"
	}
}

// after continues behind the page's cursor.
func (q *query) after(p store.Page) error {
	key, ok, err := p.Key()
	if err != nil || !ok {
		return err
	}
	switch {
	case q.named():
		name, id, _ := strings.Cut(key.ID, "\x00")
		q.args = append(q.args, name, id)
		q.conds = append(q.conds, fmt.Sprintf("(n.name, n.order_id) > ($%d, $%d)", len(q.args)-1, len(q.args)))
	case q.ending:
		q.args = append(q.args, key.Sort, key.ID)
		q.conds = append(q.conds, fmt.Sprintf("(o.not_after, o.id) > ($%d, $%d)", len(q.args)-1, len(q.args)))
	default:
		q.add("o.id < $%d", key.ID)
	}
	return nil
}

func (q *query) cursor(last *Order, name string) string {
	switch {
	case q.named():
		return store.Key{ID: name + "\x00" + last.ID}.Cursor()
	case q.ending:
		return store.Key{Sort: store.Micros(last.NotAfter), ID: last.ID}.Cursor()
	}
	return store.Key{ID: last.ID}.Cursor()
}

func (q *query) text(limit int) string {
	from, what := "orders o", columns
	if q.named() {
		from, what = q.from, columns+", n.name"
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
