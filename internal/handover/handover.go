// Package handover delivers one file to one person once: a link by e-mail, a
// one-time password by SMS, the file, and only after its last byte the password
// that opens it, by SMS again (requirements N17 to N23).
//
// No single channel carries enough to get at a key: the link opens a page that
// asks for the one-time password; the file is encrypted; its password exists
// in a message only after the file has left. Then file and password are erased.
//
// A delivery is a row that moves through compare-and-set updates:
//
//	waiting → open → delivered
//	   └────────┴──→ closed (expired, withdrawn or replaced)
package handover

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Kind says what is handed over and how.
type Kind string

// The kinds.
const (
	PKCS12      Kind = "pkcs12"      // an encrypted key file, its password by SMS afterwards
	Certificate Kind = "certificate" // the recipient brings a CSR and fetches the certificate
)

// States of a delivery.
const (
	Waiting   = "waiting"   // for the one-time password
	Open      = "open"      // one browser has given it
	Delivered = "delivered" // the last byte has been sent
	Closed    = "closed"
)

// Policy holds the lives and limits of a delivery.
type Policy struct {
	LinkLife  time.Duration // until an unclaimed delivery expires
	CodeLife  time.Duration // of a one-time password: 30 minutes (N18)
	CodeTries int           // wrong guesses until it is spent
	CodeLimit int           // one-time passwords per delivery
	CodePause time.Duration // between two of them
	Session   time.Duration // how long the browser that gave it may download
}

// DefaultPolicy is the policy of a fresh installation.
var DefaultPolicy = Policy{LinkLife: 14 * 24 * time.Hour, CodeLife: 30 * time.Minute, CodeTries: 5, CodeLimit: 6, CodePause: 30 * time.Second, Session: 30 * time.Minute}

// A Recipient is the authorised person to whom the file goes (N13).
type Recipient struct {
	Name, Email, Mobile, Language string
}

// An Offer is what is to be delivered.
type Offer struct {
	Realm, Client, Service, OrderID string

	Kind      Kind
	Title     string // what it is, such as the certificate's common name
	Recipient Recipient
	FileName  string
	File      []byte
	Password  secret.Text
}

// A Delivery is the state of an offer as its page and the order show it.
type Delivery struct {
	ID, Realm, Client, Service, OrderID string

	Kind      Kind
	Title     string
	State     string
	Recipient Recipient
	FileName  string
	FileSize  int64 // 0 while there is no file yet
	Sent      int64 // bytes known to have been sent, from the start
	CodeUntil time.Time
	CodesLeft int // one-time passwords that may still be asked for
	TriesLeft int
	Expires   time.Time
	Done      time.Time
}

