// Package resolver resolves DNS names on its own, from the root servers down,
// and validates every answer with DNSSEC. It is the resolver of a certification
// authority's primary network perspective (TLS Baseline Requirements, sections
// 3.2.2.4 and 3.2.2.8.1): it asks no other resolver, believes no AD bit, and
// has no switch that turns validation off.
//
// [Resolver.Lookup] answers with what is proven about the answer: [Secure] when
// a chain of signatures reaches from a trust anchor to it, [Insecure] when such
// a chain proves that the zone is not signed. Everything else is a [Failure]
// and never an answer; SERVFAIL, a broken signature and silence are failures.
//
// # How it resolves
//
// Queries go out over UDP with EDNS (1232 octets, DO), a random id, a random
// source port and random upper and lower case in the name (which the reply must
// repeat), and again over TCP when the reply is truncated or bad. Names are
// revealed to a server one label at a time (RFC 9156) with a fall-back for
// servers that mind. Records count only where the answering zone has a say.
// Addresses that a parent gives for a child's servers serve that delegation and
// nothing else. Aliases (CNAME, DNAME) are followed by asking anew.
//
// # What it validates
//
// Algorithms 8, 10, 13, 14 and 15; DS digests SHA-256 and SHA-384. A zone whose
// DS records name others only, which includes all that need SHA-1, is insecure
// (RFC 4035, section 5.2; RFC 6840, section 5.2). Denial of existence is
// proven with NSEC or NSEC3; a denial with more than 100 additional hash
// iterations is insecure (RFC 9276, section 3.2), as is one that rests on
// opt-out. Signature times are taken as they are, without allowance for skew.
//
// # Limits
//
// One lookup sends at most 200 queries, checks at most 256 signatures (8 for a
// record set, 4 keys for a key tag), follows at most 12 aliases and goes 6 name
// servers deep for the address of a name server; it ends after 30 seconds. Of a
// delegation it takes 13 name servers and looks up the addresses of 5 at most.
// Answers, negative answers and delegations are kept for their TTL, 8 hours at
// most. A Resolver may be used from any goroutine.
package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/egress"
)

// The limits of one lookup; see the package's documentation.
const (
	maxQueries   = 200
	maxChecks    = 256
	maxSetChecks = 8
	maxKeyTag    = 4
	maxHashes    = 20_000 // NSEC3 hash iterations
	maxAliases   = 12
	maxDepth     = 6
	maxServers   = 13
	maxAddresses = 8 // of one name server
	maxGlueless  = 5 // name servers whose addresses are looked up, of one zone
	maxMinimised = 10
	maxTime      = 30 * time.Second
	maxTTL       = 8 * time.Hour
)

// Options configure a [Resolver]. The zero value is ready for the internet.
type Options struct {
	Hints        []netip.Addr          // addresses of root servers; the IANA root servers when empty
	Anchors      []*dns.DS             // trust anchors, for the root or other zones; the IANA root keys when empty
	Port         uint16                // of all servers; 53 when zero
	Timeout      time.Duration         // for one reply; 2 seconds when zero
	Attempts     int                   // rounds through a zone's servers; 2 when zero
	CacheEntries int                   // answers and delegations kept; 10,000 when zero
	Clock        clock.Clock           // for signatures and the cache; the system's when nil
	Allow        func(netip.Addr) bool // which servers may be asked; those with public addresses when nil
}

// A Resolver resolves names. Make one with [New].
type Resolver struct {
	hints    []netip.Addr
	anchors  map[string][]*dns.DS
	port     uint16
	timeout  time.Duration
	attempts int
	clock    clock.Clock
	allow    func(netip.Addr) bool

	steps  *lru[question, *step]
	zones  *lru[string, *zone]
	ailing *lru[netip.Addr, struct{}] // servers that failed to answer lately
}

// New makes a resolver.
func New(o Options) *Resolver {
	if len(o.Hints) == 0 {
		o.Hints = rootServers()
	}
	if len(o.Anchors) == 0 {
		o.Anchors = rootAnchors()
	}
	entries := defaulted(o.CacheEntries, 10_000)
	r := &Resolver{
		hints:    slices.Clone(o.Hints),
		anchors:  map[string][]*dns.DS{},
		port:     defaulted(o.Port, 53),
		timeout:  defaulted(o.Timeout, 2*time.Second),
		attempts: defaulted(o.Attempts, 2),
		clock:    o.Clock,
		allow:    o.Allow,
		steps:    newLRU[question, *step](entries),
		zones:    newLRU[string, *zone](entries),
		ailing:   newLRU[netip.Addr, struct{}](entries),
	}
	for _, ds := range o.Anchors {
		at := dns.CanonicalName(ds.Hdr.Name)
		r.anchors[at] = append(r.anchors[at], ds)
	}
	if r.clock == nil {
		r.clock = clock.System{}
	}
	if r.allow == nil {
		r.allow = func(a netip.Addr) bool { return egress.Class(a) == "" }
	}
	return r
}

