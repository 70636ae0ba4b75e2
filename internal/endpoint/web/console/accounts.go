package console

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) accountRoutes() []route {
	return []route{
		{"GET /accounts", member, c.accountsPage},
		{"GET /accounts/new", member, func(v *visit) error { return c.accountForm(v, nil) }},
		{"POST /accounts/new", member, c.createAccount},
		{"GET /accounts/{id}", member, func(v *visit) error { return c.showAccount(v, nil) }},
		{"POST /accounts/{id}", member, c.updateAccount},
		{"GET /accounts/{id}/disable", member, c.askDisableAccount},
		{"POST /accounts/{id}/disable", member, c.disableAccount},
		{"POST /accounts/{id}/enable", member, c.enableAccount},
	}
}

func (c *console) accountsPage(v *visit) error {
	if err := v.scope().RequireAnywhere(access.AccountRead); err != nil {
		return err
	}
	if _, err := v.clients(); err != nil {
		return err
	}
	q := access.AccountQuery{Realm: access.Realm(v.field("realm")), Client: v.field("client"), Search: v.field("q")}
	type a = access.ServiceAccount
	l := listing[a]{
		id: "accounts", caption: v.say("Service accounts"),
		columns: []column[a]{
			nameColumn(v.say("Name"), func(x a) string { return x.Name }, nil),
			textColumn(v.say("Belongs to"), func(x a) string { return v.place(x.Realm, x.Client) }),
			badgeColumn(v.say("State"), v.accountState),
			dateColumn(v.say("Ends"), func(x a) time.Time { return x.Ends }),
			dateColumn(v.say("Since"), func(x a) time.Time { return x.Created }),
		},
		fetch: func(p store.Page) ([]a, string, error) {
			q.Page = p
			found, err := c.Access.Accounts(v.ctx, v.scope(), q)
			return found.Items, found.Next, err
		},
		href:  func(x a) string { return "/accounts/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "key", Title: v.say("No service accounts yet"), Text: v.say("A system that calls the API gets an account of its own, so that the audit log tells it from people and its rights stay small.")},
		filters: []templ.Component{
			ui.Field(ui.FieldProps{Name: "q", Label: v.say("Name"), Type: "search", Value: q.Search}),
			ui.Select(ui.SelectProps{Name: "realm", Label: v.say("Environment"), Blank: v.say("Both"), Value: string(q.Realm), Options: v.realms()}),
			ui.Select(ui.SelectProps{Name: "client", Label: v.say("Client"), Blank: v.say("All"), Value: q.Client, Options: v.clientOptions(nil)}),
		},
		names: []string{"q", "realm", "client"},
	}
	p := ui.PageProps{Title: v.say("Service accounts"), Lead: v.say("Systems that call the API; they cannot sign in here")}
	if v.scope().Holds(access.AccountWrite) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Add a service account"), Icon: "plus", Variant: ui.Primary, Href: "/accounts/new"})
		l.empty.Action = p.Actions
	}
	return l.serve(v, p)
}

func (v *visit) accountState(a access.ServiceAccount) (ui.State, string) {
	if !a.Ends.IsZero() && !v.now().Before(a.Ends) {
		return ui.Neutral, v.say("Ended")
	}
	return v.standing(a.Status)
}

// endOf reads a date field as the last second of that day, in UTC, so that what
// ends on the same day ends together. An empty one means no end.
func (v *visit) endOf(name string) (time.Time, error) {
	if v.field(name) == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, v.field(name))
	if err != nil {
		return t, fault.Invalidf("date.malformed", "%q is not a date.", v.field(name)).WithField(name).WithNext("Write it as 2027-12-31.")
	}
	return t.Add(24*time.Hour - time.Second), nil
}

func (v *visit) accountFields(name, ends string) templ.Component {
	return side(
		ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name"), Hint: v.say("Of the system; it stands in the audit log"), Value: name, Required: true, MaxLength: 200, Focus: v.formPage()}),
		ui.Field(ui.FieldProps{Name: "ends", Label: v.say("End date"), Hint: v.say("The last day, in UTC; tokens and certificates end with it"), Type: "date", Value: ends, Optional: true}),
	)
}

// homes lists where an account can belong, for whoever may add one there.
func (v *visit) homes() []ui.Option {
	var out []ui.Option
	for _, o := range v.clientOptions(func(cl access.Client) bool { return v.scope().Allows(access.AccountWrite, cl.Realm, cl.ID) }) {
		o.Value = string(v.clientNames[o.Value].Realm) + "/" + o.Value
		out = append(out, o)
	}
	for _, r := range access.Realms() {
		if v.scope().Allows(access.AccountWrite, r, "") {
			out = append(out, ui.Option{Value: string(r) + "/", Label: v.say("All of %s", v.realmName(r))})
		}
	}
	if v.scope().Allows(access.AccountWrite, "", "") {
		out = append(out, ui.Option{Value: "/", Label: v.say("Everything")})
	}
	return out
}

