package console

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

func (c *console) authorityRoutes() []route {
	return []route{
		{"GET /authorities", member, c.authoritiesPage},
		{"GET /authorities/{id}", member, c.authorityPage},
	}
}

// An anAuthority is an authority with its current revocation list, if there is one.
type anAuthority struct {
	*authority.Authority
	crl authority.CRL
}

// authorities lists them all; there are never many.
func (c *console) authorities(v *visit) ([]anAuthority, error) {
	if err := v.scope().RequireAnywhere(access.AuthorityRead); err != nil {
		return nil, err
	}
	list, err := c.Authority.List(v.ctx)
	if err != nil {
		return nil, err
	}
	var out []anAuthority
	for _, a := range list {
		crl, err := c.Authority.CurrentCRL(v.ctx, a.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) && fault.Of(err).Kind != fault.NotFound {
			return nil, err
		}
		out = append(out, anAuthority{a, crl})
	}
	return out, nil
}

func (a anAuthority) notAfter() time.Time {
	if a.Certificate == nil {
		return time.Time{}
	}
	return a.Certificate.NotAfter
}

func (v *visit) authorityState(a anAuthority) (ui.State, string) {
	switch {
	case a.Status == authority.StatusWaiting:
		return ui.Info, v.say("Waits for its certificate")
	case a.Status == authority.StatusClosed:
		return ui.Neutral, v.say("Closed")
	case !v.now().Before(a.notAfter()):
		return ui.Danger, v.say("Expired")
	case a.notAfter().Sub(v.now()) < 180*24*time.Hour:
		return ui.Warn, v.say("Expires soon")
	}
	return ui.OK, v.say("Active")
}

func (v *visit) crlState(a anAuthority) (ui.State, string) {
	switch {
	case a.crl.Number == 0 && a.crl.ThisUpdate.IsZero():
		return ui.Neutral, v.say("None yet")
	case !v.now().Before(a.crl.NextUpdate):
		return ui.Danger, v.say("Out of date")
	}
	return ui.OK, v.say("%s old", age(v.now().Sub(a.crl.ThisUpdate)))
}

// age writes a duration in its largest unit.
func age(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if n := d / u.size; n >= 2 {
			return fmt.Sprintf("%d %s", n, u.name)
		}
	}
	return "a minute"
}

func (v *visit) authorityListing() listing[anAuthority] {
	return listing[anAuthority]{
		id: "authorities", caption: v.say("Authorities"),
		columns: []column[anAuthority]{
			nameColumn(v.say("Name"), func(a anAuthority) string { return a.Name }, func(a anAuthority) string { return a.ID }),
			textColumn(v.say("Environment"), func(a anAuthority) string { return a.Realm }),
			textColumn(v.say("Kind"), func(a anAuthority) string { return a.Kind }),
			badgeColumn(v.say("State"), v.authorityState),
			dateColumn(v.say("Expires"), anAuthority.notAfter),
			badgeColumn(v.say("Revocation list"), v.crlState),
		},
		href:  func(a anAuthority) string { return "/authorities/" + a.ID },
		empty: ui.EmptyStateProps{Icon: "lock", Title: v.say("No authorities"), Text: v.say("They are made with the command sealwright init, or sealwright ca.")},
	}
}

func (c *console) authoritiesPage(v *visit) error {
	list, err := c.authorities(v)
	if err != nil {
		return err
	}
	l := v.authorityListing()
	l.fetch = func(store.Page) ([]anAuthority, string, error) { return list, "", nil }
	return l.serve(v, ui.PageProps{Title: v.say("Authorities"), Lead: v.say("Who signs certificates, and how fresh their revocation lists are")})
}

func (c *console) authorityPage(v *visit) error {
	list, err := c.authorities(v)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.ID == v.id() {
			return c.showAuthority(v, a)
		}
	}
	return access.NotFound()
}

func (c *console) showAuthority(v *visit, a anAuthority) error {
	u := c.Authority.URLs()
	facts := []ui.Description{
		{Term: v.say("Id"), Value: ui.Mono(a.ID)},
		{Term: v.say("Environment"), Value: ui.Text(a.Realm)},
		{Term: v.say("Kind"), Value: ui.Text(a.Kind)},
		{Term: v.say("For"), Value: ui.Text(string(a.Purpose))},
		{Term: v.say("Above"), Value: ui.Text(a.Parent)},
		{Term: v.say("Key"), Value: ui.Text(v.keyPlace(a.KeyRef))},
	}
	body := []templ.Component{card(ui.CardProps{Title: v.say("Authority"), Actions: ui.Badge(v.authorityState(a))}, ui.DescriptionList(facts))}
	if x := a.Certificate; x != nil {
		sum := sha256.Sum256(a.DER)
		body = append(body,
			card(ui.CardProps{Title: v.say("Certificate")}, ui.DescriptionList([]ui.Description{
				{Term: v.say("Subject"), Value: ui.Mono(x.Subject.String())},
				{Term: v.say("Valid"), Value: ui.Join(ui.Time(x.NotBefore), ui.Muted(v.say("to")), ui.Time(x.NotAfter))},
				{Term: v.say("Key"), Value: ui.Text(keyText(x.PublicKey))},
				{Term: v.say("Certificate"), Value: ui.Link(u.Issuer(a.ID), u.Issuer(a.ID))},
				{Term: v.say("Revocation list"), Value: ui.Link(u.CRL(a.ID), u.CRL(a.ID))},
				{Term: "OCSP", Value: ui.Mono(u.OCSP(a.ID))},
			}), ui.CopyBox(ui.CopyProps{ID: "sha256", Label: v.say("SHA-256 fingerprint"), Value: colons(sum[:])})),
			card(ui.CardProps{Title: v.say("Revocation list"), Actions: ui.Badge(v.crlState(a))}, ui.DescriptionList([]ui.Description{
				{Term: v.say("Number"), Value: ui.Text(v.say("%d", a.crl.Number))},
				{Term: v.say("Entries"), Value: ui.Text(v.say("%d", a.crl.Entries))},
				{Term: v.say("Issued"), Value: ui.Time(a.crl.ThisUpdate)},
				{Term: v.say("Next by"), Value: ui.Time(a.crl.NextUpdate)},
			})))
	}
	return v.show(ui.PageProps{Title: a.Name, Breadcrumb: []ui.Crumb{{Label: v.say("Authorities"), Href: "/authorities"}}, Environment: environment(access.Realm(a.Realm))}, body...)
}

func (v *visit) keyPlace(ref string) string {
	if ref == "" {
		return v.say("offline")
	}
	return ref
}
