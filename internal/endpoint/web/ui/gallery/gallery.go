// Package gallery shows every component of package ui in all its states, on
// pages like those of the product. Tests look at them in a browser; the
// templates are examples for authors of pages. No command serves it.
package gallery

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate -path .

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
)

// Paths lists the pages of the gallery.
func Paths() []string {
	return []string{"/", "/certificates", "/order", "/form", "/form?fault=1", "/confirm", "/error", "/empty", "/login", "/pickup", "/sign", "/gone"}
}

// A view is what a page of the gallery is told by its request.
type view struct {
	Theme theme.Choice
	Path  string
	URL   *url.URL
	Fault bool
}

var now = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// Handler serves the gallery as the product serves its pages: with the
// security headers, static files and theme switch of package theme.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/static/", theme.Handler())
	mux.Handle(theme.SwitchPath, theme.SwitchHandler())
	for path, page := range map[string]func(view) templ.Component{
		"/{$}": overview, "/certificates": certificates, "/order": order, "/form": form, "/confirm": confirm,
		"/error": failure, "/empty": empty, "/login": login, "/pickup": pickup, "/sign": sign, "/gone": gone,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			v := view{Theme: theme.FromRequest(r), Path: r.URL.RequestURI(), URL: r.URL, Fault: r.URL.Query().Has("fault")}
			templ.Handler(page(v)).ServeHTTP(w, r)
		})
	}
	mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		templ.Handler(acted(view{Theme: theme.FromRequest(r), Path: "/"}, r.PostForm.Encode())).ServeHTTP(w, r)
	})
	return theme.SecurityHeaders(mux)
}

func props(v view, title, lead string, crumbs ...ui.Crumb) ui.PageProps {
	here := "/"
	if v.URL != nil {
		here = v.URL.Path
	}
	nav := []ui.NavItem{
		{Label: "Overview", Href: "/", Icon: "home"},
		{Label: "Certificates", Href: "/certificates", Icon: "certificate", Group: "Registration"},
		{Label: "Orders", Href: "/order", Icon: "list", Group: "Registration", Count: 3},
		{Label: "Order a certificate", Href: "/form", Icon: "plus", Group: "Registration"},
		{Label: "Clients", Href: "/empty", Icon: "building", Group: "Administration"},
		{Label: "Operators", Href: "/confirm", Icon: "users", Group: "Administration"},
		{Label: "Jobs", Href: "/error", Icon: "clock", Group: "Administration"},
	}
	for i := range nav {
		nav[i].Current = nav[i].Href == here
	}
	environment := ui.Production
	if here == "/order" || here == "/form" {
		environment = ui.Preprod
	}
	return ui.PageProps{
		Title: title, Lead: lead, Theme: v.Theme, Path: v.Path, Nav: nav, Environment: environment,
		Breadcrumb: append([]ui.Crumb{{Label: "Overview", Href: "/"}}, append(crumbs, ui.Crumb{Label: title})...),
		User:       &ui.UserMenu{Name: "A. Operator", Detail: "RA operator, Example Bank", SignOut: "/act", Links: []ui.Crumb{{Label: "Profile and keys", Href: "/form"}}},
		Version:    "1.0.0", Correlation: "9f2c41d07be8a365",
	}
}

func bare(v view, title, lead string) ui.BareProps {
	return ui.BareProps{Title: title, Lead: lead, Theme: v.Theme, Path: v.Path, Version: "1.0.0", Correlation: "9f2c41d07be8a365", Footer: bareLinks()}
}

func certificateTable(v view) ui.TableProps {
	type row struct {
		name, sans, product, owner, state string
		is                                ui.State
		days                              int
	}
	table := ui.TableProps{
		ID: "certificates", Caption: "Certificates", URL: v.URL, Count: "1–6 of about 12,400", Next: "c6", CSV: true,
		Columns: []ui.Column{
			{Label: "Name", Sort: "name", Primary: true},
			{Label: "Product"},
			{Label: "Owner", Sort: "owner"},
			{Label: "Valid until", Sort: "until", Narrow: true},
			{Label: "State", Narrow: true},
			{Label: "Days", Numeric: true, Sort: "days"},
		},
		Bulk: &ui.Bulk{Action: "/act", Buttons: []ui.ButtonProps{
			{Label: "Renew", Icon: "refresh", Name: "do", Value: "renew", Small: true},
			{Label: "Revoke …", Icon: "blocked", Name: "do", Value: "revoke", Variant: ui.DestructiveQuiet, Small: true},
		}},
	}
	for _, r := range []row{
		{"www.example.org", "example.org, api.example.org", "TLS organisation validated", "Web platform", "Valid", ui.OK, 212},
		{"payments.example.com", "payments-standby.example.com", "TLS organisation validated", "Payments", "Expires soon", ui.Warn, 9},
		{"legacy-gateway.internal.example.net", "", "TLS internal", "Network", "Revoked", ui.Danger, 40},
		{"Example Bank seal 2026", "", "Electronic seal", "Documents", "Waits for approval", ui.Info, 364},
		{"a-very-long-host-name-that-nobody-should-have-chosen.department.example.org", "", "TLS domain validated", "", "Valid", ui.OK, 61},
		{"mail.example.org", "smtp.example.org, imap.example.org", "TLS domain validated", "Mail", "Replaced", ui.Neutral, 3},
	} {
		table.Rows = append(table.Rows, ui.Row{
			Href: "/order?name=" + url.QueryEscape(r.name), Name: r.name, Select: r.name,
			Cells: ui.Cells(ui.TwoLines(r.name, r.sans), ui.Text(r.product), ui.Text(r.owner),
				ui.Date(now.AddDate(0, 0, r.days)), ui.Badge(r.is, r.state), ui.Text(strconv.Itoa(r.days))),
		})
	}
	return table
}

