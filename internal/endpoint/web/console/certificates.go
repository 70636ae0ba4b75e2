package console

import (
	"crypto"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/apicert"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

func (v *visit) certState(x apicert.Certificate) (ui.State, string) {
	switch {
	case x.Expired(v.now()):
		return ui.Neutral, v.say("Expired")
	case x.Status == apicert.Disabled:
		return ui.Warn, v.say("Disabled")
	case x.Ends.Sub(v.now()) < soon:
		return ui.Warn, v.say("Expires soon")
	}
	return ui.OK, v.say("Active")
}

// certsCard lists client authentication certificates by nickname (D9), with their
// expiry and status.
func (c *console) certsCard(v *visit, ownerID string) (templ.Component, error) {
	items, err := c.APICerts.List(v.ctx, v.scope(), ownerID)
	if err != nil {
		return nil, err
	}
	type x = apicert.Certificate
	l := listing[x]{
		id: "client-certificates", caption: v.say("Client authentication certificates"),
		columns: []column[x]{
			nameColumn(v.say("Nickname"), func(x x) string { return x.Nickname }, nil),
			badgeColumn(v.say("Status"), v.certState),
			dateColumn(v.say("Expires"), func(x x) time.Time { return x.Ends }),
			badgeColumn(v.say("File"), func(x x) (ui.State, string) {
				if x.Fetched.IsZero() {
					return ui.Info, v.say("Not downloaded")
				}
				return ui.Neutral, v.say("Downloaded")
			}),
			dateColumn(v.say("Created"), func(x x) time.Time { return x.Created }),
			buttonColumn(v.say("Acts"), func(x x) templ.Component {
				at := "/client-certificates/" + x.ID
				toggle := act(at+"/disable", ui.ButtonProps{Label: v.say("Disable"), Small: true})
				if x.Status == apicert.Disabled {
					toggle = act(at+"/enable", ui.ButtonProps{Label: v.say("Enable"), Small: true})
				}
				return rowActs(toggle, ui.Button(ui.ButtonProps{Label: v.say("Delete …"), Small: true, Variant: ui.DestructiveQuiet, Href: at + "/delete"}))
			}),
		},
		href: func(x x) string { return "/client-certificates/" + x.ID },
		empty: ui.EmptyStateProps{
			Icon: "certificate", Title: v.say("No client authentication certificates"),
			Text: v.say("A certificate takes the place of an API token: the program proves who it is by mutual TLS, and no key travels with the request."),
		},
	}
	p := ui.CardProps{Title: v.say("Client authentication certificates"), Flush: true}
	if v.mayCreate(ownerID, access.APICertOwn) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Create a certificate"), Icon: "plus", Small: true, Href: "/client-certificates/new?owner=" + ownerID})
	}
	return card(p, ui.Table(l.table(items))), nil
}

// tokenLimit tells until when a certificate may live, from the tokens that the
// visitor may see (D10). The domain decides; this is for the hint.
func (c *console) tokenLimit(v *visit, ownerID string) (end time.Time, hint string) {
	found, err := c.Access.Tokens(v.ctx, v.scope(), ownerID, store.Page{Limit: store.MaxLimit})
	if err != nil {
		return end, v.say("Not after the API token's end date. It cannot be changed later.")
	}
	usable := slices.DeleteFunc(found.Items, func(t access.Token) bool { return !t.Enabled || !t.Ends.IsZero() && !v.now().Before(t.Ends) })
	if len(usable) == 0 {
		return end, v.say("A certificate needs an enabled API token beside it; create one first.")
	}
	for _, t := range usable {
		if t.Ends.IsZero() {
			return time.Time{}, v.say("The last day, in UTC. It cannot be changed later. The API token has no end date, so it sets no limit.")
		}
		if t.Ends.After(end) {
			end = t.Ends
		}
	}
	return end, v.say("At the latest %s, when the API token ends: change or remove the token's end date first if that is too early. It cannot be changed later.", day(end))
}

var hashes = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

