// Package docs_test keeps the documentation true: the tables of requirements,
// the list of dependencies and the examples of the integrator guide.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A requirement is a row of the tables in docs/requirements.
type requirement struct {
	number, where string
	file          string
}

// A link is one in Markdown. Where its text names a test as `file::TestName`,
// the test stands in the target.
type link struct{ text, target string }

var (
	rowPattern    = regexp.MustCompile(`^\| ([ADN]\d+) \| [^|]+ \| ([^|]+) \|$`)
	linkPattern   = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	testInLink    = regexp.MustCompile("::([A-Za-z0-9_]+)`?$")
	headingLine   = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	codeBlock     = regexp.MustCompile("(?ms)^```.*?^```")
	rangePattern  = regexp.MustCompile(`\b([ADN])(\d+)(?: to |–)([ADN])(\d+)\b`)
	notInAnAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

func links(text string) []link {
	var out []link
	for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
		out = append(out, link{m[1], m[2]})
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func requirements(t *testing.T) []requirement {
	t.Helper()
	files, err := filepath.Glob("requirements/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []requirement
	for _, file := range files {
		for line := range strings.Lines(read(t, file)) {
			m := rowPattern.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil {
				if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| number ") {
					t.Errorf("%s: this row is not of the form | number | words | where |: %s", file, line)
				}
				continue
			}
			all = append(all, requirement{m[1], m[2], file})
		}
	}
	return all
}

func TestEveryRequirementStandsInTheTablesOnce(t *testing.T) {
	seen := map[string]int{}
	for _, r := range requirements(t) {
		seen[r.number]++
	}
	for letter, last := range map[string]int{"A": 225, "D": 18, "N": 168} {
		for i := 1; i <= last; i++ {
			number := fmt.Sprint(letter, i)
			if seen[number] != 1 {
				t.Errorf("%s stands in the tables %d times", number, seen[number])
			}
			delete(seen, number)
		}
	}
	for number := range seen {
		t.Errorf("%s is not a requirement", number)
	}
}

// A test that is said to prove a requirement says so itself.
func TestTestsCiteTheRequirementsThatTheyAreSaidToProve(t *testing.T) {
	for _, r := range requirements(t) {
		for _, l := range links(r.where) {
			file, _, _ := strings.Cut(l.target, "#")
			if !strings.HasSuffix(file, "_test.go") && !strings.HasSuffix(file, ".txtar") {
				continue
			}
			if !cites(read(t, filepath.Join(filepath.Dir(r.file), file)), r.number) {
				t.Errorf("%s is said to be proved by %s, which does not cite it", r.number, l.target)
			}
		}
	}
}

// cites tells whether a test names a requirement, by itself or in a range such
// as "N17 to N23".
func cites(test, number string) bool {
	if regexp.MustCompile(`\b` + number + `\b`).MatchString(test) {
		return true
	}
	letter, n := number[:1], atoi(number[1:])
	for _, m := range rangePattern.FindAllStringSubmatch(test, -1) {
		if m[1] == letter && m[3] == letter && atoi(m[2]) <= n && n <= atoi(m[4]) {
			return true
		}
	}
	return false
}

func atoi(digits string) int {
	n, _ := strconv.Atoi(digits) // the patterns match digits only
	return n
}

// What client certificates ask for is there: N1 to N37 and D1 to D18 may not
// wait for a later release.
func TestTheRequirementsOfClientCertificatesAreMet(t *testing.T) {
	for _, r := range requirements(t) {
		planned := strings.Contains(strings.ToLower(r.where), "planned")
		linked := len(links(r.where)) > 0
		switch {
		case strings.HasSuffix(r.file, "client-certificates.md") && (planned || !linked):
			t.Errorf("%s is not met: %s", r.number, r.where)
		case !planned && !linked && len(r.where) < 20:
			t.Errorf("%s has neither a place nor a reason: %q", r.number, r.where)
		}
	}
}

// What the software cannot do by itself is said on a page: processes around it,
// and advice to those who hold a certificate.
func TestAdviceAndProcessesAreOnAPage(t *testing.T) {
	for _, c := range []struct{ number, page, heading, words string }{
		{"N11", "operator-guide.md", "How an order comes in", "writes to support"},
		{"N14", "operator-guide.md", "Clients, services and authorised persons", "check it"},
		{"N24", "integrator-guide.md", "Keep it safe", "Leave no copies"},
		{"N25", "integrator-guide.md", "Keep it safe", "Download it on the server"},
		{"N26", "integrator-guide.md", "Keep it safe", "Never send the file or its password by e-mail, chat"},
		{"N27", "integrator-guide.md", "Keep it safe", "Delete the SMS"},
		{"N28", "integrator-guide.md", "Install it", "### .NET"},
		{"N30", "operator-guide.md", "Lost certificates", "Withdraw the certificate"},
		{"N34", "integrator-guide.md", "Keep it safe", "your responsibility"},
		{"N35", "integrator-guide.md", "Keep it safe", "Erase temporary copies"},
		{"N36", "integrator-guide.md", "Keep it safe", "Protect a backup"},
		{"N37", "integrator-guide.md", "About these pages", "We count no readers"},
		{"D3", "integrator-guide.md", "Call the API with a certificate", `cert = "Certificate_pkcs12.p12"`},
		{"D11", "integrator-guide.md", "Call the API with a certificate", "Note when it ends"},
		{"D17", "integrator-guide.md", "Call the API with a certificate", "in this answer and nowhere else"},
	} {
		if !strings.Contains(section(read(t, c.page), c.heading), c.words) {
			t.Errorf("%s: %s does not say %q under %q", c.number, c.page, c.words, c.heading)
		}
	}
}

// section is the text under a heading, up to the next of the same or a higher
// level.
func section(markdown, heading string) string {
	var out strings.Builder
	level, fenced := 0, false
	for line := range strings.Lines(markdown) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		marks := len(line) - len(strings.TrimLeft(line, "#"))
		switch {
		case fenced || marks == 0:
		case strings.TrimSpace(line[marks:]) == heading:
			level = marks
		case marks <= level:
			level = 0
		}
		if level > 0 {
			out.WriteString(line)
		}
	}
	return out.String()
}

// documents are all pages of documentation.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "requirements/*.md", "../*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	for _, file := range documents(t) {
		for _, l := range links(codeBlock.ReplaceAllString(read(t, file), "")) {
			if strings.Contains(l.target, "://") || strings.HasPrefix(l.target, "mailto:") {
				continue
			}
			if err := follow(file, l); err != nil {
				t.Errorf("%s: [%s](%s): %v", file, l.text, l.target, err)
			}
		}
	}
}

func follow(from string, l link) error {
	path, anchor, anchored := strings.Cut(l.target, "#")
	target := from
	if path != "" {
		target = filepath.Join(filepath.Dir(from), path)
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return nil
	}
	content, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if anchored && !hasHeading(string(content), anchor) {
		return fmt.Errorf("there is no heading #%s", anchor)
	}
	if m := testInLink.FindStringSubmatch(l.text); m != nil && !strings.Contains(string(content), "\nfunc "+m[1]+"(") {
		return fmt.Errorf("there is no function %s", m[1])
	}
	return nil
}

// hasHeading makes anchors of headings as code hosts do: lower case, without
// punctuation, spaces as dashes.
func hasHeading(markdown, anchor string) bool {
	for _, m := range headingLine.FindAllStringSubmatch(codeBlock.ReplaceAllString(markdown, ""), -1) {
		text := notInAnAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		if strings.ReplaceAll(text, " ", "-") == anchor {
			return true
		}
	}
	return false
}
