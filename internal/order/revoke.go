package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Revocation asks for the end of a certificate.
type Revocation struct {
	Reason authority.Reason
	Since  time.Time // from when a compromised key was not to be trusted; may be zero
	By     authority.Role
	Who    string // the person behind a service account, first and last name
	Why    string // for the history
}

// Revoke ends the certificate of an order, or suspends it (A148 to A152). Where
// the product wants it approved, an approval is opened and its id returned; the
// certificate is revoked when it is granted. Otherwise the id is empty and the
// revocation holds from now on.
func (e *Engine) Revoke(ctx context.Context, s access.Scope, id string, r Revocation) (*Order, string, error) {
	w, err := e.loadFor(ctx, s, access.CertificateRevoke, id)
	if err != nil {
		return nil, "", err
	}
	if err := w.mayRevoke(r); err != nil {
		return nil, "", err
	}
	if r.By == "" {
		r.By = authority.RoleOperator
	}
	me := s.Principal()
	if rule := w.product.Definition.Rules.Revoke; rule.Count > 0 && r.Reason != authority.KeyCompromise {
		var approval string
		err := e.DB.Update(ctx, func(tx *store.Tx) error {
			var err error
			approval, err = e.askAs(tx, w, actRevoke, rule, me.ID, me.Name, map[string]string{"reason": r.Reason.String(), "why": r.Why, "who": r.Who, "by": string(r.By)})
			return err
		})
		return w.Order, approval, err
	}
	return w.Order, "", e.revoke(ctx, w, r, me.Name, nil)
}

func (w *work) mayRevoke(r Revocation) error {
	switch {
	case w.State == Issued:
	case w.State == Revoked && (w.Reason == authority.CertificateHold || r.Reason == authority.KeyCompromise):
	case w.State == Revoked:
		return fault.Conflictf("order.revoked", "The certificate %s was revoked on %s.", w.CommonName, w.RevokedAt.UTC().Format(time.DateOnly))
	default:
		return fault.Conflictf("order.not_issued", "The order %s is %s; there is no certificate to revoke.", w.CommonName, w.State)
	}
	if r.Reason == authority.CertificateHold && !w.product.Definition.Rules.Hold {
		return fault.Conflictf("order.hold", "The product %q lets no certificate be suspended.", w.ProductName).WithNext("Revoke it for good.").WithField("reason")
	}
	return nil
}

// revoke does it: certificate, order, messages and un-publication at once (A103).
func (e *Engine) revoke(ctx context.Context, w *work, r Revocation, by string, also func(tx *store.Tx) error) error {
	serial, err := serialOf(w.Order)
	if err != nil {
		return err
	}
	now, first := e.Clock.Now(), w.RevokedAt.IsZero()
	if first {
		w.RevokedAt = now
	}
	w.State, w.Reason = Revoked, r.Reason
	text := "reason " + r.Reason.String()
	if r.Why != "" {
		text += ": " + r.Why
	}
	w.begin(JobRevoke, now).By = by
	w.end(JobRevoke, JobSuccess, now, text, "")
	return e.commit(ctx, w, func(tx *store.Tx) error {
		if err := e.CA.Withdraw(tx, w.Authority, serial, authority.Withdrawal{By: r.By, Reason: r.Reason, Since: r.Since, Why: r.Why}); err != nil {
			return err
		}
		if e.Publisher != nil {
			if err := e.Publisher.QueueRemoval(tx, w.ID, "revoked"); err != nil {
				return err
			}
		}
		if w.Reason != authority.CertificateHold { // that may be released
			if err := e.eraseFiles(tx, w.ID); err != nil {
				return err
			}
		}
		if w.product.Definition.Rules.Notify.Revocation {
			if err := e.tell(tx, w, EventRevoked, map[string]string{"reason": r.Reason.String(), "by": by, "run": fmt.Sprint(w.Job(JobRevoke).Runs)}); err != nil {
				return err
			}
		}
		if first {
			if err := e.count(tx, w.Order, "revoked"); err != nil {
				return err
			}
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		if err := lapseOpen(tx, w.ID, actRevoke); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.revoke", map[string]string{"reason": r.Reason.String(), "why": r.Why, "who": r.Who, "serial": w.Serial})
	})
}

// revokeApproved revokes what was approved.
func (e *Engine) revokeApproved(ctx context.Context, w *work, a Approval, finish func(tx *store.Tx) error) error {
	reason, err := authority.ParseReason(a.Detail["reason"])
	if err != nil {
		return err
	}
	r := Revocation{Reason: reason, By: authority.Role(a.Detail["by"]), Who: a.Detail["who"], Why: a.Detail["why"]}
	if err := w.mayRevoke(r); err != nil {
		return err
	}
	return e.revoke(ctx, w, r, a.AskedName, finish)
}

// Release ends the suspension of a certificate.
func (e *Engine) Release(ctx context.Context, s access.Scope, id, why string) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateRevoke, id)
	if err != nil {
		return nil, err
	}
	if w.State != Revoked || w.Reason != authority.CertificateHold {
		return nil, fault.Conflictf("order.not_held", "The certificate %s is not suspended.", w.CommonName)
	}
	serial, err := serialOf(w.Order)
	if err != nil {
		return nil, err
	}
	record, err := e.Certificate(ctx, w.Order)
	if err != nil {
		return nil, err
	}
	published := e.Publisher != nil && w.Job(JobPublish) != nil
	w.State, w.Reason, w.RevokedAt = Issued, authority.Unspecified, time.Time{}
	w.end(JobRevoke, JobSuccess, e.Clock.Now(), "released: "+why, "")
	return w.Order, e.commit(ctx, w, func(tx *store.Tx) error {
		if err := e.CA.Release(tx, w.Authority, serial, why); err != nil {
			return err
		}
		if published {
			if err := e.queuePublication(tx, w, record.DER); err != nil {
				return err
			}
		}
		return e.record(tx, w.Order, "order.release", map[string]string{"why": why})
	})
}

