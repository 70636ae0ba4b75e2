package resolver_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

func lookup(t *testing.T, r *resolver.Resolver, name string, typ uint16) resolver.Answer {
	t.Helper()
	a, err := r.Lookup(t.Context(), name, typ)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnswersAreKeptForTheirTTL(t *testing.T) {
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA},
		resolvertest.Zone{Name: "zone.test.", Sign: resolvertest.ECDSA, TTL: 100, Records: `
			@    60     CAA 0 issue "old.example"
			long 604800 TXT "a week"
			via  40     CNAME www
			www  90     A 192.0.2.1`})
	fake := clock.NewFake(noon)
	r := with(tree, func(o *resolver.Options) { o.Clock = fake })

	if a := lookup(t, r, "zone.test", dns.TypeCAA); a.TTL != time.Minute {
		t.Errorf("the TTL is %s", a.TTL)
	}
	if a := lookup(t, r, "none.zone.test", dns.TypeCAA); a.TTL != 100*time.Second || a.Exists {
		t.Errorf("the denial is %+v", a)
	}
	if a := lookup(t, r, "long.zone.test", dns.TypeTXT); a.TTL != 8*time.Hour {
		t.Errorf("the TTL is %s", a.TTL)
	}
	if a := lookup(t, r, "via.zone.test", dns.TypeA); a.TTL != 40*time.Second || !slices.Equal(a.Aliases, []string{"via.zone.test."}) {
		t.Errorf("the alias gives %+v", a)
	}

	tree.Update(t, "zone.test.", "@ 60 CAA 0 issue \"new.example\"\nnone A 192.0.2.5")
	fake.Advance(59 * time.Second)
	a := lookup(t, r, "zone.test", dns.TypeCAA)
	if a.TTL != time.Second || !strings.Contains(a.Records[0].String(), "old.example") {
		t.Errorf("just before its end the answer is %+v", a)
	}
	a.Records[0].(*dns.CAA).Value = "spoilt.example"
	if a := lookup(t, r, "zone.test", dns.TypeCAA); !strings.Contains(a.Records[0].String(), "old.example") {
		t.Errorf("a caller changed the cache: %v", a.Records)
	}
	fresh, err := r.Fresh(t.Context(), "none.zone.test", dns.TypeA)
	if err != nil || len(fresh.Records) != 1 {
		t.Errorf("afresh: %+v, %v", fresh, err)
	}
	if a := lookup(t, r, "none.zone.test", dns.TypeCAA); a.TTL != 41*time.Second || a.Exists {
		t.Errorf("the denial is %+v", a)
	}
	fake.Advance(time.Second)
	if a := lookup(t, r, "zone.test", dns.TypeCAA); !strings.Contains(a.Records[0].String(), "new.example") {
		t.Errorf("after its end the answer is %+v", a)
	}
}

func TestSignaturesHoldForTheirTimeOnly(t *testing.T) {
	tree := resolvertest.Start(t, resolvertest.Zone{
		Name: "test.", Sign: resolvertest.ECDSA, Records: "www A 192.0.2.1",
		NotBefore: noon, NotAfter: noon.Add(time.Hour),
	})
	for at, ok := range map[time.Duration]bool{-time.Second: false, 0: true, time.Hour: true, time.Hour + time.Second: false} {
		fake := clock.NewFake(noon.Add(at))
		r := with(tree, func(o *resolver.Options) { o.Clock = fake })
		a, err := r.Lookup(t.Context(), "www.test", dns.TypeA)
		if ok && (err != nil || a.Security != resolver.Secure) {
			t.Errorf("after %s: %+v, %v", at, a, err)
		}
		if !ok && (err == nil || failure(t, err).Kind != resolver.Bogus) {
			t.Errorf("after %s: %+v, %v", at, a, err)
		}
	}
	fake := clock.NewFake(noon.Add(time.Hour - 10*time.Second))
	if a := lookup(t, with(tree, func(o *resolver.Options) { o.Clock = fake }), "www.test", dns.TypeA); a.TTL != 10*time.Second {
		t.Errorf("an answer outlives its signature: %s", a.TTL)
	}
}

