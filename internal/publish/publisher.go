package publish

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/sftpdir"
)

// A Kind says what a publisher writes to.
type Kind string

// The kinds of publishers.
const (
	LDAP Kind = "ldap"
	File Kind = "file"
	SFTP Kind = "sftp"
)

// Settings hold the settings of one kind; the others are nil.
type Settings struct {
	LDAP *ldapdir.Settings `json:"ldap,omitempty"`
	File *filedir.Settings `json:"file,omitempty"`
	SFTP *sftpdir.Settings `json:"sftp,omitempty"`
}

// Kind tells which settings are there; it is empty unless exactly one is.
func (s Settings) Kind() Kind {
	switch {
	case s.LDAP != nil && s.File == nil && s.SFTP == nil:
		return LDAP
	case s.LDAP == nil && s.File != nil && s.SFTP == nil:
		return File
	case s.LDAP == nil && s.File == nil && s.SFTP != nil:
		return SFTP
	}
	return ""
}

// Fields are what a person says about a publisher. On a change, empty secrets
// keep the ones that are stored.
type Fields struct {
	Name     string
	Settings Settings
	Password secret.Text   // of the LDAP bind or of the SFTP user
	Key      secret.Text   // SFTP private key in PEM or OpenSSH form
	Internal []string      // addresses and ranges off the public internet that may be reached, such as 10.1.2.0/24
	GiveUp   time.Duration // how long an object is tried; 1 minute to 90 days, 3 days by default
}

// A Publisher is a destination as people see it. Its secrets cannot be read.
type Publisher struct {
	ID        string // pub-…
	Realm     access.Realm
	Client    string // empty: serves every client of the realm
	Name      string // unique for realm and client
	Kind      Kind
	Settings  Settings
	HasSecret bool
	Internal  []string
	GiveUp    time.Duration
	Enabled   bool
	Created   time.Time
	Changed   time.Time

	Failures    int       // times in a row that it did not answer
	LastError   string    // why; empty while it answers
	PausedUntil time.Time // when it is tried again; zero while it answers
}

const (
	defaultGiveUp = 72 * time.Hour
	minGiveUp     = time.Minute
	maxGiveUp     = 90 * 24 * time.Hour
	maxName       = 120
	maxRanges     = 16
	maxSecret     = 64 << 10
)

// check tidies the fields and tells what is wrong with the first bad one.
func (p *Publishing) check(f *Fields) error {
	f.Name = norm.NFC.String(strings.TrimSpace(f.Name))
	if f.GiveUp == 0 {
		f.GiveUp = defaultGiveUp
	}
	switch {
	case f.Name == "":
		return invalid("name", "The name is missing.")
	case utf8.RuneCountInString(f.Name) > maxName || strings.ContainsFunc(f.Name, unicode.IsControl) || !utf8.ValidString(f.Name):
		return invalid("name", "The name has more than %d characters or some that are not text.", maxName)
	case f.GiveUp < minGiveUp || f.GiveUp > maxGiveUp:
		return invalid("give_up", "An object is tried for between one minute and 90 days.")
	case f.Settings.Kind() == "":
		return invalid("kind", "The settings must be those of one kind: LDAP, file or SFTP.")
	case len(f.Password.Reveal()) > maxSecret:
		return invalid("password", "The password is too long.")
	case len(f.Key.Reveal()) > maxSecret:
		return invalid("key", "The private key is too long.")
	}
	if err := checkRanges(f); err != nil {
		return err
	}
	if err := checkSecrets(f); err != nil {
		return err
	}
	_, err := p.destination(f.Settings)
	return err
}

// destination compiles settings. It is done anew for each use, because the
// configuration may have changed since they were stored.
func (p *Publishing) destination(s Settings) (place.Destination, error) {
	switch s.Kind() {
	case LDAP:
		if s.LDAP.Security == ldapdir.Plain && !p.o.PlainLDAP {
			return nil, invalid("ldap.security", "This installation does not allow LDAP without TLS.").WithNext("Use ldaps or starttls.")
		}
		return s.LDAP.Compile()
	case File:
		return s.File.Compile(p.o.Directories)
	case SFTP:
		return s.SFTP.Compile()
	}
	return nil, invalid("kind", "The settings must be those of one kind: LDAP, file or SFTP.")
}

func checkSecrets(f *Fields) error {
	switch f.Settings.Kind() {
	case LDAP:
		if !f.Key.Empty() {
			return invalid("key", "A directory is not signed in to with a private key.")
		}
		if f.Settings.LDAP.BindDN == "" && !f.Password.Empty() {
			return invalid("ldap.bind_dn", "A password needs the DN that it belongs to.")
		}
	case File:
		if !f.Key.Empty() || !f.Password.Empty() {
			return invalid("password", "A folder has neither password nor key.")
		}
	case SFTP:
		if !f.Key.Empty() {
			return sftpdir.CheckKey(f.Key.Reveal())
		}
	}
	return nil
}

// needsSecret tells whether the destination wants somebody to sign in, and as
// which field a missing secret is reported.
func (s Settings) needsSecret() bool {
	return s.SFTP != nil || s.LDAP != nil && s.LDAP.BindDN != ""
}

// audience is to whom the secret is shown. It changes with everything that
// decides who receives it.
func (s Settings) audience() string {
	var who any
	switch s.Kind() {
	case LDAP:
		l := s.LDAP
		who = []any{l.Host, l.Port, l.Security, l.Roots, l.ServerName, l.BindDN}
	case SFTP:
		who = []any{s.SFTP.Host, s.SFTP.Port, s.SFTP.User, s.SFTP.HostKeys}
	}
	b, _ := json.Marshal(who) // texts and numbers always encode
	return string(b)
}

func checkRanges(f *Fields) error {
	if len(f.Internal) > maxRanges {
		return invalid("internal", "A publisher has at most %d internal ranges.", maxRanges)
	}
	var out []string
	for _, text := range f.Internal {
		r, err := parseRange(text)
		switch {
		case err != nil:
			return invalid("internal", "%q is neither an address nor a range such as 10.1.2.0/24.", text)
		case r.Addr().Is4() && r.Bits() < 8 || r.Addr().Is6() && r.Bits() < 7:
			return invalid("internal", "The range %s is too wide.", r)
		case egress.Class(r.Addr()) == "":
			return invalid("internal", "%s is on the public internet and needs no permission.", r)
		}
		out = append(out, r.String())
	}
	slices.Sort(out)
	f.Internal = slices.Compact(out)
	return nil
}

func parseRange(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	r, err := netip.ParsePrefix(text)
	return r.Masked(), err
}

// sensitive tells whether only an administrator of the whole installation may
// have such a publisher: it reaches into the installation's own network or
// machine, or sends passwords in clear.
func sensitive(s Settings, internal []string) bool {
	return s.File != nil || len(internal) > 0 || s.LDAP != nil && s.LDAP.Security == ldapdir.Plain
}

func invalid(field, format string, args ...any) *fault.Fault {
	return fault.Invalidf("publisher.field", format, args...).WithField(field)
}
