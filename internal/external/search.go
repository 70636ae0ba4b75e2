package external

import (
	"math/big"
	"slices"
	"strings"

	"github.com/sealwright/sealwright/internal/external/bundle"
)

// search narrows to what somebody typed or pasted. The same digits may be a serial
// number and the beginning of a name: both are found.
func (q *query) search(text string) {
	text = bundle.SearchName(text)
	switch text {
	case "", "*":
		return
	}
	if strings.HasPrefix(text, "ext-") {
		q.add("c.id = $%d", text)
		return
	}
	// One set of ids, not conditions joined by OR: each of its parts has an index.
	const by = "SELECT x.id FROM external_certificates x WHERE x."
	either := query{args: q.args}
	for _, n := range numbers(text) {
		either.add(by+"serial = $%d", n)
	}
	if hex := squeeze(text); isHex(hex) {
		switch len(hex) {
		case 40:
			either.add(by+"sha1 = $%d", hex)
		case 64:
			either.add(by+"sha256 = $%d", hex)
		}
	}
	prefix := strings.TrimSuffix(text, "*")
	either.add("SELECT n.certificate FROM external_names n WHERE n.name >= $%d AND n.name < $%d", prefix, prefix+"\U0010FFFF")
	q.args = either.args
	q.conds = append(q.conds, "c.id IN ("+strings.Join(either.conds, " UNION ALL ")+")")
}

// numbers reads a serial number as people copy it: hexadecimal with colons, spaces or
// dashes, in any case, with or without 0x and leading zeros; or decimal.
func numbers(text string) []string {
	var found []string
	add := func(digits string, base int) {
		if n, ok := new(big.Int).SetString(digits, base); ok && !slices.Contains(found, n.Text(16)) {
			found = append(found, n.Text(16))
		}
	}
	sign := ""
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = "-", rest
	}
	hex := squeeze(text)
	if len(hex) > 130 {
		return nil
	}
	if isHex(hex) {
		add(sign+hex, 16)
	}
	if strings.Trim(text, "0123456789") == "" {
		add(sign+text, 10)
	}
	return found
}

func squeeze(text string) string {
	return strings.TrimPrefix(strings.NewReplacer(":", "", " ", "", "-", "").Replace(text), "0x")
}

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }
