package domainval

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A MailKind says what a link confirms.
type MailKind string

// The kinds of links.
const (
	OwnerMail   MailKind = "owner"   // that the owner of a domain agrees (TLS BR 3.2.2.4.4)
	MailboxMail MailKind = "mailbox" // that the holder of a mailbox reads it (S/MIME BR 3.2.2.2)
)

// The states of a mail.
const (
	MailSent      = "sent"
	MailConfirmed = "confirmed"
	MailRefused   = "refused"   // the recipient said no
	MailExpired   = "expired"   // nobody answered within 30 days
	MailCancelled = "cancelled" // the order ended otherwise
)

// A Mail is a link that was sent to somebody, and what came of it.
type Mail struct {
	ID         string
	Kind       MailKind
	Order      string
	Validation string // of an OwnerMail
	Realm      access.Realm
	Client     string
	Subject    string // what is confirmed: a domain, or the mailbox
	Address    string
	Language   string
	Public     bool
	State      string
	LinkUntil  time.Time // how long the latest link works; a new one can be sent after that
	SendsLeft  int
	Sent       time.Time
	Evidence   string
	Created    time.Time
	Expires    time.Time
	Done       time.Time
}

// Limits of sending.
const (
	maxSends  = 5
	sendPause = 2 * time.Minute
)

// MailOrder says which mailbox an order needs.
type MailOrder struct {
	Order    string
	Realm    access.Realm
	Client   string
	Address  string
	Language string // of the message; English if there are no texts in it
	Public   bool
	// DomainSuffices lets control over the mailbox's domain, shown ahead by the
	// client, stand for the holder's own confirmation (S/MIME BR 3.2.2.1).
	DomainSuffices bool
}

// ParseMailbox brings an address to the form in which it is compared: the
// domain in A-labels and lower case, the local part as it is.
func ParseMailbox(address string) (mailbox string, domain Name, err error) {
	address = strings.TrimSpace(address)
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return "", Name{}, outbox.CheckEmail(address)
	}
	if domain, err = ParseName(address[i+1:]); err != nil {
		return "", Name{}, err
	}
	if domain.Wildcard || domain.IP.IsValid() {
		return "", Name{}, fault.Invalidf("email.malformed", "%q is not an e-mail address.", clip(address)).WithField("email")
	}
	mailbox = address[:i+1] + domain.ASCII
	return mailbox, domain, outbox.CheckEmail(mailbox)
}

// BeginMail makes sure, in the order's transaction, that the mailbox is
// confirmed or that its holder has been sent a link (A91, A111): confirmed at
// once if the holder did so for this client within 30 days. It is idempotent;
// what has run out since is opened again.
func (d *Desk) BeginMail(tx *store.Tx, o MailOrder) (Mail, error) {
	mailbox, domain, err := ParseMailbox(o.Address)
	if err != nil {
		return Mail{}, err
	}
	if o.Public {
		if err := domain.CheckPublic(); err != nil {
			return Mail{}, err
		}
	}
	now := d.clock.Now()
	e, err := d.mailboxEvidence(tx, o, mailbox, domain, now)
	if err != nil {
		return Mail{}, err
	}
	m := Mail{
		ID: ident.New("dvm"), Kind: MailboxMail, Order: o.Order, Realm: o.Realm, Client: o.Client, Subject: mailbox, Address: mailbox, Language: o.Language,
		Public: o.Public, State: MailSent, Created: now, Expires: now.Add(TokenLife),
	}
	if e.ID != "" {
		m.State, m.Evidence, m.Done = MailConfirmed, e.ID, now
	}
	return d.openMail(tx, m, now)
}

