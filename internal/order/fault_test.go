package order_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/order"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/product"
)

var errCrash = errors.New("crash")

// A fall is what goes wrong at a commit.
type fall struct {
	persisted bool // it was written, and nobody heard of it
	passes    bool // the next commits succeed; else the process is gone
}

func (f fall) String() string { return fmt.Sprintf("persisted=%v, passes=%v", f.persisted, f.passes) }

var falls = []fall{{false, false}, {true, false}, {false, true}, {true, true}}

// at makes the nth following update fall.
func (f fall) at(db *store.DB, n int) (reached *atomic.Bool) {
	var count atomic.Int64
	reached = new(atomic.Bool)
	db.Interpose(func(update func() error) error {
		switch i := int(count.Add(1)); {
		case i < n, i > n && f.passes:
			return update()
		case i > n:
			return errCrash
		}
		reached.Store(true)
		if f.persisted {
			if err := update(); err != nil {
				return err
			}
		}
		return errCrash
	})
	return reached
}

// A story is one way through the engine. begin prepares it and is not disturbed;
// it gives what is disturbed, and what people do afterwards, who cannot know
// what became of it: they try again what did not seem to work.
type story struct {
	name  string
	rules string
	key   string // a definition's table of keys, where the product's is not that of servers
	begin func(b *bench, p *product.Product) (run func() error, after func())
}

var stories = []story{
	{name: "simple", begin: createOne},
	{name: "transparency", rules: `rules = { ct = { on = true } }`, begin: createOne},
	{name: "order that waits for domains", rules: `rules = { domain_control = "dns-http" }`, begin: func(b *bench, p *product.Product) (func() error, func()) {
		b.domains.pending = true
		r := b.server(p, "www.foo.example")
		return func() error { return b.try(r) }, func() { b.showDomains(p) }
	}},
	{name: "domains shown", rules: `rules = { domain_control = "dns-http", ct = { on = true } }`, begin: func(b *bench, p *product.Product) (func() error, func()) {
		b.domains.pending = true
		o := b.create(b.server(p, "www.foo.example"))
		b.domains.pending = false
		return func() error { _, err := b.engine.Retry(context.Background(), b.scope, o.ID); return err }, func() { b.showDomains(p) }
	}},
	{name: "order that waits for approval", rules: `rules = { approval_issue = { count = 1 } }`, begin: func(b *bench, p *product.Product) (func() error, func()) {
		r := b.server(p, "www.foo.example")
		return func() error { return b.try(r) }, func() { b.approveAll(p) }
	}},
	{name: "approval", rules: `rules = { approval_issue = { count = 1 }, ct = { on = true } }`, begin: func(b *bench, p *product.Product) (func() error, func()) {
		o := b.create(b.server(p, "www.foo.example"))
		a := must(b.engine.ApprovalsOf(context.Background(), o))(b.t)[0]
		return func() error { _, err := b.engine.Decide(context.Background(), b.other, a.ID, true, ""); return err }, func() { b.approveAll(p) }
	}},
	{name: "key file that waits for its PIN", key: withPIN, begin: func(b *bench, p *product.Product) (func() error, func()) {
		r := b.mailbox(p)
		return func() error { return b.try(r) }, func() { b.choosePINs(p) }
	}},
	{name: "PIN", key: withPIN, begin: func(b *bench, p *product.Product) (func() error, func()) {
		b.create(b.mailbox(p))
		token := b.tokenOf(order.EventPINLink)
		return func() error { _, err := b.engine.SetPIN(context.Background(), token, goodPIN); return err }, func() { b.choosePINs(p) }
	}},
	{name: "renewal with a key made here", key: `key = { types = ["EC_secp256r1"], generation = "PKCS12" }`, rules: renewing, begin: func(b *bench, p *product.Product) (func() error, func()) {
		o := b.nearEnd(b.madeHere(p, "www.foo.example"))
		return func() error { return errors.Join(b.renew(o), b.queue.Drain(context.Background())) }, func() { b.renewAgain(o) }
	}},
	{name: "renewal with a request", rules: renewing, begin: func(b *bench, p *product.Product) (func() error, func()) {
		o := b.nearEnd(b.server(p, "www.foo.example"))
		b.renewAgain(o)
		token := b.tokenOf(order.EventRenewalLink)
		request := newCSR(b.t, "www.foo.example")
		return func() error { _, err := b.engine.SubmitCSRByLink(context.Background(), token, request); return err }, func() { b.bringAll(p) }
	}},
	{name: "revocation", begin: func(b *bench, p *product.Product) (func() error, func()) {
		o := b.create(b.server(p, "www.foo.example"))
		revoke := func() error {
			_, _, err := b.engine.Revoke(context.Background(), b.scope, o.ID, order.Revocation{Reason: authority.Superseded})
			return err
		}
		return revoke, func() {
			if b.get(o.ID).State == order.Issued {
				if err := revoke(); err != nil {
					b.t.Error(err)
				}
			}
		}
	}},
	{name: "fetched key file", key: `key = { types = ["EC_secp256r1"], generation = "PKCS12withCAPIN" }`, begin: func(b *bench, p *product.Product) (func() error, func()) {
		o := b.create(b.madeHere(p, "www.foo.example"))
		token := b.tokenOf(order.EventFileReady)
		fetch := func() error { _, err := b.engine.Fetch(context.Background(), token, ""); return err }
		return fetch, func() {
			if b.count(`SELECT COUNT(*) FROM order_files WHERE order_id = $1`, o.ID) > 0 {
				if err := fetch(); err != nil {
					b.t.Error(err)
				}
			}
			if n := b.count(`SELECT COUNT(*) FROM order_files WHERE order_id = $1`, o.ID); n != 0 {
				b.t.Errorf("%d files are kept", n)
			}
		}
	}},
}

