package domainval

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// FindMail gives the mail behind a link, for the page that asks the recipient.
// To open that page changes nothing: programs that scan mail open links. A link
// that was used, was replaced or has run out is a fault of kind Gone or
// NotFound.
func (d *Desk) FindMail(ctx context.Context, token string) (Mail, error) {
	return d.findMail(d.db.View(ctx), token)
}

func (d *Desk) findMail(q store.Queryer, token string) (Mail, error) {
	if token == "" {
		return Mail{}, errLink()
	}
	m, err := scanMail(q.QueryRow(`SELECT `+mailColumns+` FROM domainval_mails WHERE token_hash = $1`, secret.Hash(token)))
	now := d.clock.Now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return m, errLink()
	case err != nil:
		return m, err
	case m.State != MailSent, !now.Before(m.Expires):
		return m, errMailDone(m)
	case !now.Before(m.LinkUntil):
		return m, fault.Gonef("mail.link_expired", "This link has run out.").WithNext("Ask the one who ordered the certificate to send a new one.")
	}
	return m, nil
}

func errLink() error {
	return fault.NotFoundf("mail.link", "This link leads nowhere: it may be mistyped or have been replaced by a newer one.").
		WithNext("Use the link in the latest e-mail, or ask the one who ordered the certificate to send a new one.")
}

func errMailDone(m Mail) error {
	switch m.State {
	case MailConfirmed:
		return fault.Gonef("mail.confirmed", "%s has been confirmed already.", m.Subject).WithNext("There is nothing left to do.")
	case MailRefused:
		return fault.Gonef("mail.refused", "The request for %s was refused with this link.", m.Subject).WithNext("If that was a mistake, ask the one who ordered the certificate to order again.")
	}
	return fault.Gonef("mail.ended", "The request for %s has ended.", m.Subject).WithNext("If you still want the certificate, ask for a new order.")
}

// ConfirmMail takes the recipient's yes: once for each link. It keeps the
// evidence and settles what waited for it, in one transaction.
func (d *Desk) ConfirmMail(ctx context.Context, token string) (Mail, error) {
	return d.answer(ctx, token, MailConfirmed)
}

// RefuseMail takes the recipient's no. A mailbox that was refused fails its
// order; of a domain, the other ways to show control stay open.
func (d *Desk) RefuseMail(ctx context.Context, token string) (Mail, error) {
	return d.answer(ctx, token, MailRefused)
}

func (d *Desk) answer(ctx context.Context, token, state string) (Mail, error) {
	var m Mail
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		var err error
		if m, err = d.findMail(tx, token); err != nil {
			return err
		}
		now := d.clock.Now()
		e, n := m.evidence(now)
		if state == MailConfirmed {
			if m.Kind == OwnerMail {
				if err := Allowed(EmailLink, n, m.Public, now); err != nil {
					return err // the method has ended since the link was sent
				}
			}
			if e, err = d.keep(tx, e, n); err != nil {
				return err
			}
			m.Evidence = e.ID
		}
		changed, err := tx.Exec(`UPDATE domainval_mails SET state = $1, evidence = $2, done_at = $3 WHERE id = $4 AND state = 'sent' AND token_hash = $5`, state, m.Evidence, store.Micros(now), m.ID, secret.Hash(token))
		if err != nil {
			return err
		}
		if changed == 0 { // somebody else answered in between; say what
			if _, err := d.findMail(tx, token); err != nil {
				return err
			}
			return errLink()
		}
		m.State, m.Done = state, now
		action, result := string(m.Kind)+".confirm", audit.OK
		if state == MailRefused {
			action, result = string(m.Kind)+".refuse", audit.Refused
		}
		if err := d.noteMail(tx, m, action, result); err != nil {
			return err
		}
		if state == MailConfirmed && m.Kind == OwnerMail {
			return d.settle(tx, e)
		}
		return d.wake(tx, []string{m.Order})
	})
	return m, err
}

