package order_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A28, A78, A105, A106, A107, A109, A110, A111, A113, A115, A116, A117, A136, A137,
// A140, A141: a private server certificate goes from request to
// certificate at once, and every step it took is there to be seen.
func TestServerCertificateIsIssuedAtOnceAndShowsItsSteps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.server(b.product("tls-server-private", ""), "www.foo.example", "foo.example"))
		if o.State != order.Issued || !strings.HasPrefix(o.ID, "ord-") || o.CommonName != "www.foo.example" {
			t.Fatalf("%s is %s for %q: %s", o.ID, o.State, o.CommonName, o.Problem)
		}
		c := b.certificate(o)
		if !slices.Equal(c.DNSNames, []string{"www.foo.example", "foo.example"}) || c.Issuer.CommonName != "Test Issuing" || len(c.CRLDistributionPoints) != 1 || len(c.OCSPServer) != 1 {
			t.Errorf("names %v from %s, lists at %v, answers at %v", c.DNSNames, c.Issuer, c.CRLDistributionPoints, c.OCSPServer)
		}
		stored := b.get(o.ID)
		var types []string
		for _, j := range stored.Jobs {
			if j.State != order.JobSuccess || j.Runs != 1 || j.Finished.IsZero() || !strings.HasPrefix(j.ID, "job-") {
				t.Errorf("job %s is %s after %d runs: %s", j.Type, j.State, j.Runs, j.Error)
			}
			types = append(types, string(j.Type))
		}
		for _, want := range []order.JobType{order.JobSubmit, order.JobKey, order.JobTBS, order.JobPre, order.JobPolicy, order.JobPreLint, order.JobAuthorize, order.JobIssue, order.JobPost, order.JobPostLint, order.JobFinalize, order.JobNotify} {
			if !slices.Contains(types, string(want)) {
				t.Errorf("the history lacks %s", want)
			}
		}
		if lint := stored.Job(order.JobPreLint); lint == nil || lint.Parent != stored.Job(order.JobPre).ID {
			t.Error("the lint does not stand under the validation")
		}
		if stored.Evidence.Lint == nil || stored.Evidence.PostLint == nil || stored.Evidence.Lint.Counts.Passed == 0 {
			t.Errorf("the lint reports were not kept: %+v", stored.Evidence)
		}
		if len(b.notices.of(order.EventIssued)) != 1 {
			t.Errorf("%d notices of the issue", len(b.notices.of(order.EventIssued)))
		}
		b.invariants()
	})
}

// Two commits are enough for an order that waits for nobody.
func TestSimpleOrderCostsTwoCommits(t *testing.T) {
	b := newBench(t, storetest.Open(t, storetest.SQLite(t)), options{})
	p := b.product("tls-server-private", "")
	b.create(b.server(p, "warm.foo.example"))
	before := b.db.Commits()
	b.create(b.server(p, "www.foo.example"))
	if n := b.db.Commits() - before; n != 2 {
		t.Errorf("%d commits", n)
	}
}

// What the policy, the request or the key rules out makes no order, and says why.
func TestWhatCannotBeIssuedIsRefusedAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", "")
		damaged := newCSR(t, "www.foo.example")
		damaged[len(damaged)/2] ^= 1
		for name, tt := range map[string]struct {
			change func(r *order.Request)
			kind   error
		}{
			"a damaged request":        {func(r *order.Request) { r.CSR = damaged }, fault.Invalid},
			"another product":          {func(r *order.Request) { r.Product = "pma-00000000-0000-0000-0000-000000000000" }, fault.NotFound},
			"another client":           {func(r *order.Request) { r.Client = "cli-00000000-0000-0000-0000-000000000000" }, fault.NotFound},
			"a validity not offered":   {func(r *order.Request) { r.Validity = 5000 }, fault.Invalid},
			"an unknown recipient":     {func(r *order.Request) { r.Recipients = []order.Recipient{{Kind: "recovery", Email: "a@b.example"}} }, fault.Invalid},
			"a recipient that is none": {func(r *order.Request) { r.Recipients = []order.Recipient{{Kind: "issuance", Email: "nobody"}} }, fault.Invalid},
			"an empty tag":             {func(r *order.Request) { r.Tags = []string{" "} }, fault.Invalid},
			"a field not offered":      {func(r *order.Request) { r.Fields = map[string][]string{"subject.L": {"Oslo"}} }, fault.Invalid},
		} {
			r := b.server(p, "www.foo.example")
			tt.change(&r)
			if o, err := b.engine.Create(t.Context(), b.scope, r); !errors.Is(err, tt.kind) {
				t.Errorf("%s: %v, %v", name, o, err)
			}
		}
		if n := b.count(`SELECT COUNT(*) FROM orders`); n != 0 {
			t.Errorf("%d orders were made of refused requests", n)
		}
	})
}

