package ldapdir

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/publish/fact"
)

func TestSettingsSayWhichFieldIsWrong(t *testing.T) {
	good := Settings{Host: "ldap.example.org", Certificates: Entry{DN: "mail={mail},dc=example"}}
	if _, err := good.Compile(); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, field string
		change      func(*Settings)
	}{
		{"no host", "host", func(s *Settings) { s.Host = "" }},
		{"a URL for a host", "host", func(s *Settings) { s.Host = "ldap://x" }},
		{"a host with a port", "host", func(s *Settings) { s.Host = "ldap.example.org:636" }},
		{"a port out of range", "port", func(s *Settings) { s.Port = 70000 }},
		{"another security", "security", func(s *Settings) { s.Security = "tls" }},
		{"roots that are none", "roots", func(s *Settings) { s.Roots = "hello" }},
		{"roots without TLS", "roots", func(s *Settings) { s.Security, s.Roots = Plain, "x" }},
		{"a server name that is none", "server_name", func(s *Settings) { s.ServerName = "a b" }},
		{"a bind DN that is none", "bind_dn", func(s *Settings) { s.BindDN = "admin" }},
		{"an attribute that is none", "attribute", func(s *Settings) { s.Attribute = "user certificate" }},
		{"the attribute for signed messages", "attribute", func(s *Settings) { s.Attribute = "userSMIMECertificate;binary" }},
		{"the class attribute", "attribute", func(s *Settings) { s.Attribute = "objectClass" }},
		{"another mode", "mode", func(s *Settings) { s.Mode = "append" }},
		{"a time-out without end", "timeout", func(s *Settings) { s.Timeout = 3600 }},
		{"a tiny size limit", "max_bytes", func(s *Settings) { s.MaxBytes = 10 }},
		{"no place for anything", "certificates.dn", func(s *Settings) { s.Certificates.DN = "" }},
		{"classes without a name", "authorities.dn", func(s *Settings) { s.Authorities.ObjectClasses = []string{"pkiCA"} }},
		{"a fact that nobody knows", "certificates.dn", func(s *Settings) { s.Certificates.DN = "cn={name},dc=example" }},
		{"a fact as an attribute's name", "certificates.dn", func(s *Settings) { s.Certificates.DN = "{cn}=x,dc=example" }},
		{"a name that is none", "certificates.dn", func(s *Settings) { s.Certificates.DN = "people" }},
		{"a brace without its partner", "certificates.dn", func(s *Settings) { s.Certificates.DN = "cn={cn,dc=example" }},
		{"an empty value", "certificates.dn", func(s *Settings) { s.Certificates.DN = "cn=,dc=example" }},
		{"attributes without classes", "certificates.object_classes", func(s *Settings) { s.Certificates.Attributes = map[string]string{"cn": "{cn}"} }},
		{"a class that is none", "certificates.object_classes", func(s *Settings) { s.Certificates.ObjectClasses = []string{"a b"} }},
		{"an auxiliary class that is none", "certificates.auxiliary", func(s *Settings) { s.Certificates.Auxiliary = "a;b" }},
		{"classes as an attribute", "certificates.attributes", func(s *Settings) {
			s.Certificates.ObjectClasses, s.Certificates.Attributes = []string{"person"}, map[string]string{"objectclass": "top"}
		}},
		{"an attribute with a bad template", "certificates.attributes", func(s *Settings) {
			s.Certificates.ObjectClasses, s.Certificates.Attributes = []string{"person"}, map[string]string{"sn": "{surname}"}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := good
			c.change(&s)
			_, err := s.Compile()
			if !errors.Is(err, fault.Invalid) || fault.Of(err).Field != "ldap."+c.field || fault.Of(err).Message == "" {
				t.Fatalf("got %v in field %q, want %q", err, fault.Of(err).Field, c.field)
			}
		})
	}
}

func TestTheFixedEndOfANameIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"mail={mail},ou=people,dc=example": "ou=people,dc=example", "cn=all,dc=example": "cn=all,dc=example",
		"cn={cn}": "", "cn={cn},o={o},c=DK": "c=DK", `cn={cn},ou=A\, B,c=DK`: `ou=A\2C B,c=DK`,
	} {
		n, err := parseName(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.fixed(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// FuzzName fills a value of any sort into a name and reads the name back with
// the library that servers' tools use: one value in, the same value out, and
// nothing else changed.
func FuzzName(f *testing.F) {
	for _, s := range []string{"First Person", "a,b", "a+b", "#a", " a ", `a\`, `"`, "=", "ø", "a\x00b", "\n"} {
		f.Add(s)
	}
	name, err := parseName("cn={cn}+uid=x{cn}y,ou=people,dc=example")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := name.fill(fact.Set{"cn": value})
		if err != nil {
			return
		}
		parsed, err := ldap.ParseDN(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(parsed.RDNs) != 3 || len(parsed.RDNs[0].Attributes) != 2 || parsed.RDNs[0].Attributes[0].Value != value ||
			parsed.RDNs[0].Attributes[1].Value != "x"+value+"y" || parsed.RDNs[1].Attributes[0].Value != "people" || parsed.RDNs[2].Attributes[0].Value != "example" {
			t.Fatalf("%q became %q", value, text)
		}
	})
}

// FuzzNameTemplate reads templates of any sort; what is accepted can be filled
// and read again.
func FuzzNameTemplate(f *testing.F) {
	for _, s := range []string{"mail={mail},ou=people,dc=example", "cn={cn|mail}+uid={{x}}", `cn=\2C{cn},dc=#04`, "1.2.3=x", "cn={field.a}"} {
		f.Add(s)
	}
	facts := fact.Set{}
	for _, n := range fact.Names() {
		facts[n] = "v,+" + n
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseName(text)
		if err != nil {
			return
		}
		filled, err := n.fill(facts)
		if err != nil {
			return // fields of the order are missing, or a value is too long
		}
		parsed, err := ldap.ParseDN(filled)
		if err != nil || len(parsed.RDNs) != len(n) {
			t.Fatalf("%q became %q: %v", text, filled, err)
		}
		if strings.ContainsAny(filled, "\n\x00") {
			t.Fatalf("%q holds a control character", filled)
		}
	})
}
