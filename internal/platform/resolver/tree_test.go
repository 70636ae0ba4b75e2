package resolver_test

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

// with is a resolver for a tree.
func with(tree *resolvertest.Tree, change ...func(*resolver.Options)) *resolver.Resolver {
	o := resolver.Options{Hints: tree.Hints, Anchors: tree.Anchors, Port: tree.Port, Allow: tree.Allow, Timeout: time.Second}
	for _, c := range change {
		c(&o)
	}
	return resolver.New(o)
}

const common = `
	www      A     192.0.2.1
	www      A     192.0.2.2
	@        CAA   0 issue "ca.example"
	a.b.ent  A     192.0.2.3
	*.wild   TXT   "from the wildcard"
	here.wild A    192.0.2.4
	*.star   CNAME www
	toplain  CNAME www.plain.test.
	tosigned CNAME www.rsa.test.
	tonone   CNAME nothing.rsa.test.
	tobogus  CNAME www.expired.test.
	toself   CNAME toself.plain.test.
	toeach   CNAME toeach.plain.test.
	under    DNAME rsa.test.
	mirror   DNAME plain.test.
`

// forest is the zones that most tests resolve in.
func forest() []resolvertest.Zone {
	// Chains that leave the zone with every step: named follows others itself.
	var there, back strings.Builder
	for i := range 10 {
		fmt.Fprintf(&there, "hop%d CNAME hop%d.plain.test.\n", i, i)
		fmt.Fprintf(&back, "hop%d CNAME hop%d.ecdsa.test.\n", i, i+1)
	}
	big := `big TXT "` + strings.Repeat(strings.Repeat("x", 250)+`" "`, 16) + `"`
	past := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	return []resolvertest.Zone{
		{Name: "test.", Sign: resolvertest.ECDSA},
		{Name: "hashed.", Sign: resolvertest.ECDSA, NSEC3: true, OptOut: true, Records: "www A 192.0.2.9"},
		{Name: "signed.hashed.", Sign: resolvertest.ECDSA, Records: common},
		{Name: "plain.hashed.", Records: common},
		{Name: "far.empty.hashed.", Records: common},

		{Name: "ecdsa.test.", Sign: resolvertest.ECDSA, Records: common + big + "\n" + there.String()},
		{Name: "p384.test.", Sign: resolvertest.ECDSA384, NSEC3: true, Records: common},
		{Name: "ed25519.test.", Sign: resolvertest.Ed25519, NSEC3: true, Iterations: 5, Records: common},
		{Name: "rsa.test.", Sign: resolvertest.RSASHA256, Records: common},
		{Name: "rsa512.test.", Sign: resolvertest.RSASHA512, NSEC3: true, Records: common},
		{Name: "plain.test.", Records: strings.ReplaceAll(common, "plain.test.", "ecdsa.test.") + back.String()},
		{Name: "island.test.", Sign: resolvertest.ECDSA, NoDS: true, Records: common},
		{Name: "heavy.test.", Sign: resolvertest.ECDSA, NSEC3: true, Iterations: 150, Records: common},

		{Name: "expired.test.", Sign: resolvertest.ECDSA, NotBefore: past, NotAfter: past.AddDate(0, 1, 0), Records: common},
		{Name: "future.test.", Sign: resolvertest.ECDSA, NotBefore: time.Date(2058, 1, 1, 0, 0, 0, 0, time.UTC), Records: common},
		{Name: "wrongds.test.", Sign: resolvertest.ECDSA, DS: changed(func(d *dns.DS) { d.Digest = strings.Repeat("ab", 32) }), Records: common},
		{Name: "wrongtag.test.", Sign: resolvertest.ECDSA, DS: changed(func(d *dns.DS) { d.KeyTag++ }), Records: common},
		{Name: "oddalg.test.", Sign: resolvertest.ECDSA, DS: changed(func(d *dns.DS) { d.Algorithm = 200 }), Records: common},
		{Name: "odddigest.test.", Sign: resolvertest.ECDSA, DS: changed(func(d *dns.DS) { d.DigestType = 200 }), Records: common},
		{Name: "unsigned.test.", Sign: resolvertest.ECDSA, After: without(dns.TypeRRSIG), Records: common},
		{Name: "nodenial.test.", Sign: resolvertest.ECDSA, After: keep(apexNSEC), Records: common},
		{Name: "stripped.test.", Sign: resolvertest.ECDSA, After: stripWWW, Records: common},
		{Name: "altered.test.", Sign: resolvertest.ECDSA, After: alterWWW, Records: common},
		{Name: "keyless.test.", Sign: resolvertest.ECDSA, After: without(dns.TypeDNSKEY), Records: common},

		{Name: "host.test.", Sign: resolvertest.ECDSA, Records: common},
		{Name: "in.host.test.", Sign: resolvertest.Ed25519, With: "host.test.", Records: common},
		{Name: "open.host.test.", With: "host.test.", Records: common},
		{Name: "deep.down.host.test.", Sign: resolvertest.ECDSA, NSEC3: true, With: "host.test.", Records: common},
		{Name: "lies.host.test.", Sign: resolvertest.ECDSA, With: "host.test.", After: without(dns.TypeRRSIG), Records: common},

		{Name: "halflame.test.", Sign: resolvertest.ECDSA, Lame: 1, Records: common},
		{Name: "halfdead.test.", Sign: resolvertest.ECDSA, Dead: 1, Records: common},
		{Name: "lame.test.", Only: true, Lame: 1, Records: common},
		{Name: "dead.test.", Only: true, Dead: 1, Records: common},
		{Name: "deadsigned.test.", Sign: resolvertest.ECDSA, Only: true, Dead: 1, With: "host.test.", Records: common},
		{Name: "away.test.", Sign: resolvertest.ECDSA, Only: true, NS: []string{"ns1.plain.hashed."}, With: "plain.hashed.", Records: common},
		{Name: "circle.test.", Only: true, NS: []string{"ns.ring.test."}},
		{Name: "ring.test.", Only: true, NS: []string{"ns.circle.test."}},
		{Name: "nowhere.test.", Only: true, NS: []string{"ns.missing.test."}},
		{Name: "failing.test.", Serve: rcode(dns.RcodeServerFailure)},
		{Name: "refusing.test.", Serve: rcode(dns.RcodeRefused)},
	}
}

