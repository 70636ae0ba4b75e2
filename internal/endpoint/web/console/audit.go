package console

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) auditRoutes() []route {
	return []route{
		{"GET /audit", member, c.auditPage},
		{"POST /audit/verify", member, c.verifyAudit},
		{"GET /audit/{id}", member, c.auditEntryPage},
		{"GET /audit/{id}/proof", member, c.auditProof},
	}
}

func (v *visit) result(e audit.Stored) (ui.State, string) {
	switch e.Entry.Result {
	case audit.Refused:
		return ui.Warn, v.say("Refused")
	case audit.Failed:
		return ui.Danger, v.say("Failed")
	}
	return ui.OK, v.say("Done")
}

// auditListing is the list of entries, on its own page and on that of an object.
func (v *visit) auditListing(f audit.Filter) listing[audit.Stored] {
	type e = audit.Stored
	return listing[e]{
		id: "audit", caption: v.say("Audit log"),
		columns: []column[e]{
			nameColumn(v.say("Act"), func(x e) string { return x.Entry.Action }, detail),
			textColumn(v.say("Who"), func(x e) string { return firstOf(x.Origin.Name, x.Origin.Kind) }),
			textColumn(v.say("From"), func(x e) string { return x.Origin.From }),
			textColumn(v.say("Object"), func(x e) string { return strings.TrimSpace(x.Entry.ObjectKind + " " + shortID(x.Entry.ObjectID)) }),
			badgeColumn(v.say("Result"), v.result),
			timeColumn(v.say("When"), func(x e) time.Time { return x.At }),
			buttonColumn(v.say("Proof"), func(x e) templ.Component {
				if x.Index == audit.Pending {
					return ui.Muted(v.say("soon"))
				}
				return downloadButton(v.say("Proof"), "/audit/"+x.ID+"/proof")
			}),
		},
		fetch: func(p store.Page) ([]e, string, error) { return v.c.Audit.List(v.c.DB.View(v.ctx), f, p) },
		href:  func(x e) string { return "/audit/" + x.ID },
		empty: ui.EmptyStateProps{Icon: "list", Title: v.say("Nothing was done yet"), Text: v.say("Every act is written here with who did it, from where and with what result.")},
		names: []string{"realm", "client", "actor", "action", "object", "result", "correlation", "from", "to"},
	}
}

