package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) clientRoutes() []route {
	return []route{
		{"GET /clients", member, c.clientsPage},
		{"GET /clients/new", member, func(v *visit) error { return c.clientForm(v, clientForm{Realm: "production"}, nil) }},
		{"POST /clients/new", member, c.createClient},
		{"GET /clients/{id}", member, c.clientPage},
		{"GET /clients/{id}/edit", member, c.editClient},
		{"POST /clients/{id}/edit", member, c.updateClient},
		{"GET /clients/{id}/close", member, c.askCloseClient},
		{"POST /clients/{id}/close", member, c.closeClient},
	}
}

// ask is the page before an act that cannot be undone. The act posts to the same
// address.
func (v *visit) ask(q ui.ConfirmProps, back string, crumbs ...ui.Crumb) error {
	q.ID, q.Action = "ask", v.r.URL.Path
	return v.show(ui.PageProps{Title: q.Confirm, Breadcrumb: crumbs}, ui.ConfirmPanel(q, back))
}

func (v *visit) standing(s access.Status) (ui.State, string) {
	switch s {
	case access.Active:
		return ui.OK, v.say("Active")
	case access.Invited:
		return ui.Info, v.say("Invited")
	case access.Disabled:
		return ui.Warn, v.say("Disabled")
	}
	return ui.Neutral, v.say("Closed")
}

func (v *visit) realmName(r access.Realm) string {
	switch r {
	case access.Production:
		return v.say("Production")
	case access.Preprod:
		return v.say("Pre-production")
	}
	return v.say("Everything")
}

func (c *console) clientsPage(v *visit) error {
	if err := v.scope().RequireAnywhere(access.ClientRead); err != nil {
		return err
	}
	q := access.ClientQuery{Realm: access.Realm(v.field("realm")), Search: v.field("q")}
	type cl = access.Client
	l := listing[cl]{
		id: "clients", caption: v.say("Clients"),
		columns: []column[cl]{
			nameColumn(v.say("Name"), func(x cl) string { return x.Name }, nil),
			textColumn(v.say("Environment"), func(x cl) string { return v.realmName(x.Realm) }),
			textColumn(v.say("Country"), func(x cl) string { return x.Country }),
			textColumn(v.say("Organisation number"), func(x cl) string { return x.OrgNumber }),
			badgeColumn(v.say("State"), func(x cl) (ui.State, string) { return v.standing(x.Status) }),
			dateColumn(v.say("Since"), func(x cl) time.Time { return x.Created }),
		},
		fetch: func(p store.Page) ([]cl, string, error) {
			q.Page = p
			found, err := c.Access.Clients(v.ctx, v.scope(), q)
			return found.Items, found.Next, err
		},
		href:  func(x cl) string { return "/clients/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "building", Title: v.say("No clients yet"), Text: v.say("A client is an organisation with an agreement. Its services, authorised persons and certificates hang below it.")},
		filters: []templ.Component{
			ui.Field(ui.FieldProps{Name: "q", Label: v.say("Name or organisation number"), Type: "search", Value: q.Search}),
			ui.Select(ui.SelectProps{Name: "realm", Label: v.say("Environment"), Blank: v.say("Both"), Value: string(q.Realm), Options: v.realms()}),
		},
		names: []string{"q", "realm"},
	}
	p := ui.PageProps{Title: v.say("Clients"), Lead: v.say("Organisations with an agreement")}
	if v.scope().Holds(access.ClientWrite) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Add a client"), Icon: "plus", Variant: ui.Primary, Href: "/clients/new"})
		l.empty.Action = p.Actions
	}
	return l.serve(v, p)
}

type clientForm struct{ Realm, Name, Country, OrgNumber string }

func (v *visit) clientForm() clientForm {
	return clientForm{v.field("realm"), v.field("name"), v.field("country"), v.field("org_number")}
}

func (f clientForm) fields() access.ClientFields {
	return access.ClientFields{Name: f.Name, Country: f.Country, OrgNumber: f.OrgNumber}
}

