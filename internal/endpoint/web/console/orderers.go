package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) ordererRoutes() []route {
	return []route{
		{"GET /clients/{id}/orderers/new", member, func(v *visit) error { return c.newOrderer(v, nil) }},
		{"POST /clients/{id}/orderers/new", member, c.addOrderer},
		{"GET /orderers/{id}", member, c.editOrderer},
		{"POST /orderers/{id}", member, c.updateOrderer},
		{"GET /orderers/{id}/end", member, c.askEndOrderer},
		{"POST /orderers/{id}/end", member, c.endOrderer},
	}
}

// orderersCard lists who may receive certificates for a client (N13, N14).
func (c *console) orderersCard(v *visit, cl access.Client) (templ.Component, error) {
	if !v.scope().Allows(access.OrdererRead, cl.Realm, cl.ID) {
		return nil, nil
	}
	found, err := c.Access.Orderers(v.ctx, v.scope(), access.OrdererQuery{Client: cl.ID, Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		return nil, err
	}
	type o = access.Orderer
	l := listing[o]{
		id: "orderers", caption: v.say("Authorised persons"),
		columns: []column[o]{
			nameColumn(v.say("Name"), func(x o) string { return x.Name }, nil),
			textColumn(v.say("E-mail"), func(x o) string { return x.Email }),
			textColumn(v.say("Mobile"), func(x o) string { return x.Mobile }),
			badgeColumn(v.say("State"), func(x o) (ui.State, string) {
				if x.Active {
					return ui.OK, v.say("Authorised")
				}
				return ui.Neutral, v.say("Ended")
			}),
			dateColumn(v.say("Since"), func(x o) time.Time { return x.Added }),
		},
		href: func(x o) string { return "/orderers/" + x.ID },
		empty: ui.EmptyStateProps{
			Icon: "users", Title: v.say("Nobody is authorised yet"),
			Text: v.say("A certificate is handed to a person whom the client has authorised in writing. Record that person here."),
		},
	}
	p := ui.CardProps{Title: v.say("Authorised persons"), Flush: true}
	if cl.Status == access.Active && v.scope().Allows(access.OrdererWrite, cl.Realm, cl.ID) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Authorise a person"), Icon: "plus", Small: true, Href: "/clients/" + cl.ID + "/orderers/new"})
	}
	return card(p, ui.Table(l.table(found.Items))), nil
}

func (v *visit) ordererForm() access.OrdererFields {
	return access.OrdererFields{Name: v.field("name"), Email: v.field("email"), Mobile: v.field("mobile"), Language: v.field("language")}
}

func (v *visit) personFields(f access.OrdererFields) templ.Component {
	return stack(
		ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name"), Value: f.Name, Required: true, Focus: v.formPage(), MaxLength: 200, Autocomplete: "off"}),
		side(
			ui.Field(ui.FieldProps{Name: "email", Label: v.say("E-mail"), Hint: v.say("Gets the link"), Type: "email", Value: f.Email, Required: true, Autocomplete: "off"}),
			ui.Field(ui.FieldProps{Name: "mobile", Label: v.say("Mobile number"), Hint: v.say("With the country's code, such as +47 900 00 000; gets the one-time password"), Type: "tel", Value: f.Mobile, Required: true, Autocomplete: "off"}),
		),
		ui.Select(ui.SelectProps{Name: "language", Label: v.say("Language of the messages"), Blank: "-", Value: f.Language, Options: v.languages(), Width: "medium"}),
	)
}

// languageNames are written in the languages themselves.
var languageNames = map[string]string{"en": "English", "da": "Dansk", "nb": "Norsk bokmål", "sv": "Svenska", "fi": "Suomi", "de": "Deutsch", "fr": "Français", "it": "Italiano"}

func (v *visit) languages() []ui.Option {
	var out []ui.Option
	for _, l := range access.Languages() {
		out = append(out, ui.Option{Value: l, Label: languageNames[l]})
	}
	return out
}

func (c *console) newOrderer(v *visit, cause error) error {
	cl, err := v.aClient(access.OrdererWrite)
	if err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("Authorise a person"), Lead: v.say("To order and receive certificates for %s", cl.Name), Environment: environment(cl.Realm), Breadcrumb: v.clientCrumbs(cl)},
		card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true}, v.personFields(v.ordererForm()), v.saveButtons(v.say("Authorise"), "/clients/"+cl.ID))))
}