func (c *console) accountForm(v *visit, cause error) error {
	if err := v.scope().RequireAnywhere(access.AccountWrite); err != nil {
		return err
	}
	if _, err := v.clients(); err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("Add a service account"), Breadcrumb: []ui.Crumb{{Label: v.say("Service accounts"), Href: "/accounts"}}},
		card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true},
			ui.Select(ui.SelectProps{Name: "over", Label: v.say("Belongs to"), Hint: v.say("It can get no rights outside"), Required: true, Value: v.field("over"), Options: v.homes(), Width: "medium"}),
			v.accountFields(v.field("name"), v.field("ends")), v.saveButtons(v.say("Add the account"), "/accounts"))))
}

func (c *console) createAccount(v *visit) error {
	v.back = "/accounts/new"
	ends, err := v.endOf("ends")
	var a access.ServiceAccount
	if err == nil {
		realm, client, _ := strings.Cut(v.field("over"), "/")
		a, err = c.Access.CreateAccount(v.ctx, v.scope(), access.Realm(realm), client, access.AccountFields{Name: v.field("name"), Ends: ends})
	}
	if v.onForm(err) {
		return c.accountForm(v, err)
	}
	if err != nil {
		return err
	}
	return v.done("/accounts/"+a.ID, "account.created")
}

func (c *console) showAccount(v *visit, cause error) error {
	v.back = "/accounts/" + v.id()
	a, err := c.Access.Account(v.ctx, v.scope(), v.id())
	if err != nil {
		return err
	}
	if _, err := v.clients(); err != nil {
		return err
	}
	p := ui.PageProps{Title: a.Name, Lead: v.say("Service account"), Environment: environment(a.Realm), Breadcrumb: []ui.Crumb{{Label: v.say("Service accounts"), Href: "/accounts"}}}
	body := []templ.Component{card(ui.CardProps{Title: v.say("Account"), Actions: ui.Badge(v.accountState(a))}, ui.DescriptionList([]ui.Description{
		{Term: v.say("Belongs to"), Value: ui.Text(v.place(a.Realm, a.Client))},
		{Term: v.say("Ends"), Value: ui.Time(a.Ends)},
		{Term: v.say("Since"), Value: ui.Date(a.Created)},
		{Term: v.say("Id"), Value: ui.Mono(a.ID)},
	}))}
	for _, part := range []func(*visit, string) (templ.Component, error){c.tokensCard, c.certsCard} {
		one, err := part(v, a.ID)
		if err != nil {
			return err
		}
		body = append(body, one)
	}
	rights, err := c.grantsCard(v, a.ID, a.Name)
	if err != nil {
		return err
	}
	body = append(body, rights)
	if v.scope().Allows(access.AccountWrite, a.Realm, a.Client) {
		name, ends := a.Name, day(a.Ends)
		if cause != nil {
			name, ends = v.field("name"), v.field("ends")
		}
		body = append(body, card(ui.CardProps{Title: v.say("Change")}, form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true}, v.accountFields(name, ends), v.saveButtons(v.say("Save"), "/accounts"))))
		if a.Status == access.Disabled {
			p.Actions = act("/accounts/"+a.ID+"/enable", ui.ButtonProps{Label: v.say("Enable"), Icon: "check"})
		} else {
			p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Disable …"), Icon: "blocked", Variant: ui.DestructiveQuiet, Href: "/accounts/" + a.ID + "/disable"})
		}
	}
	return v.show(p, body...)
}

func (c *console) updateAccount(v *visit) error {
	v.back = "/accounts/" + v.id()
	ends, err := v.endOf("ends")
	if err == nil {
		_, err = c.Access.UpdateAccount(v.ctx, v.scope(), v.id(), access.AccountFields{Name: v.field("name"), Ends: ends})
	}
	if v.onForm(err) {
		return c.showAccount(v, err)
	}
	if err != nil {
		return err
	}
	return v.done(v.back, "saved")
}

func (c *console) askDisableAccount(v *visit) error {
	a, err := c.Access.Account(v.ctx, v.scope(), v.id())
	if err == nil {
		err = v.scope().Require(access.AccountWrite, a.Realm, a.Client)
	}
	if err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{
		Title: v.say("Disable %s?", a.Name), Object: a.Name, Confirm: v.say("Disable the account"),
		Text: v.say("Its tokens and certificates are refused at once; integrations that use them stop. It can be undone."),
	}, "/accounts/"+a.ID,
		ui.Crumb{Label: v.say("Service accounts"), Href: "/accounts"}, ui.Crumb{Label: a.Name, Href: "/accounts/" + a.ID})
}

func (c *console) disableAccount(v *visit) error {
	v.back = "/accounts/" + v.id()
	if err := c.Access.DisableAccount(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done(v.back, "account.disabled")
}

func (c *console) enableAccount(v *visit) error {
	v.back = "/accounts/" + v.id()
	if err := c.Access.EnableAccount(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done(v.back, "account.enabled")
}
