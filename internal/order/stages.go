package order

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/lint"
)

// submit is the first stage: the policy was checked before the order was made.
func (e *Engine) submit(_ context.Context, w *work) (State, error) {
	if w.Request.AwaitCSR {
		return PendingCSR, nil
	}
	rules := w.product.Definition.Rules
	for _, part := range []struct {
		asked bool
		there bool
		what  string
	}{
		{rules.DomainControl != product.NoDomainControl || rules.Mailbox || rules.CAA, e.Domains != nil, "has no validation of domains and mailboxes"},
		{rules.CT.On, e.Logs != nil, "knows no certificate transparency logs"},
		{len(rules.Publication.Publishers) > 0, e.Publisher != nil, "publishes nothing"},
	} {
		if part.asked && !part.there {
			return "", &refusal{why: fmt.Sprintf("This installation %s, but the product %q asks for it.", part.what, w.product.Name)}
		}
	}
	return KeyValidation, nil
}

// validateKey checks the customer's key (A109), or makes one here.
func (e *Engine) validateKey(ctx context.Context, w *work) (State, error) {
	if len(w.spki) > 0 && len(w.sealedKey) == 0 {
		if w.keyText == "" {
			var err error
			if w.keyText, err = e.checkKey(ctx, w); err != nil {
				return "", err
			}
		}
		w.Job(JobKey).Response = w.keyText
		return GenerateTBS, nil
	}
	if len(w.sealedKey) == 0 {
		if w.Request.Generation.PINByHolder() {
			return "", e.awaitPIN(w)
		}
		if err := e.makeKey(ctx, w); err != nil {
			return "", err
		}
	}
	w.Job(JobKey).Response = "made here, " + string(w.product.Definition.Key.Types[0])
	return GenerateTBS, nil
}

func (e *Engine) checkKey(ctx context.Context, w *work) (string, error) {
	if err := e.resolve(ctx, w); err != nil {
		return "", err
	}
	public, err := x509.ParsePKIXPublicKey(w.spki)
	if err != nil {
		return "", &refusal{"The public key cannot be read.", err}
	}
	rule := w.product.Definition.Rules.UniqueKey
	view := e.DB.View(ctx)
	if err := e.Keys.Check(ctx, view, w.spki, public, w.profile.Key, rule != product.AnyKey, w.Client); err != nil {
		return "", err
	}
	if rule == product.KeyOnce {
		if other, err := e.orderOfKey(view, w.spki, w.ID); err != nil || other != "" {
			return "", errors.Join(err, fault.Conflictf("key.used", "The key was certified before, in the order %s; the product asks for a new one.", other).WithField("csr"))
		}
	}
	return describeKey(public), nil
}

// generate decides the certificate's content and draws its serial number
// (A110). Nothing is durable before the order is held.
func (e *Engine) generate(ctx context.Context, w *work) (State, error) {
	if err := e.resolve(ctx, w); err != nil {
		return "", err
	}
	if err := e.plan(ctx, w); err != nil {
		return "", err
	}
	w.Job(JobTBS).Response = "serial number " + authority.SerialText(w.intent.Serial)
	return PreValidation, nil
}

// plan draws the serial number and builds what is to be signed.
func (e *Engine) plan(ctx context.Context, w *work) error {
	p := w.profile
	intent, err := e.CA.Plan(ctx, w.product.Authority, authority.Draft{
		Subject: p.Subject, SPKI: w.spki, NotBefore: p.NotBefore, Validity: p.NotAfter,
		Content: &authority.Content{Extensions: p.Extensions, SubjectKeyID: p.SubjectKeyID, Precert: w.product.Definition.Rules.CT.On},
		Client:  w.Client, Kind: kind, OrderID: w.ID, CommonName: w.CommonName,
	})
	if err != nil {
		return err
	}
	w.intent, w.Evidence.Precert, w.Evidence.SCTs = intent, nil, nil
	w.Authority, w.NotBefore, w.NotAfter = intent.Authority, intent.NotBefore, intent.NotAfter
	return nil
}

