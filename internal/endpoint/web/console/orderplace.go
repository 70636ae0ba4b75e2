package console

import (
	"encoding/json"
	"errors"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/idempotency"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

func (c *console) placeOrder(v *visit) error {
	f := v.orderForm()
	v.back = "/orders/new"
	o, err := c.place(v, f)
	if o != nil && err != nil && fault.Of(err).Code == "order.delayed" {
		err = nil // stored, and issued when the authority's key can be used; its page says so
	}
	if v.onForm(err) || err != nil && fault.Of(err).Field != "" {
		if v.status == 0 {
			v.status = fault.Of(err).Kind.Status()
		}
		return c.showOrderForm(v, f, err)
	}
	if err != nil {
		return err
	}
	return v.done("/orders/"+o.ID, "order.placed")
}

// place places the order once, however often the form is sent.
func (c *console) place(v *visit, f orderForm) (*wscert.Order, error) {
	cl, err := c.Access.Client(v.ctx, v.scope(), f.Client)
	if err != nil {
		return nil, err
	}
	service, err := c.serviceOf(v, cl, f.Service)
	if err != nil {
		return nil, err
	}
	r := wscert.Request{
		Realm: cl.Realm, Service: service, ShortName: f.ShortName, Orderer: f.Orderer, Mode: wscert.Mode(f.Mode), Comment: f.Comment,
		Spec: wscert.Spec{Algorithm: keys.Algorithm(f.Algorithm), Profile: pkcs12.Profile(f.Profile)},
	}
	if r.Mode == wscert.Direct {
		r.CSR = []byte(f.CSR)
	}
	content, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return c.once(v, f.ID, content, r)
}

// once creates an order for a form's one-time id, or finds the one that an earlier
// sending of the same form made.
func (c *console) once(v *visit, formID string, content []byte, r wscert.Request) (*wscert.Order, error) {
	key, err := idempotency.New(v.session.Operator.ID, formID, content)
	if err != nil {
		return nil, fault.Invalidf("order.form", "The form is not complete.").WithNext("Load the page again.")
	}
	if id, ok, err := c.Idempotency.Find(v.ctx, key); err != nil {
		return nil, sentBefore(err)
	} else if ok {
		return c.Orders.Get(v.ctx, v.scope(), id)
	}
	r.Within = func(tx *store.Tx, id string) error { return c.Idempotency.Save(tx, key, id) }
	o, err := c.Orders.Create(v.ctx, v.scope(), r)
	if errors.Is(err, idempotency.ErrTaken) {
		id, ok, err := c.Idempotency.Find(v.ctx, key)
		if err != nil || !ok {
			return nil, sentBefore(err)
		}
		return c.Orders.Get(v.ctx, v.scope(), id)
	}
	return o, err
}

// sentBefore puts the fault of a key that was used with other content into words
// for people, who know nothing of keys.
func sentBefore(err error) error {
	if err == nil || fault.Of(err).Code == "idempotency.reused" {
		return fault.Conflictf("order.form_sent", "This form was sent before, with other content.").WithNext("Look at the list of orders; load the form anew for a further order.")
	}
	return err
}

// serviceOf checks that the service belongs to the client, so that the form cannot
// name one of somebody else.
func (c *console) serviceOf(v *visit, cl access.Client, name string) (string, error) {
	l, err := c.Access.Services(v.ctx, v.scope(), access.ServiceQuery{Client: cl.ID, Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		return "", err
	}
	for _, s := range l.Items {
		if s.Name == name {
			return name, nil
		}
	}
	return "", fault.Invalidf("order.service", "Choose the service that the certificate is for.").WithField("service")
}
