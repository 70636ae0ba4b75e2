package ldapdir_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

func TestTheConnectionIsProtectedAsTheSettingsSay(t *testing.T) {
	dir, other := publishtest.StartDirectory(t), publishtest.NewCA(t, "Another Root")
	cases := []struct {
		name   string
		change func(*ldapdir.Settings)
		fails  string // empty: it works
	}{
		{"ldaps with the right root", func(s *ldapdir.Settings) {}, ""},
		{"StartTLS with the right root", func(s *ldapdir.Settings) { s.Security, s.Port = ldapdir.StartTLS, dir.Port }, ""},
		{"plain", func(s *ldapdir.Settings) { s.Security, s.Port, s.Roots = ldapdir.Plain, dir.Port, "" }, ""},
		{"another name that the certificate has", func(s *ldapdir.Settings) { s.ServerName = "ldap.example.org" }, ""},
		{"an address that the certificate has", func(s *ldapdir.Settings) { s.Host = "127.0.0.1" }, ""},
		{"ldaps with another root", func(s *ldapdir.Settings) { s.Roots = other.PEM }, "unknown authority"},
		{"ldaps with the roots of the system", func(s *ldapdir.Settings) { s.Roots = "" }, "unknown authority"},
		{"StartTLS with another root", func(s *ldapdir.Settings) { s.Security, s.Port, s.Roots = ldapdir.StartTLS, dir.Port, other.PEM }, "unknown authority"},
		{"a name that the certificate lacks", func(s *ldapdir.Settings) { s.ServerName = "ldap.example.com" }, "ldap.example.com"},
		{"StartTLS with a name that the certificate lacks", func(s *ldapdir.Settings) {
			s.Security, s.Port, s.ServerName = ldapdir.StartTLS, dir.Port, "ldap.example.com"
		}, "ldap.example.com"},
		{"TLS to a port without TLS", func(s *ldapdir.Settings) { s.Port = dir.Port }, "TLS"},
		{"a wrong account", func(s *ldapdir.Settings) { s.BindDN = "cn=nobody," + publishtest.Base }, "(49)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			set := settings(dir)
			c.change(&set)
			d, err := set.Compile()
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.Open(t.Context(), link(publishtest.Password, notes{}))
			if c.fails == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if err := s.Probe(t.Context()); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !place.IsUnreachable(err) || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), publishtest.Password) {
				t.Fatalf("got %v, want %q", err, c.fails)
			}
		})
	}
}

func TestInternalAddressesAreRefusedUnlessAllowed(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	d, err := settings(dir).Compile()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Open(t.Context(), place.Link{Dialer: egress.Policy{}.Dialer(), Password: secret.New(publishtest.Password), Ledger: notes{}})
	if !errors.Is(err, fault.Forbidden) || !place.IsUnreachable(err) {
		t.Fatalf("got %v", err)
	}
}

func TestProbingTellsThatTheEntryAboveIsMissing(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	f := &fixture{t, settings(dir), notes{}}
	f.set.Certificates.DN = "mail={mail},ou=nowhere,dc=example,dc=org"
	_, s := f.open()
	if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "ou=nowhere,dc=example,dc=org") {
		t.Fatalf("got %v", err)
	}
}

func TestWhatTheDirectoryRefusesIsAboutTheOneEntry(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	o := object(t, ca.Leaf(t, 1, "fourth@example.org", publishtest.Subject("Fourth Person")))
	cases := []struct {
		name   string
		change func(*ldapdir.Settings)
		code   string
	}{
		{"no right to write", func(s *ldapdir.Settings) { s.Certificates.DN = "mail={mail},ou=closed,dc=example,dc=org" }, "(50)"},
		{"the entry above is missing", func(s *ldapdir.Settings) { s.Certificates.DN = "mail={mail},ou=nowhere,dc=example,dc=org" }, "(32)"},
		{"another directory's name", func(s *ldapdir.Settings) { s.Certificates.DN = "mail={mail},dc=example,dc=com" }, "(53)"},
		{"an attribute that is not known", func(s *ldapdir.Settings) { s.Certificates.DN = "nonsense={mail},ou=people,dc=example,dc=org" }, "(34)"},
		{"a class that is not known", func(s *ldapdir.Settings) { s.Certificates.ObjectClasses = []string{"nonsense"} }, "(21)"},
		{"a class that asks for more", func(s *ldapdir.Settings) { s.Certificates.Attributes = nil }, "(65)"},
		{"no way to make the entry", func(s *ldapdir.Settings) { s.Certificates = ldapdir.Entry{DN: s.Certificates.DN} }, "does not exist"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{t, settings(dir), notes{}}
			c.change(&f.set)
			d, s := f.open()
			at, err := d.Place(o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Put(t.Context(), at, o)
			if err == nil || place.IsUnreachable(err) || !strings.Contains(err.Error(), c.code) {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if len(f.notes) != 0 {
				t.Fatal("an entry that was not made is remembered")
			}
		})
	}
}
