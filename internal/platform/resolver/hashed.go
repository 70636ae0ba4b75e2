package resolver

import (
	"strings"

	"github.com/miekg/dns"
)

// maxIterations is the most additional iterations of a hash that are followed;
// RFC 9276, section 3.2, lets validators treat more as insecure.
const maxIterations = 100

// hashed proves denial with NSEC3 records (RFC 5155).
type hashed struct {
	l       *lookup
	zone    string
	records []*dns.NSEC3 // with the parameters of the first
	costly  bool         // there are records with too many iterations
	known   map[string]string
}

// add takes a validated record, unless it uses what is not known (RFC 5155,
// sections 8.1 and 8.2).
func (h *hashed) add(n *dns.NSEC3) {
	const optOut = 1
	switch {
	case n.Hash != dns.SHA1, n.Flags&^optOut != 0, parent(n.Hdr.Name) != h.zone || n.Hdr.Name == ".":
	case n.Iterations > maxIterations:
		h.costly = true
	case len(h.records) > 0 && (n.Iterations != h.records[0].Iterations || n.Salt != h.records[0].Salt):
	default:
		h.records = append(h.records, n)
	}
}

func (h *hashed) noName(name string) verdict {
	if h.costly {
		return open
	}
	at, cover := h.closest(name)
	if cover == nil || h.cover(wildcard(at)) == nil {
		return unproven
	}
	return unlessOptOut(cover)
}

func (h *hashed) noType(name string, typ uint16) verdict {
	if h.costly {
		return open
	}
	if n := h.match(name); n != nil {
		if lacks(n.TypeBitMap, name, typ) {
			return proven
		}
		return unproven
	}
	at, cover := h.closest(name)
	if cover == nil {
		return unproven
	}
	if n := h.match(wildcard(at)); n != nil && lacks(n.TypeBitMap, wildcard(at), typ) {
		return unlessOptOut(cover)
	}
	// RFC 5155, section 8.6: opt-out hides insecure delegations, and the names
	// that only have such below them.
	if unlessOptOut(cover) == open {
		return open
	}
	return unproven
}

func (h *hashed) expanded(name string, labels int) verdict {
	if h.costly {
		return open
	}
	if labels >= dns.CountLabel(name) {
		return unproven
	}
	if n := h.cover(keepRight(name, labels+1)); n != nil {
		return unlessOptOut(n)
	}
	return unproven
}

func (h *hashed) delegatedWithoutDS(name string) verdict {
	if h.costly {
		return open
	}
	if n := h.match(name); n != nil {
		return insecureCut(n.TypeBitMap)
	}
	if _, cover := h.closest(name); cover != nil && unlessOptOut(cover) == open {
		return open
	}
	return unproven
}

func unlessOptOut(n *dns.NSEC3) verdict {
	if n.Flags&1 != 0 {
		return open
	}
	return proven
}

// closest finds the deepest name above one that exists, and the record that
// denies the name one label further down (RFC 5155, section 8.3). The record is
// nil if there is no such proof.
func (h *hashed) closest(name string) (string, *dns.NSEC3) {
	for at := name; at != h.zone && at != "."; {
		further := at
		at = parent(at)
		n := h.match(at)
		if n == nil {
			continue
		}
		if leaves(n.TypeBitMap) {
			return at, nil
		}
		return at, h.cover(further)
	}
	return "", nil
}

func (h *hashed) match(name string) *dns.NSEC3 {
	if len(h.records) == 0 {
		return nil
	}
	sum := h.hash(name)
	for _, n := range h.records {
		if sum != "" && owner(n) == sum {
			return n
		}
	}
	return nil
}

func (h *hashed) cover(name string) *dns.NSEC3 {
	if len(h.records) == 0 {
		return nil
	}
	sum := h.hash(name)
	for _, n := range h.records {
		if from, to := owner(n), strings.ToUpper(n.NextDomain); sum != "" && between(from, sum, to) {
			return n
		}
	}
	return nil
}

// between tells whether a hash lies in a gap of the circle of hashes, whose
// encoding keeps their order.
func between(from, sum, to string) bool {
	switch {
	case len(from) != len(sum) || len(to) != len(sum):
		return false
	case from < to:
		return from < sum && sum < to
	case from > to:
		return sum > from || sum < to
	}
	return sum != from
}

// owner is the hash in the name of a record.
func owner(n *dns.NSEC3) string {
	label, _, _ := strings.Cut(n.Hdr.Name, ".")
	return strings.ToUpper(label)
}

// hash hashes a name, within the limit of a lookup (CVE-2023-50868); it is
// empty when that is reached.
func (h *hashed) hash(name string) string {
	sum, ok := h.known[name]
	if ok {
		return sum
	}
	n := h.records[0]
	if h.l.hashes += 1 + int(n.Iterations); h.l.hashes > maxHashes {
		return ""
	}
	sum = dns.HashName(name, n.Hash, n.Iterations, n.Salt)
	h.known[name] = sum
	return sum
}
