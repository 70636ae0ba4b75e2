package config

import (
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions finds where each key and table stands in a document that is known
// to be valid. The Problems carry source, line and column only.
func positions(path string, doc []byte) map[string]Problem {
	f := finder{path: path, found: map[string]Problem{}}
	for i, c := range doc {
		if c == '\n' {
			f.newlines = append(f.newlines, i)
		}
	}
	var p unstable.Parser
	p.Reset(doc)
	prefix := ""
	for p.NextExpression() {
		n := p.Expression()
		switch n.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = f.note(n, "") + "."
		case unstable.KeyValue:
			f.noteValue(n, prefix)
		}
	}
	return f.found
}

// A finder collects the place of every key of one document.
type finder struct {
	path     string
	newlines []int // offsets
	found    map[string]Problem
}

// noteValue records a key and, if its value is an inline table, the keys in it.
func (f *finder) noteValue(n *unstable.Node, prefix string) {
	key := f.note(n, prefix)
	if n.Value().Kind != unstable.InlineTable {
		return
	}
	for it := n.Value().Children(); it.Next(); {
		if it.Node().Kind == unstable.KeyValue {
			f.noteValue(it.Node(), key+".")
		}
	}
}

// note records every table on the way to the dotted key of n, and the key,
// each where it stands first.
func (f *finder) note(n *unstable.Node, prefix string) string {
	var parts []string
	for it := n.Key(); it.Next(); {
		parts = append(parts, string(it.Node().Data))
		key := prefix + strings.Join(parts, ".")
		if _, ok := f.found[key]; !ok {
			f.found[key] = f.at(int(it.Node().Raw.Offset))
		}
	}
	return prefix + strings.Join(parts, ".")
}

// at turns an offset into line and column, both from 1.
func (f *finder) at(offset int) Problem {
	line := sort.SearchInts(f.newlines, offset)
	start := 0
	if line > 0 {
		start = f.newlines[line-1] + 1
	}
	return Problem{Source: f.path, Line: line + 1, Column: offset - start + 1}
}
