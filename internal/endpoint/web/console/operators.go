package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) operatorRoutes() []route {
	return []route{
		{"GET /operators", member, c.operatorsPage},
		{"GET /operators/invite", member, func(v *visit) error { return c.inviteForm(v, nil) }},
		{"POST /operators/invite", member, c.invite},
		{"GET /operators/{id}", member, func(v *visit) error { return c.showOperator(v, nil) }},
		{"POST /operators/{id}", member, c.updateOperator},
		{"GET /operators/{id}/disable", member, c.askDisableOperator},
		{"POST /operators/{id}/disable", member, c.disableOperator},
		{"POST /operators/{id}/enable", member, c.enableOperator},
		{"GET /operators/{id}/reset", member, c.askResetOperator},
		{"POST /operators/{id}/reset", member, c.resetOperator},
		{"POST /grants/{principal}", member, c.grant},
		{"POST /grants/{principal}/{grant}/revoke", member, c.revokeGrant},
	}
}

func (c *console) operatorsPage(v *visit) error {
	if err := v.scope().RequireAnywhere(access.OperatorRead); err != nil {
		return err
	}
	q := access.OperatorQuery{Search: v.field("q"), Status: access.Status(v.field("status"))}
	type o = access.Operator
	l := listing[o]{
		id: "operators", caption: v.say("Operators"),
		columns: []column[o]{
			nameColumn(v.say("Name"), func(x o) string { return x.Name }, func(x o) string { return x.Title }),
			textColumn(v.say("E-mail"), func(x o) string { return x.Email }),
			badgeColumn(v.say("State"), func(x o) (ui.State, string) { return v.standing(x.Status) }),
			badgeColumn(v.say("Second factor"), func(x o) (ui.State, string) {
				if x.SecondFactor {
					return ui.OK, v.say("Set up")
				}
				return ui.Warn, v.say("None")
			}),
			timeColumn(v.say("Last log-in"), func(x o) time.Time { return x.LastLogin }),
		},
		fetch: func(p store.Page) ([]o, string, error) {
			q.Page = p
			found, err := c.Access.Operators(v.ctx, v.scope(), q)
			return found.Items, found.Next, err
		},
		href:  func(x o) string { return "/operators/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "users", Title: v.say("No operators to show"), Text: v.say("You see operators with rights in places where you may look.")},
		filters: []templ.Component{
			ui.Field(ui.FieldProps{Name: "q", Label: v.say("Name or e-mail"), Type: "search", Value: q.Search}),
			ui.Select(ui.SelectProps{Name: "status", Label: v.say("State"), Blank: v.say("All"), Value: string(q.Status), Options: []ui.Option{
				{Value: string(access.Active), Label: v.say("Active")}, {Value: string(access.Invited), Label: v.say("Invited")}, {Value: string(access.Disabled), Label: v.say("Disabled")},
			}}),
		},
		names: []string{"q", "status"},
	}
	p := ui.PageProps{Title: v.say("Operators"), Lead: v.say("People who sign in here")}
	if v.scope().Holds(access.OperatorWrite) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Invite an operator"), Icon: "plus", Variant: ui.Primary, Href: "/operators/invite"})
	}
	return l.serve(v, p)
}

func (v *visit) operatorForm() access.OperatorFields {
	return access.OperatorFields{Email: v.field("email"), Name: v.field("name"), Title: v.field("title"), Language: v.field("language")}
}

func (v *visit) operatorFields(f access.OperatorFields) templ.Component {
	return stack(
		side(
			ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name"), Value: f.Name, Required: true, Focus: v.formPage(), MaxLength: 200, Autocomplete: "off"}),
			ui.Field(ui.FieldProps{Name: "title", Label: v.say("Title"), Value: f.Title, Optional: true, MaxLength: 200}),
		),
		side(
			ui.Field(ui.FieldProps{Name: "email", Label: v.say("E-mail"), Hint: v.say("For signing in"), Type: "email", Value: f.Email, Required: true, Autocomplete: "off"}),
			ui.Select(ui.SelectProps{Name: "language", Label: v.say("Language"), Blank: "-", Value: f.Language, Options: v.languages()}),
		),
	)
}

func operatorCrumbs(v *visit) []ui.Crumb {
	return []ui.Crumb{{Label: v.say("Operators"), Href: "/operators"}}
}

func (c *console) inviteForm(v *visit, cause error) error {
	if err := v.scope().RequireAnywhere(access.OperatorWrite); err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("Invite an operator"), Breadcrumb: operatorCrumbs(v)},
		card(ui.CardProps{}, text(v.say("An e-mail with a link goes out. The operator chooses a password and sets up a second factor, and has no rights until you grant a role.")),
			form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true}, v.operatorFields(v.operatorForm()), v.saveButtons(v.say("Invite"), "/operators"))))
}

func (c *console) invite(v *visit) error {
	v.back = "/operators/invite"
	inv, err := c.Access.InviteOperator(v.ctx, v.scope(), v.operatorForm())
	if v.onForm(err) {
		return c.inviteForm(v, err)
	}
	if err != nil {
		return err
	}
	return c.invited(v, inv)
}

// invited says what became of an invitation. Where no message goes out, the link
// is shown once, to be handed over.
func (c *console) invited(v *visit, inv access.Invitation) error {
	body := []templ.Component{text(v.say("The invitation goes to %s and can be used once.", inv.Operator.Email))}
	if c.Access.Inviter == nil {
		link := secretLink(v, inv)
		body = []templ.Component{ui.CopyBox(ui.CopyProps{ID: "invitation", Label: v.say("Hand this link to %s", inv.Operator.Name), Value: link})}
	}
	body = append(body, buttons(ui.Button(ui.ButtonProps{Label: v.say("Grant a role"), Variant: ui.Primary, Href: "/operators/" + inv.Operator.ID})))
	return v.show(ui.PageProps{Title: v.say("%s is invited", inv.Operator.Name), Breadcrumb: operatorCrumbs(v)}, card(ui.CardProps{}, body...))
}