const (
	renewing = `rules = { renewal = { mode = "automatic", days_before = 10 } }`
	withPIN  = `key = { types = ["EC_secp256r1"], generation = "PKCS12withPIN" }
		san = { email = { state = "editable", mandatory = true } }`
	goodPIN = "correct horse 7"
)

func createOne(b *bench, p *product.Product) (func() error, func()) {
	r := b.server(p, "www.foo.example")
	return func() error { return b.try(r) }, func() {}
}

// nearEnd has a certificate that is due to be renewed.
func (b *bench) nearEnd(r order.Request) *order.Order {
	b.t.Helper()
	r.Validity = 20
	o := b.create(r)
	b.clock.Set(o.NotAfter.AddDate(0, 0, -9))
	b.logs.sequence(b.t)
	return o
}

func (b *bench) try(r order.Request) error {
	_, err := b.engine.Create(context.Background(), b.scope, r)
	return err
}

// Every commit of every story × {lost, reported lost} × {the process is gone, it
// goes on} × both engines × {a key that signs the same twice, one that does not}.
func TestWhateverIsLostEndsInOneCertificateOrNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, hsm := range []bool{false, true} {
			t.Run(fmt.Sprintf("hsm=%v", hsm), func(t *testing.T) {
				for _, s := range stories {
					b := newBench(t, freshDB(t, db), options{token: hsm, logs: 2})
					p := b.product("tls-server-private", s.rules+"\n"+s.key)
					for n := 1; b.fallOnce(t, s, p, n); n++ {
						if n > 20 {
							t.Fatalf("%s does not end", s.name)
						}
					}
					b.answers(t)
					// What signs the same twice is signed again; else it is given up and revoked.
					revoked := b.count(`SELECT COUNT(*) FROM certificates WHERE kind = 'order' AND status = 'revoked'`)
					if again := s.name == "simple" || s.name == "transparency"; again && (revoked > 0) != hsm {
						t.Errorf("%s: %d certificates were revoked", s.name, revoked)
					}
				}
			})
		}
	})
}

// fallOnce tries all falls at one commit and tells whether there was one.
func (b *bench) fallOnce(t *testing.T, s story, p *product.Product, n int) (reached bool) {
	for _, f := range falls {
		t.Run(fmt.Sprintf("%s/commit %d/%s", s.name, n, f), func(t *testing.T) {
			old := b.t
			b.t = t
			defer func() { b.t = old }()
			*b.domains = domains{}
			run, after := s.begin(b, p)
			here := f.at(b.db, n)
			err := run()
			b.db.Interpose(nil)
			if !here.Load() && err != nil {
				t.Fatalf("without a fall: %v", err)
			}
			reached = reached || here.Load()
			b.settle()
			after()
			b.settle()
			b.invariants()
			b.ended(p)
		})
	}
	return reached
}

