package notice

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzCheckText: a text that is accepted renders for every recipient, stays within
// its bounds and gives a subject of one line.
func FuzzCheckText(f *testing.F) {
	for _, c := range builtIn() {
		f.Add(c.subjectSrc, c.bodySrc, "www.example.com\r\nBcc: x")
	}
	f.Add("{{.Name}}", "{{range .Names}}{{end}}", "a")
	f.Add("s", "{{with .Name}}{{.}}{{else}}{{$.Secret}}{{end}}", "{secret}")
	f.Fuzz(func(t *testing.T, subject, body, value string) {
		c, err := checkText(P12Ready, English, subject, body)
		if err != nil {
			return
		}
		o := Occasion{Event: P12Ready, ObjectID: "ord-1", Data: Data{Name: value, Actor: value, Reason: value, Names: []string{value}}}
		s, b, err := c.render(o.fields(Recipient{Name: value}))
		if err != nil {
			t.Fatalf("an accepted text fails: %v", err)
		}
		if len(s) > maxSubject+4 || len(b) > maxRendered+1 || strings.ContainsAny(s, "\r\n\x00") {
			t.Fatalf("subject %q, body of %d octets", s, len(b))
		}
	})
}

// The list of values that editors see is the struct that templates see.
func TestFieldNamesAreThoseOfTheData(t *testing.T) {
	var names []string
	for i := range reflect.TypeFor[fields]().NumField() {
		names = append(names, reflect.TypeFor[fields]().Field(i).Name)
	}
	want := slices.Clone(fieldNames)
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%v\n%v", names, want)
	}
}

func TestTheSMSTextsFitOneMessage(t *testing.T) {
	for _, l := range Languages() {
		text := builtIn()[textKey{P12PIN + smsSuffix, l}].renderSMS(sample(P12PIN, l, sampleTime))
		if n := len([]rune(text)); n > 160 || !strings.Contains(text, "{secret}") || !strings.Contains(text, "www.example.com") {
			t.Errorf("%s has %d characters: %s", l, n, text)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	c, f := builtIn()[textKey{Issued, German}], sample(Issued, German, sampleTime)
	for b.Loop() {
		if _, _, err := c.render(f); err != nil {
			b.Fatal(err)
		}
	}
}