func secretLink(v *visit, inv access.Invitation) string {
	return "https://" + v.r.Host + "/invitation/" + inv.Token.Reveal()
}

func (c *console) showOperator(v *visit, cause error) error {
	v.back = "/operators/" + v.id()
	o, err := c.Access.Operator(v.ctx, v.scope(), v.id())
	if err != nil {
		return err
	}
	grants, err := c.grantsCard(v, o.ID, o.Name)
	if err != nil {
		return err
	}
	self := o.ID == v.session.Operator.ID
	body := []templ.Component{card(ui.CardProps{Title: v.say("Operator"), Actions: ui.Badge(v.standing(o.Status))}, ui.DescriptionList([]ui.Description{
		{Term: v.say("E-mail"), Value: ui.Text(o.Email)},
		{Term: v.say("Title"), Value: ui.Text(o.Title)},
		{Term: v.say("Language"), Value: ui.Text(languageNames[o.Language])},
		{Term: v.say("Second factor"), Value: ui.Text(v.yes(o.SecondFactor))},
		{Term: v.say("Notifications"), Value: ui.Text(map[bool]string{true: v.say("muted"), false: v.say("on")}[o.Muted])},
		{Term: v.say("Last log-in"), Value: ui.Time(o.LastLogin)},
		{Term: v.say("Since"), Value: ui.Date(o.Created)},
		{Term: v.say("Id"), Value: ui.Mono(o.ID)},
	})), grants}
	p := ui.PageProps{Title: o.Name, Breadcrumb: operatorCrumbs(v)}
	if !self && v.scope().Holds(access.OperatorWrite) {
		p.Actions = v.operatorActions(o)
		f := access.OperatorFields{Email: o.Email, Name: o.Name, Title: o.Title, Language: o.Language}
		if cause != nil {
			f = v.operatorForm()
		}
		body = append(body, card(ui.CardProps{Title: v.say("Change")}, form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true}, v.operatorFields(f), v.saveButtons(v.say("Save"), "/operators"))))
	}
	return v.show(p, body...)
}

func (v *visit) yes(b bool) string {
	if b {
		return v.say("Yes")
	}
	return v.say("No")
}

func (v *visit) operatorActions(o access.Operator) templ.Component {
	at := "/operators/" + o.ID
	list := []templ.Component{ui.Button(ui.ButtonProps{Label: v.say("Reset …"), Icon: "refresh", Href: at + "/reset"})}
	if o.Status == access.Disabled {
		list = append(list, act(at+"/enable", ui.ButtonProps{Label: v.say("Enable"), Icon: "check"}))
	} else {
		list = append(list, ui.Button(ui.ButtonProps{Label: v.say("Disable …"), Icon: "blocked", Variant: ui.DestructiveQuiet, Href: at + "/disable"}))
	}
	return all(list)
}

func (c *console) updateOperator(v *visit) error {
	v.back = "/operators/" + v.id()
	_, err := c.Access.UpdateOperator(v.ctx, v.scope(), v.id(), v.operatorForm())
	if v.onForm(err) {
		return c.showOperator(v, err)
	}
	if err != nil {
		return err
	}
	return v.done(v.back, "saved")
}

// askOperator asks before an act on another operator.
func (c *console) askOperator(v *visit, q func(access.Operator) ui.ConfirmProps) error {
	o, err := c.Access.Operator(v.ctx, v.scope(), v.id())
	if err == nil {
		err = v.scope().RequireAnywhere(access.OperatorWrite)
	}
	if err == nil {
		err = v.session.RequireRecent(v.now(), recent)
	}
	if err != nil {
		return err
	}
	return v.ask(q(o), "/operators/"+o.ID, append(operatorCrumbs(v), ui.Crumb{Label: o.Name, Href: "/operators/" + o.ID})...)
}

func (c *console) askDisableOperator(v *visit) error {
	return c.askOperator(v, func(o access.Operator) ui.ConfirmProps {
		return ui.ConfirmProps{
			Title: v.say("Disable %s?", o.Name), Object: o.Name + " · " + o.Email, Confirm: v.say("Disable the operator"),
			Text: v.say("All sessions end at once; API tokens and certificates are refused. It can be undone."),
		}
	})
}

func (c *console) askResetOperator(v *visit) error {
	return c.askOperator(v, func(o access.Operator) ui.ConfirmProps {
		return ui.ConfirmProps{
			Title: v.say("Reset the access of %s?", o.Name), Object: o.Name + " · " + o.Email, Confirm: v.say("Reset and invite anew"),
			Text: v.say("Password, second factors and sessions are taken away, and a new invitation goes out. API tokens stay: disable the operator if the account was abused."),
		}
	})
}

func (c *console) disableOperator(v *visit) error {
	v.back = "/operators/" + v.id() + "/disable"
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	if err := c.Access.DisableOperator(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done("/operators/"+v.id(), "operator.disabled")
}

func (c *console) enableOperator(v *visit) error {
	v.back = "/operators/" + v.id()
	if err := c.Access.EnableOperator(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done(v.back, "operator.enabled")
}

func (c *console) resetOperator(v *visit) error {
	v.back = "/operators/" + v.id() + "/reset"
	if err := v.session.RequireRecent(v.now(), recent); err != nil {
		return err
	}
	inv, err := c.Access.ResetOperator(v.ctx, v.scope(), v.id())
	if err != nil {
		return err
	}
	return c.invited(v, inv)
}
