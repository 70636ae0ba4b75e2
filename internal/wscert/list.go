package wscert

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Filter narrows a list of orders. Zero fields do not.
type Filter struct {
	Realm   access.Realm
	Client  string
	Service string // name
	State   State
	Search  string // the beginning of a name, an order id or a serial number in any spelling
	// ExpireFrom and ExpireBy pick issued certificates that end in between,
	// the soonest first. Unclaimed picks files that wait to be fetched, those
	// that expire first at the top. Other lists have the newest first.
	ExpireFrom, ExpireBy time.Time
	Unclaimed            bool
}

// sorting says by which column a list goes, so that each has its index.
func (f Filter) sorting() (column, direction string) {
	switch {
	case f.Unclaimed:
		return "claim_by", "ASC"
	case !f.ExpireBy.IsZero():
		return "not_after", "ASC"
	}
	return "", "DESC"
}

// get reads an order for the engine's own use.
func (e *Engine) get(ctx context.Context, id string) (*Order, error) {
	o, err := scan(e.db.View(ctx).QueryRow(`SELECT `+columns+` FROM wscert_orders WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		err = access.NotFound()
	}
	return o, err
}

// Get returns an order that the caller may see.
func (e *Engine) Get(ctx context.Context, s access.Scope, id string) (*Order, error) {
	o, err := e.get(ctx, id)
	if err != nil {
		return nil, err
	}
	return o, s.Require(access.CertificateSearch, o.Realm, o.Client)
}

// Delivery is the hand-over of an order; ok is false when it has none.
func (e *Engine) Delivery(ctx context.Context, o *Order) (d handover.Delivery, ok bool, err error) {
	if o.Handover == "" {
		return d, false, nil
	}
	d, err = e.desk.Of(e.db.View(ctx), o.Handover)
	return d, err == nil, err
}

// Certificate returns the issued certificate of an order. For an order that
// this call's process has just issued, nothing is read.
func (e *Engine) Certificate(ctx context.Context, o *Order) (authority.Record, error) {
	serial, err := hex.DecodeString(o.Serial)
	if err != nil {
		return authority.Record{}, err
	}
	if o.der != nil {
		return authority.Record{
			Authority: o.Authority, Realm: string(o.Realm), Client: o.Client, Service: o.Service, Kind: kind, OrderID: o.ID, CommonName: o.CommonName,
			Status: authority.CertValid, Serial: serial, DER: o.der, NotBefore: o.NotBefore, NotAfter: o.NotAfter,
		}, nil
	}
	return e.ca.Lookup(e.db.View(ctx), o.Authority, serial)
}

// listColumns leaves the history out, which is most of a row and in no list.
var listColumns = strings.Replace(columns, "history", "'[]'", 1)

// List returns a page of the orders that the caller may see, without their
// history, and the cursor of the next page.
func (e *Engine) List(ctx context.Context, s access.Scope, f Filter, p store.Page) ([]*Order, string, error) {
	var w where
	cond, args := s.Filter(access.CertificateSearch, "realm", "client", nil)
	w.conds, w.args = append(w.conds, cond), args
	w.equal("realm", string(f.Realm))
	w.equal("client", f.Client)
	w.equal("service_name", f.Service)
	if err := w.state(f.State); err != nil {
		return nil, "", err
	}
	if err := w.search(ctx, e, f.Search); err != nil {
		return nil, "", err
	}
	column, direction := f.sorting()
	switch column {
	case "claim_by":
		w.conds = append(w.conds, "claim_by > 0")
	case "not_after":
		w.conds = append(w.conds, "state = 'ISSUED'")
		w.add("not_after < $%d", store.Micros(f.ExpireBy))
		w.add("not_after >= $%d", store.Micros(f.ExpireFrom))
	}
	if err := w.after(p, column); err != nil {
		return nil, "", err
	}
	by := "id " + direction
	if column != "" {
		by = column + " " + direction + ", " + by
	}
	size := p.Size()
	rows, err := e.db.View(ctx).Query(fmt.Sprintf(`SELECT `+listColumns+` FROM wscert_orders WHERE %s ORDER BY %s LIMIT %d`, strings.Join(w.conds, " AND "), by, size+1), w.args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (*Order, error) { return scan(r) })
	if err != nil || len(list) <= size {
		return list, "", err
	}
	last := list[size-1]
	key := store.Key{ID: last.ID}
	switch column {
	case "claim_by":
		key.Sort = store.Micros(last.claimBy)
	case "not_after":
		key.Sort = store.Micros(last.NotAfter)
	}
	return list[:size], key.Cursor(), nil
}

// after continues a list behind the page's cursor.
func (w *where) after(p store.Page, column string) error {
	key, ok, err := p.Key()
	if err != nil || !ok {
		return err
	}
	if column == "" {
		w.add("id < $%d", key.ID)
		return nil
	}
	w.args = append(w.args, key.Sort, key.ID)
	n := len(w.args)
	w.conds = append(w.conds, fmt.Sprintf("(%s, id) > ($%d, $%d)", column, n-1, n))
	return nil
}

// state narrows to one state. It is written into the statement, after a check
// that it is one, because an index of some states serves no parameter.
func (w *where) state(s State) error {
	switch s {
	case "":
	case Issued:
		w.conds = append(w.conds, "state = 'ISSUED'")
	case PendingAuth, PendingCSR, KeyValidation, Issue, Revoked, Rejected, Failed:
		w.conds = append(w.conds, "state <> 'ISSUED'", "state = '"+string(s)+"'")
	default:
		return fault.Invalidf("order.state", "%q is not a state of an order.", string(s)).WithField("state")
	}
	return nil
}

type where struct {
	conds []string
	args  []any
}

// add appends a condition with one parameter, whose number takes the place of %d.
func (w *where) add(cond string, arg any) {
	w.args = append(w.args, arg)
	w.conds = append(w.conds, fmt.Sprintf(cond, len(w.args)))
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = $%d", value)
	}
}

// search finds by order id, by serial number, or else by the beginning of the name.
func (w *where) search(ctx context.Context, e *Engine, text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	if strings.HasPrefix(text, "ord-") {
		w.add("id = $%d", text)
		return nil
	}
	if serial := serialOf(text); serial != nil {
		id, err := e.ca.OrderOf(ctx, serial)
		w.add("id = $%d", id)
		return err
	}
	from := searchKey(text)
	w.add("search >= $%d", from)
	w.add("search < $%d", append(from[:len(from):len(from)], 0xff))
	return nil
}

// serialOf reads a serial number as people copy it: with colons or spaces, any
// case, with or without 0x. Anything shorter than 16 digits is taken for a name.
func serialOf(text string) []byte {
	t := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	t = strings.TrimPrefix(t, "0x")
	serial, err := hex.DecodeString(t)
	if err != nil || len(t) < 16 {
		return nil
	}
	return serial
}
