package console

import (
	"strings"

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
