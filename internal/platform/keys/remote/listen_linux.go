package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Listen opens the socket for one user: its mode is 0600, its owner is uid, and
// each connection's peer is asked for by the kernel (SO_PEERCRED) and closed
// when it is neither uid nor root. A uid other than the process's own needs the
// right to change owners (CAP_CHOWN). A socket that a killed process left is
// replaced; one that answers is not.
func Listen(path string, uid int, log *slog.Logger) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fault.Invalidf("keys.socket", "The socket %s cannot be opened.", path).WithNext("Check that its directory exists and may be written.").WithCause(err)
	}
	err = os.Chmod(path, 0o600)
	if err == nil && uid != os.Getuid() {
		err = os.Chown(path, uid, -1)
	}
	if err != nil {
		return nil, errors.Join(fault.Invalidf("keys.socket", "The socket %s cannot be given to the user %d alone.", path, uid).WithCause(err), l.Close())
	}
	return &listener{l, uid, log}, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(err, "socket")
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fault.Conflictf("keys.socket", "%s exists and is not a socket.", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close() // it was only asked whether somebody is there
		return fault.Conflictf("keys.socket", "Another signer process answers at %s.", path).WithNext("Stop it first.")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fault.Wrap(err, "socket")
	}
	return fault.Wrap(os.Remove(path), "remove stale socket")
}

type listener struct {
	*net.UnixListener
	uid int
	log *slog.Logger
}

// Accept gives the next connection of the permitted user.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		peer, err := peerUID(conn)
		if err == nil && peer == l.uid {
			return conn, nil
		}
		l.log.Warn("connection refused", "uid", peer, "error", err)
		_ = conn.Close() // refused
	}
}

func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return -1, err
	}
	if credErr != nil {
		return -1, fmt.Errorf("peer credentials: %w", credErr)
	}
	return int(cred.Uid), nil
}