// resolve asks the product's policy again, as it stood when the order was placed.
func (e *Engine) resolve(ctx context.Context, w *work) error {
	if w.profile != nil {
		return nil
	}
	r, err := w.asked()
	if err != nil {
		return err
	}
	if w.profile, err = w.product.Resolve(r, e.Clock.Now(), w.Request.Records); err != nil {
		return &refusal{fault.Of(err).Message, err}
	}
	w.CommonName, w.Subject = w.profile.CommonName, w.profile.SubjectText
	return nil
}

// validate runs the checks before signing (A111). Each is a job of its own.
func (e *Engine) validate(ctx context.Context, w *work) (State, error) {
	w.did(JobPolicy, e.Clock.Now(), fmt.Sprintf("product %q, version %d", w.product.Name, w.product.Version))
	for _, check := range []struct {
		job JobType
		on  bool
		run func(ctx context.Context, w *work) (string, error)
	}{
		{JobDomain, w.needsDomains(), e.validateDomains},
		{JobMailbox, w.product.Definition.Rules.Mailbox && len(w.profile.Mailboxes) > 0, e.validateMailboxes},
		{JobCAA, w.product.Definition.Rules.CAA && len(w.profile.DomainNames)+len(w.profile.Mailboxes) > 0, e.checkCAA},
		{JobPreLint, w.product.Definition.Rules.Lint.On, e.lintBefore},
	} {
		if !check.on {
			continue
		}
		w.begin(check.job, e.Clock.Now())
		text, err := check.run(ctx, w)
		now := e.Clock.Now()
		var pause *waiting
		switch {
		case err == nil:
			w.end(check.job, JobSuccess, now, text, "")
		case errors.As(err, &pause):
			w.end(check.job, JobWaiting, now, "", pause.why)
			return "", err
		default:
			w.end(check.job, JobFailed, now, "", fault.Of(err).Message)
			return "", err
		}
	}
	return PendingAuth, nil
}

func (w *work) needsDomains() bool {
	return w.product.Definition.Rules.DomainControl != product.NoDomainControl && len(w.profile.DomainNames)+len(w.profile.IPs) > 0
}

// controlCheck is how often an order that waits for people looks by itself,
// beside being woken.
const controlCheck = time.Hour

func (e *Engine) validateDomains(ctx context.Context, w *work) (string, error) {
	rules := w.product.Definition.Rules
	need := domainval.Order{ID: w.ID, Realm: w.Realm, Client: w.Client, Names: append(append([]string(nil), w.profile.DomainNames...), w.profile.IPs...), Public: rules.PublicTrust}
	if rules.DomainControl == product.EmailLink {
		need.Methods = []domainval.Method{domainval.EmailLink}
	}
	return e.prove(ctx, w, "control over the names", func(tx *store.Tx) error {
		_, err := e.Domains.Begin(tx, need)
		return err
	})
}

