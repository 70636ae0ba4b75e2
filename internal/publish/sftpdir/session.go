package sftpdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/place"
)

type session struct {
	server *Server
	wire   net.Conn
	ssh    *ssh.Client
	sftp   *sftp.Client
	stop   func() bool
}

// Open implements [place.Destination].
func (s *Server) Open(ctx context.Context, l place.Link) (place.Session, error) {
	auth, err := authMethods(l)
	if err != nil {
		return nil, place.Unreachable(err)
	}
	address := net.JoinHostPort(s.set.Host, s.port())
	dialing, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	wire, err := l.Dialer.DialContext(dialing, "tcp", address)
	if err != nil {
		return nil, place.Unreachable(err)
	}
	out := &session{server: s, wire: wire}
	out.stop = context.AfterFunc(ctx, func() { _ = wire.Close() }) // ends whatever waits for it
	out.begin()
	if err := out.connect(address, auth); err != nil {
		out.Close()
		return nil, place.Unreachable(err)
	}
	return out, nil
}

func authMethods(l place.Link) ([]ssh.AuthMethod, error) {
	var auth []ssh.AuthMethod
	if !l.Key.Empty() {
		signer, err := ssh.ParsePrivateKey([]byte(l.Key.Reveal()))
		if err != nil {
			return nil, errors.New("the stored private key cannot be read")
		}
		auth = append(auth, ssh.PublicKeys(signer))
	}
	if !l.Password.Empty() {
		password := l.Password.Reveal()
		auth = append(auth, ssh.Password(password), ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
			// Servers behind PAM ask for the password as a question without echo.
			if len(questions) == 0 {
				return nil, nil
			}
			if len(questions) != 1 || echos[0] {
				return nil, errors.New("the server asks for more than a password")
			}
			return []string{password}, nil
		}))
	}
	if len(auth) == 0 {
		return nil, errors.New("there is neither a private key nor a password to sign in with")
	}
	return auth, nil
}

func (s *session) connect(address string, auth []ssh.AuthMethod) error {
	conn, channels, requests, err := ssh.NewClientConn(s.wire, address, &ssh.ClientConfig{
		User: s.server.set.User, Auth: auth, HostKeyCallback: s.server.checkHost, HostKeyAlgorithms: s.server.algorithms(),
		ClientVersion: "SSH-2.0-Sealwright", Timeout: s.server.timeout(),
	})
	if err != nil {
		return err
	}
	s.ssh = ssh.NewClient(conn, channels, requests)
	if s.sftp, err = sftp.NewClient(s.ssh); err != nil {
		return fmt.Errorf("start SFTP: %w", err)
	}
	info, err := s.sftp.Stat(s.server.set.Directory)
	if err != nil {
		return fmt.Errorf("look at the directory %s: %w", s.server.set.Directory, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", s.server.set.Directory)
	}
	return nil
}

// checkHost compares the server's key with the pinned ones.
func (s *Server) checkHost(_ string, _ net.Addr, key ssh.PublicKey) error {
	if slices.ContainsFunc(s.keys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }) {
		return nil
	}
	return fmt.Errorf("the server shows another host key than the settings name: %s %s", key.Type(), ssh.FingerprintSHA256(key))
}

// algorithms asks the server for a key of a type that is pinned.
func (s *Server) algorithms() []string {
	var out []string
	for _, k := range s.keys {
		if k.Type() == ssh.KeyAlgoRSA {
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			out = append(out, k.Type())
		}
	}
	return slices.Compact(out)
}

// begin gives what follows its time. The protocol has no time-outs of its own.
func (s *session) begin() {
	_ = s.wire.SetDeadline(time.Now().Add(s.server.timeout())) // fails only when closed, which the next step will tell
}

// Put implements [place.Session].
func (s *session) Put(_ context.Context, at string, o place.Object) (bool, error) {
	s.begin()
	changed, err := filedir.Put(remote{s}, at, s.server.naming.Data(o))
	return changed, place.Unreachable(err)
}

// Remove implements [place.Session].
func (s *session) Remove(_ context.Context, at string, o place.Object) (bool, error) {
	s.begin()
	changed, err := filedir.Remove(remote{s}, at, s.server.naming.Data(o))
	return changed, place.Unreachable(err)
}

// Probe implements [place.Session].
func (s *session) Probe(context.Context) error {
	s.begin()
	return place.Unreachable(filedir.Probe(remote{s}))
}

// Close implements [place.Session].
func (s *session) Close() {
	s.stop()
	_ = s.wire.Close() // first: the others would wait for an answer
	if s.sftp != nil {
		_ = s.sftp.Close()
	}
	if s.ssh != nil {
		_ = s.ssh.Close()
	}
}

// remote is the FS of the folder on the server.
type remote struct{ s *session }

func (r remote) Stat(name string) (int64, bool, error) {
	info, err := r.s.sftp.Lstat(r.s.server.absolute(name))
	if err != nil {
		return 0, false, err
	}
	return info.Size(), info.Mode().IsRegular(), nil
}

func (r remote) Read(name string, limit int64) ([]byte, error) {
	f, err := r.s.sftp.Open(r.s.server.absolute(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (r remote) Create(name string, data []byte) error {
	f, err := r.s.sftp.OpenFile(r.s.server.absolute(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if _, ok := r.s.sftp.HasExtension("fsync@openssh.com"); ok && err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (r remote) Rename(from, to string) error {
	from, to = r.s.server.absolute(from), r.s.server.absolute(to)
	if _, ok := r.s.sftp.HasExtension("posix-rename@openssh.com"); ok {
		return r.s.sftp.PosixRename(from, to)
	}
	if err := r.s.sftp.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.s.sftp.Rename(from, to)
}

func (r remote) Remove(name string) error { return r.s.sftp.Remove(r.s.server.absolute(name)) }

func (r remote) MkdirAll(name string) error { return r.s.sftp.MkdirAll(r.s.server.absolute(name)) }

// Sync implements [filedir.FS]: the protocol cannot make a folder durable, and
// the servers that matter rename in order with the file's own fsync.
func (r remote) Sync(string) error { return nil }