func history() []ui.Step {
	return []ui.Step{
		{State: ui.StepDone, Title: "Order received", At: now, Took: "4 ms", Detail: "From the RA API, request of 2,048 bits checked"},
		{State: ui.StepDone, Title: "Control of www.example.org shown", At: now.Add(2 * time.Second), Took: "1.8 s", Detail: "DNS, three perspectives agree", Body: ui.Text("Record _validation.www.example.org seen from north, west and south.")},
		{State: ui.StepFailed, Title: "Certificate transparency", At: now.Add(9 * time.Second), Took: "5 s", Detail: "The log “Example 2026h1” did not answer; tried 3 times"},
		{State: ui.StepCurrent, Title: "Certificate transparency, again", At: now.Add(70 * time.Second), Detail: "Next try in 2 minutes"},
		{Title: "Issue"},
		{Title: "Publish"},
	}
}

func reasons() []ui.Option {
	return []ui.Option{{Value: "key", Label: "The key is compromised", Group: "Urgent"}, {Value: "name", Label: "The name is no longer ours", Group: "Ordinary"}, {Value: "stop", Label: "Out of use", Group: "Ordinary"}}
}

func revocation(page string) ui.ConfirmProps {
	return ui.ConfirmProps{
		ID: "revoke", Label: "Revoke …", Icon: "blocked", Variant: ui.DestructiveQuiet, Title: "Revoke the certificate for www.example.org?",
		Object: "www.example.org · serial 4a:91:0c:77", Text: "Browsers refuse it within the hour. This cannot be undone.",
		Confirm: "Revoke certificate", Action: "/act", Href: page, Hidden: []ui.Hidden{{Name: "serial", Value: "4a910c77"}},
		Body: ui.Select(ui.SelectProps{Name: "reason", Label: "Reason", Required: true, Options: reasons()}),
	}
}

const certificateText = `-----BEGIN CERTIFICATE-----
MIIB0jCCAXigAwIBAgIUUG9zc2libHkgbm90IGEgcmVhbCBvbmUwCgYIKoZIzj0E
AwIwRjELMAkGA1UEBhMCREsxGDAWBgNVBAoMD0V4YW1wbGUgUHJlcHJvZDEdMBsG
A1UEAwwURXhhbXBsZSBUTFMgQ0EgUHJlcDAeFw0yNjAzMTQwOTI2NTNaFw0yNjEw
-----END CERTIFICATE-----`

// picture stands for a QR code: a pattern of squares.
const picture = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 21 21'%3E%3Cpath d='M0 0h7v7H0zm1 1v5h5V1zm1 1h3v3H2zM14 0h7v7h-7zm1 1v5h5V1zm1 1h3v3h-3zM0 14h7v7H0zm1 1v5h5v-5zm1 1h3v3H2zM8 1h2v2H8zm3 3h2v3h-2zM8 8h3v2H8zm5 0h2v4h-2zm4 1h3v2h-3zM1 9h4v2H1zm8 4h3v2H9zm5 2h2v2h-2zm4-1h2v4h-2zm-8 4h4v2h-4zm6 1h4v2h-4z' fill-rule='evenodd'/%3E%3C/svg%3E"

func formErrors(v view) ui.Errors {
	if !v.Fault {
		return nil
	}
	return ui.Errors{
		{Message: "The order was not sent."},
		{Field: "names", Message: "“exa mple.org” is not a host name. Write one name per line."},
		{Field: "until", Message: "The end lies before the beginning."},
		{Field: "key", Message: "Choose where the key is made."},
		{Field: "terms", Message: "Accept the terms to continue."},
		{Field: "csr", Message: "The file is not a certificate request."},
	}
}
