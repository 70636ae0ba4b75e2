package product

import (
	"fmt"
	"slices"
	"strings"
)

// A composed value is literal text and references to other fields.
type composed []segment

type segment struct {
	text  string
	field int // −1: text
}

func (l *plan) composeAll(f *planned, what string, values []string) []composed {
	var out []composed
	for _, v := range values {
		c, err := l.compose(v)
		if err != "" {
			l.mistake(f.path()+"."+what, "field.placeholder", "%s", err)
			continue
		}
		out = append(out, c)
	}
	return out
}

func (l *plan) compose(value string) (c composed, mistake string) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			c = append(c, segment{text.String(), -1})
			text.Reset()
		}
	}
	for value != "" {
		brace := strings.IndexByte(value, '{')
		if brace < 0 {
			text.WriteString(value)
			break
		}
		text.WriteString(value[:brace])
		value = value[brace+1:]
		if strings.HasPrefix(value, "{") {
			text.WriteByte('{')
			value = value[1:]
			continue
		}
		name, rest, closed := strings.Cut(value, "}")
		i, known := l.index[name]
		switch {
		case !closed:
			return nil, "A placeholder is not closed; write {{ for a brace."
		case !known:
			return nil, fmt.Sprintf("The placeholder {%s} names no field of the product.", name)
		case l.fields[i].refers():
			return nil, fmt.Sprintf("The placeholder {%s} names a field that is itself composed.", name)
		}
		flush()
		c = append(c, segment{field: i})
		value = rest
	}
	flush()
	return c, ""
}

// refers tells whether the field's own values hold placeholders, which must not
// build chains.
func (f *planned) refers() bool {
	has := func(v string) bool { return strings.Contains(strings.ReplaceAll(v, "{{", ""), "{") }
	return slices.ContainsFunc(f.rule.Values, has) || slices.ContainsFunc(f.rule.Default, has)
}

// text fills in the references. It is "" when one of them has no value: half a
// name is worse than none.
func (c composed) text(values []found) string {
	if len(c) == 1 && c[0].field < 0 {
		return c[0].text
	}
	var out strings.Builder
	for _, s := range c {
		if s.field < 0 {
			out.WriteString(s.text)
			continue
		}
		if len(values[s.field].values) == 0 {
			return ""
		}
		out.WriteString(values[s.field].values[0])
	}
	return out.String()
}
