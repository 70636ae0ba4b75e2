// Package sftpdir publishes into folders of other machines over SFTP (the SSH
// File Transfer Protocol, version 3, as OpenSSH speaks it).
//
// The server is known by its host key, which the settings pin; there is no
// trust on first use. Files appear whole: they are written under a temporary
// name and renamed. Where the server lacks OpenSSH's posix-rename, a file that
// takes the place of another is missing for one round trip.
package sftpdir

import (
	"bytes"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// Settings describe a folder on a server. Empty fields take the defaults.
type Settings struct {
	Host      string        `json:"host"`
	Port      int           `json:"port,omitempty"` // 22
	User      string        `json:"user"`
	HostKeys  []string      `json:"host_keys"` // "ssh-ed25519 AAAA…", as in a .pub or known_hosts file without the name; one of them must match
	Directory string        `json:"directory"` // must exist; relative to where the server puts the user unless it starts with a slash
	Names     filedir.Names `json:"names"`
	Timeout   int           `json:"timeout,omitempty"` // seconds for connecting and for each object; 20
}

const (
	defaultTimeout = 20
	maxTimeout     = 300
	maxHostKeys    = 8
)

// A Server is a destination whose settings were checked.
type Server struct {
	set    Settings
	keys   []ssh.PublicKey
	naming filedir.Naming
}

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:.]{2,45}$`)
	userName = regexp.MustCompile(`^[^\x00-\x20\x7f]{1,128}$`)
)

// Compile checks the settings. A fault of kind Invalid names the field, such as
// "sftp.host_keys".
func (s Settings) Compile() (*Server, error) {
	if s.Port == 0 {
		s.Port = 22
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	switch {
	case !hostName.MatchString(s.Host):
		return nil, invalid("host", "The host must be a name or an IP address, without a port.")
	case s.Port < 1 || s.Port > 65535:
		return nil, invalid("port", "The port must be between 1 and 65535.")
	case !userName.MatchString(s.User):
		return nil, invalid("user", "The user is missing or holds characters that user names do not have.")
	case s.Timeout < 1 || s.Timeout > maxTimeout:
		return nil, invalid("timeout", "The time-out must be between 1 and %d seconds.", maxTimeout)
	case s.Directory == "" || strings.ContainsFunc(s.Directory, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return nil, invalid("directory", "The directory is missing or holds control characters.")
	case len(s.HostKeys) == 0:
		return nil, invalid("host_keys", "The server's host key is missing.").WithNext("Take it from the server itself, for example from /etc/ssh/ssh_host_ed25519_key.pub.")
	case len(s.HostKeys) > maxHostKeys:
		return nil, invalid("host_keys", "A server has at most %d host keys.", maxHostKeys)
	}
	srv := &Server{set: s}
	for _, line := range s.HostKeys {
		key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(bytes.TrimSpace(rest)) > 0 {
			return nil, invalid("host_keys", "A host key cannot be read; it looks like: ssh-ed25519 AAAA…")
		}
		srv.keys = append(srv.keys, key)
	}
	var err error
	srv.naming, err = s.Names.Compile("sftp.names")
	return srv, err
}

// CheckKey tells whether a private key can be used to sign in: PEM or OpenSSH
// form, without a passphrase. A fault of kind Invalid names the field "key".
func CheckKey(text string) error {
	_, err := ssh.ParsePrivateKey([]byte(text))
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "passphrase") {
		return fault.Invalidf("publisher.key", "The private key is protected by a passphrase.").WithNext("Remove it with ssh-keygen -p; the key is stored encrypted here.").WithField("key")
	}
	return fault.Invalidf("publisher.key", "The private key cannot be read.").WithNext("Give it in PEM or OpenSSH form.").WithField("key")
}

func invalid(field, format string, args ...any) *fault.Fault {
	return fault.Invalidf("publisher.sftp", format, args...).WithField("sftp." + field)
}

// Takes implements [place.Destination].
func (s *Server) Takes(k place.Kind) bool { return s.naming.Takes(k) }

// Exclusive implements [place.Destination].
func (s *Server) Exclusive(place.Kind) bool { return true }

// Place implements [place.Destination].
func (s *Server) Place(o place.Object) (string, error) { return s.naming.Place(o) }

func (s *Server) timeout() time.Duration { return time.Duration(s.set.Timeout) * time.Second }

func (s *Server) port() string { return strconv.Itoa(s.set.Port) }

// absolute is the path of a name on the server.
func (s *Server) absolute(name string) string { return path.Join(s.set.Directory, name) }
