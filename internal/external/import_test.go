package external_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/external/opensslca"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func outcomes(results []external.Result) (out []string) {
	for _, r := range results {
		out = append(out, string(r.Outcome))
	}
	return out
}

// A67: a file of many certificates is imported, and of each is said what became of it.
func TestAFileIsImportedWithAResultForEachCertificate(t *testing.T) {
	l := servers(t)
	l.Issue(opensslca.Request{File: "lone", CA: true})
	www := leaf(l, "www", "DNS:www.example.com", 90)
	file := slices.Concat(www, l.Read("sub.pem"), leaf(l, "api", "DNS:api.example.com", 20), l.Read("root.pem"), l.Read("api.csr"), www, l.Read("lone.pem"),
		leaf(l, "old", "DNS:old.example.com", -3), leaf(l, "soon", "DNS:soon.example.com", 0))
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		operator := f.scope(access.RoleRAOperator, realm, f.north.ID)
		in := external.File{Client: f.north.ID, Data: file, Fields: external.Fields{Owner: " Operations ", Comment: "line one\nline two", Recipients: []string{"ops@example.org", " OPS@example.org", ""}}}
		results, err := f.Import(t.Context(), operator, in)
		f.must(err)
		f.equal("outcomes", outcomes(results), []string{"imported", "chain", "imported", "chain", "refused", "duplicate", "refused", "imported", "imported"})
		for place, part := range map[int]string{0: "", 2: "expires in 20 days", 4: "certificate request", 5: "twice", 6: "authority that issued none", 7: "expired on 18 November 2026", 8: "0 hours, too soon"} {
			if got := results[place].Text; !strings.Contains(got, part) || part == "" && got != "" {
				t.Errorf("place %d: %q", place, got)
			}
		}
		if c := results[1].Certificate; c == nil || c.ID != "" || c.CommonName != "Other Issuing" || results[4].Certificate != nil {
			t.Errorf("%+v %+v", results[1], results[4])
		}
		c, err := f.Get(t.Context(), operator, results[0].Certificate.ID)
		f.must(err)
		if c.Client != f.north.ID || c.Realm != realm || c.Title() != "www.example.com" || c.Issuer != "CN=Other Issuing,O=Other,C=DE" || c.Key() != "P-256" ||
			c.Owner != "Operations" || c.Comment != "line one\nline two" || !slices.Equal(c.Recipients, []string{"ops@example.org"}) ||
			!c.NotAfter.Equal(noon.Add(days(90))) || !c.Created.Equal(noon) || c.CreatorName != operator.Principal().Name || c.Version != 1 || !c.Check.Due.IsZero() {
			t.Errorf("%+v", c)
		}
		f.equal("acts", f.acts("certificate", "chain"), []string{
			"import certificate=www.example.com chain=2", "import certificate=api.example.com chain=2", "import certificate=old.example.com chain=2", "import certificate=soon.example.com chain=2",
		})

		again, err := f.Import(t.Context(), operator, in)
		f.must(err)
		f.equal("again", outcomes(again), []string{"duplicate", "chain", "duplicate", "chain", "refused", "duplicate", "refused", "duplicate", "duplicate"})
		if again[0].Certificate.ID != c.ID || len(f.acts()) != 4 || f.count("external_certificates") != 4 {
			t.Errorf("%+v, %q", again[0], f.acts())
		}
		other, err := f.Import(t.Context(), system, external.File{Client: f.south.ID, Data: www})
		f.must(err)
		f.equal("for another client", outcomes(other), []string{"imported"})

		in.Authorities = true
		all, err := f.Import(t.Context(), operator, in)
		f.must(err)
		f.equal("with authorities", outcomes(all), []string{"duplicate", "imported", "duplicate", "imported", "refused", "duplicate", "imported", "duplicate", "duplicate"})
	})
}

