package remote

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

func TestAServerThatTalksNonsenseIsUnavailable(t *testing.T) {
	for name, answer := range map[string][]byte{
		"a huge frame":    {0xff, 0xff, 0xff, 0xff},
		"a tiny frame":    {0, 0, 0, 1, 0},
		"half a frame":    {0, 0, 0, 20, 0},
		"an unknown code": {0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 77},
		"a broken fault":  {0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 3, 9},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				if _, err := readFrame(conn); err != nil {
					t.Error(err)
				}
				_, _ = conn.Write(answer) // the client may hang up at the first bytes
			}()
			c := NewClient(l.Addr().String())
			defer c.Close()
			if err := c.Health(t.Context()); fault.Of(err).Code != "keys.hsm_unavailable" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTheSocketIsForOneUserOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := Listen(path, os.Getuid(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	other := &listener{l.(*listener).UnixListener, os.Getuid() + 1, quiet} // expects somebody else
	go func() { _, _ = other.Accept() }()                                  // ends when the listener closes
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the wrong user was not hung up on: %d, %v", n, err)
	}
	_, _ = conn.Close(), l.Close()
}

func TestOnlyADeadSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after a kill
	_ = l.Close()
	serve(t, dead, newSoftware(t))
	if _, err := Listen(dead, os.Getuid(), quiet); fault.Of(err).Kind != fault.Conflict {
		t.Errorf("a living one: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, os.Getuid(), quiet); fault.Of(err).Kind != fault.Conflict {
		t.Errorf("a file: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, "no", "dir"), os.Getuid(), quiet); fault.Of(err).Code != "keys.socket" {
		t.Errorf("no directory: %v", err)
	}
}

func TestAServerHangsUpOnNonsenseAndServesOthers(t *testing.T) {
	c, path, _ := start(t, newSoftware(t))
	for _, b := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 2, 1, 1}} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%x was answered: %d, %v", b, n, err)
		}
		_ = conn.Close()
	}
	for op, payload := range map[byte][]byte{opSign: {1, 2, 3}, 99: nil} {
		if _, err := c.call(t.Context(), op, payload); fault.Of(err).Code != "keys.protocol" {
			t.Errorf("request %d: %v", op, err)
		}
	}
	if err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkSign(b *testing.B) {
	soft := newSoftware(b)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	soft.keys["p256"] = p256
	c, _, _ := start(b, soft)
	s, err := c.Signer(b.Context(), "p256")
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	for name, signer := range map[string]crypto.Signer{"in memory": p256, "through the socket": s} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
