package product

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// A Change is one place where two products differ; From or To is empty where one
// has nothing. Lists and texts are JSON.
type Change struct {
	Path     string // "definition.subject.O.values"
	From, To string
}

// Diff lists the differences of two products, or versions of one, by path.
func Diff(a, b *Product) []Change { return diffTrees(treeOf(a), treeOf(b)) }

func diffTrees(a, b map[string]any) []Change {
	left, right := map[string]string{}, map[string]string{}
	flatten("", a, left)
	flatten("", b, right)
	all := maps.Clone(left)
	maps.Copy(all, right)
	var out []Change
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if left[path] != right[path] {
			out = append(out, Change{path, left[path], right[path]})
		}
	}
	return out
}

// flatten writes every leaf of a tree under its path. Lists of tables are told
// apart by place, lists of texts are one leaf.
func flatten(path string, v any, out map[string]string) {
	under := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			flatten(under(key), inner, out)
		}
		return
	case []any:
		if slices.ContainsFunc(v, func(e any) bool { _, table := e.(map[string]any); return table }) {
			for i, inner := range v {
				flatten(under(strconv.Itoa(i)), inner, out)
			}
			return
		}
	}
	text, _ := json.Marshal(v) // came from JSON
	out[path] = string(text)
}