func changed(change func(*dns.DS)) func([]*dns.DS) []*dns.DS {
	return func(own []*dns.DS) (out []*dns.DS) {
		for _, d := range own {
			c := *d
			change(&c)
			out = append(out, &c)
		}
		return out
	}
}

func without(typ uint16) func([]dns.RR) []dns.RR {
	return keep(func(rr dns.RR) bool { return rr.Header().Rrtype != typ })
}

func keep(wanted func(dns.RR) bool) func([]dns.RR) []dns.RR {
	return func(in []dns.RR) (out []dns.RR) {
		for _, rr := range in {
			if wanted(rr) {
				out = append(out, rr)
			}
		}
		return out
	}
}

// apexNSEC leaves no denial but that of the zone's own name. Without any, named
// takes the zone for unsigned.
func apexNSEC(rr dns.RR) bool {
	if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered != dns.TypeNSEC {
		return true
	}
	typ := rr.Header().Rrtype
	return typ != dns.TypeNSEC && typ != dns.TypeRRSIG || dns.CountLabel(rr.Header().Name) == 2
}

func stripWWW(in []dns.RR) []dns.RR {
	return keep(func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return !ok || sig.TypeCovered != dns.TypeA || !strings.HasPrefix(sig.Hdr.Name, "www.")
	})(in)
}

func alterWWW(in []dns.RR) []dns.RR {
	for _, rr := range in {
		if a, ok := rr.(*dns.A); ok && strings.HasPrefix(a.Hdr.Name, "www.") {
			a.A = net.IPv4(192, 0, 2, 100)
		}
	}
	return in
}

func rcode(code int) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, r *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(r, code)) }
}