// A109, A111, A138, A181: control over a name that is not shown yet makes the order wait,
// and it goes on by itself when it is.
func TestOrderWaitsForDomainControlAndGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.domains.pending = true
		o := b.create(b.server(b.product("tls-server-private", `rules = { domain_control = "dns-http" }`), "www.foo.example"))
		if o.State != order.PreValidation || o.Problem == "" || o.Serial != "" || o.Job(order.JobDomain).State != order.JobWaiting {
			t.Fatalf("%s (%q) with serial number %q, the job %+v", o.State, o.Problem, o.Serial, o.Job(order.JobDomain))
		}
		if len(b.domains.begun) != 1 || !slices.Equal(b.domains.begun[0].Names, []string{"www.foo.example"}) {
			t.Errorf("validations were begun for %+v", b.domains.begun)
		}
		b.clock.Advance(time.Hour)
		b.drain()
		if got := b.get(o.ID); got.State != order.PreValidation || got.Job(order.JobDomain).Runs < 2 {
			t.Fatalf("an hour later it is %s after %d looks", got.State, got.Job(order.JobDomain).Runs)
		}
		b.domains.pending = false
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return b.engine.Wake(tx, o.ID) }); err != nil {
			t.Fatal(err)
		}
		b.drain()
		got := b.get(o.ID)
		if got.State != order.Issued {
			t.Fatalf("control was shown and it is %s: %s", got.State, got.Problem)
		}
		if c := b.certificate(got); b.clock.Now().Sub(c.NotBefore) > 2*time.Minute {
			t.Errorf("it is valid from %s, ordered an hour before", c.NotBefore)
		}
		b.invariants()
	})
}

func TestControlThatWillNotBeShownFailsTheOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.domains.failed = "Control over www.foo.example was not shown within 30 days."
		o := b.create(b.server(b.product("tls-server-private", `rules = { domain_control = "dns-http" }`), "www.foo.example"))
		if o.State != order.Failed || o.Problem != b.domains.failed || o.Serial != "" || len(b.domains.canceled) != 1 {
			t.Errorf("%s: %s (serial %q, cancelled %v)", o.State, o.Problem, o.Serial, b.domains.canceled)
		}
		if len(b.notices.of(order.EventFailed)) != 1 {
			t.Error("nobody was told")
		}
		b.invariants()
	})
}

