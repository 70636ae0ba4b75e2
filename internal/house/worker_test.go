package house_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/wscert"
)

// A worker does what users do, from several goroutines, until it is killed.
// Before an act that takes something back it notes that it is about to, and
// after each act what it was told.
type worker struct {
	*housetest.Site
	ctx     context.Context
	ledger  ledger
	scope   access.Scope
	service access.Service
}

func work(ctx context.Context, t task) error {
	site, err := housetest.Open(ctx, t.config(), house.Options{}, t.Facts)
	if err != nil {
		return err
	}
	w := &worker{Site: site, ctx: ctx, scope: access.System("worker")}
	if w.ledger, err = openLedger(t.Ledger); err != nil {
		return err
	}
	if w.service, err = access.FindServiceByName(site.House.DB.View(ctx), w.scope, access.Production, housetest.ServiceName); err != nil {
		return err
	}
	ended := make(chan error)
	loop := func(name string, act func() error) {
		for {
			if err := act(); err != nil {
				ended <- fmt.Errorf("%s: %w", name, err)
				return
			}
		}
	}
	go loop("queue", func() error { return site.House.Queue.Run(ctx) })
	go loop("audit", w.sequence)
	for name, act := range map[string]func() error{
		"generate": w.generate, "direct": w.direct, "bring": w.bring, "race": w.race, "API certificate": w.apiCertificate, "document": w.document,
	} {
		go loop(name, act)
	}
	fmt.Println("ready")
	return <-ended
}

func (w *worker) sequence() error {
	_, err := w.House.Audit.Sequence(w.ctx)
	time.Sleep(5 * time.Millisecond) // the pace of the real one would hardly meet a kill
	return err
}

func (w *worker) request(mode wscert.Mode) wscert.Request {
	return wscert.Request{Realm: access.Production, Service: housetest.ServiceName, ShortName: "batch", Orderer: w.Person, Mode: mode}
}

func (w *worker) issued(o *wscert.Order) error {
	if o.State != wscert.Issued {
		return fmt.Errorf("order %s is %s", o.ID, o.State)
	}
	return w.ledger.note("issued", o.ID, o.Authority, o.Serial)
}

// generate orders a key file and fetches most of them.
func (w *worker) generate() error {
	o, err := w.House.WSCerts.Create(w.ctx, w.scope, w.request(wscert.Generate))
	if err != nil {
		return err
	}
	if err := w.issued(o); err != nil {
		return err
	}
	if mrand.IntN(4) == 0 {
		return w.withdraw(o)
	}
	return w.fetch(o, nil)
}

// bring orders for a recipient who brings a request, and is that recipient.
func (w *worker) bring() error {
	o, err := w.House.WSCerts.Create(w.ctx, w.scope, w.request(wscert.Bring))
	if err != nil {
		return err
	}
	if err := w.ledger.note("placed", o.ID); err != nil {
		return err
	}
	return w.fetch(o, func(token, session string) error {
		_, request, err := housetest.NewCSR()
		if err != nil {
			return err
		}
		o, err := w.House.WSCerts.SubmitCSR(w.ctx, token, session, request)
		if err != nil {
			return err
		}
		return w.issued(o)
	})
}

// fetch plays the recipient of an order; before comes between the one-time
// password and the file.
func (w *worker) fetch(o *wscert.Order, before func(token, session string) error) error {
	person := housetest.Recipient{Site: w.Site, Order: o.ID}
	token, code, err := person.Await(w.ctx)
	if err != nil {
		return err
	}
	session, _, err := w.House.Handover.Enter(w.ctx, token, code)
	if err != nil {
		return err
	}
	if before != nil {
		if err := before(token, session.Reveal()); err != nil {
			return err
		}
	}
	return w.takeFile(person, token, session)
}

func (w *worker) takeFile(person housetest.Recipient, token string, session secret.Text) error {
	_, d, err := person.Fetch(w.ctx, token, session.Reveal(), nil)
	if err != nil {
		return err
	}
	return w.ledger.note("delivered", person.Order, d.ID)
}

// race withdraws an order in the moment in which its file is fetched.
func (w *worker) race() error {
	o, err := w.House.WSCerts.Create(w.ctx, w.scope, w.request(wscert.Generate))
	if err != nil {
		return err
	}
	if err := w.issued(o); err != nil {
		return err
	}
	withdrawn := make(chan error, 1)
	err = w.fetch(o, func(string, string) error {
		go func() { withdrawn <- w.withdraw(o) }()
		return nil
	})
	for _, err := range []error{err, <-withdrawn} {
		if err != nil && !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.Gone) {
			return err
		}
	}
	return nil
}

// direct gets a certificate in the answer and withdraws every third.
func (w *worker) direct() error {
	r := w.request(wscert.Direct)
	var err error
	if _, r.CSR, err = housetest.NewCSR(); err != nil {
		return err
	}
	o, err := w.House.WSCerts.Create(w.ctx, w.scope, r)
	if err != nil {
		return err
	}
	if err := w.issued(o); err != nil {
		return err
	}
	if mrand.IntN(3) == 0 {
		return w.withdraw(o)
	}
	return nil
}

func (w *worker) withdraw(o *wscert.Order) error {
	if err := w.ledger.note("withdrawing", o.ID); err != nil {
		return err
	}
	if _, err := w.House.WSCerts.Withdraw(w.ctx, w.scope, o.ID, authority.KeyCompromise); err != nil {
		return err
	}
	return w.ledger.note("withdrawn", o.ID)
}

// apiCertificate creates an API client certificate and deletes every second.
func (w *worker) apiCertificate() error {
	c, _, err := w.House.APICerts.Create(w.ctx, w.scope, w.Account, apicert.Fields{
		Nickname: "n " + hex.EncodeToString(noise(8)), Ends: w.House.Clock.Now().AddDate(1, 0, 0),
	})
	if err != nil {
		return err
	}
	if err := w.ledger.note("created", c.ID, c.Authority, c.Serial); err != nil {
		return err
	}
	if mrand.IntN(2) == 0 {
		return nil
	}
	if err := w.ledger.note("ending", c.ID); err != nil {
		return err
	}
	if err := w.House.APICerts.Delete(w.ctx, w.scope, c.ID); err != nil {
		return err
	}
	return w.ledger.note("ended", c.ID)
}

// document stores up to three batches of bytes and deletes every third.
func (w *worker) document() error {
	content := noise(1 + mrand.IntN(700<<10))
	d, err := w.House.Documents.Put(w.ctx, w.scope, w.service, "application/pdf", bytes.NewReader(content))
	if err != nil {
		return err
	}
	if int(d.Size) != len(content) {
		return errors.New("the document has another size")
	}
	if err := w.ledger.note("stored", d.ID, hex.EncodeToString(d.SHA256[:])); err != nil {
		return err
	}
	if mrand.IntN(3) != 0 {
		return nil
	}
	if err := w.ledger.note("deleting", d.ID); err != nil {
		return err
	}
	if err := w.House.Documents.Delete(w.ctx, w.scope, w.service, d.ID); err != nil {
		return err
	}
	return w.ledger.note("deleted", d.ID)
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
