package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Credentials for the API belong to an operator ("my details") or to a service
// account; the pages are the same and come back to whom they belong.
func (c *console) credentialRoutes() []route {
	return []route{
		{"GET /tokens/new", member, func(v *visit) error { return c.tokenForm(v, nil) }},
		{"POST /tokens/new", member, c.createToken},
		{"GET /tokens/{id}", member, func(v *visit) error { return c.editToken(v, nil) }},
		{"POST /tokens/{id}", member, c.updateToken},
		{"POST /tokens/{id}/enable", member, func(v *visit) error { return c.setToken(v, true) }},
		{"POST /tokens/{id}/disable", member, func(v *visit) error { return c.setToken(v, false) }},
		{"GET /tokens/{id}/delete", member, c.askDeleteToken},
		{"POST /tokens/{id}/delete", member, c.deleteToken},
		{"GET /client-certificates/new", member, func(v *visit) error { return c.certForm(v, nil) }},
		{"POST /client-certificates/new", member, c.createCert},
		{"GET /client-certificates/{id}", member, c.certPage},
		{"POST /client-certificates/{id}/download", member, c.downloadCert},
		{"POST /client-certificates/{id}/enable", member, func(v *visit) error { return c.setCert(v, true) }},
		{"POST /client-certificates/{id}/disable", member, func(v *visit) error { return c.setCert(v, false) }},
		{"GET /client-certificates/{id}/delete", member, c.askDeleteCert},
		{"POST /client-certificates/{id}/delete", member, c.deleteCert},
	}
}

// An owner is whose credentials a page is about, as far as it is shown.
type owner struct {
	id, name     string
	tokens, list string // addresses of the pages with its tokens and its certificates
	crumbs       []ui.Crumb
}

// ownerOf finds the owner and refuses whoever may not see it.
func (v *visit) ownerOf(id string) (owner, error) {
	self := v.session.Operator
	if id == "" || id == self.ID {
		return owner{self.ID, self.Name, "/me/tokens", "/me/certificates", []ui.Crumb{{Label: v.say("My details"), Href: "/me"}}}, nil
	}
	a, err := v.c.Access.Account(v.ctx, v.scope(), id)
	if err != nil {
		return owner{}, err
	}
	at := "/accounts/" + a.ID
	return owner{a.ID, a.Name, at, at, []ui.Crumb{{Label: v.say("Service accounts"), Href: "/accounts"}, {Label: a.Name, Href: at}}}, nil
}

// mayCreate tells whether there is any point in offering the form. The domain
// decides.
func (v *visit) mayCreate(ownerID string, own access.Permission) bool {
	if ownerID == v.session.Operator.ID {
		return v.scope().Holds(own)
	}
	return v.scope().Holds(access.AccountWrite)
}

func (v *visit) tokenState(t access.Token) (ui.State, string) {
	switch {
	case !t.Ends.IsZero() && !v.now().Before(t.Ends):
		return ui.Neutral, v.say("Ended")
	case !t.Enabled:
		return ui.Warn, v.say("Disabled")
	case !t.Ends.IsZero() && t.Ends.Sub(v.now()) < soon:
		return ui.Warn, v.say("Ends soon")
	}
	return ui.OK, v.say("Active")
}

func (c *console) tokensCard(v *visit, ownerID string) (templ.Component, error) {
	found, err := c.Access.Tokens(v.ctx, v.scope(), ownerID, store.Page{Limit: store.MaxLimit})
	if err != nil {
		return nil, err
	}
	type t = access.Token
	l := listing[t]{
		id: "tokens", caption: v.say("API tokens"),
		columns: []column[t]{
			nameColumn(v.say("Name"), func(x t) string { return x.Name }, func(x t) string { return "…" + x.Hint }),
			badgeColumn(v.say("State"), v.tokenState),
			dateColumn(v.say("Ends"), func(x t) time.Time { return x.Ends }),
			timeColumn(v.say("Last used"), func(x t) time.Time { return x.LastUsed }),
			buttonColumn(v.say("Acts"), func(x t) templ.Component {
				at := "/tokens/" + x.ID
				toggle := act(at+"/disable", ui.ButtonProps{Label: v.say("Disable"), Small: true})
				if !x.Enabled {
					toggle = act(at+"/enable", ui.ButtonProps{Label: v.say("Enable"), Small: true})
				}
				return rowActs(toggle, ui.Button(ui.ButtonProps{Label: v.say("Delete …"), Small: true, Variant: ui.DestructiveQuiet, Href: at + "/delete"}))
			}),
		},
		href:  func(x t) string { return "/tokens/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "key", Title: v.say("No API tokens"), Text: v.say("A token lets a program call the API in the owner's name. It also sets how long client authentication certificates may live.")},
	}
	p := ui.CardProps{Title: v.say("API tokens"), Flush: true}
	if v.mayCreate(ownerID, access.TokenOwn) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Create a token"), Icon: "plus", Small: true, Href: "/tokens/new?owner=" + ownerID})
	}
	return card(p, ui.Table(l.table(found.Items))), nil
}