func (c *console) clientForm(v *visit, f clientForm, err error) error {
	if err := v.scope().RequireAnywhere(access.ClientWrite); err != nil {
		return err
	}
	p := ui.PageProps{Title: v.say("Add a client"), Breadcrumb: []ui.Crumb{{Label: v.say("Clients"), Href: "/clients"}}}
	return v.show(p, card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(err), Guard: true},
		ui.RadioCards(ui.RadioCardsProps{Name: "realm", Label: v.say("Environment"), Hint: v.say("It cannot be changed later"), Required: true, Value: f.Realm, Options: []ui.Option{
			{Value: "production", Label: v.say("Production"), Detail: v.say("The real thing: every call needs a client certificate")},
			{Value: "preprod", Label: v.say("Pre-production"), Detail: v.say("For integrators: test users, no client certificates needed")},
		}}),
		v.clientFields(f), v.saveButtons(v.say("Add the client"), "/clients"))))
}

func (v *visit) clientFields(f clientForm) templ.Component {
	return stack(
		ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name"), Hint: v.say("As registered; it stands in the certificates"), Value: f.Name, Required: true, Focus: true, MaxLength: 200}),
		side(
			ui.Field(ui.FieldProps{Name: "country", Label: v.say("Country"), Hint: v.say("Two letters, such as NO"), Value: f.Country, Required: true, MaxLength: 2, Width: "short"}),
			ui.Field(ui.FieldProps{Name: "org_number", Label: v.say("Organisation number"), Hint: v.say("In the register of that country"), Value: f.OrgNumber, Optional: true, MaxLength: 60}),
		),
	)
}

func (v *visit) saveButtons(label, cancel string) templ.Component {
	return buttons(ui.Button(ui.ButtonProps{Label: label, Variant: ui.Primary}), ui.Button(ui.ButtonProps{Label: v.say("Cancel"), Variant: ui.Quiet, Href: cancel}))
}

func (c *console) createClient(v *visit) error {
	v.back = "/clients/new"
	f := v.clientForm()
	cl, err := c.Access.CreateClient(v.ctx, v.scope(), access.Realm(f.Realm), f.fields())
	if v.onForm(err) {
		return c.clientForm(v, f, err)
	}
	if err != nil {
		return err
	}
	return v.done("/clients/"+cl.ID, "client.created")
}

// aClient reads the client of the address for an act that needs p on it.
func (v *visit) aClient(p access.Permission) (access.Client, error) {
	v.back = "/clients/" + v.id()
	cl, err := v.c.Access.Client(v.ctx, v.scope(), v.id())
	if err != nil {
		return cl, err
	}
	return cl, v.scope().Require(p, cl.Realm, cl.ID)
}

func (v *visit) clientCrumbs(cl access.Client) []ui.Crumb {
	return []ui.Crumb{{Label: v.say("Clients"), Href: "/clients"}, {Label: cl.Name, Href: "/clients/" + cl.ID}}
}

func (c *console) editClient(v *visit) error {
	cl, err := v.aClient(access.ClientWrite)
	if err != nil {
		return err
	}
	return c.showClientEdit(v, cl, clientForm{string(cl.Realm), cl.Name, cl.Country, cl.OrgNumber}, nil)
}

func (c *console) showClientEdit(v *visit, cl access.Client, f clientForm, err error) error {
	return v.show(ui.PageProps{Title: v.say("Change %s", cl.Name), Environment: environment(cl.Realm), Breadcrumb: v.clientCrumbs(cl)},
		card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(err), Guard: true}, v.clientFields(f), v.saveButtons(v.say("Save"), "/clients/"+cl.ID))))
}

func (c *console) updateClient(v *visit) error {
	cl, err := v.aClient(access.ClientWrite)
	if err != nil {
		return err
	}
	f := v.clientForm()
	_, err = c.Access.UpdateClient(v.ctx, v.scope(), cl.ID, f.fields())
	if v.onForm(err) {
		return c.showClientEdit(v, cl, f, err)
	}
	if err != nil {
		return err
	}
	return v.done("/clients/"+cl.ID, "saved")
}

func (c *console) askCloseClient(v *visit) error {
	cl, err := v.aClient(access.ClientWrite)
	if err != nil {
		return err
	}
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{
		Title: v.say("Close %s?", cl.Name), Object: cl.Name, Confirm: v.say("Close the client"),
		Text: v.say("Its services, authorised persons and service accounts end with it, at once. It cannot be undone."),
	}, "/clients/"+cl.ID, v.clientCrumbs(cl)...)
}

