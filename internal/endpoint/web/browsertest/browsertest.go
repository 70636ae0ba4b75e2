// Package browsertest drives a real Chromium from tests.
//
// [Open] starts a browser of its own with a fresh profile and loads a page.
// Whatever the page does wrong on the way (script errors, console errors,
// failed loads, violations of its Content-Security-Policy) fails the test when
// it ends, unless [Page.Expect] announced it. A missing browser fails the test
// too: pages are not proven without one.
//
// Starting takes about a second; a test opens one page and walks with [Page.Go].
package browsertest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// ScreenshotDir is the environment variable that names a directory for
// screenshots; without it none are written.
const ScreenshotDir = "SEALWRIGHT_SCREENSHOTS"

// patience is how long one step may take. It is generous because tests share
// small machines; no step waits for it when all is well.
const patience = 30 * time.Second

// Options say what kind of visitor looks at the page. The zero value is a
// desktop of 1280 × 800 in light colours.
type Options struct {
	Width, Height int
	Dark          bool // the system prefers dark
	Touch         bool // fingers instead of a mouse, and a phone's viewport
	NoScript      bool // scripts are switched off; Eval of plain expressions still works
	Insecure      bool // accept any TLS certificate
	Language      string
}

// A Page is a tab of a running browser.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
	expected []string
	dialogs  []string
}

// Open starts a browser and loads url. Everything ends with the test.
func Open(t testing.TB, url string, o Options) *Page {
	t.Helper()
	p := Start(t, o)
	p.Go(url)
	return p
}

// Start starts a browser with an empty page.
func Start(t testing.TB, o Options) *Page {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Pages are tested in Chromium, which is not installed (Debian: apt-get install chromium): %v", err)
	}
	if o.Width == 0 {
		o.Width, o.Height = 1280, 800
	}
	if o.Height == 0 {
		o.Height = 800
	}
	// No UserDataDir: chromedp makes a fresh one and removes it when the browser ended.
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags(binary, o)...)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	p := &Page{t: t, ctx: ctx}
	t.Cleanup(func() {
		closeBrowser()
		stop()
		p.report()
	})
	// The first call starts the browser and must not carry a deadline: chromedp
	// would end the browser with it.
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	p.run("prepare the page", prepare(o)...)
	return p
}

func flags(binary string, o Options) []chromedp.ExecAllocatorOption {
	f := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-default-apps", true), chromedp.Flag("disable-extensions", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("password-store", "basic"),
		chromedp.WindowSize(o.Width, o.Height), chromedp.WSURLReadTimeout(patience),
	}
	if o.Insecure {
		f = append(f, chromedp.Flag("ignore-certificate-errors", true))
	}
	if o.Language != "" {
		f = append(f, chromedp.Flag("lang", o.Language))
	}
	return f
}

func prepare(o Options) []step {
	scheme := "light"
	if o.Dark {
		scheme = "dark"
	}
	a := []step{
		command(audits.Enable, cdp.Empty{}),
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(o.Width), Height: int64(o.Height), DeviceScaleFactor: 1, Mobile: o.Touch,
		}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}),
	}
	if o.Touch {
		a = append(a, command(emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true}))
	}
	if o.NoScript {
		a = append(a, command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	}
	return a
}

type step = chromedp.Action[chromedp.Void]

// command is a step that sends one protocol command and ignores the answer.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// run performs steps within the patience of one.
func (p *Page) run(doing string, steps ...step) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("Cannot %s: %v", doing, err)
	}
}

// get performs an action and returns what it yields.
func get[T any](p *Page, doing string, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.t.Fatalf("Cannot %s: %v", doing, err)
	}
	return v
}

// Go loads another page.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.run("open "+url, chromedp.Navigate(url))
}

// Click clicks what the CSS selector finds once it is visible.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.run("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Follow clicks, waits for the page that it leads to, and returns its status.
func (p *Page) Follow(selector string) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	if err != nil {
		p.t.Fatalf("Cannot follow %s: %v", selector, err)
	}
	return int(r.Status)
}

// Fill replaces the content of an input by typing.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.Visible(selector)
	Eval[bool](p, `(e => { e.focus(); e.select(); return true; })(document.querySelector(`+quote(selector)+`))`)
	if text == "" {
		text = kb.Backspace
	}
	p.Press(text)
}

// Press sends keys to whatever has the focus; special ones are named in
// package kb of chromedp, such as kb.Tab.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.run("press a key", chromedp.KeyEvent(k))
	}
}

// Text is the visible text of the first element found, without outer space.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return strings.TrimSpace(get(p, "read "+selector, chromedp.Text(chromedp.CSS(selector))))
}

// Visible waits until the selector finds something visible.
func (p *Page) Visible(selector string) {
	p.t.Helper()
	p.run("see "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// Gone waits until what the selector finds is not visible. It needs scripts.
func (p *Page) Gone(selector string) {
	p.t.Helper()
	p.Until(`!document.querySelector(` + quote(selector) + `)?.checkVisibility()`)
}

// quote makes a JavaScript string of s.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return string(b)
}

// Until waits until a JavaScript expression is true. It needs scripts.
func (p *Page) Until(expression string) {
	p.t.Helper()
	Eval[bool](p, `new Promise(done => { const look = () => (`+expression+`) ? done(true) : requestAnimationFrame(look); look(); })`)
}

// Upload chooses files for a file input.
func (p *Page) Upload(selector string, files ...string) {
	p.t.Helper()
	p.run("choose files for "+selector, chromedp.SetUploadFiles(chromedp.CSS(selector), files))
}

// URL is the address of the page.
func (p *Page) URL() string {
	p.t.Helper()
	return get(p, "read the address", chromedp.Location())
}

// Eval evaluates JavaScript and waits for its result, a promise included. A
// policy of the page does not bind it.
func Eval[T any](p *Page, script string) T {
	p.t.Helper()
	return get(p, "evaluate "+script, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Screenshot writes the whole page as name.png when [ScreenshotDir] is set.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	if dir := os.Getenv(ScreenshotDir); dir != "" {
		p.save(dir, name, get(p, "take a screenshot", chromedp.FullScreenshot(100)))
	}
}

// ScreenshotView writes the visible part of the page, as for open dialogs.
func (p *Page) ScreenshotView(name string) {
	p.t.Helper()
	if dir := os.Getenv(ScreenshotDir); dir != "" {
		p.save(dir, name, get(p, "take a screenshot", chromedp.CaptureScreenshot()))
	}
}

func (p *Page) save(dir, name string, png []byte) {
	p.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
