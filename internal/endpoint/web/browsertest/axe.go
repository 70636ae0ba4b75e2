package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/axe.min.js
var axe string

// axeRules runs the rules of WCAG 2.0 to 2.2, levels A and AA, and axe's own
// best practices.
const axeRules = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]})
	.then(r => JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help,
		nodes: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary)}))))`

// A Violation is a rule of axe that a page breaks.
type Violation struct {
	ID, Impact, Help string
	Nodes            []string // selector and what to mend
}

// Violations checks the page as it stands with axe-core. It runs in a world of
// its own, which the page and its policy do not notice.
func (p *Page) Violations() []Violation {
	p.t.Helper()
	list := get(p, "check accessibility", func(ctx context.Context, t *chromedp.Target) (string, error) {
		tree, err := cdp.Call(ctx, t, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return "", err
		}
		world, err := cdp.Call(ctx, t, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "axe"})
		if err != nil {
			return "", err
		}
		if _, err := evaluateIn(ctx, t, world.ExecutionContextID, axe+`;""`); err != nil {
			return "", fmt.Errorf("load axe: %w", err)
		}
		return evaluateIn(ctx, t, world.ExecutionContextID, axeRules)
	})
	var out []Violation
	if err := json.Unmarshal([]byte(list), &out); err != nil {
		p.t.Fatalf("Cannot read the result of axe: %v", err)
	}
	return out
}

// evaluateIn evaluates a script whose result is a string, or nothing.
func evaluateIn(ctx context.Context, t *chromedp.Target, world runtime.ExecutionContextID, script string) (string, error) {
	yes := true
	r, err := cdp.Call(ctx, t, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ContextID: world, AwaitPromise: &yes, ReturnByValue: &yes})
	if err != nil {
		return "", err
	}
	if r.ExceptionDetails != nil {
		return "", errors.New(exceptionText(r.ExceptionDetails))
	}
	var out string
	err = json.Unmarshal(r.Result.Value, &out)
	return out, err
}

// Accessible fails the test for every violation of impact serious or critical,
// and logs the others; it needs scripts. It also fails when the page is wider than the window.
func (p *Page) Accessible() {
	p.t.Helper()
	for _, v := range p.Violations() {
		text := fmt.Sprintf("%s (%s): %s\n\t%s", v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
		if v.Impact == "serious" || v.Impact == "critical" {
			p.t.Errorf("The page is not accessible: %s", text)
		} else {
			p.t.Logf("axe: %s", text)
		}
	}
	if wide := Eval[int](p, `document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth`); wide > 0 {
		p.t.Errorf("The page is %d px wider than its window: it scrolls sideways.", wide)
	}
}
