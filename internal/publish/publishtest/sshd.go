package publishtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// An SSHServer is an OpenSSH server of the test's own, on loopback, that does
// nothing but SFTP. It runs as an unprivileged user, with that user's rights.
type SSHServer struct {
	Port    int
	User    string
	HostKey string // as the settings pin it
	Key     string // a private key that may sign in, in PEM
	Folder  string // a directory that the user may write to
	tb      testing.TB
	dir     string
	cred    *syscall.Credential
	cmd     *exec.Cmd
}

const sshdConf = `ListenAddress 127.0.0.1
Port %[2]d
HostKey %[1]s/host.key
AuthorizedKeysFile %[1]s/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
MaxStartups 100
LogLevel VERBOSE
`

// StartSSH starts an OpenSSH server (Debian package openssh-server) that ends
// with the test.
func StartSSH(tb testing.TB) *SSHServer {
	tb.Helper()
	s := &SSHServer{Port: FreePort(tb), tb: tb, dir: tb.TempDir()}
	s.unprivileged()
	for _, d := range []string{s.dir, filepath.Dir(s.dir)} {
		must(tb, os.Chmod(d, 0o755)) // the other user passes through
	}
	var hostPublic, userPublic string
	var hostKey string
	hostKey, hostPublic = KeyPair(tb)
	s.Key, userPublic = KeyPair(tb)
	s.HostKey = hostPublic
	s.Folder = filepath.Join(s.dir, "published")
	for name, text := range map[string]string{"host.key": hostKey, "authorized": userPublic + "\n", "sshd.conf": fmt.Sprintf(sshdConf, s.dir, s.Port)} {
		must(tb, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
		s.give(filepath.Join(s.dir, name))
	}
	must(tb, os.Mkdir(s.Folder, 0o755))
	s.give(s.Folder)
	s.Up()
	tb.Cleanup(s.Down)
	return s
}

// unprivileged picks the user that the server runs as; sshd takes "nobody" for a
// locked account where systemd answers for it.
func (s *SSHServer) unprivileged() {
	who, err := user.Current()
	must(s.tb, err)
	if os.Getuid() == 0 {
		who, err = user.Lookup("daemon")
		must(s.tb, err)
		uid, err := strconv.Atoi(who.Uid)
		must(s.tb, err)
		gid, err := strconv.Atoi(who.Gid)
		must(s.tb, err)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	s.User = who.Username
}

func (s *SSHServer) give(path string) {
	if s.cred != nil {
		must(s.tb, os.Chown(path, int(s.cred.Uid), int(s.cred.Gid)))
	}
}

// Up starts the server.
func (s *SSHServer) Up() {
	s.tb.Helper()
	s.cmd = exec.Command(tool(s.tb, "sshd"), "-D", "-e", "-f", filepath.Join(s.dir, "sshd.conf"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(s.tb, err)
	defer log.Close()
	s.cmd.Stderr = log // a file: sessions that outlive the server do not hold up its end
	s.cmd.Dir = "/"
	must(s.tb, s.cmd.Start())
	s.tb.Cleanup(func() {
		if s.tb.Failed() {
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.tb.Logf("sshd: %s", text)
		}
	})
	await(s.tb, s.Port)
}

// Down ends the server.
func (s *SSHServer) Down() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // its exit status says how it was ended
	s.cmd = nil
}

// KeyPair makes an Ed25519 key: the private one in OpenSSH's form, the public
// one as a line.
func KeyPair(tb testing.TB) (private, public string) {
	tb.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(tb, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	must(tb, err)
	line, err := ssh.NewPublicKey(pub)
	must(tb, err)
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
}
