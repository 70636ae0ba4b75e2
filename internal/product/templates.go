package product

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

//go:embed templates/*.toml
var templateFiles embed.FS

// ready reads the embedded files once. A mistake in them is a mistake in the
// program, which the tests find.
var ready = sync.OnceValues(func() (map[string]*Template, error) {
	names, err := fs.Glob(templateFiles, "templates/*.toml")
	if err != nil {
		return nil, err
	}
	trees := map[string]map[string]any{}
	for _, name := range names {
		file, err := templateFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		tree, err := parseTree(TOML, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		trees[strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".toml")] = tree
	}
	out := map[string]*Template{}
	for name := range trees {
		t := &Template{}
		if err := fromTree(extended(trees, name), t); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := t.Definition.normalise(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[t.Name] = t
	}
	return out, nil
})

// extended merges a file over the one that its "extends" names.
func extended(trees map[string]map[string]any, name string) map[string]any {
	own := maps.Clone(trees[name])
	base, _ := own["extends"].(string)
	delete(own, "extends")
	if base == "" {
		return own
	}
	return mergeTables(copyTree(extended(trees, base)), own)
}

func copyTree(tree map[string]any) map[string]any {
	out := make(map[string]any, len(tree))
	for k, v := range tree {
		if inner, ok := v.(map[string]any); ok {
			v = copyTree(inner)
		}
		out[k] = v
	}
	return out
}

// Ready lists the templates that come with the program, by name.
func Ready() ([]*Template, error) {
	all, err := ready()
	if err != nil {
		return nil, err
	}
	out := make([]*Template, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name].clone())
	}
	return out, nil
}

// ReadyTemplate finds a template that comes with the program.
func ReadyTemplate(name string) (*Template, error) {
	all, err := ready()
	if err != nil {
		return nil, err
	}
	if t := all[name]; t != nil {
		return t.clone(), nil
	}
	return nil, fault.NotFoundf("template.unknown", "There is no template %q.", name)
}

// clone keeps callers from changing the shared one.
func (t *Template) clone() *Template {
	out := *t
	if err := fromTree(treeOf(t.Definition), &out.Definition); err != nil {
		panic(fmt.Sprintf("product: a template does not survive its own encoding: %v", err)) // plain data
	}
	return &out
}