// A verdict is what is expected of one lookup.
type verdict struct {
	name     string
	typ      uint16
	security resolver.Security // with kind zero
	kind     resolver.Kind
	records  int
	missing  bool   // the name does not exist
	owner    string // if not the name
	differs  bool   // not compared: other limits on aliases, or a long wait
	costly   bool   // named follows denials with up to 150 iterations, we and unbound 100
}

func verdicts() []verdict {
	const a, txt, caa = dns.TypeA, dns.TypeTXT, dns.TypeCAA
	var out []verdict
	for _, zone := range []string{
		"signed.hashed.", "ecdsa.test.", "p384.test.", "ed25519.test.", "rsa.test.", "rsa512.test.",
		"in.host.test.", "deep.down.host.test.", "host.test.", "halflame.test.", "away.test.",
	} {
		out = append(out, of(zone, resolver.Secure)...)
	}
	for _, v := range of("halfdead.test.", resolver.Secure) {
		v.differs = true
		out = append(out, v)
	}
	for _, zone := range []string{"plain.hashed.", "far.empty.hashed.", "plain.test.", "island.test.", "oddalg.test.", "odddigest.test.", "open.host.test."} {
		out = append(out, of(zone, resolver.Insecure)...)
	}
	for _, zone := range []string{"expired.test.", "future.test.", "wrongds.test.", "wrongtag.test.", "unsigned.test.", "keyless.test.", "lies.host.test."} {
		for _, v := range of(zone, resolver.Unknown) {
			v.kind = resolver.Bogus
			out = append(out, v)
		}
	}
	return append(out,
		verdict{name: "ecdsa.test.", typ: dns.TypeSOA, security: resolver.Secure, records: 1},
		verdict{name: "ecdsa.test.", typ: dns.TypeNS, security: resolver.Secure, records: 1},
		verdict{name: "ecdsa.test.", typ: dns.TypeDNSKEY, security: resolver.Secure, records: 2},
		verdict{name: "ecdsa.test.", typ: dns.TypeDS, security: resolver.Secure, records: 1},
		verdict{name: "in.host.test.", typ: dns.TypeDS, security: resolver.Secure, records: 1},
		verdict{name: "in.host.test.", typ: dns.TypeNS, security: resolver.Secure, records: 1},
		verdict{name: "plain.test.", typ: dns.TypeDS, security: resolver.Secure},
		verdict{name: "plain.hashed.", typ: dns.TypeDS, security: resolver.Insecure},
		verdict{name: ".", typ: dns.TypeNS, security: resolver.Secure, records: 1},
		verdict{name: "big.ecdsa.test.", typ: txt, security: resolver.Secure, records: 1},
		verdict{name: "toplain.rsa.test.", typ: a, security: resolver.Insecure, records: 2, owner: "www.plain.test."},
		verdict{name: "tosigned.ecdsa.test.", typ: a, security: resolver.Secure, records: 2, owner: "www.rsa.test."},
		verdict{name: "tosigned.ecdsa.test.", typ: dns.TypeCNAME, security: resolver.Secure, records: 1},
		verdict{name: "tosigned.plain.test.", typ: a, security: resolver.Insecure, records: 2, owner: "www.rsa.test."},
		verdict{name: "tonone.ecdsa.test.", typ: a, security: resolver.Secure, missing: true, owner: "nothing.rsa.test."},
		verdict{name: "tobogus.ecdsa.test.", typ: a, kind: resolver.Bogus},
		verdict{name: "tobogus.plain.test.", typ: a, kind: resolver.Bogus},
		verdict{name: "toself.ecdsa.test.", typ: a, kind: resolver.Loop, differs: true},
		verdict{name: "toeach.plain.test.", typ: a, kind: resolver.Loop, differs: true},
		verdict{name: "hop0.ecdsa.test.", typ: a, kind: resolver.Limit, differs: true},
		verdict{name: "hop4.ecdsa.test.", typ: a, security: resolver.Insecure, missing: true, owner: "hop10.ecdsa.test.", differs: true},
		verdict{name: "hop5.ecdsa.test.", typ: a, security: resolver.Insecure, missing: true, owner: "hop10.ecdsa.test."},
		verdict{name: "www.under.ecdsa.test.", typ: a, security: resolver.Secure, records: 2, owner: "www.rsa.test."},
		verdict{name: "www.mirror.rsa.test.", typ: a, security: resolver.Insecure, records: 2, owner: "www.plain.test."},
		verdict{name: "www.under.p384.test.", typ: a, security: resolver.Secure, records: 2, owner: "www.rsa.test."},
		verdict{name: "www.heavy.test.", typ: a, security: resolver.Secure, records: 2},
		verdict{name: "none.heavy.test.", typ: a, security: resolver.Insecure, missing: true, costly: true},
		verdict{name: "www.heavy.test.", typ: txt, security: resolver.Insecure, costly: true},
		verdict{name: "x.wild.heavy.test.", typ: txt, security: resolver.Insecure, records: 1, costly: true},
		verdict{name: "www.hashed.", typ: a, security: resolver.Secure, records: 1},
		verdict{name: "www.hashed.", typ: caa, security: resolver.Secure},
		verdict{name: "none.hashed.", typ: a, security: resolver.Insecure, missing: true},
		verdict{name: "empty.hashed.", typ: a, security: resolver.Insecure},
		verdict{name: "nothing.", typ: caa, security: resolver.Secure, missing: true},
		verdict{name: "nothing.at.all.test.", typ: caa, security: resolver.Secure, missing: true},
		verdict{name: "down.host.test.", typ: a, security: resolver.Secure},
		verdict{name: "www.nodenial.test.", typ: a, security: resolver.Secure, records: 2},
		verdict{name: "www.nodenial.test.", typ: txt, kind: resolver.ServFail},
		verdict{name: "none.nodenial.test.", typ: a, kind: resolver.Bogus},
		verdict{name: "x.wild.nodenial.test.", typ: txt, kind: resolver.Bogus},
		verdict{name: "www.stripped.test.", typ: a, kind: resolver.Bogus},
		verdict{name: "stripped.test.", typ: caa, security: resolver.Secure, records: 1},
		verdict{name: "www.altered.test.", typ: a, kind: resolver.Bogus},
		verdict{name: "altered.test.", typ: caa, security: resolver.Secure, records: 1},
		verdict{name: "www.lame.test.", typ: a, kind: resolver.Refused},
		verdict{name: "www.dead.test.", typ: a, kind: resolver.Timeout, differs: true},
		verdict{name: "www.deadsigned.test.", typ: a, kind: resolver.Timeout, differs: true},
		verdict{name: "www.circle.test.", typ: a, kind: resolver.Loop, differs: true},
		verdict{name: "www.nowhere.test.", typ: a, kind: resolver.Lame},
		verdict{name: "www.failing.test.", typ: a, kind: resolver.ServFail},
		verdict{name: "www.refusing.test.", typ: a, kind: resolver.Refused},
	)
}

