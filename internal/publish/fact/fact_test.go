package fact_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
	"github.com/sealwright/sealwright/pki/dn"
)

func TestFactsOfACertificate(t *testing.T) {
	ca := publishtest.NewCA(t, "Issuer")
	s, err := fact.Of(ca.Leaf(t, 0x1234, "fifth@example.org", dn.Name{
		{Type: dn.O, Value: "Ex\u00e6mple"},
		{Type: dn.SerialNumber, Value: "42"},
		{Type: dn.CN, Value: "Fifth Person"},
		{Type: dn.CN, Value: "second"},
		{Type: dn.EmailAddress, Value: "other@example.org"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	s.Add("ord-1", map[string]string{"department": "R&D", "Bad Name": "x", "empty": ""})
	for name, want := range map[string]string{
		"cn": "Fifth Person", "o": "Ex\u00e6mple", "serialnumber": "42", "serial": "1234", "mail": "fifth@example.org", "order": "ord-1", "field.department": "R&D",
		"ou": "", "dns": "", "field.Bad Name": "", "field.empty": "",
	} {
		if got, ok := s[name]; got != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(s["fingerprint"]) != 64 {
		t.Errorf("fingerprint %q", s["fingerprint"])
	}
	if _, err := fact.Of([]byte("no certificate")); err == nil {
		t.Error("facts of nothing")
	}
}

func TestTemplates(t *testing.T) {
	facts := fact.Set{"cn": "Fifth Person {mail}", "mail": "fifth@example.org", "field.unit": "7"}
	for _, c := range []struct{ name, text, want, wrong string }{
		{"plain text", "people", "people", ""},
		{"a fact", "{mail}", "fifth@example.org", ""},
		{"a fact that looks like a template is not one", "{cn}", "Fifth Person {mail}", ""},
		{"text around facts", "a{mail}b{field.unit}c", "afifth@example.orgb7c", ""},
		{"the first of several that is there", "{uid|mail|cn}", "fifth@example.org", ""},
		{"braces", "{{{field.unit}}}", "{7}", ""},
		{"nothing", "", "", ""},
		{"a fact that nobody knows", "{name}", "", "no fact"},
		{"no fact", "{}", "", "no fact"},
		{"an empty choice", "{cn|}", "", "no fact"},
		{"a field with a bad name", "{field.A}", "", "no fact"},
		{"an open brace", "{cn", "", "brace"},
		{"a closing brace", "cn}", "", "brace"},
		{"too much", strings.Repeat("x", fact.MaxTemplate+1), "", "octets"},
		{"no text", "\xff", "", "not text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := fact.Parse(c.text)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Fill(facts, nil); err != nil || got != c.want {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

func TestAMissingFactIsNamed(t *testing.T) {
	p, err := fact.Parse("{mail|uid}")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Fill(fact.Set{"cn": "x"}, nil)
	var missing fact.Missing
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "no mail and no uid") {
		t.Fatalf("got %v", err)
	}
}

// FuzzParse: what is read can be filled, and cleaning touches facts only.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{cn}", "{{", "a{cn|mail}b", "}", "{field.x}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := fact.Parse(text)
		if err != nil {
			return
		}
		out, err := p.Fill(fact.Set{"cn": "\x01"}, func(string) string { return "" })
		if err == nil && (strings.Count(out, "\x01") != strings.Count(text, "\x01") || len(out) > len(text)) {
			t.Fatalf("%q became %q", text, out)
		}
		if p.Fixed() && err != nil {
			t.Fatalf("a fixed template misses something: %v", err)
		}
	})
}
