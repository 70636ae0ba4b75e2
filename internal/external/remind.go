package external

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

const remindBatch = 100

// A mark is how far the reminders of one kind have come along the ends of validity. A
// certificate that is imported behind it, with less time left than the reminder is
// about, gets the next one.
type mark struct {
	days int
	end  int64
	id   string
}

// Remind sends the reminders that are due. Each certificate is reminded of once for
// each of the configured days, and not for days that were past when it was imported.
// When the reminders were stopped for long, only the last of those missed is sent.
// Nothing is sent for a certificate that has a successor (see [Options.Replaced]); the
// audit log says so. It is to be called about once an hour, by any number of nodes.
func (r *Registry) Remind(ctx context.Context) error {
	for i, days := range r.Reminders {
		next := 0
		if i+1 < len(r.Reminders) {
			next = r.Reminders[i+1]
		}
		if err := r.remindOf(ctx, days, next); err != nil {
			return fault.Wrap(err, fmt.Sprintf("reminders of %d days", days))
		}
	}
	return nil
}

// remindOf takes all that ends between next and days from now, behind the mark.
func (r *Registry) remindOf(ctx context.Context, days, next int) error {
	m := mark{days: days}
	err := r.DB.View(ctx).QueryRow(`SELECT upto, id FROM external_reminders WHERE days = $1`, days).Scan(&m.end, &m.id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	now := r.Clock.Now()
	if from := store.Micros(now.Add(day(next))); m.end < from {
		m.end, m.id = from, ""
	}
	until := store.Micros(now.Add(day(days)))
	for {
		// The last condition: what was imported later than its reminder was due.
		rows, err := r.DB.View(ctx).Query(`SELECT `+columns+` FROM external_certificates c
			WHERE (c.not_after, c.id) > ($1, $2) AND c.not_after <= $3 AND c.created_at <= c.not_after - $4 ORDER BY c.not_after, c.id LIMIT $5 + 0`,
			m.end, m.id, until, day(days).Microseconds(), remindBatch)
		due, err := store.Collect(rows, err, func(row *store.Rows) (*Certificate, error) { return scan(row) })
		if err != nil {
			return err
		}
		for _, c := range due {
			m.end, m.id = store.Micros(c.NotAfter), c.ID
			if err := r.remind(ctx, c, m); err != nil && !errors.Is(err, fault.Conflict) { // a conflict: another node was quicker
				return fmt.Errorf("certificate %s: %w", c.ID, err)
			}
		}
		if len(due) < remindBatch {
			return nil
		}
	}
}

// remind asks others first, then moves the mark and writes the messages in one
// transaction: a crash before it repeats all, after it nothing.
func (r *Registry) remind(ctx context.Context, c *Certificate, m mark) error {
	silent, err := r.silence(ctx, c)
	if err != nil {
		return err
	}
	var to []string
	if silent == "" {
		if to, err = r.addressees(ctx, c); err != nil {
			return err
		}
	}
	left := int(c.NotAfter.Sub(r.Clock.Now()).Round(time.Hour).Hours()) / 24
	return r.DB.Update(ctx, func(tx *store.Tx) error {
		if err := advance(tx, m); err != nil {
			return err
		}
		if silent != "" {
			return r.record(tx, "external.remind", c, "days", strconv.Itoa(left), "silent", silent)
		}
		var told, refused []string
		for _, address := range to {
			switch err := r.send(tx, c, address, m.days, left); {
			case errors.Is(err, fault.Invalid): // one bad address must not stop all reminders behind it
				refused = append(refused, address)
			case err != nil:
				return err
			default:
				told = append(told, address)
			}
		}
		detail := []string{"days", strconv.Itoa(left), "to", strings.Join(told, ", "), "refused", strings.Join(refused, ", ")}
		if len(told) == 0 {
			detail = append(detail, "silent", "there is nobody to tell")
		}
		return r.record(tx, "external.remind", c, detail...)
	})
}

// advance moves the mark past one certificate. Of two nodes that send the same
// reminder one gets a Conflict.
func advance(tx *store.Tx, m mark) error {
	n, err := tx.Exec(`INSERT INTO external_reminders (days, upto, id) VALUES ($1, $2, $3) ON CONFLICT (days) DO UPDATE SET upto = excluded.upto, id = excluded.id
		WHERE (external_reminders.upto, external_reminders.id) < (excluded.upto, excluded.id)`, m.days, m.end, m.id)
	if err == nil && n == 0 {
		err = fault.Conflictf("external.reminded", "The reminder of %d days was sent already.", m.days)
	}
	return err
}

// silence says why nobody needs to be reminded; empty if somebody does.
func (r *Registry) silence(ctx context.Context, c *Certificate) (string, error) {
	if c.Successor != "" {
		return "replaced by " + c.Successor, nil
	}
	names := bundle.Purpose(c.CommonName, c.Names)
	if r.Replaced == nil || len(names) == 0 {
		return "", nil
	}
	replaced, err := r.Replaced(ctx, c.Realm, c.Client, names, c.NotAfter)
	if err != nil || !replaced {
		return "", err
	}
	return "replaced by a certificate that was issued here", nil
}

func (r *Registry) addressees(ctx context.Context, c *Certificate) ([]string, error) {
	to := slices.Clone(c.Recipients)
	if r.Notify == nil {
		return to, nil
	}
	operators, err := r.Notify(ctx, c.Realm, c.Client)
	for _, address := range operators {
		if !slices.ContainsFunc(to, func(other string) bool { return strings.EqualFold(other, address) }) {
			to = append(to, address)
		}
	}
	return to, err
}

func (r *Registry) send(tx *store.Tx, c *Certificate, to string, days, left int) error {
	subject, body := reminder(c, left)
	who := sha256.Sum256([]byte(strings.ToLower(to))) // an address may be longer than a key
	_, err := r.Outbox.Send(tx, outbox.Message{
		Channel: outbox.Email, Realm: string(c.Realm), Client: c.Client, ObjectKind: "external", ObjectID: c.ID,
		To: to, Subject: subject, Body: body, Key: fmt.Sprintf("external/%s/%d/%x", c.ID, days, who[:16]), NotAfter: c.NotAfter,
	})
	return err
}
