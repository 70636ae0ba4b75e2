package publish

import (
	"context"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Publish has a certificate published at the request of a person or program
// (RA operation 26); it needs certificate.publish on the client. It is a
// Conflict ("publish.already") when every publisher has the certificate or is
// about to get it, and when there is no publisher at all ("publish.none"). The
// caller has checked that the certificate is valid and may be published.
func (p *Publishing) Publish(ctx context.Context, s access.Scope, it Item) error {
	if err := s.Require(access.CertificatePublish, it.Realm, it.Client); err != nil {
		return err
	}
	return p.update(ctx, s, func(tx *store.Tx) error {
		rows, err := p.publications(tx, it.OrderID)
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, row := range rows {
			there[row.Publisher] = row.State == Published || row.State == Waiting
		}
		want := it
		want.Publishers = nil
		for _, id := range unique(it.Publishers) {
			if !there[id] {
				want.Publishers = append(want.Publishers, id)
			}
		}
		switch {
		case len(it.Publishers) == 0:
			return fault.Conflictf("publish.none", "There is nowhere to publish the certificate: its product names no publisher.").WithNext("Ask an administrator to add a publisher to the product.")
		case len(want.Publishers) == 0:
			return fault.Conflictf("publish.already", "The certificate of order %s is published already, or about to be.", it.OrderID)
		}
		if err := p.Queue(tx, want); err != nil {
			return err
		}
		return p.audited(tx, "publish.request", it.OrderID, it.Realm, it.Client, audit.OK, map[string]string{"publishers": strconv.Itoa(len(want.Publishers))})
	})
}

// Unpublish has the certificate of an order taken away at the request of a
// person or program (RA operation 27); it needs certificate.publish on the
// client. It is a Conflict ("publish.not_published") when no publisher has the
// certificate.
func (p *Publishing) Unpublish(ctx context.Context, s access.Scope, realm access.Realm, client, order string) error {
	if err := s.Require(access.CertificatePublish, realm, client); err != nil {
		return err
	}
	return p.update(ctx, s, func(tx *store.Tx) error {
		rows, err := p.owned(tx, realm, client, order)
		if err != nil {
			return err
		}
		n := 0
		for _, row := range rows {
			if row.State == Published || row.State == Waiting || row.State == Stuck {
				n++
			}
		}
		if n == 0 {
			return fault.Conflictf("publish.not_published", "The certificate of order %s is not published.", order)
		}
		if err := p.QueueRemoval(tx, order, "un-published"); err != nil {
			return err
		}
		return p.audited(tx, "publish.withdraw", order, realm, client, audit.OK, map[string]string{"publishers": strconv.Itoa(n)})
	})
}

// Resend tries once more what was given up for an order, with all its time
// again; it needs certificate.publish on the client. It is a Conflict
// ("publish.not_failed") when nothing was given up.
func (p *Publishing) Resend(ctx context.Context, s access.Scope, realm access.Realm, client, order string) error {
	if err := s.Require(access.CertificatePublish, realm, client); err != nil {
		return err
	}
	return p.update(ctx, s, func(tx *store.Tx) error {
		rows, err := p.owned(tx, realm, client, order)
		if err != nil {
			return err
		}
		n := 0
		for _, row := range rows {
			done, err := p.again(tx, row)
			if err != nil {
				return err
			}
			if done {
				n++
			}
		}
		if n == 0 {
			return fault.Conflictf("publish.not_failed", "Nothing was given up for order %s.", order)
		}
		p.wake(tx)
		return p.audited(tx, "publish.resend", order, realm, client, audit.OK, map[string]string{"publishers": strconv.Itoa(n)})
	})
}

// again sets a publication that was given up back to work.
func (p *Publishing) again(tx *store.Tx, row Publication) (bool, error) {
	state, event := Waiting, Queued
	switch row.State {
	case Failed:
	case Stuck:
		state, event = Removing, RemovalQueued
	default:
		return false, nil
	}
	now := p.now()
	n, err := tx.Exec(`UPDATE publish_items SET state = $2, version = version + 1, due_at = $3, give_up_at = $4, attempts = 0, queued_at = $3, done_at = 0 WHERE id = $1 AND state = $5`,
		row.id, string(state), store.Micros(now), store.Micros(now.Add(row.giveUp)), string(row.State))
	if err != nil || n == 0 {
		return false, err
	}
	return true, p.event(tx, row.Object, string(row.Kind), row.Publisher, event, "sent again")
}

// owned reads the publications of an order of that client.
func (p *Publishing) owned(q store.Queryer, realm access.Realm, client, order string) ([]Publication, error) {
	rows, err := p.publications(q, order)
	for _, row := range rows {
		if row.Realm != realm || row.Client != client {
			return nil, access.NotFound()
		}
	}
	return rows, err
}

// A Summary is the status of an order as a whole.
type Summary string

// The summaries, the most urgent first when publishers differ.
const (
	NotPublished Summary = ""            // never, or taken away everywhere
	GivenUp      Summary = "failed"      // at least one publication or removal was given up
	UnderWay     Summary = "in-progress" // at least one is being published or removed
	AllPublished Summary = "published"
)

// Summarise gives the status of orders; those that are not published are
// absent. The caller has checked that the orders may be seen. At most 500.
func (p *Publishing) Summarise(q store.Queryer, orders []string) (map[string]Summary, error) {
	if len(orders) == 0 || len(orders) > store.MaxLimit {
		return nil, nil
	}
	text, args := `SELECT object, state FROM publish_items WHERE kind = 'certificate' AND object IN (`, []any{}
	n := 1
	for n < len(orders) {
		n *= 2 // few statements, however many orders
	}
	for i := range n {
		if i > 0 {
			text += ", "
		}
		args = append(args, orders[min(i, len(orders)-1)])
		text += "$" + strconv.Itoa(i+1)
	}
	rows, err := q.Query(text+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]Summary{}
	for rows.Next() {
		var order string
		var state State
		if err := rows.Scan(&order, &state); err != nil {
			return nil, err
		}
		if s := out[order].with(state); s != NotPublished {
			out[order] = s
		}
	}
	return out, rows.Err()
}

func (s Summary) with(state State) Summary {
	switch {
	case s == GivenUp || state == Failed || state == Stuck:
		return GivenUp
	case s == UnderWay || state == Waiting || state == Removing:
		return UnderWay
	case state == Published:
		return AllPublished
	}
	return s
}

// Status gives the publications of an order and their summary (A173). It needs
// certificate.search on the client.
func (p *Publishing) Status(ctx context.Context, s access.Scope, realm access.Realm, client, order string) (Summary, []Publication, error) {
	if err := s.Require(access.CertificateSearch, realm, client); err != nil {
		return "", nil, err
	}
	rows, err := p.owned(p.o.DB.View(ctx), realm, client, order)
	sum := NotPublished
	for _, row := range rows {
		sum = sum.with(row.State)
	}
	return sum, rows, err
}

// An Event is a line of the history.
type Event struct {
	ID            string
	Publisher     string
	PublisherName string
	At            time.Time
	Event         EventKind
	Detail        string
	Actor         string // who caused it
}

// History lists what happened to the publications of an order, oldest first
// (A171). It needs certificate.search on the client.
func (p *Publishing) History(ctx context.Context, s access.Scope, realm access.Realm, client, order string, page store.Page) (list []Event, next string, err error) {
	if err := s.Require(access.CertificateSearch, realm, client); err != nil {
		return nil, "", err
	}
	q := p.o.DB.View(ctx)
	if _, err := p.owned(q, realm, client, order); err != nil {
		return nil, "", err
	}
	after, _, err := page.Key()
	if err != nil {
		return nil, "", err
	}
	rows, err := q.Query(`SELECT e.id, e.publisher, p.name, e.at, e.event, e.detail, e.actor FROM publish_events e JOIN publish_publishers p ON p.id = e.publisher
		WHERE e.object = $1 AND e.kind = 'certificate' AND (e.at, e.id) > ($2, $3) ORDER BY e.at, e.id LIMIT $4 + 0`, order, after.Sort, clean(after.ID, 64), page.Size()+1)
	list, err = store.Collect(rows, err, func(r *store.Rows) (e Event, err error) {
		var at int64
		err = r.Scan(&e.ID, &e.Publisher, &e.PublisherName, &at, &e.Event, &e.Detail, &e.Actor)
		e.At = store.Time(at)
		return e, err
	})
	if err == nil && len(list) > page.Size() {
		list = list[:page.Size()]
		last := list[len(list)-1]
		next = store.Key{Sort: store.Micros(last.At), ID: last.ID}.Cursor()
	}
	return list, next, err
}
