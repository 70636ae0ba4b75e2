package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func (c *console) meRoutes() []route {
	return []route{
		{"GET /me", member, func(v *visit) error { return c.mePage(v, nil) }},
		{"POST /me", member, c.savePreferences},
		{"GET /me/security", member, func(v *visit) error { return c.securityPage(v, nil) }},
		{"POST /me/password", member, c.changePassword},
		{"POST /me/sessions/{id}/end", member, c.endSession},
		{"POST /me/sessions/end-all", member, c.endSessions},
		{"GET /me/tokens", member, c.myTokens},
		{"GET /me/certificates", member, c.myCertificates},
	}
}

// meTabs are the views of "my details" (D8: the certificates stand among them).
func (v *visit) meTabs() templ.Component {
	s := v.scope()
	tabs := []ui.Tab{{Label: v.say("Details"), Href: "/me"}, {Label: v.say("Signing in"), Href: "/me/security"}}
	if s.Holds(access.TokenOwn) {
		tabs = append(tabs, ui.Tab{Label: v.say("API tokens"), Href: "/me/tokens"})
	}
	if s.Holds(access.APICertOwn) {
		tabs = append(tabs, ui.Tab{Label: v.say("Client authentication certificates"), Href: "/me/certificates"})
	}
	for i := range tabs {
		tabs[i].Current = tabs[i].Href == v.r.URL.Path || tabs[i].Href == v.back
	}
	return ui.Tabs(v.say("My details"), tabs)
}

func (v *visit) meProps() ui.PageProps {
	return ui.PageProps{Title: v.say("My details"), Lead: v.session.Operator.Email}
}

