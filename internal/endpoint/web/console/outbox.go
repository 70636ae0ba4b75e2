package console

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) outboxRoutes() []route {
	list := route{"GET /outbox", member, c.outboxPage}
	if c.Dev != nil {
		list = route{"GET /outbox", open, c.devOutbox}
	}
	return []route{
		list,
		{"GET /outbox/delivered", member, c.devPage},
		{"GET /outbox/{id}", member, c.messagePage},
		{"POST /outbox/{id}/resend", member, c.resend},
	}
}

// devOutbox gives delivered messages, secrets and all, to programs on a
// development installation that drive it from outside; people sign in as always.
func (c *console) devOutbox(v *visit) error {
	if !strings.Contains(v.r.Header.Get("Accept"), "application/json") {
		if v.admit(member) {
			return nil
		}
		return c.outboxPage(v)
	}
	type message struct {
		ID          string    `json:"id"`
		Channel     string    `json:"channel"`
		To          string    `json:"to"`
		Subject     string    `json:"subject"`
		Body        string    `json:"body"`
		DeliveredAt time.Time `json:"deliveredAt"`
	}
	list := []message{}
	for _, m := range c.Dev.List(outbox.DevFilter{To: v.field("to")}) {
		list = append(list, message{m.ID, string(m.Channel), m.To, m.Subject, m.Body.Reveal(), m.DeliveredAt.UTC()})
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(list)
}

var channelIcons = map[outbox.Channel]string{outbox.Email: "mail", outbox.SMS: "phone", outbox.Webhook: "external"}

func (v *visit) channel(c outbox.Channel) string {
	switch c {
	case outbox.Email:
		return v.say("E-mail")
	case outbox.SMS:
		return v.say("SMS")
	}
	return v.say("Webhook")
}

func (v *visit) messageState(e outbox.Entry) (ui.State, string) {
	switch e.State {
	case outbox.Delivered:
		return ui.OK, v.say("Delivered")
	case outbox.Failed:
		return ui.Danger, v.say("Failed")
	case outbox.Expired:
		return ui.Danger, v.say("Expired")
	case outbox.Cancelled:
		return ui.Neutral, v.say("Cancelled")
	case outbox.Sending:
		return ui.Info, v.say("Being sent")
	}
	if e.Attempts > 0 {
		return ui.Warn, v.say("Waits to be repeated")
	}
	return ui.Info, v.say("Waiting")
}

// why says what keeps a message from its recipient.
func (v *visit) why(e outbox.Entry) string {
	switch {
	case e.LastError != "" && e.State != outbox.Delivered:
		return e.LastError
	case e.State == outbox.Expired:
		return v.say("It would have come too late to be of use.")
	}
	return ""
}

// canResend tells whether there is any point in the button.
func (v *visit) canResend(e outbox.Entry) bool {
	return !e.SecretErased && e.State != outbox.Sending && e.State != outbox.Expired && v.scope().Allows(access.OutboxResend, access.Realm(e.Realm), e.Client)
}

// messageListing is the list of messages, on its own page and on that of an order;
// back is where a resend comes back to.
func (v *visit) messageListing(f outbox.Filter, back string) listing[outbox.Entry] {
	type e = outbox.Entry
	return listing[e]{
		id: "outbox", caption: v.say("Messages"),
		columns: []column[e]{
			nameColumn(v.say("To"), func(x e) string { return x.To }, func(x e) string { return firstOf(x.Subject, v.channel(x.Channel)) }),
			textColumn(v.say("Channel"), func(x e) string { return v.channel(x.Channel) }),
			badgeColumn(v.say("State"), v.messageState),
			{Column: ui.Column{Label: v.say("Attempts"), Numeric: true}, text: func(x e) string { return v.say("%d", x.Attempts) }},
			textColumn(v.say("Why not sent"), v.why),
			timeColumn(v.say("Written"), func(x e) time.Time { return x.CreatedAt }),
			buttonColumn(v.say("Acts"), func(x e) templ.Component {
				if !v.canResend(x) {
					return templ.NopComponent
				}
				return act("/outbox/"+x.ID+"/resend", ui.ButtonProps{Label: v.say("Resend"), Small: true}, ui.Hidden{Name: "next", Value: back})
			}),
		},
		fetch: func(p store.Page) ([]e, string, error) { return v.c.Outbox.List(v.c.DB.View(v.ctx), f, p) },
		href:  func(x e) string { return "/outbox/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "mail", Title: v.say("Nothing has been sent yet"), Text: v.say("E-mail and SMS about orders, invitations and reminders appear here.")},
		names: []string{"channel", "state", "to", "realm", "client"},
	}
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func (c *console) outboxPage(v *visit) error {
	if _, err := v.clients(); err != nil {
		return err
	}
	f := outbox.Filter{Realm: v.field("realm"), Client: v.field("client"), Channel: outbox.Channel(v.field("channel")), State: v.field("state"), To: v.field("to")}
	clients, everybody, err := v.reach(access.OutboxRead, access.Realm(f.Realm), f.Client)
	if err != nil {
		return err
	}
	options := v.clientOptions(func(cl access.Client) bool { return v.scope().Allows(access.OutboxRead, cl.Realm, cl.ID) })
	if !everybody && len(clients) == 0 {
		f.Client = "-" // no client has this id: the list is empty
	} else if !everybody {
		f.Client = firstOf(f.Client, options[0].Value) // one client at a time
	}
	l := v.messageListing(f, "/outbox")
	blank := v.say("All")
	if !everybody {
		blank = "-"
	}
	l.filters = []templ.Component{
		ui.Field(ui.FieldProps{Name: "to", Label: v.say("To"), Type: "search", Value: f.To, Placeholder: v.say("Whole address or number")}),
		ui.Select(ui.SelectProps{Name: "channel", Label: v.say("Channel"), Blank: v.say("All"), Value: string(f.Channel), Options: []ui.Option{
			{Value: "email", Label: v.say("E-mail")}, {Value: "sms", Label: v.say("SMS")}, {Value: "webhook", Label: v.say("Webhook")},
		}}),
		ui.Select(ui.SelectProps{Name: "state", Label: v.say("State"), Blank: v.say("All"), Value: f.State, Options: []ui.Option{
			{Value: outbox.Waiting, Label: v.say("Waiting")},
			{Value: outbox.Sending, Label: v.say("Being sent")},
			{Value: outbox.Delivered, Label: v.say("Delivered")},
			{Value: outbox.Failed, Label: v.say("Failed")},
			{Value: outbox.Expired, Label: v.say("Expired")},
			{Value: outbox.Cancelled, Label: v.say("Cancelled")},
		}}),
		ui.Select(ui.SelectProps{Name: "client", Label: v.say("Client"), Blank: blank, Value: f.Client, Options: options}),
	}
	return l.serve(v, ui.PageProps{Title: v.say("Outbox"), Lead: v.say("E-mail, SMS and webhooks that left or wait")}, v.outboxTabs())
}

// outboxTabs offers the delivered texts in development mode.
func (v *visit) outboxTabs() templ.Component {
	if v.c.Dev == nil {
		return templ.NopComponent
	}
	return ui.Tabs(v.say("Outbox"), []ui.Tab{
		{Label: v.say("Messages"), Href: "/outbox", Current: v.r.URL.Path == "/outbox"},
		{Label: v.say("As received"), Href: "/outbox/delivered", Current: v.r.URL.Path != "/outbox"},
	})
}

// aMessage reads a message on which the visitor may do p.
func (v *visit) aMessage(q store.Queryer, p access.Permission, id string) (outbox.Entry, error) {
	e, err := v.c.Outbox.Get(q, id)
	if err != nil {
		return e, hide(err)
	}
	return e, v.mayRead(p, access.Realm(e.Realm), e.Client)
}

func (c *console) messagePage(v *visit) error {
	e, err := v.aMessage(c.DB.View(v.ctx), access.OutboxRead, v.id())
	if err != nil {
		return err
	}
	list := []ui.Description{
		{Term: v.say("To"), Value: ui.Text(e.To)},
		{Term: v.say("Channel"), Value: ui.Text(v.channel(e.Channel))},
		{Term: v.say("Written"), Value: ui.Time(e.CreatedAt)},
		{Term: v.say("Attempts"), Value: ui.Text(v.say("%d", e.Attempts))},
	}
	add := func(ok bool, term string, value templ.Component) {
		if ok {
			list = append(list, ui.Description{Term: term, Value: value})
		}
	}
	add(e.State == outbox.Waiting, v.say("Next attempt"), ui.Time(e.DueAt))
	add(!e.DoneAt.IsZero(), v.say("Done"), ui.Time(e.DoneAt))
	add(v.why(e) != "", v.say("Why not sent"), ui.Text(v.why(e)))
	add(e.ObjectKind == "order", v.say("About"), ui.Link(v.say("The order"), "/orders/"+e.ObjectID))
	add(e.ResendOf != "", v.say("Repeats"), ui.Link(v.say("An earlier message"), "/outbox/"+e.ResendOf))
	add(e.SecretErased, v.say("Secret"), ui.Text(v.say("Erased; it cannot be sent again. Send a new link from the order instead.")))
	p := ui.PageProps{Title: firstOf(e.Subject, v.say("%s to %s", v.channel(e.Channel), e.To)), Environment: environment(access.Realm(e.Realm)), Breadcrumb: []ui.Crumb{{Label: v.say("Outbox"), Href: "/outbox"}}}
	if v.canResend(e) {
		p.Actions = act("/outbox/"+e.ID+"/resend", ui.ButtonProps{Label: v.say("Resend"), Icon: "refresh"}, ui.Hidden{Name: "next", Value: "/outbox/" + e.ID})
	}
	return v.show(p, card(ui.CardProps{Title: v.say("Message"), Actions: ui.Badge(v.messageState(e))}, ui.DescriptionList(list)), ui.CodeBlock("body", v.say("Text"), e.Body))
}

func (c *console) resend(v *visit) error {
	v.back = v.next()
	err := c.DB.Update(v.ctx, func(tx *store.Tx) error {
		e, err := v.aMessage(tx, access.OutboxResend, v.id())
		if err != nil {
			return err
		}
		id, err := c.Outbox.Resend(tx, e.ID)
		if err != nil {
			return err
		}
		return c.Audit.Append(tx, audit.Entry{Action: "outbox.resend", ObjectKind: "message", ObjectID: e.ID, Realm: e.Realm, Client: e.Client, Service: e.Service, Detail: map[string]string{"as": id}})
	})
	if err != nil {
		return err
	}
	return v.done(v.next(), "message.resent")
}

// devPage shows messages as their recipients saw them, secrets and all. It exists
// on a development installation only.
func (c *console) devPage(v *visit) error {
	if c.Dev == nil {
		return access.NotFound()
	}
	if err := v.scope().Require(access.OutboxRead, "", ""); err != nil {
		return err
	}
	const shown = 100
	list := c.Dev.List(outbox.DevFilter{To: v.field("to"), Channel: outbox.Channel(v.field("channel")), Limit: shown})
	body := []templ.Component{v.outboxTabs(), filter(ui.FilterProps{URL: v.r.URL, Active: v.field("to") != "" || v.field("channel") != ""},
		ui.Field(ui.FieldProps{Name: "to", Label: v.say("To"), Type: "search", Value: v.field("to")}),
		ui.Select(ui.SelectProps{Name: "channel", Label: v.say("Channel"), Blank: v.say("All"), Value: v.field("channel"), Options: []ui.Option{{Value: "email", Label: v.say("E-mail")}, {Value: "sms", Label: v.say("SMS")}}}))}
	if len(list) == 0 {
		body = append(body, card(ui.CardProps{}, ui.EmptyState(ui.EmptyStateProps{Icon: "mail", Title: v.say("Nothing was delivered yet"), Text: v.say("Place an order: its e-mail and SMS appear here.")})))
	}
	for _, m := range list {
		body = append(body, devMessage(v, m))
	}
	return v.show(ui.PageProps{Title: v.say("Outbox"), Lead: v.say("Development mode: nothing leaves this machine. Newest first."), Breadcrumb: nil}, body...)
}
