package browsertest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/endpoint/web/browsertest"
)

const good = `<!doctype html><html lang="en"><title>Good</title><link rel="icon" href="data:,"><main><h1>Good</h1>
<form action="/next"><label>Name <input name="q" value="before"></label><button>Send</button></form></main>`

func serve(t *testing.T, tls bool, policy, body string) string {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(body))
	})
	s := httptest.NewUnstartedServer(h)
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.URL
}

func TestAGoodPageHasNoProblems(t *testing.T) {
	p := browsertest.Open(t, serve(t, true, "default-src 'none'; img-src data:; form-action 'self'", good), browsertest.Options{Insecure: true, Dark: true})
	p.Accessible()
	if len(p.Problems()) != 0 {
		t.Errorf("A good page has problems: %q", p.Problems())
	}
	if !browsertest.Eval[bool](p, `matchMedia("(prefers-color-scheme: dark)").matches`) {
		t.Error("The visitor does not prefer dark.")
	}
	p.Fill("input", "after")
	if status := p.Follow("button"); status != http.StatusOK || !strings.HasSuffix(p.URL(), "/next?q=after") {
		t.Errorf("The form led to %d %s.", status, p.URL())
	}
	t.Setenv(browsertest.ScreenshotDir, t.TempDir())
	p.Screenshot("good")
	b, err := os.ReadFile(filepath.Join(os.Getenv(browsertest.ScreenshotDir), "good.png"))
	if err != nil || !strings.HasPrefix(string(b), "\x89PNG") {
		t.Errorf("The screenshot is not a PNG: %v", err)
	}
}

func TestEveryKindOfProblemIsNoticed(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"a script that throws":         {`<script src="data:text/javascript,throw new Error('broken')"></script>`, "broken"},
		"a console error":              {`<script src="data:text/javascript,console.error('sad', 7)"></script>`, "sad"},
		"an inline script":             {`<script>1</script>`, "policy violated: script-src"},
		"an inline style":              {`<p style="color:red">x</p>`, "policy violated: style-src"},
		"a file that cannot be loaded": {`<img src="/missing" alt="">`, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, false, "default-src 'none'; script-src data:; style-src 'self'; img-src 'self' data:", good+c.body)
			p := browsertest.Open(t, url, browsertest.Options{})
			found := strings.Join(p.Problems(), "\n")
			if !strings.Contains(found, c.want) {
				t.Errorf("Found %q; want something with %q.", found, c.want)
			}
			p.Expect("") // all of them were provoked
		})
	}
}

func TestAxeFindsWhatIsNotAccessible(t *testing.T) {
	url := serve(t, false, "default-src 'none'; img-src data:", good+`<img src="data:,"><input name="nameless">`)
	p := browsertest.Open(t, url, browsertest.Options{Width: 360, Touch: true})
	p.Expect("")
	found := map[string]string{}
	for _, v := range p.Violations() {
		found[v.ID] = v.Impact
	}
	if found["image-alt"] != "critical" || found["label"] != "critical" {
		t.Errorf("Axe found %v; want image-alt and label.", found)
	}
}

func TestScriptsCanBeSwitchedOff(t *testing.T) {
	url := serve(t, false, "default-src 'none'; script-src data:; img-src data:", good+`<script src="data:text/javascript,document.title='ran'"></script>`)
	p := browsertest.Open(t, url, browsertest.Options{NoScript: true})
	if got := browsertest.Eval[string](p, "document.title"); got != "Good" {
		t.Errorf("The title is %q: a script ran.", got)
	}
}

func TestAxeIsThePublishedFile(t *testing.T) {
	list, err := os.ReadFile("testdata/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if want := hex.EncodeToString(sum[:]) + "  axe.min.js\n"; string(list) != want {
		t.Errorf("axe.min.js differs from what npm published: %s, want %s", list, want)
	}
	if len(b) >= 1<<20 {
		t.Errorf("axe.min.js has %d bytes; vendored files stay below 1 MiB.", len(b))
	}
}
