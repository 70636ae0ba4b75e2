package handover

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func errLink() error {
	return fault.NotFoundf("handover.link", "This link leads nowhere: it may be mistyped or have been replaced by a newer one.").
		WithNext("Use the link in the latest e-mail, or ask the one who ordered the certificate to send a new one.")
}

func errDone(x Delivery) error {
	if x.State == Delivered {
		return fault.Gonef("handover.delivered", "The file has been fetched already; a link works once.").
			WithNext("If it was not you, report it now so that the certificate is withdrawn. If the file is lost, ask for a new certificate.")
	}
	return fault.Gonef("handover.closed", "This delivery has ended: it was not fetched in time, or it was withdrawn.").WithNext("Ask for a new certificate.")
}

// Find returns the delivery behind a link. Ended and expired deliveries are
// faults of kind Gone.
func (d *Desk) Find(ctx context.Context, token string) (Delivery, error) {
	x, _, err := d.find(d.db.View(ctx), token)
	return x, err
}

// credentials are the columns that a caller must prove to know.
type credentials struct {
	code, session string
	sessionUntil  int64
}

func (d *Desk) find(q store.Queryer, token string) (Delivery, credentials, error) {
	var c credentials
	x, err := d.scan(q.QueryRow(`SELECT `+columns+`, code_hash, session_hash, session_until FROM handovers WHERE link_hash = $1`, secret.Hash(token)), &c.code, &c.session, &c.sessionUntil)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return x, c, errLink()
	case err != nil:
		return x, c, err
	case x.State == Delivered || x.State == Closed || d.clock.Now().After(x.Expires):
		return x, c, errDone(x)
	}
	return x, c, nil
}

// Enter gives the one-time password. When it is right, the browser gets a
// session that may download, and the password is spent; a session that another
// browser holds ends. Each call costs a try before the password is looked at,
// so that parallel guesses count.
func (d *Desk) Enter(ctx context.Context, token, code string) (secret.Text, Delivery, error) {
	session := secret.NewToken()
	var x Delivery
	var refusal error
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		refusal = nil
		var c credentials
		var err error
		if x, c, err = d.find(tx, token); err != nil {
			return err
		}
		now := d.clock.Now()
		if c.code == "" {
			return errSpent(x)
		}
		if now.After(x.CodeUntil) {
			return fault.Gonef("handover.code_expired", "The one-time password is older than %s.", plainDuration(d.policy.CodeLife)).WithNext("Ask for a new one; it comes by SMS.").WithField("code")
		}
		var tries int64
		err = tx.QueryRow(`UPDATE handovers SET tries = tries + 1 WHERE id = $1 AND code_hash = $2 AND tries < $3 RETURNING tries`, x.ID, c.code, d.policy.CodeTries).Scan(&tries)
		if errors.Is(err, store.ErrNotFound) {
			return errSpent(x)
		}
		if err != nil {
			return err
		}
		x.TriesLeft = d.policy.CodeTries - int(tries)
		if subtle.ConstantTimeCompare([]byte(codeHash(token, code)), []byte(c.code)) != 1 {
			refusal = fault.Invalidf("handover.code_wrong", "That is not the one-time password; %d tries are left.", x.TriesLeft).WithNext("Look at the latest SMS.").WithField("code")
			if x.TriesLeft <= 0 {
				refusal = errSpent(x)
			}
			return d.note(tx, x, "handover.enter", audit.Refused, nil)
		}
		n, err := tx.Exec(`UPDATE handovers SET state = 'open', code_hash = '', session_hash = $1, session_until = $2 WHERE id = $3 AND code_hash = $4 AND state IN ('waiting', 'open')`,
			secret.Hash(session.Reveal()), store.Micros(now.Add(d.policy.Session)), x.ID, c.code)
		if err != nil {
			return err
		}
		if n == 0 {
			return errSpent(x)
		}
		x.State = Open
		return d.note(tx, x, "handover.enter", audit.OK, nil)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return secret.Text{}, x, err
	}
	return session, x, nil
}

