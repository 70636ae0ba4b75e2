package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Transport delivers messages of one channel. Returning nil means that the
// other side has taken the message over. An error marked by [jobs.Permanent]
// gives the message up; any other repeats it. Error texts are stored and shown:
// they hold no credentials. Deliver is called from several goroutines.
type Transport interface {
	Deliver(ctx context.Context, e Envelope) error
}

func lane(c Channel) string { return "outbox." + string(c) }

// source is the outbox table as lanes of the queue, one per channel.
type source struct{ o *Outbox }

// Due implements [jobs.Source].
func (s source) Due(q store.Queryer, lanes []string, now time.Time) ([]string, error) {
	rows, err := q.Query(`SELECT 'email' WHERE EXISTS (SELECT 1 FROM outbox WHERE channel = 'email' AND state IN ('waiting', 'sending') AND due_at <= $1)
		UNION ALL SELECT 'sms' WHERE EXISTS (SELECT 1 FROM outbox WHERE channel = 'sms' AND state IN ('waiting', 'sending') AND due_at <= $1)
		UNION ALL SELECT 'webhook' WHERE EXISTS (SELECT 1 FROM outbox WHERE channel = 'webhook' AND state IN ('waiting', 'sending') AND due_at <= $1)`, store.Micros(now))
	return store.Collect(rows, err, func(r *store.Rows) (string, error) {
		var c Channel
		err := r.Scan(&c)
		return lane(c), err
	})
}

// claimMessages takes its limit as a sum: see the same in package jobs.
const claimMessages = `WITH due AS (
		SELECT id FROM outbox WHERE channel = $1 AND state IN ('waiting', 'sending') AND due_at <= $2 ORDER BY due_at, id LIMIT $3 + 0%s)
	UPDATE outbox SET state = 'sending', lease = lease + 1, attempts = attempts + 1, due_at = $4 WHERE id IN (SELECT id FROM due)
	RETURNING id, channel, realm, client, service, object_kind, object_id, recipient, subject, body, html, headers, secret, has_secret, not_after, give_up, created_at, lease, attempts`

// Claim implements [jobs.Source].
func (s source) Claim(tx *store.Tx, name string, n int, now, until time.Time) ([]jobs.Task, error) {
	rows, err := tx.Query(fmt.Sprintf(claimMessages, tx.SkipLocked()), strings.TrimPrefix(name, "outbox."), store.Micros(now), n, store.Micros(until))
	list, err := store.Collect(rows, err, func(r *store.Rows) (*delivery, error) {
		d := &delivery{o: s.o}
		err := r.Scan(&d.e.ID, &d.e.Channel, &d.e.Realm, &d.e.Client, &d.e.Service, &d.e.ObjectKind, &d.e.ObjectID, &d.e.To, &d.e.Subject,
			&d.body, &d.html, &d.headers, &d.sealed, &d.e.Confidential, &d.notAfter, &d.giveUp, &d.created, &d.lease, &d.e.Attempt)
		return d, err
	})
	slices.SortFunc(list, func(a, b *delivery) int { return strings.Compare(a.e.ID, b.e.ID) })
	tasks := make([]jobs.Task, len(list))
	for i, d := range list {
		tasks[i] = d
	}
	return tasks, err
}

// delivery is a claimed message.
type delivery struct {
	o                         *Outbox
	e                         Envelope
	body, html, headers       string
	sealed                    []byte
	notAfter, giveUp, created int64
	lease                     int64
	secret                    string // for scrubbing only
}

