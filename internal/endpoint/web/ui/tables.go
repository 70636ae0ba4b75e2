package ui

import (
	"net/url"
	"strings"

	"github.com/a-h/templ"
)

// The names that lists use in the address.
const (
	paramSort   = "sort"   // column key, with "-" in front for descending
	paramAfter  = "after"  // cursor: the page that follows this row
	paramBefore = "before" // cursor: the page that precedes this row
	paramFormat = "format" // "csv" asks for a download
)

// A ListQuery is what the address of a list says besides its filters.
type ListQuery struct {
	Sort          string // column key; empty means the list's own order
	Descending    bool
	After, Before string // cursors; at most one is set
	CSV           bool
}

// ReadList reads the address of a list. Cursors and keys are the visitor's
// words: look them up, never put them into SQL.
func ReadList(u *url.URL) ListQuery {
	q := u.Query()
	key, desc := strings.CutPrefix(q.Get(paramSort), "-")
	l := ListQuery{Sort: key, Descending: desc, After: q.Get(paramAfter), Before: q.Get(paramBefore), CSV: q.Get(paramFormat) == "csv"}
	if l.After != "" {
		l.Before = ""
	}
	return l
}

// with is the address with one parameter set and the cursors dropped.
func with(u *url.URL, name, value string) string {
	if u == nil {
		u = &url.URL{}
	}
	q := u.Query()
	for _, p := range []string{paramAfter, paramBefore, paramFormat} {
		q.Del(p)
	}
	q.Set(name, value)
	return "?" + q.Encode()
}

// A Column is one column of a [Table].
type Column struct {
	Label   string
	Sort    string // key for sorting; empty columns cannot be sorted
	Numeric bool   // right-aligned figures
	Primary bool   // names the row: its link, and the heading of its card on a phone
	Quiet   bool   // the label is for assistive technology only, as above buttons
	Narrow  bool   // no wider than its content
}

// A Row is one row of a [Table], with a cell for each column.
type Row struct {
	Href   string // where the row leads; becomes the link of the primary cell
	Name   string // names the row in its checkbox label
	Select string // value of the row's checkbox when the table has bulk actions
	Cells  []templ.Component
}

// Cells lists the cells of a row; it keeps pages readable.
func Cells(cells ...templ.Component) []templ.Component { return cells }

// TableProps describe a list.
type TableProps struct {
	ID             string // unique on the page; sorting and paging then replace the table only
	Caption        string // names the list for assistive technology
	Columns        []Column
	Rows           []Row
	Empty          EmptyStateProps
	URL            *url.URL // address of this list, with sort and filters
	Next, Previous string   // cursors; empty when there is no such page
	Count          string   // "1–50 of about 12 000"
	CSV            bool     // offer what is shown as CSV (format=csv)
	Bulk           *Bulk
}

// Bulk are actions on the rows that are selected. The form posts the values as
// "select", once each; a destructive one leads to a page with [ConfirmPanel].
type Bulk struct {
	Action  string
	Buttons []ButtonProps
}

func (p TableProps) bulkForm() string { return p.ID + "-bulk" }

// sortDirection is the value of aria-sort.
func (p TableProps) sortDirection(c Column) string {
	if p.URL == nil || c.Sort == "" {
		return ""
	}
	switch l := ReadList(p.URL); {
	case l.Sort != c.Sort:
		return "none"
	case l.Descending:
		return "descending"
	}
	return "ascending"
}

// sortHref sorts by the column, or turns its order round.
func (p TableProps) sortHref(c Column) string {
	if p.sortDirection(c) == "ascending" {
		return with(p.URL, paramSort, "-"+c.Sort)
	}
	return with(p.URL, paramSort, c.Sort)
}

func (p TableProps) sortIcon(c Column) string {
	switch p.sortDirection(c) {
	case "ascending":
		return "up"
	case "descending":
		return "down"
	}
	return "sort"
}

// live makes a link replace the table in place where htmx runs.
func (p TableProps) live(href string) templ.Attributes { return live(p.ID, href) }

func live(id, href string) templ.Attributes {
	if id == "" {
		return nil
	}
	return templ.Attributes{"hx-get": href, "hx-target": "#" + id, "hx-select": "#" + id, "hx-swap": "outerHTML", "hx-push-url": "true"}
}

// FilterProps describe the form above a list. Its fields are children, named
// like the parameters they set; the address keeps the sort order.
type FilterProps struct {
	URL    *url.URL
	Target string // ID of the table that it replaces in place; may be empty
	Active bool   // some filter is set: offers to clear them
}

func (p FilterProps) attrs() templ.Attributes {
	if p.Target == "" {
		return nil
	}
	return live(p.Target, "")
}

func (p FilterProps) sort() string {
	if p.URL == nil {
		return ""
	}
	return p.URL.Query().Get(paramSort)
}

// clear is the list without filters, in the same order.
func (p FilterProps) clear() string {
	if s := p.sort(); s != "" {
		return "?" + url.Values{paramSort: {s}}.Encode()
	}
	return "?"
}