// detail is what an entry says beside the act, in a fixed order.
func detail(e audit.Stored) string {
	var parts []string
	for k, value := range e.Entry.Detail {
		parts = append(parts, k+" "+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, " · ")
}

func (c *console) auditPage(v *visit) error {
	if _, err := v.clients(); err != nil {
		return err
	}
	f := audit.Filter{Realm: v.field("realm"), Actor: v.field("actor"), Action: v.field("action"), Result: audit.Result(v.field("result")), Correlation: v.field("correlation")}
	if kind, ok := objectKind(v.field("object")); ok {
		f.ObjectKind, f.ObjectID = kind, v.field("object")
	}
	var err error
	if f.Clients, f.AllClients, err = v.reach(access.AuditRead, access.Realm(f.Realm), v.field("client")); err != nil {
		return err
	}
	for name, at := range map[string]*time.Time{"from": &f.From, "to": &f.To} {
		if *at, err = v.endOf(name); err != nil {
			return err
		}
	}
	if !f.From.IsZero() {
		f.From = f.From.Add(time.Second - 24*time.Hour) // from the beginning of that day
	}
	if !f.To.IsZero() {
		f.To = f.To.Add(time.Second) // to its very end
	}
	l := v.auditListing(f)
	l.filters = []templ.Component{
		ui.Field(ui.FieldProps{Name: "action", Label: v.say("Act"), Type: "search", Value: f.Action, Placeholder: "order."}),
		ui.Field(ui.FieldProps{Name: "actor", Label: v.say("Who (id)"), Value: f.Actor}),
		ui.Field(ui.FieldProps{Name: "object", Label: v.say("Object (id)"), Value: v.field("object")}),
		ui.Select(ui.SelectProps{Name: "result", Label: v.say("Result"), Blank: v.say("All"), Value: string(f.Result), Options: []ui.Option{
			{Value: string(audit.OK), Label: v.say("Done")}, {Value: string(audit.Refused), Label: v.say("Refused")}, {Value: string(audit.Failed), Label: v.say("Failed")},
		}}),
		ui.Select(ui.SelectProps{Name: "client", Label: v.say("Client"), Blank: v.say("All"), Value: v.field("client"), Options: v.clientOptions(nil)}),
		ui.Field(ui.FieldProps{Name: "from", Label: v.say("From day"), Type: "date", Value: v.field("from")}),
		ui.Field(ui.FieldProps{Name: "to", Label: v.say("To day"), Type: "date", Value: v.field("to")}),
		ui.Field(ui.FieldProps{Name: "correlation", Label: v.say("Correlation id"), Value: f.Correlation}),
	}
	p := ui.PageProps{Title: v.say("Audit log"), Lead: v.say("Every act, in a log that cannot be changed unseen. Times are UTC.")}
	if v.scope().Allows(access.AuditRead, "", "") {
		p.Actions = act("/audit/verify", ui.ButtonProps{Label: v.say("Verify the log"), Icon: "shield"})
	}
	return l.serve(v, p)
}

// objectKinds tells what an id is of by its beginning.
var objectKinds = map[string]string{"ord": "order", "cli": "client", "svc": "service", "per": "orderer", "op": "operator", "sa": "principal", "tok": "token", "apc": "apicert", "out": "message", "ses": "session", "role": "role"}

func objectKind(id string) (string, bool) {
	prefix, _, _ := strings.Cut(id, "-")
	kind, ok := objectKinds[prefix]
	return kind, ok
}

// anEntry reads the entry of the address.
func (v *visit) anEntry() (audit.Stored, error) {
	e, err := v.c.Audit.Get(v.c.DB.View(v.ctx), v.id())
	if err != nil {
		return e, hide(err)
	}
	return e, v.mayRead(access.AuditRead, access.Realm(e.Entry.Realm), e.Entry.Client)
}

func (c *console) auditEntryPage(v *visit) error {
	e, err := v.anEntry()
	if err != nil {
		return err
	}
	if _, err := v.clients(); err != nil {
		return err
	}
	list := []ui.Description{
		{Term: v.say("When"), Value: ui.TimeExact(e.At)},
		{Term: v.say("Who"), Value: ui.TwoLines(firstOf(e.Origin.Name, e.Origin.Kind), e.Origin.Kind+" "+e.Origin.ID)},
		{Term: v.say("From"), Value: ui.Text(e.Origin.From)},
		{Term: v.say("Object"), Value: ui.Mono(strings.TrimSpace(e.Entry.ObjectKind + " " + e.Entry.ObjectID))},
		{Term: v.say("Client"), Value: ui.Text(v.clientName(e.Entry.Client))},
		{Term: v.say("Correlation id"), Value: ui.Mono(e.Origin.Correlation)},
	}
	for _, k := range sortedKeys(e.Entry.Detail) {
		list = append(list, ui.Description{Term: k, Value: ui.Text(e.Entry.Detail[k])})
	}
	p := ui.PageProps{Title: e.Entry.Action, Lead: v.say("Entry of the audit log"), Breadcrumb: []ui.Crumb{{Label: v.say("Audit log"), Href: "/audit"}}, Environment: environment(access.Realm(e.Entry.Realm))}
	place := ui.Text(v.say("not yet; within seconds"))
	if e.Index != audit.Pending {
		place = ui.Text(v.say("leaf %d", e.Index))
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Download the proof"), Icon: "download", Href: "/audit/" + e.ID + "/proof", Attrs: templ.Attributes{"download": true}})
	}
	list = append(list, ui.Description{Term: v.say("Place in the log"), Value: place})
	return v.show(p, card(ui.CardProps{Title: v.say("Entry"), Actions: ui.Badge(v.result(e))}, ui.DescriptionList(list)), ui.CodeBlock("leaf", v.say("Canonical form, which the proof is about"), string(e.Leaf())))
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (c *console) auditProof(v *visit) error {
	if _, err := v.anEntry(); err != nil {
		return err
	}
	p, err := c.Audit.Prove(v.ctx, v.id())
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return v.download(v.id()+".proof.json", "application/json", append(b, '\n'))
}

func (c *console) verifyAudit(v *visit) error {
	v.back = "/audit"
	if err := v.scope().Require(access.AuditRead, "", ""); err != nil {
		return err
	}
	r, err := c.Audit.Verify(v.ctx, audit.Options{})
	if err != nil {
		return err
	}
	p := ui.PageProps{Title: v.say("Verification of the audit log"), Breadcrumb: []ui.Crumb{{Label: v.say("Audit log"), Href: "/audit"}}}
	verdict := ui.AlertProps{State: ui.OK, Live: true, Title: v.say("The log is as it was signed"), Text: v.say("%d entries were recomputed; none was changed, deleted, inserted or moved.", r.Size)}
	if !r.OK() {
		verdict = ui.AlertProps{State: ui.Danger, Live: true, Title: v.say("The log was tampered with"), Text: v.say("%d findings. Keep the database as it is and look into each.", r.Total)}
	}
	body := []templ.Component{ui.Alert(verdict)}
	if len(r.Findings) > 0 {
		l := listing[audit.Finding]{id: "findings", caption: v.say("Findings"), columns: []column[audit.Finding]{
			nameColumn(v.say("What"), func(f audit.Finding) string { return f.Message }, nil),
			textColumn(v.say("Kind"), func(f audit.Finding) string { return string(f.Kind) }),
			{Column: ui.Column{Label: v.say("Leaf"), Numeric: true}, text: func(f audit.Finding) string { return strconv.FormatInt(f.Leaf, 10) }},
		}}
		body = append(body, ui.Table(l.table(r.Findings)))
	}
	return v.show(p, append(body, card(ui.CardProps{Title: v.say("Checkpoint")},
		text(v.say("%d entries are not sequenced yet. Keep this checkpoint outside of this installation: with it, a later verification finds even a log that was replaced as a whole.", r.Pending)),
		ui.CodeBlock("checkpoint", v.say("Signed checkpoint"), r.Checkpoint)))...)
}
