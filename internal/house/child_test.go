package house_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/house/housetest"
	"github.com/sealwright/sealwright/internal/platform/config"
)

// Tests that kill need a process to kill: this test binary, started once more
// with its task in the environment.
const taskVariable = "SEALWRIGHT_TEST_TASK"

// A task is what a child process is to do.
type task struct {
	Name     string // "worker" or "node"
	Dir      string
	Database string
	Blobs    string // kind of blob store
	Ports    [6]string
	Ledger   string        // file that acknowledged results are appended to
	Gateway  string        // address of the SMS gateway of nodes
	Roots    string        // file with the roots that a child trusts; empty: the system's
	Ahead    time.Duration // of the child's clock
	Node     string        // name that the gateway sees
	Ticks    string        // file that a schedule appends to
	Facts    housetest.Facts
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what goes wrong here goes wrong on purpose
	text := os.Getenv(taskVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var t task
	err := json.Unmarshal([]byte(text), &t)
	if err == nil {
		go dieWithParent()
		err = map[string]func(context.Context, task) error{"worker": work, "node": serveNode}[t.Name](context.Background(), t)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1) // a child ends by being killed
}

// dieWithParent ends a child whose parent is gone: its standard input ends too.
func dieWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin) // any end will do
	os.Exit(2)
}

func (t task) config() *config.Config {
	c := housetest.Settings(t.Dir, t.Database, t.Ports)
	if t.Blobs != "" {
		c.Blob.Kind = t.Blobs
	}
	return c
}

// A child is a running process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *tail
	once   sync.Once
	err    error
}

// start runs a task and returns once the child says that it is ready.
func start(t *testing.T, k task) *child {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(exe), stderr: new(tail)}
	c.cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	if k.Roots != "" {
		c.cmd.Env = append(c.cmd.Env, "SSL_CERT_FILE="+k.Roots)
	}
	c.cmd.Stderr = c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		_ = c.kill()
		t.Fatalf("the child did not get ready: %v\n%s", err, c.stderr)
	}
	return c
}

// kill ends the child as kill -9 does. An error says that it had ended before.
func (c *child) kill() error {
	c.once.Do(func() {
		_ = c.cmd.Process.Kill() // it may be gone, which Wait tells
		err := c.cmd.Wait()
		_ = c.stdin.Close()
		if c.cmd.ProcessState.Exited() {
			c.err = fmt.Errorf("the child ended by itself: %v\n%s", err, c.stderr)
		}
	})
	return c.err
}

// tail keeps the beginning of what a child complains about.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() < 16<<10 {
		t.b.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// times is how often a loop goes round: a default that suits continuous
// integration, or what a variable of the environment says.
func times(t *testing.T, variable string, usual int) int {
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// A ledger is a file of what a process has been told, one fact a line. A line
// is written in one piece and survives the process that wrote it.
type ledger struct{ file *os.File }

func openLedger(path string) (ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return ledger{f}, err
}

// note writes a fact: what happened to which object, and what else is known of it.
func (l ledger) note(verb, id string, more ...string) error {
	_, err := l.file.WriteString(strings.Join(append([]string{verb, id}, more...), "\t") + "\n")
	return err
}

// A record is what ledgers say: by verb, by id.
type record map[string]map[string][]string

func readLedger(t *testing.T, path string) record {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := record{}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 2 {
			t.Fatalf("the ledger has the line %q", line)
		}
		if r[f[0]] == nil {
			r[f[0]] = map[string][]string{}
		}
		r[f[0]][f[1]] = f[2:]
	}
	return r
}

func (r record) has(verb, id string) bool {
	_, ok := r[verb][id]
	return ok
}
