package domainval_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/domainval"
	"github.com/sealwright/sealwright/internal/domainval/perspective"
	"github.com/sealwright/sealwright/internal/platform/egress"
	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// realDesk opens a desk whose primary perspective resolves from a root of BIND's with
// signed and broken zones, and fetches from a web server on loopback.
func realDesk(t *testing.T, settings func(*domainval.Settings)) (*fixture, *resolvertest.Tree, *http.ServeMux) {
	t.Helper()
	servfail := func(w dns.ResponseWriter, r *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeServerFailure))
	}
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: "dk.", Sign: resolvertest.ECDSA, NSEC3: true},
		resolvertest.Zone{Name: "signed.dk.", Sign: resolvertest.ECDSA, Records: "www A 127.0.0.1\n@ CAA 0 issue \"ca.site.dk\""},
		resolvertest.Zone{Name: "plain.dk.", Records: "www A 127.0.0.1\n@ CAA 0 issue \"ca.other.dk\""},
		resolvertest.Zone{Name: "broken.dk.", Sign: resolvertest.ECDSA, Records: "@ CAA 0 issue \"ca.site.dk\"\n@ TXT \"x\"", NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)},
		resolvertest.Zone{Name: "down.dk.", Serve: servfail},
		resolvertest.Zone{Name: "signeddown.dk.", Sign: resolvertest.ECDSA, Serve: servfail},
	)
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)), func(o *domainval.Options) {
		o.Primary = &perspective.Local{
			At:       places[0],
			Resolver: resolver.New(resolver.Options{Hints: tree.Hints, Anchors: tree.Anchors, Port: tree.Port, Allow: tree.Allow, Clock: o.Clock}),
			Egress:   egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, PlainHTTP: true},
			HTTPPort: uint16(n),
		}
		if settings != nil {
			settings(&o.Settings)
		}
	})
	return f, tree, mux
}

// Rules 4, 5, 8: a value in a signed zone, in an unsigned one, and
// in a zone whose signatures do not hold.
func TestControlIsShownThroughTheRealDNS(t *testing.T) {
	f, tree, _ := realDesk(t, nil)
	state := func(v domainval.Validation, want string) domainval.Validation {
		t.Helper()
		if v = f.look(v); v.State != want {
			t.Fatalf("%s is %s: %s", v.Name, v.State, v.Result)
		}
		return v
	}
	order := func(id, name string) domainval.Validation { return f.order(id, true, name).Validations[0] }

	v := state(order("ord-1", "www.signed.dk"), domainval.Pending)
	tree.Update(t, "signed.dk.", "www A 127.0.0.1\n_pki-validation TXT \""+v.Value+"\"")
	state(v, domainval.Valid)
	list, err := f.desk.EvidenceOfOrder(f.db.View(t.Context()), "ord-1")
	f.check(err)
	e := list[len(list)-1]
	if l := e.Detail.Seen[0].Lookups[0]; e.Name != "signed.dk" || !l.Secure || len(l.Servers) == 0 || e.Detail.Found != "_pki-validation.signed.dk" {
		t.Errorf("%+v", e)
	}

	v = order("ord-2", "*.a.plain.dk")
	tree.Update(t, "plain.dk.", "@ TXT \"other\"\n@ TXT \"swiss-\" \""+strings.TrimPrefix(v.Value, "swiss-")+"\"")
	state(v, domainval.Valid)

	v = order("ord-3", "broken.dk")
	tree.Update(t, "broken.dk.", "@ TXT \""+v.Value+"\"")
	if v = state(v, domainval.Pending); !strings.Contains(v.Result, "The DNS gave no answer for broken.dk") {
		t.Errorf("a broken chain: %s", v.Result)
	}
	if v = state(order("ord-4", "www.down.dk"), domainval.Pending); !strings.Contains(v.Result, "gave no answer") {
		t.Errorf("SERVFAIL: %s", v.Result)
	}
}

// BR 3.2.2.4.18 over a socket: the name resolved by ourselves, the file from the
// web server, a redirect followed.
func TestControlIsShownByARealWebServer(t *testing.T) {
	f, _, mux := realDesk(t, nil)
	st, err := f.begin(domainval.Order{ID: "ord-1", Names: []string{"www.signed.dk"}, Methods: []domainval.Method{domainval.HTTPFile}, Public: true})
	f.check(err)
	v := f.look(st.Validations[0])
	if v.State != domainval.Pending || !strings.Contains(v.Result, "status 404") {
		t.Fatalf("%s: %s", v.State, v.Result)
	}
	in := f.desk.InstructionsFor(v)
	path := strings.TrimPrefix(in.FileURL, "http://www.signed.dk")
	mux.Handle(path, http.RedirectHandler("/elsewhere", http.StatusFound))
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(in.FileContent + "\n")) })
	if v = f.look(v); v.State != domainval.Valid {
		t.Fatalf("%s: %s", v.State, v.Result)
	}
	list, err := f.desk.EvidenceOfOrder(f.db.View(t.Context()), "ord-1")
	f.check(err)
	if hops := list[len(list)-1].Detail.Seen[0].Fetch.Hops; len(hops) != 2 || hops[0].Address != "127.0.0.1" || hops[0].Status != 302 {
		t.Errorf("%+v", hops)
	}
}

// Rules 8 and 9: CAA in signed, unsigned, broken and failing zones; only a failing
// zone that is proven to be unsigned may be excused, and only if the setting says so.
func TestCAAThroughTheRealDNS(t *testing.T) {
	f, tree, _ := realDesk(t, nil)
	for name, want := range map[string]domainval.CAAOutcome{
		"www.signed.dk": domainval.CAAPermitted, "*.signed.dk": domainval.CAAPermitted, "www.plain.dk": domainval.CAARefused, "none.dk": domainval.CAAPermitted,
		"broken.dk": domainval.CAAUnknown, "www.down.dk": domainval.CAAUnknown, "www.signeddown.dk": domainval.CAAUnknown,
	} {
		r := f.caa("ord-1", true, name)
		if c := r.Results[0]; c.Outcome != want {
			t.Errorf("%s is %s: %s", name, c.Outcome, c.Why)
		}
		if c := r.Results[0]; name == "www.signed.dk" && (!c.Detail.Seen[0].Lookups[1].Secure || c.Detail.Decision.RelevantName != "signed.dk") {
			t.Errorf("%+v", c)
		}
	}
	tree.Update(t, "plain.dk.", `www CAA 128 future "x"`)
	if c := f.caa("ord-2", true, "www.plain.dk").Results[0]; c.Outcome != domainval.CAARefused || !strings.Contains(c.Why, "critical") {
		t.Errorf("%+v", c)
	}

	f, _, _ = realDesk(t, func(s *domainval.Settings) { s.PermitUnreachableCAA = true })
	for name, want := range map[string]bool{"www.down.dk": true, "www.signeddown.dk": false, "broken.dk": false} {
		if r := f.caa("ord-1", true, name); r.Allowed != want || r.Results[0].Detail.Exception != want {
			t.Errorf("%s: %+v", name, r.Results[0])
		}
	}
}
