package order

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/internal/transparency"
	"github.com/sealwright/sealwright/pki/ct"
	"github.com/sealwright/sealwright/pki/lint"
)

// hold makes the serial number and the bytes to be signed durable (D1, D2, with
// transparency also D3), together with the order in the state in which it is
// about to sign. From here on a crash finds the order due when its lease ends.
func (e *Engine) hold(ctx context.Context, w *work) error {
	serial := authority.SerialText(w.intent.Serial)
	if w.Serial == serial {
		return nil
	}
	before, stored := *w.Order, w.stored
	w.Serial, w.due, w.Problem = serial, e.Clock.Now().Add(e.Settings.Lease), ""
	err := e.commit(ctx, w, func(tx *store.Tx) error {
		if stored { // its key may have been made since
			if err := enterKey(tx, w.Order); err != nil {
				return err
			}
		}
		return e.CA.Hold(tx, w.intent)
	})
	if err != nil {
		*w.Order = before
	}
	return err
}

// preIssue has the logs see the pre-certificate before the certificate exists
// (A112), and makes their answers durable (D4).
func (e *Engine) preIssue(ctx context.Context, w *work) (State, error) {
	if err := e.hold(ctx, w); err != nil {
		return "", err
	}
	if !w.intent.Precert() {
		return Issue, nil // taken up again after D4
	}
	if err := e.presign(ctx, w); err != nil {
		return "", err
	}
	chain, err := e.CA.Chain(ctx, w.Authority)
	if err != nil {
		return "", err
	}
	w.begin(JobPreCT, e.Clock.Now())
	result, err := e.Logs.Submit(ctx, transparency.Request{Precert: w.Evidence.Precert, Chain: chain, Already: w.Evidence.SCTs})
	w.Evidence.SCTs, w.Evidence.CT = result.SCTs, append(w.Evidence.CT, result.Evidence...)
	if err != nil {
		w.end(JobPreCT, JobRetry, e.Clock.Now(), "", fault.Of(err).Message)
		return "", err
	}
	w.end(JobPreCT, JobSuccess, e.Clock.Now(), plural(len(result.SCTs), "log")+" answered", "")
	list, err := ct.MarshalList(result.SCTs)
	if err != nil {
		return "", err
	}
	final, err := w.intent.WithSCTs(list)
	if err != nil {
		return "", err
	}
	pre := w.intent
	w.due = e.Clock.Now().Add(e.Settings.Lease)
	if err := e.commit(ctx, w, func(tx *store.Tx) error { return e.CA.Amend(tx, pre, final) }); err != nil {
		return "", err
	}
	w.intent = final
	return Issue, nil
}

// presign signs the pre-certificate unless an earlier attempt has: it is kept
// with the order while the logs do not answer, so that they see one only, also
// where the key does not sign the same twice.
func (e *Engine) presign(ctx context.Context, w *work) error {
	if len(w.Evidence.Precert) > 0 {
		return nil
	}
	if err := e.stillPermitted(ctx, w); err != nil {
		return err
	}
	der, err := e.CA.SignPrecertificate(ctx, w.intent)
	w.Evidence.Precert = der
	return err
}

// stillPermitted asks for CAA records again if the permission has run out while
// the order waited for a key or for logs (TLS BR 3.2.2.8). Where a pre-certificate
// was made under it, it has served (there, too).
func (e *Engine) stillPermitted(ctx context.Context, w *work) error {
	now := e.Clock.Now()
	if until := w.Evidence.CAAUntil; until.IsZero() || !now.After(until) {
		return nil
	}
	if err := e.resolve(ctx, w); err != nil {
		return err
	}
	w.begin(JobCAA, now)
	text, err := e.checkCAA(ctx, w)
	if err != nil {
		w.end(JobCAA, JobFailed, now, "", fault.Of(err).Message)
		return err
	}
	w.end(JobCAA, JobSuccess, now, text, "")
	return nil
}

// issue signs the certificate (A113). It exists from here on.
func (e *Engine) issue(ctx context.Context, w *work) (State, error) {
	if err := e.hold(ctx, w); err != nil {
		return "", err
	}
	if len(w.Evidence.Precert) == 0 {
		if err := e.stillPermitted(ctx, w); err != nil {
			return "", err
		}
	}
	cert, err := e.CA.Sign(ctx, w.intent)
	if err != nil {
		return "", err
	}
	w.cert = cert
	return PostValid, nil
}

// validateIssued looks at what was signed (A114). What is wrong now is revoked.
func (e *Engine) validateIssued(ctx context.Context, w *work) (State, error) {
	if !w.product.Definition.Rules.Lint.On {
		return Finalize, nil
	}
	now := e.Clock.Now()
	w.begin(JobPostLint, now)
	l, err := e.linterOf(ctx, w)
	if err != nil {
		return "", err
	}
	report, err := l.Certificate(w.cert.DER, lint.Input{Now: now, Signed: now, Issuer: l.issuer, SCTs: len(w.Evidence.SCTs), Precert: w.Evidence.Precert})
	if err == nil && report.Verdict == lint.Error {
		err = errors.New(findings(report))
	}
	w.Evidence.PostLint = &report
	if err != nil {
		w.end(JobPostLint, JobFailed, now, "", err.Error())
		return "", &refusal{"The certificate is faulty and was revoked: " + err.Error(), err}
	}
	w.end(JobPostLint, JobSuccess, now, summary(report), "")
	return Finalize, nil
}