func (c *console) certForm(v *visit, cause error) error {
	o, err := v.ownerOf(v.field("owner"))
	if err != nil {
		return err
	}
	v.back = o.list
	limit, hint := c.tokenLimit(v, o.id)
	ends, encryption, hash := v.field("ends"), v.field("encryption"), v.field("hash")
	if ends == "" && cause == nil {
		at := v.now().AddDate(1, 0, 0)
		if !limit.IsZero() && limit.Before(at) {
			at = limit
		}
		ends = day(at)
	}
	if encryption == "" {
		encryption = string(pkcs12.Modern)
	}
	if hash == "" {
		hash = "SHA-256"
	}
	return v.show(ui.PageProps{Title: v.say("Create a client authentication certificate"), Lead: v.say("For %s", o.name), Breadcrumb: o.crumbs}, columns(
		card(ui.CardProps{}, form(ui.FormProps{Action: "/client-certificates/new", Errors: ui.ErrorsOf(cause)}, hidden("owner", o.id),
			ui.Field(ui.FieldProps{Name: "nickname", Label: v.say("Nickname"), Hint: v.say("Unique; letters, digits, spaces, dashes and underscores"), Value: v.field("nickname"), Required: true, MaxLength: 60, Pattern: "[A-Za-z0-9 _\\-]+", Focus: true}),
			ui.Field(ui.FieldProps{Name: "ends", Label: v.say("End date"), Hint: hint, Type: "date", Value: ends, Required: true, Min: day(v.now()), Max: day(limit), Width: "medium"}),
			side(
				ui.Select(ui.SelectProps{Name: "encryption", Label: v.say("Encryption"), Blank: "-", Value: encryption, Options: v.encryptions(), Help: v.legacyHelp()}),
				ui.Select(ui.SelectProps{Name: "hash", Label: v.say("Signature hash"), Blank: "-", Value: hash, Options: []ui.Option{
					{Value: "SHA-256", Label: v.say("SHA-256 (recommended)")}, {Value: "SHA-384", Label: "SHA-384"}, {Value: "SHA-512", Label: "SHA-512"},
				}}),
			),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Generate certificate"), Variant: ui.Primary}), ui.Button(ui.ButtonProps{Label: v.say("Cancel"), Variant: ui.Quiet, Href: o.list})))),
		card(ui.CardProps{Title: v.say("Before you begin")}, points([]string{
			v.say("The password is shown once, the file can be downloaded once. Whoever loses either generates a new certificate."),
			v.say("The end date cannot be changed. Note it, and replace the certificate before it, or calls fail."),
			v.say("Calls go to the clientauth host, with the path of the file in the request and no API key."),
			v.say("The certificate has the rights of its owner. Use a service account for a system, so that the audit log tells it from people."),
		})),
	))
}

func (c *console) createCert(v *visit) error {
	o, err := v.ownerOf(v.field("owner"))
	if err != nil {
		return err
	}
	v.back = o.list
	ends, err := v.endOf("ends")
	if err == nil && ends.IsZero() {
		err = fault.Invalidf("apicert.ends", "A certificate needs an end date.").WithField("ends")
	}
	if err != nil {
		v.onForm(err)
		return c.certForm(v, err)
	}
	x, password, err := c.APICerts.Create(v.ctx, v.scope(), o.id, apicert.Fields{
		Nickname: v.field("nickname"), Ends: ends, Encryption: pkcs12.Profile(v.field("encryption")), Hash: hashes[v.field("hash")],
	})
	if v.onForm(err) {
		return c.certForm(v, err)
	}
	if err != nil {
		return err
	}
	return v.show(ui.PageProps{Title: v.say("Your certificate is ready"), Lead: x.Nickname, Breadcrumb: o.crumbs}, columns(card(ui.CardProps{},
		ui.CopyBox(ui.CopyProps{ID: "password", Label: v.say("Password of the file"), Value: password.Reveal(), Large: true}),
		text(v.say("It is shown this once. You need it to install the certificate and in API requests.")),
		buttons(
			act("/client-certificates/"+x.ID+"/download", ui.ButtonProps{Label: v.say("Download once"), Icon: "download", Variant: ui.Primary}),
			ui.Button(ui.ButtonProps{Label: v.say("Close"), Href: o.list}),
		)),
		card(ui.CardProps{Title: v.say("Next")}, points([]string{
			v.say("Copy the password now: it is gone when you close this page. The file can be downloaded once."),
			v.say("Note the end date, %s: the certificate must be replaced before it.", day(x.Ends)),
			v.say("Never send file or password by e-mail or chat."),
		})),
	))
}

// aCert reads the certificate of the address and whose it is.
func (v *visit) aCert() (apicert.Certificate, owner, error) {
	x, err := v.c.APICerts.Get(v.ctx, v.scope(), v.id())
	if err != nil {
		return x, owner{}, err
	}
	o, err := v.ownerOf(x.Owner)
	v.back = o.list
	return x, o, err
}

func (c *console) certPage(v *visit) error {
	x, o, err := v.aCert()
	if err != nil {
		return err
	}
	file := ui.Join(ui.Text(v.say("downloaded")), ui.Time(x.Fetched))
	body := []templ.Component{}
	if x.Fetched.IsZero() {
		file = ui.Text(v.say("not downloaded yet"))
		body = append(body, ui.Alert(ui.AlertProps{
			State: ui.Info, Text: v.say("The file can be downloaded once. Its password was shown when the certificate was made; without it the file is of no use."),
			Action: act("/client-certificates/"+x.ID+"/download", ui.ButtonProps{Label: v.say("Download once"), Icon: "download", Small: true}),
		}))
	}
	return v.show(ui.PageProps{Title: x.Nickname, Lead: v.say("Client authentication certificate of %s", o.name), Breadcrumb: o.crumbs},
		append(body, card(ui.CardProps{Title: v.say("Certificate"), Actions: ui.Badge(v.certState(x))}, ui.DescriptionList([]ui.Description{
			{Term: v.say("Expires"), Value: ui.Time(x.Ends)},
			{Term: v.say("Encryption"), Value: ui.Text(x.Encryption.String())},
			{Term: v.say("Signature hash"), Value: ui.Text(x.Hash)},
			{Term: v.say("File"), Value: file},
			{Term: v.say("Serial number"), Value: ui.Mono(x.Serial)},
			{Term: v.say("Issuer"), Value: ui.Text(x.Authority)},
			{Term: v.say("Created"), Value: ui.Join(ui.Time(x.Created), ui.Muted(v.say("by %s", x.CreatedBy)))},
		})))...)
}

func (c *console) downloadCert(v *visit) error {
	if _, _, err := v.aCert(); err != nil {
		return err
	}
	_, file, err := c.APICerts.Download(v.ctx, v.scope(), v.id())
	if err != nil {
		return err
	}
	return v.download(apicert.FileName, "application/x-pkcs12", file)
}

func (c *console) setCert(v *visit, enabled bool) error {
	x, o, err := v.aCert()
	if err != nil {
		return err
	}
	if err := c.APICerts.SetEnabled(v.ctx, v.scope(), x.ID, enabled); err != nil {
		return err
	}
	return v.done(o.list, map[bool]string{true: "cert.enabled", false: "cert.disabled"}[enabled])
}

func (c *console) askDeleteCert(v *visit) error {
	x, o, err := v.aCert()
	if err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{
		Title: v.say("Delete the certificate %s?", x.Nickname), Object: x.Nickname, Confirm: v.say("Delete the certificate"),
		Text: v.say("It is withdrawn; integrations that use it stop at once. It cannot be undone."),
	}, o.list, o.crumbs...)
}

func (c *console) deleteCert(v *visit) error {
	x, o, err := v.aCert()
	if err != nil {
		return err
	}
	if err := c.APICerts.Delete(v.ctx, v.scope(), x.ID); err != nil {
		return err
	}
	return v.done(o.list, "cert.deleted")
}
