package console

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
)

func (c *console) dashboardRoutes() []route {
	return []route{{"GET /{$}", member, c.dashboard}}
}

// defaultDays is how far the overview looks ahead (A63).
const defaultDays = 60

// The overview shows what waits for somebody: certificates that end, orders to
// decide on, files that nobody fetched, and what is wrong with the machinery.
func (c *console) dashboard(v *visit) error {
	if _, err := v.clients(); err != nil {
		return err
	}
	p := ui.PageProps{Title: v.say("Overview")}
	var figures, first, second []templ.Component
	if v.scope().Holds(access.CertificateSearch) {
		cards, stats, err := c.certificateWork(v)
		if err != nil {
			return err
		}
		first, figures = append(first, cards...), append(figures, stats...)
	}
	if v.scope().Holds(access.CertificateOrder) {
		p.Actions = ui.Button(ui.ButtonProps{Label: v.say("Order a certificate"), Icon: "plus", Variant: ui.Primary, Href: "/orders/new"})
	}
	for _, part := range []func(*visit) (templ.Component, error){c.outboxHealth, c.auditHealth, c.authorityHealth} {
		one, err := part(v)
		if err != nil {
			return err
		}
		if one != nil {
			second = append(second, one)
		}
	}
	var body []templ.Component
	if len(figures) > 0 {
		body = append(body, stats(figures...))
	}
	switch {
	case len(first) > 0 && len(second) > 0:
		body = append(body, columns(stack(first...), stack(second...)))
	default:
		body = append(body, append(first, second...)...)
	}
	if len(body) == 0 {
		body = append(body, card(ui.CardProps{}, ui.EmptyState(ui.EmptyStateProps{Icon: "shield", Title: v.say("You have no rights yet"), Text: v.say("An administrator grants you a role; then this page shows what waits for you.")})))
	}
	return v.show(p, body...)
}

// scanned bounds how many orders a figure counts; beyond it says "more".
const scanned = 100

// count writes a figure that may go on beyond what was looked at.
func count(n int, more string) string {
	if more != "" {
		return strconv.Itoa(n) + "+"
	}
	return strconv.Itoa(n)
}

func (c *console) certificateWork(v *visit) (cards, figures []templ.Component, err error) {
	days, err := strconv.Atoi(v.field("days"))
	if err != nil || days < 1 || days > 3650 {
		days = defaultDays
	}
	list := func(f wscert.Filter) ([]*wscert.Order, string, error) {
		return c.Orders.List(v.ctx, v.scope(), f, store.Page{Limit: scanned})
	}
	ending, moreEnding, err := list(wscert.Filter{ExpireFrom: v.now(), ExpireBy: v.now().AddDate(0, 0, days)})
	if err != nil {
		return nil, nil, err
	}
	waiting, moreWaiting, err := list(wscert.Filter{State: wscert.PendingAuth})
	if err != nil {
		return nil, nil, err
	}
	unclaimed, moreUnclaimed, err := list(wscert.Filter{Unclaimed: true})
	if err != nil {
		return nil, nil, err
	}
	figure := func(label string, n int, more, detail, none string, state ui.State, href string) templ.Component {
		if n == 0 {
			detail, state = none, ui.OK
		}
		return ui.StatCard(ui.StatProps{Label: label, Value: count(n, more), Detail: detail, State: state, Href: href})
	}
	figures = []templ.Component{
		figure(v.say("Expire soon"), len(ending), moreEnding, v.say("within %d days", days), v.say("none within %d days", days), ui.Warn, "/orders?days="+strconv.Itoa(days)),
		figure(v.say("Wait for approval"), len(waiting), moreWaiting, v.say("somebody has to decide"), v.say("nothing to decide"), ui.Info, "/orders?state="+string(wscert.PendingAuth)),
		figure(v.say("Unclaimed files"), len(unclaimed), moreUnclaimed, v.say("not fetched yet"), v.say("all are fetched"), ui.Warn, "/orders?unclaimed=1"),
	}
	l := v.orderListing(wscert.Filter{})
	all := l.columns
	table := func(id, title string, items []*wscert.Order, columns []column[*wscert.Order], empty ui.EmptyStateProps, actions templ.Component) templ.Component {
		l.id, l.caption, l.columns, l.empty = id, title, columns, empty
		return card(ui.CardProps{Title: title, Flush: true, Actions: actions}, ui.Table(l.table(items[:min(len(items), 10)])))
	}
	named := nameColumn(v.say("Name"), func(o *wscert.Order) string { return o.CommonName }, func(o *wscert.Order) string { return v.clientName(o.Client) })
	cards = append(cards, table("ending", v.say("Certificates that end within %d days", days), ending, []column[*wscert.Order]{named, all[4], all[6]},
		ui.EmptyStateProps{Icon: "check", Title: v.say("Nothing ends soon"), Text: v.say("No certificate ends within %d days.", days)}, v.horizon(days)))
	if len(waiting) > 0 {
		cards = append(cards, table("waiting", v.say("Orders waiting for approval"), waiting, []column[*wscert.Order]{named, all[4], all[7]}, ui.EmptyStateProps{}, nil))
	}
	if len(unclaimed) > 0 {
		cards = append(cards, table("unclaimed", v.say("Files that nobody has fetched"), unclaimed, []column[*wscert.Order]{
			named, all[4],
			dateColumn(v.say("Fetch by"), func(o *wscert.Order) time.Time { return o.Claim() }),
		}, ui.EmptyStateProps{}, nil))
	}
	return cards, figures, nil
}

