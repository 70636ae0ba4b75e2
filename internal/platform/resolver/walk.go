package resolver

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// A lookup is the work on one question of a caller, with all that it leads to.
// It is used by one goroutine.
type lookup struct {
	r     *Resolver
	fresh bool // the caller's own names are not answered from the cache

	queries, checks, hashes, depth int

	busy  map[string]bool         // name servers whose addresses are being looked up
	addrs map[string][]netip.Addr // of name servers, found during this lookup
}

// A step is the outcome for one name and type, without following an alias.
type step struct {
	kind     kind // found, alias, nodata or nxdomain
	records  []dns.RR
	target   string
	zone     string
	server   string
	security Security
	chain    Security // of the zone; Secure also where opt-out leaves the step insecure
	expires  time.Time
}

// A zone is a delegation that was walked to: who serves it and what is proven
// of it. It is not changed once it is in the cache.
type zone struct {
	name     string
	servers  []nameserver
	security Security
	keys     keyring // of a secure zone
	expires  time.Time
}

// A nameserver is a name and the addresses given with the delegation. Those
// serve this delegation only: the parent has no authority over them.
type nameserver struct {
	name  string
	addrs []netip.Addr
}

// step resolves a question of the caller's own, from the cache if it may.
func (l *lookup) step(ctx context.Context, q question) (*step, error) {
	if !l.fresh || l.depth > 0 {
		if s, ok := l.r.steps.get(q, l.r.clock.Now()); ok {
			return s, nil
		}
	}
	s, err := l.resolve(ctx, q)
	if err != nil {
		return nil, err
	}
	if size(s.records) <= maxCached {
		l.r.steps.put(q, s, s.expires)
	}
	return s, nil
}

// maxCached keeps large answers out of the cache, which counts entries.
const maxCached = 8 << 10

func size(records []dns.RR) (n int) {
	for _, rr := range records {
		n += dns.Len(rr)
	}
	return n
}

// errHidden reports a reply that is not of the zone asked, as it seems: there
// is a zone cut on the way to the name that no referral has shown, because one
// server serves parent and child.
var errHidden = errors.New("a zone cut is hidden")

// resolve walks down from the deepest delegation known to the name.
//
// Between that zone and the name, labels are revealed one at a time, by asking
// for NS records: a cut shows itself even when one server serves both sides. A
// server that fails such a question gets the full one. If then the reply of a
// secure zone carries no signature of that zone, each label is looked at after
// all, before the reply counts as bogus.
func (l *lookup) resolve(ctx context.Context, q question) (*step, error) {
	z, err := l.closest(ctx, q)
	if err != nil {
		return nil, err
	}
	for reached, minimised, strict, relaxed := z.name, 0, false, false; ; {
		next := below(reached, q.name)
		looking := reached != q.name && l.probes(q, next, strict, relaxed, minimised)
		var rep *reply
		var s *step
		if looking {
			minimised++
			rep, err = l.probe(ctx, z, next)
		} else {
			rep, s, err = l.final(ctx, z, q, strict)
		}
		into := z
		if err == nil && rep.kind == referral {
			into, err = l.enter(ctx, z, rep, strict)
		}
		switch {
		case errors.Is(err, errHidden):
			reached, strict = z.name, true
		case err != nil && (!looking || rep != nil):
			return nil, err
		case err != nil, looking && rep.kind == nxdomain:
			// Servers exist that fail for NS, or deny names that only have
			// others below them. The full question decides.
			reached, relaxed = q.name, true
		case into != z:
			z, reached, strict, relaxed = into, into.name, false, false
		case looking:
			reached = next
		default:
			return s, nil
		}
	}
}

// probes tells whether the next label is to be looked at before the full
// question is asked. The question for DS is the parent's, so the last label is
// not looked at for that.
func (l *lookup) probes(q question, next string, strict, relaxed bool, minimised int) bool {
	switch {
	case q.typ == dns.TypeDS && next == q.name:
		return false
	case strict:
		return true
	case len(l.r.anchors[next]) > 0:
		return !relaxed // whether the parent is signed or not, this is a zone that is
	}
	return !relaxed && next != q.name && minimised < maxMinimised
}

