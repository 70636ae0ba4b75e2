package source

import (
	"strings"
	"testing"
)

func TestMicrosoftsBinaryAttributesBecomeText(t *testing.T) {
	guid := "\x40\xfc\x29\x6b\x47\xca\x67\x10\xb3\x1d\x00\xdd\x01\x06\x62\xda"
	sid := "\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\xff\xf4\x01\x00\x00"
	for _, c := range []struct{ name, raw, want string }{
		{"objectGUID", guid, "6b29fc40-ca47-1067-b31d-00dd010662da"},
		{"objectSid", sid, "S-1-5-21-1-2-4294967295-500"},
		{"objectSid", sid[:20], ""},
		{"objectSid", "", ""},
		{"cn", "Åse", "Åse"},
	} {
		if got := attributeText(c.name, []byte(c.raw)); got != c.want {
			t.Errorf("%s is %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzBind(f *testing.F) {
	f.Add(`SELECT a FROM t WHERE b = :b AND c = ':c' AND d::text = :b -- :e`)
	f.Add(`WITH x AS (SELECT 1) SELECT "a:b" FROM x /* ' */`)
	f.Fuzz(func(t *testing.T, query string) {
		bound, names, err := bind(query)
		if err != nil {
			return
		}
		for i := range names {
			if !strings.Contains(bound, "$") || names[i] == "" {
				t.Fatalf("%q became %q with %q", query, bound, names)
			}
		}
	})
}
