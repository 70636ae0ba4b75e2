package pickup

import (
	"fmt"
	"time"

	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/web/guide"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/wscert"
)

// steps show where the recipient is: the one-time password, the request if the
// recipient brings one, the download, the installation.
func (v *visit) steps(current int) []ui.Step {
	w := v.words
	list := []ui.Step{{Title: w.StepCode}}
	if v.delivery.Kind == handover.Certificate {
		list = append(list, ui.Step{Title: w.StepRequest})
	} else if current > 0 {
		current-- // positions count the request, which key files do without
	}
	list = append(list, ui.Step{Title: w.StepFile}, ui.Step{Title: w.StepInstall})
	for i := range list {
		switch {
		case i < current:
			list[i].State = ui.StepDone
		case i == current:
			list[i].State = ui.StepCurrent
		}
	}
	return list
}

// The positions of [visit.steps].
const (
	atCode = iota
	atRequest
	atFile
	atInstall
)

// facts are what the certificate is, from the order and its delivery.
func (v *visit) facts(o *wscert.Order) []ui.Description {
	w := v.words
	list := []ui.Description{{Term: w.Certificate, Value: ui.Mono(v.delivery.Title)}, {Term: w.Service, Value: ui.Text(o.ServiceName)}}
	name := w.UI.Production
	if o.Realm == access.Preprod {
		name = w.UI.Preprod
	}
	return append(list, ui.Description{Term: w.Environment, Value: ui.Text(name)})
}

type codeView struct {
	*visit
	order   *wscert.Order
	typed   string
	problem string // with what was typed
	flash   []ui.Flash
}

// usable tells whether an entered one-time password has a chance.
func (c codeView) usable() bool {
	return c.delivery.TriesLeft > 0 && c.h.Clock.Now().Before(c.delivery.CodeUntil)
}

func (v *visit) codePage(o *wscert.Order, typed string, failure error) templ.Component {
	c := codeView{visit: v, order: o, typed: typed}
	for _, e := range v.explain(failure) {
		if e.Field == "code" {
			c.problem = e.Message
		} else {
			c.flash = append(c.flash, ui.Flash{State: ui.Danger, Text: e.Message})
		}
	}
	switch {
	case failure != nil:
	case v.r.URL.Query().Get("sent") != "":
		c.flash = []ui.Flash{{State: ui.OK, Text: v.words.Sent}}
	case v.delivery.State == handover.Open:
		c.flash = []ui.Flash{{State: ui.Info, Text: v.words.Taken}}
	case !c.usable():
		c.flash = []ui.Flash{{State: ui.Warn, Text: v.words.NoCodeLeft}}
	}
	return askCode(c)
}

func (c codeView) props() ui.BareProps {
	p := c.bare(c.words.TitleCode, c.delivery.Title+" · "+fmt.Sprintf(c.words.ForF, c.delivery.Recipient.Name))
	p.Flash = c.flash
	return p
}

type requestView struct {
	*visit
	order  *wscert.Order
	text   string
	errors ui.Errors
}

func (v *visit) requestPage(o *wscert.Order, text string, failure error) templ.Component {
	return bringRequest(requestView{visit: v, order: o, text: text, errors: v.explain(failure)})
}

// makeKey is how to make a key and a request for it.
func (r requestView) makeKey() string {
	name := r.delivery.Title
	return "umask 077\nopenssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \\\n  -keyout '" + quoted(name) + ".key' -out '" + quoted(name) + ".csr' -subj '/CN=" + quoted(name) + "'\ncat '" + quoted(name) + ".csr'\n"
}

func (v *visit) issuingPage(o *wscert.Order) templ.Component { return issuing(v, o) }

type fileView struct {
	*visit
	order  *wscert.Order
	errors ui.Errors
}

func (v *visit) filePage(o *wscert.Order, failure error) templ.Component {
	return offerFile(fileView{visit: v, order: o, errors: v.explain(failure)})
}

func (f fileView) props() ui.BareProps {
	title := f.words.TitleKeyFile
	if f.delivery.Kind == handover.Certificate {
		title = f.words.TitlePEM
	}
	return f.live(f.bare(title, fmt.Sprintf(f.words.ForF, f.delivery.Recipient.Name)))
}

