package resolver

import (
	"crypto"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/clock"
)

var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

// A signer is a zone with a key of its own.
type signer struct {
	key  *dns.DNSKEY
	priv crypto.Signer
}

func newSigner(tb testing.TB, zone string) signer {
	tb.Helper()
	key := &dns.DNSKEY{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	priv, err := key.Generate(256)
	if err != nil {
		tb.Fatal(err)
	}
	return signer{key, priv.(crypto.Signer)}
}

func (s signer) zone() *zone {
	k := keyring{}
	k.add(s.key)
	return &zone{name: s.key.Hdr.Name, security: Secure, keys: k}
}

func (s signer) sign(tb testing.TB, set ...dns.RR) *dns.RRSIG {
	tb.Helper()
	h := set[0].Header()
	sig := &dns.RRSIG{
		Hdr: dns.RR_Header{Name: h.Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: h.Ttl}, SignerName: s.key.Hdr.Name,
		KeyTag: s.key.KeyTag(), Algorithm: s.key.Algorithm, Inception: uint32(noon.Unix()) - 3600, Expiration: uint32(noon.Unix()) + 3600,
	}
	if err := sig.Sign(s.priv, set); err != nil {
		tb.Fatal(err)
	}
	return sig
}

func newLookup() *lookup {
	return &lookup{r: New(Options{Clock: clock.NewFake(noon)}), busy: map[string]bool{}, addrs: map[string][]netip.Addr{}}
}

func parse(tb testing.TB, lines ...string) (out []dns.RR) {
	tb.Helper()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, rr)
	}
	return out
}

// The example of RFC 4034, section 6.1.
func TestNamesSortAsInRFC4034(t *testing.T) {
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted as %v", got)
	}
}

func TestNames(t *testing.T) {
	for _, c := range [][3]string{
		{parent("a.b."), "b.", "parent"},
		{parent("b."), ".", "parent of a top-level name"},
		{parent("."), ".", "parent of the root"},
		{parent(`a\.b.c.`), "c.", "parent of an escaped label"},
		{below(".", "a.b.c."), "c.", "below the root"},
		{below("c.", "a.b.c."), "b.c.", "below a zone"},
		{below("b.c.", "a.b.c."), "a.b.c.", "below at the end"},
		{enclosing("a.x.c.", "b.x.c."), "x.c.", "enclosing"},
		{enclosing("a.", "b."), ".", "enclosing nothing"},
		{enclosing("x.c.", "a.x.c."), "x.c.", "enclosing itself"},
		{keepRight("a.b.c.", 2), "b.c.", "the last two"},
		{keepRight("a.b.c.", 0), ".", "none"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: got %q, not %q", c[2], c[0], c[1])
		}
	}
	if within("xa.b.", "a.b.") || !within("a.b.", "b.") || !within("a.", ".") || within("b.", "a.b.") || within(`x\.a.b.`, "a.b.") {
		t.Error("within does not go by labels")
	}
}

// CVE-2023-50387: many signatures and keys with one tag cost little.
func TestSignatureChecksAreBounded(t *testing.T) {
	s := newSigner(t, "zone.")
	set := rrset{question: question{"www.zone.", dns.TypeA}, records: parse(t, "www.zone. 60 A 192.0.2.1")}
	good := s.sign(t, set.records...)
	for i := range 500 {
		bad := *good
		bad.OrigTtl = uint32(i)
		set.sigs = append(set.sigs, &bad)
	}
	set.sigs = append(set.sigs, good)
	z, l := s.zone(), newLookup()
	for range maxKeyTag * 3 {
		z.keys.add(s.key)
	}
	if n := len(z.keys[keyID{s.key.KeyTag(), s.key.Algorithm}]); n != maxKeyTag {
		t.Errorf("%d keys with one tag are kept", n)
	}
	if _, f := l.verify(z, set); f == nil || f.Kind != Bogus || l.checks > maxSetChecks {
		t.Errorf("%d checks: %v", l.checks, f)
	}
	set.sigs = []*dns.RRSIG{good}
	if _, f := l.verify(z, set); f != nil {
		t.Errorf("the signature is not taken: %v", f)
	}
	l.checks = maxChecks
	if _, f := l.verify(z, set); f == nil || f.Kind != Limit {
		t.Errorf("the limit of a lookup is passed: %v", f)
	}
}

