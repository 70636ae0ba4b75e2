package console

import (
	"encoding/json"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func (c *console) loginRoutes() []route {
	return []route{
		{"GET /login", open, c.loginPage},
		{"POST /login", open, c.login},
		{"POST /login/passkey/begin", open, c.loginPasskeyBegin},
		{"POST /login/passkey", open, c.loginPasskey},
		{"GET /login/second", begun, c.secondPage},
		{"POST /login/second", begun, c.second},
		{"POST /login/second/passkey/begin", begun, c.checkPasskeyBegin},
		{"POST /login/second/passkey", begun, c.secondPasskey},
		{"GET /login/recovery", begun, c.recoveryPage},
		{"POST /login/recovery", begun, c.recovery},
		{"GET /reauthenticate", member, c.reauthenticatePage},
		{"POST /reauthenticate", member, c.reauthenticate},
		{"POST /reauthenticate/passkey", member, c.reauthenticatePasskey},
		{"POST /logout", open, c.logout},
		{"GET /invitation/{token}", open, c.invitationPage},
		{"POST /invitation/{token}", open, c.invitation},
	}
}

func (c *console) loginPage(v *visit) error {
	if v.session.Stage == access.SignedIn {
		v.redirect(v.next())
		return nil
	}
	return c.showLogin(v, nil)
}

func (c *console) showLogin(v *visit, err error) error {
	return v.sheet(ui.BareProps{Title: v.say("Sign in"), Lead: v.say("For operators of the registration authority"), Modules: module("passkey.js")},
		form(ui.FormProps{Action: "/login", Errors: ui.ErrorsOf(err)},
			hidden("next", v.next()),
			ui.Field(ui.FieldProps{Name: "email", Label: v.say("E-mail"), Type: "email", Value: v.field("email"), Autocomplete: "username", Required: true, Focus: v.field("email") == ""}),
			ui.Field(ui.FieldProps{Name: "password", Label: v.say("Password"), Type: "password", Autocomplete: "current-password", Required: true, Focus: v.field("email") != ""}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Sign in"), Variant: ui.Primary, Block: true})),
		),
		v.passkeyForm(passkeyProps{Kind: "get", Action: "/login/passkey", Begin: "/login/passkey/begin", Label: v.say("Sign in with a passkey")}),
	)
}

func (c *console) login(v *visit) error {
	l, err := c.Access.Login(v.ctx, v.field("email"), v.password("password"), v.origin())
	if v.onForm(err) {
		return c.showLogin(v, err)
	}
	if err != nil {
		return err
	}
	v.keep(l)
	v.goStage(l.Session, v.next())
	return nil
}

// passkeyProps describe a form that an authenticator answers.
type passkeyProps struct {
	Kind, Action, Begin, Next string // Kind is "get" or "create"
	Label, Refused, NoScript  string
	Variant                   ui.Variant
}

func (v *visit) passkeyForm(p passkeyProps, fields ...templ.Component) templ.Component {
	p.Next = v.next()
	p.Refused = v.say("The passkey did not answer. Try again, or use another way.")
	p.NoScript = v.say("Passkeys need a browser with scripts switched on.")
	return passkey(p, fields...)
}

// ceremony answers the script with a challenge.
func (v *visit) ceremony(ce access.Ceremony, err error) error {
	if err != nil {
		return err
	}
	b, err := json.Marshal(struct {
		Ceremony string          `json:"ceremony"`
		Options  json.RawMessage `json:"options"`
	}{ce.ID, ce.Options})
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	_, _ = v.w.Write(b)
	return nil
}

func (v *visit) answer() (ceremony string, response []byte) {
	return v.r.PostFormValue("ceremony"), []byte(v.r.PostFormValue("response"))
}

func (c *console) loginPasskeyBegin(v *visit) error {
	return v.ceremony(c.Access.BeginPasskeyLogin(v.ctx))
}

func (c *console) loginPasskey(v *visit) error {
	id, response := v.answer()
	l, err := c.Access.FinishPasskeyLogin(v.ctx, id, response, v.origin())
	if err != nil && (v.onForm(err) || fault.Of(err).Kind == fault.Gone) {
		return c.showLogin(v, err)
	}
	if err != nil {
		return err
	}
	v.keep(l)
	v.goStage(l.Session, v.next())
	return nil
}

func (c *console) secondPage(v *visit) error {
	if v.session.Stage != access.NeedsSecondFactor {
		v.goStage(v.session, v.next())
		return nil
	}
	return c.showSecond(v, nil)
}

func (c *console) showSecond(v *visit, err error) error {
	f, ferr := c.Access.Factors(v.ctx, v.session)
	if ferr != nil {
		return ferr
	}
	p := ui.BareProps{Title: v.say("Show that it is you"), Lead: v.say("Signing in as %s", v.session.Operator.Email), Modules: module("passkey.js")}
	var body []templ.Component
	if f.TOTP || err != nil {
		body = append(body, form(ui.FormProps{Action: "/login/second", Errors: ui.ErrorsOf(err)},
			hidden("next", v.next()),
			ui.Field(ui.FieldProps{
				Name: "code", Label: v.say("Code from your authenticator app"), Hint: v.say("Six digits; a new one every half minute"), InputMode: "numeric",
				Autocomplete: "one-time-code", Required: true, Mono: true, MaxLength: 7, Focus: true,
			}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Continue"), Variant: ui.Primary, Block: true})),
		))
	}
	if len(f.Passkeys) > 0 {
		body = append(body, v.passkeyForm(passkeyProps{Kind: "get", Action: "/login/second/passkey", Begin: "/login/second/passkey/begin", Label: v.say("Use your passkey")}))
	}
	body = append(body, linkLine(v.say("I cannot use either: take a recovery code"), withNext("/login/recovery", v.next())),
		act("/logout", ui.ButtonProps{Label: v.say("Sign in as somebody else"), Variant: ui.Quiet, Block: true}))
	return v.sheet(p, body...)
}

func (c *console) second(v *visit) error {
	l, err := c.Access.VerifyTOTP(v.ctx, v.session, v.field("code"))
	return c.finishSecond(v, l, err, c.showSecond)
}

func (c *console) checkPasskeyBegin(v *visit) error {
	return v.ceremony(c.Access.BeginPasskeyCheck(v.ctx, v.session))
}

func (c *console) secondPasskey(v *visit) error {
	id, response := v.answer()
	l, err := c.Access.FinishPasskeyCheck(v.ctx, v.session, id, response)
	return c.finishSecond(v, l, err, c.showSecond)
}

func (c *console) finishSecond(v *visit, l access.Login, err error, again func(*visit, error) error) error {
	if err != nil && (v.onForm(err) || fault.Of(err).Kind == fault.Gone) {
		return again(v, err)
	}
	if err != nil {
		return err
	}
	v.keep(l)
	v.goStage(l.Session, v.next())
	return nil
}

func (c *console) recoveryPage(v *visit) error {
	if v.session.Stage != access.NeedsSecondFactor {
		v.goStage(v.session, v.next())
		return nil
	}
	return c.showRecovery(v, nil)
}

func (c *console) showRecovery(v *visit, err error) error {
	return v.sheet(ui.BareProps{Title: v.say("Use a recovery code"), Lead: v.say("One of those you kept when you set up your second factor. Each works once.")},
		form(ui.FormProps{Action: "/login/recovery", Errors: ui.ErrorsOf(err)},
			hidden("next", v.next()),
			ui.Field(ui.FieldProps{Name: "code", Label: v.say("Recovery code"), Required: true, Mono: true, Autocomplete: "off", MaxLength: 40, Focus: true}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Continue"), Variant: ui.Primary, Block: true})),
		),
		text(v.say("No code left? Ask an administrator to reset your access.")),
		linkLine(v.say("Back to the other ways"), withNext("/login/second", v.next())),
	)
}

func (c *console) recovery(v *visit) error {
	l, err := c.Access.VerifyRecoveryCode(v.ctx, v.session, v.field("code"))
	return c.finishSecond(v, l, err, c.showRecovery)
}

func (c *console) reauthenticatePage(v *visit) error { return c.showReauthenticate(v, nil) }

func (c *console) showReauthenticate(v *visit, err error) error {
	f, ferr := c.Access.Factors(v.ctx, v.session)
	if ferr != nil {
		return ferr
	}
	v.back = v.next()
	body := []templ.Component{form(ui.FormProps{Action: "/reauthenticate", Errors: ui.ErrorsOf(err)},
		hidden("next", v.next()),
		ui.Field(ui.FieldProps{Name: "password", Label: v.say("Password"), Type: "password", Autocomplete: "current-password", Required: true, Focus: true}),
		buttons(ui.Button(ui.ButtonProps{Label: v.say("Continue"), Variant: ui.Primary, Block: true})),
	)}
	if len(f.Passkeys) > 0 {
		body = append(body, v.passkeyForm(passkeyProps{Kind: "get", Action: "/reauthenticate/passkey", Begin: "/login/second/passkey/begin", Label: v.say("Use your passkey")}))
	}
	body = append(body, linkLine(v.say("Cancel"), "/"))
	return v.sheet(ui.BareProps{Title: v.say("Is it still you?"), Lead: v.say("What you are about to do cannot be undone, or concerns how you sign in."), Modules: module("passkey.js")}, body...)
}

func (c *console) reauthenticate(v *visit) error {
	err := c.Access.Reauthenticate(v.ctx, v.session, v.password("password"))
	if v.onForm(err) {
		if fault.Of(err).Code == "login.failed" { // only the password can be wrong here
			err = fault.Unauthenticatedf("login.failed", "That is not your password.").WithField("password")
		}
		return c.showReauthenticate(v, err)
	}
	if err != nil {
		return err
	}
	v.redirect(v.next())
	return nil
}

func (c *console) reauthenticatePasskey(v *visit) error {
	id, response := v.answer()
	_, err := c.Access.FinishPasskeyCheck(v.ctx, v.session, id, response)
	if err != nil && (v.onForm(err) || fault.Of(err).Kind == fault.Gone) {
		return c.showReauthenticate(v, err)
	}
	if err != nil {
		return err
	}
	v.redirect(v.next())
	return nil
}

func (c *console) logout(v *visit) error {
	if v.session.ID != "" { // it may have ended by itself
		if err := c.Access.SignOut(v.ctx, v.session); err != nil {
			return err
		}
	}
	v.forget()
	return v.done("/login", "signed-out")
}