// BR 3.2.2.8: a failure permits nothing where the chain of trust reaches.
func TestFailuresTellWhetherTheZoneIsSecure(t *testing.T) {
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA, Records: "to CNAME www.dead.test."},
		resolvertest.Zone{Name: "dead.test.", Only: true, Dead: 1},
		resolvertest.Zone{Name: "plain.test.", Records: "to CNAME www.dead.test."},
		resolvertest.Zone{Name: "other.test.", Sign: resolvertest.ECDSA},
		resolvertest.Zone{Name: "signed.test.", Sign: resolvertest.ECDSA, Only: true, With: "other.test.", NS: []string{"ns.dead.test."}},
		resolvertest.Zone{Name: "leaning.test.", Sign: resolvertest.ECDSA, Only: true, With: "other.test.", NS: []string{"ns.failing.test."}},
		resolvertest.Zone{Name: "unsigned.test.", Only: true, NS: []string{"ns.dead.test."}},
		resolvertest.Zone{Name: "failing.test.", Serve: rcode(dns.RcodeServerFailure)})
	r := with(tree, func(o *resolver.Options) { o.Timeout, o.Attempts = time.Second/4, 1 })
	for name, want := range map[string]resolver.Failure{
		"www.dead.test.":     {Kind: resolver.Timeout, Zone: "dead.test.", ZoneSecurity: resolver.Insecure},
		"www.failing.test.":  {Kind: resolver.ServFail, Zone: "failing.test.", ZoneSecurity: resolver.Insecure},
		"to.plain.test.":     {Kind: resolver.Timeout, Zone: "dead.test.", ZoneSecurity: resolver.Insecure},
		"to.test.":           {Kind: resolver.Timeout, Zone: "dead.test.", ZoneSecurity: resolver.Secure},
		"www.signed.test.":   {Kind: resolver.Timeout, Zone: "signed.test.", ZoneSecurity: resolver.Secure},
		"www.leaning.test.":  {Kind: resolver.ServFail, Zone: "leaning.test.", ZoneSecurity: resolver.Secure},
		"www.unsigned.test.": {Kind: resolver.Timeout, Zone: "unsigned.test.", ZoneSecurity: resolver.Insecure},
	} {
		_, err := r.Lookup(t.Context(), name, dns.TypeCAA)
		if got := failure(t, err); got.Kind != want.Kind || got.Zone != want.Zone || got.ZoneSecurity != want.ZoneSecurity {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnchors(t *testing.T) {
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA},
		resolvertest.Zone{Name: "island.test.", Sign: resolvertest.ECDSA, NoDS: true, Records: common},
		resolvertest.Zone{Name: "other.test.", Sign: resolvertest.ECDSA})
	anchored := func(ds ...*dns.DS) *resolver.Resolver {
		return with(tree, func(o *resolver.Options) { o.Anchors = ds })
	}
	moved := func(ds *dns.DS, to string) *dns.DS {
		c := *ds
		c.Hdr.Name = to
		return &c
	}
	island := tree.Anchor("island.test.")[0]

	if a := lookup(t, anchored(tree.Anchors[0], island), "www.island.test", dns.TypeA); a.Security != resolver.Secure {
		t.Errorf("with an anchor of its own an island is %s", a.Security)
	}
	if a := lookup(t, anchored(island), "www.island.test", dns.TypeA); a.Security != resolver.Secure {
		t.Errorf("below a root without an anchor an island is %s", a.Security)
	}
	if a := lookup(t, anchored(island), "other.test", dns.TypeSOA); a.Security != resolver.Insecure {
		t.Errorf("without an anchor above, a zone is %s", a.Security)
	}
	odd := moved(tree.Anchors[0], ".")
	odd.DigestType = dns.SHA1
	for title, r := range map[string]*resolver.Resolver{
		"another zone's key":        anchored(moved(tree.Anchor("other.test.")[0], ".")),
		"a digest out of use":       anchored(odd),
		"the internet's anchors":    with(tree, func(o *resolver.Options) { o.Anchors = nil }),
		"an anchor without its cut": anchored(tree.Anchors[0], moved(island, "www.island.test.")),
	} {
		_, err := r.Lookup(t.Context(), "www.island.test", dns.TypeA)
		if f := failure(t, err); f.Kind != resolver.Bogus {
			t.Errorf("%s: %v", title, f)
		}
	}
}

