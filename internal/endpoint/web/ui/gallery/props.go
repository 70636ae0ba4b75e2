package gallery

import (
	"time"

	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
)

func overviewProps(v view) ui.PageProps {
	p := props(v, "Overview", "Example Bank, production")
	p.Breadcrumb = nil
	p.Flash = []ui.Flash{{State: ui.OK, Text: "The certificate for www.example.org was renewed."}}
	return p
}

func certificatesProps(v view) ui.PageProps {
	p := props(v, "Certificates", "All that Example Bank ordered")
	p.Actions = certificatesActions()
	p.Wide = true
	return p
}

func orderProps(v view) ui.PageProps {
	p := props(v, "www.example.org", "Order of 14 March 2026, TLS organisation validated", ui.Crumb{Label: "Orders", Href: "/certificates"})
	p.Actions = orderActions()
	return p
}

func actedProps(v view) ui.PageProps {
	p := props(v, "Done", "")
	p.Flash = []ui.Flash{{State: ui.OK, Text: "Done."}, {State: ui.Danger, Text: "One of the messages could not be sent."}}
	return p
}

func signProps(v view) ui.BareProps {
	p := bare(v, "Sign the agreement", "Sent to you by Example Bank")
	p.Live, p.Environment = true, ui.Preprod
	return p
}

func keyChoice(v view) string {
	if v.Fault {
		return ""
	}
	return "csr"
}

func pickupErrors(v view) ui.Errors {
	if !v.Fault {
		return nil
	}
	return ui.Errors{{Field: "otp", Message: "That is not the password. Two tries are left."}}
}

func waiting(v view) ui.TableProps {
	t := ui.TableProps{Caption: "Needs a decision", Columns: []ui.Column{{Label: "Order", Primary: true}, {Label: "Since", Narrow: true}, {Label: "State", Narrow: true}}}
	for i, name := range []string{"Example Bank seal 2026", "payments.example.com", "vpn.example.net"} {
		t.Rows = append(t.Rows, ui.Row{Href: "/order", Name: name, Cells: ui.Cells(
			ui.TwoLines(name, "Ordered through the RA API"), ui.Time(now.Add(-time.Duration(i)*26*time.Hour)), ui.Badge(ui.Info, "Waits for approval"))})
	}
	return t
}
