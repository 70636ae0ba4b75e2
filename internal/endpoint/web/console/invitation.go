package console

import (
	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func (c *console) invitationPage(v *visit) error { return c.showInvitation(v, nil) }

func (c *console) showInvitation(v *visit, err error) error {
	inv, ierr := c.Access.InvitationFor(v.ctx, secret.New(v.r.PathValue("token")))
	if ierr != nil {
		return ierr
	}
	v.back = "/login"
	return v.sheet(ui.BareProps{Title: v.say("Welcome, %s", inv.Operator.Name), Lead: v.say("Choose the password for %s. Next you set up a second factor.", inv.Operator.Email)},
		form(ui.FormProps{Errors: ui.ErrorsOf(err)},
			ui.Field(ui.FieldProps{
				Name: "password", Label: v.say("New password"), Hint: v.say("At least 12 characters. Several unrelated words are easy to remember and hard to guess."), Type: "password",
				Autocomplete: "new-password", Required: true, Focus: true,
			}),
			ui.Field(ui.FieldProps{Name: "again", Label: v.say("The same password again"), Type: "password", Autocomplete: "new-password", Required: true}),
			buttons(ui.Button(ui.ButtonProps{Label: v.say("Continue"), Variant: ui.Primary, Block: true})),
		),
		stack(ui.Muted(v.say("This invitation can be used until")), ui.Time(inv.Expires)),
	)
}

func (c *console) invitation(v *visit) error {
	next, err := v.newPassword()
	var l access.Login
	if err == nil {
		l, err = c.Access.AcceptInvitation(v.ctx, secret.New(v.r.PathValue("token")), next, v.origin())
	}
	if v.onForm(err) {
		return c.showInvitation(v, err)
	}
	if err != nil {
		return err
	}
	v.keep(l)
	v.goStage(l.Session, "/")
	return nil
}

// newPassword reads a password that was typed twice.
func (v *visit) newPassword() (secret.Text, error) {
	p := v.password("password")
	if !p.Equal(v.r.PostFormValue("again")) {
		return p, fault.Invalidf("password.differs", "The two passwords are not the same.").WithField("again")
	}
	return p, nil
}
