package domainval

import (
	"context"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Check looks at once whether control over the name of a validation is shown
// (A190). The validation comes back whatever was found: its state and result
// say it.
func (d *Desk) Check(ctx context.Context, s access.Scope, id string) (Validation, error) {
	v, err := d.validation(d.db.View(ctx), s, access.DomainValidate, id)
	if err != nil {
		return v, err
	}
	now := d.clock.Now()
	switch {
	case v.State != Pending || !now.Before(v.Expires):
		return v, fault.Conflictf("domain.not_pending", "The validation of %s is not open any more (%s).", v.Name.Unicode(), v.State)
	case !slices.ContainsFunc(v.Methods, func(m Method) bool { return slices.Contains(automatic, m) }):
		return v, fault.Conflictf("domain.mail_only", "Control over %s is shown by e-mail only.", v.Name.Unicode()).WithNext("Send the link to one of the addresses of the domain.")
	}
	if wait := v.Checked.Add(checkPause).Sub(now); wait > 0 && !v.Checked.IsZero() {
		return v, fault.TooManyf(wait, "domain.pause", "%s was looked at a moment ago.", v.Name.Unicode()).WithNext("Wait a few seconds; changes in the DNS take longer than that.")
	}
	return d.checkValidation(ctx, v)
}

func (d *Desk) checkValidation(ctx context.Context, v Validation) (Validation, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	now := d.clock.Now()
	t := target{name: v.Name, realm: v.Realm, client: v.Client, methods: v.Methods, token: v.Token, public: v.Public}
	a := d.attempt(ctx, t)
	ctx = context.WithoutCancel(ctx)
	if err := d.db.Update(ctx, func(tx *store.Tx) error { return d.recordValidation(tx, v, t, a, now) }); err != nil {
		return v, err
	}
	return d.scanValidation(d.db.View(ctx).QueryRow(`SELECT `+validationColumns+` FROM domainval_validations WHERE id = $1`, v.ID))
}

// recordValidation writes the outcome. The update of the state decides between
// several who look at once; it also fails when the order was cancelled or the
// random value replaced meanwhile.
func (d *Desk) recordValidation(tx *store.Tx, v Validation, t target, a attempt, now time.Time) error {
	n, err := tx.Exec(`UPDATE domainval_validations SET result = $1, checked_at = $2, attempts = attempts + 1 WHERE id = $3 AND state = 'pending' AND token = $4`, a.text, store.Micros(now), v.ID, v.Token)
	if err != nil || n == 0 {
		return err
	}
	if !a.shown {
		d.log.Info("domain control not shown", "name", v.Name.String(), "validation", v.ID, "order", v.Order, "text", a.text)
		if !worthKeeping(a, v.Result) {
			return nil
		}
		if _, err = d.keep(tx, a.evidence(t, v.ID, v.Order, now), t.name); err != nil {
			return err
		}
		return d.noteValidation(tx, v, "validation.check", audit.Refused, map[string]string{"text": a.text})
	}
	e, err := d.keep(tx, a.evidence(t, v.ID, v.Order, now), t.name)
	if err != nil {
		return err
	}
	return d.settle(tx, e)
}
