package product

import (
	"regexp"
	"strconv"
)

// maxPerField bounds the values of one field.
const maxPerField = 250

func (c *linter) field(f *planned) {
	r, path := &f.rule, f.path()
	switch r.State {
	case Fixed, Hidden:
		if len(r.Values) == 0 {
			c.err(path+".values", "field.no_value", "A %s field needs a value.", r.State)
		}
		if len(r.Default) > 0 || len(r.Sources) > 0 || r.Column != "" {
			c.err(path, "field.state", "A %s field has neither default nor sources.", r.State)
		}
	case Editable:
		if len(r.Values) > 0 {
			c.err(path+".values", "field.state", "An editable field has a default, not values.")
		}
	default:
		c.err(path+".state", "field.state", "There is no state %q; use fixed, hidden, editable or absent.", r.State)
	}
	if r.Max < 0 || r.Max > maxPerField {
		c.err(path+".max", "field.max", "The number of values lies between 1 and %d.", maxPerField)
	}
	if r.Pattern != "" && anchored.MatchString(r.Pattern) {
		c.warn(path+".pattern", "field.pattern", "The pattern always matches the whole value; ^ and $ say nothing.")
	}
	if r.Long && (c.d.Rules.PublicTrust || f.section != sectionSubject) {
		c.err(path+".long", "field.long", "Attributes beyond the bounds of RFC 5280 are for private trust, and for the subject.")
	}
	if f.section == sectionExt && f.max > 1 {
		c.err(path+".max", "field.max", "An extension holds one value.")
	}
	if max(len(r.Values), len(r.Default)) > f.max {
		c.err(path+".max", "field.max", "The field has more values than it may.")
	}
	c.sources(f)
	c.values(f, "values", r.Values)
	c.values(f, "default", r.Default)
	c.values(f, "choices", r.Choices)
}

var anchored = regexp.MustCompile(`^\^|[^\\]\$$`)

func (c *linter) sources(f *planned) {
	r, path := &f.rule, f.path()
	for _, s := range r.Sources {
		switch {
		case s != FromData && s != FromForm && s != FromCSR:
			c.err(path+".sources", "field.source", "There is no source %q; use data, form or csr.", s)
		case s == FromCSR && !f.csrHas():
			c.err(path+".sources", "field.source", "A certificate request is not read for this field.")
		case s == FromCSR && !c.d.Key.Generation.ByCustomer():
			c.warn(path+".sources", "field.source", "The product takes no certificate requests.")
		}
	}
	if f.data != (r.Column != "") {
		c.err(path+".column", "field.column", "The source data needs a column, and a column the source data.")
	}
	if f.data && c.d.Data.Source == "" {
		c.err("data.source", "field.column", "The field %s comes from a data source, and the product names none.", f.name)
	}
}

// values judges literal values; composed ones are known with the request only.
func (c *linter) values(f *planned, what string, values []string) {
	for i, v := range values {
		path := f.path() + "." + what + "." + strconv.Itoa(i)
		if what != "choices" {
			composed, mistake := c.l.compose(v)
			if mistake != "" || len(composed) != 1 || composed[0].field >= 0 {
				if v == "" {
					c.err(path, "field.value", "The value is empty.")
				}
				continue
			}
			v = composed[0].text
		}
		text, err := f.normalise(v)
		if err != nil {
			c.err(path, "field.value", "%q %v.", shorten(v), err)
			continue
		}
		if text != v && what == "choices" {
			c.err(path, "field.value", "Write the choice %q as %q, the form in which values are compared.", shorten(v), shorten(text))
		}
		if why := f.refuses(text); why != "" {
			c.err(path, "field.value", "%q %s.", shorten(v), why)
		}
	}
}
