package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process is a server in a process of its own. It ends when its standard
// input does, so that none is left behind when the benchmark dies.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ready json.RawMessage // the first line it printed

	lines  chan []byte // the lines after the first, for whoever wants them
	exited chan struct{}
	once   sync.Once
}

// startTime bounds how long a server may take to listen, including the loading
// of a database that was filled before.
const startTime = 10 * time.Minute

// start runs this program again as `bench serve ARGS` and waits for its first line.
func start(ctx context.Context, log io.Writer, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProgram(ctx, log, self, append([]string{"bench", "serve"}, args...)...)
}

func startProgram(ctx context.Context, log io.Writer, program string, args ...string) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, lines: make(chan []byte, 4096), exited: make(chan struct{})}
	first := make(chan []byte, 1)
	go p.read(out, first)
	select {
	case line, ok := <-first:
		if !ok {
			return nil, fmt.Errorf("%s %s ended before it was ready", program, strings.Join(args, " "))
		}
		p.ready = line
		return p, nil
	case <-time.After(startTime):
		return nil, errors.Join(fmt.Errorf("%s did not become ready", program), p.kill())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.kill())
	}
}

// read hands on the lines and, when there are no more, waits for the end.
func (p *process) read(out io.Reader, first chan<- []byte) {
	defer close(p.exited)
	defer func() { _ = p.cmd.Wait() }() // a killed process ends with an error
	defer close(p.lines)
	defer close(first)
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 1<<20)
	for n := 0; sc.Scan(); n++ {
		line := append([]byte(nil), sc.Bytes()...)
		if n == 0 {
			first <- line
			continue
		}
		p.lines <- line
	}
}

// kill ends the process at once, as a power cut would.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	p.once.Do(func() { _ = p.in.Close() })
	p.drain()
	return err
}

// stop lets the process finish.
func (p *process) stop() {
	p.once.Do(func() { _ = p.in.Close() })
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	p.drain()
}

func (p *process) drain() {
	for {
		select {
		case _, ok := <-p.lines:
			if !ok {
				<-p.exited
				return
			}
		case <-p.exited:
			return
		}
	}
}

// tell sends a line to the process.
func (p *process) tell(line string) error {
	_, err := io.WriteString(p.in, line+"\n")
	return err
}

// traced starts this program like start, under strace, which writes each fsync
// and fdatasync to a file. Its gauge is that of strace.
func traced(ctx context.Context, log io.Writer, strace, file string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// With --seccomp-bpf only the traced calls are slowed down.
	line := append([]string{"-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", file, self, "bench", "serve"}, args...)
	return startProgram(ctx, log, strace, line...)
}

// usage is what a process has used so far.
type usage struct {
	cpu     time.Duration
	written int64 // -1 where the kernel does not tell
	peak    int64
}

func (p *process) usage() (usage, error) { return usageOf(p.cmd.Process.Pid) }

// ticks is the unit of /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const ticks = 100

func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// The second field is the program's name in brackets and may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	u := usage{cpu: time.Duration(user+system) * time.Second / ticks, written: -1}
	u.peak = number(pid, "status", "VmHWM:") << 10
	if n := number(pid, "io", "write_bytes:"); n > 0 {
		u.written = n
	}
	return u, errors.Join(err1, err2)
}

// number reads a named number from a file of /proc/PID; 0 if it is not there.
func number(pid int, file, name string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64) // the kernel writes numbers
				return n
			}
		}
	}
	return 0
}

// resetPeak makes VmHWM start again from the present resident memory.
func (p *process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}