func (c *console) closeClient(v *visit) error {
	v.back = "/clients/" + v.id() + "/close"
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	if err := c.Access.CloseClient(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done("/clients/"+v.id(), "client.closed")
}

func (c *console) clientPage(v *visit) error {
	cl, err := v.aClient(access.ClientRead)
	if err != nil {
		return err
	}
	body := []templ.Component{card(ui.CardProps{Title: v.say("Organisation"), Actions: ui.Badge(v.standing(cl.Status))}, ui.DescriptionList([]ui.Description{
		{Term: v.say("Environment"), Value: ui.Text(v.realmName(cl.Realm))},
		{Term: v.say("Country"), Value: ui.Text(cl.Country)},
		{Term: v.say("Organisation number"), Value: ui.Text(cl.OrgNumber)},
		{Term: v.say("Since"), Value: ui.Date(cl.Created)},
		{Term: v.say("Id"), Value: ui.Mono(cl.ID)},
	}))}
	for _, part := range []func(*visit, access.Client) (templ.Component, error){c.servicesCard, c.orderersCard} {
		one, err := part(v, cl)
		if err != nil {
			return err
		}
		if one != nil {
			body = append(body, one)
		}
	}
	return v.show(ui.PageProps{Title: cl.Name, Environment: environment(cl.Realm), Breadcrumb: []ui.Crumb{{Label: v.say("Clients"), Href: "/clients"}}, Actions: v.clientActions(cl)}, body...)
}

func (v *visit) clientActions(cl access.Client) templ.Component {
	var list []templ.Component
	if v.scope().Allows(access.CertificateSearch, cl.Realm, cl.ID) {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Certificates"), Icon: "certificate", Href: "/orders?client=" + cl.ID}))
	}
	if cl.Status == access.Active && v.scope().Allows(access.ClientWrite, cl.Realm, cl.ID) {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Change"), Icon: "pen", Href: "/clients/" + cl.ID + "/edit"}),
			ui.Button(ui.ButtonProps{Label: v.say("Close …"), Icon: "blocked", Variant: ui.DestructiveQuiet, Href: "/clients/" + cl.ID + "/close"}))
	}
	if cl.Status == access.Active && v.scope().Allows(access.CertificateOrder, cl.Realm, cl.ID) {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Order a certificate"), Icon: "plus", Variant: ui.Primary, Href: "/orders/new?client=" + cl.ID}))
	}
	if len(list) == 0 {
		return nil
	}
	return all(list)
}

func (c *console) servicesCard(v *visit, cl access.Client) (templ.Component, error) {
	if !v.scope().Allows(access.ServiceRead, cl.Realm, cl.ID) {
		return nil, nil
	}
	found, err := c.Access.Services(v.ctx, v.scope(), access.ServiceQuery{Client: cl.ID, Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		return nil, err
	}
	type s = access.Service
	l := listing[s]{
		id: "services", caption: v.say("Services"),
		columns: []column[s]{
			nameColumn(v.say("Name"), func(x s) string { return x.Name }, nil),
			badgeColumn(v.say("State"), func(x s) (ui.State, string) { return v.standing(x.Status) }),
			badgeColumn(v.say("Web-service password"), func(x s) (ui.State, string) {
				if x.HasPassword {
					return ui.OK, v.say("Set")
				}
				return ui.Neutral, v.say("Not set")
			}),
			dateColumn(v.say("Since"), func(x s) time.Time { return x.Created }),
		},
		href:  func(x s) string { return "/services/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "settings", Title: v.say("No service yet"), Text: v.say("A service is an account: documents and certificates belong to it, and its name stands in the certificates.")},
	}
	p := ui.CardProps{Title: v.say("Services"), Flush: true}
	if cl.Status == access.Active && v.scope().Allows(access.ServiceWrite, cl.Realm, cl.ID) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Add a service"), Icon: "plus", Small: true, Href: "/clients/" + cl.ID + "/services/new"})
	}
	return card(p, ui.Table(l.table(found.Items))), nil
}
