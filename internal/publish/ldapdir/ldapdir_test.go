package ldapdir_test

import (
	"context"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/ldapdir"
	"github.com/sealwright/sealwright/internal/publish/place"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
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
	o := object(t, ca.Leaf(t, 7, "second@example.org", publishtest.Subject("Second Person")))
	entry := "mail=second@example.org," + publishtest.People
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
	entry := "mail=first@example.org," + publishtest.People
	first, second := object(t, ca.Leaf(t, 1, "first@example.org", publishtest.Subject("First Person"))), object(t, ca.Leaf(t, 2, "first@example.org", publishtest.Subject("First Person")))
	at, _ := f.put(first)
	f.put(second)
	f.remove(at, first)
	if dir.Holds(entry, attribute, first.DER) || !dir.Holds(entry, attribute, second.DER) {
		t.Fatal("the wrong value went")
	}
	f.remove(at, second)
	if values, exists := dir.Certificates(entry, attribute); !exists || len(values) != 0 {
		t.Fatalf("exists %v, %d values", exists, len(values))
	}

	// Entries of our own: the last certificate takes the entry along, whichever made it.
	third := "mail=third@example.org," + publishtest.People
	first, second = object(t, ca.Leaf(t, 3, "third@example.org", publishtest.Subject("Third Person"))), object(t, ca.Leaf(t, 4, "third@example.org", publishtest.Subject("Third Person")))
	at, _ = f.put(first)
	f.put(second)
	f.remove(at, first)
	if !dir.Holds(third, attribute, second.DER) {
		t.Fatal("the entry went while it held another certificate")
	}
	f.remove(at, second)
	if _, exists := dir.Certificates(third, attribute); exists {
		t.Fatal("the empty entry stayed")
	}

	// Somebody adds a telephone number: from then on it is their entry too.
	f.put(first)
	dir.Modify("dn: " + third + "\nchangetype: modify\nadd: telephoneNumber\ntelephoneNumber: +45 12345678\n")
	f.remove(at, first)
	if values, exists := dir.Certificates(third, attribute); !exists || len(values) != 0 {
		t.Fatalf("exists %v, %d values", exists, len(values))
	}
}

func TestReplaceLeavesOneValueAndRemovesOnlyItsOwn(t *testing.T) {
	dir, ca := publishtest.StartDirectory(t), publishtest.NewCA(t, "Issuer")
	f := &fixture{t, settings(dir), notes{}}
	f.set.Mode = ldapdir.Replace
	entry := "mail=first@example.org," + publishtest.People
	first, second := object(t, ca.Leaf(t, 1, "first@example.org", publishtest.Subject("First Person"))), object(t, ca.Leaf(t, 2, "first@example.org", publishtest.Subject("First Person")))
	at, _ := f.put(first)
	f.put(second)
	if values, _ := dir.Certificates(entry, attribute); len(values) != 1 || values[0] != string(second.DER) {
		t.Fatalf("%d values", len(values))
	}
	f.remove(at, first)
	if !dir.Holds(entry, attribute, second.DER) {
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
		`Plain Name`, `O'Clock, "The Best"`, `A + B; C`, `#hash first`, ` space both ends `, `back\slash`, `<angle> = equals`, `Zürich Ærø-Øst`,
		`日本語 🔏`, `x,dc=evil`, `x\,ou=closed`, `*)(objectClass=*`, `uid=admin+cn=root`, "per cent %2C", `"quoted"`, `trailing\`, `,`, `#`, `+`,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t, f.set, notes{}}
			o := object(t, ca.Leaf(t, int64(1000+i), "", publishtest.Subject(name)))
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