// mailboxEvidence finds what the client has shown for the mailbox before.
func (d *Desk) mailboxEvidence(tx *store.Tx, o MailOrder, mailbox string, domain Name, now time.Time) (Evidence, error) {
	e, err := scanEvidence(tx.QueryRow(`SELECT `+evidenceColumns+` FROM domainval_evidence WHERE client = $1 AND name = $2 AND realm = $3 AND method = $4 AND shown AND withdrawn_at = 0 AND obtained_at > $5
		ORDER BY obtained_at DESC LIMIT 1`, o.Client, mailbox, string(o.Realm), string(Mailbox), store.Micros(now.Add(-Reuse(Mailbox, ForMail, now)))))
	if err == nil {
		return e, nil
	}
	if !errors.Is(err, store.ErrNotFound) || !o.DomainSuffices {
		return Evidence{}, ignoreNotFound(err)
	}
	found, err := d.find(tx, o.Realm, o.Client, []Name{domain}, ForMail, o.Public)
	return found[domain], err
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Addresses are the constructed addresses of a name's owner (TLS BR 3.2.2.4.4),
// for the name and its ancestors up to the base domain.
func Addresses(n Name) []string {
	if n.IP.IsValid() {
		return nil
	}
	var out []string
	for _, authority := range n.Authorities() {
		for _, local := range []string{"admin", "administrator", "webmaster", "hostmaster", "postmaster"} {
			out = append(out, local+"@"+authority)
		}
	}
	return out
}

// SendOwnerLink sends a link to one of the constructed addresses of a name. Who
// follows it and agrees shows control over the domain of the address.
func (d *Desk) SendOwnerLink(ctx context.Context, s access.Scope, validation, address, language string) (Mail, error) {
	var m Mail
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		v, err := d.validation(tx, s, access.DomainValidate, validation)
		if err != nil {
			return err
		}
		now := d.clock.Now()
		if v.State != Pending || !now.Before(v.Expires) {
			return fault.Conflictf("domain.not_pending", "The validation of %s is not open any more (%s).", v.Name.Unicode(), v.State)
		}
		if err := Allowed(EmailLink, v.Name, v.Public, now); err != nil {
			return err
		}
		if !slices.Contains(v.Methods, EmailLink) {
			return fault.Invalidf("domain.method", "The product does not offer e-mail to show control over %s.", v.Name.Unicode())
		}
		if !slices.Contains(Addresses(v.Name), address) {
			return fault.Invalidf("domain.owner_address", "%q is not one of the addresses that the rules allow for %s.", clip(address), v.Name.Unicode()).
				WithNext("Choose one of the listed addresses.").WithField("address")
		}
		m = Mail{
			ID: ident.New("dvm"), Kind: OwnerMail, Order: v.Order, Validation: v.ID, Realm: v.Realm, Client: v.Client, Subject: address[strings.IndexByte(address, '@')+1:],
			Address: address, Language: language, Public: v.Public, State: MailSent, Created: now, Expires: v.Expires,
		}
		m, err = d.openMail(tx, m, now)
		return err
	})
	return m, err
}

const mailColumns = `id, kind, order_id, validation, realm, client, subject, address, language, public, state, token_expires, sends, sent_at, evidence, created_at, expires_at, done_at`

func scanMail(r interface{ Scan(...any) error }) (Mail, error) {
	var m Mail
	var until, sends, sent, created, expires, done int64
	err := r.Scan(&m.ID, &m.Kind, &m.Order, &m.Validation, &m.Realm, &m.Client, &m.Subject, &m.Address, &m.Language, &m.Public, &m.State, &until, &sends, &sent, &m.Evidence, &created, &expires, &done)
	m.LinkUntil, m.Sent, m.Created, m.Expires, m.Done = store.Time(until), store.Time(sent), store.Time(created), store.Time(expires), store.Time(done)
	m.SendsLeft = max(0, maxSends-int(sends))
	return m, err
}

// openMail writes the row and sends the first link. A row that is there and
// open stays as it is; one that has ended, or whose evidence is too old, begins
// anew.
func (d *Desk) openMail(tx *store.Tx, m Mail, now time.Time) (Mail, error) {
	added, err := tx.Exec(`INSERT INTO domainval_mails (`+mailColumns+`, token_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, $12, $13, $14, $15, '') ON CONFLICT DO NOTHING`,
		m.ID, string(m.Kind), m.Order, m.Validation, string(m.Realm), m.Client, m.Subject, m.Address, m.Language, m.Public, m.State, m.Evidence, store.Micros(m.Created), store.Micros(m.Expires), store.Micros(m.Done))
	if err != nil {
		return m, err
	}
	if added == 0 {
		was, err := scanMail(tx.QueryRow(`SELECT `+mailColumns+` FROM domainval_mails WHERE order_id = $1 AND kind = $2 AND subject = $3 AND address = $4`, m.Order, string(m.Kind), m.Subject, m.Address))
		if err != nil {
			return m, err
		}
		if was.State == MailSent && m.State == MailSent && now.Before(was.Expires) || was.State == MailConfirmed && was.Evidence == m.Evidence {
			return was, nil
		}
		m.ID = was.ID
		if _, err := tx.Exec(`UPDATE domainval_mails SET state = $1, evidence = $2, created_at = $3, expires_at = $4, done_at = $5, sends = 0, token_hash = '', language = $6, public = $7 WHERE id = $8`,
			m.State, m.Evidence, store.Micros(m.Created), store.Micros(m.Expires), store.Micros(m.Done), m.Language, m.Public, m.ID); err != nil {
			return m, err
		}
	}
	if m.State != MailSent {
		return m, d.noteMail(tx, m, string(m.Kind)+".reuse", audit.OK)
	}
	return d.sendLink(tx, m, 0, now)
}

