package console

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/telemetry"
)

// show renders a page with menu around its parts.
func (v *visit) show(p ui.PageProps, body ...templ.Component) error {
	p.Lang, p.Theme, p.Path = v.language(), v.theme(), v.path()
	p.Nav, p.Flash = v.nav(), append(v.flashes(), p.Flash...)
	p.Version, p.Correlation = v.c.Version, telemetry.Correlation(v.ctx)
	if v.r.URL.Path != "/" {
		p.Breadcrumb = append([]ui.Crumb{{Label: v.say("Overview"), Href: "/"}}, append(p.Breadcrumb, ui.Crumb{Label: p.Title})...)
	}
	o := v.session.Operator
	p.User = &ui.UserMenu{Name: o.Name, Detail: o.Email, SignOut: "/logout", Links: []ui.Crumb{{Label: v.say("My details"), Href: "/me"}}}
	return v.render(page(p, body))
}

// sheet renders a page of one column, for signing in.
func (v *visit) sheet(p ui.BareProps, body ...templ.Component) error {
	p.Lang, p.Theme, p.Path = v.language(), v.theme(), v.path()
	p.Flash = append(v.flashes(), p.Flash...)
	p.Version, p.Correlation = v.c.Version, telemetry.Correlation(v.ctx)
	return v.render(barePage(p, body))
}

// path is where the theme switch comes back to. A page that answers a form has
// no address of its own to come back to, and the address of an invitation is a
// secret that stands nowhere else.
func (v *visit) path() string {
	if v.r.Method == http.MethodGet && !strings.HasPrefix(v.r.URL.Path, "/invitation/") {
		return v.r.URL.RequestURI()
	}
	return local(v.back)
}

// theme is the browser's own choice, or else the operator's.
func (v *visit) theme() theme.Choice {
	if c := theme.FromRequest(v.r); c != theme.Auto {
		return c
	}
	switch v.session.Operator.Theme {
	case string(theme.Light):
		return theme.Light
	case string(theme.Dark):
		return theme.Dark
	}
	return theme.Auto
}

// nav shows what the scope holds, and nothing that would only be refused.
func (v *visit) nav() []ui.NavItem {
	s := v.scope()
	var items []ui.NavItem
	add := func(ok bool, group, label, href, icon string) {
		if ok {
			items = append(items, ui.NavItem{Group: group, Label: label, Href: href, Icon: icon, Current: v.at(href)})
		}
	}
	certificates, people, operation := v.say("Certificates"), v.say("Clients and people"), v.say("Operation")
	add(true, "", v.say("Overview"), "/", "home")
	add(s.Holds(access.CertificateSearch), certificates, v.say("Orders"), "/orders", "certificate")
	add(s.Holds(access.CertificateOrder), certificates, v.say("New order"), "/orders/new", "plus")
	add(s.Holds(access.ClientRead), people, v.say("Clients"), "/clients", "building")
	add(s.Holds(access.AccountRead), people, v.say("Service accounts"), "/accounts", "key")
	add(s.Holds(access.OperatorRead), people, v.say("Operators"), "/operators", "users")
	add(s.Holds(access.RoleRead), people, v.say("Roles"), "/roles", "shield")
	add(s.Holds(access.OutboxRead), operation, v.say("Outbox"), "/outbox", "mail")
	add(s.Allows(access.JobRead, "", ""), operation, v.say("Jobs"), "/jobs", "clock")
	add(s.Holds(access.AuthorityRead), operation, v.say("Authorities"), "/authorities", "lock")
	add(s.Holds(access.AuditRead), operation, v.say("Audit log"), "/audit", "list")
	return items
}

func (v *visit) at(href string) bool {
	p := v.r.URL.Path
	switch {
	case href == "/", href == "/orders/new", p == href:
		return p == href
	case href == "/orders" && p == "/orders/new":
		return false
	case href == "/clients" && (strings.HasPrefix(p, "/services/") || strings.HasPrefix(p, "/orderers/")):
		return true
	}
	return strings.HasPrefix(p, href+"/")
}

// formPage tells whether the page is there for its form, which then has the focus.
// On a page that shows an object, the form below it has not.
func (v *visit) formPage() bool {
	last := v.r.URL.Path[strings.LastIndexByte(v.r.URL.Path, '/'):]
	return last == "/new" || last == "/edit" || last == "/invite"
}

// flashes say what was just done. The address carries a code, never a text.
func (v *visit) flashes() []ui.Flash {
	if text, ok := doneTexts[v.r.URL.Query().Get("done")]; ok {
		return []ui.Flash{{State: ui.OK, Text: v.say(text)}}
	}
	return nil
}

func (v *visit) errorPage(err error) error {
	p := ui.ErrorOf(err, telemetry.Correlation(v.ctx))
	if v.session.Stage == access.SignedIn {
		p.Action = ui.Button(ui.ButtonProps{Label: v.say("To the overview"), Href: "/"})
		return v.show(ui.PageProps{Title: p.Title}, ui.ErrorPage(p))
	}
	p.Action = ui.Button(ui.ButtonProps{Label: v.say("Sign in"), Href: withNext("/login", v.back)})
	return v.sheet(ui.BareProps{Title: p.Title}, ui.ErrorPage(p))
}

// environment marks pages of objects that belong to a realm.
func environment(r access.Realm) ui.Environment { return ui.Environment(r) }