// RevokeByLink revokes with the code that the holder got with the certificate.
// It needs no account, and no approval stands in the way of a holder.
func (e *Engine) RevokeByLink(ctx context.Context, token string, reason authority.Reason) (*Order, error) {
	id, err := e.openLink(ctx, purposeRevoke, token)
	if err != nil {
		return nil, err
	}
	w, err := e.load(ctx, id)
	if err != nil {
		return nil, err
	}
	r := Revocation{Reason: reason, By: authority.RoleSubscriber, Why: "by the holder's revocation code"}
	if err := w.mayRevoke(r); err != nil {
		return nil, err
	}
	return w.Order, e.revoke(ctx, w, r, "holder", func(tx *store.Tx) error { return e.useLink(tx, token) })
}

// RevokeKey revokes every certificate with a key, such as one that was proven to
// be compromised. It returns how many it revoked; one that cannot be revoked does
// not keep it from the others. It may be repeated.
func (e *Engine) RevokeKey(ctx context.Context, spki []byte, r Revocation, by string) (int, error) {
	rows, err := e.DB.View(ctx).Query(`SELECT order_id FROM order_keys WHERE spki = $1 ORDER BY order_id`, keyTag(spki))
	ids, err := store.Collect(rows, err, func(r *store.Rows) (id string, err error) { return id, r.Scan(&id) })
	if err != nil {
		return 0, err
	}
	n := 0
	var failed error
	for _, id := range ids {
		done, err := e.revokeIfKey(ctx, id, spki, r, by)
		if done {
			n++
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("order %s: %w", id, err))
		}
	}
	return n, failed
}

// raceTries is how often a step that nobody watches is tried again when somebody
// else changed the order at the same moment.
const raceTries = 5

func (e *Engine) revokeIfKey(ctx context.Context, id string, spki []byte, r Revocation, by string) (bool, error) {
	for try := 1; ; try++ {
		w, err := e.load(ctx, id)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(w.spki, spki) || w.mayRevoke(r) != nil || w.State == Revoked && w.Reason == r.Reason {
			return false, nil
		}
		err = e.revoke(ctx, w, r, by, nil)
		if try == raceTries || fault.Of(err).Code != "order.changed" {
			return err == nil, err
		}
	}
}

// Cancel ends an order that has not been issued. Nothing was signed for it, or
// what may have been is revoked.
func (e *Engine) Cancel(ctx context.Context, s access.Scope, id, why string) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return nil, err
	}
	if w.State.Final() {
		return nil, fault.Conflictf("order.final", "The order %s is %s; it can no longer be cancelled.", w.CommonName, w.State)
	}
	w.end(stageJobs[w.State], JobFailed, e.Clock.Now(), "", "cancelled by "+s.Principal().Name)
	return w.Order, e.close(ctx, w, Failed, "Cancelled by "+s.Principal().Name+". "+why)
}

// Retry takes up an order at once that waits for its next attempt. Where the
// holder is to choose a PIN, a new link is sent in place of the one before. One
// that waits for an approval or a request is a Conflict.
func (e *Engine) Retry(ctx context.Context, s access.Scope, id string) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return nil, err
	}
	if w.State.Final() {
		return nil, fault.Conflictf("order.final", "The order %s is %s; place a new one.", w.CommonName, w.State)
	}
	if w.State == PendingCSR || w.State == PendingAuth && w.Evidence.ApprovedBy == "" {
		return nil, fault.Conflictf("order.waits", "The order %s waits for somebody: %s", w.CommonName, w.Problem)
	}
	w.Evidence.Attempts, w.again = 0, true
	return w.Order, e.goOn(ctx, w)
}

func (e *Engine) eraseFiles(tx *store.Tx, id string) error {
	_, err := tx.Exec(`DELETE FROM order_files WHERE order_id = $1 AND kind <> $2`, id, fileEscrow)
	return err
}