func (v *visit) tokenFields(name, ends string) templ.Component {
	return stack(
		ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name"), Hint: v.say("What uses it"), Value: name, Required: true, MaxLength: 100, Focus: v.formPage()}),
		ui.Field(ui.FieldProps{Name: "ends", Label: v.say("End date"), Hint: v.say("The last day, in UTC. Client authentication certificates cannot outlive it."), Type: "date", Value: ends, Optional: true, Width: "short"}),
	)
}

func (c *console) tokenForm(v *visit, cause error) error {
	o, err := v.ownerOf(v.field("owner"))
	if err != nil {
		return err
	}
	v.back = o.tokens
	return v.show(ui.PageProps{Title: v.say("Create an API token"), Lead: v.say("For %s", o.name), Breadcrumb: o.crumbs},
		card(ui.CardProps{}, form(ui.FormProps{Action: "/tokens/new", Errors: ui.ErrorsOf(cause)}, hidden("owner", o.id),
			v.tokenFields(v.field("name"), v.field("ends")), v.saveButtons(v.say("Create"), o.tokens))))
}

func (c *console) createToken(v *visit) error {
	o, err := v.ownerOf(v.field("owner"))
	if err != nil {
		return err
	}
	v.back = o.tokens
	ends, err := v.endOf("ends")
	if err != nil {
		v.onForm(err)
		return c.tokenForm(v, err)
	}
	t, value, err := c.Access.CreateToken(v.ctx, v.scope(), o.id, access.TokenFields{Name: v.field("name"), Ends: ends})
	if v.onForm(err) {
		return c.tokenForm(v, err)
	}
	if err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("Your new API token"), Lead: t.Name, Breadcrumb: o.crumbs}, card(ui.CardProps{},
		ui.CopyBox(ui.CopyProps{ID: "token", Label: v.say("Token"), Value: value.Reveal()}),
		ui.Alert(ui.AlertProps{State: ui.Warn, Text: v.say("It is shown this once. Copy it now, into the place where the program reads it; never into source code, e-mail or chat.")}),
		text(v.say("Send it with each call, as x-api-key or as Authorization: Bearer.")),
		buttons(ui.Button(ui.ButtonProps{Label: v.say("Close"), Variant: ui.Primary, Href: o.tokens}))))
}

// aToken reads the token of the address and whose it is.
func (v *visit) aToken() (access.Token, owner, error) {
	t, err := v.c.Access.Token(v.ctx, v.scope(), v.id())
	if err != nil {
		return t, owner{}, err
	}
	o, err := v.ownerOf(t.Owner)
	v.back = o.tokens
	return t, o, err
}

// editToken changes name and end date; the end date may have to move before a
// certificate can have a later one (D10).
func (c *console) editToken(v *visit, cause error) error {
	t, o, err := v.aToken()
	if err != nil {
		return err
	}
	name, ends := t.Name, day(t.Ends)
	if cause != nil {
		name, ends = v.field("name"), v.field("ends")
	}
	return v.show(ui.PageProps{Title: t.Name, Lead: v.say("API token of %s", o.name), Breadcrumb: o.crumbs},
		card(ui.CardProps{Title: v.say("Token"), Actions: ui.Badge(v.tokenState(t))}, ui.DescriptionList([]ui.Description{
			{Term: v.say("Ends with"), Value: ui.Mono("…" + t.Hint)},
			{Term: v.say("End date"), Value: ui.Time(t.Ends)},
			{Term: v.say("Last used"), Value: ui.Time(t.LastUsed)},
			{Term: v.say("Created"), Value: ui.Time(t.Created)},
		})),
		card(ui.CardProps{Title: v.say("Change")}, form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true}, v.tokenFields(name, ends), v.saveButtons(v.say("Save"), o.tokens))))
}

func (c *console) updateToken(v *visit) error {
	t, o, err := v.aToken()
	if err != nil {
		return err
	}
	ends, err := v.endOf("ends")
	if err == nil {
		_, err = c.Access.UpdateToken(v.ctx, v.scope(), t.ID, access.TokenFields{Name: v.field("name"), Ends: ends})
	}
	if v.onForm(err) {
		return c.editToken(v, err)
	}
	if err != nil {
		return err
	}
	return v.done(o.tokens, "saved")
}

func (c *console) setToken(v *visit, enabled bool) error {
	t, o, err := v.aToken()
	if err != nil {
		return err
	}
	if err := c.Access.SetTokenEnabled(v.ctx, v.scope(), t.ID, enabled); err != nil {
		return err
	}
	return v.done(o.tokens, map[bool]string{true: "token.enabled", false: "token.disabled"}[enabled])
}

func (c *console) askDeleteToken(v *visit) error {
	t, o, err := v.aToken()
	if err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{
		Title: v.say("Delete the token %s?", t.Name), Object: t.Name + " · …" + t.Hint, Confirm: v.say("Delete the token"),
		Text: v.say("Programs that use it are refused at once. Certificates that it allowed stop when no other token does. It cannot be undone."),
	}, o.tokens, o.crumbs...)
}

func (c *console) deleteToken(v *visit) error {
	t, o, err := v.aToken()
	if err != nil {
		return err
	}
	if err := c.Access.DeleteToken(v.ctx, v.scope(), t.ID); err != nil {
		return err
	}
	return v.done(o.tokens, "token.deleted")
}
