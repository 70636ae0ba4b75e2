package resolver

import (
	"testing"

	"github.com/miekg/dns"
)

// No packet makes the resolver panic or take a record that the zone did not
// sign, and none that is not below the zone counts at all.
func FuzzReply(f *testing.F) {
	s := newSigner(f, "zone.")
	a := parse(f, "www.zone. 60 A 192.0.2.1")
	wild := parse(f, "*.w.zone. 60 A 192.0.2.1")
	wildSig := s.sign(f, wild...)
	gap := parse(f, "zone. 60 NSEC www.zone. NS SOA RRSIG NSEC")
	name := parse(f, "www.zone. 60 NSEC zone. A RRSIG NSEC")
	hash := parse(f, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.zone. 60 NSEC3 1 1 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A")
	soa := parse(f, "zone. 60 SOA ns host 1 1 1 1 60")
	for _, seed := range []dns.Msg{
		{Answer: append(a, s.sign(f, a...))},
		{Answer: append(wild, wildSig), Ns: append(gap, s.sign(f, gap...))},
		{Ns: append(append(soa, s.sign(f, soa...)), append(name, s.sign(f, name...))...)},
		{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}, Ns: append(append(soa, gap...), s.sign(f, gap...))},
		{Ns: append(hash, s.sign(f, hash...))},
		{Ns: parse(f, "a.zone. 60 NS ns.a.zone."), Extra: parse(f, "ns.a.zone. 60 A 192.0.2.2")},
		{Answer: parse(f, "w.zone. 60 DNAME other.", "www.w.zone. 60 CNAME www.other.")},
		{Answer: parse(f, "zone. 60 DNSKEY 257 3 13 AAAA")},
	} {
		seed.SetQuestion("www.zone.", dns.TypeA)
		seed.Response, seed.Authoritative = true, len(seed.Extra) == 0
		wire, err := seed.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, "www.zone.", uint16(dns.TypeA))
		f.Add(wire, "www.w.zone.", uint16(dns.TypeA))
		f.Add(wire, "a.zone.", uint16(dns.TypeDS))
	}
	ds := []*dns.DS{s.key.ToDS(dns.SHA256)}
	f.Fuzz(func(t *testing.T, wire []byte, name string, typ uint16) {
		name, ok := canonical(name)
		m := new(dns.Msg)
		if !ok || !within(name, "zone.") || m.Unpack(wire) != nil {
			return
		}
		q := question{name, typ}
		rep, bad := read(m, "zone.", q)
		if bad != nil {
			return
		}
		l := newLookup()
		for _, rr := range append(rep.ns, rep.extra...) {
			if !within(rr.Header().Name, "zone.") {
				t.Errorf("%v counts", rr)
			}
		}
		switch rep.kind {
		case referral:
			if rep.owner == "zone." || !within(name, rep.owner) {
				t.Errorf("%s is referred to %s", name, rep.owner)
			}
			l.r.servers(rep)
			_, _, _ = l.delegation(s.zone(), pick(rep.ns, question{rep.owner, dns.TypeDS}), rep.ns)
			return
		case found:
			_, _, _ = l.keys("zone.", rep.answer, ds)
		}
		step, err := l.judge(s.zone(), rep, q)
		if err != nil {
			return
		}
		for _, rr := range step.records {
			if got, ok := rr.(*dns.A); ok && got.A.String() == "192.0.2.1" || rr.Header().Rrtype == dns.TypeSOA || rr.Header().Rrtype == dns.TypeNSEC || rr.Header().Rrtype == dns.TypeNSEC3 {
				continue
			}
			t.Errorf("taken though nobody signed it: %v", rr)
		}
		if step.kind == alias || step.security == Unknown {
			t.Errorf("made of it: %+v", step)
		}
	})
}

// Names come from callers and from records; both are brought into one form.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"www.example", "WWW.Example.", `a\.b.c`, `\097.b`, `\800`, ".", "*.x", "", "..", `\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		once, ok := canonical(name)
		if !ok {
			return
		}
		if twice, ok := canonical(once); !ok || twice != once {
			t.Errorf("%q becomes %q, and that %q", name, once, twice)
		}
		if compare(once, once) != 0 || !within(once, ".") || !within(once, parent(once)) {
			t.Errorf("%q has no place among names", once)
		}
	})
}
