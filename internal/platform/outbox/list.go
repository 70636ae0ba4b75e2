package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The states of a message.
const (
	Waiting   = "waiting"   // for its time, or for its next attempt
	Sending   = "sending"   // claimed by a node
	Delivered = "delivered" // taken over by the other side
	Failed    = "failed"    // refused for good, or given up after three days
	Expired   = "expired"   // not delivered before NotAfter
	Cancelled = "cancelled" // withdrawn before it was sent
)

var states = []string{Waiting, Sending, Delivered, Failed, Expired, Cancelled}

// An Entry is a message as operators see it. Where the secret stands, Body and
// HTML say "[redacted]".
type Entry struct {
	ID                     string
	Channel                Channel
	State                  string
	Realm, Client, Service string
	ObjectKind, ObjectID   string
	To, Subject            string
	Body, HTML             string
	Headers                map[string]string
	Key                    string
	HasSecret              bool
	SecretErased           bool
	Attempts               int
	LastError              string
	ResendOf               string    // the message that this one repeats
	DueAt                  time.Time // of the next attempt
	NotAfter               time.Time
	CreatedAt              time.Time
	DoneAt                 time.Time
}

// A Filter narrows a list; empty fields match everything.
type Filter struct {
	Realm, Client, Service string
	Channel                Channel
	State                  string
	To                     string // exact; a mobile number in E.164 form
	ObjectKind, ObjectID   string
}

const entryColumns = `id, channel, state, realm, client, service, object_kind, object_id, recipient, subject, body, html, headers, dkey,
	has_secret, length(secret), attempts, last_error, resend_of, due_at, not_after, created_at, done_at`

func scanEntry(r interface{ Scan(...any) error }) (Entry, error) {
	var e Entry
	var headers string
	var sealed, due, notAfter, created, done int64
	if err := r.Scan(&e.ID, &e.Channel, &e.State, &e.Realm, &e.Client, &e.Service, &e.ObjectKind, &e.ObjectID, &e.To, &e.Subject, &e.Body, &e.HTML, &headers, &e.Key,
		&e.HasSecret, &sealed, &e.Attempts, &e.LastError, &e.ResendOf, &due, &notAfter, &created, &done); err != nil {
		return e, err
	}
	e.SecretErased = e.HasSecret && sealed == 0
	e.DueAt, e.NotAfter, e.CreatedAt, e.DoneAt = store.Time(due), store.Time(notAfter), store.Time(created), store.Time(done)
	if e.HasSecret {
		e.Body, e.HTML = fill(e.Body, "[redacted]", asIs), fill(e.HTML, "[redacted]", asIs)
	}
	return e, json.Unmarshal([]byte(headers), &e.Headers)
}

// List gives messages, newest first, and the cursor of the next page, empty at
// the end. The caller sets the fields of the filter that its scope demands.
func (o *Outbox) List(q store.Queryer, f Filter, p store.Page) ([]Entry, string, error) {
	key, ok, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	if !ok {
		key.ID = "~" // after every id
	}
	where, args := `id < $1`, []any{key.ID}
	for _, c := range []struct{ column, value string }{
		{"realm", f.Realm},
		{"client", f.Client},
		{"service", f.Service},
		{"channel", string(f.Channel)},
		{"recipient", f.To},
		{"object_kind", f.ObjectKind},
		{"object_id", f.ObjectID},
	} {
		if c.value != "" {
			args = append(args, c.value)
			where += ` AND ` + c.column + ` = $` + strconv.Itoa(len(args))
		}
	}
	if f.State != "" {
		if !slices.Contains(states, f.State) {
			return nil, "", fault.Invalidf("outbox.state", "There is no message state %q.", clip(f.State)).WithField("state")
		}
		where += ` AND state = '` + f.State + `'` // written out, so that the partial index serves
	}
	size := p.Size()
	args = append(args, size+1)
	rows, err := q.Query(`SELECT `+entryColumns+` FROM outbox WHERE `+where+` ORDER BY id DESC LIMIT $`+strconv.Itoa(len(args))+` + 0`, args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Entry, error) { return scanEntry(r) })
	if err != nil || len(list) <= size {
		return list, "", err
	}
	return list[:size], store.Key{ID: list[size-1].ID}.Cursor(), nil
}

// Get gives one message. Whether the caller may see it, its Realm, Client and
// Service tell.
func (o *Outbox) Get(q store.Queryer, id string) (Entry, error) {
	e, err := scanEntry(q.QueryRow(`SELECT `+entryColumns+` FROM outbox WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return e, fault.NotFoundf("outbox.not_found", "There is no message %s.", clip(id))
	}
	return e, err
}

// A Backlog counts the messages of a channel that should have been delivered.
type Backlog struct {
	Channel Channel
	Count   int64
	Oldest  time.Time // since when the first of them was to be delivered
}

// Backlog gives what is not delivered although its time has come, by channel,
// for metrics. Its cost grows with the number of undelivered messages only.
func (o *Outbox) Backlog(q store.Queryer) ([]Backlog, error) {
	// give_up lies GiveUpAfter past the time at which delivery was to begin.
	rows, err := q.Query(`SELECT channel, COUNT(*), MIN(give_up) FROM outbox WHERE state IN ('waiting', 'sending') AND give_up <= $1 GROUP BY channel ORDER BY channel`,
		store.Micros(o.clock.Now().Add(GiveUpAfter)))
	return store.Collect(rows, err, func(r *store.Rows) (Backlog, error) {
		var b Backlog
		var oldest int64
		err := r.Scan(&b.Channel, &b.Count, &oldest)
		b.Oldest = store.Time(oldest).Add(-GiveUpAfter)
		return b, err
	})
}

// Stats counts what this node did on a channel since it started.
type Stats struct{ Delivered, Failed, Expired, Retried int64 }

// Stats gives the counters by channel.
func (o *Outbox) Stats() map[Channel]Stats {
	out := map[Channel]Stats{}
	for ch, c := range o.counters {
		out[ch] = Stats{c.delivered.Load(), c.failed.Load(), c.expired.Load(), c.retried.Load()}
	}
	return out
}

// sweepBatch is how many rows one transaction of the sweep looks at.
const sweepBatch = 500

// sweep deletes messages that ended longer ago than Options.Keep. Ids begin
// with the time, so it walks from the oldest row to the first that is too
// young, and needs no index of its own.
func (o *Outbox) sweep(ctx context.Context, _ jobs.Job) error {
	before := store.Micros(o.clock.Now().Add(-o.opts.Keep))
	for after := ""; ; {
		var last string
		var oldest int64
		err := o.db.View(ctx).QueryRow(`SELECT COALESCE(MAX(id), ''), COALESCE(MIN(created_at), 0) FROM (SELECT id, created_at FROM outbox WHERE id > $1 ORDER BY id LIMIT $2 + 0) o`,
			after, sweepBatch).Scan(&last, &oldest)
		if err != nil || last == "" || oldest >= before {
			return err
		}
		if err := o.db.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM outbox WHERE id > $1 AND id <= $2 AND state NOT IN ('waiting', 'sending') AND done_at < $3`, after, last, before)
			return err
		}); err != nil {
			return err
		}
		after = last
	}
}