func (c *console) addOrderer(v *visit) error {
	v.back = "/clients/" + v.id() + "/orderers/new"
	o, err := c.Access.AddOrderer(v.ctx, v.scope(), v.id(), v.ordererForm())
	if v.onForm(err) {
		return c.newOrderer(v, err)
	}
	if err != nil {
		return err
	}
	return v.done("/clients/"+o.Client, "orderer.added")
}

// anOrderer reads the person of the address for an act that needs p.
func (v *visit) anOrderer(p access.Permission) (access.Orderer, []ui.Crumb, error) {
	v.back = "/orderers/" + v.id()
	o, err := v.c.Access.Orderer(v.ctx, v.scope(), v.id())
	if err == nil {
		err = v.scope().Require(p, o.Realm, o.Client)
	}
	if err != nil {
		return o, nil, err
	}
	if _, err := v.clients(); err != nil {
		return o, nil, err
	}
	return o, []ui.Crumb{{Label: v.say("Clients"), Href: "/clients"}, {Label: v.clientName(o.Client), Href: "/clients/" + o.Client}}, nil
}

func (c *console) editOrderer(v *visit) error { return c.showOrderer(v, nil) }

func (c *console) showOrderer(v *visit, cause error) error {
	o, crumbs, err := v.anOrderer(access.OrdererRead)
	if err != nil {
		return err
	}
	p := ui.PageProps{Title: o.Name, Lead: v.say("Authorised to receive certificates for %s", v.clientName(o.Client)), Environment: environment(o.Realm), Breadcrumb: crumbs}
	facts := []ui.Description{
		{Term: v.say("E-mail"), Value: ui.Text(o.Email)},
		{Term: v.say("Mobile"), Value: ui.Text(o.Mobile)},
		{Term: v.say("Language"), Value: ui.Text(languageNames[o.Language])},
		{Term: v.say("Authorised"), Value: ui.Join(ui.Time(o.Added), ui.Muted(v.say("by %s", o.AddedBy)))},
	}
	if !o.Active {
		p.Lead = v.say("No longer authorised for %s", v.clientName(o.Client))
		facts = append(facts, ui.Description{Term: v.say("Ended"), Value: ui.Time(o.Deactivated)})
	}
	body := []templ.Component{card(ui.CardProps{Title: v.say("Person")}, ui.DescriptionList(facts))}
	if o.Active && v.scope().Allows(access.OrdererWrite, o.Realm, o.Client) {
		f := access.OrdererFields{Name: o.Name, Email: o.Email, Mobile: o.Mobile, Language: o.Language}
		if cause != nil {
			f = v.ordererForm()
		}
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("End the authorisation …"), Icon: "blocked", Variant: ui.DestructiveQuiet, Href: "/orderers/" + o.ID + "/end"})
		body = append(body, card(ui.CardProps{Title: v.say("Correct")}, text(v.say("Orders and certificates that exist keep what they were made with.")),
			form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true}, v.personFields(f), v.saveButtons(v.say("Save"), "/clients/"+o.Client))))
	}
	return v.show(p, body...)
}

func (c *console) updateOrderer(v *visit) error {
	v.back = "/orderers/" + v.id()
	_, err := c.Access.UpdateOrderer(v.ctx, v.scope(), v.id(), v.ordererForm())
	if v.onForm(err) {
		return c.showOrderer(v, err)
	}
	if err != nil {
		return err
	}
	return v.done(v.back, "saved")
}

func (c *console) askEndOrderer(v *visit) error {
	o, crumbs, err := v.anOrderer(access.OrdererWrite)
	if err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{
		Title: v.say("End the authorisation of %s?", o.Name), Object: o.Name + " · " + o.Email, Confirm: v.say("End the authorisation"),
		Text: v.say("No new certificates go to this person. Those that exist go on working; withdraw them if need be."),
	}, "/orderers/"+o.ID, crumbs...)
}

func (c *console) endOrderer(v *visit) error {
	v.back = "/orderers/" + v.id()
	if err := c.Access.DeactivateOrderer(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done(v.back, "orderer.ended")
}