func errSpent(x Delivery) error {
	f := fault.Gonef("handover.code_spent", "This one-time password can no longer be used.").WithField("code")
	if x.CodesLeft > 0 {
		return f.WithNext("Ask for a new one; it comes by SMS.")
	}
	return f.WithNext("No more can be sent for this link. Ask the one who ordered the certificate to send a new link.")
}

// NewCode sends a fresh one-time password to the same mobile number; the
// earlier one no longer works. There is a limit per link and a pause between.
func (d *Desk) NewCode(ctx context.Context, token string) (Delivery, error) {
	var x Delivery
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		var err error
		if x, _, err = d.find(tx, token); err != nil {
			return err
		}
		var sentAt, sent int64
		if err := tx.QueryRow(`SELECT code_sent_at, codes_sent FROM handovers WHERE id = $1`, x.ID).Scan(&sentAt, &sent); err != nil {
			return err
		}
		now := d.clock.Now()
		if x.CodesLeft == 0 {
			return fault.TooManyf(0, "handover.codes", "All %d one-time passwords of this link have been sent.", sent).WithNext("Ask the one who ordered the certificate to send a new link.")
		}
		if wait := store.Time(sentAt).Add(d.policy.CodePause).Sub(now); wait > 0 {
			return fault.TooManyf(wait, "handover.code_pause", "A one-time password was sent a moment ago.").WithNext("Wait for the SMS; you can ask for another in %s.", plainDuration(wait))
		}
		code := secret.NewCode(codeDigits)
		n, err := tx.Exec(`UPDATE handovers SET code_hash = $1, code_until = $2, code_sent_at = $3, codes_sent = codes_sent + 1, tries = 0 WHERE id = $4 AND codes_sent = $5 AND state IN ('waiting', 'open')`,
			codeHash(token, code.Reveal()), store.Micros(now.Add(d.policy.CodeLife)), store.Micros(now), x.ID, sent)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("handover.changed", "Something else happened with this link at the same moment.").WithNext("Reload the page.")
		}
		x.CodeUntil = now.Add(d.policy.CodeLife)
		x.CodesLeft--
		x.TriesLeft = d.policy.CodeTries
		if err := d.sendCode(tx, &x, code, now); err != nil {
			return err
		}
		return d.note(tx, x, "handover.code", audit.OK, nil)
	})
	return x, err
}

// Resume returns the delivery if the browser's session may download it.
func (d *Desk) Resume(ctx context.Context, token, session string) (Delivery, error) {
	return d.resume(d.db.View(ctx), token, session)
}

func (d *Desk) resume(q store.Queryer, token, session string) (Delivery, error) {
	x, c, err := d.find(q, token)
	if err != nil {
		return x, err
	}
	if session == "" || c.session == "" || subtle.ConstantTimeCompare([]byte(secret.Hash(session)), []byte(c.session)) != 1 {
		return x, fault.Unauthenticatedf("handover.session", "This browser has not given the one-time password, or another one has taken over.").WithNext("Give the one-time password.")
	}
	if d.clock.Now().After(store.Time(c.sessionUntil)) {
		return x, fault.Unauthenticatedf("handover.session_expired", "The download was open for %s and has been closed.", plainDuration(d.policy.Session)).WithNext("Ask for a new one-time password.")
	}
	return x, nil
}

