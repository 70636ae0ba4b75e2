// Package guide writes install guides for a client certificate (N28): for
// curl, OpenSSL, Java, .NET and nginx, and a page on such certificates in
// general, each with the recipient's own file, host and service names.
//
// [Guides] makes them from [Params] as plain values; [View] shows one on a
// page. No guide puts a password on a command line, where other users of the
// machine could read it: commands ask for it, configurations read it from a
// file or from the environment.
package guide

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate -path .

import (
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Params are the names that the guides are written with.
type Params struct {
	FileName   string // the file that was fetched: a .p12, or the .pem that belongs to KeyFile
	KeyFile    string // the recipient's own private key (PEM) when they brought a request; else empty
	CommonName string // of the certificate
	Service    string // whose data it opens (N9)
	Realm      string // environment: "production"
	Host       string // of the web services, without port
	Port       int    // 443 unless set
	TrustFile  string // PEM file of the authorities behind the host's own certificate; empty when they are publicly known
	NginxDir   string // where nginx keeps the files; "/etc/nginx/client" unless set
}

// A Guide is one page.
type Guide struct {
	ID      string // short and stable, for addresses: "curl"
	Title   string
	Summary string
	Steps   []Step
	Cures   []Cure
}

// A Step is one thing to do.
type Step struct {
	Title string
	Text  string
	File  string // name of the file that Code is the content of; empty for commands to type
	Code  string // may be empty
}

// A Cure says what a symptom means and what to do about it.
type Cure struct{ Symptom, Remedy string }

// Guides returns all guides, the general one first.
func Guides(p Params) []Guide {
	p = p.withDefaults()
	return []Guide{about(p), curl(p), openSSL(p), java(p), dotNet(p), nginx(p)}
}

// Find returns the guide with an id, or the first.
func Find(list []Guide, id string) Guide {
	for _, g := range list {
		if g.ID == id {
			return g
		}
	}
	return list[0]
}

func (p Params) withDefaults() Params {
	if p.Port == 0 {
		p.Port = 443
	}
	if p.NginxDir == "" {
		p.NginxDir = "/etc/nginx/client"
	}
	return p
}

// brought tells whether the recipient made the key.
func (p Params) brought() bool { return p.KeyFile != "" }

// p12 is the key file, which a recipient who brought a request makes first.
func (p Params) p12() string {
	if p.brought() {
		return p.CommonName + ".p12"
	}
	return p.FileName
}

// pem and key are the two halves as PEM, which the recipient of a key file
// makes first.
func (p Params) pem() string {
	if p.brought() {
		return p.FileName
	}
	return p.CommonName + ".pem"
}

func (p Params) key() string {
	if p.brought() {
		return p.KeyFile
	}
	return p.CommonName + ".key"
}

func (p Params) address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// url is the address that the examples send a document to.
func (p Params) url() string {
	host := p.Host
	if p.Port != 443 {
		host = p.address()
	}
	return "https://" + host + "/doc/" + p.Service + "/sds"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9._/:@+=-]+$`)

// sh quotes a word for a POSIX shell.
func sh(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// lines joins the lines that are not empty.
func lines(l ...string) string {
	var b strings.Builder
	for _, line := range l {
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// where returns text if the condition holds.
func where(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// label names the box around the code.
func (s Step) label() string {
	if s.File != "" {
		return s.File
	}
	return "Commands"
}
