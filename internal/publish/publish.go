// Package publish puts certificates, CA certificates and CRLs where others look
// for them: LDAP directories, folders and SFTP servers, and takes them away
// again when they are revoked or no longer wanted.
//
// A [Publisher] is a destination with its settings. [Publishing.Queue] and
// [Publishing.QueueRemoval] write what is wanted in the caller's transaction;
// the [jobs.Queue] that the package is attached to does the work afterwards,
// repeats what fails, and gives up after the publisher's time. Each step stands
// in the history ([Publishing.History]), and what failed can be sent again.
//
// One node at a time works on a publisher, under a lease. What it does is
// idempotent and written down before it begins, so a node may die or lose its
// lease at any moment: the next one finds what may have been done and finishes
// or undoes it. A node that comes too late finds its lease gone when it records
// the outcome, and has the object looked at once more.
package publish

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Sealer encrypts small values at rest, bound to a purpose.
type Sealer interface {
	Seal(purpose string, plaintext []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Options shape a [Publishing]; fields of the second group have defaults.
type Options struct {
	DB     *store.DB
	Clock  clock.Clock
	Log    *slog.Logger
	Queue  *jobs.Queue
	Sealer Sealer
	Audit  *audit.Log

	Egress      egress.Policy // its Deny holds for publishers; internal addresses are allowed by each publisher, not by Allow
	Directories []string      // folders at and below which files may be published; none: no file publishers
	PlainLDAP   bool          // lets publishers speak LDAP without TLS
	Concurrency int           // publishers that this node works on at once; 4
	Backoff     jobs.Backoff  // wait after an object was refused; Exponential(10 s, 1 h)
	Pause       jobs.Backoff  // wait after a publisher did not answer; Exponential(5 s, 10 min)
}

// Publishing keeps publishers and has them do their work.
type Publishing struct {
	o Options

	// InUse, unless nil, names what else refers to a publisher, such as a
	// product; a publisher that something refers to is not deleted.
	InUse func(q store.Queryer, publisher string) (string, error)

	// OnDone, unless nil, is told the final outcome of publishing the
	// certificate of an order, in the transaction that records it: published,
	// or given up. An error has the outcome recorded later, once more.
	OnDone func(tx *store.Tx, order, publisher string, ok bool, detail string) error

	// OnRemoved is the same for taking a certificate away.
	OnRemoved func(tx *store.Tx, order, publisher string, ok bool, detail string) error
}

// lane is what the queue calls this work.
const lane = "publish"

// New makes a Publishing and attaches it to the queue, before the queue runs.
func New(o Options) *Publishing {
	if o.Concurrency <= 0 {
		o.Concurrency = 4
	}
	if o.Backoff == nil {
		o.Backoff = jobs.Exponential(10*time.Second, time.Hour)
	}
	if o.Pause == nil {
		o.Pause = jobs.Exponential(5*time.Second, 10*time.Minute)
	}
	p := &Publishing{o: o}
	o.Queue.Attach(source{p}, lane, o.Concurrency)
	return p
}

func (p *Publishing) now() time.Time { return p.o.Clock.Now() }

// wake has due work begin once the transaction is durable.
func (p *Publishing) wake(tx *store.Tx) { tx.AfterCommit(func() { p.o.Queue.Wake(lane) }) }

// update runs a change on behalf of s: the audit entries name its principal
// unless the endpoint has said something more exact.
func (p *Publishing) update(ctx context.Context, s access.Scope, fn func(tx *store.Tx) error) error {
	o, who := audit.OriginOf(ctx), s.Principal()
	if (o.Kind == audit.System || o.Kind == audit.Anonymous) && who.Kind != "" && who.Kind != access.SystemKind {
		o.Kind, o.ID, o.Name = string(who.Kind), who.ID, who.Name
		ctx = audit.WithOrigin(ctx, o)
	}
	return p.o.DB.Update(ctx, fn)
}

// Sweep tidies up: it ends what waits for publishers that were deleted, and
// drops what is old in the history of CA certificates and CRLs, of which there
// are many. It is idempotent and bounded; once a day is enough.
func (p *Publishing) Sweep(ctx context.Context) error {
	now := store.Micros(p.now())
	return p.o.DB.Update(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`UPDATE publish_items SET state = CASE state WHEN 'waiting' THEN 'failed' ELSE 'stuck' END, version = version + 1, last_error = $1, done_at = $2
			WHERE id IN (SELECT i.id FROM publish_items i JOIN publish_publishers p ON p.id = i.publisher
				WHERE p.deleted_at > 0 AND i.state IN ('waiting', 'removing') LIMIT 500)
			RETURNING object, kind, publisher`, deletedText, now)
		type orphan struct{ object, kind, publisher string }
		orphans, err := store.Collect(rows, err, func(r *store.Rows) (o orphan, err error) {
			return o, r.Scan(&o.object, &o.kind, &o.publisher)
		})
		if err != nil {
			return err
		}
		for _, o := range orphans {
			if err := p.event(tx, o.object, o.kind, o.publisher, GaveUp, deletedText); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`DELETE FROM publish_events WHERE id IN (SELECT id FROM publish_events WHERE kind <> 'certificate' AND at < $1 ORDER BY at LIMIT 5000)`,
			store.Micros(p.now().Add(-keepRoutine)))
		return err
	})
}

const (
	deletedText = "the publisher was deleted"
	keepRoutine = 90 * 24 * time.Hour
)

// event adds a line to the history.
func (p *Publishing) event(tx *store.Tx, object, kind, publisher string, e EventKind, detail string) error {
	who := audit.OriginOf(tx.Context())
	actor := who.Name
	if actor == "" {
		actor = who.ID
	}
	_, err := tx.Exec(`INSERT INTO publish_events (id, object, kind, publisher, at, event, detail, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		ident.New("pev"), object, kind, publisher, store.Micros(p.now()), string(e), clean(detail, maxReason), clean(actor, maxReason))
	return err
}

// clean makes text that others wrote fit to be stored and shown.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