// Renew implements [jobs.Task].
func (d *delivery) Renew(tx *store.Tx, until time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE outbox SET due_at = $1 WHERE id = $2 AND lease = $3 AND state = 'sending'`, store.Micros(until), d.e.ID, d.lease)
	return n == 1, err
}

// Run implements [jobs.Task].
func (d *delivery) Run(ctx context.Context) {
	var out outcome
	if now := d.o.clock.Now(); d.notAfter != 0 && store.Micros(now) >= d.notAfter {
		out = outcome{state: Expired, reason: "not delivered before it expired", final: true}
	} else {
		// A crash from here until the outcome is committed delivers the
		// message again under the same id.
		err := d.deliver(ctx)
		out = d.judge(err, err != nil && ctx.Err() != nil)
	}
	if err := d.o.queue.Settle(ctx, func(tx *store.Tx) error { return d.record(tx, out) }); err != nil {
		d.o.log.Error("the outcome of a message could not be recorded; it will be sent again", "message", d.e.ID, "state", out.state, "error", err)
	}
	d.o.counters[d.e.Channel].add(out)
	d.report(out)
}

func (d *delivery) deliver(ctx context.Context) (err error) {
	t := d.o.transports[d.e.Channel]
	if t == nil {
		return errNoTransport
	}
	if err := d.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.o.opts.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the %s transport", d.e.Channel)
			d.o.log.Error("a transport panicked", "message", d.e.ID, "stack", string(debug.Stack()))
		}
	}()
	return t.Deliver(ctx, d.e)
}

// open completes the envelope.
func (d *delivery) open() error {
	if d.e.Confidential {
		plain, err := d.o.sealer.Open(purpose(d.e.ID), d.sealed)
		if err != nil {
			return fault.Wrap(err, "open the secret")
		}
		d.secret = string(plain)
	}
	escape := asIs
	if d.e.Channel == Webhook {
		escape = asJSON
	}
	if d.e.Confidential {
		d.body, d.html = fill(d.body, d.secret, escape), fill(d.html, d.secret, asHTML)
	}
	d.e.Body, d.e.HTML, d.e.Date = secret.New(d.body), secret.New(d.html), store.Time(max(d.created, d.giveUp-GiveUpAfter.Microseconds()))
	return fault.Wrap(json.Unmarshal([]byte(d.headers), &d.e.Headers), "read headers")
}

// An outcome is what is recorded of one attempt.
type outcome struct {
	state   string
	reason  string
	dueAt   int64 // of the next attempt
	final   bool  // no further attempt: the secret goes
	counted bool  // the attempt counts
}

func (d *delivery) judge(err error, interrupted bool) outcome {
	now := store.Micros(d.o.clock.Now())
	switch {
	case err == nil:
		return outcome{state: Delivered, final: true, counted: true}
	case jobs.IsPermanent(err):
		return outcome{state: Failed, reason: d.scrub(err), final: true, counted: true}
	case interrupted:
		return outcome{state: Waiting, reason: "interrupted by a shutdown", dueAt: now}
	case d.notAfter == 0 && now >= d.giveUp:
		return outcome{state: Failed, reason: "given up after three days: " + d.scrub(err), final: true, counted: true}
	}
	due := now + d.o.opts.Backoff.Wait(d.e.Attempt, err).Microseconds()
	if d.notAfter != 0 && due > d.notAfter {
		due = d.notAfter // to be expired then, and its secret erased
	}
	return outcome{state: Waiting, reason: d.scrub(err), dueAt: due, counted: true}
}

// record writes the outcome if the lease is still ours. From the commit on, a
// delivered message is not sent again and its secret exists no more.
func (d *delivery) record(tx *store.Tx, out outcome) error {
	if out.final {
		_, err := tx.Exec(`UPDATE outbox SET state = $1, last_error = $2, done_at = $3, secret = $4 WHERE id = $5 AND lease = $6 AND state = 'sending'`,
			out.state, out.reason, store.Micros(d.o.clock.Now()), []byte{}, d.e.ID, d.lease)
		return err
	}
	attempts := d.e.Attempt
	if !out.counted {
		attempts--
	}
	_, err := tx.Exec(`UPDATE outbox SET state = $1, last_error = $2, due_at = $3, attempts = $4 WHERE id = $5 AND lease = $6 AND state = 'sending'`,
		out.state, out.reason, out.dueAt, attempts, d.e.ID, d.lease)
	return err
}

// scrub is the error as it is kept, without the secret in case that the other
// side repeated it.
func (d *delivery) scrub(err error) string {
	text := err.Error()
	if d.secret != "" {
		for _, form := range []string{d.secret, asJSON(d.secret), html.EscapeString(d.secret), url.QueryEscape(d.secret), url.PathEscape(d.secret)} {
			text = strings.ReplaceAll(text, form, "[redacted]")
		}
	}
	const limit = 1000
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), limit)], ""))
	return text
}

func (d *delivery) report(out outcome) {
	attrs := []any{"message", d.e.ID, "channel", d.e.Channel, "object", d.e.ObjectID, "attempt", d.e.Attempt, "reason", out.reason}
	switch out.state {
	case Failed, Expired:
		d.o.log.Error("a message was not delivered", append(attrs, "state", out.state)...)
	case Waiting:
		d.o.log.Warn("a message will be sent again", attrs...)
	}
}

type counter struct{ delivered, failed, expired, retried atomic.Int64 }

func (c *counter) add(out outcome) {
	switch out.state {
	case Delivered:
		c.delivered.Add(1)
	case Failed:
		c.failed.Add(1)
	case Expired:
		c.expired.Add(1)
	default:
		c.retried.Add(1)
	}
}