// horizon lets the visitor choose how far the overview looks ahead.
func (v *visit) horizon(days int) templ.Component {
	var links []templ.Component
	for _, n := range []int{30, 60, 90, 180} {
		if n != days {
			links = append(links, ui.Button(ui.ButtonProps{Label: v.say("%d days", n), Small: true, Variant: ui.Quiet, Href: "/?days=" + strconv.Itoa(n)}))
		}
	}
	return all(links)
}

func (c *console) outboxHealth(v *visit) (templ.Component, error) {
	if !v.scope().Allows(access.OutboxRead, "", "") {
		return nil, nil
	}
	q := c.DB.View(v.ctx)
	failed, more, err := c.Outbox.List(q, outbox.Filter{State: outbox.Failed}, store.Page{Limit: 100})
	if err != nil {
		return nil, err
	}
	backlog, err := c.Outbox.Backlog(q)
	if err != nil {
		return nil, err
	}
	state, word := ui.OK, v.say("Delivers")
	facts := []ui.Description{}
	if len(failed) > 0 {
		state, word = ui.Danger, v.say("Failures")
		facts = append(facts, ui.Description{Term: v.say("Failed"), Value: ui.Link(count(len(failed), more), "/outbox?state="+outbox.Failed)})
	}
	for _, b := range backlog {
		if state == ui.OK {
			state, word = ui.Warn, v.say("Messages wait")
		}
		facts = append(facts, ui.Description{Term: v.channel(b.Channel), Value: ui.Join(ui.Text(v.say("%d waiting, the oldest since", b.Count)), ui.Time(b.Oldest))})
	}
	if len(facts) == 0 {
		facts = append(facts, ui.Description{Term: v.say("Waiting"), Value: ui.Text(v.say("nothing"))})
	}
	return card(ui.CardProps{Title: v.say("Outbox"), Actions: ui.Badge(state, word)}, ui.DescriptionList(facts)), nil
}

func (c *console) auditHealth(v *visit) (templ.Component, error) {
	if !v.scope().Allows(access.AuditRead, "", "") {
		return nil, nil
	}
	note, err := c.Audit.Checkpoint(c.DB.View(v.ctx))
	if errors.Is(err, fault.NotFound) || errors.Is(err, store.ErrNotFound) {
		return card(ui.CardProps{Title: v.say("Audit log"), Actions: ui.Badge(ui.Info, v.say("No checkpoint yet"))}, text(v.say("The first entries are about to be sequenced."))), nil
	}
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(note, "\n", 4)
	if len(parts) < 3 {
		return nil, fault.New(fault.Internal, "audit.checkpoint", "The checkpoint is not a note.")
	}
	return card(ui.CardProps{Title: v.say("Audit log"), Actions: ui.Badge(ui.OK, v.say("Signed"))}, ui.DescriptionList([]ui.Description{
		{Term: v.say("Entries"), Value: ui.Link(parts[1], "/audit")}, {Term: v.say("Root"), Value: ui.Mono(parts[2])},
	})), nil
}

func (c *console) authorityHealth(v *visit) (templ.Component, error) {
	if !v.scope().Holds(access.AuthorityRead) {
		return nil, nil
	}
	list, err := c.authorities(v)
	if err != nil {
		return nil, err
	}
	l := v.authorityListing()
	l.columns = []column[anAuthority]{nameColumn(v.say("Name"), func(a anAuthority) string { return a.Name }, func(a anAuthority) string { return v.say("until %s", day(a.notAfter())) }), l.columns[5]}
	return card(ui.CardProps{Title: v.say("Authorities"), Flush: true}, ui.Table(l.table(list))), nil
}
