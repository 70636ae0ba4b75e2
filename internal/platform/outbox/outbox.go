// Package outbox sends e-mail, SMS and webhooks: a message is written in the
// transaction that gives cause for it, and delivered afterwards at least once.
//
// [Outbox.Send] writes the row. The [jobs.Queue] that the outbox is attached to
// claims due rows, hands them to the [Transport] of their channel and records
// the outcome. Temporary failures are repeated with back-off until the message
// is too old (NotAfter) or three days have passed; permanent ones (SMTP 5xx,
// most HTTP 4xx) fail at once. Everything stays visible ([Outbox.List]) and can
// be sent again ([Outbox.Resend]).
//
// A crash between the delivery and the commit that records it leads to a second
// delivery. It carries the same id: as Message-ID of an e-mail, as
// Idempotency-Key of an SMS, and in the header Sealwright-Message-Id of a
// webhook. A message with a Key is written once, however often it is sent.
//
// A secret, such as a one-time password or a link that opens a file, travels in
// Message.Secret and stands as {secret} in the text. The row keeps it sealed
// and loses it in the transaction that records the delivery or gives up.
//
// The rows carry their own due time and lease instead of a job row each: that
// is three row writes per message instead of five or six, and a message and
// its state are one thing to look at.
package outbox

import (
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Channel is a way to reach somebody.
type Channel string

// The channels.
const (
	Email   Channel = "email"
	SMS     Channel = "sms"
	Webhook Channel = "webhook"
)

// Placeholder stands in Body and HTML where the secret goes.
const Placeholder = "{secret}"

// GiveUpAfter is how long delivery of a message without NotAfter is tried.
const GiveUpAfter = 72 * time.Hour

// A Message is what to send, to whom and on whose account.
type Message struct {
	Channel                Channel
	Realm, Client, Service string // whose message it is; what lists are scoped by
	ObjectKind, ObjectID   string // what it is about, such as "order" and "ord-…"

	To      string            // an e-mail address, a mobile number in any form, or an https URL
	Subject string            // of an e-mail
	Body    string            // plain text; for a webhook a JSON document
	HTML    string            // optional second form of an e-mail
	Headers map[string]string // further header fields of an e-mail or webhook
	Secret  secret.Text       // replaces {secret} at delivery only; escaped as HTML and JSON need

	Key       string    // the same key is sent once, for as long as the first row is kept
	NotBefore time.Time // zero: at once
	NotAfter  time.Time // not delivered from then on; zero: no such limit
}

// An Envelope is a message on its way, as a transport gets it.
type Envelope struct {
	ID                     string
	Channel                Channel
	Realm, Client, Service string
	ObjectKind, ObjectID   string
	To, Subject            string
	Body, HTML             secret.Text // with the secret in its place
	Headers                map[string]string
	Confidential           bool // there is a secret: what the other side answers may echo it and is not kept
	Date                   time.Time
	Attempt                int
}

// A Sealer encrypts small values at rest, bound to a purpose.
type Sealer interface {
	Seal(purpose string, plaintext []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Options shape an [Outbox]; zero fields take the defaults.
type Options struct {
	Concurrency int           // deliveries at once per channel on this node; 8
	Timeout     time.Duration // of one delivery; 1 minute
	Backoff     jobs.Backoff  // wait after a temporary failure; Exponential(2 s, 10 min)
	Keep        time.Duration // how long ended messages and their keys are kept; 400 days
}

// An Outbox writes messages and has them delivered.
type Outbox struct {
	db         *store.DB
	clock      clock.Clock
	log        *slog.Logger
	queue      *jobs.Queue
	sealer     Sealer
	transports map[Channel]Transport
	opts       Options
	counters   map[Channel]*counter
}

// New makes an outbox and attaches it to the queue, before the queue runs.
// A message for a channel without a transport waits, and says so, until the
// configuration has one.
func New(db *store.DB, c clock.Clock, log *slog.Logger, q *jobs.Queue, s Sealer, transports map[Channel]Transport, o Options) *Outbox {
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Backoff == nil {
		o.Backoff = jobs.Exponential(2*time.Second, 10*time.Minute)
	}
	if o.Keep <= 0 {
		o.Keep = 400 * 24 * time.Hour
	}
	out := &Outbox{db: db, clock: c, log: log, queue: q, sealer: s, transports: transports, opts: o, counters: map[Channel]*counter{}}
	for _, ch := range []Channel{Email, SMS, Webhook} {
		out.counters[ch] = new(counter)
		q.Attach(source{out}, lane(ch), o.Concurrency)
	}
	q.Every("outbox.sweep", time.Hour, out.sweep)
	return out
}

const insertMessage = `INSERT INTO outbox (id, channel, state, dkey, realm, client, service, object_kind, object_id, recipient, subject, body, html, headers,
		secret, has_secret, not_after, give_up, due_at, resend_of, created_at)
	VALUES ($1, $2, 'waiting', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
	ON CONFLICT (dkey) WHERE dkey <> '' DO NOTHING`

// Send writes a message in the caller's transaction and returns its id; with a
// Key that was sent before, it writes nothing and returns the id of the first.
//
// Faults of kind Invalid: "email.malformed", "mobile.malformed",
// "webhook.malformed" (recipients), "outbox.header" (a line break or a reserved
// name in a header or subject), "outbox.secret" (no {secret} in the text, or
// the secret itself in it) and "outbox.message" for everything else.
func (o *Outbox) Send(tx *store.Tx, m Message) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	id := ident.New("out")
	n, err := o.insert(tx, id, m, "")
	if err != nil {
		return "", fault.Wrap(err, "write message to outbox")
	}
	if n == 0 {
		err := tx.QueryRow(`SELECT id FROM outbox WHERE dkey = $1 AND dkey <> ''`, m.Key).Scan(&id)
		return id, fault.Wrap(err, "find message "+m.Key)
	}
	return id, nil
}

func (o *Outbox) insert(tx *store.Tx, id string, m Message, resendOf string) (int64, error) {
	sealed := []byte{}
	if !m.Secret.Empty() {
		var err error
		if sealed, err = o.sealer.Seal(purpose(id), []byte(m.Secret.Reveal())); err != nil {
			return 0, err
		}
	}
	headers, err := json.Marshal(m.Headers)
	if err != nil {
		return 0, err
	}
	now := o.clock.Now()
	due := now
	if m.NotBefore.After(now) {
		due = m.NotBefore
	}
	n, err := tx.Exec(insertMessage, id, string(m.Channel), m.Key, m.Realm, m.Client, m.Service, m.ObjectKind, m.ObjectID, m.To, m.Subject, m.Body, m.HTML, string(headers),
		sealed, !m.Secret.Empty(), store.Micros(m.NotAfter), store.Micros(due.Add(GiveUpAfter)), store.Micros(due), resendOf, store.Micros(now))
	if n == 1 && !due.After(now) {
		tx.AfterCommit(func() { o.queue.Wake(lane(m.Channel)) })
	}
	return n, err
}

// purpose binds a sealed secret to its row.
func purpose(id string) string { return "outbox:" + id }

// Cancel withdraws the messages about an object that still wait, with their
// secrets, and returns how many. One that is being sent is not stopped.
func (o *Outbox) Cancel(tx *store.Tx, objectKind, objectID string) (int64, error) {
	return tx.Exec(`UPDATE outbox SET state = 'cancelled', done_at = $1, secret = $2 WHERE object_kind = $3 AND object_id = $4 AND state = 'waiting'`,
		store.Micros(o.clock.Now()), []byte{}, objectKind, objectID)
}

// Resend sends a message again by hand, in a transaction of the caller's, who
// audits the act in it, and returns the id under which it goes out. A message
// that waits becomes due at once. One that failed or was cancelled starts anew
// under its id. Of a delivered one a copy goes out under a new id, because
// receivers drop what they have seen.
//
// It is refused with a fault of kind Gone: "outbox.secret_erased" when the
// message held a secret, which no longer exists, and "outbox.expired" when it
// is too old; and with one of kind Conflict while it is being sent.
func (o *Outbox) Resend(tx *store.Tx, id string) (string, error) {
	e, err := o.Get(tx, id)
	if err != nil {
		return "", err
	}
	now := o.clock.Now()
	switch {
	case e.State == Sending:
		return "", fault.Conflictf("outbox.sending", "Message %s is being sent.", id).WithNext("Look again in a minute.")
	case e.SecretErased:
		return "", fault.Gonef("outbox.secret_erased", "Message %s held a secret, which was erased when it was %s.", id, e.State).
			WithNext("Ask for a new link or password where the first came from.")
	case !e.NotAfter.IsZero() && !now.Before(e.NotAfter):
		return "", fault.Gonef("outbox.expired", "Message %s was of use until %s only.", id, e.NotAfter.Format(time.RFC3339)).
			WithNext("Have it made anew where the first came from.")
	case e.State == Delivered:
		return o.sendCopy(tx, e)
	}
	n, err := tx.Exec(`UPDATE outbox SET state = 'waiting', due_at = $1, give_up = $2, attempts = 0, done_at = 0 WHERE id = $3 AND state IN ('waiting', 'failed', 'cancelled')`,
		store.Micros(now), store.Micros(now.Add(GiveUpAfter)), id)
	if err == nil && n == 0 {
		err = fault.Conflictf("outbox.state", "Message %s has just changed.", id).WithNext("Look again.")
	}
	if err != nil {
		return "", err
	}
	tx.AfterCommit(func() { o.queue.Wake(lane(e.Channel)) })
	return id, nil
}

func (o *Outbox) sendCopy(tx *store.Tx, e Entry) (string, error) {
	m := Message{
		Channel: e.Channel, Realm: e.Realm, Client: e.Client, Service: e.Service, ObjectKind: e.ObjectKind, ObjectID: e.ObjectID,
		To: e.To, Subject: e.Subject, Body: e.Body, HTML: e.HTML, Headers: e.Headers, NotAfter: e.NotAfter,
	}
	id := ident.New("out")
	_, err := o.insert(tx, id, m, e.ID)
	return id, err
}

// errNoTransport is what a message without a way out waits for.
var errNoTransport = errors.New("no transport is configured for this channel")
