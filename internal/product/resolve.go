package product

import (
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Resolve turns a request at a moment into the content of a certificate. data
// are the records of the product's data source that the customer may use, and
// nil without one. The error is a [*Refusal] with everything that is wrong. The
// key is not judged here: give Profile.Key to package goodkey.
func (p *Product) Resolve(r Request, at time.Time, data Rows) (*Profile, error) {
	w := p.work(&r, at)
	w.fill(data)
	w.terms()
	if len(w.problems) > 0 {
		return nil, &Refusal{w.problems}
	}
	out := w.profile()
	if len(w.problems) > 0 {
		return nil, &Refusal{w.problems}
	}
	return out, nil
}

// Preview is [Product.Resolve] for a form that is being filled in: it gives the
// fields as far as they are known beside the problems.
func (p *Product) Preview(r Request, at time.Time, data Rows) ([]Field, []*fault.Fault) {
	w := p.work(&r, at)
	w.fill(data)
	w.terms()
	if len(w.problems) == 0 {
		w.profile()
	}
	return w.preview(), w.problems
}

// prepared is the plan; a product that was built by hand gets one each time.
func (p *Product) prepared() *plan {
	if p.plan != nil {
		return p.plan
	}
	return compile(p)
}

// work is one resolution under way.
type work struct {
	p        *Product
	l        *plan
	r        *Request
	at       time.Time
	asked    [][]string // by field, normalised
	values   []found    // by field
	problems []*fault.Fault
}

// found are the values of a field.
type found struct {
	values []string
	origin Origin
	locked bool // by a record
}

func (p *Product) work(r *Request, at time.Time) *work {
	l := p.prepared()
	w := &work{p: p, l: l, r: r, at: at, asked: make([][]string, len(l.fields)), values: make([]found, len(l.fields))}
	for _, m := range l.mistakes {
		w.problem(m.Path, "product.mistake", "The product %q cannot be used: %s", p.Name, m.Text)
	}
	return w
}

func (w *work) problem(field, code, format string, args ...any) {
	w.problems = append(w.problems, fault.Invalidf(code, format, args...).WithField(field))
}

// fill decides the value of every field.
func (w *work) fill(data Rows) {
	w.collect()
	row := w.pick(data)
	for i := range w.l.fields {
		w.decide(i, row)
	}
	for i := range w.l.fields {
		w.composeValues(i)
	}
	w.commonName()
	for i := range w.l.fields {
		w.check(i)
	}
	w.across()
}

// pick finds the record: the only one, or the one whose values the request
// repeats.
func (w *work) pick(data Rows) Row {
	if w.p.Definition.Data.Source == "" {
		return nil
	}
	var fit Rows
	for _, row := range data {
		if w.fits(row) {
			fit = append(fit, row)
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0]
	case len(data) == 0:
		w.problem("data", "data.missing", "The product %q issues for records of the source %q only, and none was chosen.", w.p.Name, w.p.Definition.Data.Source)
	case len(fit) == 0:
		w.problem("data", "data.no_match", "No available record has the values that were given.")
	default:
		w.problem("data", "data.ambiguous", "%d records fit; choose one.", len(fit))
	}
	return nil
}

// fits tells whether the request agrees with a record.
func (w *work) fits(row Row) bool {
	for i := range w.l.fields {
		f := &w.l.fields[i]
		if !f.data || len(w.asked[i]) == 0 || len(row[f.rule.Column]) == 0 {
			continue
		}
		if !slices.Equal(w.asked[i], f.normaliseAll(row[f.rule.Column])) {
			return false
		}
	}
	return true
}

// normaliseAll leaves out what cannot be read.
func (f *planned) normaliseAll(values []string) []string {
	var out []string
	for _, v := range values {
		if text, err := f.normalise(v); err == nil && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// decide finds the values of a field that are not composed of others.
func (w *work) decide(i int, row Row) {
	f, v := &w.l.fields[i], &w.values[i]
	if f.rule.State != Editable {
		if f.rule.Values != nil && !f.refers() {
			w.fromProduct(i)
		}
		return
	}
	if f.data && row != nil {
		if values := f.normaliseAll(row[f.rule.Column]); len(values) > 0 {
			*v = found{values, OfData, true}
			if len(w.asked[i]) > 0 && !slices.Equal(w.asked[i], values) {
				w.problem(f.name, "field.locked", "%s is %q in the chosen record and cannot be changed.", f.label, strings.Join(values, ", "))
			}
			return
		}
	}
	switch {
	case len(w.asked[i]) > 0 && f.form:
		*v = found{w.asked[i], OfRequest, false}
	case len(w.asked[i]) > 0:
		w.problem(f.name, "field.not_by_request", "%s cannot be given with the order; it comes from %s.", f.label, sourcesText(f))
	case f.csr && w.r.CSR != nil:
		if values := w.csrValues(f); len(values) > 0 {
			*v = found{values, OfCSR, false}
		}
	}
}

func sourcesText(f *planned) string {
	switch {
	case f.data && f.csr:
		return "the chosen record or the certificate request"
	case f.data:
		return "the chosen record"
	}
	return "the certificate request"
}

func (w *work) csrValues(f *planned) []string {
	var out []string
	for _, v := range fromCSR(w.r.CSR, f) {
		text, err := f.normalise(v)
		if err != nil {
			w.problem(f.name, "field.value", "%s: %q in the certificate request %v.", f.label, shorten(v), err)
			continue
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// fromProduct gives a field its fixed values, and refuses others.
func (w *work) fromProduct(i int) {
	f := &w.l.fields[i]
	w.values[i] = found{w.compose(f, f.values), OfProduct, false}
	for _, asked := range w.asked[i] {
		if !slices.Contains(w.values[i].values, asked) {
			w.problem(f.name, "field.fixed", "%s is set by the product %q and cannot be %q.", f.label, w.p.Name, shorten(asked))
		}
	}
}

// compose fills in values; a value that its field cannot hold is a problem.
func (w *work) compose(f *planned, values []composed) []string {
	out := make([]string, 0, len(values))
	for _, c := range values {
		text := c.text(w.values)
		if text == "" {
			continue
		}
		text, err := f.normalise(text)
		if err != nil {
			w.problem(f.name, "field.value", "%s: %q %v.", f.label, shorten(c.text(w.values)), err)
			continue
		}
		if f.tooLong(text) && !f.rule.Mandatory {
			continue // a common name made of a long domain name is left out
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// composeValues fills the fields that speak of others, and the defaults.
func (w *work) composeValues(i int) {
	f, v := &w.l.fields[i], &w.values[i]
	switch {
	case f.rule.State != Editable && f.refers():
		w.fromProduct(i)
	case f.rule.State == Editable && len(v.values) == 0 && len(f.fallback) > 0:
		if values := w.compose(f, f.fallback); len(values) > 0 {
			*v = found{values, OfDefault, false}
		}
	}
}
