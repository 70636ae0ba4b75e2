package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

// sweepBatch bounds one read of a sweep.
const sweepBatch = 100

// A Renewal is how a certificate may be followed by the next (A162 to A168).
type Renewal struct {
	Rule  product.Renewal
	Ended bool      // the product is retired or over: there are no orders for it any more
	Done  int       // renewals so far, in the whole chain
	From  time.Time // when it may begin: so many days before the end, and not in the first half
	Until time.Time // the end of the certificate
}

// maxChain bounds how far predecessors are followed.
const maxChain = 1000

// RenewalOf tells how an order may be renewed, by its product as it is now.
func (e *Engine) RenewalOf(ctx context.Context, o *Order) (Renewal, error) {
	p, err := e.Products.For(ctx, o.Realm, o.Client, o.Product)
	if err != nil {
		return Renewal{}, err
	}
	rule := p.Definition.Rules.Renewal
	r := Renewal{Rule: rule, From: o.NotAfter.AddDate(0, 0, -rule.DaysBefore), Until: o.NotAfter}
	if half := o.NotBefore.Add(o.NotAfter.Sub(o.NotBefore) / 2); r.From.Before(half) {
		r.From = half // a short life would be renewed as soon as it began
	}
	r.Ended = p.Retired || !p.Expires.IsZero() && !e.Clock.Now().Before(p.Expires)
	chain, err := e.Predecessors(ctx, o)
	r.Done = len(chain)
	return r, err
}

// Predecessors are the orders that this one renewed, the latest first (A168).
func (e *Engine) Predecessors(ctx context.Context, o *Order) ([]*Order, error) {
	rows, err := e.DB.View(ctx).Query(`WITH RECURSIVE chain (id, depth) AS (
			SELECT predecessor, 1 FROM orders WHERE id = $1 AND predecessor <> ''
			UNION ALL SELECT p.predecessor, c.depth + 1 FROM chain c JOIN orders p ON p.id = c.id WHERE p.predecessor <> '' AND c.depth < $2)
		SELECT `+columns+` FROM chain c JOIN orders o ON o.id = c.id ORDER BY c.depth`, o.ID, maxChain)
	return store.Collect(rows, err, func(r *store.Rows) (*Order, error) { return scanRow(r) })
}

// Renew places the order that follows another: the same product as it is now,
// the same content. A product whose keys are brought needs a new request; without
// one the order waits for it, and its holder gets a link. s is the operator, or
// the system for automatic renewals.
func (e *Engine) Renew(ctx context.Context, s access.Scope, id string, csr []byte) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return nil, err
	}
	renewal, err := e.RenewalOf(ctx, w.Order)
	if err != nil {
		return nil, err
	}
	if err := renewal.check(w.Order, e.Clock.Now()); err != nil {
		return nil, err
	}
	return e.follow(ctx, s, w, csr)
}

// Replace places the order that follows another at any time and whatever the
// product's rule on renewals, such as when certificates must be revoked.
func (e *Engine) Replace(ctx context.Context, s access.Scope, id string) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return nil, err
	}
	if w.State != Issued {
		return nil, fault.Conflictf("order.not_issued", "The order %s is %s; only a valid certificate is replaced.", w.CommonName, w.State)
	}
	return e.follow(ctx, s, w, nil)
}

func (e *Engine) follow(ctx context.Context, s access.Scope, w *work, csr []byte) (*Order, error) {
	id := w.ID
	if open, err := e.renewing(ctx, id); err != nil || open {
		return nil, errors.Join(err, errRenewing(w.CommonName))
	}
	r := Request{
		Client: w.Client, Product: w.Product, CSR: csr, Asked: w.Request, Origin: FromRenewal, Owner: w.Owner, Later: true, predecessor: w.ID,
	}
	r.Asked.NotBefore = time.Time{}
	var err error
	if r.Tags, err = e.tagsOf(ctx, id); err != nil {
		return nil, err
	}
	if r.Recipients, err = e.Recipients(ctx, w.Order); err != nil {
		return nil, err
	}
	if w.Request.Generation == product.PKCS10 && len(csr) == 0 {
		return e.awaitCSR(ctx, s, w, r)
	}
	return e.Create(ctx, s, r)
}

func errRenewing(cn string) error {
	return fault.Conflictf("order.renewing", "A renewal of the certificate %s is under way.", cn)
}

