package console

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"net/url"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Second factors are set up on the same pages by whoever must, right after the
// first log-in, and by whoever wants another one later.
func (c *console) factorRoutes() []route {
	return []route{
		{"GET /factors/new", begun, c.newFactor},
		{"POST /factors/app", begun, c.beginApp},
		{"POST /factors/app/confirm", begun, c.confirmApp},
		{"POST /factors/passkey/begin", begun, c.beginPasskey},
		{"POST /factors/passkey", begun, c.addPasskey},
		{"POST /factors/app/remove", member, c.removeApp},
		{"POST /factors/passkey/{id}/remove", member, c.removePasskey},
		{"POST /factors/codes", member, c.newCodes},
	}
}

const factorsPage = "/factors/new"

// mayEnrol leads elsewhere whoever has nothing to do here.
func (v *visit) mayEnrol() (err error, answered bool) {
	v.back = factorsPage
	switch v.session.Stage {
	case access.NeedsSecondFactor:
		v.goStage(v.session, factorsPage)
		return nil, true
	case access.SignedIn:
		return v.session.RequireRecent(v.now(), recent), false
	}
	return nil, false
}

func (c *console) newFactor(v *visit) error {
	if err, answered := v.mayEnrol(); err != nil || answered {
		return err
	}
	return c.showNewFactor(v, nil)
}

func (c *console) showNewFactor(v *visit, err error) error {
	f, ferr := c.Access.Factors(v.ctx, v.session)
	if ferr != nil {
		return ferr
	}
	p := ui.BareProps{
		Title: v.say("Add a second factor"), Modules: module("passkey.js"),
		Lead: v.say("A password can be overheard. With a second factor it is of no use to anybody else."),
	}
	name := v.r.PostFormValue("name")
	if name == "" {
		name = v.say("Passkey of %s", v.session.Operator.Name)
	}
	body := stack(
		ui.ErrorSummary(ui.ErrorsOf(err)),
		v.passkeyForm(passkeyProps{Kind: "create", Action: "/factors/passkey", Begin: "/factors/passkey/begin", Label: v.say("Set up a passkey"), Variant: ui.Primary},
			text(v.say("A passkey lives in this device, your phone or a security key. You confirm with a finger or PIN, and nothing can be phished. This is the best choice.")),
			ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name of the passkey"), Hint: v.say("To tell it from others later"), Value: name, Required: true, MaxLength: 60}),
		),
	)
	if f.TOTP {
		return v.sheet(p, body)
	}
	return v.sheet(p, body, form(ui.FormProps{Action: "/factors/app"},
		hidden("next", v.next()),
		text(v.say("Or use an authenticator app, which shows a new six-digit code every half minute.")),
		ui.Button(ui.ButtonProps{Label: v.say("Set up an authenticator app"), Icon: "phone", Block: true})))
}

func (c *console) beginApp(v *visit) error {
	if err, answered := v.mayEnrol(); err != nil || answered {
		return err
	}
	e, err := c.Access.BeginTOTP(v.ctx, v.session)
	if err != nil {
		return err
	}
	return c.showApp(v, e.URL.Reveal(), nil)
}

