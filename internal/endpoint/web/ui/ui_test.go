package ui_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/endpoint/web/ui"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func render(t *testing.T, ctx context.Context, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFaultsBecomeFormErrorsAtTheirFields(t *testing.T) {
	names := fault.Invalidf("names", "Not a host name.").WithField("names").WithNext("Write one per line.")
	for name, c := range map[string]struct {
		err  error
		want ui.Errors
	}{
		"none":               {nil, nil},
		"one with a field":   {names, ui.Errors{{Field: "names", Message: "Not a host name. Write one per line."}}},
		"wrapped":            {fault.Wrap(names, "order"), ui.Errors{{Field: "names", Message: "Not a host name. Write one per line."}}},
		"several":            {errors.Join(names, fault.Conflictf("x", "Too late.")), ui.Errors{{Field: "names", Message: "Not a host name. Write one per line."}, {Message: "Too late."}}},
		"one with a cause":   {fault.Unavailablef(errors.New("dial tcp"), "down", "Not now."), ui.Errors{{Message: "Not now."}}},
		"not a fault at all": {fmt.Errorf("pq: password authentication failed"), ui.Errors{{Message: fault.Of(errors.New("x")).Message + " " + fault.Of(errors.New("x")).Next}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ui.ErrorsOf(c.err); !slices.Equal(got, c.want) {
				t.Errorf("got %+v; want %+v", got, c.want)
			}
		})
	}
}

func TestAListReadsItsAddress(t *testing.T) {
	for address, want := range map[string]ui.ListQuery{
		"/c":                              {},
		"/c?sort=name":                    {Sort: "name"},
		"/c?sort=-until&after=x1":         {Sort: "until", Descending: true, After: "x1"},
		"/c?before=x2&format=csv":         {Before: "x2", CSV: true},
		"/c?before=x2&after=x1&format=ps": {After: "x1"},
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := ui.ReadList(u); got != want {
			t.Errorf("%s reads as %+v; want %+v", address, got, want)
		}
	}
}

func TestAListLinksKeepItsFilters(t *testing.T) {
	u, _ := url.Parse("/c?q=a%26b&sort=name&after=x1")
	html := render(t, t.Context(), ui.Table(ui.TableProps{
		Caption: "C", URL: u, Next: "x2", Previous: "x0", CSV: true,
		Columns: []ui.Column{{Label: "Name", Sort: "name", Primary: true}, {Label: "Until", Sort: "until"}},
		Rows:    []ui.Row{{Href: "/c/1", Cells: ui.Cells(ui.Text("one"), ui.Text(""))}},
	}))
	for _, want := range []string{
		`href="?q=a%26b&amp;sort=-name"`, `href="?q=a%26b&amp;sort=until"`, `aria-sort="ascending"`, `aria-sort="none"`,
		`href="?after=x2&amp;q=a%26b&amp;sort=name"`, `href="?before=x0&amp;q=a%26b&amp;sort=name"`, `href="?format=csv&amp;q=a%26b&amp;sort=name"`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("The table lacks %s.", want)
		}
	}
}

func TestWhatIsShownCannotBreakOut(t *testing.T) {
	const hostile = `"><script>alert(1)</script>`
	u, _ := url.Parse("/?q=" + url.QueryEscape(hostile))
	for name, c := range map[string]templ.Component{
		"field":   ui.Field(ui.FieldProps{Name: "n", Label: hostile, Hint: hostile, Error: hostile, Value: hostile, Placeholder: hostile, Help: hostile, Prefix: hostile}),
		"area":    ui.TextArea(ui.TextAreaProps{Name: "n", Label: hostile, Value: "</textarea>" + hostile}),
		"select":  ui.Select(ui.SelectProps{Name: "n", Label: hostile, Options: []ui.Option{{Value: hostile, Label: hostile, Group: hostile}}}),
		"cards":   ui.RadioCards(ui.RadioCardsProps{Name: "n", Label: hostile, Options: []ui.Option{{Value: hostile, Label: hostile, Detail: hostile, Icon: hostile}}}),
		"table":   ui.Table(ui.TableProps{ID: "t", Caption: hostile, URL: u, Next: hostile, Columns: []ui.Column{{Label: hostile, Primary: true, Sort: hostile}}, Rows: []ui.Row{{Href: hostile, Name: hostile, Select: hostile, Cells: ui.Cells(ui.TwoLines(hostile, hostile))}}, Bulk: &ui.Bulk{Action: "/x"}}),
		"confirm": ui.ConfirmDialog(ui.ConfirmProps{ID: "c", Label: hostile, Title: hostile, Text: hostile, Object: hostile, Confirm: hostile, Hidden: []ui.Hidden{{Name: "a", Value: hostile}}}),
		"copy":    ui.CodeBlock("c", hostile, hostile),
		"error":   ui.ErrorPage(ui.ErrorOf(fault.NotFoundf("x", "%s", hostile).WithNext("%s", hostile), hostile)),
		"page":    ui.Page(ui.PageProps{Title: hostile, Lead: hostile, Lang: hostile, Path: hostile, Correlation: hostile, Breadcrumb: []ui.Crumb{{Label: hostile, Href: "/"}}, Flash: []ui.Flash{{Text: hostile}}}),
	} {
		if html := render(t, t.Context(), c); strings.Contains(html, "<script>alert") {
			t.Errorf("%s lets a script through.", name)
		}
	}
	for name, c := range map[string]templ.Component{
		"link": ui.Link("x", "javascript:alert(1)"), "button": ui.Button(ui.ButtonProps{Label: "x", Href: "javascript:alert(1)"}),
		"nav": ui.Page(ui.PageProps{Nav: []ui.NavItem{{Label: "x", Href: "javascript:alert(1)"}}}),
	} {
		if html := render(t, t.Context(), c); strings.Contains(html, "javascript:") {
			t.Errorf("%s leads to a script.", name)
		}
	}
}

