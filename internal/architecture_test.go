package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sealwright/sealwright/"

// domains in the order of the design: each may call those before it.
var domains = []string{"access", "authority", "keycheck", "timestamp", "ctlog", "transparency", "domainval", "publish", "notice", "external", "product", "handover", "order", "wscert", "apicert", "document", "idempotency", "keycard", "identity", "archive", "packaging", "signing"}

// formats are pure functions over bytes.
var formats = []string{"pki/", "ades/", "saml/"}

// Dependencies point down: endpoints → domains → platform → formats. See the
// design and docs/architecture.md.
func TestArchitectureDependenciesPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], module)
		packages++
		for _, imported := range fields[1:] {
			to, ours := strings.CutPrefix(imported, module)
			if why := refuse(from, to, imported, ours); why != "" {
				t.Errorf("%s imports %s: %s", from, imported, why)
			}
		}
	}
	if packages < 20 {
		t.Fatalf("only %d packages were looked at", packages)
	}
}

func refuse(from, to, imported string, ours bool) string {
	switch {
	case isFormat(from):
		switch {
		case ours && !isFormat(to):
			return "a format knows formats only"
		case slices.Contains([]string{"os", "net/http", "database/sql", "log/slog"}, imported):
			return "a format does no input or output"
		}
	case !ours:
		return ""
	case strings.HasPrefix(from, "internal/platform/"):
		if !strings.HasPrefix(to, "internal/platform/") && !isFormat(to) {
			return "the platform knows nothing of what stands on it"
		}
	case domainOf(from) >= 0:
		switch {
		case strings.HasPrefix(to, "internal/endpoint/"), strings.HasPrefix(to, "internal/house"), strings.HasPrefix(to, "cmd/"):
			return "a domain does not know who calls it"
		case domainOf(to) > domainOf(from):
			return "a domain calls those above it in the list only"
		}
	case strings.HasPrefix(from, "internal/endpoint/"):
		if strings.HasPrefix(to, "internal/house") || strings.HasPrefix(to, "cmd/") {
			return "an endpoint does not know the house"
		}
	}
	return ""
}

func isFormat(p string) bool {
	return slices.ContainsFunc(formats, func(f string) bool { return strings.HasPrefix(p, f) })
}

// domainOf is the place of a package's domain in the list, or -1.
func domainOf(p string) int {
	name, ok := strings.CutPrefix(p, "internal/")
	if !ok {
		return -1
	}
	return slices.Index(domains, strings.SplitN(name, "/", 2)[0])
}

// Endpoints hold no SQL: state and rules live in the domains.
func TestArchitectureEndpointsHoldNoSQL(t *testing.T) {
	out, err := exec.Command("grep", "-rnE", "--include=*.go", "--exclude=*_test.go", `(SELECT |INSERT INTO|UPDATE .* SET|DELETE FROM)`, "endpoint").CombinedOutput()
	if err == nil {
		t.Errorf("SQL in endpoints:\n%s", out)
	}
}
