package wscert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A mark tells how far the reminders of one kind, such as "30 days before the
// end", have come in the list of certificates by their end. It costs an order
// nothing until it is due, where a date of its own would cost every order an
// entry in one more index.
type mark struct {
	days int
	end  int64 // of the latest certificate reminded of
	id   string
}

// Remind sends the reminders that are due (60, 30, 14, 7 and 1 days before the
// end) to the recipient and to the client's operators, unless a successor is
// in use already. It goes on until none is due.
func (e *Engine) Remind(ctx context.Context) error {
	for i, days := range e.settings.Reminders {
		m := mark{days: days}
		err := e.db.View(ctx).QueryRow(`SELECT upto, id FROM wscert_reminders WHERE days = $1`, days).Scan(&m.end, &m.id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		// Who is within the next, later reminder gets that one only: after a long
		// stop, or with a life that is shorter than this notice.
		later := e.clock.Now()
		if i+1 < len(e.settings.Reminders) {
			later = later.AddDate(0, 0, e.settings.Reminders[i+1])
		}
		if err := e.remindUpTo(ctx, m, later); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) remindUpTo(ctx context.Context, m mark, later time.Time) error {
	until := store.Micros(e.clock.Now().AddDate(0, 0, m.days))
	for {
		if end := store.Micros(later); m.end < end {
			m.end, m.id = end, ""
		}
		rows, err := e.db.View(ctx).Query(`SELECT `+columns+` FROM wscert_orders WHERE state = 'ISSUED' AND (not_after, id) > ($1, $2) AND not_after <= $3
			ORDER BY not_after, id LIMIT $4 + 0`, m.end, m.id, until, sweepBatch)
		due, err := store.Collect(rows, err, func(r *store.Rows) (*Order, error) { return scan(r) })
		if err != nil {
			return err
		}
		for _, o := range due {
			m.end, m.id = store.Micros(o.NotAfter), o.ID
			if err := e.remind(ctx, o, m); err != nil && !errors.Is(err, fault.Conflict) { // a conflict means that another node was quicker
				return fmt.Errorf("order %s: %w", o.ID, err)
			}
		}
		if len(due) < sweepBatch {
			return nil
		}
	}
}

func (e *Engine) remind(ctx context.Context, o *Order, m mark) error {
	var to []string
	if o.Recipient.Email != "" {
		to = append(to, o.Recipient.Email)
	}
	operators, err := e.settings.Notify(ctx, o.Realm, o.Client)
	if err != nil {
		return err
	}
	for _, address := range operators {
		if !slices.Contains(to, address) {
			to = append(to, address)
		}
	}
	before := *o
	return e.db.Update(ctx, func(tx *store.Tx) error {
		*o = before
		o.History = slices.Clone(before.History)
		now := e.clock.Now()
		if err := advance(tx, m); err != nil {
			return err
		}
		successor, err := hasSuccessor(tx, o)
		if err != nil {
			return err
		}
		if successor {
			o.note("REMIND", "SUCCESS", now, "", "silent: a successor is in use")
			return save(tx, o, now)
		}
		days := int(o.NotAfter.Sub(now).Round(time.Hour).Hours()) / 24
		o.note("REMIND", "SUCCESS", now, "", fmt.Sprintf("%d days left", days))
		for _, address := range to {
			if err := e.sendReminder(tx, o, address, days); err != nil {
				return err
			}
		}
		return save(tx, o, now)
	})
}

// advance moves the mark past one certificate, with the reminder itself. Of
// two nodes that send the same reminders one gets a conflict.
func advance(tx *store.Tx, m mark) error {
	n, err := tx.Exec(`INSERT INTO wscert_reminders (days, upto, id) VALUES ($1, $2, $3)
		ON CONFLICT (days) DO UPDATE SET upto = excluded.upto, id = excluded.id WHERE (wscert_reminders.upto, wscert_reminders.id) < (excluded.upto, excluded.id)`, m.days, m.end, m.id)
	if err == nil && n == 0 {
		err = fault.Conflictf("order.reminded", "The reminder of %d days was sent already.", m.days)
	}
	return err
}

// hasSuccessor tells whether a later certificate of the same name is in use.
func hasSuccessor(q store.Queryer, o *Order) (bool, error) {
	var n int64
	err := q.QueryRow(`SELECT COUNT(*) FROM wscert_orders WHERE search = $1 AND realm = $2 AND id <> $3 AND state = 'ISSUED' AND not_after > $4 AND (mode = 'direct' OR delivered_at > 0)`,
		searchKey(o.CommonName), string(o.Realm), o.ID, store.Micros(o.NotAfter)).Scan(&n)
	return n > 0, err
}

func (e *Engine) sendReminder(tx *store.Tx, o *Order, to string, days int) error {
	subject, body := reminderText(o, days)
	_, err := e.outbox.Send(tx, outbox.Message{
		Channel: outbox.Email, Realm: string(o.Realm), Client: o.Client, Service: o.Service, ObjectKind: "order", ObjectID: o.ID,
		To: to, Subject: subject, Body: body, Key: fmt.Sprintf("reminder/%s/%d/%.16s", o.ID, days, secret.Hash(to)), NotAfter: o.NotAfter,
	})
	return err
}