// probe looks for a zone cut at a name.
func (l *lookup) probe(ctx context.Context, z *zone, name string) (*reply, error) {
	return l.ask(ctx, z, question{name, dns.TypeNS}, 1, func(*reply) error { return nil })
}

// final puts the full question to a zone's servers.
func (l *lookup) final(ctx context.Context, z *zone, q question, strict bool) (*reply, *step, error) {
	if at := l.r.anchored(q); !within(z.name, at) && within(at, z.name) {
		// Whoever hides the delegation must not get an insecure answer for it.
		return nil, nil, fail(Bogus, "The zone %s has a trust anchor, but is not delegated.", at).in(q.name, z)
	}
	var s *step
	rep, err := l.ask(ctx, z, q, l.r.attempts, func(rep *reply) error {
		if rep.kind == referral {
			return nil
		}
		if z.security == Secure && !strict && z.name != q.name && !rep.signedBy(z.name) {
			return errHidden
		}
		var err error
		s, err = l.judge(z, rep, q)
		return err
	})
	if _, failed := errors.AsType[*Failure](err); failed {
		// The delegation or its keys may have changed; ask anew next time.
		l.r.zones.drop(z.name)
	}
	return rep, s, err
}

// anchored is the deepest name with a trust anchor at or above a name, for DS
// above it; the root if there is none.
func (r *Resolver) anchored(q question) string {
	at := q.name
	if q.typ == dns.TypeDS {
		at = parent(at)
	}
	for ; at != "." && len(r.anchors[at]) == 0; at = parent(at) { //nolint:revive // the loop is all there is
	}
	return at
}

// signedBy tells whether a reply looks like one of a signed zone.
func (r *reply) signedBy(zone string) bool {
	sigs := r.answer.sigs
	if r.kind == nodata || r.kind == nxdomain {
		if r.zone != "" && r.zone != zone {
			return false
		}
		for _, rr := range r.ns {
			if sig, ok := rr.(*dns.RRSIG); ok {
				sigs = append(sigs, sig)
			}
		}
	}
	for _, sig := range sigs {
		if dns.CanonicalName(sig.SignerName) == zone {
			return true
		}
	}
	return false
}

// closest is the deepest zone known that is to be asked: at the name or above
// it, for DS above it.
func (l *lookup) closest(ctx context.Context, q question) (*zone, error) {
	at := q.name
	if q.typ == dns.TypeDS {
		at = parent(at)
	}
	for ; ; at = parent(at) {
		if z, ok := l.r.zones.get(at, l.r.clock.Now()); ok {
			return z, nil
		}
		if at == "." {
			return l.root(ctx)
		}
	}
}

// root begins the walk, with the configured servers and anchors.
func (l *lookup) root(ctx context.Context) (*zone, error) {
	z := &zone{name: ".", servers: []nameserver{{addrs: l.r.hints}}, security: Insecure, expires: l.r.clock.Now().Add(maxTTL)}
	if ds := l.r.anchors["."]; len(ds) > 0 {
		if err := l.unlock(ctx, z, ds); err != nil {
			return nil, err
		}
	}
	l.r.zones.put(z.name, z, z.expires)
	return z, nil
}

// enter makes the zone that a referral leads to, with what is proven of it.
func (l *lookup) enter(ctx context.Context, from *zone, rep *reply, strict bool) (*zone, error) {
	ds, ttl, err := l.trust(ctx, from, rep, strict)
	if err != nil {
		return nil, err
	}
	z := &zone{name: rep.owner, servers: l.r.servers(rep), security: Insecure}
	z.expires = l.r.clock.Now().Add(seconds(min(ttl, pick(rep.ns, question{rep.owner, dns.TypeNS}).ttl())))
	if len(ds) > 0 {
		if err := l.unlock(ctx, z, ds); err != nil {
			return nil, err
		}
	}
	l.r.zones.put(z.name, z, z.expires)
	return z, nil
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }
