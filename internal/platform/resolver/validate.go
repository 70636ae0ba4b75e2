package resolver

import (
	"context"
	"strings"

	"github.com/miekg/dns"
)

// A keyID is what a signature names its key by. Keys may share one.
type keyID struct {
	tag       uint16
	algorithm uint8
}

// A keyring is the keys that a zone signs with.
type keyring map[keyID][]*dns.DNSKEY

// add keeps a key that may sign a zone (RFC 4034, section 2.1; RFC 5011,
// section 2.1). More than a few keys with one tag exist only to make validation
// costly (CVE-2023-50387).
func (k keyring) add(key *dns.DNSKEY) {
	id := keyID{key.KeyTag(), key.Algorithm}
	if key.Flags&dns.ZONE != 0 && key.Flags&dns.REVOKE == 0 && key.Protocol == 3 && supported(key.Algorithm) && len(k[id]) < maxKeyTag {
		k[id] = append(k[id], key)
	}
}

// supported algorithms are those of RFC 9904 for validation, less Ed448 and
// what uses SHA-1.
func supported(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

// usable tells whether a DS record can be followed.
func usable(ds *dns.DS) bool {
	return supported(ds.Algorithm) && (ds.DigestType == dns.SHA256 || ds.DigestType == dns.SHA384)
}

// trust finds the DS records of the zone a referral leads to: those of the
// referral, or of the parent's servers when it proves nothing. None means that
// the zone is proven to be insecure. The TTL is of what proves it.
func (l *lookup) trust(ctx context.Context, from *zone, rep *reply, strict bool) (ds []*dns.DS, ttl uint32, err error) {
	most := uint32(maxTTL.Seconds())
	if ds := l.r.anchors[rep.owner]; len(ds) > 0 {
		return ds, most, nil
	}
	if from.security != Secure {
		return nil, most, nil
	}
	q := question{rep.owner, dns.TypeDS}
	if ds, ttl, f := l.delegation(from, pick(rep.ns, q), rep.ns); f == nil {
		return ds, ttl, nil
	}
	_, err = l.ask(ctx, from, q, l.r.attempts, func(rep *reply) error {
		if !strict && !rep.signedBy(from.name) {
			return errHidden
		}
		var f *Failure
		switch rep.kind {
		case found, nodata:
			rep.answer.question = q
			ds, ttl, f = l.delegation(from, rep.answer, rep.ns)
		default:
			f = fail(Bogus, "The parent refers to %s but denies that it exists.", q.name)
		}
		if f != nil {
			return f
		}
		return nil
	})
	return ds, ttl, err
}

// delegation validates a DS set, or the proof that there is none.
func (l *lookup) delegation(from *zone, set rrset, authority []dns.RR) (ds []*dns.DS, ttl uint32, f *Failure) {
	if len(set.records) == 0 {
		p := l.proofs(from, authority)
		if p.delegatedWithoutDS(set.name) == unproven {
			return nil, 0, p.failure("Nothing proves that %s has no DS records.", set.name)
		}
		return nil, p.ttl, nil
	}
	v, f := l.verify(from, set)
	if f == nil && v.expanded {
		f = fail(Bogus, "The DS records of %s come from a wildcard.", set.name)
	}
	if f != nil {
		return nil, 0, f
	}
	for _, rr := range set.records {
		if rr, ok := rr.(*dns.DS); ok {
			ds = append(ds, rr)
		}
	}
	return ds, v.ttl, nil
}

// unlock fetches the keys of a zone that DS records or anchors vouch for. A
// zone whose DS records cannot be followed is insecure (RFC 4035, section 5.2);
// anchors that cannot be followed are a failure, or they would switch
// validation off.
func (l *lookup) unlock(ctx context.Context, z *zone, ds []*dns.DS) error {
	var follow []*dns.DS
	for _, d := range ds {
		if usable(d) {
			follow = append(follow, d)
		}
	}
	if len(follow) == 0 && len(l.r.anchors[z.name]) == 0 {
		return nil
	}
	z.security = Secure
	if len(follow) == 0 {
		return fail(Bogus, "The trust anchors of %s have algorithms that are not supported.", z.name).in(z.name, z)
	}
	_, err := l.ask(ctx, z, question{z.name, dns.TypeDNSKEY}, l.r.attempts, func(rep *reply) error {
		if rep.kind != found {
			return fail(Bogus, "The zone %s has DS records but shows no keys.", z.name)
		}
		keys, ttl, f := l.keys(z.name, rep.answer, follow)
		if f != nil {
			return f
		}
		z.keys = keys
		if until := l.r.clock.Now().Add(seconds(ttl)); until.Before(z.expires) {
			z.expires = until
		}
		return nil
	})
	return err
}

// keys validates a DNSKEY set: one of its keys, which a DS record vouches for,
// must have signed it (RFC 4035, section 5.2).
func (l *lookup) keys(name string, set rrset, ds []*dns.DS) (keyring, uint32, *Failure) {
	vouched, all := keyring{}, keyring{}
	for _, rr := range set.records {
		key, ok := rr.(*dns.DNSKEY)
		if !ok {
			continue
		}
		all.add(key)
		tag := key.KeyTag()
		for _, d := range ds {
			if d.KeyTag != tag || d.Algorithm != key.Algorithm {
				continue
			}
			if l.checks++; l.checks > maxChecks {
				return nil, 0, fail(Limit, "The lookup needs more than %d signature checks.", maxChecks)
			}
			if own := key.ToDS(d.DigestType); own != nil && strings.EqualFold(own.Digest, d.Digest) {
				vouched.add(key)
				break
			}
		}
	}
	if len(vouched) == 0 {
		return nil, 0, fail(Bogus, "None of the keys of %s is the one that its parent or the trust anchor names.", name)
	}
	v, f := l.verify(&zone{name: name, keys: vouched}, set)
	return all, v.ttl, f
}

// What a valid signature says about a set.
type verified struct {
	ttl      uint32
	labels   int  // of the owner that was signed, without "*"
	expanded bool // the owner was made from a wildcard
}

// verify validates a set with a zone's keys (RFC 4035, section 5.3).
func (l *lookup) verify(z *zone, set rrset) (verified, *Failure) {
	own := dns.CountLabel(set.name)
	if strings.HasPrefix(set.name, "*.") {
		own--
	}
	now := uint32(l.r.clock.Now().Unix()) //nolint:gosec // serial numbers wrap (RFC 4034, section 3.1.5)
	worst, tries := fail(Bogus, "There is no signature of %s over %s %s.", z.name, set.name, dns.Type(set.typ)), 0
	for _, sig := range set.sigs {
		if dns.CanonicalName(sig.SignerName) != z.name || int(sig.Labels) > own {
			continue
		}
		if int32(now-sig.Inception) < 0 || int32(sig.Expiration-now) < 0 { //nolint:gosec // serial number arithmetic (RFC 1982)
			worst = fail(Bogus, "The signature over %s %s is valid from %s to %s only.", set.name, dns.Type(set.typ), dns.TimeToString(sig.Inception), dns.TimeToString(sig.Expiration))
			continue
		}
		for _, key := range z.keys[keyID{sig.KeyTag, sig.Algorithm}] {
			if tries++; tries > maxSetChecks {
				return verified{}, fail(Bogus, "None of %d signatures over %s %s is valid.", maxSetChecks, set.name, dns.Type(set.typ))
			}
			if l.checks++; l.checks > maxChecks {
				return verified{}, fail(Limit, "The lookup needs more than %d signature checks.", maxChecks)
			}
			if sig.Verify(key, set.records) == nil {
				return verified{ttl: min(set.ttl(), sig.OrigTtl, sig.Expiration-now), labels: int(sig.Labels), expanded: int(sig.Labels) < own}, nil
			}
			worst = fail(Bogus, "The signature over %s %s is wrong.", set.name, dns.Type(set.typ))
		}
	}
	return verified{}, worst
}

// judge makes a step of an authoritative reply: validated if the zone is
// secure, as it is otherwise.
func (l *lookup) judge(z *zone, rep *reply, q question) (*step, error) {
	s := &step{kind: rep.kind, target: rep.target, zone: z.name, server: rep.server, security: z.security, chain: z.security}
	ttl := rep.soaTTL
	if rep.kind == found || rep.kind == alias {
		ttl = rep.answer.ttl()
	}
	if rep.kind == found {
		s.records = rep.answer.records
	}
	if z.security == Secure {
		proven, f := l.prove(z, rep, q, s)
		if f != nil {
			return nil, f
		}
		ttl = min(ttl, proven)
	}
	s.expires = l.r.clock.Now().Add(seconds(ttl))
	return s, nil
}

// prove validates a reply of a secure zone, notes in s what is proven, and
// returns the TTL of the proof.
func (l *lookup) prove(z *zone, rep *reply, q question, s *step) (uint32, *Failure) {
	if rep.kind == found || rep.kind == alias {
		v, f := l.verify(z, rep.answer)
		if f != nil || !v.expanded {
			return v.ttl, f
		}
		p := l.proofs(z, rep.ns)
		switch p.expanded(rep.answer.name, v.labels) {
		case unproven:
			return 0, p.failure("Nothing proves that %s does not exist beside the wildcard.", rep.answer.name)
		case open:
			s.security = Insecure
		}
		return min(v.ttl, p.ttl), nil
	}
	p := l.proofs(z, rep.ns)
	got := unproven
	if rep.kind == nxdomain {
		got = p.noName(q.name)
	}
	if got == unproven {
		// Some servers deny a name that only has others below it.
		if got = p.noType(q.name, q.typ); got != unproven {
			s.kind = nodata
		}
	}
	switch got {
	case unproven:
		return 0, p.failure("Nothing proves that %s %s does not exist.", q.name, dns.Type(q.typ))
	case open:
		s.security = Insecure
	}
	return p.ttl, nil
}