// Attach adds the file to an open delivery of kind Certificate, in the
// transaction that issues the certificate.
func (d *Desk) Attach(tx *store.Tx, id, fileName string, file []byte) error {
	sealed, err := d.seal.Seal(purposeFile, file)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE handovers SET file = $1, file_name = $2, file_size = $3 WHERE id = $4 AND kind = 'certificate' AND state = 'open' AND file_size = 0`, sealed, fileName, len(file), id)
	if err == nil && n != 1 {
		err = fault.Conflictf("handover.changed", "The delivery has ended or holds a certificate already.").WithNext("Reload the page.")
	}
	return err
}

// File returns the delivery's bytes for a session that may download them. The
// caller sends them, reports with [Desk.Progress] how far it came, and calls
// [Desk.Complete] once the last byte is out.
func (d *Desk) File(ctx context.Context, token, session string) ([]byte, Delivery, error) {
	x, err := d.Resume(ctx, token, session)
	if err != nil {
		return nil, x, err
	}
	if x.FileSize == 0 {
		return nil, x, fault.Conflictf("handover.no_file", "There is no file yet.").WithNext("Bring a certificate request first.")
	}
	var sealed []byte
	if err := d.db.View(ctx).QueryRow(`SELECT file FROM handovers WHERE id = $1`, x.ID).Scan(&sealed); err != nil {
		return nil, x, err
	}
	if sealed == nil {
		return nil, x, errDone(Delivery{State: Delivered}) // completed between the two reads
	}
	file, err := d.seal.Open(purposeFile, sealed)
	return file, x, err
}

// Progress notes that all bytes before upto have been sent, so that a resumed
// download can complete the delivery.
func (d *Desk) Progress(ctx context.Context, x Delivery, upto int64) error {
	if upto <= x.Sent {
		return nil
	}
	return d.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE handovers SET sent = $1 WHERE id = $2 AND sent < $1 AND state = 'open'`, upto, x.ID)
		return err
	})
}

// Complete ends the delivery after the last byte: it erases file and password
// here and sends the password by SMS to the mobile number that the one-time
// password went to (N21). Only the session that downloaded may complete, once.
//
// A crash before tx commits leaves the delivery open and no password sent; the
// recipient downloads again.
func (d *Desk) Complete(tx *store.Tx, x Delivery, session string) error {
	var sealed []byte
	err := tx.QueryRow(`SELECT password FROM handovers WHERE id = $1 AND state = 'open'`, x.ID).Scan(&sealed)
	if errors.Is(err, store.ErrNotFound) {
		return errDone(Delivery{State: Delivered})
	}
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE handovers SET state = 'delivered', sent = file_size, file = NULL, password = NULL, session_hash = '', code_hash = '', done_at = $1
		WHERE id = $2 AND state = 'open' AND session_hash = $3`, store.Micros(d.clock.Now()), x.ID, secret.Hash(session))
	if err != nil {
		return err
	}
	if n == 0 {
		return errDone(Delivery{State: Delivered})
	}
	if x.Kind == PKCS12 {
		password, err := d.seal.Open(purposePassword, sealed)
		if err != nil {
			return err
		}
		if err := d.sendPassword(tx, &x, secret.New(string(password))); err != nil {
			return err
		}
	}
	return d.note(tx, x, "handover.deliver", audit.OK, nil)
}

func (d *Desk) sendLink(tx *store.Tx, x *Delivery, token secret.Text) error {
	subject, body := linkMail(x, d.policy)
	_, err := d.outbox.Send(tx, outbox.Message{
		Channel: outbox.Email, Realm: x.Realm, Client: x.Client, Service: x.Service, ObjectKind: "order", ObjectID: x.OrderID,
		To: x.Recipient.Email, Subject: subject, Body: body, Secret: secret.New(d.link(x.Realm, token.Reveal())),
		NotAfter: x.Expires, Key: "handover-link/" + x.ID + "/" + secret.Hash(token.Reveal())[:16],
	})
	return err
}

func (d *Desk) sendCode(tx *store.Tx, x *Delivery, code secret.Text, now time.Time) error {
	_, err := d.outbox.Send(tx, outbox.Message{
		Channel: outbox.SMS, Realm: x.Realm, Client: x.Client, Service: x.Service, ObjectKind: "order", ObjectID: x.OrderID,
		To: x.Recipient.Mobile, Body: codeText(x, d.policy), Secret: code,
		NotAfter: now.Add(d.policy.CodeLife), Key: "handover-code/" + x.ID + "/" + secret.Hash(code.Reveal() + now.String())[:16],
	})
	return err
}

func (d *Desk) sendPassword(tx *store.Tx, x *Delivery, password secret.Text) error {
	_, err := d.outbox.Send(tx, outbox.Message{
		Channel: outbox.SMS, Realm: x.Realm, Client: x.Client, Service: x.Service, ObjectKind: "order", ObjectID: x.OrderID,
		To: x.Recipient.Mobile, Body: passwordText(x), Secret: password, Key: "handover-password/" + x.ID,
	})
	return err
}
