package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealwright/sealwright/internal/platform/store"
)

func (s *session) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

// json prints a value for programs.
func (s *session) json(v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// A listing is how a command shows a list: as a table a page at a time, or as JSON.
type listing struct {
	page store.Page
	json bool
}

func (l *listing) flags(cmd *cobra.Command) {
	l.jsonFlag(cmd)
	cmd.Flags().IntVar(&l.page.Limit, "limit", store.DefaultLimit, fmt.Sprintf("lines of a page, at most %d", store.MaxLimit))
	cmd.Flags().StringVar(&l.page.Cursor, "cursor", "", "where the page begins, as the page before it said")
}

func (l *listing) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.json, "json", false, "print JSON, for programs")
}

// show prints a list; view is what an item is as JSON, row what it is in the table.
func show[T, V any](s *session, l *listing, items []T, next string, view func(T) V, head []string, row func(T) []string) error {
	if l.json {
		views := make([]V, len(items))
		for i, x := range items {
			views[i] = view(x)
		}
		return s.json(struct {
			Items []V    `json:"items"`
			Next  string `json:"next,omitempty"`
		}{views, next})
	}
	if len(items) == 0 {
		fmt.Fprintln(s.cmd.ErrOrStderr(), "Nothing to show.")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, x := range items {
		fmt.Fprintln(w, strings.Join(row(x), "\t"))
	}
	if next != "" {
		fmt.Fprintf(s.cmd.ErrOrStderr(), "There is more. Next page: --cursor %s\n", next)
	}
	return w.Flush()
}

// facts prints labelled lines; those without a value are left out.
func (s *session) facts(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			s.printf("%-16s%s\n", pairs[i], pairs[i+1])
		}
	}
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// moment is a time in full; nothing for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
