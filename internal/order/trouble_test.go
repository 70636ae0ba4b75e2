package order_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/transparency"
)

const withCT = `rules = { ct = { on = true } }`

// eachKey runs a test on both engines, with a key that signs the same twice and
// with one that does not.
func eachKey(t *testing.T, logs int, fn func(t *testing.T, b *bench)) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, hsm := range []bool{false, true} {
			t.Run(fmt.Sprintf("hsm=%v", hsm), func(t *testing.T) { fn(t, newBench(t, freshDB(t, db), options{token: hsm, logs: logs})) })
		}
	})
}

// A112: while the logs are away the order waits; when they are back they get the
// pre-certificate that they were shown before, whatever the key.
func TestLogsThatAreDownForAWhileSeeOnePrecertificate(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		b.logs.down.Store(http.StatusServiceUnavailable)
		o := b.create(b.server(b.product("tls-server-private", withCT), "www.foo.example"))
		if o.State != order.PreIssue || o.Serial == "" || o.Job(order.JobPreCT).State != order.JobRetry || o.Problem == "" {
			t.Fatalf("%s (%q) with serial number %q, the job %+v", o.State, o.Problem, o.Serial, o.Job(order.JobPreCT))
		}
		b.clock.Advance(time.Minute)
		b.drain()
		b.logs.down.Store(0)
		b.clock.Advance(time.Minute)
		b.drain()
		got := b.get(o.ID)
		if got.State != order.Issued || got.Serial != o.Serial || len(got.Evidence.SCTs) != 2 {
			t.Fatalf("the logs are back and it is %s with serial number %q and %d SCTs: %s", got.State, got.Serial, len(got.Evidence.SCTs), got.Problem)
		}
		if same, all := b.logs.seen(o.Serial); same != 1 || all != 1 {
			t.Errorf("the logs were shown %d pre-certificates with this serial number, and %d serial numbers", same, all)
		}
		if n := b.count(`SELECT COUNT(*) FROM certificates WHERE kind = 'order'`); n != 1 {
			t.Errorf("%d certificates", n)
		}
		b.invariants()
	})
}

// A118: what no log wants is not issued, and its pre-certificate is revoked.
func TestLogsThatRejectEndTheOrder(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		b.logs.down.Store(http.StatusBadRequest)
		o := b.create(b.server(b.product("tls-server-private", withCT), "www.foo.example"))
		if o.State != order.Failed || o.Serial == "" || o.RevokedAt.IsZero() || !strings.Contains(o.Problem, "log") {
			t.Fatalf("%s (%q), revoked %v", o.State, o.Problem, o.RevokedAt)
		}
		b.invariants()
		b.answers(t)
		b.clock.Advance(time.Hour)
		b.drain()
		if n := len(b.notices.of(order.EventFailed)); n != 1 {
			t.Errorf("%d notices of the failure", n)
		}
	})
}

// A114, A139: the certificate itself goes to the logs afterwards, in a job of its own.
func TestIssuedCertificateIsPublishedInTheLogs(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		o := b.create(b.server(b.product("tls-server-private", withCT), "www.foo.example"))
		if o.State != order.Issued || o.Job(order.JobCT).State != order.JobPending {
			t.Fatalf("%s: %s; the job %+v", o.State, o.Problem, o.Job(order.JobCT))
		}
		c := b.certificate(o)
		b.logs.down.Store(http.StatusServiceUnavailable)
		b.drain()
		if got := b.get(o.ID); got.State != order.Issued || got.Job(order.JobCT).State != order.JobRetry {
			t.Errorf("without logs it is %s, the job %+v", got.State, got.Job(order.JobCT))
		}
		b.logs.down.Store(0)
		b.clock.Advance(time.Minute)
		b.drain()
		if got := b.get(o.ID); got.Job(order.JobCT).State != order.JobSuccess || !b.logs.finals[o.Serial][string(c.Raw)] {
			t.Errorf("the job is %+v, the logs have %d certificates", got.Job(order.JobCT), len(b.logs.finals))
		}
		b.invariants()
	})
}

