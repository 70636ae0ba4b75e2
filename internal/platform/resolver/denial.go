package resolver

import (
	"slices"

	"github.com/miekg/dns"
)

// A verdict is what a denial amounts to.
type verdict uint8

const (
	unproven verdict = iota
	open             // denied, but by a proof that leaves room: opt-out or costly hashes
	proven
)

// maxProofs is how many NSEC and NSEC3 sets of a reply are looked at; the
// longest proof needs three.
const maxProofs = 8

// proofs are the validated NSEC and NSEC3 records of a reply, and answer what
// they prove (RFC 4035, section 5.4; RFC 5155, section 8).
type proofs struct {
	zone   string
	nsec   []*dns.NSEC
	hashed hashed
	ttl    uint32
}

// proofs validates the denial in an authority section. What does not validate
// proves nothing and is left out.
func (l *lookup) proofs(z *zone, authority []dns.RR) *proofs {
	p := &proofs{zone: z.name, hashed: hashed{l: l, zone: z.name, known: map[string]string{}}, ttl: uint32(maxTTL.Seconds())}
	seen := map[question]bool{}
	for _, rr := range authority {
		h := rr.Header()
		q := question{h.Name, h.Rrtype}
		if h.Rrtype != dns.TypeNSEC && h.Rrtype != dns.TypeNSEC3 || seen[q] || len(seen) == maxProofs {
			continue
		}
		seen[q] = true
		set := pick(authority, q)
		v, f := l.verify(z, set)
		if f != nil || v.expanded {
			continue
		}
		p.ttl = min(p.ttl, v.ttl)
		for _, rr := range set.records {
			switch rr := rr.(type) {
			case *dns.NSEC:
				p.nsec = append(p.nsec, rr)
			case *dns.NSEC3:
				p.hashed.add(rr)
			}
		}
	}
	return p
}

// failure says that a proof is missing, or was too costly to look for.
func (p *proofs) failure(format string, args ...any) *Failure {
	switch l := p.hashed.l; {
	case l.hashes > maxHashes:
		return fail(Limit, "The lookup needs more than %d hashes for denial.", maxHashes)
	case l.checks > maxChecks:
		return fail(Limit, "The lookup needs more than %d signature checks.", maxChecks)
	}
	return fail(Bogus, format, args...)
}

// noName proves that a name does not exist, nor a wildcard that would make it.
func (p *proofs) noName(name string) verdict {
	if n := p.cover(name); n != nil && !within(next(n), name) && p.cover(wildcard(p.closest(n, name))) != nil {
		return proven
	}
	return p.hashed.noName(name)
}

// noType proves that a name, or the wildcard that makes it, has no records of a
// type and no alias; or that the name only has others below it.
func (p *proofs) noType(name string, typ uint16) verdict {
	if n := p.match(name); n != nil {
		if lacks(n.TypeBitMap, name, typ) {
			return proven
		}
		return unproven
	}
	if n := p.cover(name); n != nil {
		if within(next(n), name) {
			return proven
		}
		at := wildcard(p.closest(n, name))
		if w := p.match(at); w != nil && lacks(w.TypeBitMap, at, typ) {
			return proven
		}
	}
	return p.hashed.noType(name, typ)
}

// expanded proves that a name made from a wildcard, whose parent has a number
// of labels, does not exist itself (RFC 4035, section 5.3.4).
func (p *proofs) expanded(name string, labels int) verdict {
	if n := p.cover(name); n != nil && dns.CountLabel(p.closest(n, name)) == labels {
		return proven
	}
	return p.hashed.expanded(name, labels)
}

// delegatedWithoutDS proves that a name is delegated and has no DS records
// (RFC 4035, section 5.2; RFC 6840, section 4.4).
func (p *proofs) delegatedWithoutDS(name string) verdict {
	if n := p.match(name); n != nil {
		return insecureCut(n.TypeBitMap)
	}
	return p.hashed.delegatedWithoutDS(name)
}

func insecureCut(bits []uint16) verdict {
	if has(bits, dns.TypeNS) && !has(bits, dns.TypeDS) && !has(bits, dns.TypeSOA) {
		return proven
	}
	return unproven
}

// match finds the NSEC record of a name.
func (p *proofs) match(name string) *dns.NSEC {
	for _, n := range p.nsec {
		if n.Hdr.Name == name {
			return n
		}
	}
	return nil
}

// cover finds an NSEC record that proves a name not to exist. One from the
// parent's side of a delegation, or of a DNAME, says nothing about names below
// (RFC 6840, section 4.1).
func (p *proofs) cover(name string) *dns.NSEC {
	for _, n := range p.nsec {
		owner, next := n.Hdr.Name, next(n)
		if within(name, owner) && leaves(n.TypeBitMap) {
			continue
		}
		if compare(owner, name) < 0 && (next == p.zone || compare(name, next) < 0) {
			return n
		}
	}
	return nil
}

// closest is the deepest name above the one denied that exists, by the record
// that denies it.
func (p *proofs) closest(n *dns.NSEC, name string) string {
	a, b := enclosing(n.Hdr.Name, name), enclosing(next(n), name)
	if dns.CountLabel(b) > dns.CountLabel(a) && within(b, p.zone) {
		return b
	}
	return a
}

func next(n *dns.NSEC) string { return dns.CanonicalName(n.NextDomain) }

// wildcard is the name that makes records for all names under one.
func wildcard(under string) string {
	if under == "." {
		return "*."
	}
	return "*." + under
}

// lacks tells whether a record that matches a name denies a type: neither the
// type nor an alias is there, and the record is of the side of a zone cut that
// holds the type (RFC 6840, section 4.1).
func lacks(bits []uint16, name string, typ uint16) bool {
	if has(bits, typ) || has(bits, dns.TypeCNAME) {
		return false
	}
	if typ == dns.TypeDS {
		return name == "." || !has(bits, dns.TypeSOA)
	}
	return !has(bits, dns.TypeNS) || has(bits, dns.TypeSOA)
}

// leaves tells whether names below belong to another zone or name.
func leaves(bits []uint16) bool {
	return has(bits, dns.TypeDNAME) || has(bits, dns.TypeNS) && !has(bits, dns.TypeSOA)
}

func has(bits []uint16, typ uint16) bool { return slices.Contains(bits, typ) }