// finalize is the last durable point (D5): certificate, state, messages,
// publication and audit in one transaction (A115, A116).
func (e *Engine) finalize(ctx context.Context, w *work) (State, error) {
	before := *w.Order
	extra, err := e.prepareIssued(ctx, w)
	if err == nil {
		err = e.commit(ctx, w, func(tx *store.Tx) error {
			if err := e.CA.Record(tx, w.cert); err != nil {
				return err
			}
			return e.issued(tx, w, extra)
		})
	}
	if err != nil {
		*w.Order = before
	}
	return Issued, err
}

// resume gets back what the stages of an order in state PreIssue or Issue need:
// the same bytes to be signed.
func (e *Engine) resume(ctx context.Context, w *work) error {
	serial, err := serialOf(w.Order)
	if err != nil {
		return err
	}
	w.intent, err = e.CA.Reopen(ctx, w.Authority, serial)
	if errors.Is(err, authority.ErrPossiblyIssued) && len(w.Evidence.Precert) > 0 {
		w.intent, err = e.CA.ReopenPrecertificate(ctx, w.Authority, serial, w.Evidence.Precert)
	}
	switch {
	case errors.Is(err, authority.ErrPossiblyIssued):
		return e.restart(ctx, w, serial)
	case errors.Is(err, store.ErrNotFound):
		return e.lost(ctx, w)
	}
	return err
}

// restart revokes a certificate that may have been signed by a key that does
// not sign the same twice, and begins again with a new serial number.
func (e *Engine) restart(ctx context.Context, w *work, serial []byte) error {
	now := e.Clock.Now()
	job, was := stageJobs[w.State], w.Authority
	w.end(job, JobRetry, now, "", "serial number "+w.Serial+" may have been signed; it is revoked and replaced")
	w.State, w.Serial = KeyValidation, ""
	w.due = now.Add(e.Settings.Lease)
	return e.commit(ctx, w, func(tx *store.Tx) error {
		return e.CA.Revoke(tx, was, serial, authority.Superseded)
	})
}

// lost ends an order whose certificate's record is gone or was closed by
// somebody else: it is for a person to look at (A119).
func (e *Engine) lost(ctx context.Context, w *work) error {
	w.end(stageJobs[w.State], JobFailed, e.Clock.Now(), "", "the certificate's record is missing")
	return e.commitState(ctx, w, Unknown, "The certificate's record is missing or was closed; nothing was issued by this order.", func(tx *store.Tx) error {
		return e.record(tx, w.Order, "order.lost", map[string]string{"serial": w.Serial})
	})
}

// linterOf gives the linter of the order's product.
func (e *Engine) linterOf(ctx context.Context, w *work) (*linter, error) {
	if w.issuer == nil {
		x, err := e.CA.Get(ctx, w.product.Authority)
		if err != nil {
			return nil, err
		}
		w.issuer = x
	}
	key := linterKey{w.Product, w.ProductVersion, w.issuer.ID, w.issuer.Created}
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.linters[key]; l != nil {
		return l, nil
	}
	l, err := newLinter(w.product, w.issuer)
	if err != nil {
		return nil, err
	}
	if len(e.linters) >= maxLinters {
		clear(e.linters)
	}
	e.linters[key] = l
	return l, nil
}

// maxLinters bounds the memory of linters; one is made in a millisecond.
const maxLinters = 256

type linterKey struct {
	product   string
	version   int
	authority string
	since     time.Time
}

// A linter knows a product's severities and the authority that signs.
type linter struct {
	*lint.Linter
	issuer *lint.Issuer
}

func newLinter(p *product.Product, x *authority.Authority) (*linter, error) {
	rules := p.Definition.Rules
	var rows []lint.Rule
	for name, level := range rules.Lint.Levels {
		rows = append(rows, lint.Rule{Lint: name, Severity: lint.Severity(level), Why: "the product says so"})
	}
	l, err := lint.New(lintProfile(rules.Lint.Profile, rules.PublicTrust, p.Definition.Kind), rows...)
	if err != nil {
		return nil, err
	}
	issuer, err := lint.NewIssuer(x.DER)
	return &linter{l, issuer}, err
}

// lintProfile is the profile that a product names, or that its kind suggests.
func lintProfile(name string, public bool, kind product.Kind) lint.Profile {
	switch p := lint.Profile(name); {
	case slices.Contains(lint.Profiles(), p):
		return p
	case !public:
		return lint.Private
	case kind == product.SMIME:
		return lint.PublicSMIME
	case kind == product.TLSServer:
		return lint.PublicTLS
	case kind == product.QualifiedPerson, kind == product.QualifiedSeal:
		return lint.ETSI
	}
	return lint.Private
}
