package console

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
)

func (c *console) roleRoutes() []route {
	return []route{
		{"GET /roles", member, c.rolesPage},
		{"GET /roles/new", member, func(v *visit) error { return c.showRole(v, access.Role{}, nil) }},
		{"POST /roles/new", member, c.createRole},
		{"GET /roles/{id}", member, c.rolePage},
		{"POST /roles/{id}", member, c.updateRole},
		{"GET /roles/{id}/delete", member, c.askDeleteRole},
		{"POST /roles/{id}/delete", member, c.deleteRole},
	}
}

func (c *console) rolesPage(v *visit) error {
	roles, err := c.Access.Roles(v.ctx, v.scope())
	if err != nil {
		return err
	}
	type r = access.Role
	l := listing[r]{
		id: "roles", caption: v.say("Roles"),
		columns: []column[r]{
			nameColumn(v.say("Name"), func(x r) string { return x.Name }, func(x r) string { return x.Description }),
			badgeColumn(v.say("Kind"), func(x r) (ui.State, string) {
				if x.BuiltIn {
					return ui.Neutral, v.say("Built in")
				}
				return ui.Info, v.say("Own")
			}),
			{Column: ui.Column{Label: v.say("Permissions"), Numeric: true}, text: func(x r) string { return v.say("%d", len(x.Permissions)) }},
		},
		href: func(x r) string { return "/roles/" + x.ID },
	}
	p := ui.PageProps{Title: v.say("Roles"), Lead: v.say("Sets of permissions, granted over a client, an environment or everything")}
	if v.scope().Holds(access.RoleWrite) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Add a role"), Icon: "plus", Variant: ui.Primary, Href: "/roles/new"})
	}
	return v.show(p, ui.Table(l.table(roles)))
}

// aRole finds the role of the address; there are never many.
func (c *console) aRole(v *visit) (access.Role, error) {
	v.back = "/roles/" + v.id()
	roles, err := c.Access.Roles(v.ctx, v.scope())
	for _, r := range roles {
		if r.ID == v.id() {
			return r, err
		}
	}
	if err == nil {
		err = access.NotFound()
	}
	return access.Role{}, err
}

func (c *console) rolePage(v *visit) error {
	r, err := c.aRole(v)
	if err != nil {
		return err
	}
	return c.showRole(v, r, nil)
}

func (c *console) showRole(v *visit, r access.Role, cause error) error {
	if err := v.scope().RequireAnywhere(access.RoleRead); err != nil {
		return err
	}
	p := ui.PageProps{Title: r.Name, Lead: r.Description, Breadcrumb: []ui.Crumb{{Label: v.say("Roles"), Href: "/roles"}}}
	if r.ID == "" {
		p.Title, p.Lead = v.say("Add a role"), ""
		if err := v.scope().RequireAnywhere(access.RoleWrite); err != nil {
			return err
		}
	}
	if r.BuiltIn || !v.scope().Holds(access.RoleWrite) {
		var names []string
		for _, x := range r.Permissions {
			names = append(names, string(x))
		}
		return v.show(p, card(ui.CardProps{Title: v.say("Permissions")}, points(names)))
	}
	if r.ID != "" {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Delete …"), Icon: "trash", Variant: ui.DestructiveQuiet, Href: "/roles/" + r.ID + "/delete"})
	}
	return v.show(p, card(ui.CardProps{}, form(ui.FormProps{Errors: ui.ErrorsOf(cause), Guard: true},
		ui.Field(ui.FieldProps{Name: "name", Label: v.say("Name"), Value: r.Name, Required: true, MaxLength: 100, Focus: r.ID == ""}),
		ui.Field(ui.FieldProps{Name: "description", Label: v.say("Description"), Value: r.Description, Optional: true, MaxLength: 500}),
		v.permissionFields(r.Permissions), v.saveButtons(v.say("Save"), "/roles"))))
}

// permissionFields groups the permissions by what they are about: the part before
// the dot.
func (v *visit) permissionFields(have []access.Permission) templ.Component {
	chosen := map[access.Permission]bool{}
	for _, p := range have {
		chosen[p] = true
	}
	var sets []templ.Component
	var group string
	var boxes []templ.Component
	flush := func() {
		if len(boxes) > 0 {
			sets = append(sets, fieldSet(group, "", side(boxes...)))
		}
		boxes = nil
	}
	for _, p := range access.Permissions() {
		area, _, _ := strings.Cut(string(p), ".")
		if area != group {
			flush()
			group = area
		}
		// The field's name makes its id, so each has its own.
		boxes = append(boxes, ui.Checkbox(ui.CheckboxProps{Name: "permission-" + string(p), Label: string(p), Checked: chosen[p]}))
	}
	flush()
	return stack(sets...)
}

func (v *visit) roleForm() access.RoleFields {
	f := access.RoleFields{Name: v.field("name"), Description: v.field("description")}
	for _, p := range access.Permissions() {
		if v.checked("permission-" + string(p)) {
			f.Permissions = append(f.Permissions, p)
		}
	}
	return f
}

func (c *console) createRole(v *visit) error {
	v.back = "/roles/new"
	f := v.roleForm()
	r, err := c.Access.CreateRole(v.ctx, v.scope(), f)
	if v.onForm(err) {
		return c.showRole(v, access.Role{Name: f.Name, Description: f.Description, Permissions: f.Permissions}, err)
	}
	if err != nil {
		return err
	}
	return v.done("/roles/"+r.ID, "role.created")
}

func (c *console) updateRole(v *visit) error {
	r, err := c.aRole(v)
	if err != nil {
		return err
	}
	f := v.roleForm()
	_, err = c.Access.UpdateRole(v.ctx, v.scope(), r.ID, f)
	if v.onForm(err) {
		r.Name, r.Description, r.Permissions = f.Name, f.Description, f.Permissions
		return c.showRole(v, r, err)
	}
	if err != nil {
		return err
	}
	return v.done("/roles/"+r.ID, "saved")
}

func (c *console) askDeleteRole(v *visit) error {
	r, err := c.aRole(v)
	if err == nil {
		err = v.scope().RequireAnywhere(access.RoleWrite)
	}
	if err != nil {
		return err
	}
	return v.ask(ui.ConfirmProps{Title: v.say("Delete the role %s?", r.Name), Object: r.Name, Confirm: v.say("Delete the role"), Text: v.say("A role that somebody holds cannot be deleted.")},
		"/roles/"+r.ID, ui.Crumb{Label: v.say("Roles"), Href: "/roles"}, ui.Crumb{Label: r.Name, Href: "/roles/" + r.ID})
}

func (c *console) deleteRole(v *visit) error {
	v.back = "/roles/" + v.id()
	if err := c.Access.DeleteRole(v.ctx, v.scope(), v.id()); err != nil {
		return err
	}
	return v.done("/roles", "role.deleted")
}

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
