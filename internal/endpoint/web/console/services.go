package console

import (
	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

func (c *console) serviceRoutes() []route {
	return []route{
		{"GET /clients/{id}/services/new", member, func(v *visit) error { return c.serviceForm(v, nil) }},
		{"POST /clients/{id}/services/new", member, c.createService},
		{"GET /services/{id}", member, c.servicePage},
		{"GET /services/{id}/password", member, func(v *visit) error { return c.passwordForm(v, nil) }},
		{"POST /services/{id}/password", member, c.setPassword},
		{"GET /services/{id}/close", member, c.askCloseService},
		{"POST /services/{id}/close", member, c.closeService},
	}
}

func (c *console) serviceForm(v *visit, cause error) error {
	cl, err := v.aClient(access.ServiceWrite)
	if err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("Add a service"), Environment: environment(cl.Realm), Breadcrumb: v.clientCrumbs(cl)},
		card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(cause)},
			ui.Field(ui.FieldProps{
				Name: "name", Label: v.say("Name"), Hint: v.say("Lower-case letters, digits and dashes; it stands in certificates and addresses and cannot be changed"), Value: v.field("name"),
				Required: true, Mono: true, Pattern: "[a-z0-9-]{1,40}", MaxLength: 40, Focus: true,
			}),
			v.saveButtons(v.say("Add the service"), "/clients/"+cl.ID))))
}

func (c *console) createService(v *visit) error {
	v.back = "/clients/" + v.id() + "/services/new"
	s, err := c.Access.CreateService(v.ctx, v.scope(), v.id(), v.field("name"), access.ServiceFields{})
	if v.onForm(err) {
		return c.serviceForm(v, err)
	}
	if err != nil {
		return err
	}
	return v.done("/services/"+s.ID, "service.created")
}

// aService reads the service of the address for an act that needs p on it, and
// the crumbs of its client.
func (v *visit) aService(p access.Permission) (access.Service, []ui.Crumb, error) {
	v.back = "/services/" + v.id()
	s, err := v.c.Access.Service(v.ctx, v.scope(), v.id())
	if err == nil {
		err = v.scope().Require(p, s.Realm, s.Client)
	}
	if err != nil {
		return s, nil, err
	}
	if _, err := v.clients(); err != nil {
		return s, nil, err
	}
	return s, []ui.Crumb{{Label: v.say("Clients"), Href: "/clients"}, {Label: v.clientName(s.Client), Href: "/clients/" + s.Client}}, nil
}

func (c *console) servicePage(v *visit) error {
	s, crumbs, err := v.aService(access.ServiceRead)
	if err != nil {
		return err
	}
	password := ui.Badge(ui.Neutral, v.say("Not set"))
	if s.HasPassword {
		password = ui.Badge(ui.OK, v.say("Set"))
	}
	body := []templ.Component{card(ui.CardProps{Title: v.say("Service"), Actions: ui.Badge(v.standing(s.Status))}, ui.DescriptionList([]ui.Description{
		{Term: v.say("Client"), Value: ui.Link(v.clientName(s.Client), "/clients/"+s.Client)},
		{Term: v.say("Environment"), Value: ui.Text(v.realmName(s.Realm))},
		{Term: v.say("Web-service password"), Value: password},
		{Term: v.say("In certificates"), Value: ui.Mono(wscert.ServiceURI(s.Realm, s.Name))},
		{Term: v.say("Since"), Value: ui.Date(s.Created)},
		{Term: v.say("Id"), Value: ui.Mono(s.ID)},
	}))}
	if v.scope().Allows(access.CertificateSearch, s.Realm, s.Client) {
		l := v.orderListing(wscert.Filter{Realm: s.Realm, Client: s.Client, Service: s.Name})
		items, next, err := l.fetch(store.Page{})
		if err != nil {
			return err
		}
		l.empty = ui.EmptyStateProps{Icon: "certificate", Title: v.say("No certificates"), Text: v.say("Nobody can call this service in production before a certificate is ordered and installed.")}
		l.columns = append(l.columns[:1:1], l.columns[3:]...)
		p := ui.CardProps{Title: v.say("Certificates"), Flush: true}
		if next != "" {
			p.Actions = ui.Button(ui.ButtonProps{Label: v.say("All"), Small: true, Href: "/orders?client=" + s.Client + "&service=" + s.Name})
		}
		body = append(body, card(p, ui.Table(l.table(items))))
	}
	return v.show(ui.PageProps{Title: s.Name, Lead: v.say("Service of %s", v.clientName(s.Client)), Environment: environment(s.Realm), Breadcrumb: crumbs, Actions: v.serviceActions(s)}, body...)
}

