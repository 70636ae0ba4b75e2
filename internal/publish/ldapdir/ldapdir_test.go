package ldapdir_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
	"github.com/sealwright/sealwright/pki/dn"
)

const attribute = "userCertificate;binary"

// notes is a ledger in memory.
type notes map[string]map[string][]string

func (n notes) Made(_ context.Context, entry string) (map[string][]string, bool, error) {
	a, ok := n[strings.ToLower(entry)]
	return a, ok, nil
}

func (n notes) Note(_ context.Context, entry string, attributes map[string][]string) error {
	n[strings.ToLower(entry)] = maps.Clone(attributes)
	return nil
}

func (n notes) Forget(_ context.Context, entry string) error {
	delete(n, strings.ToLower(entry))
	return nil
}

func link(password string, l notes) place.Link {
	loopback := egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	return place.Link{Dialer: loopback.Dialer(), Password: secret.New(password), Ledger: l}
}

// people is a directory entry for each mail address, made when missing.
func people() ldapdir.Entry {
	return ldapdir.Entry{
		DN: "mail={mail|cn},ou=people,dc=example,dc=org", ObjectClasses: []string{"inetOrgPerson"},
		Attributes: map[string]string{"cn": "{cn}", "sn": "{sn|cn}"},
	}
}

func settings(d *publishtest.Directory) ldapdir.Settings {
	return ldapdir.Settings{Host: "localhost", Port: d.TLSPort, Roots: d.CA.PEM, BindDN: publishtest.BindDN, Timeout: 5, Certificates: people()}
}

type fixture struct {
	t     *testing.T
	set   ldapdir.Settings
	notes notes
}

func (f *fixture) open() (*ldapdir.Directory, place.Session) {
	f.t.Helper()
	d, err := f.set.Compile()
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := d.Open(f.t.Context(), link(publishtest.Password, f.notes))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(s.Close)
	return d, s
}

func object(t *testing.T, der []byte) place.Object {
	t.Helper()
	facts, err := fact.Of(der)
	if err != nil {
		t.Fatal(err)
	}
	return place.Object{Kind: place.Certificate, DER: der, Facts: facts}
}

func (f *fixture) put(o place.Object) (at string, changed bool) {
	f.t.Helper()
	d, s := f.open()
	at, err := d.Place(o)
	if err != nil {
		f.t.Fatal(err)
	}
	if changed, err = s.Put(f.t.Context(), at, o); err != nil {
		f.t.Fatal(err)
	}
	return at, changed
}

func (f *fixture) remove(at string, o place.Object) (changed bool) {
	f.t.Helper()
	_, s := f.open()
	changed, err := s.Remove(f.t.Context(), at, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return changed
}

// A19, A103: a certificate goes to the entry that its facts name; the entry is
// made when it is missing, and goes with the certificate. Each step may be
// repeated.
func TestACertificateComesAndGoesWithItsEntry(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	f := &fixture{t, settings(dir), notes{}}
	o := object(t, ca.Leaf(t, 7, "bent@example.org", publishtest.Subject("Bent Bentsen")))
	entry := "mail=bent@example.org," + publishtest.People
	at, changed := f.put(o)
	if !changed || at != attribute+" "+entry || !dir.Holds(entry, attribute, o.DER) {
		t.Fatalf("changed %v, at %q", changed, at)
	}
	if classes, _ := dir.Certificates(entry, "objectClass"); strings.Join(classes, " ") != "inetOrgPerson" {
		t.Fatalf("classes %q", classes)
	}
	if _, changed := f.put(o); changed {
		t.Fatal("a value that is there was reported as new")
	}
	if !f.remove(at, o) {
		t.Fatal("the removal was reported as nothing new")
	}
	if _, exists := dir.Certificates(entry, attribute); exists || len(f.notes) != 0 {
		t.Fatal("the entry that was made for the certificate is still there")
	}
	if f.remove(at, o) {
		t.Fatal("a value that is gone was reported as removed")
	}
}

// A103: an entry that others made, or added to, stays when the certificate goes.
func TestAnEntryThatOthersUseStays(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	f := &fixture{t, settings(dir), notes{}}
	anna := "mail=anna@example.org," + publishtest.People
	first, second := object(t, ca.Leaf(t, 1, "anna@example.org", publishtest.Subject("Anna"))), object(t, ca.Leaf(t, 2, "anna@example.org", publishtest.Subject("Anna")))
	at, _ := f.put(first)
	f.put(second)
	f.remove(at, first)
	if dir.Holds(anna, attribute, first.DER) || !dir.Holds(anna, attribute, second.DER) {
		t.Fatal("the wrong value went")
	}
	f.remove(at, second)
	if values, exists := dir.Certificates(anna, attribute); !exists || len(values) != 0 {
		t.Fatalf("exists %v, %d values", exists, len(values))
	}

	// Entries of our own: the last certificate takes the entry along, whichever made it.
	carl := "mail=carl@example.org," + publishtest.People
	first, second = object(t, ca.Leaf(t, 3, "carl@example.org", publishtest.Subject("Carl"))), object(t, ca.Leaf(t, 4, "carl@example.org", publishtest.Subject("Carl")))
	at, _ = f.put(first)
	f.put(second)
	f.remove(at, first)
	if !dir.Holds(carl, attribute, second.DER) {
		t.Fatal("the entry went while it held another certificate")
	}
	f.remove(at, second)
	if _, exists := dir.Certificates(carl, attribute); exists {
		t.Fatal("the empty entry stayed")
	}

	// Somebody adds a telephone number: from then on it is their entry too.
	f.put(first)
	dir.Modify("dn: " + carl + "\nchangetype: modify\nadd: telephoneNumber\ntelephoneNumber: +45 12345678\n")
	f.remove(at, first)
	if values, exists := dir.Certificates(carl, attribute); !exists || len(values) != 0 {
		t.Fatalf("exists %v, %d values", exists, len(values))
	}
}

func TestReplaceLeavesOneValueAndRemovesOnlyItsOwn(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	f := &fixture{t, settings(dir), notes{}}
	f.set.Mode = ldapdir.Replace
	anna := "mail=anna@example.org," + publishtest.People
	first, second := object(t, ca.Leaf(t, 1, "anna@example.org", publishtest.Subject("Anna"))), object(t, ca.Leaf(t, 2, "anna@example.org", publishtest.Subject("Anna")))
	at, _ := f.put(first)
	f.put(second)
	if values, _ := dir.Certificates(anna, attribute); len(values) != 1 || values[0] != string(second.DER) {
		t.Fatalf("%d values", len(values))
	}
	f.remove(at, first)
	if !dir.Holds(anna, attribute, second.DER) {
		t.Fatal("removing the older certificate took the newer one along")
	}
}

func TestAnEntryWithoutTheRightClassGetsTheAuxiliaryOne(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	f := &fixture{t, settings(dir), notes{}}
	device := "cn=printer," + publishtest.People
	dir.Modify("dn: " + device + "\nchangetype: add\nobjectClass: device\ncn: printer\n")
	o := object(t, ca.Leaf(t, 1, "", publishtest.Subject("printer")))
	f.set.Certificates = ldapdir.Entry{DN: "cn={cn},ou=people,dc=example,dc=org"}
	d, s := f.open()
	at, err := d.Place(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), at, o); err == nil || place.IsUnreachable(err) || !strings.Contains(err.Error(), "(65)") {
		t.Fatalf("without an auxiliary class: %v", err)
	}
	f.set.Certificates.Auxiliary = "pkiUser"
	f.put(o)
	if !dir.Holds(device, attribute, o.DER) {
		t.Fatal("the value is not there")
	}
}

