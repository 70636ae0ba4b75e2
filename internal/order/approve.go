package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

// An Act is what is approved.
type Act string

const (
	actIssue   Act = "issue"
	actRevoke  Act = "revoke"
	actRecover Act = "recover"
)

// An ApprovalState is where an approval stands.
type ApprovalState string

// The states of an approval.
const (
	Open    ApprovalState = "open"
	Granted ApprovalState = "granted"
	Denied  ApprovalState = "denied"
	Lapsed  ApprovalState = "lapsed" // nobody decided in time
	Used    ApprovalState = "used"   // granted, and done
)

// An Approval is a question to people: may this be issued, revoked, recovered
// (A76, A151).
type Approval struct {
	ID        string // "apr-" and a UUID
	Order     string
	Realm     access.Realm
	Client    string
	Act       Act
	State     ApprovalState
	Rule      product.Approval
	AskedBy   string
	AskedName string
	Detail    map[string]string // such as the reason for revoking
	Decisions []Decision
	Expires   time.Time
	Created   time.Time

	version int64
}

// A Decision is what one person said.
type Decision struct {
	By   string    `json:"by"`
	Name string    `json:"name"`
	Yes  bool      `json:"yes"`
	Why  string    `json:"why,omitempty"`
	At   time.Time `json:"at"`
}

// Missing is how many more must say yes.
func (a Approval) Missing() int {
	n := a.Rule.Count
	for _, d := range a.Decisions {
		if d.Yes {
			n--
		}
	}
	return max(n, 0)
}

func (e *Engine) approvalLife(r product.Approval) time.Duration {
	if r.ExpireHours > 0 {
		return time.Duration(r.ExpireHours) * time.Hour
	}
	return e.Settings.ApprovalLife
}

// ask opens an approval unless one of the same act is open, and tells those who
// may decide.
func (e *Engine) ask(tx *store.Tx, w *work, act Act, rule product.Approval, detail map[string]string) error {
	_, err := e.askAs(tx, w, act, rule, w.Creator, w.CreatorName, detail)
	return err
}

func (e *Engine) askAs(tx *store.Tx, w *work, act Act, rule product.Approval, by, name string, detail map[string]string) (string, error) {
	var open string
	err := tx.QueryRow(`SELECT id FROM order_approvals WHERE order_id = $1 AND act = $2 AND state = 'open'`, w.ID, string(act)).Scan(&open)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return open, err
	}
	ruleText, _ := json.Marshal(rule)
	detailText, _ := json.Marshal(detail)
	now, id := e.Clock.Now(), ident.New("apr")
	if _, err := tx.Exec(`INSERT INTO order_approvals (id, order_id, realm, client, act, state, rule, asked_by, asked_name, detail, decisions, version, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, '[]', 1, $10, $11)`,
		id, w.ID, string(w.Realm), w.Client, string(act), string(ruleText), by, name, string(detailText), store.Micros(now.Add(e.approvalLife(rule))), store.Micros(now)); err != nil {
		return "", err
	}
	if err := e.tell(tx, w, EventApproval, map[string]string{"act": string(act), "by": name, "run": id, "link": e.Settings.Base + "/approvals/" + id}); err != nil {
		return "", err
	}
	return id, e.recordApproval(tx, Approval{ID: id, Order: w.ID, Realm: w.Realm, Client: w.Client, Act: act}, "approval.ask", nil)
}

func (e *Engine) recordApproval(tx *store.Tx, a Approval, action string, detail map[string]string) error {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["order"], detail["act"] = a.Order, string(a.Act)
	return e.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "approval", ObjectID: a.ID, Realm: string(a.Realm), Client: a.Client, Result: audit.OK, Detail: detail})
}

const approvalColumns = `id, order_id, realm, client, act, state, rule, asked_by, asked_name, detail, decisions, version, expires_at, created_at`

