// Package product holds what may be ordered: templates and products as data,
// and the evaluation of a request under a product.
//
// A [Template] says what a kind of certificate may contain. A [Product] (the
// policy instance, "pma-…") binds one to a realm, a client and an authority; its
// [Definition] decides every field of the certificate and every step of the
// order. [Product.Resolve] turns a [Request] into a [Profile], the finished
// content of a certificate: a pure function that costs some microseconds, reads
// no database and no clock, and reports every mistake at once ([Refusal]).
// [Product.Lint] judges a definition, [Diff] compares two.
//
// [Products] keeps them: a version, once written, never changes, so an order
// that holds a product's id and version means the same for ever.
package product

import (
	"time"

	"github.com/sealwright/sealwright/internal/access"
)

// A Template is a definition that products start from.
type Template struct {
	Name        string     `json:"name"`    // "tls-server-dv"
	Version     int        `json:"version"` // counted from 1
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Definition  Definition `json:"definition"`
}

// A TemplateRef is the template that a product was made from; what the product
// says otherwise is the difference of the two definitions.
type TemplateRef struct {
	Name    string `json:"name,omitempty"`
	Version int    `json:"version,omitempty"`
}

// A Product is a policy instance. Products from [Products], [Parse] or
// [Template.Product] are prepared for speed; one built by hand resolves as well,
// and pays for its preparation each time.
type Product struct {
	ID          string       `json:"id,omitempty"` // "pma-" and a UUID
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Realm       access.Realm `json:"realm"`
	Client      string       `json:"client,omitempty"` // empty: for every client of the realm
	Authority   string       `json:"authority"`        // id of the issuing authority
	Template    TemplateRef  `json:"template,omitzero"`
	Version     int          `json:"version,omitempty"`
	Expires     time.Time    `json:"expires,omitzero"` // no orders from then on; zero: never
	Definition  Definition   `json:"definition"`

	Retired bool `json:"-"` // no orders any more; not part of a version

	plan *plan
}

// Product makes a product from a template. overrides is a TOML document of what
// the definition says otherwise, or nil; tables are merged, everything else is
// replaced, and a field is removed by state = "absent".
func (t *Template) Product(name string, realm access.Realm, client, authority string, overrides []byte) (*Product, error) {
	d, err := t.Definition.with(overrides)
	if err != nil {
		return nil, err
	}
	p := &Product{
		Name: name, Realm: realm, Client: client, Authority: authority,
		Template: TemplateRef{Name: t.Name, Version: t.Version}, Version: 1, Definition: d,
	}
	return p, p.prepare()
}

// Overrides is what the product says otherwise than its template t.
func (p *Product) Overrides(t *Template) []Change {
	return diffTrees(treeOf(t.Definition), treeOf(p.Definition))
}
