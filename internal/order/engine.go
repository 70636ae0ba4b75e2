package order

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/goodkey"
)

// Products finds products as they are and as they were: see package product.
type Products interface {
	For(ctx context.Context, realm access.Realm, client, id string) (*product.Product, error)
	At(ctx context.Context, id string, version int) (*product.Product, error)
}

// KeyChecker tells whether a key may be certified: see package keycheck.
type KeyChecker interface {
	Check(ctx context.Context, q store.Queryer, spki []byte, pub crypto.PublicKey, policy goodkey.Policy, unique bool, client string) error
}

// Validator has control over names and mailboxes shown: see package domainval.
type Validator interface {
	Begin(tx *store.Tx, o domainval.Order) (domainval.Status, error)
	BeginMail(tx *store.Tx, o domainval.MailOrder) (domainval.Mail, error)
	Status(q store.Queryer, order string) (domainval.Status, error)
	CheckCAA(ctx context.Context, order string, r domainval.CAARequest) (domainval.CAAReport, error)
	Cancel(tx *store.Tx, order string) error
}

// Logs are certificate transparency: see package transparency.
type Logs interface {
	Submit(ctx context.Context, r transparency.Request) (transparency.Result, error)
	SubmitFinal(ctx context.Context, cert []byte, chain [][]byte) (transparency.Result, error)
}

// Publisher puts certificates where relying parties look: see package publish.
type Publisher interface {
	Queue(tx *store.Tx, it publish.Item) error
	QueueRemoval(tx *store.Tx, order, why string) error
}

// Notices tell people, in the transaction of what they are told: see package
// notice. Whoever is not told is noted with the reason.
type Notices interface {
	Send(tx *store.Tx, n Notice) error
}

// Queue is the platform's: Wake has it look at due orders at once and does not block.
type Queue interface {
	Wake(lane string)
	Enqueue(tx *store.Tx, kind, key string, args any, runAt time.Time) error
}

// Settings are what an installation decides about its orders.
type Settings struct {
	Lease        time.Duration // how long a step may take before another node takes over
	Retry        time.Duration // before a failed step is tried again; doubled each time up to an hour
	Attempts     int           // of a step before its order fails
	ApprovalLife time.Duration // how long an approval waits, unless the product says
	// Roles names the roles of a person, for approvals that a product asks of
	// roles; nil: of people only.
	Roles     func(ctx context.Context, principal string) ([]string, error)
	Reminders []int // days before expiry, descending
	// Sources are the data sources that products name (A77).
	Sources map[string]product.DataSource
	Base    string // of links in messages, such as https://ra.example.com
}

// Options are what an [Engine] stands on. Domains, Logs and Publisher may be nil
// where no product asks for them: such a product's orders then fail with the
// reason.
type Options struct {
	DB        *store.DB
	CA        *authority.Authorities
	Products  Products
	Keys      KeyChecker
	Domains   Validator
	Logs      Logs
	Publisher Publisher
	Notices   Notices
	Vault     *keys.Vault
	Pool      *keys.Pool
	Blobs     *blob.Store // keeps documents; may be nil where no product asks for them
	Audit     *audit.Log
	Clock     clock.Clock
	Queue     Queue
	Settings  Settings
}

// Engine runs the orders. Build it with [NewEngine].
type Engine struct {
	Options

	mu      sync.Mutex
	linters map[linterKey]*linter
}

// NewEngine builds the engine over the domains and platform parts that it uses.
func NewEngine(o Options) *Engine { return &Engine{Options: o, linters: map[linterKey]*linter{}} }

// Lane is the name of the engine's lane in the queue.
const Lane = "order"

// kind marks these certificates among an authority's.
const kind = "order"

// work is an order on its way through the stages, with what a stage leaves in
// memory for the next.
type work struct {
	*Order
	product *product.Product
	profile *product.Profile
	issuer  *authority.Authority
	intent  *authority.Intent // planned; held once the order's state says so
	cert    *authority.Certificate
	parsed  *csr.Request
	keyText string // what was found of the customer's key in this run
	pin     string // chosen by the holder, until the key file is made
	again   bool   // an operator wants links sent once more
	extras  extras // of a new order
	stored  bool   // the order's row exists
}

