package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/config"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sealwright": main})
}

// The commands as a person types them. A script gets free ports as $PORT0 to
// $PORT5 and the address of an empty PostgreSQL database as $POSTGRES.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			ports, err := freePorts(6)
			if err != nil {
				return err
			}
			for i, p := range ports {
				env.Setenv("PORT"+strconv.Itoa(i), strconv.Itoa(p))
			}
			env.Setenv("POSTGRES", storetest.Postgres(t))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"expand": expand, "await": await, "capture": capture, "awaitfile": awaitFile, "founded": founded},
	})
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// expand FILE replaces $NAME in a file by the script's variables.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(path, []byte(text), 0o600))
	}
}

// await PORT waits until something listens there.
func await(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+args[0])
		if err == nil {
			_ = c.Close() // it answered
			return
		}
		if ctx.Err() != nil {
			ts.Fatalf("nothing listens on port %s: %v", args[0], err)
		}
	}
}

// founded CONFIG DURATION makes the installation as `sealwright init` did that long
// ago, so that its authorities are older than what they issue now.
func founded(ts *testscript.TestScript, _ bool, args []string) {
	ago, err := time.ParseDuration(args[1])
	ts.Check(err)
	cfg, err := config.Load(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	h, _, err := house.Init(context.Background(), cfg, house.Options{Clock: clock.NewFake(time.Now().Add(-ago)), Logger: slog.New(slog.DiscardHandler)}, house.Founding{
		Organisation: "Example", Country: "NO",
		Administrator: access.Administrator{Email: "admin@example.com", Name: "Administrator", Language: "en", Password: secret.New("correct horse battery 9")},
	})
	ts.Check(err)
	ts.Check(h.Close())
}

// capture NAME PATTERN sets $NAME to what the first group of a pattern matches in
// the latest output.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("%s matches nothing in the output", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// awaitfile FILE waits until a file is there; ! awaitfile FILE until it is gone.
func awaitFile(ts *testscript.TestScript, gone bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); os.IsNotExist(err) == gone {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			ts.Fatalf("the file %s did not come or go", args[0])
		}
	}
}

// Every command explains itself, and completion knows them all.
func TestEveryCommandHelps(t *testing.T) {
	var walk func(path []string)
	walk = func(path []string) {
		cmd := root()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(append(path, "--help"))
		if err := cmd.Execute(); err != nil {
			t.Fatalf("%v: %v", path, err)
		}
		if !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%v --help says %q", path, out.String())
		}
		found, _, err := root().Find(path)
		if err != nil {
			t.Fatal(err)
		}
		if found.Short == "" {
			t.Errorf("%v has no short description", path)
		}
		for _, sub := range found.Commands() {
			if sub.Name() != "help" && !sub.Hidden {
				walk(append(path[:len(path):len(path)], sub.Name()))
			}
		}
	}
	walk(nil)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		cmd := root()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs([]string{"completion", shell})
		if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "sealwright") {
			t.Errorf("completion for %s: %v", shell, err)
		}
	}
}

func TestTheExampleConfigurationLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sealwright.toml")
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"config", "example"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = root()
	cmd.SetArgs([]string{"config", "check", "--config", path})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
}