// A16, A145: CAA says no, yes, or cannot be asked for now.
func TestCAADecides(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { caa = true }`)
		b.domains.caa = domainval.CAAReport{Why: "foo.example lets only other.example issue."}
		if o := b.create(b.server(p, "www.foo.example")); o.State != order.Failed || o.Problem != b.domains.caa.Why {
			t.Errorf("refused by CAA it is %s: %s", o.State, o.Problem)
		}
		b.domains.caa = domainval.CAAReport{Temporary: true, Why: "The name servers of foo.example do not answer."}
		o := b.create(b.server(p, "www.foo.example"))
		if o.State != order.PreValidation || o.Job(order.JobPre).State != order.JobRetry {
			t.Fatalf("without an answer it is %s, the job %+v", o.State, o.Job(order.JobPre))
		}
		b.domains.caa = domainval.CAAReport{Allowed: true, Until: noon.Add(8 * time.Hour)}
		b.clock.Advance(time.Minute)
		b.drain()
		if got := b.get(o.ID); got.State != order.Issued {
			t.Errorf("with an answer it is %s: %s", got.State, got.Problem)
		}
		b.invariants()
	})
}

// A step that fails again and again fails the order, with the last reason.
func TestOrderThatNeverSucceedsFailsInTheEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.domains.caa = domainval.CAAReport{Temporary: true, Why: "The name servers do not answer."}
		o := b.create(b.server(b.product("tls-server-private", `rules = { caa = true }`), "www.foo.example"))
		for range 10 {
			b.clock.Advance(time.Hour)
			b.drain()
		}
		if got := b.get(o.ID); got.State != order.Failed || !strings.Contains(got.Problem, "do not answer") || got.Job(order.JobCAA).Runs != 5 {
			t.Errorf("%s after %d looks: %s", got.State, got.Job(order.JobCAA).Runs, got.Problem)
		}
		b.invariants()
	})
}

// A41, A76, A120, A121, A158: approvals, by somebody else, by several, refused, in time.
func TestApprovals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { approval_issue = { count = 1, four_eyes = true, expire_hours = 24 } }`)
		pending := func() (*order.Order, order.Approval) {
			o := b.create(b.server(p, "www.foo.example"))
			if o.State != order.PendingAuth || o.Serial != "" {
				t.Fatalf("%s, serial number %q", o.State, o.Serial)
			}
			all := must(b.engine.ApprovalsOf(t.Context(), o))(t)
			if len(all) != 1 || all[0].State != order.Open {
				t.Fatalf("approvals %+v", all)
			}
			return o, all[0]
		}
		o, a := pending()
		if _, err := b.engine.Decide(t.Context(), b.scope, a.ID, true, ""); !errors.Is(err, fault.Forbidden) {
			t.Errorf("the one who asked decides: %v", err)
		}
		if got := must(b.engine.Decide(t.Context(), b.other, a.ID, true, "looks right"))(t); got.State != order.Granted {
			t.Errorf("the approval is %s", got.State)
		}
		if got := b.get(o.ID); got.State != order.Issued || got.Evidence.ApprovedBy == "" {
			t.Errorf("approved, it is %s: %s", got.State, got.Problem)
		}
		if _, err := b.engine.Decide(t.Context(), b.other, a.ID, true, ""); !errors.Is(err, fault.Conflict) {
			t.Errorf("decided twice: %v", err)
		}
		o, a = pending()
		if _, err := b.engine.Decide(t.Context(), b.other, a.ID, false, " "); !errors.Is(err, fault.Invalid) {
			t.Errorf("refused without a reason: %v", err)
		}
		must(b.engine.Decide(t.Context(), b.other, a.ID, false, "unknown machine"))(t)
		if got := b.get(o.ID); got.State != order.Rejected || got.Problem != "unknown machine" {
			t.Errorf("rejected, it is %s: %s", got.State, got.Problem)
		}
		o, _ = pending()
		b.clock.Advance(25 * time.Hour)
		if err := b.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.get(o.ID); got.State != order.Rejected {
			t.Errorf("a day later it is %s", got.State)
		}
		b.invariants()
	})
}

// Before anybody has said yes, an order can be changed; who changed it is not
// the one to approve it.
func TestOrderIsAmendedBeforeApproval(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { approval_issue = { count = 1, four_eyes = true } }`)
		o := b.create(b.server(p, "www.foo.example"))
		asked := o.Request
		asked.DNS = nil
		asked.Fields = map[string][]string{"san.dns": {"shop.foo.example"}, "subject.CN": {"shop.foo.example"}}
		amended := must(b.engine.Amend(t.Context(), b.other, o.ID, asked))(t)
		if amended.State != order.PendingAuth || amended.CommonName != "shop.foo.example" {
			t.Fatalf("%s for %s: %s", amended.State, amended.CommonName, amended.Problem)
		}
		all := must(b.engine.ApprovalsOf(t.Context(), o))(t)
		if len(all) != 2 || all[0].State != order.Open || all[1].State != order.Lapsed {
			t.Fatalf("approvals %+v", all)
		}
		if _, err := b.engine.Decide(t.Context(), b.other, all[0].ID, true, ""); !errors.Is(err, fault.Forbidden) {
			t.Errorf("the one who changed it approves it: %v", err)
		}
		b.invariantsOpen()
	})
}

// invariantsOpen is for stories that end with an order that waits.
func (b *bench) invariantsOpen() {
	if n := b.count(`SELECT COUNT(*) FROM certificates WHERE status = 'intent'`); n != 0 {
		b.t.Errorf("%d open intents", n)
	}
}

// A103, A117, A148, A152: revoked at once, taken from where it was published, and not twice.
func TestRevocation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { publication = { publishers = ["directory"], default = true }, notify = { issuance = true, revocation = true } }`)
		o := b.create(b.server(p, "www.foo.example"))
		if len(b.shelf.queued) != 1 || len(b.shelf.queued[0].Certificate) == 0 {
			t.Fatalf("publication of %+v", b.shelf.queued)
		}
		got, approval, err := b.engine.Revoke(t.Context(), b.scope, o.ID, order.Revocation{Reason: authority.Superseded, Why: "replaced"})
		if err != nil || approval != "" || got.State != order.Revoked || got.RevokedAt.IsZero() {
			t.Fatalf("%v %q %+v", err, approval, got)
		}
		record := must(b.engine.Certificate(t.Context(), got))(t)
		if record.Status != authority.CertRevoked || record.Reason != authority.Superseded {
			t.Errorf("the certificate is %s for %s", record.Status, record.Reason)
		}
		if !slices.Contains(b.shelf.removed, o.ID) || len(b.notices.of(order.EventRevoked)) != 1 {
			t.Errorf("removed %v, %d notices", b.shelf.removed, len(b.notices.of(order.EventRevoked)))
		}
		if _, _, err := b.engine.Revoke(t.Context(), b.scope, o.ID, order.Revocation{}); !errors.Is(err, fault.Conflict) {
			t.Errorf("revoked twice: %v", err)
		}
		b.invariants()
	})
}

