package resolver_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

// A forger stands between the resolver and a zone's servers.
type forger struct {
	mu    sync.Mutex
	forge func(m *dns.Msg, tcp bool) *dns.Msg
}

func (f *forger) set(forge func(m *dns.Msg, tcp bool) *dns.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forge = forge
}

func (f *forger) change(m *dns.Msg, tcp bool) *dns.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forge == nil {
		return m
	}
	return f.forge(m, tcp)
}

// asked tells what a reply is about.
func asked(m *dns.Msg, name string, typ uint16) bool {
	return strings.EqualFold(m.Question[0].Name, name) && m.Question[0].Qtype == typ
}

func drop(section []dns.RR, types ...uint16) []dns.RR {
	return slices.DeleteFunc(section, func(rr dns.RR) bool {
		if sig, ok := rr.(*dns.RRSIG); ok && slices.Contains(types, sig.TypeCovered) {
			return true
		}
		return slices.Contains(types, rr.Header().Rrtype)
	})
}

// A forgery of what a signed zone's servers, or its parent's, say; and what
// comes of a lookup of a name then.
type forgery struct {
	title  string
	parent bool // the parent's servers are forged
	name   string
	typ    uint16
	forge  func(t *testing.T, borrow func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg
	secure bool // the lookup succeeds all the same
}

func forgeries() []forgery {
	const www, zone = "www.zone.test.", "zone.test."
	always := func(name string, typ uint16, change func(m *dns.Msg)) func(*testing.T, func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
		return func(*testing.T, func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
			return func(m *dns.Msg, _ bool) *dns.Msg {
				if asked(m, name, typ) {
					change(m)
				}
				return m
			}
		}
	}
	// replay answers a question with the sections of the reply to another.
	replay := func(name string, typ uint16, other string, otherType uint16) func(*testing.T, func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
		return func(_ *testing.T, borrow func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
			old := borrow(other, otherType)
			return func(m *dns.Msg, _ bool) *dns.Msg {
				if asked(m, name, typ) {
					m.Rcode, m.Answer, m.Ns, m.Authoritative = old.Rcode, nil, old.Ns, true
				}
				return m
			}
		}
	}
	return []forgery{
		{
			title: "an address changed over UDP only", name: www, typ: dns.TypeA, secure: true,
			forge: func(*testing.T, func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
				return func(m *dns.Msg, tcp bool) *dns.Msg {
					if asked(m, www, dns.TypeA) && !tcp {
						m.Answer = append(drop(m.Answer, dns.TypeA), rrs(www+" 60 A 203.0.113.66")...)
					}
					return m
				}
			},
		},
		{title: "an address changed", name: www, typ: dns.TypeA, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				if a, ok := rr.(*dns.A); ok {
					a.A[len(a.A)-1]++
				}
			}
		})},
		{title: "an address added", name: www, typ: dns.TypeA, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			m.Answer = append(m.Answer, rrs(www+" 300 A 203.0.113.66")...)
		})},
		{title: "an address taken away", name: www, typ: dns.TypeA, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return strings.HasSuffix(rr.String(), "192.0.2.1") })
		})},
		{title: "signatures taken away", name: www, typ: dns.TypeA, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			m.Answer = drop(m.Answer, dns.TypeRRSIG)
		})},
		{title: "a TTL raised", name: www, typ: dns.TypeA, secure: true, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				rr.Header().Ttl = 1 << 20
			}
		})},
		{title: "CAA denied without proof", name: zone, typ: dns.TypeCAA, forge: always(zone, dns.TypeCAA, func(m *dns.Msg) {
			m.Answer, m.Ns = nil, rrs(zone+" 60 SOA ns host 1 1 1 1 60")
		})},
		{title: "CAA denied with proof that another name lacks it", name: zone, typ: dns.TypeCAA, forge: replay(zone, dns.TypeCAA, www, dns.TypeCAA)},
		{title: "CAA denied with proof that another type is lacking", name: zone, typ: dns.TypeCAA, forge: replay(zone, dns.TypeCAA, zone, dns.TypeTXT)},
		{title: "a name denied with proof for another", name: www, typ: dns.TypeA, forge: replay(www, dns.TypeA, "none.zone.test.", dns.TypeA)},
		{title: "a name denied with proof for one that sorts next to it", name: www, typ: dns.TypeA, forge: replay(www, dns.TypeA, "wwww.zone.test.", dns.TypeA)},
		{title: "NXDOMAIN in place of no records", name: www, typ: dns.TypeTXT, secure: true, forge: always(www, dns.TypeTXT, func(m *dns.Msg) {
			m.Rcode = dns.RcodeNameError
		})},
		{title: "a denial's proof taken away", name: www, typ: dns.TypeTXT, forge: always(www, dns.TypeTXT, func(m *dns.Msg) {
			m.Ns = drop(m.Ns, dns.TypeNSEC)
		})},
		{
			title: "a wildcard's records for a name that exists", name: "here.wild.zone.test.", typ: dns.TypeTXT,
			forge: func(_ *testing.T, borrow func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
				old := borrow("there.wild.zone.test.", dns.TypeTXT)
				for _, rr := range old.Answer {
					rr.Header().Name = "here.wild.zone.test."
				}
				return func(m *dns.Msg, _ bool) *dns.Msg {
					if asked(m, "here.wild.zone.test.", dns.TypeTXT) {
						m.Answer, m.Ns = old.Answer, old.Ns
					}
					return m
				}
			},
		},
		{title: "a wildcard's records without proof", name: "any.wild.zone.test.", typ: dns.TypeTXT, forge: always("any.wild.zone.test.", dns.TypeTXT, func(m *dns.Msg) {
			m.Ns = nil
		})},
		{title: "an alias to elsewhere", name: www, typ: dns.TypeA, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			m.Answer = rrs(www + " 60 CNAME www.plain.test.")
		})},
		{title: "a delegation to an unsigned zone", name: www, typ: dns.TypeA, forge: always(www, dns.TypeA, func(m *dns.Msg) {
			m.Authoritative, m.Answer, m.Ns = false, nil, rrs(www+" 60 NS ns1.plain.test.")
		})},
		{title: "keys that are not the zone's", name: www, typ: dns.TypeA, forge: always(zone, dns.TypeDNSKEY, func(m *dns.Msg) {
			for _, rr := range m.Answer {
				if k, ok := rr.(*dns.DNSKEY); ok {
					k.PublicKey = "A" + k.PublicKey[1:]
				}
			}
		})},
		{
			title: "no DS in the referral", parent: true, name: www, typ: dns.TypeA, secure: true,
			forge: func(*testing.T, func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
				return func(m *dns.Msg, _ bool) *dns.Msg {
					if m.Question[0].Qtype != dns.TypeDS {
						m.Ns = drop(m.Ns, dns.TypeDS)
					}
					return m
				}
			},
		},
		{
			title: "no DS anywhere", parent: true, name: www, typ: dns.TypeA,
			forge: func(*testing.T, func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
				return func(m *dns.Msg, _ bool) *dns.Msg {
					m.Answer, m.Ns = drop(m.Answer, dns.TypeDS), drop(m.Ns, dns.TypeDS)
					return m
				}
			},
		},
		{
			title: "proof that another zone has no DS", parent: true, name: www, typ: dns.TypeA,
			forge: func(_ *testing.T, borrow func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
				old := borrow("plain.test.", dns.TypeDS)
				return func(m *dns.Msg, _ bool) *dns.Msg {
					m.Answer = drop(m.Answer, dns.TypeDS)
					m.Ns = append(drop(m.Ns, dns.TypeDS), drop(slices.Clone(old.Ns), dns.TypeSOA)...)
					return m
				}
			},
		},
		{
			title: "the whole zone denied", parent: true, name: zone, typ: dns.TypeCAA,
			forge: func(_ *testing.T, borrow func(string, uint16) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
				old := borrow("nothing.test.", dns.TypeCAA)
				return func(m *dns.Msg, _ bool) *dns.Msg {
					m.Authoritative, m.Rcode, m.Answer, m.Ns, m.Extra = true, dns.RcodeNameError, nil, old.Ns, nil
					return m
				}
			},
		},
	}
}

// BR 3.2.2.8.1: no forgery on the way turns a signed zone's answer into another
// one, or into an insecure one.
func TestForgeriesOfSignedZones(t *testing.T) {
	for title, hashed := range map[string]bool{"NSEC": false, "NSEC3": true} {
		t.Run(title, func(t *testing.T) {
			var zone, parent forger
			tree := resolvertest.Start(t,
				resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA, NSEC3: hashed, Forge: parent.change},
				resolvertest.Zone{Name: "plain.test.", Records: common},
				resolvertest.Zone{Name: "zone.test.", Sign: resolvertest.ECDSA, NSEC3: hashed, Records: common, Forge: zone.change})
			for _, f := range forgeries() {
				t.Run(f.title, func(t *testing.T) {
					victim, at := &zone, tree.Server("zone.test.")
					if f.parent {
						victim, at = &parent, tree.Server("test.")
					}
					forge := f.forge(t, func(name string, typ uint16) *dns.Msg { return ask(t, tree, at, name, typ) })
					if hashed {
						forge = hideHashed(f, forge)
					}
					victim.set(forge)
					defer victim.set(nil)
					f.check(t, with(tree))
				})
			}
		})
	}
}

// hideHashed lets forgeries that take NSEC away take NSEC3 away too.
func hideHashed(f forgery, forge func(*dns.Msg, bool) *dns.Msg) func(*dns.Msg, bool) *dns.Msg {
	if !strings.Contains(f.title, "proof taken away") {
		return forge
	}
	return func(m *dns.Msg, tcp bool) *dns.Msg {
		if m = forge(m, tcp); asked(m, f.name, f.typ) {
			m.Ns = drop(m.Ns, dns.TypeNSEC3)
		}
		return m
	}
}

func (f forgery) check(t *testing.T, r *resolver.Resolver) {
	t.Helper()
	a, err := r.Lookup(t.Context(), f.name, f.typ)
	if f.secure {
		if err != nil {
			t.Fatal(err)
		}
		if a.Security != resolver.Secure || !a.Exists || a.TTL > 300e9 {
			t.Errorf("got %+v", a)
		}
		return
	}
	if err == nil {
		t.Fatalf("got %+v", a)
	}
	if got := failure(t, err); got.Kind != resolver.Bogus || got.ZoneSecurity != resolver.Secure {
		t.Errorf("failed otherwise: %+v", got)
	}
}
