package ui

import (
	"fmt"
	"time"

	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// AlertProps describe a message on a page.
type AlertProps struct {
	State  State
	Title  string
	Text   string
	Live   bool            // announce it: for what just happened, not for standing notes
	Action templ.Component // button or link
}

func (p AlertProps) role() templ.Attributes {
	switch {
	case p.Live && p.State == Danger:
		return templ.Attributes{"role": "alert"}
	case p.Live:
		return templ.Attributes{"role": "status"}
	}
	return nil
}

// EmptyStateProps describe a list or page with nothing in it yet. Text says
// what to do, Action does it.
type EmptyStateProps struct {
	Icon, Title, Text string
	Action            templ.Component
}

// StatProps describe a figure.
type StatProps struct {
	Label, Value, Detail string
	State                State // colours and marks the detail
	Href                 string
}

// ProgressProps describe work under way. A Max of zero means that nobody knows
// how much there is.
type ProgressProps struct {
	ID, Label, Detail string
	Value, Max        int
}

// PollProps describe a part of a page that renews itself: URL answers with a
// page that holds an element of the same ID. Leave [Poll] out of the answer
// when there is no more to come, and the polling ends.
type PollProps struct {
	ID, URL string
	Every   time.Duration // 2 s unless set
}

func (p PollProps) trigger() string {
	if p.Every < time.Second {
		return "every 2s"
	}
	return fmt.Sprintf("every %ds", int(p.Every/time.Second))
}

// A Description is a term and what it is.
type Description struct {
	Term  string
	Value templ.Component
}

// CopyProps describe a text to take along.
type CopyProps struct {
	ID    string // unique on the page
	Label string
	Value string
	Large bool // one-time passwords and codes, to be read aloud or typed off
	Lines bool // keep line breaks; scrolls
}

// QRProps describe a QR code. Src is an image as a data URL, or an address.
type QRProps struct{ Src, Alt, Caption string }

// CardProps describe a box with a heading; its content are the children.
type CardProps struct {
	Title   string
	Actions templ.Component
	Flush   bool // no padding, for tables and lists
}

// ErrorProps describe what went wrong.
type ErrorProps struct {
	Status      int
	Title       string
	Text        string // what happened, to which object
	Object      string // the object's name, when known
	Next        string // what to do next
	Code        string
	Correlation string
	Action      templ.Component
}

var errorTitles = map[fault.Kind]string{
	fault.Internal: "Something went wrong on our side", fault.Invalid: "That did not make sense to us",
	fault.NotFound: "There is nothing here", fault.Conflict: "That is not possible now",
	fault.Gone: "This is no longer available", fault.Forbidden: "You may not do that",
	fault.Unauthenticated: "Please sign in", fault.TooMany: "Too many attempts",
	fault.TooLarge: "That is too large", fault.Unavailable: "Not available at the moment",
}

// ErrorOf describes an error: a fault by its own words, anything else by the
// neutral internal message. Set Title to a translation where there is one.
func ErrorOf(err error, correlation string) ErrorProps {
	f := fault.Of(err)
	return ErrorProps{Status: f.Kind.Status(), Title: errorTitles[f.Kind], Text: f.Message, Next: f.Next, Code: f.Code, Correlation: correlation}
}

// How times read without script; the script shows them in the visitor's zone.
const (
	minuteLayout = "2006-01-02 15:04 UTC"
	secondLayout = "2006-01-02 15:04:05 UTC"
	dateLayout   = "2006-01-02"
)

func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }
