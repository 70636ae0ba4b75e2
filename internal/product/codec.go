package product

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/pki/dn"
)

// A Format is how a product or template is written in a file. Both formats have
// the same names.
type Format string

// The formats.
const (
	TOML Format = "toml"
	JSON Format = "json"
)

// maxFile bounds a file, in bytes; real ones have a few thousand.
const maxFile = 1 << 18

// Parse reads a product and prepares it. Unknown names are mistakes. Only its
// form is checked; [Product.Lint] judges it. Faults have the code
// "product.file".
func Parse(f Format, file []byte) (*Product, error) {
	p := &Product{}
	if err := read(f, file, p); err != nil {
		return nil, err
	}
	return p, p.prepare()
}

// ParseTemplate reads a template.
func ParseTemplate(f Format, file []byte) (*Template, error) {
	t := &Template{}
	if err := read(f, file, t); err != nil {
		return nil, err
	}
	return t, t.Definition.normalise()
}

// Export writes the product; [Parse] reads it back to the same product.
func (p *Product) Export(f Format) ([]byte, error) { return write(f, p) }

// Export writes the template.
func (t *Template) Export(f Format) ([]byte, error) { return write(f, t) }

func read(f Format, file []byte, into any) error {
	tree, err := parseTree(f, file)
	if err != nil {
		return err
	}
	return fromTree(tree, into)
}

func malformed(format string, args ...any) error {
	return fault.Invalidf("product.file", "The file cannot be read: %s.", fmt.Sprintf(format, args...)).
		WithNext("Compare it with an exported product.").WithField("file")
}

// parseTree reads either format into the values of encoding/json: maps, slices,
// strings, booleans and json.Number.
func parseTree(f Format, file []byte) (map[string]any, error) {
	if len(file) > maxFile {
		return nil, fault.New(fault.TooLarge, "product.too_large", "The file has %d bytes; at most %d are read.", len(file), maxFile).WithField("file")
	}
	tree := map[string]any{}
	switch f {
	case TOML:
		if err := toml.Unmarshal(file, &tree); err != nil {
			var at *toml.DecodeError
			if errors.As(err, &at) {
				row, column := at.Position()
				return nil, malformed("line %d, column %d: %s", row, column, strings.TrimPrefix(at.Error(), "toml: "))
			}
			return nil, malformed("%v", err)
		}
		return tree, nil
	case JSON:
		d := json.NewDecoder(bytes.NewReader(file))
		d.UseNumber()
		if err := d.Decode(&tree); err != nil {
			return nil, malformed("%v", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, malformed("something follows the object")
		}
		return tree, nil
	}
	return nil, malformed("there is no format %q; use toml or json", f)
}

// fromTree fills a struct from a tree, strictly. Empty lists and tables say
// nothing and are dropped, so that what is written reads back the same.
func fromTree(tree map[string]any, into any) error {
	text, err := json.Marshal(pruned(tree))
	if err != nil {
		return malformed("%v", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return malformed("%s is a %s where another kind of value belongs", kind.Field, kind.Value)
		}
		return malformed("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func pruned(tree map[string]any) map[string]any {
	out := make(map[string]any, len(tree))
	for k, v := range tree {
		switch inner := v.(type) {
		case map[string]any:
			if len(inner) == 0 {
				continue
			}
			v = pruned(inner)
		case []any:
			if len(inner) == 0 {
				continue
			}
		}
		out[k] = v
	}
	return out
}

// treeOf is the inverse of fromTree.
func treeOf(v any) map[string]any {
	tree := map[string]any{}
	text, err := json.Marshal(v)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		err = d.Decode(&tree)
	}
	if err != nil { // the types of this package are plain data
		panic(fmt.Sprintf("product: %T cannot be written: %v", v, err))
	}
	return tree
}

func write(f Format, v any) ([]byte, error) {
	switch f {
	case TOML:
		return toml.Marshal(numbers(treeOf(v)))
	case JSON:
		text, err := json.MarshalIndent(v, "", "  ")
		return append(text, '\n'), err
	}
	return nil, malformed("there is no format %q; use toml or json", f)
}

// numbers turns json.Number, which TOML would write as text, into integers; the
// types of this package hold no others.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			v[k] = numbers(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = numbers(inner)
		}
	case json.Number:
		n, _ := v.Int64() // written from an int
		return n
	}
	return v
}

// with is the definition with overrides merged into it.
func (d Definition) with(overrides []byte) (Definition, error) {
	over, err := parseTree(TOML, overrides)
	if err != nil {
		return Definition{}, err
	}
	var out Definition
	if err := fromTree(merge(treeOf(d), over), &out); err != nil {
		return Definition{}, err
	}
	return out, out.normalise()
}

// merge lays over on base: tables are merged, all else is replaced. Names of
// attributes are made the same first, so that "commonName" meets "CN".
func merge(base, over map[string]any) map[string]any {
	if subject, ok := over["subject"].(map[string]any); ok {
		for name := range maps.Clone(subject) {
			if canonical := canonicalAttribute(name); canonical != name {
				subject[canonical] = subject[name]
				delete(subject, name)
			}
		}
	}
	return mergeTables(base, over)
}

func mergeTables(base, over map[string]any) map[string]any {
	for k, v := range over {
		inner, ok := v.(map[string]any)
		if old, there := base[k].(map[string]any); ok && there {
			base[k] = mergeTables(old, inner)
			continue
		}
		base[k] = v
	}
	return base
}

// canonicalAttribute is the RFC 4514 name of an attribute, or the name itself
// when it is unknown, for Lint to find.
func canonicalAttribute(name string) string {
	id, err := dn.ParseType(name)
	if err != nil {
		return name
	}
	return dn.TypeName(id)
}

// normalise gives attributes their canonical names and drops absent fields, so
// that two definitions that mean the same are the same.
func (d *Definition) normalise() error {
	subject := make(map[string]FieldRule, len(d.Subject))
	for _, name := range slices.Sorted(maps.Keys(d.Subject)) {
		canonical := canonicalAttribute(name)
		if _, twice := subject[canonical]; twice {
			return malformed("the attribute %s stands there twice", canonical)
		}
		subject[canonical] = d.Subject[name]
	}
	d.Subject = present(subject)
	d.SAN = present(d.SAN)
	d.Extensions.Fields = present(d.Extensions.Fields)
	for i, name := range d.SubjectOrder {
		d.SubjectOrder[i] = canonicalAttribute(name)
	}
	return nil
}

func present(fields map[string]FieldRule) map[string]FieldRule {
	out := maps.Clone(fields)
	maps.DeleteFunc(out, func(_ string, f FieldRule) bool { return f.State == Absent })
	if len(out) == 0 {
		return nil
	}
	return out
}

// prepare normalises and compiles.
func (p *Product) prepare() error {
	p.Expires = p.Expires.UTC().Truncate(time.Microsecond)
	if err := p.Definition.normalise(); err != nil {
		return err
	}
	p.plan = compile(p)
	return nil
}