func defaulted[T int | uint16 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Security is what DNSSEC proves about an answer or a zone.
type Security uint8

// The degrees of security.
const (
	Unknown  Security = iota // nothing is proven; no Answer has it
	Insecure                 // proven to lie outside any chain of trust
	Secure                   // signed, down from a trust anchor
)

// String names the degree.
func (s Security) String() string {
	switch s {
	case Insecure:
		return "insecure"
	case Secure:
		return "secure"
	}
	return "unknown"
}

// An Answer is what the DNS holds for a name and type.
type Answer struct {
	Name     string        // as asked: fully qualified, lower case
	Owner    string        // whose records these are: Name, or the end of its aliases
	Records  []dns.RR      // of the type asked, at Owner; empty when there are none
	Exists   bool          // false when Owner does not exist (NXDOMAIN)
	Security Security      // Secure or Insecure: the least of all steps
	TTL      time.Duration // what is left of the least TTL among aliases, records and denial
	Servers  []string      // addresses of the servers whose replies this is
	Aliases  []string      // the names passed on the way to Owner, Name first; empty without aliases
}

// Lookup resolves the records of one type at a name, which must be in ASCII
// (A-labels). Following aliases is part of it, except for CNAME itself. An
// error is a [*Failure]. Types that are questions only (ANY, AXFR, …) and those
// that carry DNSSEC's denial and signatures (RRSIG, NSEC, NSEC3) are refused.
func (r *Resolver) Lookup(ctx context.Context, name string, qtype uint16) (Answer, error) {
	return r.lookup(ctx, name, qtype, false)
}

// Fresh is [Resolver.Lookup], but the answer comes from the name's servers now
// and not from the cache: for records that were just put there to prove control
// of a domain. Delegations and keys may still be those of the cache.
func (r *Resolver) Fresh(ctx context.Context, name string, qtype uint16) (Answer, error) {
	return r.lookup(ctx, name, qtype, true)
}

func (r *Resolver) lookup(ctx context.Context, name string, qtype uint16, fresh bool) (Answer, error) {
	asked, ok := canonical(name)
	if !ok || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Answer{}, &Failure{Kind: Malformed, Name: name, Text: "This is not a domain name in ASCII."}
	}
	if !answerable(qtype) {
		return Answer{}, &Failure{Kind: Malformed, Name: asked, Text: fmt.Sprintf("Records of type %s cannot be looked up.", dns.Type(qtype))}
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	l := &lookup{r: r, fresh: fresh, busy: map[string]bool{}, addrs: map[string][]netip.Addr{}}
	return l.follow(ctx, asked, qtype)
}

// answerable tells types that zones hold for their own sake.
func answerable(qtype uint16) bool {
	switch qtype {
	case dns.TypeNone, dns.TypeRRSIG, dns.TypeSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeOPT, dns.TypeTKEY, dns.TypeTSIG:
		return false
	}
	return qtype < 128 || qtype > 255
}

// follow resolves a name and the aliases it leads to.
func (l *lookup) follow(ctx context.Context, name string, qtype uint16) (Answer, error) {
	a := Answer{Name: name, Owner: name, Security: Secure, TTL: maxTTL}
	var chain Security // the best of the zones passed
	for range maxAliases + 1 {
		s, err := l.step(ctx, question{a.Owner, qtype})
		if f, ok := errors.AsType[*Failure](err); ok {
			// A secure name stays one when it leads to a zone that fails.
			f.ZoneSecurity = secureIfAny(f.ZoneSecurity, chain)
		}
		if err != nil {
			return Answer{}, err
		}
		chain = secureIfAny(s.chain, chain)
		a.take(s, l.r.clock.Now())
		if s.kind != alias {
			return a, nil
		}
		if a.Aliases = append(a.Aliases, a.Owner); slices.Contains(a.Aliases, s.target) {
			return Answer{}, &Failure{Kind: Loop, Name: name, Zone: s.zone, ZoneSecurity: chain, Text: "The aliases lead back to " + s.target}
		}
		a.Owner = s.target
	}
	return Answer{}, &Failure{Kind: Limit, Name: name, ZoneSecurity: chain, Text: fmt.Sprintf("There are more than %d aliases on the way.", maxAliases)}
}

func secureIfAny(a, b Security) Security {
	if b == Secure {
		return Secure
	}
	return a
}

// take adds a step to an answer. The records are copies: those of the step may
// be in the cache.
func (a *Answer) take(s *step, now time.Time) {
	a.Security = min(a.Security, s.security)
	a.TTL = min(a.TTL, max(0, s.expires.Sub(now)))
	if !slices.Contains(a.Servers, s.server) {
		a.Servers = append(a.Servers, s.server)
	}
	if s.kind == alias {
		return
	}
	a.Exists = s.kind != nxdomain
	for _, rr := range s.records {
		a.Records = append(a.Records, dns.Copy(rr))
	}
}
