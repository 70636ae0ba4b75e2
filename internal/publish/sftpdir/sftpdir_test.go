package sftpdir_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
	"github.com/sealwright/sealwright/internal/publish/sftpdir"
)

func link(password, key string) place.Link {
	loopback := egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	return place.Link{Dialer: loopback.Dialer(), Password: secret.New(password), Key: secret.New(key)}
}

func object(text string) place.Object {
	return place.Object{Kind: place.Certificate, DER: []byte(text), Facts: fact.Set{"cn": "../Fifth Person & co", "serial": "12"}}
}

func settings(s *publishtest.SSHServer) sftpdir.Settings {
	return sftpdir.Settings{
		Host: "localhost", Port: s.Port, User: s.User, HostKeys: []string{s.HostKey}, Directory: s.Folder, Timeout: 5,
		Names: filedir.Names{Certificates: "{cn}/{serial}.cer"},
	}
}

// open connects, or gives the error.
func open(t *testing.T, set sftpdir.Settings, l place.Link) (*sftpdir.Server, place.Session, error) {
	t.Helper()
	srv, err := set.Compile()
	if err != nil {
		t.Fatal(err)
	}
	s, err := srv.Open(t.Context(), l)
	if err == nil {
		t.Cleanup(s.Close)
	}
	return srv, s, err
}

// cycle publishes, replaces and removes, and looks at the folder in between.
func cycle(t *testing.T, srv *sftpdir.Server, s place.Session, folder string) {
	t.Helper()
	o := object("one")
	at, err := srv.Place(o)
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(folder, at))
		if want == "" && errors.Is(err, os.ErrNotExist) {
			return
		}
		if err != nil || string(raw) != want {
			t.Fatalf("the file holds %q, %v", raw, err)
		}
	}
	steps := []struct {
		name    string
		do      func() (bool, error)
		changed bool
		left    string
	}{
		{"put", func() (bool, error) { return s.Put(t.Context(), at, o) }, true, "one"},
		{"put again", func() (bool, error) { return s.Put(t.Context(), at, o) }, false, "one"},
		{"put another", func() (bool, error) { return s.Put(t.Context(), at, object("another")) }, true, "another"},
		{"remove the first", func() (bool, error) { return s.Remove(t.Context(), at, o) }, false, "another"},
		{"remove", func() (bool, error) { return s.Remove(t.Context(), at, object("another")) }, true, ""},
		{"remove again", func() (bool, error) { return s.Remove(t.Context(), at, object("another")) }, false, ""},
	}
	for _, step := range steps {
		changed, err := step.do()
		if err != nil || changed != step.changed {
			t.Fatalf("%s: changed %v, %v", step.name, changed, err)
		}
		look(step.left)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(folder, ".*"))
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %q, %v", left, err)
	}
}

// OpenSSH, signed in to with a key.
func TestAFileComesAndGoesOnAnOpenSSHServer(t *testing.T) {
	server := publishtest.StartSSH(t)
	srv, s, err := open(t, settings(server), link("", server.Key))
	if err != nil {
		t.Fatal(err)
	}
	cycle(t, srv, s, server.Folder)
}

func TestOnlyThePinnedServerIsTalkedTo(t *testing.T) {
	server := publishtest.StartSSH(t)
	_, other := publishtest.KeyPair(t)
	otherUser, _ := publishtest.KeyPair(t)
	cases := []struct {
		name, fails string
		change      func(*sftpdir.Settings)
		link        place.Link
	}{
		{"another host key", "another host key", func(s *sftpdir.Settings) { s.HostKeys = []string{other} }, link("", server.Key)},
		{"the right host key among others", "", func(s *sftpdir.Settings) { s.HostKeys = []string{other, server.HostKey} }, link("", server.Key)},
		{"another user key", "unable to authenticate", func(*sftpdir.Settings) {}, link("", otherUser)},
		{"a directory that is missing", "not exist", func(s *sftpdir.Settings) { s.Directory += "-missing" }, link("", server.Key)},
		{"a directory that is a file", "not a directory", func(s *sftpdir.Settings) { s.Directory = "/etc/passwd" }, link("", server.Key)},
		{"no secret", "neither", func(*sftpdir.Settings) {}, link("", "")},
		{"an internal address that is not allowed", "loopback", func(*sftpdir.Settings) {}, place.Link{Dialer: egress.Policy{}.Dialer(), Key: secret.New(server.Key)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			set := settings(server)
			c.change(&set)
			_, _, err := open(t, set, c.link)
			if c.fails == "" && err != nil || c.fails != "" && (!place.IsUnreachable(err) || !strings.Contains(err.Error(), c.fails)) {
				t.Fatalf("got %v, want %q", err, c.fails)
			}
		})
	}
}

// The server runs without privileges, so it can be refused by its file system.
func TestAFolderThatTheUserMayNotWriteIsUnreachable(t *testing.T) {
	server := publishtest.StartSSH(t)
	if err := os.Chmod(server.Folder, 0o555); err != nil {
		t.Fatal(err)
	}
	_, s, err := open(t, settings(server), link("", server.Key))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); !place.IsUnreachable(err) || !errors.Is(err, os.ErrPermission) {
		t.Fatalf("probe: %v", err)
	}
	if _, err := s.Put(t.Context(), "a/1.cer", object("x")); !place.IsUnreachable(err) || !errors.Is(err, os.ErrPermission) {
		t.Fatalf("put: %v", err)
	}
}

