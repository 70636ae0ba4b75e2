package docs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/demo"
	"github.com/sealwright/sealwright/internal/house"
)

// A block is an example that a reader can type: a block of the guide that is
// marked "sh run".
type block struct {
	line int
	text string
}

var runBlock = regexp.MustCompile("(?ms)^```sh run\n(.*?)^```$")

func runBlocks(page string) []block {
	var out []block
	for _, m := range runBlock.FindAllStringSubmatchIndex(page, -1) {
		out = append(out, block{strings.Count(page[:m[2]], "\n") + 1, page[m[2]:m[3]]})
	}
	return out
}

// The examples of the integrator guide are run, one after the other in one
// directory, against a live installation.
//
// N5, N23: a certificate on request, used at once. N4, N28: no certificate in
// preprod; curl, OpenSSL and Java as the guide says. N32, N33: a new certificate
// by the way of the first, and both in parallel. N29: withdrawn and refused.
// D1, D3, D18: the API with a certificate and its password instead of a key;
// D4, D7, D14, D15, D16: generated once, password shown once, file given once.
func TestTheIntegratorGuideWorks(t *testing.T) {
	blocks := runBlocks(read(t, "integrator-guide.md"))
	if len(blocks) < 10 {
		t.Fatalf("the guide has only %d examples that can be run", len(blocks))
	}
	for _, tool := range []string{"bash", "curl", "openssl", "python3", "keytool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the examples need %s; run: make deps", tool)
		}
	}
	env := append(os.Environ(), open(t)...)
	dir := t.TempDir()
	for _, b := range blocks {
		ran := t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", b.text)
			cmd.Dir, cmd.Env = dir, env
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, b.text, out)
			}
			t.Logf("%s", out)
		})
		if !ran {
			t.FailNow() // later examples build on earlier ones
		}
	}
}

// open serves a development installation until the test ends and returns the
// variables that the guide names.
func open(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	site, err := demo.Open(t.Context(), demo.Place{Dir: dir}, house.Options{Quick: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- site.House.Serve(serving, func([]*house.Listener) { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := site.House.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case err := <-served:
		served <- err
		t.Fatal(err)
	case <-ready:
	}
	c, l := site.House.Config, site.Logins
	_, port, _ := strings.Cut(c.ClientAuth.Listen, ":")
	return []string{
		"BASE=" + c.Server.PublicURL,
		"PREPROD=" + c.Environment.Preprod.PublicURL,
		"PRODUCTION=" + c.Environment.Production.PublicURL,
		"CLIENTAUTH=https://" + c.ClientAuth.Host + ":" + port,
		"TRUST=" + filepath.Join(dir, "trust.pem"),
		"TOKEN=" + l.Token,
		"SERVICE=demo",
		"PASSWORD=" + l.Production,
		"ORDERER=" + l.Orderer,
	}
}
