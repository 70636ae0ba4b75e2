package domainval_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/platform/fault"
)

func TestNamesAreBroughtToOneForm(t *testing.T) {
	for in, want := range map[string][2]string{
		"WWW.Site.DK.":        {"www.site.dk", "www.site.dk"},
		" *.site.dk ":         {"*.site.dk", "*.site.dk"},
		"déjà.vu.com":         {"xn--dj-kia8a.vu.com", "déjà.vu.com"}, // the contract's example
		"DÉJÀ.vu.com":         {"xn--dj-kia8a.vu.com", "déjà.vu.com"},
		"xn--dj-kia8a.VU.com": {"xn--dj-kia8a.vu.com", "déjà.vu.com"},
		"*.bücher.ch":         {"*.xn--bcher-kva.ch", "*.bücher.ch"},
		"straße.de":           {"xn--strae-oqa.de", "straße.de"},
		"localhost":           {"localhost", "localhost"},
		"192.0.2.1":           {"192.0.2.1", "192.0.2.1"},
		"[2001:DB8::1]":       {"2001:db8::1", "2001:db8::1"},
		"::ffff:192.0.2.1":    {"192.0.2.1", "192.0.2.1"},
	} {
		n, err := domainval.ParseName(in)
		if err != nil || n.String() != want[0] || n.Unicode() != want[1] {
			t.Errorf("%q: %q %q, %v", in, n, n.Unicode(), err)
		}
	}
	for _, in := range []string{"", ".", "*", "*.", "*.*.site.dk", "a.*.site.dk", "a..site.dk", "-a.site.dk", "a_b.site.dk", "ab--c.site.dk", "xn--zz.dk", "a b.dk", "site.dk/x", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", strings.Repeat("a", 64) + ".dk", strings.Repeat("abcd.", 60) + "dk", "\x00.dk", "0\xa90.dk"} {
		if n, err := domainval.ParseName(in); err == nil {
			t.Errorf("%q was read as %q", in, n)
		} else if f := fault.Of(err); f.Code != "domain.malformed" || f.Field != "domain" {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// Rules 7 and 17: public suffixes and what is above, reverse zones, internal and
// reserved names.
func TestWhatPublicTrustRefuses(t *testing.T) {
	for in, code := range map[string]string{
		"site.dk": "", "www.site.co.uk": "", "*.site.dk": "", "9.9.9.9": "", "2620:fe::fe": "",
		"dk": "domain.suffix", "co.uk": "domain.suffix", "*.co.uk": "domain.suffix", "com": "domain.suffix",
		"github.io": "", "x.github.io": "", "*.github.io": "", // of the private part of the list
		"foo.ck": "domain.suffix", "www.ck": "", // a rule with a wildcard and its exception
		"localhost": "domain.internal", "printer": "domain.internal", "a.corp": "domain.internal", "a.internal": "domain.internal", "a.local": "domain.internal",
		"a.test": "domain.internal", "a.invalid": "domain.internal", "x.onion": "domain.internal", "router.home.arpa": "domain.internal", "*.local": "domain.internal",
		"1.2.0.192.in-addr.arpa": "domain.reverse", "b.a.ip6.arpa": "domain.reverse",
		"10.0.0.1": "domain.address", "127.0.0.1": "domain.address", "fd00::1": "domain.address", "169.254.169.254": "domain.address",
	} {
		n, err := domainval.ParseName(in)
		if err != nil {
			t.Fatal(in, err)
		}
		err = n.CheckPublic()
		if code == "" && err != nil || code != "" && (err == nil || fault.Of(err).Code != code) {
			t.Errorf("%s: %v, want %q", in, err, code)
		}
	}
}

func TestAuthoritiesEndAtTheBaseDomain(t *testing.T) {
	for in, want := range map[string]string{
		"a.b.site.co.uk":                      "a.b.site.co.uk b.site.co.uk site.co.uk",
		"*.a.site.dk":                         "a.site.dk site.dk",
		"site.dk":                             "site.dk",
		"x.y.github.io":                       "x.y.github.io y.github.io github.io",
		"printer.corp":                        "printer.corp corp",
		"192.0.2.1":                           "192.0.2.1",
		"a.b.c.d.e.f.g.h.i.j.k.l.m.n.site.dk": "a.b.c.d.e.f.g.h.i.j.k.l.m.n.site.dk e.f.g.h.i.j.k.l.m.n.site.dk f.g.h.i.j.k.l.m.n.site.dk g.h.i.j.k.l.m.n.site.dk h.i.j.k.l.m.n.site.dk i.j.k.l.m.n.site.dk j.k.l.m.n.site.dk k.l.m.n.site.dk l.m.n.site.dk m.n.site.dk n.site.dk site.dk",
	} {
		n, err := domainval.ParseName(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(n.Authorities(), " "); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// Whatever is read as a name is in the form that the certificate and the DNS want,
// and reading it again gives the same.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"déjà.vu.com", "*.site.dk", "xn--zz", "192.0.2.1", "[::1]", "a\u200db.dk", "ﬀ.dk", "１.dk"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := domainval.ParseName(s)
		if err != nil {
			return
		}
		if again, err := domainval.ParseName(n.String()); err != nil || again != n {
			t.Fatalf("%q gave %+v and then %+v, %v", s, n, again, err)
		}
		if len(n.ASCII) > 253 || strings.Trim(n.ASCII, "abcdefghijklmnopqrstuvwxyz0123456789-.:") != "" {
			t.Fatalf("%q gave %q", s, n.ASCII)
		}
		_ = n.CheckPublic()
		if a := n.Authorities(); len(a) == 0 || len(a) > 12 || a[0] != n.ASCII || !slices.Contains(a, n.Base()) {
			t.Fatalf("%q has the authorities %q and the base %q", s, a, n.Base())
		}
	})
}