// settle lets leases and waits pass, and has done what is due then.
func (b *bench) settle() {
	b.t.Helper()
	for range 4 {
		b.clock.Advance(10 * time.Minute)
		b.logs.sequence(b.t)
		b.drain()
		if err := b.engine.Sweep(context.Background()); err != nil {
			b.t.Fatal(err)
		}
	}
}

// ended holds the orders of a product against how they may end: nothing failed
// for good that would have passed, and people can read why it did.
func (b *bench) ended(p *product.Product) {
	b.t.Helper()
	list, _ := must2(b.engine.List(context.Background(), b.scope, order.Filter{Products: []string{p.ID}}, store.Page{Limit: store.MaxLimit}))(b.t)
	for _, o := range list {
		if o.State != order.Issued && o.State != order.Revoked {
			b.t.Errorf("%s is %s: %q", o.ID, o.State, o.Problem)
		}
	}
	sent := map[string]int{}
	for _, n := range b.notices.sent {
		if sent[n.Key]++; sent[n.Key] == 2 {
			b.t.Errorf("%s was sent twice", n.Key)
		}
	}
	for serial, pres := range b.logs.pres {
		if len(pres) > 1 {
			b.t.Errorf("the logs saw %d pre-certificates with the serial number %s", len(pres), serial)
		}
		if n := b.count(`SELECT COUNT(*) FROM certificates WHERE serial = $1 AND status IN ('valid', 'revoked')`, unhex(b.t, serial)); n != 1 {
			b.t.Errorf("%d certificates for the logged serial number %s", n, serial)
		}
	}
}

// The steps that people take once more.

func (b *bench) each(p *product.Product, s order.State, fn func(o *order.Order)) {
	b.t.Helper()
	list, _ := must2(b.engine.List(context.Background(), b.scope, order.Filter{Products: []string{p.ID}, States: []order.State{s}}, store.Page{}))(b.t)
	for _, o := range list {
		fn(o)
	}
}

func (b *bench) showDomains(p *product.Product) {
	b.domains.pending = false
	b.each(p, order.PreValidation, func(o *order.Order) {
		if err := b.db.Update(context.Background(), func(tx *store.Tx) error { return b.engine.Wake(tx, o.ID) }); err != nil {
			b.t.Fatal(err)
		}
	})
}

func (b *bench) approveAll(p *product.Product) {
	b.each(p, order.PendingAuth, func(o *order.Order) {
		a := must(b.engine.ApprovalsOf(context.Background(), o))(b.t)
		if len(a) != 1 || a[0].State != order.Open {
			b.t.Fatalf("it waits for the approvals %+v", a)
		}
		must(b.engine.Decide(context.Background(), b.other, a[0].ID, true, ""))(b.t)
	})
}

func (b *bench) choosePINs(p *product.Product) {
	b.each(p, order.KeyValidation, func(*order.Order) {
		must(b.engine.SetPIN(context.Background(), b.tokenOf(order.EventPINLink), goodPIN))(b.t)
	})
}

func (b *bench) renew(o *order.Order) error {
	_, err := b.engine.Renew(context.Background(), b.scope, o.ID, nil)
	return err
}

// renewAgain tries once more; that it was not needed is an answer, too.
func (b *bench) renewAgain(o *order.Order) {
	if err := b.renew(o); err != nil && !errors.Is(err, fault.Conflict) {
		b.t.Fatal(err)
	}
}

func (b *bench) bringAll(p *product.Product) {
	b.each(p, order.PendingCSR, func(*order.Order) {
		must(b.engine.SubmitCSRByLink(context.Background(), b.tokenOf(order.EventRenewalLink), newCSR(b.t, "www.foo.example")))(b.t)
	})
}

// freshDB gives an empty database on the same engine.
func freshDB(t *testing.T, like *store.DB) *store.DB {
	if like.Engine() == store.Postgres {
		return storetest.Open(t, storetest.Postgres(t))
	}
	return storetest.Open(t, storetest.SQLite(t))
}