func TestAServerThatGoesAwayIsUnreachable(t *testing.T) {
	server := publishtest.StartSSH(t)
	_, s, err := open(t, settings(server), link("", server.Key))
	if err != nil {
		t.Fatal(err)
	}
	server.Down()
	if _, _, err := open(t, settings(server), link("", server.Key)); !place.IsUnreachable(err) {
		t.Fatalf("got %v", err)
	}
	s.Close()
	if _, err := s.Put(t.Context(), "1.cer", object("x")); !place.IsUnreachable(err) {
		t.Fatalf("got %v", err)
	}
}

// passwordServer is an SFTP server that asks for a password, knows version 3 of
// the protocol without extensions if bare, and answers nothing after n requests.
func passwordServer(t *testing.T, password string, interactive bool, serve func(io.ReadWriteCloser)) (port int, hostKey string) {
	t.Helper()
	private, public := publishtest.KeyPair(t)
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{}
	wrong := errors.New("wrong password")
	if interactive {
		config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			a, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(a) != 1 || a[0] != password {
				return nil, wrong
			}
			return nil, nil
		}
	} else {
		config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) != password {
				return nil, wrong
			}
			return nil, nil
		}
	}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go session(c, config, serve)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, public
}

func session(c net.Conn, config *ssh.ServerConfig, serve func(io.ReadWriteCloser)) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		serve(channel)
	}
}

func TestAPasswordSignsIn(t *testing.T) {
	const password = "mallard 42"
	real := func(c io.ReadWriteCloser) {
		s, err := sftp.NewServer(c)
		if err == nil {
			_ = s.Serve() // ends with the connection
		}
	}
	for name, interactive := range map[string]bool{"asked for as such": false, "asked for as a question": true} {
		t.Run(name, func(t *testing.T) {
			port, key := passwordServer(t, password, interactive, real)
			folder := t.TempDir()
			set := sftpdir.Settings{Host: "127.0.0.1", Port: port, User: "ca", HostKeys: []string{key}, Directory: folder, Timeout: 5, Names: filedir.Names{Certificates: "{cn}/{serial}.cer"}}
			srv, s, err := open(t, set, link(password, ""))
			if err != nil {
				t.Fatal(err)
			}
			cycle(t, srv, s, folder)
			if _, _, err := open(t, set, link("wrong", "")); !place.IsUnreachable(err) || strings.Contains(err.Error(), "wrong password") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAServerThatHangsIsLeftInTime(t *testing.T) {
	deaf := func(c io.ReadWriteCloser) { _, _ = io.Copy(io.Discard, c) }
	port, key := passwordServer(t, "x", false, deaf)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, port := range map[string]int{"after the sign-in": port, "before a word": silent.Addr().(*net.TCPAddr).Port} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			_, _, err := open(t, sftpdir.Settings{Host: "127.0.0.1", Port: port, User: "ca", HostKeys: []string{key}, Directory: "/", Timeout: 1, Names: filedir.Names{Certificates: "{serial}"}}, link("x", ""))
			if !place.IsUnreachable(err) {
				t.Fatalf("got %v", err)
			}
			if took := time.Since(begun); took > 8*time.Second {
				t.Fatalf("took %v with a time-out of a second", took)
			}
		})
	}
}

func TestSettingsSayWhichFieldIsWrong(t *testing.T) {
	_, public := publishtest.KeyPair(t)
	good := sftpdir.Settings{Host: "sftp.example.org", User: "ca", HostKeys: []string{public}, Directory: "/in", Names: filedir.Names{Certificates: "{serial}.cer"}}
	if _, err := good.Compile(); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, field string
		change      func(*sftpdir.Settings)
	}{
		{"no host", "sftp.host", func(s *sftpdir.Settings) { s.Host = "" }},
		{"a port out of range", "sftp.port", func(s *sftpdir.Settings) { s.Port = -1 }},
		{"no user", "sftp.user", func(s *sftpdir.Settings) { s.User = "" }},
		{"a user with a line break", "sftp.user", func(s *sftpdir.Settings) { s.User = "a\nb" }},
		{"no host key", "sftp.host_keys", func(s *sftpdir.Settings) { s.HostKeys = nil }},
		{"a host key that is none", "sftp.host_keys", func(s *sftpdir.Settings) { s.HostKeys = []string{"SHA256:abc"} }},
		{"two host keys in one", "sftp.host_keys", func(s *sftpdir.Settings) { s.HostKeys = []string{public + "\n" + public} }},
		{"no directory", "sftp.directory", func(s *sftpdir.Settings) { s.Directory = "" }},
		{"a time-out without end", "sftp.timeout", func(s *sftpdir.Settings) { s.Timeout = 9999 }},
		{"a name above", "sftp.names.certificates", func(s *sftpdir.Settings) { s.Names.Certificates = "../x" }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := good
			c.change(&s)
			_, err := s.Compile()
			if !errors.Is(err, fault.Invalid) || fault.Of(err).Field != c.field {
				t.Fatalf("got %v in field %q", err, fault.Of(err).Field)
			}
		})
	}
}