// A151: a product may want revocation approved; a compromised key does not wait.
func TestRevocationWithApproval(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { approval_revoke = { count = 2 } }`)
		o := b.create(b.server(p, "www.foo.example"))
		got, approval, err := b.engine.Revoke(t.Context(), b.scope, o.ID, order.Revocation{Reason: authority.CessationOfOperation})
		if err != nil || approval == "" || got.State != order.Issued {
			t.Fatalf("%v %q %s", err, approval, got.State)
		}
		must(b.engine.Decide(t.Context(), b.scope, approval, true, ""))(t)
		if b.get(o.ID).State != order.Issued {
			t.Error("one of two is enough")
		}
		if _, err := b.engine.Decide(t.Context(), b.scope, approval, true, ""); !errors.Is(err, fault.Conflict) {
			t.Errorf("the same person says yes twice: %v", err)
		}
		must(b.engine.Decide(t.Context(), b.other, approval, true, ""))(t)
		if got := b.get(o.ID); got.State != order.Revoked || got.Reason != authority.CessationOfOperation {
			t.Errorf("approved by two it is %s for %s", got.State, got.Reason)
		}
		o = b.create(b.server(p, "www.foo.example"))
		if _, approval, err := b.engine.Revoke(t.Context(), b.scope, o.ID, order.Revocation{Reason: authority.KeyCompromise}); err != nil || approval != "" || b.get(o.ID).State != order.Revoked {
			t.Errorf("a compromised key waits for approval %q: %v", approval, err)
		}
		b.invariants()
	})
}

// A holder revokes with the code from the issue's message, once.
func TestHolderRevokesWithTheCode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		o := b.create(b.server(b.product("tls-server-private", `rules = { revocation_code = true }`), "www.foo.example"))
		link := b.notices.of(order.EventRevokeLink)[0].Data["link"]
		token := link[strings.LastIndex(link, "/")+1:]
		if _, err := b.engine.RevokeByLink(t.Context(), token+"x", authority.Unspecified); !errors.Is(err, fault.NotFound) {
			t.Errorf("another code: %v", err)
		}
		if _, err := b.engine.RevokeByLink(t.Context(), token, authority.PrivilegeWithdrawn); !errors.Is(err, fault.Invalid) {
			t.Errorf("a reason that holders do not give: %v", err)
		}
		if got := must(b.engine.RevokeByLink(t.Context(), token, authority.KeyCompromise))(t); got.State != order.Revoked {
			t.Errorf("it is %s", got.State)
		}
		if _, err := b.engine.RevokeByLink(t.Context(), token, authority.KeyCompromise); !errors.Is(err, fault.Gone) {
			t.Errorf("used twice: %v", err)
		}
		if n := b.count(`SELECT COUNT(*) FROM order_links WHERE hash = $1`, token); n != 0 {
			t.Error("the code is stored in clear")
		}
		_ = o
		b.invariants()
	})
}

// Eight simultaneous finalisations, one certificate.
func TestEightWorkersIssueOneCertificate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		p := b.product("tls-server-private", `rules = { approval_issue = { count = 1 } }`)
		o := b.create(b.server(p, "www.foo.example"))
		a := must(b.engine.ApprovalsOf(t.Context(), o))(t)[0]
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := b.engine.Decide(context.Background(), b.other, a.ID, true, ""); err != nil && !errors.Is(err, fault.Conflict) {
					t.Errorf("decide: %v", err)
				}
			})
		}
		wg.Wait()
		b.clock.Advance(time.Hour)
		b.drain()
		if got := b.get(o.ID); got.State != order.Issued {
			t.Errorf("it is %s: %s", got.State, got.Problem)
		}
		if n := b.count(`SELECT COUNT(*) FROM certificates WHERE order_id = $1 AND status = 'valid'`, o.ID); n != 1 {
			t.Errorf("%d certificates", n)
		}
		b.invariants()
	})
}
