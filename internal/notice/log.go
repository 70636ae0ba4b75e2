package notice

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// An Outcome says what became of a notification.
type Outcome string

// The outcomes. All but Queued say why nothing was sent.
const (
	Queued      Outcome = "queued"       // in the outbox; Entry.State tells further
	SwitchedOff Outcome = "switched-off" // by the product
	Muted       Outcome = "muted"        // by the operator
	NoAddress   Outcome = "no-address"
	BadAddress  Outcome = "bad-address" // not one that can be written to
	Duplicate   Outcome = "duplicate"   // the same went to the same address before
	Replaced    Outcome = "replaced"    // by a successor, so that no reminder is needed
)

// An Entry is a line of the log: a notification that was sent, or was not.
type Entry struct {
	ID                   string // ntc-…
	Realm                access.Realm
	Client               string
	ObjectKind, ObjectID string
	Event                Event
	Kind                 Kind
	To                   string
	Language             Language
	Outcome              Outcome
	Note                 string // what else there is to say
	Message              string // id in the outbox; empty when nothing was sent
	ResendOf             string // the entry that this one repeats
	By                   string // name of who caused it
	At                   time.Time

	// What the outbox says of the message; filled in by [Desk.Of].
	State     string // one of the outbox's states; empty when the outbox has forgotten it
	Subject   string
	LastError string
	Done      time.Time

	key string
}

const logColumns = `id, realm, client, object_kind, object_id, event, kind, recipient, language, outcome, note, message_id, resend_of, made_by, created_at`

func scanEntry(r interface{ Scan(...any) error }) (e Entry, err error) {
	var at int64
	err = r.Scan(&e.ID, &e.Realm, &e.Client, &e.ObjectKind, &e.ObjectID, &e.Event, &e.Kind, &e.To, &e.Language, &e.Outcome, &e.Note, &e.Message, &e.ResendOf, &e.By, &at)
	e.At = store.Time(at)
	return e, err
}

// maxLogged bounds what is stored of an address that may be anything.
const maxLogged = 300

// log writes an entry; the same outcome for the same key is written once.
func (d *Desk) log(tx *store.Tx, e *Entry) error {
	e.To = plain(clip(e.To, maxLogged))
	_, err := tx.Exec(`INSERT INTO notice_log (`+logColumns+`, dkey) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (dkey, outcome) DO NOTHING`,
		e.ID, string(e.Realm), e.Client, e.ObjectKind, e.ObjectID, string(e.Event), string(e.Kind), e.To, string(e.Language), string(e.Outcome),
		e.Note, e.Message, e.ResendOf, e.By, store.Micros(e.At), e.key)
	return fault.Wrap(err, "log a notification")
}

// Of lists what was sent about an object and what was not, the latest first, and the
// cursor of the next page (A146). It shows what the caller may see
// (certificate.search).
func (d *Desk) Of(ctx context.Context, s access.Scope, objectKind, objectID string, p store.Page) ([]Entry, string, error) {
	after, resume, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	if !resume {
		after.ID = "~" // after every id
	}
	where, args := s.Filter(access.CertificateSearch, "realm", "client", []any{objectID, objectKind, after.ID})
	size := p.Size()
	args = append(args, size+1)
	view := d.db.View(ctx)
	rows, err := view.Query(`SELECT `+logColumns+` FROM notice_log WHERE object_id = $1 AND object_kind = $2 AND id < $3 AND `+where+
		` ORDER BY id DESC LIMIT $`+strconv.Itoa(len(args))+` + 0`, args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Entry, error) { return scanEntry(r) })
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(list) > size {
		list = list[:size]
		next = store.Key{ID: list[size-1].ID}.Cursor()
	}
	return list, next, d.fillStates(view, objectKind, objectID, list)
}

// maxOutboxPages bounds how far the messages of one object are searched.
const maxOutboxPages = 5

// fillStates asks the outbox for the messages of the object: they are few.
func (d *Desk) fillStates(q store.Queryer, objectKind, objectID string, list []Entry) error {
	wanted := map[string]*Entry{}
	for i := range list {
		if list[i].Message != "" {
			wanted[list[i].Message] = &list[i]
		}
	}
	page := store.Page{Limit: store.MaxLimit}
	for n := 0; n < maxOutboxPages && len(wanted) > 0; n++ {
		found, next, err := d.messages.List(q, outbox.Filter{ObjectKind: objectKind, ObjectID: objectID}, page)
		if err != nil {
			return err
		}
		for _, m := range found {
			if e := wanted[m.ID]; e != nil {
				e.State, e.Subject, e.LastError, e.Done = m.State, m.Subject, m.LastError, m.DoneAt
				delete(wanted, m.ID)
			}
		}
		if page.Cursor = next; next == "" {
			break
		}
	}
	return nil
}

// Resend sends a notification again, to the same address with the same text (A147). It
// needs outbox.resend. Faults: NotFound "notice.unknown", Conflict "notice.not_sent" for
// one that was never sent, and those of [outbox.Outbox.Resend]: the secret of a
// delivered message is gone, and has to be made anew where it came from.
func (d *Desk) Resend(ctx context.Context, s access.Scope, id string) (Entry, error) {
	var out Entry
	err := d.update(ctx, s, func(tx *store.Tx) error {
		e, err := scanEntry(tx.QueryRow(`SELECT `+logColumns+` FROM notice_log WHERE id = $1`, id))
		if errors.Is(err, store.ErrNotFound) {
			return unknown()
		}
		if err != nil {
			return err
		}
		if err := s.Require(access.OutboxResend, e.Realm, e.Client); err != nil {
			if errors.Is(err, fault.NotFound) {
				return unknown()
			}
			return err
		}
		if e.Message == "" {
			return fault.Conflictf("notice.not_sent", "The notification to %s was not sent (%s), so it cannot be sent again.", orNobody(e.To), e.Outcome).
				WithNext("Mend the cause; the next notification will be sent.")
		}
		out = e
		out.ID, out.ResendOf, out.Outcome, out.Note, out.By, out.At = ident.New("ntc"), e.ID, Queued, "", madeBy(tx), d.clock.Now()
		out.key = "resend/" + out.ID
		if out.Message, err = d.messages.Resend(tx, e.Message); err != nil {
			return err
		}
		if err := d.log(tx, &out); err != nil {
			return err
		}
		return d.audit.Append(tx, audit.Entry{
			Action: "notice.resend", ObjectKind: e.ObjectKind, ObjectID: e.ObjectID, Realm: string(e.Realm), Client: e.Client,
			Detail: map[string]string{"notice": e.ID, "event": string(e.Event), "to": e.To},
		})
	})
	return out, err
}

func unknown() error {
	return fault.NotFoundf("notice.unknown", "There is no such notification, or you may not see it.")
}

func orNobody(to string) string {
	if to == "" {
		return "nobody"
	}
	return to
}

// update runs a change on behalf of s, whom the audit entries name unless the endpoint
// has said something more exact.
func (d *Desk) update(ctx context.Context, s access.Scope, fn func(tx *store.Tx) error) error {
	p, o := s.Principal(), audit.OriginOf(ctx)
	if (o.Kind == audit.System || o.Kind == audit.Anonymous) && p.Kind != "" && p.Kind != access.SystemKind {
		o.Kind, o.ID, o.Name = string(p.Kind), p.ID, p.Name
		ctx = audit.WithOrigin(ctx, o)
	}
	return d.db.Update(ctx, fn)
}
