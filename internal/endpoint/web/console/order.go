package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

func (c *console) orderPage(v *visit) error {
	o, err := c.Orders.Get(v.ctx, v.scope(), v.id())
	if err != nil {
		return err
	}
	if _, err := v.clients(); err != nil {
		return err
	}
	first, err := v.parts(o, c.certificateCard)
	if err != nil {
		return err
	}
	second, err := v.parts(o, c.deliveryCard)
	if err != nil {
		return err
	}
	below, err := v.parts(o, c.messagesCard, c.siblingsCard, c.orderAuditCard)
	if err != nil {
		return err
	}
	first = append([]templ.Component{v.orderFacts(o)}, first...)
	second = append(second, card(ui.CardProps{Title: v.say("History")}, ui.Timeline(v.history(o))))
	var body []templ.Component
	if o.Problem != "" {
		body = append(body, ui.Alert(ui.AlertProps{State: ui.Warn, Title: v.say("Why it waits or ended"), Text: o.Problem}))
	}
	body = append(append(body, columns(stack(first...), stack(second...))), below...)
	return v.show(ui.PageProps{
		Title: o.CommonName, Lead: v.say("Client certificate of %s for the service %s", v.clientName(o.Client), o.ServiceName), Environment: environment(o.Realm),
		Breadcrumb: []ui.Crumb{{Label: v.say("Orders"), Href: "/orders"}}, Actions: v.orderActions(o),
	}, body...)
}

// parts makes the cards of an order; one that has nothing to show gives nil.
func (v *visit) parts(o *wscert.Order, list ...func(*visit, *wscert.Order) (templ.Component, error)) ([]templ.Component, error) {
	var out []templ.Component
	for _, part := range list {
		one, err := part(v, o)
		if err != nil {
			return nil, err
		}
		if one != nil {
			out = append(out, one)
		}
	}
	return out, nil
}

func (v *visit) orderFacts(o *wscert.Order) templ.Component {
	list := []ui.Description{
		{Term: v.say("Order"), Value: ui.Mono(o.ID)},
		{Term: v.say("Client"), Value: v.linked(access.ClientRead, o.Realm, o.Client, v.clientName(o.Client), "/clients/"+o.Client)},
		{Term: v.say("Service"), Value: v.linked(access.ServiceRead, o.Realm, o.Client, o.ServiceName, "/services/"+o.Service)},
		{Term: v.say("Key"), Value: ui.Text(v.mode(o))},
	}
	if r := o.Recipient; r.Name != "" {
		list = append(list, ui.Description{Term: v.say("Recipient"), Value: ui.TwoLines(r.Name, r.Email+" · "+r.Mobile)})
	}
	list = append(list, ui.Description{Term: v.say("Ordered"), Value: ui.Join(ui.Time(o.Created), ui.Muted(v.say("by %s", o.CreatedBy)))})
	if o.ApprovedBy != "" {
		list = append(list, ui.Description{Term: v.say("Approved"), Value: ui.Text(v.say("by %s", o.ApprovedBy))})
	}
	if o.Comment != "" {
		list = append(list, ui.Description{Term: v.say("Comment"), Value: ui.Text(o.Comment)})
	}
	return card(ui.CardProps{Title: v.say("Order"), Actions: ui.Badge(v.orderState(o))}, ui.DescriptionList(list))
}

// linked is a name that leads somewhere for whoever may look there.
func (v *visit) linked(p access.Permission, realm access.Realm, client, name, href string) templ.Component {
	if v.scope().Allows(p, realm, client) {
		return ui.Link(name, href)
	}
	return ui.Text(name)
}

func (v *visit) mode(o *wscert.Order) string {
	switch o.Mode {
	case wscert.Generate:
		return v.say("Made here (%s), file encrypted with %s", strings.ToUpper(string(o.Spec.Algorithm)), o.Spec.Profile)
	case wscert.Bring:
		return v.say("The recipient brings a request")
	}
	return v.say("The request came with the order")
}

