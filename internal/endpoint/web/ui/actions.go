package ui

import "github.com/a-h/templ"

// A Variant is how much weight a button has. A page has one Primary at most.
type Variant string

// The variants. Secondary is the zero value.
const (
	Secondary        Variant = ""
	Primary          Variant = "primary"
	Destructive      Variant = "danger"       // the confirming button of a destructive act
	DestructiveQuiet Variant = "danger-quiet" // leads to a destructive act
	Quiet            Variant = "quiet"
)

func (v Variant) class() string {
	if v == Secondary {
		return "sw-btn-secondary"
	}
	return "sw-btn-" + string(v)
}

// ButtonProps describe a button, or a link that looks like one when Href is set.
type ButtonProps struct {
	Label       string
	Icon        string
	Variant     Variant
	Href        string
	Type        string // "submit" unless set
	Name, Value string
	Small       bool
	Block       bool // as wide as its column
	IconOnly    bool // the label is for assistive technology only
	Disabled    bool
	NewWindow   bool // Href only
	Attrs       templ.Attributes
}

func (p ButtonProps) kind() string {
	if p.Type == "" {
		return "submit"
	}
	return p.Type
}

func (p ButtonProps) classes() templ.CSSClasses {
	return templ.Classes("sw-btn", p.Variant.class(), templ.KV("sw-btn-small", p.Small),
		templ.KV("sw-btn-block", p.Block), templ.KV("sw-btn-icon", p.IconOnly))
}

// ConfirmProps describe a destructive act and the question before it.
type ConfirmProps struct {
	ID      string // unique on the page
	Label   string // of the button that asks
	Icon    string
	Variant Variant // of the button that asks; DestructiveQuiet suits most
	Small   bool
	Title   string // the question, naming the object: "Revoke www.example.org?"
	Text    string // what happens then, and whether it can be undone
	Object  string // the object's name, shown by itself
	Confirm string // of the button that acts: "Revoke certificate"
	Action  string // address that the act posts to
	Hidden  []Hidden
	Body    templ.Component // further fields, such as a reason
	// Href is the address of a page with [ConfirmPanel], for browsers without
	// script. Without one, the dialog opens by the browser's own command
	// attributes.
	Href string
}

// Hidden is a hidden field of a form.
type Hidden struct{ Name, Value string }