func (c *console) mePage(v *visit, cause error) error {
	v.back = "/me"
	o := v.session.Operator
	rights, err := c.grantsCard(v, o.ID, o.Name)
	if err != nil {
		return err
	}
	return v.show(v.meProps(), v.meTabs(),
		card(ui.CardProps{Title: v.say("About you")}, ui.DescriptionList([]ui.Description{
			{Term: v.say("Name"), Value: ui.Text(o.Name)},
			{Term: v.say("Title"), Value: ui.Text(o.Title)},
			{Term: v.say("E-mail"), Value: ui.Text(o.Email)},
			{Term: v.say("Last log-in"), Value: ui.Time(o.LastLogin)},
			{Term: v.say("Id"), Value: ui.Mono(o.ID)},
		}), ui.Muted(v.say("Name, title and e-mail are changed by whoever administers operators."))),
		card(ui.CardProps{Title: v.say("Preferences")}, form(ui.FormProps{Action: "/me", Errors: ui.ErrorsOf(cause)},
			side(
				ui.Select(ui.SelectProps{Name: "language", Label: v.say("Language"), Hint: v.say("Of messages; pages follow as they are translated"), Blank: "-", Value: o.Language, Options: v.languages()}),
				ui.Select(ui.SelectProps{Name: "theme", Label: v.say("Light or dark"), Hint: v.say("Unless this browser has a choice of its own"), Blank: v.say("As the system says"), Value: o.Theme, Options: []ui.Option{
					{Value: "light", Label: v.say("Light")}, {Value: "dark", Label: v.say("Dark")},
				}}),
			),
			ui.Checkbox(ui.CheckboxProps{Name: "muted", Label: v.say("Do not tell me what other operators do"), Hint: v.say("No reminders about certificates that end either"), Checked: o.Muted, Disabled: !v.scope().Holds(access.NotifyOwn)}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Save"), Variant: ui.Primary})))),
		rights)
}

func (c *console) savePreferences(v *visit) error {
	v.back = "/me"
	muted := v.checked("muted")
	if !v.scope().Holds(access.NotifyOwn) {
		muted = v.session.Operator.Muted // the box is not sent when it cannot be changed
	}
	err := c.Access.SetPreferences(v.ctx, v.session, access.Preferences{Language: v.field("language"), Theme: v.field("theme"), Muted: muted})
	if v.onForm(err) {
		return c.mePage(v, err)
	}
	if err != nil {
		return err
	}
	return v.done("/me", "saved")
}

func (c *console) securityPage(v *visit, cause error) error {
	v.back = "/me/security"
	factors, err := c.factorsCard(v)
	if err != nil {
		return err
	}
	sessions, err := c.sessionsCard(v)
	if err != nil {
		return err
	}
	return v.show(v.meProps(), v.meTabs(), factors, sessions,
		card(ui.CardProps{Title: v.say("Password")}, form(ui.FormProps{Action: "/me/password", Errors: ui.ErrorsOf(cause)},
			ui.Field(ui.FieldProps{Name: "old", Label: v.say("Present password"), Type: "password", Autocomplete: "current-password", Width: "medium"}),
			ui.Field(ui.FieldProps{Name: "password", Label: v.say("New password"), Hint: v.say("At least 12 characters"), Type: "password", Autocomplete: "new-password", Required: true, Width: "medium"}),
			ui.Field(ui.FieldProps{Name: "again", Label: v.say("The new password again"), Type: "password", Autocomplete: "new-password", Required: true, Width: "medium"}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Change the password")})))))
}

// A factor is a line of the list of second factors.
type factor struct {
	name, kind, remove string
	created, used      time.Time
}

func (c *console) factorsCard(v *visit) (templ.Component, error) {
	f, err := c.Access.Factors(v.ctx, v.session)
	if err != nil {
		return nil, err
	}
	var list []factor
	if f.TOTP {
		list = append(list, factor{name: v.say("Authenticator app"), kind: v.say("App"), remove: "/factors/app/remove"})
	}
	for _, p := range f.Passkeys {
		list = append(list, factor{p.Name, v.say("Passkey"), "/factors/passkey/" + p.ID + "/remove", p.Created, p.LastUsed})
	}
	l := listing[factor]{
		id: "factors", caption: v.say("Second factors"),
		columns: []column[factor]{
			nameColumn(v.say("Name"), func(x factor) string { return x.name }, nil),
			textColumn(v.say("Kind"), func(x factor) string { return x.kind }),
			dateColumn(v.say("Since"), func(x factor) time.Time { return x.created }),
			timeColumn(v.say("Last used"), func(x factor) time.Time { return x.used }),
			buttonColumn(v.say("Acts"), func(x factor) templ.Component {
				return act(x.remove, ui.ButtonProps{Label: v.say("Remove"), Small: true, Variant: ui.DestructiveQuiet})
			}),
		},
		empty: ui.EmptyStateProps{Icon: "shield", Title: v.say("No second factor"), Text: v.say("With the password alone, whoever overhears it is you. Add a passkey or an authenticator app.")},
	}
	p := ui.CardProps{Title: v.say("Second factors"), Flush: true, Actions: ui.Button(ui.ButtonProps{Label: v.say("Add a second factor"), Icon: "plus", Small: true, Href: factorsPage + "?next=/me/security"})}
	parts := []templ.Component{card(p, ui.Table(l.table(list)))}
	if len(list) > 0 {
		parts = append(parts, card(ui.CardProps{Title: v.say("Recovery codes"), Actions: act("/factors/codes", ui.ButtonProps{Label: v.say("Make new codes"), Icon: "refresh", Small: true})},
			text(v.say("%d codes are left. New codes replace them all.", f.RecoveryCodes))))
	}
	return stack(parts...), nil
}

func (c *console) sessionsCard(v *visit) (templ.Component, error) {
	list, err := c.Access.Sessions(v.ctx, v.session)
	if err != nil {
		return nil, err
	}
	type s = access.Session
	l := listing[s]{
		id: "sessions", caption: v.say("Sessions"),
		columns: []column[s]{
			nameColumn(v.say("Browser"), func(x s) string { return browser(x.Origin.UserAgent) }, func(x s) string { return x.Origin.Address }),
			timeColumn(v.say("Signed in"), func(x s) time.Time { return x.Created }),
			timeColumn(v.say("Last seen"), func(x s) time.Time { return x.LastSeen }),
			buttonColumn(v.say("Acts"), func(x s) templ.Component {
				if x.ID == v.session.ID {
					return ui.Badge(ui.OK, v.say("This one"))
				}
				return act("/me/sessions/"+x.ID+"/end", ui.ButtonProps{Label: v.say("Sign out"), Small: true})
			}),
		},
	}
	return card(ui.CardProps{Title: v.say("Sessions"), Flush: true, Actions: act("/me/sessions/end-all", ui.ButtonProps{Label: v.say("Sign out everywhere"), Icon: "sign-out", Small: true, Variant: ui.DestructiveQuiet})},
		ui.Table(l.table(list))), nil
}

func (c *console) changePassword(v *visit) error {
	v.back = "/me/security"
	next, err := v.newPassword()
	if err == nil {
		err = c.Access.ChangePassword(v.ctx, v.session, v.password("old"), next)
	}
	if v.onForm(err) {
		switch f := fault.Of(err); {
		case f.Code == "login.failed":
			err = fault.Unauthenticatedf("login.failed", "That is not your present password.").WithField("old")
		case f.Field == "" && f.Kind == fault.Invalid:
			err = f.WithField("password")
		}
		return c.securityPage(v, err)
	}
	if err != nil {
		return err
	}
	return v.done(v.back, "password.changed")
}

func (c *console) endSession(v *visit) error {
	v.back = "/me/security"
	if err := c.Access.EndSession(v.ctx, v.session, v.id()); err != nil {
		return err
	}
	return v.done(v.back, "session.ended")
}

func (c *console) endSessions(v *visit) error {
	if err := c.Access.SignOutEverywhere(v.ctx, v.session); err != nil {
		return err
	}
	v.forget()
	return v.done("/login", "signed-out-everywhere")
}

func (c *console) myTokens(v *visit) error {
	one, err := c.tokensCard(v, v.session.Operator.ID)
	if err != nil {
		return err
	}
	return v.show(v.meProps(), v.meTabs(), one)
}

func (c *console) myCertificates(v *visit) error {
	one, err := c.certsCard(v, v.session.Operator.ID)
	if err != nil {
		return err
	}
	return v.show(v.meProps(), v.meTabs(), one)
}