// A waiting is why an order cannot go on by itself for now. It is an error so
// that a stage returns it, and none to anybody else.
type waiting struct {
	why   string
	until time.Time // when to look again; zero: only when woken
	begin func(tx *store.Tx) error
}

func (w *waiting) Error() string { return w.why }

// A refusal is why an order ends without a certificate.
type refusal struct {
	why   string
	cause error
}

func (r *refusal) Error() string { return r.why }
func (r *refusal) Unwrap() error { return r.cause }

// stages are the functions of the states that an order passes by itself. Each
// returns the next state.
var stages = map[State]func(e *Engine, ctx context.Context, w *work) (State, error){
	New:           (*Engine).submit,
	KeyValidation: (*Engine).validateKey,
	GenerateTBS:   (*Engine).generate,
	PreValidation: (*Engine).validate,
	PendingAuth:   (*Engine).authorise,
	PreIssue:      (*Engine).preIssue,
	Issue:         (*Engine).issue,
	PostValid:     (*Engine).validateIssued,
	Finalize:      (*Engine).finalize,
}

// run takes an order as far as it goes: to its certificate, to a wait, or to its
// end. The error is nil when the order stands durably where it says, whatever
// that is.
func (e *Engine) run(ctx context.Context, w *work) error {
	for {
		stage, job := stages[w.State], stageJobs[w.State]
		if stage == nil {
			return e.commit(ctx, w, nil)
		}
		w.begin(job, e.Clock.Now())
		next, err := protect(ctx, func() (State, error) { return stage(e, ctx, w) })
		var pause *waiting
		var no *refusal
		switch {
		case err == nil && next == Issued:
			return nil
		case err == nil:
			j := w.Job(job)
			w.end(job, JobSuccess, e.Clock.Now(), j.Response, "")
			w.State = next
		case errors.As(err, &pause):
			return e.park(ctx, w, job, pause)
		case errors.As(err, &no):
			return e.fail(ctx, w, job, no)
		default:
			return e.postpone(ctx, w, job, err)
		}
	}
}