// CA certificates and CRLs (RFC 4523, section 2.2 and 2.3): a new list takes
// the place of the old one.
func TestCACertificatesAndCRLsGoToTheAuthoritysEntry(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuing CA 1, \"Test\"")
	f := &fixture{t, settings(dir), notes{}}
	f.set.Authorities = ldapdir.Entry{DN: "cn={cn},ou=authorities,dc=example,dc=org", ObjectClasses: []string{"applicationProcess", "pkiCA"}}
	o := object(t, ca.DER)
	o.Kind = place.Authority
	at, _ := f.put(o)
	for n := range int64(2) {
		list := place.Object{Kind: place.CRL, DER: ca.CRL(t, n), Facts: o.Facts}
		f.put(list)
		found := dir.Find("ou=authorities,"+publishtest.Base, "(objectClass=pkiCA)", "certificateRevocationList;binary")
		for name, values := range found {
			if len(found) != 1 || len(values) != 1 || values[0] != string(list.DER) {
				t.Fatalf("%q holds %d lists", name, len(values))
			}
		}
	}
	for name, values := range dir.Find("ou=authorities,"+publishtest.Base, "(objectClass=pkiCA)", "cACertificate;binary") {
		if len(values) != 1 || values[0] != string(ca.DER) {
			t.Fatalf("%q holds %d CA certificates", name, len(values))
		}
	}
	f.remove(at, o)
}

// Names that are syntax to somebody reach exactly the entry that the template
// means: OpenLDAP and ldapsearch are the judges.
func TestOddNamesStayValues(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	f := &fixture{t, settings(dir), notes{}}
	f.set.Certificates = ldapdir.Entry{
		DN: "cn={cn}+employeeNumber={serial},ou=people,dc=example,dc=org", ObjectClasses: []string{"inetOrgPerson"},
		Attributes: map[string]string{"sn": "{cn}"},
	}
	for i, name := range []string{
		`Plain Name`, `O'Hara, "The Boss"`, `A + B; C`, `#hash first`, ` space both ends `, `back\slash`, `<angle> = equals`, `Zoë Müller-Øst`,
		`日本語 🔏`, `x,dc=evil`, `x\,ou=closed`, `*)(objectClass=*`, `uid=admin+cn=root`, "per\u0085cent %2C", `"quoted"`, `trailing\`, `,`, `#`, `+`,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t, f.set, notes{}}
			o := object(t, ca.Leaf(t, int64(1000+i), "", nameWithout85(name)))
			at, _ := f.put(o)
			found := dir.Find(publishtest.People, "(userCertificate;binary=*)", "cn")
			if len(found) != 1 {
				t.Fatalf("%d entries hold certificates: %q", len(found), found)
			}
			for entry, cn := range found {
				if !strings.HasSuffix(strings.ToLower(entry), publishtest.People) || len(cn) != 1 || cn[0] != o.Facts["cn"] {
					t.Fatalf("the entry %q has the name %q, want %q", entry, cn, o.Facts["cn"])
				}
			}
			f.remove(at, o)
			if found := dir.Find(publishtest.People, "(userCertificate;binary=*)", "cn"); len(found) != 0 {
				t.Fatalf("left behind: %q", found)
			}
		})
	}
}

// nameWithout85 drops a control character that the issuing side refuses.
func nameWithout85(cn string) dn.Name {
	return dn.Name{{Type: dn.CN, Value: strings.ReplaceAll(cn, "\u0085", "")}}
}

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
	o := object(t, ca.Leaf(t, 1, "dora@example.org", publishtest.Subject("Dora")))
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