func (e *Engine) tagsOf(ctx context.Context, id string) ([]string, error) {
	all, err := e.Tags(ctx, id)
	return all[id], err
}

func (r Renewal) check(o *Order, now time.Time) error {
	switch {
	case o.State != Issued:
		return fault.Conflictf("order.not_issued", "The order %s is %s; only a valid certificate is renewed.", o.CommonName, o.State)
	case o.Successor != "":
		return fault.Conflictf("order.renewed", "The certificate %s was renewed by the order %s.", o.CommonName, o.Successor)
	case r.Ended:
		return fault.Conflictf("order.product_ended", "There are no orders for the product %q any more.", o.ProductName).WithNext("Order a certificate of another product.")
	case r.Rule.Mode == product.NoRenewal:
		return fault.Conflictf("order.no_renewal", "The product %q has no renewal.", o.ProductName).WithNext("Order a new certificate.")
	case r.Rule.Count > 0 && r.Done >= r.Rule.Count:
		return fault.Conflictf("order.renewals", "The certificate %s was renewed %s, as often as its product allows.", o.CommonName, plural(r.Done, "time")).WithNext("Order a new certificate.")
	case now.Before(r.From):
		return fault.Conflictf("order.too_early", "The certificate %s can be renewed from %s on.", o.CommonName, r.From.UTC().Format(time.DateOnly))
	}
	return nil
}

// awaitCSR places a renewal that waits for its certificate request (A108).
func (e *Engine) awaitCSR(ctx context.Context, s access.Scope, old *work, r Request) (*Order, error) {
	r.AwaitCSR, r.Later = true, false
	w, err := e.draft(ctx, s, r)
	if err != nil {
		return nil, err
	}
	now := e.Clock.Now()
	w.CommonName, w.Subject, w.Evidence.Names = old.CommonName, old.Subject, old.Evidence.Names
	w.State, w.due = PendingCSR, old.NotAfter
	w.Problem = "The holder is to bring a certificate request."
	w.did(JobSubmit, now, "renewal of "+old.ID)
	w.begin(JobRenewal, now)
	w.end(JobRenewal, JobWaiting, now, "", w.Problem)
	token := secret.NewToken()
	err = e.commit(ctx, w, func(tx *store.Tx) error {
		link, err := e.link(tx, w.Order, purposeCSR, token, old.NotAfter)
		if err != nil {
			return err
		}
		return e.tell(tx, w, EventRenewalLink, map[string]string{"link": link})
	})
	if errors.Is(err, store.ErrExists) {
		return nil, errRenewing(w.CommonName)
	}
	if err != nil {
		return nil, err
	}
	return w.Order, nil
}

// SubmitCSR brings the request of a renewal that waits for it, by an operator.
func (e *Engine) SubmitCSR(ctx context.Context, s access.Scope, id string, csr []byte) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return nil, err
	}
	return e.bring(ctx, w, csr, nil)
}

// SubmitCSRByLink brings the request of a renewal, by its holder.
func (e *Engine) SubmitCSRByLink(ctx context.Context, token string, csr []byte) (*Order, error) {
	id, err := e.openLink(ctx, purposeCSR, token)
	if err != nil {
		return nil, err
	}
	w, err := e.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.bring(ctx, w, csr, func(tx *store.Tx) error { return e.useLink(tx, token) })
}

func (e *Engine) bring(ctx context.Context, w *work, csr []byte, also func(tx *store.Tx) error) (*Order, error) {
	if w.State != PendingCSR {
		return nil, fault.Conflictf("order.has_request", "The order %s is %s; it waits for no certificate request.", w.CommonName, w.State)
	}
	if len(csr) == 0 {
		return nil, fault.Invalidf("csr.empty", "There is no certificate request.").WithField("csr")
	}
	old, err := e.get(ctx, w.Predecessor)
	if err != nil {
		return nil, err
	}
	if old.State != Issued {
		return nil, fault.Conflictf("order.not_issued", "The certificate %s is %s; only a valid certificate is renewed.", old.CommonName, old.State).WithNext("Order a new certificate.")
	}
	names := w.Evidence.Names
	if err := e.takeCSR(w, csr); err != nil {
		return nil, err
	}
	if err := e.decide(ctx, w); err != nil {
		return nil, err
	}
	now := e.Clock.Now()
	w.end(JobRenewal, JobSuccess, now, "request brought", "")
	w.State, w.Problem, w.due = KeyValidation, "", now.Add(e.Settings.Lease)
	if err := e.commit(ctx, w, func(tx *store.Tx) error {
		if err := dropNames(tx, w.ID, names); err != nil {
			return err
		}
		if err := enterNames(tx, w.Order, w.Evidence.Names); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		return enterKey(tx, w.Order)
	}); err != nil {
		return nil, err
	}
	return w.Order, e.run(ctx, w)
}

