// Package opensslca makes certificates for tests as other authorities make them: with
// the openssl command (Debian package openssl), never with our own code.
package opensslca

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Lab is a folder in which openssl works.
type Lab struct {
	tb  testing.TB
	dir string
}

const config = `
[req]
distinguished_name = dn
prompt = no
string_mask = utf8only
utf8 = yes
[dn]
CN = unused
[ca]
default_ca = here
[here]
dir = .
database = index.txt
new_certs_dir = issued
serial = serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
email_in_dn = yes
string_mask = utf8only
[any]
C = optional
O = optional
OU = optional
CN = optional
emailAddress = optional
`

// New makes a lab that ends with the test.
func New(tb testing.TB) *Lab {
	tb.Helper()
	l := &Lab{tb, tb.TempDir()}
	l.Write("openssl.cnf", []byte(config))
	l.Write("index.txt", nil)
	if err := os.Mkdir(l.Path("issued"), 0o700); err != nil {
		tb.Fatal(err)
	}
	return l
}

// Path is that of a file in the lab.
func (l *Lab) Path(name string) string { return filepath.Join(l.dir, name) }

// Read reads a file.
func (l *Lab) Read(name string) []byte {
	l.tb.Helper()
	data, err := os.ReadFile(l.Path(name))
	if err != nil {
		l.tb.Fatal(err)
	}
	return data
}

// Write writes a file.
func (l *Lab) Write(name string, data []byte) {
	l.tb.Helper()
	if err := os.WriteFile(l.Path(name), data, 0o600); err != nil {
		l.tb.Fatal(err)
	}
}

// Run runs openssl with arguments that have no spaces of their own, and gives what it
// printed.
func (l *Lab) Run(arguments string, more ...string) string {
	l.tb.Helper()
	return l.Command("openssl", append(strings.Fields(arguments), more...)...)
}

// Command runs any program in the lab.
func (l *Lab) Command(program string, args ...string) string {
	l.tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = l.dir
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		l.tb.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, failed.String())
	}
	return string(out)
}

// A Request is a certificate that is wanted.
type Request struct {
	File    string // NAME: the certificate is NAME.pem, its key NAME.key
	Issuer  string // NAME of its authority; empty: signed with its own key
	Subject string // "/C=DE/O=Other/CN=www.example.com"; empty: "/CN=" and File
	Names   string // "DNS:a.example,IP:192.0.2.1"; empty: none
	CA      bool
	From    time.Time // zero: 2026-01-01
	To      time.Time // zero: 2027-01-01
	Key     string    // arguments of genpkey; empty: a P-256 key; "old": the key that is there
	Serial  string    // hexadecimal; empty: random
	Options string    // further arguments of "openssl ca", such as "-md sha1"
}

const moment = "20060102150405Z"

// Issue makes a key, a certificate request and the certificate, and gives it as PEM.
func (l *Lab) Issue(r Request) []byte {
	l.tb.Helper()
	if r.Key == "" {
		r.Key = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"
	}
	if r.Key != "old" {
		l.Run("genpkey "+r.Key+" -out", r.File+".key")
	}
	if r.Subject == "" {
		r.Subject = "/CN=" + r.File
	}
	l.Run("req -new -config openssl.cnf -utf8 -key "+r.File+".key -out "+r.File+".csr -subj", r.Subject)
	l.Write("extensions.cnf", []byte(extensions(r)))
	if r.From.IsZero() {
		r.From = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if r.To.IsZero() {
		r.To = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	args := "ca -batch -notext -config openssl.cnf -extfile extensions.cnf -in " + r.File + ".csr -out " + r.File + ".pem -startdate " + r.From.Format(moment) + " -enddate " + r.To.Format(moment)
	if r.Serial == "" {
		r.Serial = "4A" + randomHex()
	}
	l.Write("serial", []byte(r.Serial+"\n"))
	if r.Issuer == "" {
		args += " -selfsign -keyfile " + r.File + ".key"
	} else {
		args += " -cert " + r.Issuer + ".pem -keyfile " + r.Issuer + ".key"
	}
	l.Run(args + " " + r.Options)
	return l.Read(r.File + ".pem")
}

func randomHex() string {
	var b [15]byte
	rand.Read(b[:])
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

func extensions(r Request) string {
	lines := []string{"subjectKeyIdentifier = hash"}
	if r.Issuer != "" {
		lines = append(lines, "authorityKeyIdentifier = keyid")
	}
	if r.CA {
		lines = append(lines, "basicConstraints = critical,CA:TRUE")
	}
	if r.Names != "" {
		lines = append(lines, "subjectAltName = "+r.Names)
	}
	return strings.Join(lines, "\n") + "\n"
}

// DER is the certificate NAME in DER.
func (l *Lab) DER(name string) []byte {
	l.tb.Helper()
	return []byte(l.Run("x509 -outform DER -in " + name + ".pem"))
}