// of is what a zone with the common records gives.
func of(zone string, s resolver.Security) []verdict {
	return []verdict{
		{name: "www." + zone, typ: dns.TypeA, security: s, records: 2},
		{name: zone, typ: dns.TypeCAA, security: s, records: 1},
		{name: "www." + zone, typ: dns.TypeCAA, security: s},
		{name: "none." + zone, typ: dns.TypeCAA, security: s, missing: true},
		{name: "very.far.none." + zone, typ: dns.TypeA, security: s, missing: true},
		{name: "ent." + zone, typ: dns.TypeA, security: s},
		{name: "b.ent." + zone, typ: dns.TypeTXT, security: s},
		{name: "a.b.ent." + zone, typ: dns.TypeA, security: s, records: 1},
		{name: "any.wild." + zone, typ: dns.TypeTXT, security: s, records: 1},
		{name: "so.many.wild." + zone, typ: dns.TypeTXT, security: s, records: 1},
		{name: "any.wild." + zone, typ: dns.TypeA, security: s},
		{name: "here.wild." + zone, typ: dns.TypeTXT, security: s},
		{name: "below.here.wild." + zone, typ: dns.TypeTXT, security: s, missing: true},
		{name: "any.star." + zone, typ: dns.TypeA, security: s, records: 2, owner: "www." + zone},
	}
}