// expireCSR ends a renewal for which no request came while its predecessor lived.
func (e *Engine) expireCSR(ctx context.Context, w *work) error {
	const why = "No certificate request came in time."
	w.end(JobRenewal, JobFailed, e.Clock.Now(), "", why)
	return e.close(ctx, w, Failed, why)
}

// replaced notes in the predecessor, in the successor's own commit, that it was
// renewed: reminders fall silent, and the rule may revoke it.
func (e *Engine) replaced(tx *store.Tx, w *work) error {
	n, err := tx.Exec(`UPDATE orders SET successor = $1, version = version + 1 WHERE id = $2 AND successor = ''`, w.ID, w.Predecessor)
	if err != nil || n == 0 {
		return err
	}
	rule := w.product.Definition.Rules.Renewal
	if !rule.RevokeOld {
		return nil
	}
	return e.Queue.Enqueue(tx, RevokeOldJob, w.Predecessor, revokeOld{w.Predecessor, w.ID}, e.Clock.Now().AddDate(0, 0, rule.RevokeOldAfter))
}

// RevokeOldJob is the queue's kind of job that revokes a renewed certificate.
const RevokeOldJob = "order.revoke-old"

type revokeOld struct{ Order, By string }

// revokeReplaced revokes a certificate that was renewed, where the rule says so (A167).
func (e *Engine) revokeReplaced(ctx context.Context, old revokeOld) error {
	w, err := e.load(ctx, old.Order)
	if err != nil || w.State != Issued {
		return err
	}
	w.did(JobRevokeOld, e.Clock.Now(), "replaced by "+old.By)
	r := Revocation{Reason: authority.Superseded, By: authority.RoleOperator, Why: "renewed by " + old.By}
	return e.revoke(ctx, w, r, "renewal rule", nil)
}

// A mark tells how far the sweeps of one kind, such as the reminders 30 days
// before the end, have come in the list of certificates by their end. It costs an
// order nothing until it is due.
type mark struct {
	name string
	end  int64 // of the latest certificate dealt with
	id   string
}

// Remind renews by itself what its product renews automatically, and reminds of
// everything else, at so many days before the end: each certificate once for each
// of these days, and not at all once it has a successor.
func (e *Engine) Remind(ctx context.Context) error {
	days := e.Settings.Reminders
	for i, n := range days {
		later := e.Clock.Now()
		if i+1 < len(days) {
			later = later.AddDate(0, 0, days[i+1]) // who is within the next reminder gets that one only
		}
		if err := e.walk(ctx, fmt.Sprintf("remind-%d", n), n, later, func(ctx context.Context, w *work, m mark) error { return e.remind(ctx, w, m, n) }); err != nil {
			return err
		}
	}
	return nil
}

// RenewDue begins the renewals that are due, looking at most so many days ahead.
func (e *Engine) RenewDue(ctx context.Context) error {
	for _, n := range renewalDays {
		if err := e.walk(ctx, fmt.Sprintf("renew-%d", n), n, e.Clock.Now(), func(ctx context.Context, w *work, m mark) error { return e.renewAt(ctx, w, m, n) }); err != nil {
			return err
		}
	}
	return nil
}

// renewalDays are the days before the end at which the list is walked for
// renewals: a rule is served at the first of these that is not before its own day.
var renewalDays = []int{180, 120, 90, 60, 45, 30, 21, 14, 10, 7, 5, 3, 2, 1}

