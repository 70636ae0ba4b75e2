package ui

import (
	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/endpoint/web/theme"
)

// PageProps describe a page for operators.
type PageProps struct {
	Title       string // heading and window title
	Lead        string // one line below the heading
	Lang        string // BCP 47; "en" unless set
	Theme       theme.Choice
	Path        string // path and query of this page: where the theme switch returns to
	Home        string // address behind the logo; "/" unless set
	Nav         []NavItem
	User        *UserMenu
	Environment Environment
	Breadcrumb  []Crumb
	Actions     templ.Component // buttons beside the heading
	Flash       []Flash
	Density     Density
	Version     string // shown in the footer
	Correlation string // shown in the footer
	Profile     Profile
	Modules     []string // addresses of further ES modules
	Wide        bool     // use the whole width of a large screen
}

// BareProps describe a page with one column and no navigation: log-in,
// hand-over, signing. It is roomy and made for the phone first.
type BareProps struct {
	Title       string
	Lead        string
	Lang        string
	Theme       theme.Choice
	Path        string
	Environment Environment
	Flash       []Flash
	Version     string
	Correlation string
	Profile     Profile
	Modules     []string
	Wide        bool            // for documents: a column twice as wide
	Live        bool            // loads htmx: needed by [Poll]
	Footer      templ.Component // links to help, terms and privacy
}

// A Profile is a customer's graphical profile: it overrides tokens, logo and
// background, nothing else. The zero Profile is our own look.
type Profile struct {
	Name       string // instead of "Sealwright"
	Logo       string // address of an image, height 32 px
	Stylesheet string // address of a style sheet that sets --sw-… tokens
}

// A NavItem is an entry of the main navigation.
type NavItem struct {
	Label, Href, Icon string
	Group             string // heading above the first item of a group; may be empty
	Current           bool
	Count             int // things waiting; zero shows nothing
}

// A UserMenu says who is signed in.
type UserMenu struct {
	Name, Detail string // person; role or organisation
	SignOut      string // address that the sign-out form posts to
	Links        []Crumb
}

// A Crumb is a step of the breadcrumb. The last one has no Href.
type Crumb struct{ Label, Href string }

// A Flash is a message about what the visitor just did.
type Flash struct {
	State State
	Text  string
}

// document is what both layouts share.
type document struct {
	Title, Lang string
	Theme       theme.Choice
	Density     Density
	Environment Environment
	Profile     Profile
	Modules     []string
	Live        bool
	Class       string
}

func (p PageProps) document() document {
	return document{
		Title: p.Title, Lang: p.Lang, Theme: p.Theme, Density: p.Density, Environment: p.Environment,
		Profile: p.Profile, Modules: p.Modules, Live: true, Class: "sw-app",
	}
}

func (p BareProps) document() document {
	return document{
		Title: p.Title, Lang: p.Lang, Theme: p.Theme, Density: Roomy, Environment: p.Environment,
		Profile: p.Profile, Modules: p.Modules, Live: p.Live, Class: "sw-bare",
	}
}

// attrs are those of the html element. Without a choice, the style sheet
// follows the operating system.
func (d document) attrs() templ.Attributes {
	a := templ.Attributes{"lang": d.Lang}
	if d.Lang == "" {
		a["lang"] = "en"
	}
	if d.Theme != theme.Auto {
		a["data-bs-theme"] = string(d.Theme)
	}
	if d.Density != Dense {
		a["data-density"] = string(d.Density)
	}
	return a
}

func (p Profile) name() string {
	if p.Name == "" {
		return "Sealwright"
	}
	return p.Name
}

func home(address string) string {
	if address == "" {
		return "/"
	}
	return address
}

type navGroup struct {
	Label string
	Items []NavItem
}

// navGroups keeps items in order; a new Group starts a new heading.
func navGroups(items []NavItem) []navGroup {
	var out []navGroup
	for _, item := range items {
		if len(out) == 0 || out[len(out)-1].Label != item.Group {
			out = append(out, navGroup{Label: item.Group})
		}
		last := &out[len(out)-1]
		last.Items = append(last.Items, item)
	}
	return out
}

// htmxConfig keeps htmx within the policy: it evaluates nothing, adds no style
// element, talks to this host only, and leaves no page behind in the browser's
// storage, for pages hold what only their reader may see.
const htmxConfig = `{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"allowScriptTags":false,"historyCacheSize":0,"refreshOnHistoryMiss":true,"scrollBehavior":"auto"}`