// protect turns a panic into an error: a defect that one order meets must not
// take the node with it, and ends that order after some attempts.
func protect(ctx context.Context, stage func() (State, error)) (next State, err error) {
	defer func() {
		if p := recover(); p != nil {
			telemetry.Logger(ctx).ErrorContext(ctx, "a stage of an order panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return stage()
}

// commit stores the order as it stands, with what else belongs to that moment.
func (e *Engine) commit(ctx context.Context, w *work, also func(tx *store.Tx) error) error {
	t := encode(w.Order)
	err := e.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := e.put(tx, w, t); err != nil {
			return err
		}
		if also != nil {
			return also(tx)
		}
		return nil
	})
	if err == nil {
		w.stored = true
	}
	return err
}

// put writes the order's rows in a transaction.
func (e *Engine) put(tx *store.Tx, w *work, t texts) error {
	if w.stored {
		return save(tx, w.Order, t, e.Clock.Now())
	}
	if err := insert(tx, w.Order, t, w.Evidence.Names); err != nil {
		return err
	}
	return e.created(tx, w)
}

// created writes what belongs to a new order's first commit.
func (e *Engine) created(tx *store.Tx, w *work) error {
	if len(w.spki) > 0 {
		if err := enterKey(tx, w.Order); err != nil {
			return err
		}
	}
	if err := e.enterExtras(tx, w); err != nil {
		return err
	}
	return e.record(tx, w.Order, "order.create", map[string]string{"product": w.Product, "subject": w.Subject, "origin": string(w.Origin)})
}

// park stores an order that waits for somebody.
func (e *Engine) park(ctx context.Context, w *work, job JobType, p *waiting) error {
	w.end(job, JobWaiting, e.Clock.Now(), "", p.why)
	w.Problem, w.due, w.Evidence.Attempts = p.why, p.until, 0
	return e.commit(ctx, w, p.begin)
}

// postpone stores an order whose step failed for a reason that may pass, and
// fails it when that has happened too often.
func (e *Engine) postpone(ctx context.Context, w *work, job JobType, cause error) error {
	f, gone := fault.Of(cause), ctx.Err() != nil
	switch {
	case slices.Contains(races, f.Code):
		return cause // somebody else changed the order: what they wrote stands
	case gone && !w.stored:
		return cause // whoever asked has left, and nothing is durable
	case slices.Contains(hopeless, f.Kind):
		return e.fail(ctx, w, job, &refusal{f.Message, cause})
	case gone: // the node stops or the caller left, which is not the order's fault
		w.Evidence.Attempts--
	}
	w.Evidence.Attempts++
	if w.Evidence.Attempts >= e.Settings.Attempts {
		return e.fail(ctx, w, job, &refusal{"It failed " + plural(w.Evidence.Attempts, "time") + " in a row: " + f.Message, cause})
	}
	telemetry.Logger(ctx).WarnContext(ctx, "a step of an order is tried again later", slog.String("order", w.ID), slog.String("job", string(job)), slog.Any("error", cause))
	now := e.Clock.Now()
	w.end(job, JobRetry, now, "", f.Message)
	w.Problem, w.due = f.Message, now.Add(e.Settings.pause(w.Evidence.Attempts))
	if err := e.commit(ctx, w, nil); err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// pause is how long to wait after so many failures in a row.
func (s Settings) pause(failures int) time.Duration {
	d := s.Retry
	for n := 1; n < failures && d < time.Hour; n++ {
		d *= 2
	}
	return min(d, time.Hour)
}

// races are the faults of a worker who comes second.
var races = []string{"order.changed", "certificate.recorded", "certificate.amended"}

// hopeless are the kinds of fault that do not pass with time.
var hopeless = []fault.Kind{fault.Invalid, fault.NotFound, fault.Conflict, fault.Gone, fault.Forbidden, fault.TooLarge}

// fail ends an order without a certificate. What may have been signed under its
// serial number is revoked in the same commit (A118).
func (e *Engine) fail(ctx context.Context, w *work, job JobType, r *refusal) error {
	now := e.Clock.Now()
	w.end(job, JobFailed, now, "", r.why)
	return e.close(ctx, w, Failed, r.why)
}

// close ends an order in a state, with its certificate revoked if there may be one.
func (e *Engine) close(ctx context.Context, w *work, s State, why string) error {
	if w.Serial != "" {
		w.RevokedAt, w.Reason = e.Clock.Now(), authority.CessationOfOperation
	}
	return e.commitState(ctx, w, s, why, func(tx *store.Tx) error {
		if w.Serial != "" {
			if err := e.revokeHeld(tx, w); err != nil {
				return err
			}
		}
		if err := e.dropQuestions(tx, w.ID); err != nil {
			return err
		}
		if err := e.tell(tx, w, EventFailed, map[string]string{"reason": why}); err != nil {
			return err
		}
		if err := e.count(tx, w.Order, "failed"); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.fail", map[string]string{"why": why, "state": string(s)})
	})
}

// dropQuestions takes back what people were asked for an order that has ended.
func (e *Engine) dropQuestions(tx *store.Tx, id string) error {
	if e.Domains != nil {
		if err := e.Domains.Cancel(tx, id); err != nil {
			return err
		}
	}
	return lapseOpen(tx, id, actIssue)
}

func (e *Engine) commitState(ctx context.Context, w *work, s State, why string, also func(tx *store.Tx) error) error {
	w.State, w.Problem, w.due, w.sealedKey = s, why, time.Time{}, nil
	return e.commit(ctx, w, also)
}

// revokeHeld revokes what may exist under the order's serial number. A
// certificate that was signed and found faulty is recorded first.
func (e *Engine) revokeHeld(tx *store.Tx, w *work) error {
	serial, err := serialOf(w.Order)
	if err != nil {
		return err
	}
	if w.cert != nil {
		if err := e.CA.Record(tx, w.cert); err != nil {
			return err
		}
	}
	if err := e.CA.Revoke(tx, w.Authority, serial, authority.CessationOfOperation); err != nil && !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.NotFound) {
		return err
	}
	return nil
}

func (e *Engine) record(tx *store.Tx, o *Order, action string, detail map[string]string) error {
	return e.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "order", ObjectID: o.ID, Realm: string(o.Realm), Client: o.Client, Result: audit.OK, Detail: detail})
}