// A118, A142: a certificate in which a fault is found after it was signed is revoked at
// once. What is wrong here is in its list of SCTs, which nobody saw before.
func TestCertificateThatIsFoundFaultyIsRevoked(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		p := b.product("tls-server-private", withCT)
		b.logs.Logs = cheatingLogs{b.logs.Logs}
		o := b.create(b.server(p, "www.foo.example"))
		if o.State != order.Failed || o.RevokedAt.IsZero() || o.Job(order.JobPostLint).State != order.JobFailed || !strings.Contains(o.Problem, "was revoked") {
			t.Fatalf("%s (%q), the job %+v", o.State, o.Problem, o.Job(order.JobPostLint))
		}
		record := must(b.ca.Lookup(b.db.View(t.Context()), o.Authority, unhex(t, o.Serial)))(t)
		if record.Status != authority.CertRevoked {
			t.Errorf("the certificate is %s", record.Status)
		}
		b.invariants()
		b.answers(t)
	})
}

// cheatingLogs give the SCT of one log as those of all.
type cheatingLogs struct{ order.Logs }

func (c cheatingLogs) Submit(ctx context.Context, r transparency.Request) (transparency.Result, error) {
	result, err := c.Logs.Submit(ctx, r)
	for i := range result.SCTs {
		result.SCTs[i] = result.SCTs[0]
	}
	return result, err
}

// A product may raise a lint to an error, which no certificate then passes.
func TestLintThatTheProductRaisesStopsTheOrderBeforeSigning(t *testing.T) {
	eachKey(t, 0, func(t *testing.T, b *bench) {
		r := b.server(b.product("tls-server-private", `rules = { lint = { on = true, levels = { w_sw_common_name = "error" } } }`), "www.foo.example")
		r.Fields = map[string][]string{"subject.CN": {"intranet"}}
		o := b.create(r)
		if o.State != order.Failed || o.Serial != "" || !strings.Contains(o.Problem, "w_sw_common_name") || o.Job(order.JobPreLint).State != order.JobFailed {
			t.Errorf("%s (%q) with serial number %q, the job %+v", o.State, o.Problem, o.Serial, o.Job(order.JobPreLint))
		}
		b.invariants()
	})
}

// While the clock is behind what was signed before, nothing is signed: the order waits.
func TestClockThatIsMovedBackMakesOrdersWait(t *testing.T) {
	eachKey(t, 0, func(t *testing.T, b *bench) {
		p := b.product("tls-server-private", "")
		b.create(b.server(p, "first.foo.example"))
		b.clock.Advance(-time.Minute)
		o := b.create(b.server(p, "www.foo.example"))
		if o.State != order.GenerateTBS || !strings.Contains(o.Problem, "clock") {
			t.Fatalf("%s: %s", o.State, o.Problem)
		}
		b.clock.Advance(2 * time.Minute)
		b.drain()
		if got := b.get(o.ID); got.State != order.Issued {
			t.Errorf("an hour later it is %s: %s", got.State, got.Problem)
		}
		b.invariants()
	})
}

// TLS BR 3.2.2.8: a permission by CAA that ran out while people decided, or while
// the key was away, is asked for again.
func TestPermissionByCAAIsAskedAgainWhenItRanOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{token: true})
		allow := func() { b.domains.caa = domainval.CAAReport{Allowed: true, Until: b.clock.Now().Add(8 * time.Hour)} }
		allow()
		p := b.product("tls-server-private", `rules = { caa = true, approval_issue = { count = 1 } }`)
		o := b.create(b.server(p, "www.foo.example"))
		b.clock.Advance(9 * time.Hour)
		b.domains.caa = domainval.CAAReport{Why: "foo.example lets only other.example issue."}
		must(b.engine.Decide(t.Context(), b.other, must(b.engine.ApprovalsOf(t.Context(), o))(t)[0].ID, true, ""))(t)
		if got := b.get(o.ID); got.State != order.Failed || got.Problem != b.domains.caa.Why || got.Serial != "" {
			t.Errorf("approved after the records changed it is %s: %s", got.State, got.Problem)
		}

		allow()
		b.token.down.Store(true)
		b.options.Settings.Retry = 9 * time.Hour
		engine := order.NewEngine(b.options)
		p = b.product("tls-server-private", `rules = { caa = true }`)
		o = must(engine.Create(t.Context(), b.scope, b.server(p, "www.foo.example")))(t)
		if o.State != order.Issue || o.Job(order.JobIssue).State != order.JobRetry {
			t.Fatalf("without its key it is %s: %s", o.State, o.Problem)
		}
		b.token.down.Store(false)
		b.clock.Advance(10 * time.Hour)
		asked := b.domains.asked
		b.domains.caa = domainval.CAAReport{Why: "foo.example lets only other.example issue."}
		b.drain()
		if got := b.get(o.ID); got.State != order.Failed || b.domains.asked == asked {
			t.Errorf("with its key it is %s: %s", got.State, got.Problem)
		}
		if n := b.token.signed.Load(); n != 0 {
			t.Errorf("%d signatures", n)
		}
		b.invariants()
	})
}

