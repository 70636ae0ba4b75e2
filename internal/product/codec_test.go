package product

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

// same compares products without what is prepared.
func same(a, b *Product) bool {
	x, y := *a, *b
	x.plan, y.plan = nil, nil
	return reflect.DeepEqual(x, y)
}

func TestEveryReadyProductSurvivesExportAndImport(t *testing.T) {
	for _, template := range must(Ready()) {
		for _, f := range []Format{TOML, JSON} {
			back, err := ParseTemplate(f, must(template.Export(f)))
			if err != nil || !reflect.DeepEqual(template, back) {
				t.Errorf("%s as %s: %v", template.Name, f, err)
			}
			p := readyProduct(t, template.Name, "")
			p.Expires, p.ID = now, "pma-1"
			again, err := Parse(f, must(p.Export(f)))
			if err != nil || !same(p, again) {
				t.Errorf("product of %s as %s: %v", template.Name, f, err)
			}
		}
	}
}

// Any definition, sensible or not, is written and read back.
func TestDefinitionsSurviveExportAndImport(t *testing.T) {
	word := rapid.StringN(0, 8, -1)
	words := rapid.SliceOfN(word, 0, 3)
	list := func(t *rapid.T, name string) []string {
		if l := words.Draw(t, name); len(l) > 0 {
			return l
		}
		return nil
	}
	rule := func(t *rapid.T, name string) FieldRule {
		return FieldRule{
			State: rapid.SampledFrom([]State{Fixed, Hidden, Editable}).Draw(t, name), Values: list(t, name+"v"), Default: list(t, name+"d"),
			Mandatory: rapid.Bool().Draw(t, name+"m"), Pattern: word.Draw(t, name+"p"), Choices: list(t, name+"c"), Max: rapid.IntRange(0, 9).Draw(t, name+"x"),
			Label: word.Draw(t, name+"l"), Hint: word.Draw(t, name+"h"),
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		length := rapid.IntRange(0, 3).Draw(rt, "length")
		p := &Product{
			ID: "pma-1", Name: word.Draw(rt, "name"), Realm: access.Production, Authority: word.Draw(rt, "authority"), Version: rapid.IntRange(0, 99).Draw(rt, "version"),
			Expires: time.UnixMicro(rapid.Int64Range(1, 4e15).Draw(rt, "expires")).UTC(),
			Definition: Definition{
				Kind: TLSClient, Strict: rapid.Bool().Draw(rt, "strict"),
				Subject:    map[string]FieldRule{"CN": rule(rt, "CN"), "1.2.3": rule(rt, "oid")},
				SAN:        map[string]FieldRule{"other:1.2": rule(rt, "other")},
				Extensions: Extensions{KeyUsage: list(rt, "usage"), PathLength: &length, Qualified: &Qualified{Compliance: true, Limit: &Limit{"EUR", length, -2}}, Custom: []CustomExt{{"1.2", true, "0500"}}},
				Rules:      Rules{Lint: Linting{Levels: map[string]Level{word.Draw(rt, "lint"): LevelWarn}}, Renewal: Renewal{Count: length}},
			},
		}
		for _, f := range []Format{TOML, JSON} {
			text, err := p.Export(f)
			if err != nil {
				rt.Fatal(err)
			}
			back, err := Parse(f, text)
			if err != nil || !same(p, back) {
				rt.Fatalf("%s: %v\n%s\n%+v\n%+v", f, err, text, p, back)
			}
		}
	})
}

func TestFilesAreReadStrictly(t *testing.T) {
	for name, c := range map[string]struct {
		format     Format
		file, want string
	}{
		"an unknown name":            {TOML, "nmae = \"x\"", "nmae"},
		"an unknown name deep down":  {TOML, "[definition.subject.CN]\nstat = \"x\"", "stat"},
		"broken TOML":                {TOML, "name = ", "line 1"},
		"broken JSON":                {JSON, "{", "unexpected"},
		"JSON and more":              {JSON, "{} {}", "follows"},
		"a number for a text":        {TOML, "name = 1", "name"},
		"a fraction":                 {TOML, "version = 1.5", "version"},
		"an attribute twice":         {TOML, "[definition.subject.CN]\nstate = \"editable\"\n[definition.subject.commonName]\nstate = \"editable\"", "twice"},
		"another format":             {"yaml", "", "yaml"},
		"a file that is far too big": {TOML, strings.Repeat("#", maxFile+1), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(c.format, []byte(c.file))
			f := fault.Of(err)
			if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) || !strings.Contains(f.Message, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	template := must(ReadyTemplate("tls-client"))
	if _, err := template.Product("x", access.Preprod, "", "a", []byte("nonsense = 1")); err == nil {
		t.Error("overrides that mean nothing are accepted")
	}
	if _, err := ReadyTemplate("no-such"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func FuzzImport(f *testing.F) {
	for _, template := range must(Ready())[:3] {
		f.Add(must(readyProduct(f, template.Name, "").Export(TOML)))
	}
	f.Add([]byte("[definition.subject.CN]\nstate='hidden'\nvalues=['{subject.CN}{{']\n[definition.validity]\nunit='YEARS'\nvalue=9223372036854775807"))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := Parse(TOML, file)
		if err != nil {
			if k := fault.Of(err).Kind; k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("%v", err)
			}
			return
		}
		p.Lint(now)
		p.Form()
		_, _ = p.Resolve(Request{SubjectDN: "CN=x", Fields: map[string][]string{"subject.O": {"y"}, "san.dns": {"a.example.dk"}}}, now, nil) // must not panic
		for _, format := range []Format{TOML, JSON} {
			text, err := p.Export(format)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Parse(format, text)
			if err != nil || !same(p, back) {
				t.Fatalf("%v\n%s\n%+v\n%+v", err, text, p, back)
			}
		}
	})
}