// A69: the certificate can be fetched with those above it.
func TestACertificateIsDownloadedWithItsChain(t *testing.T) {
	l := servers(t)
	file := slices.Concat(l.Read("root.pem"), leaf(l, "www", "DNS:www.example.com", 90), l.Read("sub.pem"))
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		results, err := f.Import(t.Context(), system, external.File{Client: f.north.ID, Data: file})
		f.must(err)
		id := results[1].Certificate.ID
		ders, err := f.Download(t.Context(), f.scope(access.RoleOrdererSelf, realm, f.north.ID), id)
		f.must(err)
		if len(ders) != 3 || !bytes.Equal(ders[0], l.DER("www")) || !bytes.Equal(ders[1], l.DER("sub")) || !bytes.Equal(ders[2], l.DER("root")) {
			t.Fatalf("%d certificates", len(ders))
		}
		if _, err := x509.ParseCertificate(ders[0]); err != nil {
			t.Error(err)
		}
		_, err = f.Download(t.Context(), f.scope(access.RoleAuditor, realm, f.north.ID), id)
		f.want(err, fault.Forbidden, "access.forbidden")
		f.must(f.Delete(t.Context(), system, id))
		_, err = f.Download(t.Context(), system, id)
		f.want(err, fault.NotFound, "access.not_found")
		if f.count("external_ders")+f.count("external_names")+f.count("external_certificates") != 0 {
			t.Error("something of the certificate is left")
		}
		f.equal("acts", f.acts(), []string{"import", "delete"})
	})
}

func TestFilesAndFieldsThatWillNotDoImportNothing(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 90)
	two := slices.Concat(www, leaf(l, "api", "DNS:api.example.com", 90))
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	cases := []struct {
		name, code string
		data       []byte
		fields     external.Fields
	}{
		{"a private key", "external.private_key", slices.Concat(www, l.Read("www.key")), external.Fields{}},
		{"no certificate", "external.form", []byte("hello"), external.Fields{}},
		{"an address that is none", "email.malformed", www, external.Fields{Recipients: []string{"ops"}}},
		{"too many recipients", "external.recipients", www, external.Fields{Recipients: strings.Fields(many(21))}},
		{"a long owner", "external.owner", www, external.Fields{Owner: strings.Repeat("x", 201)}},
		{"an owner of two lines", "external.owner", www, external.Fields{Owner: "a\nb"}},
		{"a long comment", "external.comment", www, external.Fields{Comment: strings.Repeat("x", 10_001)}},
		{"a server that is none", "external.address", www, external.Fields{Address: "not a host"}},
		{"one server for two certificates", "external.address", two, external.Fields{Address: "www.example.com"}},
	}
	for _, c := range cases {
		_, err := f.Import(t.Context(), system, external.File{Client: f.north.ID, Data: c.data, Fields: c.fields})
		if err == nil || fault.Of(err).Code != c.code || fault.Of(err).Field == "" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	_, err := f.Import(t.Context(), system, external.File{Client: "cli-none", Data: www})
	f.want(err, fault.NotFound, "access.not_found")
	f.must(f.dir.CloseClient(t.Context(), system, f.south.ID))
	_, err = f.Import(t.Context(), system, external.File{Client: f.south.ID, Data: www})
	f.want(err, fault.Conflict, "client.closed")
	if n := f.count("external_certificates"); n != 0 || len(f.acts()) != 0 {
		t.Errorf("%d certificates", n)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(numbered(i) + "@example.org ")
	}
	return b.String()
}

// Whoever has no right in a client learns nothing of its certificates.
func TestTenantsAreKeptApart(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 90)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c := f.take(www, external.Fields{Address: "127.0.0.1:1"})
		ctx, file := t.Context(), external.File{Client: f.north.ID, Data: www}
		acts := func(s access.Scope) map[string]error {
			_, get := f.Get(ctx, s, c.ID)
			_, download := f.Download(ctx, s, c.ID)
			_, imported := f.Import(ctx, s, file)
			_, from := f.ImportFrom(ctx, s, f.north.ID, external.Fields{Address: "127.0.0.1:1"})
			_, change := f.Change(ctx, s, c.ID, 1, external.Fields{})
			_, probe := f.Probe(ctx, s, c.ID)
			_, adopt := f.Adopt(ctx, s, c.ID)
			return map[string]error{"get": get, "download": download, "import": imported, "import from": from, "change": change, "probe": probe, "adopt": adopt, "delete": f.Delete(ctx, s, c.ID)}
		}
		stranger := f.scope(access.RoleClientAdmin, realm, f.south.ID)
		for name, err := range acts(stranger) {
			if !errors.Is(err, fault.NotFound) {
				t.Errorf("a stranger, %s: %v", name, err)
			}
		}
		auditor := f.scope(access.RoleAuditor, realm, f.north.ID)
		for name, err := range acts(auditor) {
			if ok := name == "get"; ok && err != nil || !ok && !errors.Is(err, fault.Forbidden) {
				t.Errorf("an auditor, %s: %v", name, err)
			}
		}
		for name, err := range acts(access.Scope{}) {
			if err == nil {
				t.Errorf("nobody: %s", name)
			}
		}
		f.equal("a stranger's list", f.titles(stranger, external.Filter{Clients: []string{f.north.ID}}, 10), []string{})
		f.equal("an auditor's list", f.titles(auditor, external.Filter{}, 10), []string{"www.example.com"})
		f.equal("acts", f.acts(), []string{"import"})
	})
}

