package ui

import (
	"github.com/a-h/templ"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A FieldError is one thing wrong with a form. Field names the control; empty
// means the form as a whole.
type FieldError struct{ Field, Message string }

// Errors are what is wrong with a form, in the order of its fields. The first
// that names a field decides where the focus goes.
type Errors []FieldError

// ErrorsOf turns an error into form errors: a fault shows its message and what
// to do next, at its field when it names one. Joined errors become several.
// Anything that is not a fault shows the neutral internal message.
func ErrorsOf(err error) Errors {
	switch e := err.(type) {
	case nil:
		return nil
	case *fault.Fault:
		return Errors{fieldError(e)}
	case interface{ Unwrap() []error }:
		var out Errors
		for _, inner := range e.Unwrap() {
			out = append(out, ErrorsOf(inner)...)
		}
		return out
	}
	return Errors{fieldError(fault.Of(err))}
}

func fieldError(f *fault.Fault) FieldError {
	if f.Next == "" {
		return FieldError{Field: f.Field, Message: f.Message}
	}
	return FieldError{Field: f.Field, Message: f.Message + " " + f.Next}
}

func (e Errors) of(name string) string {
	for _, f := range e {
		if f.Field == name && name != "" {
			return f.Message
		}
	}
	return ""
}

// FormProps describe a form. Fields inside find their error by name.
type FormProps struct {
	ID     string
	Action string // address that it posts to; empty means the page's own
	Method string // "post" unless set
	Errors Errors
	Files  bool // sends files: multipart/form-data
	Guard  bool // ask before leaving with changes that are not saved
	Repeat bool // may be sent again from the same page: the answer is a download
	Attrs  templ.Attributes
}

func (p FormProps) method() string {
	if p.Method == "" {
		return "post"
	}
	return p.Method
}

// FieldProps describe an input of one line.
type FieldProps struct {
	Name     string
	Label    string
	Hint     string // short, always shown, between label and input
	Help     string // longer, folded away below the input
	Error    string // wins over what the form's Errors say of Name
	Type     string // text (default), email, tel, password, date, datetime-local, number, search, url
	Value    string // what was typed; never rendered for passwords
	Required bool
	Optional bool // says "optional" beside the label
	Disabled bool
	ReadOnly bool
	Mono     bool // identifiers, codes, fingerprints
	Focus    bool // gets the focus when no field has an error

	Autocomplete, InputMode, Pattern, Placeholder string // as in HTML
	Min, Max, Step                                string
	MinLength, MaxLength                          int // zero means none
	Prefix, Suffix                                string
	Width                                         string // "short", "medium", or full
	Attrs                                         templ.Attributes
}

func (p FieldProps) kind() string {
	if p.Type == "" {
		return "text"
	}
	return p.Type
}

// attrs lists the attributes that only some inputs have.
func (p FieldProps) attrs(failure string, focus bool) templ.Attributes {
	a := templ.Attributes{}
	for name, value := range map[string]string{
		"autocomplete": p.Autocomplete, "inputmode": p.InputMode, "pattern": p.Pattern, "placeholder": p.Placeholder,
		"min": p.Min, "max": p.Max, "step": p.Step, "aria-describedby": describedBy(fieldID(p.Name), p.Hint, failure),
	} {
		if value != "" {
			a[name] = value
		}
	}
	if p.Type != "password" && p.Value != "" {
		a["value"] = p.Value
	}
	if p.MinLength > 0 {
		a["minlength"] = number(p.MinLength)
	}
	if p.MaxLength > 0 {
		a["maxlength"] = number(p.MaxLength)
	}
	if p.Mono {
		a["spellcheck"], a["autocapitalize"] = "false", "none"
	}
	return control(a, p.Attrs, failure, focus)
}

// control adds what every control needs: the error state, the focus, and the
// caller's own attributes last.
func control(a, own templ.Attributes, failure string, focus bool) templ.Attributes {
	if failure != "" {
		a["aria-invalid"] = "true"
	}
	if focus {
		a["autofocus"] = true
	}
	for name, value := range own {
		a[name] = value
	}
	return a
}

// TextAreaProps describe an input of several lines.
type TextAreaProps struct {
	Name, Label, Hint, Help, Error, Value, Placeholder string
	Required, Optional, Disabled, ReadOnly, Mono       bool
	Focus                                              bool
	Rows                                               int // 4 unless set
	MaxLength                                          int
	Attrs                                              templ.Attributes
}

func (p TextAreaProps) rows() string {
	if p.Rows == 0 {
		return "4"
	}
	return number(p.Rows)
}

func (p TextAreaProps) attrs(failure string, focus bool) templ.Attributes {
	a := templ.Attributes{}
	if d := describedBy(fieldID(p.Name), p.Hint, failure); d != "" {
		a["aria-describedby"] = d
	}
	if p.Placeholder != "" {
		a["placeholder"] = p.Placeholder
	}
	if p.MaxLength > 0 {
		a["maxlength"] = number(p.MaxLength)
	}
	if p.Mono {
		a["spellcheck"], a["autocapitalize"] = "false", "none"
	}
	return control(a, p.Attrs, failure, focus)
}

// An Option is one choice of a [Select] or [RadioCards].
type Option struct {
	Value, Label string
	Detail       string // RadioCards only: a line below the label
	Icon         string // RadioCards only
	Group        string // Select only: options with the same group stand together
	Disabled     bool
}

// SelectProps describe a choice from a list.
type SelectProps struct {
	Name, Label, Hint, Help, Error, Value string
	Options                               []Option
	Blank                                 string // label of the empty choice; "-" leaves it out
	Required, Optional, Disabled, Focus   bool
	Width                                 string
	Attrs                                 templ.Attributes
}

func (p SelectProps) attrs(failure string, focus bool) templ.Attributes {
	a := templ.Attributes{}
	if d := describedBy(fieldID(p.Name), p.Hint, failure); d != "" {
		a["aria-describedby"] = d
	}
	return control(a, p.Attrs, failure, focus)
}

type optionGroup struct {
	Label   string
	Options []Option
}

// grouped keeps the order in which groups first appear.
func grouped(options []Option) []optionGroup {
	var out []optionGroup
	at := map[string]int{}
	for _, o := range options {
		i, ok := at[o.Group]
		if !ok {
			i = len(out)
			at[o.Group] = i
			out = append(out, optionGroup{Label: o.Group})
		}
		out[i].Options = append(out[i].Options, o)
	}
	return out
}

// RadioCardsProps describe a choice between few things that need a word each.
type RadioCardsProps struct {
	Name, Label, Hint, Error, Value string
	Options                         []Option
	Required, Optional              bool
}

// CheckboxProps describe a yes or no.
type CheckboxProps struct {
	Name, Label, Hint, Error    string
	Value                       string // sent when checked; "on" unless set
	Checked, Required, Disabled bool
	Attrs                       templ.Attributes
}

func (p CheckboxProps) value() string {
	if p.Value == "" {
		return "on"
	}
	return p.Value
}

// FileDropProps describe a file to send. It is a plain file input that the
// script turns into a place to drop files on. Set Files on the form.
type FileDropProps struct {
	Name, Label, Hint, Error     string
	Accept                       string // ".pdf,application/pdf"
	Required, Optional, Multiple bool
}

func checkboxAttrs(p CheckboxProps, failure string, focus bool) templ.Attributes {
	a := templ.Attributes{}
	if d := describedBy(fieldID(p.Name), p.Hint, failure); d != "" {
		a["aria-describedby"] = d
	}
	return control(a, p.Attrs, failure, focus)
}

func fileAttrs(p FileDropProps, failure string, focus bool) templ.Attributes {
	a := templ.Attributes{}
	if d := describedBy(fieldID(p.Name), p.Hint, failure); d != "" {
		a["aria-describedby"] = d
	}
	return control(a, nil, failure, focus)
}
