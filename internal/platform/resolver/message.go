package resolver

import "github.com/miekg/dns"

// A kind of reply.
type kind uint8

const (
	referral kind = iota + 1 // to the zone at owner
	found                    // records of the type asked, at owner
	alias                    // a CNAME or DNAME at owner leads to target
	nodata                   // the name has no records of the type
	nxdomain                 // the name does not exist
)

// A reply is what a message of a zone's server means, from records that the
// zone may speak for. Nothing in it is validated.
type reply struct {
	kind   kind
	owner  string
	target string
	answer rrset // of found and alias
	ns     []dns.RR
	extra  []dns.RR
	zone   string // whose SOA a negative reply shows; may be empty
	soaTTL uint32 // for negative caching (RFC 2308, section 5)
	server string
	// authoritative marks a referral that is in truth the child's own answer:
	// this server serves the child too.
	authoritative bool
}

// An rrset is the records of one owner and type, and the signatures over them.
type rrset struct {
	question
	records []dns.RR
	sigs    []*dns.RRSIG
}

// ttl is the least TTL of a set.
func (s rrset) ttl() uint32 {
	ttl := uint32(maxTTL.Seconds())
	for _, rr := range s.records {
		ttl = min(ttl, rr.Header().Ttl)
	}
	return ttl
}

// pick collects a set from a section.
func pick(section []dns.RR, q question) rrset {
	set := rrset{question: q}
	for _, rr := range section {
		h := rr.Header()
		if h.Name != q.name {
			continue
		}
		if h.Rrtype == q.typ {
			set.records = append(set.records, rr)
		}
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == q.typ {
			set.sigs = append(set.sigs, sig)
		}
	}
	set.records = dns.Dedup(set.records, nil)
	return set
}

// read finds out what a message from a server of zone says about a question.
func read(m *dns.Msg, zone string, q question) (*reply, *Failure) {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
	case dns.RcodeServerFailure:
		return nil, fail(ServFail, "The server reports a failure (SERVFAIL).")
	case dns.RcodeRefused, dns.RcodeNotAuth:
		return nil, fail(Refused, "The server refuses to answer.")
	default:
		return nil, fail(Malformed, "The server answers with %s.", dns.RcodeToString[m.Rcode])
	}
	answer := clean(m.Answer, zone)
	r := &reply{owner: q.name, ns: clean(m.Ns, zone), extra: clean(m.Extra, zone)}
	if at := delegated(r.ns, zone, q); at != "" {
		r.kind, r.owner, r.authoritative = referral, at, m.Authoritative
		return r, nil
	}
	if !m.Authoritative {
		return nil, fail(Lame, "The server neither answers with authority for %s nor refers to a zone below.", zone)
	}
	return r.resolve(m, answer, zone, q)
}

// delegated is the zone below that an authority section delegates the name to,
// if any. Nothing is delegated by a reply that shows a SOA: it denies. The
// authority bit does not count, as some servers set it on referrals, and one
// that serves the child as well answers for it at once.
func delegated(ns []dns.RR, zone string, q question) string {
	to := ""
	for _, rr := range ns {
		switch at := rr.Header().Name; rr.Header().Rrtype {
		case dns.TypeSOA:
			return ""
		case dns.TypeNS:
			// The parent is asked for DS and answers itself (RFC 4035, section
			// 3.1.4.1).
			if at != zone && within(q.name, at) && (q.typ != dns.TypeDS || at != q.name) {
				to = at
			}
		}
	}
	return to
}

// resolve reads an authoritative reply.
func (r *reply) resolve(m *dns.Msg, answer []dns.RR, zone string, q question) (*reply, *Failure) {
	if set := pick(answer, q); len(set.records) > 0 {
		r.kind, r.answer = found, set
		if q.typ == dns.TypeNS && q.name != zone {
			// This server serves the child too, and tells where the cut is.
			r.kind, r.ns, r.authoritative = referral, set.records, true
		}
		return r, nil
	}
	if set := pick(answer, question{q.name, dns.TypeCNAME}); len(set.records) > 0 {
		c, ok := set.records[0].(*dns.CNAME)
		if !ok || len(set.records) > 1 {
			return nil, fail(Malformed, "The name has more than one CNAME.")
		}
		// A CNAME made from a DNAME is not signed; the DNAME is what counts.
		if via := dnameAbove(answer, zone, q.name); via.records == nil {
			return r.lead(set, c.Target)
		}
	}
	if via := dnameAbove(answer, zone, q.name); via.records != nil {
		d, ok := via.records[0].(*dns.DNAME)
		if !ok || len(via.records) > 1 {
			return nil, fail(Malformed, "The name has more than one DNAME.")
		}
		end := "." + d.Target
		if d.Target == "." {
			end = "."
		}
		return r.lead(via, q.name[:len(q.name)-len(via.name)-1]+end)
	}
	if m.Rcode == dns.RcodeYXDomain {
		return nil, fail(Malformed, "The server answers YXDOMAIN without a DNAME.")
	}
	r.kind = nodata
	if m.Rcode == dns.RcodeNameError {
		r.kind = nxdomain
	}
	for _, rr := range r.ns {
		if soa, ok := rr.(*dns.SOA); ok && within(q.name, soa.Hdr.Name) {
			r.zone, r.soaTTL = soa.Hdr.Name, min(soa.Hdr.Ttl, soa.Minttl)
		}
	}
	return r, nil
}

// lead makes the reply an alias.
func (r *reply) lead(set rrset, target string) (*reply, *Failure) {
	to, ok := canonical(target)
	if !ok {
		return nil, fail(Malformed, "The alias at %s leads to no valid name.", set.name)
	}
	r.kind, r.answer, r.owner, r.target = alias, set, set.name, to
	return r, nil
}

// dnameAbove finds a DNAME of the zone above a name (RFC 6672, section 2.3).
func dnameAbove(answer []dns.RR, zone, name string) rrset {
	for at := name; at != zone && at != "."; {
		at = parent(at)
		if set := pick(answer, question{at, dns.TypeDNAME}); len(set.records) > 0 && at != "." {
			return set
		}
	}
	return rrset{}
}

// clean drops records that zone has no say in, lowers owner names and caps
// TTLs. The records are changed in place.
func clean(section []dns.RR, zone string) []dns.RR {
	var out []dns.RR
	for _, rr := range section {
		if rr == nil || rr.Header().Class != dns.ClassINET {
			continue // OPT carries something else in place of the class
		}
		h := rr.Header()
		h.Name = dns.CanonicalName(h.Name)
		if h.Ttl > 1<<31-1 {
			h.Ttl = 0 // RFC 2181, section 8
		}
		h.Ttl = min(h.Ttl, uint32(maxTTL.Seconds()))
		if within(h.Name, zone) {
			out = append(out, rr)
		}
	}
	return out
}