// Sealer keeps secrets at rest; the key vault is one.
type Sealer interface {
	Seal(purpose string, plaintext []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Sender puts messages into the outbox.
type Sender interface {
	Send(tx *store.Tx, m outbox.Message) (string, error)
}

// Auditor records acts.
type Auditor interface {
	Append(tx *store.Tx, e audit.Entry) error
}

// A Desk is where deliveries are made and picked up. Build it with [New].
type Desk struct {
	db     *store.DB
	seal   Sealer
	outbox Sender
	audit  Auditor
	clock  clock.Clock
	policy Policy
	link   func(realm, token string) string
}

// New opens the desk; link makes the address of a pick-up page.
func New(db *store.DB, seal Sealer, out Sender, log Auditor, c clock.Clock, p Policy, link func(realm, token string) string) *Desk {
	return &Desk{db: db, seal: seal, outbox: out, audit: log, clock: c, policy: p, link: link}
}

const (
	purposeFile     = "handover.file"
	purposePassword = "handover.password"
	codeDigits      = 6
)

// codeHash binds a one-time password to its link: only the holder of the link
// token, which is not stored, can test a guess.
func codeHash(token, code string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte(code))
	return hex.EncodeToString(m.Sum(nil))
}

// Offer begins a delivery within the order's transaction: it stores file and
// password sealed, and sends the link by e-mail and the one-time password by SMS.
func (d *Desk) Offer(tx *store.Tx, o Offer) (string, error) {
	var file, password []byte
	var err error
	if len(o.File) > 0 {
		if file, err = d.seal.Seal(purposeFile, o.File); err != nil {
			return "", err
		}
	}
	if !o.Password.Empty() {
		if password, err = d.seal.Seal(purposePassword, []byte(o.Password.Reveal())); err != nil {
			return "", err
		}
	}
	id, now := ident.New("hnd"), d.clock.Now()
	token, code := secret.NewToken(), secret.NewCode(codeDigits)
	_, err = tx.Exec(`INSERT INTO handovers (id, realm, client, service, order_id, kind, title, state, name, email, mobile, language,
			link_hash, code_hash, code_until, code_sent_at, codes_sent, tries, file_name, file_size, file, password, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $10, $11, $12, $13, $14, $15, 1, 0, $16, $17, $18, $19, $20, $15)`,
		id, o.Realm, o.Client, o.Service, o.OrderID, string(o.Kind), o.Title, o.Recipient.Name, o.Recipient.Email, o.Recipient.Mobile, o.Recipient.Language,
		secret.Hash(token.Reveal()), codeHash(token.Reveal(), code.Reveal()), store.Micros(now.Add(d.policy.CodeLife)), store.Micros(now),
		o.FileName, len(o.File), file, password, store.Micros(now.Add(d.policy.LinkLife)))
	if err != nil {
		return "", err
	}
	del := &Delivery{ID: id, Realm: o.Realm, Client: o.Client, Service: o.Service, OrderID: o.OrderID, Kind: o.Kind, Title: o.Title, Recipient: o.Recipient, Expires: now.Add(d.policy.LinkLife)}
	if err := d.sendLink(tx, del, token); err != nil {
		return "", err
	}
	return id, d.sendCode(tx, del, code, now)
}

// Renew sends a new link and one-time password for a delivery that has not been
// completed; the earlier link no longer works.
func (d *Desk) Renew(tx *store.Tx, id string) error {
	del, err := d.get(tx, id)
	if err != nil {
		return err
	}
	now := d.clock.Now()
	token, code := secret.NewToken(), secret.NewCode(codeDigits)
	n, err := tx.Exec(`UPDATE handovers SET link_hash = $1, code_hash = $2, code_until = $3, code_sent_at = $4, codes_sent = 1, tries = 0,
			state = 'waiting', session_hash = '', expires_at = $5 WHERE id = $6 AND state IN ('waiting', 'open')`,
		secret.Hash(token.Reveal()), codeHash(token.Reveal(), code.Reveal()), store.Micros(now.Add(d.policy.CodeLife)), store.Micros(now), store.Micros(now.Add(d.policy.LinkLife)), id)
	if err != nil {
		return err
	}
	if n == 0 {
		return errDone(del)
	}
	if err := d.sendLink(tx, &del, token); err != nil {
		return err
	}
	if err := d.sendCode(tx, &del, code, now); err != nil {
		return err
	}
	return d.note(tx, del, "handover.renew", audit.OK, nil)
}

// Close ends a delivery that has not been completed and erases its secrets. It
// tells whether there was one to close.
func (d *Desk) Close(tx *store.Tx, id, why string) (bool, error) {
	del, err := d.get(tx, id)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(`UPDATE handovers SET state = 'closed', file = NULL, password = NULL, session_hash = '', code_hash = '', done_at = $1
		WHERE id = $2 AND state IN ('waiting', 'open')`, store.Micros(d.clock.Now()), id)
	if err != nil || n == 0 {
		return false, err
	}
	return true, d.note(tx, del, "handover.close", audit.OK, map[string]string{"why": why})
}

// Of returns the delivery of an order.
func (d *Desk) Of(q store.Queryer, id string) (Delivery, error) {
	return d.get(q, id)
}

const columns = `id, realm, client, service, order_id, kind, title, state, name, email, mobile, language, code_until, codes_sent, tries, file_name, file_size, sent, expires_at, done_at`

func (d *Desk) scan(r store.Row, extra ...any) (Delivery, error) {
	var x Delivery
	var until, codes, tries, expires, done int64
	dest := []any{
		&x.ID, &x.Realm, &x.Client, &x.Service, &x.OrderID, &x.Kind, &x.Title, &x.State, &x.Recipient.Name, &x.Recipient.Email,
		&x.Recipient.Mobile, &x.Recipient.Language, &until, &codes, &tries, &x.FileName, &x.FileSize, &x.Sent, &expires, &done,
	}
	if err := r.Scan(append(dest, extra...)...); err != nil {
		return x, err
	}
	x.CodeUntil, x.Expires, x.Done = store.Time(until), store.Time(expires), store.Time(done)
	x.CodesLeft, x.TriesLeft = max(0, d.policy.CodeLimit-int(codes)), max(0, d.policy.CodeTries-int(tries))
	return x, nil
}

func (d *Desk) get(q store.Queryer, id string) (Delivery, error) {
	x, err := d.scan(q.QueryRow(`SELECT `+columns+` FROM handovers WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		err = fault.NotFoundf("handover.unknown", "There is no delivery %s.", id)
	}
	return x, err
}

func (d *Desk) note(tx *store.Tx, x Delivery, action string, result audit.Result, detail map[string]string) error {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["order"] = x.OrderID
	return d.audit.Append(tx, audit.Entry{Action: action, ObjectKind: "handover", ObjectID: x.ID, Realm: x.Realm, Client: x.Client, Service: x.Service, Result: result, Detail: detail})
}