// An order that waits in PRE_VALIDATION and is woken checks everything again, the
// key included: it may have been found to be compromised meanwhile.
func TestWokenOrderChecksItsKeyAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, options{})
		b.domains.pending = true
		r := b.server(b.product("tls-server-private", `rules = { domain_control = "dns-http" }`), "www.foo.example")
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		r.CSR = csrFor(t, key, "www.foo.example")
		o := b.create(r)
		must(b.keys.Add(t.Context(), b.scope, keycheck.HashOf(must(x509.MarshalPKIXPublicKey(key.Public()))(t)), keycheck.Compromised, "found in public"))(t)
		b.domains.pending = false
		must(b.engine.Retry(t.Context(), b.scope, o.ID))(t)
		if got := b.get(o.ID); got.State != order.Failed || got.Serial != "" || !strings.Contains(got.Problem, "blocked") {
			t.Errorf("%s: %s", got.State, got.Problem)
		}
		b.invariants()
	})
}

// A defect that one order meets, or a caller who goes away, harms neither the
// node nor the order.
func TestCrashInsideAStage(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		p := b.product("tls-server-private", withCT)
		real := b.logs.Logs
		b.logs.Logs = panickingLogs{real}
		o := b.create(b.server(p, "www.foo.example"))
		if o.State != order.PreIssue || o.Job(order.JobPreIssue).State != order.JobRetry {
			t.Fatalf("%s: %s", o.State, o.Problem)
		}
		b.logs.Logs = real
		b.settle()
		if got := b.get(o.ID); got.State != order.Issued {
			t.Errorf("it is %s: %s", got.State, got.Problem)
		}

		ctx, cancel := context.WithCancel(t.Context())
		b.logs.Logs = leavingLogs{real, cancel}
		if _, err := b.engine.Create(ctx, b.scope, b.server(p, "shop.foo.example")); err != nil {
			t.Errorf("the caller left: %v", err)
		}
		if _, err := b.engine.Create(ctx, b.scope, b.server(p, "never.foo.example")); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller had left before: %v", err)
		}
		b.logs.Logs = real
		b.settle()
		b.ended(p)
		if n := b.count(`SELECT COUNT(*) FROM orders WHERE state = 'ISSUED'`); n != 2 {
			t.Errorf("%d orders were issued", n)
		}
		b.invariants()
	})
}

type panickingLogs struct{ order.Logs }

func (panickingLogs) Submit(context.Context, transparency.Request) (transparency.Result, error) {
	panic("a defect")
}

type leavingLogs struct {
	order.Logs
	leave func()
}

func (l leavingLogs) Submit(ctx context.Context, r transparency.Request) (transparency.Result, error) {
	l.leave()
	return l.Logs.Submit(ctx, r)
}

// Two nodes that work the same order, one of them past its lease, issue one
// certificate.
func TestTwoNodesOnOneOrder(t *testing.T) {
	eachKey(t, 2, func(t *testing.T, b *bench) {
		second := order.NewEngine(b.options)
		p := b.product("tls-server-private", withCT)
		for range 5 {
			r := b.server(p, "www.foo.example")
			r.Later = true
			o := b.create(r)
			var wg sync.WaitGroup
			for _, e := range []*order.Engine{b.engine, second, b.engine, second} {
				wg.Go(func() {
					if _, err := e.Retry(context.Background(), b.scope, o.ID); err != nil && !errors.Is(err, fault.Conflict) {
						t.Errorf("retry: %v", err)
					}
				})
			}
			wg.Wait()
			b.settle()
			if got := b.get(o.ID); got.State != order.Issued {
				t.Errorf("it is %s: %s", got.State, got.Problem)
			}
		}
		b.ended(p)
		b.invariants()
		b.answers(t)
	})
}
