package resolver

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// ailingFor is how long a server that did not answer is asked last.
const ailingFor = 5 * time.Minute

// ask puts a question to the servers of a zone, one after the other, until one
// gives a reply that accept takes. A reply that is not taken is asked for again
// over TCP, where nobody can slip in a forged one, and then of the next server.
// The failure reported is the most telling one.
func (l *lookup) ask(ctx context.Context, z *zone, q question, rounds int, accept func(*reply) error) (*reply, error) {
	var worst *Failure
	for range rounds {
		for addr := range l.addresses(ctx, z, &worst) {
			rep, err := l.askOne(ctx, z, addr, q, accept)
			if err == nil {
				return rep, nil
			}
			f, ok := errors.AsType[*Failure](err)
			if !ok {
				return nil, err
			}
			f.Server = addr.String()
			if f.Kind == Limit {
				return nil, f.in(q.name, z)
			}
			worst = worse(worst, f)
			if ctx.Err() != nil {
				return nil, worst.in(q.name, z)
			}
		}
	}
	if worst == nil {
		worst = fail(Lame, "No name server of the zone has an address that may be asked.")
	}
	return nil, worst.in(q.name, z)
}

// worse is the more telling of two failures.
func worse(a, b *Failure) *Failure {
	if a == nil || b.Kind >= a.Kind {
		return b
	}
	return a
}

// askOne asks one server: over UDP, then over TCP if the reply is truncated or
// not taken.
func (l *lookup) askOne(ctx context.Context, z *zone, addr netip.Addr, q question, accept func(*reply) error) (*reply, error) {
	edns, tcp := true, false
	for {
		rep, truncated, err := l.try(ctx, z, addr, q, edns, tcp)
		if err == nil && !truncated {
			err = accept(rep)
		}
		f, failed := errors.AsType[*Failure](err)
		switch {
		case errors.Is(err, errNoEDNS):
			edns = false
		case err == nil && !truncated:
			return rep, nil
		case truncated && tcp:
			return nil, fail(Malformed, "The reply is truncated over TCP.")
		case truncated, failed && !tcp && (f.Kind == Malformed || f.Kind == Bogus):
			tcp = true
		default:
			return nil, err
		}
	}
}

// errNoEDNS reports a server that does not understand EDNS.
var errNoEDNS = errors.New("the server knows no EDNS")

// try sends one query and reads the reply.
func (l *lookup) try(ctx context.Context, z *zone, addr netip.Addr, q question, edns, tcp bool) (rep *reply, truncated bool, err error) {
	if l.queries++; l.queries > maxQueries {
		return nil, false, fail(Limit, "The lookup needs more than %d queries.", maxQueries)
	}
	packed, err := newQuery(q, edns)
	if err != nil {
		return nil, false, fail(Malformed, "The name cannot be asked for.")
	}
	m, f := l.r.exchange(ctx, addr, packed, tcp)
	if f != nil {
		if f.Kind == Timeout && ctx.Err() == nil {
			l.r.ailing.put(addr, struct{}{}, l.r.clock.Now().Add(ailingFor))
		}
		return nil, false, f
	}
	l.r.ailing.drop(addr)
	switch {
	case edns && z.security != Secure && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) && m.IsEdns0() == nil:
		return nil, false, errNoEDNS // RFC 6891, section 7
	case m.Truncated:
		return nil, true, nil
	}
	rep, f = read(m, z.name, q)
	if f != nil {
		return nil, false, f
	}
	rep.server = addr.String()
	return rep, false, nil
}

// addresses gives where a zone is served: first the addresses that came with
// the delegation or are known, then those of name servers that have to be
// looked up, as long as they are wanted. Servers that did not answer lately
// come last in each part.
func (l *lookup) addresses(ctx context.Context, z *zone, worst **Failure) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		var known []netip.Addr
		var unknown []string
		for _, ns := range z.servers {
			addrs, looked := ns.addrs, len(ns.addrs) > 0
			if !looked {
				addrs, looked = l.addrs[ns.name]
			}
			if known = append(known, addrs...); !looked {
				unknown = append(unknown, ns.name)
			}
		}
		if !l.inTurn(known, yield) {
			return
		}
		for i, name := range unknown {
			if i == maxGlueless || ctx.Err() != nil {
				return
			}
			addrs, err := l.address(ctx, name)
			if f, ok := errors.AsType[*Failure](err); ok {
				// Not the failure itself: it tells of another zone's security.
				*worst = worse(*worst, fail(f.Kind, "The name server %s has no address: %s", name, f.Text))
			}
			if !l.inTurn(addrs, yield) {
				return
			}
		}
	}
}

// inTurn yields the addresses that may be asked, in random order, ailing ones
// last.
func (l *lookup) inTurn(addrs []netip.Addr, yield func(netip.Addr) bool) bool {
	addrs = slices.Clone(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	now := l.r.clock.Now()
	var last []netip.Addr
	for _, a := range addrs {
		if !l.r.allow(a) {
			continue
		}
		if _, ailing := l.r.ailing.get(a, now); ailing {
			last = append(last, a)
		} else if !yield(a) {
			return false
		}
	}
	for _, a := range last {
		if !yield(a) {
			return false
		}
	}
	return true
}

// address looks up a name server's addresses: IPv4, and IPv6 if there is none.
// An alias counts as no address (RFC 2181, section 10.3). Each call costs one
// query, so that delegations that depend on each other cannot keep it busy from
// the cache alone.
func (l *lookup) address(ctx context.Context, name string) ([]netip.Addr, error) {
	switch l.queries++; {
	case l.busy[name]:
		return nil, fail(Loop, "The address of %s depends on itself.", name)
	case l.depth == maxDepth:
		return nil, fail(Limit, "Name servers depend on each other more than %d deep.", maxDepth)
	case l.queries > maxQueries:
		return nil, fail(Limit, "The lookup needs more than %d queries.", maxQueries)
	}
	l.busy[name] = true
	l.depth++
	defer func() {
		delete(l.busy, name)
		l.depth--
	}()
	var out []netip.Addr
	for _, typ := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
		s, err := l.step(ctx, question{name, typ})
		if err != nil {
			return nil, err
		}
		for _, rr := range s.records {
			if a, ok := addressOf(rr); ok && len(out) < maxAddresses {
				out = append(out, a)
			}
		}
		if len(out) > 0 || s.kind == nxdomain {
			break
		}
	}
	l.addrs[name] = out
	return out, nil
}

func addressOf(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		return netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA.To16())
	}
	return netip.Addr{}, false
}

// servers reads the name servers of a referral and the addresses given for them.
func (r *Resolver) servers(rep *reply) []nameserver {
	var out []nameserver
	for _, rr := range rep.ns {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Name != rep.owner {
			continue
		}
		if name, ok := canonical(ns.Ns); ok {
			out = append(out, nameserver{name: name})
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	out = out[:min(len(out), maxServers)]
	for i := range out {
		for _, rr := range rep.extra {
			a, ok := addressOf(rr)
			if ok && rr.Header().Name == out[i].name && len(out[i].addrs) < maxAddresses {
				out[i].addrs = append(out[i].addrs, a)
			}
		}
	}
	if a, err := netip.ParseAddr(rep.server); err == nil && rep.authoritative {
		out = append(out, nameserver{addrs: []netip.Addr{a}})
	}
	return out
}