func TestFieldsAreChangedByOneAtATime(t *testing.T) {
	l := servers(t)
	www := leaf(l, "www", "DNS:www.example.com", 90)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c := f.take(www, external.Fields{Owner: "before"})
		f.clock.Advance(time.Hour)
		annotator, err := f.dir.CreateRole(t.Context(), system, access.RoleFields{Name: "Notes", Permissions: []access.Permission{access.CertificateSearch, access.CertificateAnnotate}})
		f.must(err)
		s := f.scope(annotator.ID, realm, f.north.ID)
		fields := external.Fields{Owner: "after", Comment: "why", Recipients: []string{"a@example.org"}}
		changed, err := f.Change(t.Context(), s, c.ID, c.Version, fields)
		f.must(err)
		if changed.Owner != "after" || changed.Comment != "why" || !slices.Equal(changed.Recipients, fields.Recipients) || changed.Version != 2 || !changed.Updated.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v", changed)
		}
		_, err = f.Change(t.Context(), s, c.ID, c.Version, external.Fields{})
		f.want(err, fault.Conflict, "external.changed")
		fields.Address = "https://WWW.example.com./path"
		_, err = f.Change(t.Context(), s, c.ID, 2, fields) // looking at servers needs more
		f.want(err, fault.Forbidden, "access.forbidden")
		changed, err = f.Change(t.Context(), system, c.ID, 2, fields)
		f.must(err)
		if changed.Address != "www.example.com:443" || changed.Check.Due.IsZero() {
			t.Errorf("%+v", changed)
		}
		fields.Address = ""
		changed, err = f.Change(t.Context(), system, c.ID, 3, fields)
		f.must(err)
		if changed.Address != "" || !changed.Check.Due.IsZero() {
			t.Errorf("%+v", changed)
		}
		f.equal("acts", f.acts("owner", "recipients", "address", "comment"), []string{
			"import owner=before", `change owner="before" → "after" recipients="" → "a@example.org" comment=changed`,
			`change address="" → "www.example.com:443"`, `change address="www.example.com:443" → ""`,
		})
	})
}

func TestAddressesOfServersAreBroughtToOneForm(t *testing.T) {
	l := servers(t)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	c := f.take(leaf(l, "www", "DNS:www.example.com", 90), external.Fields{})
	for text, want := range map[string]string{
		"www.Example.com": "www.example.com:443", "www.example.com:8443": "www.example.com:8443", " localhost ": "localhost:443", "192.0.2.1": "192.0.2.1:443",
		"192.0.2.1:25": "192.0.2.1:25", "2001:DB8::1": "[2001:db8::1]:443", "[2001:db8::1]": "[2001:db8::1]:443", "[2001:db8::1]:8443": "[2001:db8::1]:8443",
		"https://a.example:444/x?y": "a.example:444", "https://[2001:db8::1]/": "[2001:db8::1]:443", "xn--bcher-kva.example": "xn--bcher-kva.example:443",
		"www.example.com:0": "!", "www.example.com:65536": "!", "www.example.com:x": "!", "a b": "!", "a..b": "!", "http://a.example": "!", "user@a.example": "!",
		"bücher.example": "!", "fe80::1%eth0": "!", ":443": "!", "/etc/passwd": "!", strings.Repeat("a.", 130) + "example": "!",
	} {
		got, err := f.Change(t.Context(), system, c.ID, c.Version, external.Fields{Address: text})
		switch {
		case want == "!":
			if err == nil || fault.Of(err).Code != "external.address" {
				t.Errorf("%q: %v", text, err)
			}
		case err != nil || got.Address != want:
			t.Errorf("%q: %v %v", text, got, err)
		}
		if err == nil {
			c = got
		}
	}
}
