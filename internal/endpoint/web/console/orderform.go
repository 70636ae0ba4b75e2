package console

import (
	"net/url"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// An orderForm is what the form of an order says, as it was typed.
type orderForm struct {
	Client, Service, ShortName, Orderer, Mode, CSR, Algorithm, Profile, Comment string
	ID                                                                          string // of the form: an order is placed once for each
}

func (v *visit) orderForm() orderForm {
	return orderForm{
		Client: v.field("client"), Service: v.field("service"), ShortName: v.field("short_name"), Orderer: v.field("orderer"), Mode: v.field("mode"),
		CSR: v.field("csr"), Algorithm: v.field("algorithm"), Profile: v.field("profile"), Comment: v.field("comment"), ID: v.field("form"),
	}
}

func (c *console) newOrder(v *visit) error {
	if err := v.scope().RequireAnywhere(access.CertificateOrder); err != nil {
		return err
	}
	f := v.orderForm()
	f.ID = ident.New("form")
	return c.showOrderForm(v, f, nil)
}

// mayOrder keeps the select to clients that the visitor may order for.
func (v *visit) mayOrder(cl access.Client) bool {
	return cl.Status == access.Active && v.scope().Allows(access.CertificateOrder, cl.Realm, cl.ID)
}

func (c *console) showOrderForm(v *visit, f orderForm, cause error) error {
	if _, err := v.clients(); err != nil {
		return err
	}
	choices := v.clientOptions(v.mayOrder)
	if len(choices) == 1 && f.Client == "" {
		f.Client = choices[0].Value
	}
	p := ui.PageProps{Title: v.say("Order a client certificate"), Breadcrumb: []ui.Crumb{{Label: v.say("Orders"), Href: "/orders"}}, Modules: module("order.js")}
	if f.Client == "" {
		return v.show(p, c.chooseClient(v, choices))
	}
	cl, err := c.Access.Client(v.ctx, v.scope(), f.Client)
	if err != nil {
		return err
	}
	if err := v.scope().Require(access.CertificateOrder, cl.Realm, cl.ID); err != nil {
		return err
	}
	services, err := c.Access.Services(v.ctx, v.scope(), access.ServiceQuery{Client: cl.ID, Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		return err
	}
	var people access.List[access.Orderer]
	if v.scope().Allows(access.OrdererRead, cl.Realm, cl.ID) {
		if people, err = c.Access.Orderers(v.ctx, v.scope(), access.OrdererQuery{Client: cl.ID, ActiveOnly: true, Page: store.Page{Limit: store.MaxLimit}}); err != nil {
			return err
		}
	}
	p.Environment, p.Lead = environment(cl.Realm), v.say("For %s", cl.Name)
	if len(choices) > 1 {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Another client"), Icon: "building", Href: "/orders/new"})
	}
	v.back = "/orders/new?" + url.Values{"client": {cl.ID}}.Encode()
	return v.show(p, columns(c.orderFields(v, f, cl, active(services.Items), people.Items, cause), v.orderAdvice()))
}

func active(list []access.Service) []access.Service {
	var out []access.Service
	for _, s := range list {
		if s.Status == access.Active {
			out = append(out, s)
		}
	}
	return out
}

// chooseClient is the first step for whoever orders for several clients.
func (c *console) chooseClient(v *visit, choices []ui.Option) templ.Component {
	if len(choices) == 0 {
		empty := ui.EmptyStateProps{Icon: "building", Title: v.say("There is no client to order for"), Text: v.say("A certificate belongs to a service of a client. Add the client and its service first.")}
		if v.scope().Holds(access.ClientWrite) {
			empty.Action = ui.Button(ui.ButtonProps{Label: v.say("Add a client"), Icon: "plus", Variant: ui.Primary, Href: "/clients/new"})
		}
		return card(ui.CardProps{}, ui.EmptyState(empty))
	}
	return card(ui.CardProps{}, form(ui.FormProps{Method: "get", Action: "/orders/new"},
		ui.Select(ui.SelectProps{Name: "client", Label: v.say("Client"), Required: true, Focus: true, Options: choices, Width: "medium"}),
		buttons(ui.Button(ui.ButtonProps{Label: v.say("Continue"), Variant: ui.Primary})),
	))
}

func (c *console) orderFields(v *visit, f orderForm, cl access.Client, services []access.Service, people []access.Orderer, cause error) templ.Component {
	if len(services) == 0 {
		empty := ui.EmptyStateProps{Icon: "settings", Title: v.say("%s has no service yet", cl.Name), Text: v.say("The service stands in the certificate; the certificate opens this service's data and nothing else.")}
		if v.scope().Allows(access.ServiceWrite, cl.Realm, cl.ID) {
			empty.Action = ui.Button(ui.ButtonProps{Label: v.say("Add a service"), Icon: "plus", Variant: ui.Primary, Href: "/clients/" + cl.ID + "/services/new"})
		}
		return card(ui.CardProps{}, ui.EmptyState(empty))
	}
	if f.Mode == "" {
		f.Mode = string(wscert.Generate)
	}
	if f.Profile == "" {
		f.Profile = string(pkcs12.Modern)
	}
	if f.Algorithm == "" {
		f.Algorithm = string(keys.P256)
	}
	if len(services) == 1 {
		f.Service = services[0].Name
	}
	return card(ui.CardProps{}, form(ui.FormProps{Action: "/orders/new", Errors: ui.ErrorsOf(cause), Guard: true},
		hidden("form", f.ID), hidden("client", cl.ID),
		side(
			ui.Select(ui.SelectProps{Name: "service", Label: v.say("Service"), Hint: v.say("The certificate opens this service's data and no other"), Required: true, Value: f.Service, Options: serviceOptions(services)}),
			ui.Field(ui.FieldProps{Name: "short_name", Label: v.say("Short name"), Hint: v.say("Of the application that calls the service, such as e-banking"), Value: f.ShortName, Required: true, MaxLength: 64, Focus: true}),
		),
		preview(v.say("Name of the certificate"), "{"+v.say("service")+"}-ws-ssl-{"+v.say("short name")+"}"),
		c.recipientField(v, f, cl, people),
		ui.RadioCards(ui.RadioCardsProps{Name: "mode", Label: v.say("Key"), Hint: v.say("Where it is made"), Required: true, Value: f.Mode, Options: []ui.Option{
			{Value: string(wscert.Generate), Label: v.say("Made here"), Detail: v.say("An encrypted file, fetched once with a one-time password"), Icon: "download"},
			{Value: string(wscert.Bring), Label: v.say("Recipient brings a request"), Detail: v.say("The key stays with the recipient, who brings a PKCS #10 request to the link"), Icon: "key"},
			{Value: string(wscert.Direct), Label: v.say("Paste a request now"), Detail: v.say("You have the PKCS #10 request; the certificate is issued at once"), Icon: "file"},
		}}),
		modeFields("generate", c.keyFields(v, f)),
		modeFields("direct", ui.TextArea(ui.TextAreaProps{Name: "csr", Label: v.say("Certificate request"), Hint: v.say("PEM. Only the key is taken from it; the names come from this order."), Value: f.CSR, Mono: true, Rows: 8, Placeholder: "-----BEGIN CERTIFICATE REQUEST-----"})),
		ui.TextArea(ui.TextAreaProps{Name: "comment", Label: v.say("Comment"), Hint: v.say("Seen by other operators"), Optional: true, Value: f.Comment, Rows: 2, MaxLength: 2000}),
		buttons(
			ui.Button(ui.ButtonProps{Label: v.say("Place the order"), Variant: ui.Primary}),
			ui.Button(ui.ButtonProps{Label: v.say("Cancel"), Variant: ui.Quiet, Href: "/orders"}),
		),
	))
}

func serviceOptions(services []access.Service) []ui.Option {
	var out []ui.Option
	for _, s := range services {
		out = append(out, ui.Option{Value: s.Name, Label: s.Name})
	}
	return out
}

// recipientField asks for the authorised person (N13, N14).
func (c *console) recipientField(v *visit, f orderForm, cl access.Client, people []access.Orderer) templ.Component {
	var options []ui.Option
	for _, p := range people {
		options = append(options, ui.Option{Value: p.ID, Label: p.Name + " · " + p.Email + " · " + p.Mobile})
	}
	field := ui.Select(ui.SelectProps{
		Name: "orderer", Label: v.say("Recipient"), Value: f.Orderer, Options: options,
		Hint: v.say("A person whom %s has authorised. The link goes by e-mail, the one-time password by SMS.", cl.Name),
	})
	if !v.scope().Allows(access.OrdererRead, cl.Realm, cl.ID) {
		field = ui.Field(ui.FieldProps{
			Name: "orderer", Label: v.say("Recipient"), Value: f.Orderer, Mono: true,
			Hint: v.say("The id of the authorised person. You may not see the list; ask whoever looks after %s.", cl.Name),
		})
	}
	if v.scope().Allows(access.OrdererWrite, cl.Realm, cl.ID) {
		return stack(field, ui.Link(v.say("Authorise another person"), "/clients/"+cl.ID+"/orderers/new"))
	}
	return field
}

func (c *console) keyFields(v *visit, f orderForm) templ.Component {
	return side(
		ui.Select(ui.SelectProps{Name: "algorithm", Label: v.say("Type of key"), Blank: "-", Value: f.Algorithm, Options: v.algorithms()}),
		ui.Select(ui.SelectProps{
			Name: "profile", Label: v.say("Encryption of the file"), Blank: "-", Value: f.Profile, Options: v.encryptions(),
			Help: v.legacyHelp(),
		}),
	)
}

func (v *visit) algorithms() []ui.Option {
	return []ui.Option{
		{Value: string(keys.P256), Label: v.say("EC P-256 (recommended)")},
		{Value: string(keys.P384), Label: "EC P-384"},
		{Value: string(keys.RSA2048), Label: "RSA 2048"},
		{Value: string(keys.RSA3072), Label: "RSA 3072"},
		{Value: string(keys.RSA4096), Label: "RSA 4096"},
	}
}

func (v *visit) encryptions() []ui.Option {
	return []ui.Option{
		{Value: string(pkcs12.Modern), Label: v.say("AES-256 (recommended)")},
		{Value: string(pkcs12.Legacy), Label: v.say("Legacy: 3DES and SHA-1, for old importers")},
	}
}

// legacyHelp names the symptom, because the importers' own message misleads.
func (v *visit) legacyHelp() string {
	return v.say("Take the legacy encryption only if the file is imported into Windows Server 2012 R2 or 2016, the keychain of macOS before 15, old Android or Cisco ASA. They answer “invalid password” to a file encrypted with AES-256, although the password is right.")
}

// orderAdvice is what the one who orders should know and pass on (N24 to N26).
func (v *visit) orderAdvice() templ.Component {
	return stack(
		card(ui.CardProps{Title: v.say("What happens next")}, points([]string{
			v.say("The recipient gets a link by e-mail and, separately, a one-time password by SMS. It is good for 30 minutes; a new one can be asked for."),
			v.say("The file is fetched once. Its password follows by SMS to the same number, after the last byte."),
			v.say("The certificate works at once, beside those that exist, and ends after two years."),
		})),
		card(ui.CardProps{Title: v.say("Tell the recipient")}, points([]string{
			v.say("Fetch the file directly on the server where it is used, or on a machine that is as well protected."),
			v.say("Leave no copies on unsecured computers."),
			v.say("Never send the file by e-mail, chat or another open channel: whoever holds it reads the service's documents."),
			v.say("One certificate for each application: do not share one."),
		})),
	)
}
