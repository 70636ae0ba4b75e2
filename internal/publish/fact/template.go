package fact

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxTemplate bounds the text of a template, in octets.
const MaxTemplate = 4096

// A Template is text with facts in it. The zero Template is the empty text.
type Template struct{ parts []part }

// part is either literal text or a choice of facts.
type part struct {
	literal string
	facts   []string
}

// Missing reports that a certificate has none of the facts that a template asks
// for. Repeating does not help.
type Missing struct{ Facts []string }

func (m Missing) Error() string {
	return fmt.Sprintf("the certificate has no %s, which the template asks for", strings.Join(m.Facts, " and no "))
}

// Parse reads a template. Errors say what is wrong in words that suit the
// person who wrote it.
func Parse(text string) (Template, error) {
	if len(text) > MaxTemplate {
		return Template{}, fmt.Errorf("the template has more than %d octets", MaxTemplate)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return Template{}, fmt.Errorf("the template is not text")
	}
	var t Template
	var literal strings.Builder
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			literal.WriteString(text)
			break
		}
		literal.WriteString(text[:i])
		text = text[i:]
		if strings.HasPrefix(text, "{{") || strings.HasPrefix(text, "}}") {
			literal.WriteByte(text[0])
			text = text[2:]
			continue
		}
		inside, rest, ok := strings.Cut(text[1:], "}")
		if text[0] == '}' || !ok {
			return Template{}, fmt.Errorf("a brace without its partner; a brace itself is written twice")
		}
		facts, err := choice(inside)
		if err != nil {
			return Template{}, err
		}
		t.literal(literal.String())
		literal.Reset()
		t.parts = append(t.parts, part{facts: facts})
		text = rest
	}
	t.literal(literal.String())
	return t, nil
}

func choice(text string) ([]string, error) {
	facts := strings.Split(text, "|")
	for _, f := range facts {
		if !Known(f) {
			return nil, fmt.Errorf("there is no fact %q; the facts are %s and %sNAME", f, strings.Join(Names(), ", "), FieldPrefix)
		}
	}
	return facts, nil
}

func (t *Template) literal(s string) {
	if s != "" {
		t.parts = append(t.parts, part{literal: s})
	}
}

// Fixed tells whether the template is the same text for every certificate.
func (t Template) Fixed() bool {
	for _, p := range t.parts {
		if p.facts != nil {
			return false
		}
	}
	return true
}

// Fill puts the facts in their places. clean, unless nil, is applied to the
// value of each fact and not to the template's own text. A fact that is not
// there gives a [Missing].
func (t Template) Fill(s Set, clean func(string) string) (string, error) {
	var out strings.Builder
	for _, p := range t.parts {
		if p.facts == nil {
			out.WriteString(p.literal)
			continue
		}
		value, ok := s.first(p.facts)
		if !ok {
			return "", Missing{p.facts}
		}
		if clean != nil {
			value = clean(value)
		}
		out.WriteString(value)
	}
	return out.String(), nil
}

func (s Set) first(names []string) (string, bool) {
	for _, n := range names {
		if v, ok := s[n]; ok {
			return v, true
		}
	}
	return "", false
}
