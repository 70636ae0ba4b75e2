package console

import (
	"encoding/json"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/wscert"
)

func (c *console) approve(v *visit) error {
	v.back = "/orders/" + v.id()
	o, err := c.Orders.Approve(v.ctx, v.scope(), v.id())
	if err != nil && (o == nil || fault.Of(err).Code != "order.delayed") {
		return err
	}
	return v.done("/orders/"+o.ID, "order.approved")
}

// anOrder reads an order for an act that needs p on it.
func (v *visit) anOrder(p access.Permission) (*wscert.Order, error) {
	v.back = "/orders/" + v.id()
	o, err := v.c.Orders.Get(v.ctx, v.scope(), v.id())
	if err != nil {
		return nil, err
	}
	return o, v.scope().Require(p, o.Realm, o.Client)
}

// question is the page that asks before an act on an order.
func (v *visit) question(o *wscert.Order, ask ui.ConfirmProps) error {
	at := "/orders/" + o.ID
	ask.Href = ""
	return v.show(ui.PageProps{
		Title: ask.Confirm, Environment: environment(o.Realm),
		Breadcrumb: []ui.Crumb{{Label: v.say("Orders"), Href: "/orders"}, {Label: o.CommonName, Href: at}},
	}, ui.ConfirmPanel(ask, at))
}

func (c *console) rejectPage(v *visit) error { return c.showReject(v, nil) }

func (c *console) showReject(v *visit, cause error) error {
	o, err := v.anOrder(access.CertificateApprove)
	if err != nil {
		return err
	}
	why := ui.TextAreaProps{Name: "why", Label: v.say("Why"), Hint: v.say("Seen by whoever ordered"), Required: true, Rows: 3, MaxLength: 2000, Value: v.field("why"), Focus: true}
	if cause != nil {
		why.Error = fault.Of(cause).Message
	}
	return v.question(o, ui.ConfirmProps{
		ID: "reject", Title: v.say("Reject the order of %s?", o.CommonName), Object: o.CommonName, Text: v.say("No certificate is issued. The order ends; a new one can be placed."),
		Confirm: v.say("Reject the order"), Action: "/orders/" + o.ID + "/reject", Body: ui.TextArea(why),
	})
}

func (c *console) reject(v *visit) error {
	v.back = "/orders/" + v.id()
	if v.field("why") == "" {
		v.status = fault.Invalid.Status()
		return c.showReject(v, fault.Invalidf("order.why", "Say why, so that whoever ordered knows what to change."))
	}
	if _, err := c.Orders.Reject(v.ctx, v.scope(), v.id(), v.field("why")); err != nil {
		return err
	}
	return v.done(v.back, "order.rejected")
}

// withdrawal is the question before the certificate stops working (N29, A148).
func (v *visit) withdrawal(o *wscert.Order) ui.ConfirmProps {
	text := v.say("From this moment no service accepts it, and it cannot be undone. Programs that use it stop working; others of the same name go on.")
	if !o.Claim().IsZero() {
		text += " " + v.say("The file has not been fetched; it is erased.")
	}
	return ui.ConfirmProps{
		ID: "withdraw", Label: v.say("Withdraw …"), Icon: "blocked", Variant: ui.DestructiveQuiet,
		Title: v.say("Withdraw %s?", o.CommonName), Object: o.CommonName + " · " + v.say("serial number") + " " + o.Serial, Text: text,
		Confirm: v.say("Withdraw the certificate"), Action: "/orders/" + o.ID + "/withdraw", Href: "/orders/" + o.ID + "/withdraw",
		Body: ui.Select(ui.SelectProps{Name: "reason", Label: v.say("Reason"), Blank: "-", Options: v.reasons(), Value: v.field("reason")}),
	}
}

func (c *console) withdrawPage(v *visit) error {
	o, err := v.anOrder(access.CertificateRevoke)
	if err != nil {
		return err
	}
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	if o.State != wscert.Issued {
		v.redirect(v.back)
		return nil
	}
	return v.question(o, v.withdrawal(o))
}

func (c *console) withdraw(v *visit) error {
	o, err := v.anOrder(access.CertificateRevoke)
	if err != nil {
		return err
	}
	v.back = "/orders/" + o.ID + "/withdraw"
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	reason, err := authority.ParseReason(v.field("reason"))
	if err != nil {
		return err
	}
	if _, err := c.Orders.Withdraw(v.ctx, v.scope(), o.ID, reason); err != nil {
		return err
	}
	return v.done("/orders/"+o.ID, "order.withdrawn")
}

func (c *console) sendAgain(v *visit) error {
	v.back = "/orders/" + v.id()
	if _, err := c.Orders.SendAgain(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done(v.back, "order.sent")
}

func (c *console) reissuePage(v *visit) error {
	o, err := v.anOrder(access.CertificateOrder)
	if err != nil {
		return err
	}
	return v.question(o, ui.ConfirmProps{
		ID: "reissue", Title: v.say("Order %s again?", o.CommonName), Object: o.Recipient.Name + " · " + o.Recipient.Email + " · " + o.Recipient.Mobile,
		Text:    v.say("A new certificate of the same name goes to the same person. Both work until the present one ends or is withdrawn. If the file fell into wrong hands, withdraw the present one too."),
		Confirm: v.say("Order again"), Action: "/orders/" + o.ID + "/reissue", Hidden: []ui.Hidden{{Name: "form", Value: ident.New("form")}},
	})
}

func (c *console) reissue(v *visit) error {
	v.back = "/orders/" + v.id()
	r, err := c.Orders.ReissueRequest(v.ctx, v.scope(), v.id())
	if err != nil {
		return err
	}
	content, err := json.Marshal([]string{"reissue", v.id()})
	if err != nil {
		return err
	}
	o, err := c.once(v, v.field("form"), content, r)
	if err != nil && (o == nil || fault.Of(err).Code != "order.delayed") {
		return err
	}
	return v.done("/orders/"+o.ID, "order.placed")
}