func (e *Engine) validateMailboxes(ctx context.Context, w *work) (string, error) {
	return e.prove(ctx, w, "the mailboxes", func(tx *store.Tx) error {
		for _, address := range w.profile.Mailboxes {
			if _, err := e.Domains.BeginMail(tx, domainval.MailOrder{
				Order: w.ID, Realm: w.Realm, Client: w.Client, Address: address, Language: w.Request.Language, Public: w.product.Definition.Rules.PublicTrust,
				DomainSuffices: w.product.Definition.Rules.DomainControl != product.NoDomainControl,
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// prove begins validations where there are none yet, and says whether all are
// done. Beginning is idempotent: it also opens again what has become too old, and
// would do so with what nobody has shown in time or somebody has refused, so it is
// asked first whether that is how it ended.
func (e *Engine) prove(ctx context.Context, w *work, what string, begin func(tx *store.Tx) error) (string, error) {
	var status domainval.Status
	before := w.due
	w.due = e.Clock.Now().Add(e.Settings.Lease)
	err := e.commit(ctx, w, func(tx *store.Tx) (err error) {
		if status, err = e.Domains.Status(tx, w.ID); err != nil || status.Failed {
			return err
		}
		if err = begin(tx); err == nil {
			status, err = e.Domains.Status(tx, w.ID)
		}
		return err
	})
	if err != nil {
		w.due = before
	}
	switch {
	case err != nil:
		return "", err
	case status.Failed:
		return "", &refusal{why: status.Why}
	case !status.Done:
		return "", &waiting{why: "Somebody has to show " + what + ".", until: e.Clock.Now().Add(controlCheck), begin: func(tx *store.Tx) error { return e.tellPending(tx, w, status) }}
	}
	return "proven", nil
}

// tellPending tells once for each name what is to be published, and where.
// Mailboxes get their message from package domainval.
func (e *Engine) tellPending(tx *store.Tx, w *work, status domainval.Status) error {
	for _, v := range status.Validations {
		if v.State != domainval.Pending {
			continue
		}
		if err := e.tell(tx, w, EventDomainPending, map[string]string{"domain": v.Name.Unicode(), "token": v.Value, "run": v.ID}); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) checkCAA(ctx context.Context, w *work) (string, error) {
	rules := w.product.Definition.Rules
	until := time.Time{}
	for _, ask := range []struct {
		names []string
		mail  bool
	}{{w.profile.DomainNames, false}, {w.profile.Mailboxes, true}} {
		if len(ask.names) == 0 {
			continue
		}
		report, err := e.Domains.CheckCAA(ctx, w.ID, domainval.CAARequest{Realm: w.Realm, Client: w.Client, Names: ask.names, Mail: ask.mail, Public: rules.PublicTrust})
		switch {
		case err != nil:
			return "", err
		case report.Allowed:
			if until.IsZero() || report.Until.Before(until) {
				until = report.Until
			}
		case report.Temporary:
			return "", fault.Unavailablef(nil, "order.caa_unavailable", "%s", report.Why)
		default:
			return "", &refusal{why: report.Why}
		}
	}
	w.Evidence.CAAUntil = until
	return "permitted until " + until.Format(time.RFC3339), nil
}

func (e *Engine) lintBefore(ctx context.Context, w *work) (string, error) {
	l, err := e.linterOf(ctx, w)
	if err != nil {
		return "", err
	}
	report, err := l.Presign(w.intent.TBS, lint.Input{Now: e.Clock.Now(), Issuer: l.issuer})
	if err != nil {
		return "", &refusal{"The certificate to be signed could not be linted.", err}
	}
	w.Evidence.Lint = &report
	if report.Verdict == lint.Error {
		return "", &refusal{why: "The certificate would be faulty: " + findings(report)}
	}
	return summary(report), nil
}

// findings names the errors of a report, the first few by name.
func findings(r lint.Report) string {
	var list []string
	for _, f := range r.Findings {
		if f.Severity == lint.Error && len(list) < 5 {
			list = append(list, strings.TrimSpace(f.Lint+" "+f.Details))
		}
	}
	return strings.Join(list, "; ") + "."
}

func summary(r lint.Report) string {
	return fmt.Sprintf("%s: %d passed, %d warnings, %d ignored", r.Linter, r.Counts.Passed, r.Counts.Warnings, r.Counts.Ignored)
}

// authorise waits until enough people have said yes, where the product asks them.
func (e *Engine) authorise(ctx context.Context, w *work) (State, error) {
	missing, err := e.needsDocuments(ctx, w)
	switch {
	case err != nil:
		return "", err
	case missing:
		return "", &waiting{why: "The product asks for documents, which are still to come."}
	}
	rule := w.product.Definition.Rules.Issue
	if rule.Count > 0 && w.Evidence.ApprovedBy == "" {
		// It does not look by itself: a decision takes it up, and an approval that
		// nobody decides lapses.
		return "", &waiting{why: "Somebody has to approve the order.", begin: func(tx *store.Tx) error {
			return e.ask(tx, w, actIssue, rule, map[string]string{"amendedBy": w.Evidence.AmendedBy})
		}}
	}
	if w.product.Definition.Rules.CT.On {
		return PreIssue, nil
	}
	return Issue, nil
}

// parseCSR reads a request and verifies the proof of possession.
func parseCSR(data []byte) (*csr.Request, error) {
	r, err := csr.Parse(data)
	var bad *csr.Error
	if errors.As(err, &bad) {
		return nil, fault.Invalidf("csr."+string(bad.Code), "%s", bad.Text).WithField("csr")
	}
	return r, err
}

func serialOf(o *Order) ([]byte, error) { return hex.DecodeString(o.Serial) }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