func scanApproval(r scanner) (a Approval, err error) {
	var rule, detail, decisions string
	var expires, created int64
	if err := r.Scan(&a.ID, &a.Order, &a.Realm, &a.Client, &a.Act, &a.State, &rule, &a.AskedBy, &a.AskedName, &detail, &decisions, &a.version, &expires, &created); err != nil {
		return a, err
	}
	a.Expires, a.Created = store.Time(expires), store.Time(created)
	for text, into := range map[string]any{rule: &a.Rule, detail: &a.Detail, decisions: &a.Decisions} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Approval returns an approval that the caller may see.
func (e *Engine) Approval(ctx context.Context, s access.Scope, id string) (Approval, error) {
	a, err := scanApproval(e.DB.View(ctx).QueryRow(`SELECT `+approvalColumns+` FROM order_approvals WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return a, access.NotFound()
	}
	if err != nil {
		return a, err
	}
	return a, s.Require(access.CertificateSearch, a.Realm, a.Client)
}

// Approvals lists the open approvals that the caller may decide, the oldest
// first, and the cursor of the next page.
func (e *Engine) Approvals(ctx context.Context, s access.Scope, p store.Page) ([]Approval, string, error) {
	cond, args := s.Filter(access.CertificateApprove, "realm", "client", nil)
	if key, ok, err := p.Key(); err != nil {
		return nil, "", err
	} else if ok {
		args = append(args, key.ID)
		cond += fmt.Sprintf(" AND id > $%d", len(args))
	}
	size := p.Size()
	rows, err := e.DB.View(ctx).Query(fmt.Sprintf(`SELECT `+approvalColumns+` FROM order_approvals WHERE state = 'open' AND %s ORDER BY id LIMIT %d`, cond, size+1), args...)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Approval, error) { return scanApproval(r) })
	if err != nil || len(list) <= size {
		return list, "", err
	}
	return list[:size], store.Key{ID: list[size-1].ID}.Cursor(), nil
}

// ApprovalsOf lists the approvals of an order, the newest first.
func (e *Engine) ApprovalsOf(ctx context.Context, o *Order) ([]Approval, error) {
	rows, err := e.DB.View(ctx).Query(`SELECT `+approvalColumns+` FROM order_approvals WHERE order_id = $1 ORDER BY id DESC LIMIT 100`, o.ID)
	return store.Collect(rows, err, func(r *store.Rows) (Approval, error) { return scanApproval(r) })
}

func (e *Engine) approvalWork(ctx context.Context, s access.Scope, id string) (Approval, *work, error) {
	a, err := e.Approval(ctx, s, id)
	if err != nil {
		return a, nil, err
	}
	w, err := e.load(ctx, a.Order)
	return a, w, err
}

// Decide says yes or no to an approval, with a reason. One no ends it. With the
// last yes that is needed the order goes on at once.
func (e *Engine) Decide(ctx context.Context, s access.Scope, id string, yes bool, why string) (Approval, error) {
	a, w, err := e.approvalWork(ctx, s, id)
	if err != nil {
		return a, err
	}
	if err := e.mayDecide(ctx, a, s); err != nil {
		return a, err
	}
	if why = strings.TrimSpace(why); !yes && why == "" {
		return a, fault.Invalidf("approval.why", "A refusal needs a reason, which the one who asked will read.").WithField("reason")
	}
	principal := s.Principal()
	a.Decisions = append(slices.Clone(a.Decisions), Decision{principal.ID, principal.Name, yes, why, e.Clock.Now()})
	switch {
	case !yes:
		a.State = Denied
	case a.Missing() == 0:
		a.State = Granted
	}
	return a, e.decided(ctx, w, a, why)
}

// mayDecide holds who may: whoever has the permission and, where the rule names
// people or roles, is one of them; never the one who asked under four eyes; and
// each once.
func (e *Engine) mayDecide(ctx context.Context, a Approval, s access.Scope) error {
	if err := s.Require(access.CertificateApprove, a.Realm, a.Client); err != nil {
		return err
	}
	me := s.Principal()
	asked, err := e.asked(ctx, a, me)
	if err != nil {
		return err
	}
	switch {
	case a.State != Open:
		return fault.Conflictf("approval.closed", "This approval is %s already.", a.State)
	case e.Clock.Now().After(a.Expires):
		return fault.Conflictf("approval.lapsed", "This approval ended on %s.", a.Expires.UTC().Format(time.DateTime))
	case a.Rule.FourEyes && (a.AskedBy == me.ID || a.Detail["amendedBy"] == me.ID):
		return fault.Forbiddenf("approval.four_eyes", "You asked for this yourself; somebody else must decide on it.")
	case slices.ContainsFunc(a.Decisions, func(d Decision) bool { return d.By == me.ID }):
		return fault.Conflictf("approval.twice", "You have decided on this already.")
	case !asked:
		return fault.Forbiddenf("approval.not_asked", "The product asks others for this approval: %s.", strings.Join(a.Rule.Of, ", "))
	}
	return nil
}

// asked tells whether the rule asks this person, by id, name or role.
func (e *Engine) asked(ctx context.Context, a Approval, me access.Principal) (bool, error) {
	if len(a.Rule.Of) == 0 {
		return true, nil
	}
	who := []string{me.ID, me.Name}
	if e.Settings.Roles != nil {
		roles, err := e.Settings.Roles(ctx, me.ID)
		if err != nil {
			return false, err
		}
		who = append(who, roles...)
	}
	return slices.ContainsFunc(a.Rule.Of, func(name string) bool { return slices.Contains(who, name) }), nil
}

// decided stores a decision and what follows from it.
func (e *Engine) decided(ctx context.Context, w *work, a Approval, why string) error {
	verb := map[ApprovalState]string{Open: "approval.yes", Granted: "approval.grant", Denied: "approval.deny"}[a.State]
	finish := func(tx *store.Tx) error {
		if err := e.saveApproval(tx, a); err != nil {
			return err
		}
		return e.recordApproval(tx, a, verb, map[string]string{"why": why})
	}
	names := approvers(a)
	if a.Act == actIssue && w.State != PendingAuth {
		return fault.Conflictf("approval.closed", "The order %s is %s; it waits for no approval.", w.CommonName, w.State)
	}
	switch {
	case a.State == Open:
		return e.DB.Update(ctx, finish)
	case a.Act == actIssue && a.State == Granted:
		now := e.Clock.Now()
		w.end(JobAuthorize, JobSuccess, now, "approved by "+names, "")
		w.Evidence.ApprovedBy, w.Problem, w.due = names, "", now.Add(e.Settings.Lease)
		if err := e.commit(ctx, w, func(tx *store.Tx) error {
			if err := e.tell(tx, w, EventApproved, map[string]string{"by": names, "run": a.ID}); err != nil {
				return err
			}
			return finish(tx)
		}); err != nil {
			return err
		}
		return e.goOn(ctx, w)
	case a.Act == actIssue:
		return e.reject(ctx, w, a, why, finish)
	case a.Act == actRevoke && a.State == Granted:
		return e.revokeApproved(ctx, w, a, finish)
	}
	return e.DB.Update(ctx, func(tx *store.Tx) error {
		if a.State == Denied {
			if err := e.tell(tx, w, EventRejected, map[string]string{"reason": why, "act": string(a.Act), "run": a.ID}); err != nil {
				return err
			}
		}
		return finish(tx)
	})
}

func approvers(a Approval) string {
	var names []string
	for _, d := range a.Decisions {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

// reject ends an order to which somebody said no (A121).
func (e *Engine) reject(ctx context.Context, w *work, a Approval, why string, finish func(tx *store.Tx) error) error {
	w.end(JobAuthorize, JobFailed, e.Clock.Now(), "", "rejected by "+approvers(a)+": "+why)
	return e.commitState(ctx, w, Rejected, why, func(tx *store.Tx) error {
		if err := finish(tx); err != nil {
			return err
		}
		if err := e.dropQuestions(tx, w.ID); err != nil {
			return err
		}
		if err := e.tell(tx, w, EventRejected, map[string]string{"reason": why, "act": string(a.Act)}); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.reject", map[string]string{"why": why})
	})
}

func (e *Engine) saveApproval(tx *store.Tx, a Approval) error {
	decisions, _ := json.Marshal(a.Decisions)
	n, err := tx.Exec(`UPDATE order_approvals SET state = $1, decisions = $2, version = version + 1 WHERE id = $3 AND version = $4`, string(a.State), string(decisions), a.ID, a.version)
	if err == nil && n != 1 {
		err = fault.Conflictf("approval.changed", "Somebody else decided at the same moment.").WithNext("Look at it again.")
	}
	return err
}

// lapseOpen ends the open approvals of an order that nobody need decide any more.
func lapseOpen(tx *store.Tx, order string, act Act) error {
	_, err := tx.Exec(`UPDATE order_approvals SET state = 'lapsed', version = version + 1 WHERE order_id = $1 AND act = $2 AND state = 'open'`, order, string(act))
	return err
}

func (e *Engine) finishApproval(tx *store.Tx, a Approval, s ApprovalState) error {
	a.State = s
	return e.saveApproval(tx, a)
}

// AskRecovery asks for an escrowed key; somebody else must grant it.
func (e *Engine) AskRecovery(ctx context.Context, s access.Scope, id, why string) (string, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return "", err
	}
	if !w.product.Definition.Rules.Escrow {
		return "", fault.Conflictf("order.no_escrow", "The product %q keeps no keys.", w.ProductName)
	}
	var approval string
	err = e.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := e.readFile(tx, w.ID, fileEscrow); err != nil {
			return noEscrow(w, err)
		}
		var err error
		me := s.Principal()
		approval, err = e.askAs(tx, w, actRecover, product.Approval{Count: 1, FourEyes: true}, me.ID, me.Name, map[string]string{"why": why})
		return err
	})
	return approval, err
}

// lapse ends approvals that nobody decided in time.
func (e *Engine) lapse(ctx context.Context) error {
	rows, err := e.DB.View(ctx).Query(`SELECT `+approvalColumns+` FROM order_approvals WHERE state = 'open' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 + 0`, store.Micros(e.Clock.Now()), sweepBatch)
	list, err := store.Collect(rows, err, func(r *store.Rows) (Approval, error) { return scanApproval(r) })
	if err != nil {
		return err
	}
	for _, a := range list {
		w, err := e.load(ctx, a.Order)
		if err != nil {
			return err
		}
		a.State = Lapsed
		const why = "Nobody decided in time."
		finish := func(tx *store.Tx) error {
			if err := e.saveApproval(tx, a); err != nil {
				return err
			}
			return e.recordApproval(tx, a, "approval.lapse", nil)
		}
		if a.Act == actIssue && w.State == PendingAuth {
			err = e.reject(ctx, w, a, why, finish)
		} else {
			err = e.DB.Update(ctx, finish)
		}
		if err != nil && !errors.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// Amend changes what an order that waits for approval asks, before anybody has
// said yes. Everything is checked again.
func (e *Engine) Amend(ctx context.Context, s access.Scope, id string, a Asked) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateApprove, id)
	if err != nil {
		return nil, err
	}
	if w.State != PendingAuth {
		return nil, fault.Conflictf("order.not_pending", "The order %s is %s; only an order that waits for approval can be changed.", w.CommonName, w.State)
	}
	a.Generation, a.AwaitCSR = w.Request.Generation, false
	if len(w.csr) > 0 {
		a.Generation = ""
	}
	before, names := w.Subject, w.Evidence.Names
	w.Request, w.Evidence = a, Evidence{AmendedBy: s.Principal().ID}
	if err := e.decide(ctx, w); err != nil {
		return nil, err
	}
	w.State, w.due = KeyValidation, e.Clock.Now().Add(e.Settings.Lease)
	if err := e.commit(ctx, w, func(tx *store.Tx) error {
		if err := dropNames(tx, w.ID, names); err != nil {
			return err
		}
		if err := enterNames(tx, w.Order, w.Evidence.Names); err != nil {
			return err
		}
		// Who has said yes so far said it to something else.
		if err := lapseOpen(tx, w.ID, actIssue); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.amend", map[string]string{"was": before, "is": w.Subject})
	}); err != nil {
		return nil, err
	}
	return w.Order, e.run(ctx, w)
}