// walk goes through issued certificates that have come within so many days of
// their end since the last walk of that name, but not within later.
func (e *Engine) walk(ctx context.Context, name string, days int, later time.Time, fn func(ctx context.Context, w *work, m mark) error) error {
	m := mark{name: name}
	err := e.DB.View(ctx).QueryRow(`SELECT upto, id FROM order_marks WHERE name = $1`, name).Scan(&m.end, &m.id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	until := store.Micros(e.Clock.Now().AddDate(0, 0, days))
	for {
		if end := store.Micros(later); m.end < end {
			m.end, m.id = end, ""
		}
		rows, err := e.DB.View(ctx).Query(`SELECT id, not_after FROM orders WHERE state = 'ISSUED' AND (not_after, id) > ($1, $2) AND not_after <= $3
			ORDER BY not_after, id LIMIT $4 + 0`, m.end, m.id, until, sweepBatch)
		due, err := store.Collect(rows, err, func(r *store.Rows) (at mark, err error) {
			at.name = name
			return at, r.Scan(&at.id, &at.end)
		})
		if err != nil {
			return err
		}
		for _, at := range due {
			m = at
			w, err := e.load(ctx, at.id)
			if err == nil {
				err = fn(ctx, w, at)
			}
			if err != nil && !errors.Is(err, fault.Conflict) { // a conflict means that another node was quicker
				return fmt.Errorf("order %s: %w", at.id, err)
			}
		}
		if len(due) < sweepBatch {
			return nil
		}
	}
}

// advance moves a mark past one certificate, in the transaction of what is done
// for it.
func advance(tx *store.Tx, m mark) error {
	n, err := tx.Exec(`INSERT INTO order_marks (name, upto, id) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET upto = excluded.upto, id = excluded.id WHERE (order_marks.upto, order_marks.id) < (excluded.upto, excluded.id)`, m.name, m.end, m.id)
	if err == nil && n == 0 {
		err = fault.Conflictf("order.walked", "Another node was there already.")
	}
	return err
}

// remind tells of a certificate that ends in so many days, unless that was so
// from its beginning.
func (e *Engine) remind(ctx context.Context, w *work, m mark, days int) error {
	return e.DB.Update(ctx, func(tx *store.Tx) error {
		if err := advance(tx, m); err != nil {
			return err
		}
		if w.Successor != "" || !w.product.Definition.Rules.Notify.Expiry || w.NotBefore.After(w.NotAfter.AddDate(0, 0, -days)) {
			return nil
		}
		return e.tell(tx, w, EventExpiry, map[string]string{"days": fmt.Sprint(daysLeft(w.NotAfter, e.Clock.Now())), "run": m.name})
	})
}

func daysLeft(end, now time.Time) int { return int(end.Sub(now).Round(time.Hour).Hours()) / 24 }

// renewAt begins the renewal of one certificate if its rule's day has come, or
// tells that somebody should. A renewal that failed is begun again at the next of
// the days.
func (e *Engine) renewAt(ctx context.Context, w *work, m mark, days int) error {
	renewal, err := e.RenewalOf(ctx, w.Order)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return err
	}
	pass := func(also func(tx *store.Tx) error) error {
		return e.DB.Update(ctx, func(tx *store.Tx) error {
			if err := advance(tx, m); err != nil || also == nil {
				return err
			}
			return also(tx)
		})
	}
	if err != nil || renewal.Rule.Mode == product.NoRenewal || nearest(renewal.Rule.DaysBefore) < days {
		return pass(nil)
	}
	due := func(reason string) error {
		return pass(func(tx *store.Tx) error {
			return e.tell(tx, w, EventRenewalDue, map[string]string{"days": fmt.Sprint(daysLeft(w.NotAfter, e.Clock.Now())), "reason": reason})
		})
	}
	if renewal.Rule.Mode == product.ManualRenewal {
		if renewal.check(w.Order, e.Clock.Now()) != nil {
			return pass(nil)
		}
		return due("")
	}
	_, err = e.Renew(ctx, access.System("renewal"), w.ID, nil)
	switch f := fault.Of(err); {
	case err == nil, slices.Contains([]string{"order.renewing", "order.renewed", "order.too_early", "order.not_issued"}, f.Code):
		return pass(nil)
	case f.Kind == fault.Invalid, f.Kind == fault.Conflict:
		return due(f.Message) // the policy of today does not allow what was allowed then: people decide
	}
	return err
}

// nearest is the walk that serves a rule.
func nearest(daysBefore int) int {
	for _, n := range renewalDays {
		if n <= daysBefore {
			return n
		}
	}
	return renewalDays[len(renewalDays)-1]
}

// renewing tells whether a renewal of an order is under way.
func (e *Engine) renewing(ctx context.Context, id string) (bool, error) {
	var n int64
	err := e.DB.View(ctx).QueryRow(`SELECT COUNT(*) FROM orders WHERE predecessor = $1 AND predecessor <> '' AND state NOT IN ('FAILED', 'REJECTED', 'UNKNOWN')`, id).Scan(&n)
	return n > 0, err
}
