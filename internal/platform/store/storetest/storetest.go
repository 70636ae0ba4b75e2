// Package storetest runs a test on every database engine the product supports.
package storetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// Each runs fn as a subtest on SQLite and on PostgreSQL, each with an empty
// database whose schema is current.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { fn(t, Open(t, url)) })
}

// EachURL is [Each] for tests that open the database themselves.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// Open opens a database and closes it when the test ends.
func Open(tb testing.TB, url string) *store.DB {
	tb.Helper()
	db, err := store.Open(context.Background(), url)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

// SQLite returns the address of a new database in a temporary directory.
func SQLite(tb testing.TB) string {
	tb.Helper()
	return "sqlite:" + filepath.Join(tb.TempDir(), "sealwright.db")
}

var (
	server    sync.Once
	serverURL string
	serverErr error
	databases atomic.Int64
)

// Postgres returns the address of a new, empty database on a server that the
// test process starts for itself from Debian's package and takes with it when
// it ends. SEALWRIGHT_TEST_POSTGRES names a server to use instead.
func Postgres(tb testing.TB) string {
	tb.Helper()
	server.Do(func() {
		if serverURL = os.Getenv("SEALWRIGHT_TEST_POSTGRES"); serverURL == "" {
			var s *Server
			if s, serverErr = Start(""); serverErr == nil {
				serverURL = s.URL
			}
		}
	})
	if serverErr != nil {
		tb.Fatalf("PostgreSQL (Debian package postgresql): %v", serverErr)
	}
	ctx := context.Background()
	admin, err := store.Connect(ctx, serverURL)
	if err != nil {
		tb.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer admin.Close()
	name := fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
	if err := admin.Raw(ctx, `CREATE DATABASE `+name); err != nil {
		tb.Fatalf("create database: %v", err)
	}
	return strings.Replace(serverURL, "/postgres?", "/"+name+"?", 1)
}

// A Server is a PostgreSQL server of the test's own.
type Server struct {
	URL  string
	bin  string
	dir  string
	port int
	cred *syscall.Credential
	cmd  *exec.Cmd
}

// Start creates a cluster in a temporary directory and starts it on loopback.
// Extra is added to its configuration file.
func Start(extra string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	removeAbandoned()
	dir, err := os.MkdirTemp("", "sealwright-pg-"+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := s.dropPrivileges(); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if out, err := s.command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	conf := "fsync=off\nmax_connections=200\nshared_buffers=64MB\n" + extra + "\n"
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(conf); err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	s.URL = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	return s, s.Up()
}

// Up starts the server's process and waits until it answers.
func (s *Server) Up() error {
	s.cmd = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port))
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		if s.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)).Run() == nil {
			return nil
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL did not start: %s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Down stops the server at once, as a machine that fails would.
func (s *Server) Down() error {
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	_ = s.cmd.Wait() // its exit status says how it was stopped
	return nil
}

// Remove stops the server and deletes its data.
func (s *Server) Remove() error {
	err := s.Down()
	if e := os.RemoveAll(s.dir); err == nil {
		err = e
	}
	return err
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGQUIT}
	return c
}

// dropPrivileges picks the user that PostgreSQL runs as: it refuses root.
func (s *Server) dropPrivileges() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid) // numeric on every Unix
	gid, _ := strconv.Atoi(u.Gid)
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	p, err := exec.LookPath("postgres")
	if err != nil {
		return "", err
	}
	return filepath.Dir(p), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// removeAbandoned deletes the clusters of test processes that are gone: a
// killed process takes its server along but cannot delete the files.
func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "sealwright-pg-*")) // the pattern is constant
	for _, d := range dirs {
		pid, err := strconv.Atoi(strings.Split(strings.TrimPrefix(filepath.Base(d), "sealwright-pg-"), "-")[0])
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(d) // another process may be doing the same
		}
	}
}
