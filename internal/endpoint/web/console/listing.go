package console

import (
	"bytes"
	"encoding/csv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A column of a list: how it is shown, and what it says in a download.
type column[T any] struct {
	ui.Column
	text func(T) string          // for the download, and shown unless there is a cell
	cell func(T) templ.Component // nil: the text
}

func (c column[T]) show(item T) templ.Component {
	if c.cell != nil {
		return c.cell(item)
	}
	return ui.Text(c.text(item))
}

// A listing is a list of one kind of thing, paged by key.
type listing[T any] struct {
	id, caption string
	columns     []column[T]
	fetch       func(store.Page) ([]T, string, error)
	href        func(T) string     // nil: rows lead nowhere
	empty       ui.EmptyStateProps // what to say when there is none at all
	filters     []templ.Component
	names       []string // of the filters' parameters
}

// filtered tells whether the address narrows the list.
func (l listing[T]) filtered(v *visit) bool {
	q := v.r.URL.Query()
	for _, n := range l.names {
		if q.Get(n) != "" {
			return true
		}
	}
	return false
}

// parts are the filter form and the table of the page that the address asks for.
func (l listing[T]) parts(v *visit) ([]templ.Component, error) {
	q := ui.ReadList(v.r.URL)
	items, next, err := l.fetch(store.Page{Cursor: q.After})
	if err != nil {
		return nil, err
	}
	table := l.table(items)
	table.ID, table.URL, table.Next, table.CSV = l.id, v.r.URL, next, true
	if l.filtered(v) || q.After != "" {
		table.Empty = ui.EmptyStateProps{
			Icon: "search", Title: v.say("Nothing matches"), Text: v.say("Change or clear the filter to see more."),
			Action: ui.Button(ui.ButtonProps{Label: v.say("Show all"), Href: v.r.URL.Path}),
		}
	}
	if len(l.filters) == 0 {
		return []templ.Component{ui.Table(table)}, nil
	}
	return []templ.Component{filter(ui.FilterProps{URL: v.r.URL, Target: l.id, Active: l.filtered(v)}, l.filters...), ui.Table(table)}, nil
}

// table shows items without paging, as on the page of what they belong to.
func (l listing[T]) table(items []T) ui.TableProps {
	t := ui.TableProps{ID: l.id, Caption: l.caption, Empty: l.empty}
	for _, c := range l.columns {
		t.Columns = append(t.Columns, c.Column)
	}
	for _, item := range items {
		row := ui.Row{}
		if l.href != nil {
			row.Href = l.href(item)
		}
		for _, c := range l.columns {
			row.Cells = append(row.Cells, c.show(item))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// serve answers with the list as a page, or as CSV when the address says so.
func (l listing[T]) serve(v *visit, p ui.PageProps, before ...templ.Component) error {
	if ui.ReadList(v.r.URL).CSV {
		return l.csv(v)
	}
	parts, err := l.parts(v)
	if err != nil {
		return err
	}
	p.Wide = true
	return v.show(p, append(before, parts...)...)
}

// maxCSV bounds a download; whoever needs more uses the API.
const maxCSV = 10_000

func (l listing[T]) csv(v *visit) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	var record []string
	for _, c := range l.columns {
		if c.text != nil {
			record = append(record, c.Label)
		}
	}
	_ = w.Write(record) // into memory
	cursor := ""
	for n := 0; n < maxCSV; {
		items, next, err := l.fetch(store.Page{Cursor: cursor, Limit: store.MaxLimit})
		if err != nil {
			return err
		}
		for _, item := range items {
			record = record[:0]
			for _, c := range l.columns {
				if c.text != nil {
					record = append(record, defused(c.text(item)))
				}
			}
			_ = w.Write(record)
		}
		n += len(items)
		if cursor = next; next == "" {
			break
		}
	}
	w.Flush()
	return v.download(l.id+".csv", "text/csv; charset=utf-8", b.Bytes())
}

// defused keeps a spreadsheet from taking a text for a formula.
func defused(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// stamp and day are how times stand in downloads.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// Columns that many lists have.

func textColumn[T any](label string, text func(T) string) column[T] {
	return column[T]{Column: ui.Column{Label: label}, text: text}
}

func dateColumn[T any](label string, at func(T) time.Time) column[T] {
	return column[T]{Column: ui.Column{Label: label, Narrow: true}, text: func(t T) string { return day(at(t)) }, cell: func(t T) templ.Component { return ui.Date(at(t)) }}
}

func timeColumn[T any](label string, at func(T) time.Time) column[T] {
	return column[T]{Column: ui.Column{Label: label, Narrow: true}, text: func(t T) string { return stamp(at(t)) }, cell: func(t T) templ.Component { return ui.Time(at(t)) }}
}

// badgeColumn shows a state; of says how it looks and what it is called.
func badgeColumn[T any](label string, of func(T) (ui.State, string)) column[T] {
	return column[T]{
		Column: ui.Column{Label: label, Narrow: true},
		text:   func(t T) string { _, word := of(t); return word },
		cell:   func(t T) templ.Component { return ui.Badge(of(t)) },
	}
}

// nameColumn names the row; second is a quieter line below it and may be nil.
func nameColumn[T any](label string, first, second func(T) string) column[T] {
	c := column[T]{Column: ui.Column{Label: label, Primary: true}, text: first}
	if second != nil {
		c.cell = func(t T) templ.Component { return ui.TwoLines(first(t), second(t)) }
	}
	return c
}

// buttonColumn holds a row's acts; it is not part of downloads.
func buttonColumn[T any](label string, cell func(T) templ.Component) column[T] {
	return column[T]{Column: ui.Column{Label: label, Quiet: true, Narrow: true}, cell: cell}
}