func TestKeysThatMayNotSignAreLeftOut(t *testing.T) {
	for title, change := range map[string]func(*dns.DNSKEY){
		"no zone key": func(k *dns.DNSKEY) { k.Flags = 0 }, "revoked": func(k *dns.DNSKEY) { k.Flags |= dns.REVOKE },
		"another protocol": func(k *dns.DNSKEY) { k.Protocol = 2 }, "SHA-1": func(k *dns.DNSKEY) { k.Algorithm = dns.RSASHA1 },
	} {
		s, k := newSigner(t, "zone."), keyring{}
		change(s.key)
		if k.add(s.key); len(k) != 0 {
			t.Errorf("%s: the key is kept", title)
		}
	}
}

// CVE-2023-50868: hashing for denial is bounded.
func TestHashesAreBounded(t *testing.T) {
	l := newLookup()
	h := hashed{l: l, zone: "zone.", known: map[string]string{}}
	h.add(parse(t, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.zone. 60 NSEC3 1 0 100 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A")[0].(*dns.NSEC3))
	for i := range 1000 {
		h.noName(fmt.Sprintf("%s%d.zone.", strings.Repeat("a.", 100), i))
	}
	p := proofs{hashed: h}
	if f := p.failure("No proof."); f.Kind != Limit {
		t.Errorf("%d hashes: %v", l.hashes, f)
	}
	if len(h.known) > maxHashes/100 {
		t.Errorf("%d names were hashed", len(h.known))
	}
}

// The example of RFC 5155, appendix A.
func TestHashesAreThoseOfRFC5155(t *testing.T) {
	h := hashed{l: newLookup(), zone: "example.", known: map[string]string{}}
	h.add(parse(t, "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 NSEC3 1 0 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA")[0].(*dns.NSEC3))
	for name, want := range map[string]string{"example.": "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "a.example.": "35mthgpgcu1qg68fab165klnsnk3dpvl", "*.w.example.": "r53bq7cc2uvmubfu5ocmm6pers9tk9en"} {
		if got := h.hash(name); !strings.EqualFold(got, want) {
			t.Errorf("%s is hashed to %s", name, got)
		}
	}
	if h.match("example.") == nil || h.match("a.example.") != nil || h.cover("example.") != nil {
		t.Error("match and cover do not go by the hash")
	}
}

func TestGapsOfHashes(t *testing.T) {
	for _, c := range []struct {
		from, sum, to string
		in            bool
	}{
		{"B", "C", "D", true},
		{"B", "B", "D", false},
		{"B", "D", "D", false},
		{"B", "A", "D", false},
		{"D", "E", "B", true},
		{"D", "A", "B", true},
		{"D", "C", "B", false},
		{"B", "B", "B", false},
		{"B", "A", "B", true},
		{"B", "CC", "D", false},
	} {
		if between(c.from, c.sum, c.to) != c.in {
			t.Errorf("%s in (%s, %s) is not %t", c.sum, c.from, c.to, c.in)
		}
	}
}

// RFC 6840, section 4.1: the parent's side of a delegation denies nothing that
// the child may hold. RFC 9276: unknown flags and hashes prove nothing.
func TestDenialsThatProveNothing(t *testing.T) {
	s := newSigner(t, "zone.")
	for _, c := range []struct {
		title string
		nsec  string
		prove func(p *proofs) verdict
		want  verdict
	}{
		{"a delegation denies a type", "cut.zone. 60 NSEC d.zone. NS RRSIG NSEC", func(p *proofs) verdict { return p.noType("cut.zone.", dns.TypeCAA) }, unproven},
		{"a delegation denies DS", "cut.zone. 60 NSEC d.zone. NS RRSIG NSEC", func(p *proofs) verdict { return p.noType("cut.zone.", dns.TypeDS) }, proven},
		{"a delegation denies names below", "cut.zone. 60 NSEC d.zone. NS RRSIG NSEC", func(p *proofs) verdict { return p.noName("a.cut.zone.") }, unproven},
		{"a DNAME denies names below", "cut.zone. 60 NSEC d.zone. DNAME RRSIG NSEC", func(p *proofs) verdict { return p.noName("a.cut.zone.") }, unproven},
		{"a child denies DS", "zone. 60 NSEC d.zone. NS SOA RRSIG NSEC", func(p *proofs) verdict { return p.noType("zone.", dns.TypeDS) }, unproven},
		{"a name denies a type", "a.zone. 60 NSEC d.zone. A RRSIG NSEC", func(p *proofs) verdict { return p.noType("a.zone.", dns.TypeCAA) }, proven},
		{"an alias denies a type", "a.zone. 60 NSEC d.zone. CNAME RRSIG NSEC", func(p *proofs) verdict { return p.noType("a.zone.", dns.TypeCAA) }, unproven},
		{"a name denies a delegation", "a.zone. 60 NSEC d.zone. A RRSIG NSEC", func(p *proofs) verdict { return p.delegatedWithoutDS("a.zone.") }, unproven},
		{"a delegation has no DS", "a.zone. 60 NSEC d.zone. NS RRSIG NSEC", func(p *proofs) verdict { return p.delegatedWithoutDS("a.zone.") }, proven},
		{"a delegation has DS", "a.zone. 60 NSEC d.zone. NS DS RRSIG NSEC", func(p *proofs) verdict { return p.delegatedWithoutDS("a.zone.") }, unproven},
		{"a gap denies a name but not the wildcard", "b.zone. 60 NSEC d.zone. A RRSIG NSEC", func(p *proofs) verdict { return p.noName("c.zone.") }, unproven},
		{"a gap denies name and wildcard", "zone. 60 NSEC d.zone. NS SOA RRSIG NSEC", func(p *proofs) verdict { return p.noName("c.zone.") }, proven},
		{"the last gap denies a name", "b.zone. 60 NSEC zone. A RRSIG NSEC", func(p *proofs) verdict { return p.expanded("c.zone.", 1) }, proven},
		{"a gap with names below is no gap", "zone. 60 NSEC x.c.zone. NS SOA RRSIG NSEC", func(p *proofs) verdict { return p.noName("c.zone.") }, unproven},
		{"a name that has others below it has no type", "zone. 60 NSEC x.c.zone. NS SOA RRSIG NSEC", func(p *proofs) verdict { return p.noType("c.zone.", dns.TypeA) }, proven},
		{"a wildcard further down counts", "b.w.zone. 60 NSEC d.w.zone. A RRSIG NSEC", func(p *proofs) verdict { return p.expanded("c.w.zone.", 1) }, unproven},
		{"an unknown flag", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.zone. 60 NSEC3 1 2 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", func(p *proofs) verdict { return p.expanded("c.zone.", 1) }, unproven},
		{"an unknown hash", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.zone. 60 NSEC3 2 0 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", func(p *proofs) verdict { return p.expanded("c.zone.", 1) }, unproven},
		{"opt-out", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.zone. 60 NSEC3 1 1 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", func(p *proofs) verdict { return p.expanded("c.zone.", 1) }, open},
		{"too many iterations", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.zone. 60 NSEC3 1 0 101 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", func(p *proofs) verdict { return p.noName("c.zone.") }, open},
	} {
		t.Run(c.title, func(t *testing.T) {
			set := parse(t, c.nsec)
			section := append(set, s.sign(t, set...))
			if got := c.prove(newLookup().proofs(s.zone(), section)); got != c.want {
				t.Errorf("the verdict is %d, not %d", got, c.want)
			}
			if got := c.prove(newLookup().proofs(s.zone(), set)); got != unproven {
				t.Errorf("without a signature the verdict is %d", got)
			}
		})
	}
}

// hashedAt is an NSEC3 record of a name in "zone.", gapAt one that denies it.
func hashedAt(tb testing.TB, name, bits string) dns.RR {
	tb.Helper()
	sum := dns.HashName(name, dns.SHA1, 0, "")
	return parse(tb, fmt.Sprintf("%s.zone. 60 NSEC3 1 0 0 - %s %s", sum, beside(sum, 1), bits))[0]
}

func gapAt(tb testing.TB, name string) dns.RR {
	tb.Helper()
	sum := dns.HashName(name, dns.SHA1, 0, "")
	return parse(tb, fmt.Sprintf("%s.zone. 60 NSEC3 1 0 0 - %s", beside(sum, -1), beside(sum, 1)))[0]
}

// beside is the hash before or after one, apart from the last digits.
func beside(sum string, step int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
	i := len(sum) - 1
	for n := strings.IndexByte(digits, sum[i]) + step; n < 0 || n >= len(digits); n = strings.IndexByte(digits, sum[i]) + step {
		i--
	}
	return sum[:i] + string(digits[strings.IndexByte(digits, sum[i])+step]) + sum[i+1:]
}

// RFC 5155, section 8: each part of a proof is needed.
func TestHashedDenialsNeedAllParts(t *testing.T) {
	s := newSigner(t, "zone.")
	apex, cut := hashedAt(t, "zone.", "NS SOA"), hashedAt(t, "cut.zone.", "NS")
	noName := func(name string) func(*proofs) verdict {
		return func(p *proofs) verdict { return p.noName(name) }
	}
	noType := func(name string, typ uint16) func(*proofs) verdict {
		return func(p *proofs) verdict { return p.noType(name, typ) }
	}
	for _, c := range []struct {
		title   string
		records []dns.RR
		prove   func(*proofs) verdict
		want    verdict
	}{
		{"name and wildcard are denied", []dns.RR{apex, gapAt(t, "a.zone."), gapAt(t, "*.zone.")}, noName("a.zone."), proven},
		{"a name further down is denied", []dns.RR{apex, gapAt(t, "a.zone."), gapAt(t, "*.zone.")}, noName("c.b.a.zone."), proven},
		{"the wildcard is not denied", []dns.RR{apex, gapAt(t, "a.zone.")}, noName("a.zone."), unproven},
		{"the name is not denied", []dns.RR{apex, gapAt(t, "*.zone.")}, noName("a.zone."), unproven},
		{"nothing above the name is shown", []dns.RR{gapAt(t, "a.zone."), gapAt(t, "*.zone.")}, noName("a.zone."), unproven},
		{"a delegation denies names below", []dns.RR{cut, gapAt(t, "a.cut.zone."), gapAt(t, "*.cut.zone.")}, noName("a.cut.zone."), unproven},
		{"a DNAME denies names below", []dns.RR{hashedAt(t, "d.zone.", "DNAME"), gapAt(t, "a.d.zone."), gapAt(t, "*.d.zone.")}, noName("a.d.zone."), unproven},
		{"a name lacks a type", []dns.RR{hashedAt(t, "a.zone.", "A")}, noType("a.zone.", dns.TypeCAA), proven},
		{"a name has the type", []dns.RR{hashedAt(t, "a.zone.", "CAA")}, noType("a.zone.", dns.TypeCAA), unproven},
		{"a delegation denies a type", []dns.RR{cut}, noType("cut.zone.", dns.TypeCAA), unproven},
		{"a delegation lacks DS", []dns.RR{cut}, noType("cut.zone.", dns.TypeDS), proven},
		{"the wildcard lacks a type", []dns.RR{apex, gapAt(t, "a.zone."), hashedAt(t, "*.zone.", "A")}, noType("a.zone.", dns.TypeCAA), proven},
		{"the wildcard has the type", []dns.RR{apex, gapAt(t, "a.zone."), hashedAt(t, "*.zone.", "CAA")}, noType("a.zone.", dns.TypeCAA), unproven},
		{"a name that does not exist lacks a type", []dns.RR{apex, gapAt(t, "a.zone."), gapAt(t, "*.zone.")}, noType("a.zone.", dns.TypeCAA), unproven},
	} {
		t.Run(c.title, func(t *testing.T) {
			var section []dns.RR
			for _, rr := range c.records {
				section = append(section, rr, s.sign(t, rr))
			}
			if got := c.prove(newLookup().proofs(s.zone(), section)); got != c.want {
				t.Errorf("the verdict is %d, not %d", got, c.want)
			}
		})
	}
}

// A denial made from a wildcard says nothing of the name it is given for.
func TestDenialsFromAWildcardProveNothing(t *testing.T) {
	s := newSigner(t, "zone.")
	n := parse(t, "*.zone. 60 NSEC z.zone. A RRSIG NSEC")[0]
	sig := s.sign(t, n)
	if got := newLookup().proofs(s.zone(), []dns.RR{n, sig}).noType("*.zone.", dns.TypeCAA); got != proven {
		t.Errorf("of the wildcard itself the verdict is %d", got)
	}
	n.Header().Name, sig.Hdr.Name = "a.zone.", "a.zone."
	if got := newLookup().proofs(s.zone(), []dns.RR{n, sig}).noType("a.zone.", dns.TypeCAA); got != unproven {
		t.Errorf("of a name made from it the verdict is %d", got)
	}
}

func TestTheCacheForgetsWhatWasUnusedLongest(t *testing.T) {
	c := newLRU[int, string](2)
	c.put(1, "one", noon.Add(time.Hour))
	c.put(2, "two", noon.Add(time.Hour))
	c.get(1, noon)
	c.put(3, "three", noon.Add(time.Minute))
	if _, ok := c.get(2, noon); ok {
		t.Error("the entry unused for longest is still there")
	}
	if v, ok := c.get(1, noon); !ok || v != "one" {
		t.Error("the entry used is gone")
	}
	if _, ok := c.get(3, noon.Add(time.Minute)); ok {
		t.Error("an entry outlives its time")
	}
	if len(c.items) != 1 || c.order.Len() != 1 {
		t.Errorf("%d entries are left", len(c.items))
	}
}

func TestServersThatDidNotAnswerAreAskedLast(t *testing.T) {
	l := newLookup()
	sick, well := netip.MustParseAddr("198.41.0.4"), netip.MustParseAddr("192.33.4.12")
	inside := netip.MustParseAddr("10.0.0.1")
	l.r.ailing.put(sick, struct{}{}, noon.Add(ailingFor))
	for range 20 {
		var got []netip.Addr
		l.inTurn([]netip.Addr{sick, inside, well}, func(a netip.Addr) bool { got = append(got, a); return true })
		if !slices.Equal(got, []netip.Addr{well, sick}) {
			t.Fatalf("asked in the order %v", got)
		}
	}
}

func TestQueriesMixTheCaseOfLettersOnly(t *testing.T) {
	q, err := newQuery(question{"www.0-9_x.example.", dns.TypeA}, true)
	if err != nil {
		t.Fatal(err)
	}
	differ := false
	for range 20 {
		m := q.mixed()
		differ = differ || string(m.wire) != string(q.wire)
		if !strings.EqualFold(string(m.wire), string(q.wire)) {
			t.Fatalf("more than case differs: %q", m.wire)
		}
		reply := slices.Clone(m.wire)
		if reply[2] |= 0x80; !m.answeredBy(reply) {
			t.Fatal("the reply is not taken")
		}
		for _, i := range []int{0, 1, 2, 4, 5, 12, 14, m.end() - 1} {
			bad := slices.Clone(reply)
			if bad[i] ^= 0xa0; m.answeredBy(bad) {
				t.Fatalf("a reply with another octet %d is taken", i)
			}
		}
	}
	if !differ {
		t.Error("the case is never mixed")
	}
}