// evidence is what a yes amounts to.
func (m Mail) evidence(now time.Time) (Evidence, Name) {
	e := Evidence{
		Realm: m.Realm, Client: m.Client, Source: m.ID, Order: m.Order, Name: m.Subject, Shown: true, Public: m.Public, Obtained: now, Method: Mailbox,
		Detail: Detail{Text: "The recipient of a link followed it and agreed.", Address: m.Address},
	}
	if m.Kind == OwnerMail {
		e.Method, e.Subtree = EmailLink, true
		e.Source = m.Validation
	}
	return e, Name{ASCII: m.Subject}
}

// mailsOf gives the mails to mailboxes of an order. A confirmation that is too
// old to rely on is shown as sent: it has to be given again.
func (d *Desk) mailsOf(q store.Queryer, order string, now time.Time) ([]Mail, error) {
	rows, err := q.Query(`SELECT `+qualified("m", mailColumns)+`, COALESCE(e.name, ''), COALESCE(e.method, ''), COALESCE(e.subtree, FALSE), COALESCE(e.public, FALSE), COALESCE(e.corroborated, FALSE),
			COALESCE(e.obtained_at, 0), COALESCE(e.withdrawn_at, 0)
		FROM domainval_mails m LEFT JOIN domainval_evidence e ON e.id = m.evidence WHERE m.order_id = $1 AND m.kind = 'mailbox' ORDER BY m.created_at, m.subject`, order)
	return store.Collect(rows, err, func(r *store.Rows) (Mail, error) {
		e := Evidence{Shown: true}
		var obtained, withdrawn int64
		m, err := scanMail(withExtra{r, []any{&e.Name, &e.Method, &e.Subtree, &e.Public, &e.Corroborated, &obtained, &withdrawn}})
		e.Obtained, e.Withdrawn = store.Time(obtained), store.Time(withdrawn)
		if err == nil && m.State == MailConfirmed && !d.mailHolds(e, m, now) {
			m.State = Stale
		}
		return m, err
	})
}

// mailHolds tells whether the evidence behind a confirmed mailbox may still be
// relied on: the holder's own word, or control over the domain.
func (d *Desk) mailHolds(e Evidence, m Mail, now time.Time) bool {
	if e.Method == Mailbox {
		return e.Withdrawn.IsZero() && e.Name == m.Subject && now.Before(ValidUntil(Mailbox, ForMail, m.Public, e.Obtained))
	}
	_, domain, err := ParseMailbox(m.Subject)
	return err == nil && d.usable(e, domain, ForMail, m.Public, now)
}

// withExtra scans more columns after those that the caller knows.
type withExtra struct {
	rows  *store.Rows
	extra []any
}

func (w withExtra) Scan(dest ...any) error { return w.rows.Scan(append(dest, w.extra...)...) }

// expireMails ends the mails whose time is over and names their orders.
func (d *Desk) expireMails(tx *store.Tx, now time.Time) ([]string, error) {
	rows, err := tx.Query(`SELECT `+mailColumns+` FROM domainval_mails WHERE state = 'sent' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 + 0`, store.Micros(now), sweepBatch)
	over, err := store.Collect(rows, err, func(r *store.Rows) (Mail, error) { return scanMail(r) })
	if err != nil {
		return nil, err
	}
	var orders []string
	for _, m := range over {
		n, err := tx.Exec(`UPDATE domainval_mails SET state = 'expired', done_at = $1 WHERE id = $2 AND state = 'sent'`, store.Micros(now), m.ID)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		orders = append(orders, m.Order)
		if err := d.noteMail(tx, m, string(m.Kind)+".expire", audit.Failed); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

// OwnerMails gives the links that were sent for a validation, newest first.
func (d *Desk) OwnerMails(ctx context.Context, s access.Scope, validation string) ([]Mail, error) {
	q := d.db.View(ctx)
	if _, err := d.validation(q, s, access.DomainRead, validation); err != nil {
		return nil, err
	}
	rows, err := q.Query(`SELECT `+mailColumns+` FROM domainval_mails WHERE validation = $1 ORDER BY created_at DESC, id DESC LIMIT 100`, validation)
	return store.Collect(rows, err, func(r *store.Rows) (Mail, error) { return scanMail(r) })
}
