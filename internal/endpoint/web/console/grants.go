package console

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
)

// grantsCard shows the rights of an operator or service account, and the form for
// one more. Nobody edits their own (A202).
func (c *console) grantsCard(v *visit, principal, name string) (templ.Component, error) {
	grants, err := c.Access.Grants(v.ctx, v.scope(), principal)
	if err != nil {
		return nil, err
	}
	if _, err := v.clients(); err != nil {
		return nil, err
	}
	names := map[string]string{}
	var options []ui.Option
	if v.scope().Holds(access.RoleRead) {
		roles, err := c.Access.Roles(v.ctx, v.scope())
		if err != nil {
			return nil, err
		}
		for _, r := range roles {
			names[r.ID] = r.Name
			options = append(options, ui.Option{Value: r.ID, Label: r.Name})
		}
	}
	self := principal == v.session.Operator.ID
	type g = access.Grant
	l := listing[g]{
		id: "grants", caption: v.say("Rights of %s", name),
		columns: []column[g]{
			nameColumn(v.say("Role"), func(x g) string {
				if n := names[x.Role]; n != "" {
					return n
				}
				return x.Role
			}, nil),
			textColumn(v.say("Over"), func(x g) string { return v.place(x.Realm, x.Client) }),
			textColumn(v.say("Granted by"), func(x g) string { return x.GrantedBy }),
			dateColumn(v.say("Since"), func(x g) time.Time { return x.Granted }),
		},
		empty: ui.EmptyStateProps{Icon: "shield", Title: v.say("No rights"), Text: v.say("%s may do nothing until a role is granted.", name)},
	}
	may := !self && v.scope().Holds(access.RoleGrant)
	if may {
		l.columns = append(l.columns, buttonColumn(v.say("Act"), func(x g) templ.Component {
			return act("/grants/"+principal+"/"+x.ID+"/revoke", ui.ButtonProps{Label: v.say("Take away"), Small: true, Variant: ui.DestructiveQuiet})
		}))
	}
	rights := card(ui.CardProps{Title: v.say("Rights"), Flush: true}, ui.Table(l.table(grants)))
	if !may {
		return rights, nil
	}
	return stack(rights, card(ui.CardProps{Title: v.say("Grant a role")}, form(ui.FormProps{Action: "/grants/" + principal},
		side(
			ui.Select(ui.SelectProps{Name: "role", Label: v.say("Role"), Required: true, Options: options}),
			ui.Select(ui.SelectProps{Name: "over", Label: v.say("Over"), Required: true, Options: v.places()}),
		),
		buttons(ui.Button(ui.ButtonProps{Label: v.say("Grant")})),
	))), nil
}

func (v *visit) place(realm access.Realm, client string) string {
	if client != "" {
		return v.clientName(client) + " · " + v.realmName(realm)
	}
	return v.realmName(realm)
}

// places lists where a role can be granted by this operator: what is refused
// anyway is not offered.
func (v *visit) places() []ui.Option {
	var out []ui.Option
	if v.scope().Allows(access.RoleGrant, "", "") {
		out = append(out, ui.Option{Value: "/", Label: v.say("Everything")})
	}
	for _, r := range access.Realms() {
		if v.scope().Allows(access.RoleGrant, r, "") {
			out = append(out, ui.Option{Value: string(r) + "/", Label: v.say("All of %s", v.realmName(r))})
		}
	}
	for _, o := range v.clientOptions(func(cl access.Client) bool { return v.scope().Allows(access.RoleGrant, cl.Realm, cl.ID) }) {
		o.Value = string(v.clientNames[o.Value].Realm) + "/" + o.Value
		out = append(out, o)
	}
	return out
}

// home is the page of an operator, a service account or oneself.
func (v *visit) home(owner string) string {
	switch {
	case owner == v.session.Operator.ID:
		return "/me"
	case strings.HasPrefix(owner, "sa-"):
		return "/accounts/" + owner
	}
	return "/operators/" + owner
}

func (c *console) grant(v *visit) error {
	principal := v.r.PathValue("principal")
	v.back = v.home(principal)
	realm, client, _ := strings.Cut(v.field("over"), "/")
	if _, err := c.Access.Grant(v.ctx, v.scope(), principal, v.field("role"), access.Realm(realm), client); err != nil {
		return err
	}
	return v.done(v.back, "grant.given")
}

func (c *console) revokeGrant(v *visit) error {
	v.back = v.home(v.r.PathValue("principal"))
	if err := c.Access.Revoke(v.ctx, v.scope(), v.r.PathValue("grant")); err != nil {
		return err
	}
	return v.done(v.back, "grant.taken")
}