// showApp shows the app's secret until it is confirmed. The form carries it, so
// that a wrong code does not make the visitor begin anew; what counts is the
// secret that the domain keeps.
func (c *console) showApp(v *visit, address string, err error) error {
	u, perr := url.Parse(address)
	if perr != nil || u.Scheme != "otpauth" {
		return fault.Invalidf("totp.form", "The form is not complete.").WithNext("Begin again.")
	}
	picture, perr := qrCode(address)
	if perr != nil {
		return perr
	}
	return v.sheet(ui.BareProps{Title: v.say("Set up the authenticator app"), Lead: v.say("Scan the picture with the app, then type the code that it shows.")},
		ui.QR(ui.QRProps{Src: picture, Alt: v.say("QR code with the secret for your authenticator app; it stands below as text"), Caption: v.session.Operator.Email}),
		ui.CopyBox(ui.CopyProps{ID: "secret", Label: v.say("Or type this secret into the app"), Value: grouped(u.Query().Get("secret"))}),
		form(ui.FormProps{Action: "/factors/app/confirm", Errors: ui.ErrorsOf(err)},
			hidden("next", v.next()), hidden("url", address),
			ui.Field(ui.FieldProps{Name: "code", Label: v.say("Code from the app"), InputMode: "numeric", Autocomplete: "one-time-code", Required: true, Mono: true, MaxLength: 7, Focus: true}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Confirm"), Variant: ui.Primary, Block: true})),
		),
		linkLine(v.say("Choose another second factor"), withNext(factorsPage, v.next())),
	)
}

func (c *console) confirmApp(v *visit) error {
	v.back = factorsPage
	e, err := c.Access.ConfirmTOTP(v.ctx, v.session, v.field("code"))
	if v.onForm(err) {
		return c.showApp(v, v.field("url"), err)
	}
	if err != nil {
		return err
	}
	return c.enrolled(v, e)
}

func (c *console) beginPasskey(v *visit) error {
	return v.ceremony(c.Access.BeginPasskey(v.ctx, v.session))
}

func (c *console) addPasskey(v *visit) error {
	v.back = factorsPage
	id, response := v.answer()
	e, err := c.Access.FinishPasskey(v.ctx, v.session, id, v.field("name"), response)
	if err != nil && (v.onForm(err) || fault.Of(err).Kind == fault.Gone) {
		return c.showNewFactor(v, err)
	}
	if err != nil {
		return err
	}
	return c.enrolled(v, e)
}

// enrolled goes on after a factor was stored: the first one comes with codes.
func (c *console) enrolled(v *visit, e access.Enrolled) error {
	if !e.Login.Token.Empty() {
		v.keep(e.Login)
	}
	if len(e.Recovery) == 0 {
		return v.done("/me/security", "factor.added")
	}
	return v.showCodes(e.Recovery)
}

func (v *visit) showCodes(list []secret.Text) error {
	var shown []string
	for _, code := range list {
		shown = append(shown, code.Reveal())
	}
	return v.sheet(ui.BareProps{Title: v.say("Keep your recovery codes"), Lead: v.say("They are shown this once. Each lets you in one time when you have lost your second factor.")},
		codes(v.say("Recovery codes"), lines(shown)),
		points([]string{v.say("Print them, or keep them in a password manager."), v.say("Do not keep them with your password."), v.say("Whoever has lost them makes new ones under My details.")}),
		ui.Button(ui.ButtonProps{Label: v.say("I have kept them"), Variant: ui.Primary, Block: true, Href: v.next()}),
	)
}

func (c *console) newCodes(v *visit) error {
	v.back = "/me/security"
	list, err := c.Access.NewRecoveryCodes(v.ctx, v.session)
	if err != nil {
		return err
	}
	return v.showCodes(list)
}

func (c *console) removeApp(v *visit) error {
	v.back = "/me/security"
	if err := c.Access.RemoveTOTP(v.ctx, v.session); err != nil {
		return err
	}
	return v.done("/me/security", "factor.removed")
}

func (c *console) removePasskey(v *visit) error {
	v.back = "/me/security"
	if err := c.Access.RemovePasskey(v.ctx, v.session, v.id()); err != nil {
		return err
	}
	return v.done("/me/security", "factor.removed")
}

// qrSize is in pixels: four for each module of a code of this length.
const qrSize = 240

// qrCode draws a text as an image in a data URL, so that the secret in it has no
// address of its own.
func qrCode(content string) (string, error) {
	code, err := qr.Encode(content, qr.M, qr.Auto)
	if err != nil {
		return "", err
	}
	if code, err = barcode.Scale(code, qrSize, qrSize); err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, code); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// grouped sets a secret in groups of four, for people who type it off.
func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