// orderActions shows what can be done in this state by this operator.
func (v *visit) orderActions(o *wscert.Order) templ.Component {
	can := func(p access.Permission) bool { return v.scope().Allows(p, o.Realm, o.Client) }
	at := "/orders/" + o.ID
	var list []templ.Component
	switch {
	case o.State == wscert.PendingAuth && can(access.CertificateApprove) && o.CreatedBy != v.session.Operator.Name:
		list = append(list, act(at+"/approve", ui.ButtonProps{Label: v.say("Approve"), Icon: "check", Variant: ui.Primary}),
			ui.Button(ui.ButtonProps{Label: v.say("Reject …"), Icon: "blocked", Variant: ui.DestructiveQuiet, Href: at + "/reject"}))
	case !o.Claim().IsZero() && can(access.CertificateOrder):
		list = append(list, act(at+"/send-again", ui.ButtonProps{Label: v.say("Send a new link"), Icon: "mail"}))
	}
	if (o.State == wscert.Issued || o.State == wscert.Revoked) && o.Mode != wscert.Direct && can(access.CertificateOrder) {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Reissue …"), Icon: "refresh", Href: at + "/reissue"}))
	}
	if o.State == wscert.Issued && can(access.CertificateRevoke) {
		ask := v.withdrawal(o)
		if v.session.RequireRecent(v.now(), recent) == nil {
			list = append(list, ui.ConfirmDialog(ask))
		} else { // the page asks for a fresh proof first
			list = append(list, ui.Button(ui.ButtonProps{Label: ask.Label, Icon: ask.Icon, Variant: ask.Variant, Href: ask.Href}))
		}
	}
	if len(list) == 0 {
		return nil
	}
	return all(list)
}

// stepTitles say in words what the jobs of an order are (A136).
var stepTitles = map[string]string{
	"NEW": "Order received", "PENDING_AUTH": "Approval", "PENDING_CSR_RENEWAL": "Certificate request", "KEY_VALIDATION": "Key checked",
	"GENERATE_TBS": "Certificate drawn up", "ISSUE": "Certificate signed", "FINALIZE_ISSUANCE": "Handed over", "NOTIFY": "Message sent",
	"REVOKED": "Withdrawn", "FAILED": "Failed", "REJECTED": "Rejected", "REMIND": "Reminder sent",
}

func (v *visit) history(o *wscert.Order) []ui.Step {
	var steps []ui.Step
	for _, e := range o.History {
		title, ok := stepTitles[e.Name]
		if !ok {
			title = e.Name
		}
		s := ui.Step{State: ui.StepDone, Title: v.say(title), At: e.At, Detail: e.Detail}
		switch e.State {
		case "FAILED":
			s.State = ui.StepFailed
		case "WAITING", "RETRY":
			s.State = ui.StepCurrent
		}
		if e.By != "" {
			s.Detail = strings.TrimPrefix(s.Detail+" · "+v.say("by %s", e.By), " · ")
		}
		steps = append(steps, s)
	}
	switch o.State {
	case wscert.PendingCSR:
		steps = append(steps, ui.Step{State: ui.StepCurrent, Title: v.say("Waits for the recipient's request")})
	case wscert.KeyValidation, wscert.Issue:
		steps = append(steps, ui.Step{State: ui.StepCurrent, Title: v.say("Being issued")})
	case wscert.Issued:
		if !o.Claim().IsZero() {
			steps = append(steps, ui.Step{State: ui.StepCurrent, Title: v.say("Waits to be fetched"), Detail: v.say("until %s", o.Claim().Format(time.DateOnly))})
		}
	}
	return steps
}

func (c *console) deliveryCard(v *visit, o *wscert.Order) (templ.Component, error) {
	d, ok, err := c.Orders.Delivery(v.ctx, o)
	if err != nil || !ok {
		return nil, err
	}
	states := map[string]struct {
		look ui.State
		word string
	}{
		handover.Waiting: {ui.Info, v.say("Link sent")}, handover.Open: {ui.Info, v.say("Being fetched")},
		handover.Delivered: {ui.OK, v.say("Delivered")}, handover.Closed: {ui.Neutral, v.say("Closed")},
	}
	list := []ui.Description{{Term: v.say("Sent to"), Value: ui.TwoLines(d.Recipient.Email, d.Recipient.Mobile)}}
	switch d.State {
	case handover.Waiting, handover.Open:
		list = append(list,
			ui.Description{Term: v.say("Fetch by"), Value: ui.Time(d.Expires)},
			ui.Description{Term: v.say("One-time password"), Value: ui.Text(v.say("%d tries left", d.TriesLeft))},
			ui.Description{Term: v.say("New ones left"), Value: ui.Text(v.say("%d", d.CodesLeft))})
		if d.FileSize > 0 && d.Sent > 0 {
			list = append(list, ui.Description{Term: v.say("Sent so far"), Value: ui.Text(v.say("%d of %d bytes", d.Sent, d.FileSize))})
		}
	default:
		list = append(list, ui.Description{Term: states[d.State].word, Value: ui.Time(d.Done)})
	}
	return card(ui.CardProps{Title: v.say("Hand-over"), Actions: ui.Badge(states[d.State].look, states[d.State].word)}, ui.DescriptionList(list)), nil
}

