package external_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external"
	"github.com/sealwright/sealwright/internal/external/opensslca"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// A63, A67: certificates that expire in some days, the soonest first, page by page.
func TestListsGoByEndOrByImportPageByPage(t *testing.T) {
	l := servers(t)
	var files [][]byte
	ends := []int{50, 10, 30, 10, -5, 400, 20}
	for i, end := range ends {
		files = append(files, leaf(l, numbered(i), "DNS:"+numbered(i)+".example.com", end))
	}
	south := leaf(l, "south", "DNS:south.example.com", 15)
	weak := l.Issue(opensslca.Request{File: "weak", Issuer: "sub", Names: "DNS:weak.example.com", To: noon.Add(days(500)), Options: "-md sha1"})
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, pem := range files {
			f.take(pem, external.Fields{})
		}
		_, err := f.Import(t.Context(), system, external.File{Client: f.south.ID, Data: slices.Concat(south, weak)})
		f.must(err)
		host := func(n ...int) (out []string) {
			for _, n := range n {
				out = append(out, numbered(n)+".example.com")
			}
			return out
		}
		s := "south.example.com"
		byEnd := slices.Concat(host(4, 1, 3), []string{s}, host(6, 2, 0, 5), []string{"weak"})
		for _, size := range []int{1, 2, 3, 8, 9, 50} {
			f.equal("by end", f.titles(system, external.Filter{}, size), byEnd)
		}
		north, all := []string{f.north.ID}, []string{f.north.ID, f.south.ID}
		f.equal("newest", f.titles(system, external.Filter{Newest: true, Clients: north}, 3), host(6, 5, 4, 3, 2, 1, 0))
		f.equal("of a client", f.titles(system, external.Filter{Clients: []string{f.south.ID}}, 1), []string{s, "weak"})
		f.equal("of both", f.titles(system, external.Filter{Clients: all}, 4), byEnd)
		f.equal("of a realm", f.titles(system, external.Filter{Realm: access.Preprod}, 4), []string{})
		f.equal("expiring within 30 days", f.titles(system, external.Filter{EndFrom: noon, EndBy: noon.Add(days(30))}, 2), slices.Concat(host(1, 3), []string{s}, host(6)))
		f.equal("with notes", f.titles(system, external.Filter{Noted: true}, 2), []string{"weak"})
		f.equal("what an operator sees", f.titles(f.scope(access.RoleRAOperator, realm, f.south.ID), external.Filter{}, 1), []string{s, "weak"})
		_, _, err = f.List(t.Context(), system, external.Filter{}, store.Page{Cursor: "?"})
		f.want(err, fault.Invalid, "page.cursor")
	})
}

// A64: a certificate is found by its serial number however that is written, by its
// fingerprints and by any part of its names.
func TestCertificatesAreFoundByAllThatPeopleKnowOfThem(t *testing.T) {
	l := servers(t)
	www := l.Issue(opensslca.Request{File: "www", Issuer: "sub", Subject: "/O=Sørensen og Co/CN=www.shop.example.com", Names: "DNS:www.shop.example.com,DNS:*.cdn.example.net,IP:192.0.2.7", Serial: "00A1B2C3D4E5F60718"})
	small := l.Issue(opensslca.Request{File: "small", Issuer: "sub", Names: "DNS:beef.example.org", Serial: "1234"})
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		c := f.take(www, external.Fields{})
		f.take(small, external.Fields{})
		spaced := func(hex string) string {
			var b strings.Builder
			for i := 0; i < len(hex); i += 2 {
				b.WriteString(hex[i:i+2] + ":")
			}
			return strings.TrimSuffix(strings.ToUpper(b.String()), ":")
		}
		const title = "www.shop.example.com"
		for search, want := range map[string]string{
			"": "small," + title, "*": "small," + title, c.ID: title,
			"a1b2c3d4e5f60718": title, "A1:B2:C3:D4:E5:F6:07:18": title, "00 a1 b2 c3 d4 e5 f6 07 18": title, "0xA1B2C3D4E5F60718": title, "11651590505119483672": title,
			"a1-b2-c3-d4-e5-f6-07-18": title, "a1b2c3d4e5f6071": "", "1234": "small", "0x1234": "small", "4660": "small", "12:34": "small", "-1234": "",
			c.SHA1: title, spaced(c.SHA1): title, c.SHA256: title, spaced(c.SHA256): title, c.SHA256[:63]: "",
			"www.shop.example.com": title, "WWW.Shop": title, "shop.example.com": title, "example.com": title, "exam": "small," + title, "exam*": "small," + title,
			"*.cdn.example.net": title, "cdn.example.net": title, "192.0.2.7": title, "192.0": title, "sørensen": title, "SØRENSEN OG": title, "beef": "small",
			"hop.example": "", "%": "", "_": "", "com": "", "nothing": "", strings.Repeat("x", 5000): "", "\x00\xff": "",
		} {
			got := f.titles(system, external.Filter{Search: search}, 5)
			slices.Sort(got)
			if got := strings.Join(got, ","); got != want {
				t.Errorf("%q finds %q, want %q", search, got, want)
			}
		}
		f.equal("of another client", f.titles(system, external.Filter{Search: "example", Clients: []string{f.south.ID}}, 5), []string{})
		f.equal("by a stranger", f.titles(f.scope(access.RoleRAOperator, realm, f.south.ID), external.Filter{Search: c.SHA256}, 5), []string{})
	})
}

func TestACertificateKnowsItsSuccessor(t *testing.T) {
	l := servers(t)
	first, second, third := leaf(l, "www", "DNS:www.example.com,DNS:example.com", 20), leaf(l, "w2", "DNS:EXAMPLE.com,DNS:www.example.com", 100), leaf(l, "w3", "DNS:example.com,DNS:www.example.com", 300)
	fewer := leaf(l, "w4", "DNS:www.example.com", 500)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		one := f.take(first, external.Fields{})
		f.take(fewer, external.Fields{})
		_, err := f.Import(t.Context(), system, external.File{Client: f.south.ID, Data: third})
		f.must(err)
		if got := f.reload(one).Successor; got != "" {
			t.Errorf("other names, or another client: %q", got)
		}
		two := f.take(second, external.Fields{})
		three := f.take(third, external.Fields{})
		if got := f.reload(one).Successor; got != three.ID {
			t.Errorf("of the first: %q", got)
		}
		if got := f.reload(two).Successor; got != three.ID {
			t.Errorf("of the second: %q", got)
		}
		if got := f.reload(three).Successor; got != "" {
			t.Errorf("of the last: %q", got)
		}
	})
}