func TestAPasswordIsNeverRendered(t *testing.T) {
	if html := render(t, t.Context(), ui.Field(ui.FieldProps{Name: "p", Label: "Password", Type: "password", Value: "correct horse"})); strings.Contains(html, "correct horse") {
		t.Error("The page repeats a password.")
	}
}

func TestNoComponentWritesStyleOrHandlersInline(t *testing.T) {
	html := render(t, t.Context(), templ.Join(
		ui.Page(ui.PageProps{Title: "x", User: &ui.UserMenu{Name: "x", SignOut: "/o"}}),
		ui.Progress(ui.ProgressProps{ID: "p", Label: "x", Value: 1, Max: 3}), ui.Countdown(time.Unix(0, 0)),
		ui.QR(ui.QRProps{Src: "data:image/png;base64,AAAA", Alt: "x"}), ui.FileDrop(ui.FileDropProps{Name: "f", Label: "x"}),
	))
	for _, bad := range []string{" style=", "<style", " onclick=", " onload=", " hx-on"} {
		if strings.Contains(html, bad) {
			t.Errorf("A component writes %q, which the policy forbids.", bad)
		}
	}
	if !strings.Contains(html, `src="data:image/png;base64,AAAA"`) {
		t.Error("The QR code is not shown.")
	}
}

func TestADialogWithoutAConfirmPageOpensWithoutScript(t *testing.T) {
	html := render(t, t.Context(), ui.ConfirmDialog(ui.ConfirmProps{ID: "del", Label: "Delete …", Title: "Delete x?", Confirm: "Delete", Action: "/del"}))
	if !strings.Contains(html, `command="show-modal"`) || !strings.Contains(html, `commandfor="del"`) {
		t.Error("The button does not command the dialog.")
	}
}

func TestComponentsSpeakTheLanguageOfTheContext(t *testing.T) {
	words := ui.English()
	words.Next, words.Required = "Næste", "påkrævet"
	ctx := ui.WithTexts(t.Context(), words)
	html := render(t, ctx, templ.Join(
		ui.Table(ui.TableProps{Caption: "C", Next: "x", Columns: []ui.Column{{Label: "N"}}, Rows: []ui.Row{{Cells: ui.Cells(ui.Text("1"))}}}),
		ui.Field(ui.FieldProps{Name: "n", Label: "L", Required: true}),
	))
	if !strings.Contains(html, "Næste") || !strings.Contains(html, "påkrævet") {
		t.Errorf("The words of the context are not used: %s", html)
	}
}

func TestATimeThatIsNotSetIsADash(t *testing.T) {
	if html := render(t, t.Context(), ui.Time(time.Time{})); !strings.Contains(html, "—") || strings.Contains(html, "0001") {
		t.Errorf("No time reads %s", html)
	}
}

func TestEveryIconDraws(t *testing.T) {
	for _, name := range ui.IconNames() {
		if html := render(t, t.Context(), ui.Icon(name)); !strings.Contains(html, "<path") && !strings.Contains(html, "<circle") {
			t.Errorf("The icon %q is empty.", name)
		}
	}
	if html := render(t, t.Context(), ui.Icon("no such icon")); html != "" {
		t.Errorf("An unknown icon draws %s", html)
	}
}