// messagesCard lists what was sent about the order (A146, A147).
func (c *console) messagesCard(v *visit, o *wscert.Order) (templ.Component, error) {
	if !v.scope().Allows(access.OutboxRead, o.Realm, o.Client) {
		return nil, nil
	}
	l := v.messageListing(outbox.Filter{ObjectKind: "order", ObjectID: o.ID}, "/orders/"+o.ID)
	items, _, err := l.fetch(store.Page{})
	if err != nil {
		return nil, err
	}
	l.empty = ui.EmptyStateProps{Icon: "mail", Title: v.say("No messages"), Text: v.say("Nothing has been sent about this order.")}
	return card(ui.CardProps{Title: v.say("Messages"), Flush: true}, ui.Table(l.table(items))), nil
}

// siblingsCard lists the other certificates of the same name: what this one
// reissues, what reissues this one, and orders made side by side (N33).
func (c *console) siblingsCard(v *visit, o *wscert.Order) (templ.Component, error) {
	l := v.orderListing(wscert.Filter{Realm: o.Realm, Client: o.Client, Service: o.ServiceName, Search: o.CommonName})
	items, _, err := l.fetch(store.Page{})
	if err != nil {
		return nil, err
	}
	items = slices.DeleteFunc(items, func(x *wscert.Order) bool { return x.ID == o.ID || x.CommonName != o.CommonName })
	if len(items) == 0 {
		return nil, nil
	}
	relation := textColumn(v.say("Relation"), func(x *wscert.Order) string {
		switch {
		case x.ID == o.Predecessor:
			return v.say("Predecessor")
		case x.Predecessor == o.ID:
			return v.say("Successor")
		}
		return v.say("Same name")
	})
	first := nameColumn(v.say("Order"), func(x *wscert.Order) string { return shortID(x.ID) }, nil)
	l.id, l.caption = "siblings", v.say("Other certificates of this name")
	l.columns = []column[*wscert.Order]{first, relation, l.columns[3], l.columns[6], l.columns[7]}
	return card(ui.CardProps{Title: l.caption, Flush: true}, ui.Table(l.table(items))), nil
}

// orderAuditCard lists who did what with the order and its hand-over.
func (c *console) orderAuditCard(v *visit, o *wscert.Order) (templ.Component, error) {
	if !v.scope().Allows(access.AuditRead, o.Realm, o.Client) {
		return nil, nil
	}
	var entries []audit.Stored
	for kind, id := range map[string]string{"order": o.ID, "handover": o.Handover} {
		if id == "" {
			continue
		}
		list, _, err := c.Audit.List(c.DB.View(v.ctx), audit.Filter{Clients: []string{o.Client}, ObjectKind: kind, ObjectID: id}, store.Page{})
		if err != nil {
			return nil, err
		}
		entries = append(entries, list...)
	}
	slices.SortFunc(entries, func(a, b audit.Stored) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID)) })
	l := v.auditListing(audit.Filter{})
	return card(ui.CardProps{Title: v.say("Audit trail"), Flush: true}, ui.Table(l.table(entries))), nil
}

// reasons are those that may be given for a withdrawal (A149, A150).
func (v *visit) reasons() []ui.Option {
	return []ui.Option{
		{Value: authority.Unspecified.String(), Label: v.say("Unspecified")},
		{Value: authority.KeyCompromise.String(), Label: v.say("The key is lost or in wrong hands")},
		{Value: authority.Superseded.String(), Label: v.say("Replaced by another certificate")},
		{Value: authority.CessationOfOperation.String(), Label: v.say("No longer used")},
		{Value: authority.AffiliationChanged.String(), Label: v.say("The organisation changed")},
		{Value: authority.PrivilegeWithdrawn.String(), Label: v.say("The agreement ended")},
	}
}