func (v *visit) serviceActions(s access.Service) templ.Component {
	var list []templ.Component
	if s.Status != access.Active {
		return nil
	}
	if v.scope().Allows(access.ServiceWrite, s.Realm, s.Client) {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Set the password"), Icon: "key", Href: "/services/" + s.ID + "/password"}),
			ui.Button(ui.ButtonProps{Label: v.say("Close …"), Icon: "blocked", Variant: ui.DestructiveQuiet, Href: "/services/" + s.ID + "/close"}))
	}
	if v.scope().Allows(access.CertificateOrder, s.Realm, s.Client) {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Order a certificate"), Icon: "plus", Variant: ui.Primary, Href: "/orders/new?client=" + s.Client + "&service=" + s.Name}))
	}
	if len(list) == 0 {
		return nil
	}
	return all(list)
}

// generatedLength gives a machine's password some 119 bits.
const generatedLength = 20

func (c *console) passwordForm(v *visit, cause error) error {
	s, crumbs, err := v.aService(access.ServiceWrite)
	if err != nil {
		return err
	}
	if err := v.session.RequireRecent(v.now(), recent); err != nil && v.r.Method == "GET" {
		return err
	}
	crumbs = append(crumbs, ui.Crumb{Label: s.Name, Href: "/services/" + s.ID})
	how := v.field("how")
	if how == "" {
		how = "generate"
	}
	return v.show(ui.PageProps{Title: v.say("Web-service password of %s", s.Name), Environment: environment(s.Realm), Breadcrumb: crumbs},
		ui.Alert(ui.AlertProps{State: ui.Warn, Text: v.say("The present password stops at once. Programs that use it must be given the new one.")}),
		card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(cause)},
			ui.RadioCards(ui.RadioCardsProps{Name: "how", Label: v.say("Password"), Value: how, Required: true, Options: []ui.Option{
				{Value: "generate", Label: v.say("Make one"), Detail: v.say("Strong, and shown once")},
				{Value: "choose", Label: v.say("Take this one"), Detail: v.say("At least 12 characters; typed below")},
			}}),
			ui.Field(ui.FieldProps{Name: "password", Label: v.say("Chosen password"), Type: "password", Autocomplete: "off", Optional: true}),
			v.saveButtons(v.say("Set the password"), "/services/"+s.ID))))
}

func (c *console) setPassword(v *visit) error {
	v.back = "/services/" + v.id() + "/password"
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	generated := v.field("how") != "choose"
	p := v.password("password")
	if generated {
		p = secret.NewPassword(generatedLength)
	}
	err := c.Access.SetServicePassword(v.ctx, v.scope(), v.id(), p)
	if v.onForm(err) {
		if f := fault.Of(err); f.Field == "" {
			err = f.WithField("password")
		}
		return c.passwordForm(v, err)
	}
	if err != nil {
		return err
	}
	if !generated {
		return v.done("/services/"+v.id(), "saved")
	}
	s, crumbs, err := v.aService(access.ServiceWrite)
	if err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("New web-service password"), Environment: environment(s.Realm), Breadcrumb: crumbs},
		card(ui.CardProps{},
			ui.CopyBox(ui.CopyProps{ID: "password", Label: v.say("Password of %s", s.Name), Value: p.Reveal(), Large: true}),
			text(v.say("It is shown this once and stored as a hash. Copy it now; a lost one is replaced by setting a new one.")),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Close"), Variant: ui.Primary, Href: "/services/" + s.ID}))))
}

func (c *console) askCloseService(v *visit) error {
	s, crumbs, err := v.aService(access.ServiceWrite)
	if err != nil {
		return err
	}
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{
		Title: v.say("Close the service %s?", s.Name), Object: s.Name, Confirm: v.say("Close the service"),
		Text: v.say("Its password and certificates open nothing any more. Its name stays taken. It cannot be undone."),
	}, "/services/"+s.ID, crumbs...)
}

func (c *console) closeService(v *visit) error {
	v.back = "/services/" + v.id() + "/close"
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	if err := c.Access.CloseService(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done("/services/"+v.id(), "service.closed")
}