func TestServersOutsideThePublicInternetAreNotAsked(t *testing.T) {
	tree := resolvertest.Start(t, resolvertest.Zone{Name: "test."})
	_, err := with(tree, func(o *resolver.Options) { o.Allow = nil }).Lookup(t.Context(), "www.test", dns.TypeA)
	if f := failure(t, err); f.Kind != resolver.Lame {
		t.Errorf("failed otherwise: %v", f)
	}
}

func TestWhatIsNoQuestionIsRefused(t *testing.T) {
	r := resolver.New(resolver.Options{})
	for _, name := range []string{"", "..", "a..b", "bücher.example", "a b.example", strings.Repeat("a", 64) + ".example", strings.Repeat("abcdefg.", 40)} {
		_, err := r.Lookup(t.Context(), name, dns.TypeA)
		if f := failure(t, err); f.Kind != resolver.Malformed {
			t.Errorf("%q: %v", name, f)
		}
	}
	for _, typ := range []uint16{dns.TypeNone, dns.TypeANY, dns.TypeAXFR, dns.TypeRRSIG, dns.TypeNSEC3, dns.TypeOPT} {
		_, err := r.Lookup(t.Context(), "www.example", typ)
		if f := failure(t, err); f.Kind != resolver.Malformed {
			t.Errorf("%s: %v", dns.Type(typ), f)
		}
	}
}

func TestALookupEndsWithItsContext(t *testing.T) {
	tree := resolvertest.Start(t, resolvertest.Zone{Name: "test."})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := with(tree).Lookup(ctx, "www.test", dns.TypeA)
	if f := failure(t, err); f.Kind != resolver.Timeout {
		t.Errorf("failed otherwise: %v", f)
	}
}

// RFC 9156: servers above a zone do not learn the names in it.
func TestNamesAreRevealedLabelByLabel(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	spy := func(m *dns.Msg, _ bool) *dns.Msg {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.ToLower(m.Question[0].Name)+" "+dns.TypeToString[m.Question[0].Qtype])
		return m
	}
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: ".", Sign: resolvertest.ECDSA, Forge: spy},
		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA, Forge: spy},
		resolvertest.Zone{Name: "zone.test.", Sign: resolvertest.ECDSA, Records: common})
	mu.Lock()
	seen = nil // of the start
	mu.Unlock()
	r := with(tree)
	lookup(t, r, "a.b.ent.zone.test", dns.TypeA)
	lookup(t, r, "www.zone.test", dns.TypeA)
	want := []string{". DNSKEY", "test. NS", "test. DNSKEY", "zone.test. NS"}
	if !slices.Equal(seen, want) {
		t.Errorf("the servers saw %v", seen)
	}
}

func BenchmarkLookup(b *testing.B) {
	tree := resolvertest.Start(b,
		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA},
		resolvertest.Zone{Name: "zone.test.", Sign: resolvertest.ECDSA, Records: common})
	run := func(title string, find func() (resolver.Answer, error)) {
		b.Run(title, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a, err := find(); err != nil || a.Security != resolver.Secure {
					b.Fatal(a, err)
				}
			}
		})
	}
	r := with(tree)
	run("cached", func() (resolver.Answer, error) { return r.Lookup(b.Context(), "www.zone.test", dns.TypeA) })
	run("fresh, delegations cached", func() (resolver.Answer, error) { return r.Fresh(b.Context(), "www.zone.test", dns.TypeA) })
	run("from the root", func() (resolver.Answer, error) { return with(tree).Lookup(b.Context(), "www.zone.test", dns.TypeA) })
}
