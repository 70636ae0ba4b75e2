package domainval

import (
	"context"
	"strings"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Status is how far an order has come.
type Status struct {
	Order       string
	Done        bool // every name and mailbox is proven, as of now
	Failed      bool // something will not be proven any more; see Why
	Why         string
	Validations []Validation
	Mails       []Mail // to mailboxes that the certificate is to hold
}

// Stale marks, in [Status], a validation that was valid and whose evidence may
// no longer be relied on: it was withdrawn, or the rules let it live no longer.
// [Desk.Begin] opens it again.
const Stale = "stale"

// Status tells how far an order has come, in a transaction of the engine's or
// outside. Evidence is judged by the rules of the moment, so that what was
// valid when it was shown is not relied on too late.
func (d *Desk) Status(q store.Queryer, order string) (Status, error) {
	now := d.clock.Now()
	st := Status{Order: order, Done: true}
	rows, err := q.Query(`SELECT `+qualified("v", validationColumns)+`, COALESCE(e.name, ''), COALESCE(e.method, ''), COALESCE(e.subtree, FALSE), COALESCE(e.public, FALSE),
			COALESCE(e.corroborated, FALSE), COALESCE(e.obtained_at, 0), COALESCE(e.withdrawn_at, 0)
		FROM domainval_validations v LEFT JOIN domainval_evidence e ON e.id = v.evidence WHERE v.order_id = $1 ORDER BY v.created_at, v.name`, order)
	st.Validations, err = store.Collect(rows, err, func(r *store.Rows) (Validation, error) {
		e := Evidence{Shown: true}
		var obtained, withdrawn int64
		v, err := d.scanValidation(r, &e.Name, &e.Method, &e.Subtree, &e.Public, &e.Corroborated, &obtained, &withdrawn)
		e.Obtained, e.Withdrawn = store.Time(obtained), store.Time(withdrawn)
		if err == nil && v.State == Valid && !d.usable(e, v.Name, v.Purpose, v.Public, now) {
			v.State = Stale
		}
		return v, err
	})
	if err != nil {
		return st, err
	}
	for _, v := range st.Validations {
		st.Done = st.Done && v.State == Valid
		if v.State == Expired {
			st.Failed, st.Why = true, "Control over "+v.Name.Unicode()+" was not shown within 30 days."
		}
	}
	if st.Mails, err = d.mailsOf(q, order, now); err != nil {
		return st, err
	}
	for _, m := range st.Mails {
		st.Done = st.Done && m.State == MailConfirmed
		switch m.State {
		case MailExpired:
			st.Failed, st.Why = true, "The holder of "+m.Address+" did not confirm it within 30 days."
		case MailRefused:
			st.Failed, st.Why = true, "The holder of "+m.Address+" refused the certificate."
		}
	}
	return st, nil
}

// Validation gives one validation of an order.
func (d *Desk) Validation(ctx context.Context, s access.Scope, id string) (Validation, error) {
	return d.validation(d.db.View(ctx), s, access.DomainRead, id)
}

func (d *Desk) validation(q store.Queryer, s access.Scope, p access.Permission, id string) (Validation, error) {
	v, err := d.scanValidation(q.QueryRow(`SELECT `+validationColumns+` FROM domainval_validations WHERE id = $1`, id))
	if err != nil {
		return v, errNoValidation(err)
	}
	return v, s.Require(p, v.Realm, v.Client)
}

// qualified puts a table before each column of a list.
func qualified(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}
