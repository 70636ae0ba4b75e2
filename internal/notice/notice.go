// Package notice tells people what happens to orders and certificates: issued, revoked,
// due for renewal, waiting for approval, and so on (requirements A98 to A101, A146,
// A147, A200).
//
// The order engine calls [Desk.Send] in the transaction of the act: for each recipient
// a message goes into the outbox, once, or the log says why not. Both stand in one list
// per order ([Desk.Of]), from which a message can be sent again ([Desk.Resend]).
//
// There are built-in texts for every [Event] in eight languages. A realm, a client or
// a product can have its own ([Desk.SetText]); they are checked when they are stored,
// and where one fails all the same, the built-in text is sent: a text never stops an
// order.
//
// A link or PIN travels as [Occasion.Secret]: texts hold the outbox's placeholder, and
// the outbox keeps the secret sealed until the message is delivered.
package notice

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Messages is the outbox.
type Messages interface {
	Send(tx *store.Tx, m outbox.Message) (string, error)
	Resend(tx *store.Tx, id string) (string, error)
	List(q store.Queryer, f outbox.Filter, p store.Page) ([]outbox.Entry, string, error)
}

// Auditor records acts.
type Auditor interface {
	Append(tx *store.Tx, e audit.Entry) error
}

// A Desk writes notifications. Build it with [New]; its methods may be called from any
// goroutine.
type Desk struct {
	db       *store.DB
	messages Messages
	audit    Auditor
	clock    clock.Clock
	texts    library
}

// New opens the desk.
func New(db *store.DB, m Messages, log Auditor, c clock.Clock) *Desk {
	return &Desk{db: db, messages: m, audit: log, clock: c, texts: builtIn()}
}

// A Recipient is somebody who may want to know.
type Recipient struct {
	Kind     Kind
	Name     string // how to address them; may be empty
	Email    string
	Mobile   string   // where there is no Email; for [P12PIN] only, whose PIN must not go the way of the file
	Language Language // empty is English

	Operator string // id of the operator; for Kind Operators
	Muted    bool   // the operator does not want to hear what others do (A200)
}

// An Occasion is an event and everybody who may want to know of it.
type Occasion struct {
	Event                Event
	Realm                access.Realm
	Client, Product      string // ids; Product may be empty
	ObjectKind, ObjectID string // what it is about; an empty kind is "order"
	Round                string // tells apart occasions of the same event and object, such as reminders; may be empty
	Actor                string // id of the principal who caused it; empty for the platform itself
	SwitchedOff          bool   // the product does not want this event to be told
	Successor            string // the order whose certificate has replaced this one; reminders are not sent then
	Secret               secret.Text
	Until                time.Time // the message is of no use from then on; zero: no limit
	Data                 Data
	Recipients           []Recipient
}

// maxRecipients bounds one occasion; what lies beyond is an error of the caller.
const maxRecipients = 500

// Send writes the messages of an occasion in the transaction of the act, and the log.
// The same event, object, round and address is written once, however often it is sent
// and whoever else it is meant for. A recipient who cannot be reached is logged and no
// error: only a fault of the database, the outbox or the caller is one (Invalid
// "notice.event" and "notice.occasion").
func (d *Desk) Send(tx *store.Tx, o Occasion) ([]Entry, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	overrides, err := d.overrides(tx, o)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, r := range o.Recipients {
		e, err := d.sendOne(tx, o, overrides, r)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (o *Occasion) check() error {
	if o.ObjectKind == "" {
		o.ObjectKind = "order"
	}
	rule, ok := events[o.Event]
	switch {
	case !ok:
		return fault.Invalidf("notice.event", "There is no event %q.", clip(string(o.Event), 40))
	case o.ObjectID == "" || len(o.Recipients) > maxRecipients:
		return fault.Invalidf("notice.occasion", "A notification is about one object and for at most %d recipients.", maxRecipients)
	case rule.secret == never && !o.Secret.Empty(), rule.secret == always && o.Secret.Empty():
		return fault.Invalidf("notice.occasion", "The notification %s holds a secret that it must not have, or lacks one.", o.Event)
	}
	return nil
}

// sendOne decides, renders, sends and logs.
func (d *Desk) sendOne(tx *store.Tx, o Occasion, overrides []Text, r Recipient) (Entry, error) {
	r.Language = ParseLanguage(string(r.Language))
	m := outbox.Message{
		Channel: outbox.Email, Realm: string(o.Realm), Client: o.Client, ObjectKind: o.ObjectKind, ObjectID: o.ObjectID,
		To: strings.TrimSpace(r.Email), Secret: o.Secret, NotAfter: o.Until,
	}
	if m.To == "" && o.Event == P12PIN && r.Mobile != "" && !o.Secret.Empty() {
		m.Channel, m.To = outbox.SMS, r.Mobile
	}
	e := Entry{
		ID: ident.New("ntc"), Realm: o.Realm, Client: o.Client, ObjectKind: o.ObjectKind, ObjectID: o.ObjectID, Event: o.Event,
		Kind: r.Kind, To: m.To, Language: r.Language, By: madeBy(tx), At: d.clock.Now(), key: o.key(m.To),
	}
	if e.Outcome = o.suppress(r, &m); e.Outcome != Queued {
		return e, d.log(tx, &e)
	}
	var known int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM notice_log WHERE dkey = $1 AND outcome = $2`, e.key, string(Queued)).Scan(&known); err != nil {
		return e, err
	}
	if known > 0 {
		e.Outcome = Duplicate
		return e, d.log(tx, &e)
	}
	if m.Channel == outbox.SMS {
		m.Body = d.texts[textKey{o.Event + smsSuffix, r.Language}].renderSMS(o.fields(r))
	} else {
		m.Subject, m.Body, e.Note = d.render(o, overrides, r)
	}
	m.Key = "notice/" + e.key
	var err error
	if e.Message, err = d.messages.Send(tx, m); err != nil {
		return e, fault.Wrap(err, "send notification "+string(o.Event))
	}
	return e, d.log(tx, &e)
}

// suppress says why a message is not sent, or [Queued].
func (o *Occasion) suppress(r Recipient, m *outbox.Message) Outcome {
	switch {
	case o.SwitchedOff:
		return SwitchedOff
	case o.Successor != "" && events[o.Event].untilReplaced:
		return Replaced
	case r.Muted && r.Kind == Operators && (r.Operator == "" || r.Operator != o.Actor):
		return Muted
	case m.To == "":
		return NoAddress
	case m.Channel == outbox.Email && outbox.CheckEmail(m.To) != nil:
		return BadAddress
	}
	if m.Channel == outbox.SMS {
		number, err := outbox.ParseMobile(m.To)
		if err != nil {
			return BadAddress
		}
		m.To = number
	}
	return Queued
}

// key names the occasion and the address. Its length does not depend on either.
func (o *Occasion) key(address string) string {
	h := sha256.New()
	for _, part := range []string{string(o.Event), o.ObjectKind, o.ObjectID, o.Round, strings.ToLower(address)} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// madeBy is the name of who acts in the transaction, for the log.
func madeBy(tx *store.Tx) string {
	o := audit.OriginOf(tx.Context())
	if o.Name != "" {
		return clip(o.Name, 200)
	}
	return o.Kind
}