func (f fileView) file() []ui.Description {
	return append(f.facts(f.order),
		ui.Description{Term: f.words.ValidUntil, Value: ui.Date(f.order.NotAfter)},
		ui.Description{Term: f.words.File, Value: ui.Mono(f.delivery.FileName)},
		ui.Description{Term: f.words.Size, Value: ui.Text(size(f.delivery.FileSize))})
}

// advice is what to know before the download (N24 to N26).
func (f fileView) advice() []string {
	list := []string{f.words.RightPlace, f.words.Once}
	if f.delivery.Kind == handover.PKCS12 {
		list = append(list, fmt.Sprintf(f.words.PasswordAfterF, ending(f.delivery.Recipient.Mobile)), f.words.NeverSend, f.words.NoCopies)
	}
	return list
}

func (v *visit) notYetPage() templ.Component { return notYet(v) }

type doneView struct {
	*visit
	order  *wscert.Order
	guides []guide.Guide
	guide  guide.Guide
}

// donePage is what the recipient sees when the file has left.
func (v *visit) donePage(o *wscert.Order) templ.Component {
	var p guide.Params
	if v.h.Guide != nil {
		p = v.h.Guide(o.Realm)
	}
	p.FileName, p.CommonName, p.Service, p.Realm = v.delivery.FileName, v.delivery.Title, o.ServiceName, string(o.Realm)
	if v.delivery.Kind == handover.Certificate {
		p.KeyFile = v.delivery.Title + ".key"
	}
	list := guide.Guides(p)
	return fetched(doneView{visit: v, order: o, guides: list, guide: guide.Find(list, v.r.URL.Query().Get("guide"))})
}

func (d doneView) props() ui.BareProps {
	p := d.bare(d.words.TitleDone, d.words.DoneLead)
	p.Wide = true
	p.Path = d.href("/done", "guide", d.guide.ID)
	return p
}

func (d doneView) tabs() []ui.Tab {
	list := make([]ui.Tab, len(d.guides))
	for i, g := range d.guides {
		list[i] = ui.Tab{Label: g.Title, Href: d.href("/done", "guide", g.ID) + "#guides", Current: g.ID == d.guide.ID}
	}
	return list
}

// A todo is one thing to do after the download.
type todo struct{ Title, Text string }

func (d doneView) todos() []todo {
	w := d.words
	list := []todo{{w.TodoInstall, fmt.Sprintf(w.TodoInstallF, d.order.NotAfter.Format(time.DateOnly))}}
	if d.delivery.Kind == handover.PKCS12 {
		list = append(list, todo{w.TodoSMS, w.TodoSMSText})
	}
	return append(list, todo{w.TodoErase, w.TodoEraseText}, todo{w.TodoBackup, w.TodoBackupText})
}

type errorView struct {
	*visit
	fault *fault.Fault
}

func (v *visit) errorPage(f *fault.Fault) templ.Component { return failed(errorView{v, f}) }

func (e errorView) props() ui.ErrorProps {
	p := ui.ErrorOf(e.fault, e.correlation())
	if e.words.Tag != "en" {
		p.Title = e.words.ErrorTitle
	}
	p.Text, p.Next = e.words.fault(e.fault, e.delivery.TriesLeft)
	p.Object = e.delivery.Title
	return p
}

// fetchedBefore tells that the file has left, to a browser that did not fetch it.
func (e errorView) fetchedBefore() bool {
	return e.fault.Code == "handover.delivered" && e.delivery.ID != ""
}

// contacts are the ways to report a loss.
func (v *visit) contacts() []ui.Description {
	c, w := v.h.Contact, v.words
	var list []ui.Description
	if c.Phone != "" {
		list = append(list, ui.Description{Term: w.Phone, Value: ui.Link(c.Phone, "tel:"+c.Phone)})
	}
	if c.Email != "" {
		list = append(list, ui.Description{Term: w.Email, Value: ui.Link(c.Email, "mailto:"+c.Email)})
	}
	if c.URL != "" {
		list = append(list, ui.Description{Term: w.Page, Value: ui.Link(c.URL, c.URL)})
	}
	return list
}