// ResendMail sends a new link; the earlier one no longer works. There is a
// limit for each mail and a pause between two.
func (d *Desk) ResendMail(ctx context.Context, s access.Scope, id string) (Mail, error) {
	var m Mail
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		var err error
		if m, err = scanMail(tx.QueryRow(`SELECT `+mailColumns+` FROM domainval_mails WHERE id = $1`, id)); err != nil {
			return errNoValidation(err)
		}
		if err := s.Require(access.DomainValidate, m.Realm, m.Client); err != nil {
			return err
		}
		now := d.clock.Now()
		switch wait := m.Sent.Add(sendPause).Sub(now); {
		case m.State != MailSent || !now.Before(m.Expires):
			return errMailDone(m)
		case m.SendsLeft == 0:
			return fault.TooManyf(0, "mail.sends", "%d links have been sent to %s.", maxSends, m.Address).WithNext("Ask the recipient to look into the folder for unwanted mail, or begin a new order.")
		case wait > 0:
			return fault.TooManyf(wait, "mail.pause", "A link was sent to %s a moment ago.", m.Address).WithNext("Wait two minutes before sending another.")
		}
		m, err = d.sendLink(tx, m, maxSends-m.SendsLeft, now)
		return err
	})
	return m, err
}

// sendLink draws a token and sends it. sends is how many went out before; the
// update fails if another has just gone out.
func (d *Desk) sendLink(tx *store.Tx, m Mail, sends int, now time.Time) (Mail, error) {
	token := secret.NewToken()
	m.LinkUntil = m.Expires
	if until := now.Add(MailTokenLife); m.Kind == MailboxMail && until.Before(m.LinkUntil) {
		m.LinkUntil = until // rule 28
	}
	m.Sent, m.SendsLeft = now, maxSends-sends-1
	n, err := tx.Exec(`UPDATE domainval_mails SET token_hash = $1, token_expires = $2, sends = $3, sent_at = $4 WHERE id = $5 AND state = 'sent' AND sends = $6`,
		secret.Hash(token.Reveal()), store.Micros(m.LinkUntil), sends+1, store.Micros(now), m.ID, sends)
	if err != nil {
		return m, err
	}
	if n == 0 {
		return m, fault.Conflictf("mail.changed", "Something else happened with this link at the same moment.").WithNext("Reload the page.")
	}
	subject, body := linkMail(m)
	_, err = d.outbox.Send(tx, outbox.Message{
		Channel: outbox.Email, Realm: string(m.Realm), Client: m.Client, ObjectKind: "order", ObjectID: m.Order, To: m.Address, Subject: subject, Body: body,
		Secret: secret.New(d.link(m.Realm, token.Reveal())), NotAfter: m.LinkUntil, Key: "domainval-link/" + m.ID + "/" + secret.Hash(token.Reveal())[:16],
	})
	if err != nil {
		return m, err
	}
	return m, d.noteMail(tx, m, string(m.Kind)+".send", audit.OK)
}

func (d *Desk) noteMail(tx *store.Tx, m Mail, action string, result audit.Result) error {
	return d.audit.Append(tx, audit.Entry{
		Action: action, ObjectKind: "mail", ObjectID: m.ID, Realm: string(m.Realm), Client: m.Client, Result: result,
		Detail: map[string]string{"order": m.Order, "subject": m.Subject, "address": m.Address},
	})
}
