package docs_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var requireLine = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) (v\S+)( // indirect)?$`)

// Every module that our code imports, and every direct requirement of go.mod,
// stands in docs/dependencies.md with the version in use.
func TestEveryDependencyIsExplained(t *testing.T) {
	versions, wanted := map[string]string{}, map[string]bool{}
	for _, m := range requireLine.FindAllStringSubmatch(read(t, "../go.mod"), -1) {
		versions[m[1]] = m[2]
		if m[3] == "" {
			wanted[m[1]] = true
		}
	}
	if len(versions) < 10 {
		t.Fatalf("only %d requirements were read from go.mod", len(versions))
	}
	for _, path := range imports(t) {
		if module := moduleOf(path, versions); module != "" {
			wanted[module] = true
		}
	}
	page := read(t, "dependencies.md")
	for module := range wanted {
		if !strings.Contains(page, "| `"+module+"` | "+versions[module]+" |") {
			t.Errorf("dependencies.md does not explain %s %s", module, versions[module])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| v").FindAllStringSubmatch(page, -1) {
		if !wanted[m[1]] {
			t.Errorf("dependencies.md explains %s, which nothing uses", m[1])
		}
	}
}

// imports are the import paths of all our packages and their tests.
func imports(t *testing.T) []string {
	t.Helper()
	const format = `{{range .Imports}}{{.}} {{end}}{{range .TestImports}}{{.}} {{end}}{{range .XTestImports}}{{.}} {{end}}`
	cmd := exec.Command("go", "list", "-f", format, "../...")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1") // the PKCS #11 binding is left out otherwise
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	return strings.Fields(string(out))
}

// moduleOf is the longest module path that an import path begins with.
func moduleOf(path string, versions map[string]string) string {
	for path != "" {
		if versions[path] != "" {
			return path
		}
		i := strings.LastIndexByte(path, '/')
		path = path[:max(i, 0)]
	}
	return ""
}
