// Package ui holds the components that pages are built from, as templ
// functions over structs that hold exactly what is shown.
//
// Start with [Page] (operators: navigation, dense) or [Bare] (log-in, hand-over
// and signing: one roomy column) and put the others inside. A form is [Form]
// around [Field] and its kin; a list is [Filter] above [Table]. Everything
// works without JavaScript; the script of package theme adds comfort.
//
// Words that components say themselves come from [Texts], in English unless
// the context carries others; words about the page's subject are the caller's.
// Components escape all text; addresses go through templ's URL check.
package ui

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate -path .

import (
	"context"
	"fmt"
	"strings"

	"github.com/a-h/templ"
)

// A State is what a badge, alert or step says about its object. It is always
// shown as shape and word as well as colour (WCAG 2.2, 1.4.1).
type State string

// The states. Neutral is the zero value.
const (
	Neutral State = ""
	OK      State = "ok"
	Warn    State = "warn"
	Danger  State = "danger"
	Info    State = "info"
)

func (s State) class() string {
	if s == Neutral {
		return "neutral"
	}
	return string(s)
}

func (s State) icon() string {
	switch s {
	case OK:
		return "check"
	case Warn:
		return "warning"
	case Danger:
		return "blocked"
	case Info:
		return "info"
	}
	return "dot"
}

// A Density is how much room a page gives its parts.
type Density string

// The densities: Dense for operators, Roomy for citizens.
const (
	Dense Density = ""
	Roomy Density = "roomy"
)

// An Environment is the realm that a page works in, shown on every page.
type Environment string

// The environments. Preprod is marked so that nobody mistakes it.
const (
	NoEnvironment Environment = ""
	Preprod       Environment = "preprod"
	Production    Environment = "production"
)

// Text is a cell or slot of plain text; nothing becomes an em dash.
func Text(s string) templ.Component { return textCell(s) }

// Join shows components one after the other, separated by space.
func Join(parts ...templ.Component) templ.Component { return joined(parts) }

func fieldID(name string) string { return "f-" + name }

// describedBy lists the ids of the texts that belong to a control.
func describedBy(id string, hint, failure string) string {
	var ids []string
	if hint != "" {
		ids = append(ids, id+"-hint")
	}
	if failure != "" {
		ids = append(ids, id+"-error")
	}
	return strings.Join(ids, " ")
}

// errorsKey carries the enclosing form's errors to its fields.
type errorsKey struct{}

func formErrors(ctx context.Context) Errors {
	e, _ := ctx.Value(errorsKey{}).(Errors)
	return e
}

// problem is what a field shows: its own error, or what the form says of it.
func problem(ctx context.Context, name, own string) string {
	if own != "" {
		return own
	}
	return formErrors(ctx).of(name)
}

// first tells whether the field is the one that gets the focus.
func first(ctx context.Context, name string) bool {
	e := formErrors(ctx)
	for _, f := range e {
		if f.Field != "" {
			return f.Field == name
		}
	}
	return false
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func number(n int) string { return fmt.Sprintf("%d", n) }
