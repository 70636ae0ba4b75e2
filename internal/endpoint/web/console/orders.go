package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

func (c *console) orderRoutes() []route {
	return []route{
		{"GET /orders", member, c.ordersPage},
		{"GET /orders/new", member, c.newOrder},
		{"POST /orders/new", member, c.placeOrder},
		{"GET /orders/{id}", member, c.orderPage},
		{"GET /orders/{id}/certificate.pem", member, c.certificatePEM},
		{"GET /orders/{id}/certificate.cer", member, c.certificateDER},
		{"GET /orders/{id}/chain.pem", member, c.certificateChain},
		{"POST /orders/{id}/approve", member, c.approve},
		{"GET /orders/{id}/reject", member, c.rejectPage},
		{"POST /orders/{id}/reject", member, c.reject},
		{"GET /orders/{id}/withdraw", member, c.withdrawPage},
		{"POST /orders/{id}/withdraw", member, c.withdraw},
		{"POST /orders/{id}/send-again", member, c.sendAgain},
		{"GET /orders/{id}/reissue", member, c.reissuePage},
		{"POST /orders/{id}/reissue", member, c.reissue},
	}
}

// soon is when a certificate's end is near enough to be marked.
const soon = 30 * 24 * time.Hour

// orderState is how an order looks: its state, and within Issued what an operator
// wants to know of the certificate.
func (v *visit) orderState(o *wscert.Order) (ui.State, string) {
	switch o.State {
	case wscert.PendingAuth:
		return ui.Info, v.say("Waits for approval")
	case wscert.PendingCSR:
		return ui.Info, v.say("Waits for a request")
	case wscert.KeyValidation, wscert.Issue:
		return ui.Info, v.say("Being issued")
	case wscert.Revoked:
		return ui.Danger, v.say("Withdrawn")
	case wscert.Rejected:
		return ui.Neutral, v.say("Rejected")
	case wscert.Failed:
		return ui.Danger, v.say("Failed")
	}
	switch {
	case o.Expired(v.now()):
		return ui.Neutral, v.say("Expired")
	case !o.Claim().IsZero():
		return ui.Warn, v.say("To be fetched")
	case o.NotAfter.Sub(v.now()) < soon:
		return ui.Warn, v.say("Expires soon")
	}
	return ui.OK, v.say("Valid")
}

// states lists the filter's choices.
func (v *visit) states() []ui.Option {
	return []ui.Option{
		{Value: string(wscert.Issued), Label: v.say("Issued")},
		{Value: string(wscert.PendingAuth), Label: v.say("Waits for approval")},
		{Value: string(wscert.PendingCSR), Label: v.say("Waits for a request")},
		{Value: string(wscert.Issue), Label: v.say("Being issued")},
		{Value: string(wscert.Revoked), Label: v.say("Withdrawn")},
		{Value: string(wscert.Rejected), Label: v.say("Rejected")},
		{Value: string(wscert.Failed), Label: v.say("Failed")},
	}
}

func (v *visit) realms() []ui.Option {
	return []ui.Option{{Value: string(access.Production), Label: v.say("Production")}, {Value: string(access.Preprod), Label: v.say("Pre-production")}}
}

// maxNamed bounds the clients that a page knows by name; those beyond it are
// shown by id.
const maxNamed = store.MaxLimit

// clients are those that the visitor may read, by id, read once for the page.
func (v *visit) clients() (map[string]access.Client, error) {
	if v.clientNames != nil {
		return v.clientNames, nil
	}
	v.clientNames = map[string]access.Client{}
	if !v.scope().Holds(access.ClientRead) {
		return v.clientNames, nil
	}
	l, err := v.c.Access.Clients(v.ctx, v.scope(), access.ClientQuery{Page: store.Page{Limit: maxNamed}})
	for _, cl := range l.Items {
		v.clientNames[cl.ID] = cl
	}
	return v.clientNames, err
}

func (v *visit) clientName(id string) string {
	if cl, ok := v.clientNames[id]; ok {
		return cl.Name
	}
	return id
}

// clientOptions lists the clients for a select, grouped by environment.
func (v *visit) clientOptions(keep func(access.Client) bool) []ui.Option {
	var out []ui.Option
	for _, realm := range v.realms() {
		var group []ui.Option
		for _, cl := range v.clientNames {
			if string(cl.Realm) == realm.Value && (keep == nil || keep(cl)) {
				group = append(group, ui.Option{Value: cl.ID, Label: cl.Name, Group: realm.Label})
			}
		}
		slices.SortFunc(group, func(a, b ui.Option) int { return compareFold(a.Label+a.Value, b.Label+b.Value) })
		out = append(out, group...)
	}
	return out
}

func (c *console) ordersPage(v *visit) error {
	if err := v.scope().RequireAnywhere(access.CertificateSearch); err != nil {
		return err
	}
	if _, err := v.clients(); err != nil {
		return err
	}
	p := ui.PageProps{Title: v.say("Orders"), Lead: v.say("Client certificates, from order to withdrawal")}
	if v.scope().Holds(access.CertificateOrder) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("New order"), Icon: "plus", Variant: ui.Primary, Href: "/orders/new"})
	}
	f := wscert.Filter{
		Realm: access.Realm(v.field("realm")), Client: v.field("client"), Service: v.field("service"), State: wscert.State(v.field("state")), Search: v.field("q"),
		Unclaimed: v.field("unclaimed") != "",
	}
	if days, err := strconv.Atoi(v.field("days")); err == nil && days > 0 && days < 10_000 {
		f.ExpireFrom, f.ExpireBy = v.now(), v.now().AddDate(0, 0, days)
	}
	return v.orderListing(f).serve(v, p)
}

// orderListing is the list of orders, on its own page and elsewhere.
func (v *visit) orderListing(f wscert.Filter) listing[*wscert.Order] {
	type o = *wscert.Order
	l := listing[o]{
		id: "orders", caption: v.say("Orders"),
		columns: []column[o]{
			nameColumn(v.say("Name"), func(o o) string { return o.CommonName }, func(o o) string { return shortID(o.ID) }),
			textColumn(v.say("Service"), func(o o) string { return o.ServiceName }),
			textColumn(v.say("Client"), func(o o) string { return v.clientName(o.Client) }),
			badgeColumn(v.say("State"), v.orderState),
			textColumn(v.say("Recipient"), func(o o) string { return o.Recipient.Name }),
			dateColumn(v.say("Valid from"), func(o o) time.Time { return o.NotBefore }),
			dateColumn(v.say("Valid to"), func(o o) time.Time { return o.NotAfter }),
			timeColumn(v.say("Ordered"), func(o o) time.Time { return o.Created }),
		},
		fetch: func(p store.Page) ([]o, string, error) { return v.c.Orders.List(v.ctx, v.scope(), f, p) },
		href:  func(o o) string { return "/orders/" + o.ID },
		empty: ui.EmptyStateProps{
			Icon: "certificate", Title: v.say("No orders yet"),
			Text: v.say("An order gives an authorised person of a client a certificate for its service. It appears here with every step that it takes."),
		},
		names: []string{"q", "realm", "client", "service", "state", "days"},
	}
	if v.scope().Holds(access.CertificateOrder) {
		l.empty.Action = ui.Button(ui.ButtonProps{Label: v.say("Place the first order"), Icon: "plus", Variant: ui.Primary, Href: "/orders/new"})
	}
	l.filters = []templ.Component{
		ui.Field(ui.FieldProps{Name: "q", Label: v.say("Name, serial or order id"), Type: "search", Value: v.field("q")}),
		ui.Select(ui.SelectProps{Name: "state", Label: v.say("State"), Blank: v.say("All"), Value: v.field("state"), Options: v.states()}),
		ui.Select(ui.SelectProps{Name: "realm", Label: v.say("Environment"), Blank: v.say("Both"), Value: v.field("realm"), Options: v.realms()}),
		ui.Select(ui.SelectProps{Name: "client", Label: v.say("Client"), Blank: v.say("All"), Value: v.field("client"), Options: v.clientOptions(nil)}),
		ui.Field(ui.FieldProps{Name: "service", Label: v.say("Service"), Value: v.field("service")}),
		ui.Select(ui.SelectProps{Name: "days", Label: v.say("Ends"), Blank: v.say("Any time"), Value: v.field("days"), Options: v.periods()}),
	}
	return l
}

// periods are the choices of "expiring within".
func (v *visit) periods() []ui.Option {
	var out []ui.Option
	for _, days := range []int{7, 14, 30, 60, 90, 180, 365} {
		out = append(out, ui.Option{Value: strconv.Itoa(days), Label: v.say("Within %d days", days)})
	}
	return out
}

// shortID is the part of an id that tells it from its neighbours: the end of a
// UUID of version 7 is random, its beginning is the time.
func shortID(id string) string {
	if len(id) <= 20 {
		return id
	}
	return id[:4] + "…" + id[len(id)-12:]
}

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }
