// Package resolvertest runs a private tree of DNS zones on loopback addresses,
// served by BIND's named, so that tests can resolve names from a root of their
// own, with DNSSEC signatures made by BIND's dnssec-signzone.
//
//	tree := resolvertest.Start(t,
//		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA},
//		resolvertest.Zone{Name: "good.test.", Sign: resolvertest.ECDSA, Records: `
//			@    CAA 0 issue "ca.example"
//			www  A   127.0.0.1`},
//		resolvertest.Zone{Name: "plain.test.", Records: "www A 127.0.0.1"})
//	r := resolver.New(resolver.Options{Hints: tree.Hints, Anchors: tree.Anchors,
//		Port: tree.Port, Allow: tree.Allow})
//	tree.Update(t, "good.test.", `_acme-challenge 1 TXT "token"`)
//
// A root zone, signed with ECDSA, is added unless one is given. Each zone has
// addresses of its own in 127.0.0.0/8 and is delegated from the nearest zone
// above it, with DS records when both are signed; SOA, NS and glue records are
// written for it. All servers listen on one unprivileged port. One named
// process serves the whole tree, with a view for each server, so referrals are
// real: a parent's server does not know the child's records. For servers that
// lie, [Zone.Serve] answers in named's place, and [Zone.Forge] changes what it
// answers.
//
// Signatures are valid from 2020 to 2060 unless the zone says otherwise, so a
// fake clock in that span works. The programs come from Debian's bind9 and
// bind9-utils; that they are missing fails the test.
package resolvertest

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The algorithms that zones are signed with, in dnssec-keygen's names.
const (
	Unsigned  = ""
	ECDSA     = "ECDSAP256SHA256"
	ECDSA384  = "ECDSAP384SHA384"
	Ed25519   = "ED25519"
	RSASHA256 = "RSASHA256"
	RSASHA512 = "RSASHA512"
)

// A Zone describes one zone of the tree.
type Zone struct {
	Name    string // fully qualified, lower case: "good.test."
	Records string // lines of a zone file, relative to the zone; no SOA and NS
	TTL     int    // of records that name none, and negative; 300 when zero

	Sign       string // an algorithm; the zone is not signed when empty
	NSEC3      bool   // hashed denial instead of NSEC
	OptOut     bool   // with NSEC3: insecure delegations have no records
	Iterations int    // with NSEC3: additional hash iterations
	NotBefore  time.Time
	NotAfter   time.Time // validity of the signatures; 2020 to 2060 when zero

	NoDS  bool                                   // the parent has no DS though the zone is signed
	DS    func(own []*dns.DS) []*dns.DS          // changes what the parent has
	After func(signed []dns.RR) []dns.RR         // changes the zone after signing
	With  string                                 // this zone's servers are those of the named zone
	NS    []string                               // further name servers, by names that other zones hold
	Only  bool                                   // NS is all there is: no server of its own
	Spare int                                    // further servers, which serve the zone as well
	Dead  int                                    // further addresses, where nothing listens
	Lame  int                                    // further servers, which do not know the zone
	Serve func(w dns.ResponseWriter, r *dns.Msg) // answers instead of named, on UDP and TCP
	Forge func(m *dns.Msg, tcp bool) *dns.Msg    // changes what named answers; nil is never sent
}

// A Tree is a running set of name servers. It ends with the test.
type Tree struct {
	Hints   []netip.Addr // of the root's servers
	Anchors []*dns.DS    // of the root's key
	Port    uint16       // of all servers, UDP and TCP

	dir   string
	net   netip.Prefix
	zones []*zone // the root first, parents before children
	next  byte
	inner uint16 // where named listens
	named *exec.Cmd
}

type zone struct {
	Zone
	parent *zone
	serial uint32
	ds     []*dns.DS
	own    []netip.Addr // where the zone is served
	dead   []netip.Addr
	lame   []netip.Addr
}

// Start runs name servers for the zones and waits until they answer.
func Start(t testing.TB, zones ...Zone) *Tree {
	t.Helper()
	tree := &Tree{dir: t.TempDir(), net: randomNet(t), Port: randomPort(t), inner: randomPort(t), next: 1}
	tree.plant(t, zones)
	for _, z := range slices.Backward(tree.zones) {
		tree.write(t, z)
	}
	root := tree.zones[0]
	tree.Hints, tree.Anchors = append(slices.Clone(root.own), root.dead...), root.ds
	tree.run(t)
	return tree
}

// Allow tells whether an address belongs to the tree; it fits the resolver's
// option of that name.
func (t *Tree) Allow(a netip.Addr) bool { return t.net.Contains(a) }

// Server is the address of a zone's first server.
func (t *Tree) Server(name string) netip.Addr { return t.zone(name).own[0] }

// Zones are the names of all zones, parents before children.
func (t *Tree) Zones() (names []string) {
	for _, z := range t.zones {
		names = append(names, z.Name)
	}
	return names
}

// Addresses is where the NS records of a zone lead, dead and lame servers
// included.
func (t *Tree) Addresses(name string) []netip.Addr {
	z := t.zone(name)
	if len(z.NS) > 0 {
		return slices.Concat(z.own, z.all())
	}
	return z.all()
}

// Anchor is the DS of the key of a signed zone, for use as a trust anchor.
func (t *Tree) Anchor(name string) []*dns.DS { return t.zone(name).ds }

// Update replaces the records of a zone and returns when its servers give the
// new ones. The keys stay.
func (t *Tree) Update(tb testing.TB, name, records string) {
	tb.Helper()
	z := t.zone(name)
	z.Records = records
	t.write(tb, z)
	t.reload(tb, z)
}

func (t *Tree) zone(name string) *zone {
	for _, z := range t.zones {
		if z.Name == name {
			return z
		}
	}
	panic(fmt.Sprintf("resolvertest: there is no zone %q", name))
}

// plant orders the zones, finds parents and deals out addresses.
func (t *Tree) plant(tb testing.TB, zones []Zone) {
	tb.Helper()
	zones = slices.Clone(zones)
	if !slices.ContainsFunc(zones, func(z Zone) bool { return z.Name == "." }) {
		zones = append(zones, Zone{Name: ".", Sign: ECDSA})
	}
	slices.SortStableFunc(zones, func(a, b Zone) int { return dns.CountLabel(a.Name) - dns.CountLabel(b.Name) })
	for _, given := range zones {
		if given.Name != dns.CanonicalName(given.Name) {
			tb.Fatalf("resolvertest: %q is not fully qualified in lower case", given.Name)
		}
		z := &zone{Zone: given, serial: 1}
		for _, above := range t.zones {
			if dns.IsSubDomain(above.Name, z.Name) {
				z.parent = above // the deepest comes last
			}
		}
		switch {
		case z.With != "":
			z.own = t.zone(z.With).own // they answer for it, whether NS says so or not
		case !z.Only:
			z.own = t.addresses(1 + z.Spare)
		}
		z.dead, z.lame = t.addresses(z.Dead), t.addresses(z.Lame)
		t.zones = append(t.zones, z)
	}
}

func (t *Tree) addresses(n int) []netip.Addr {
	var out []netip.Addr
	for range n {
		a := t.net.Addr().As4()
		a[3] = t.next
		t.next++
		out = append(out, netip.AddrFrom4(a))
	}
	return out
}

// randomNet keeps trees of tests that run at the same time apart.
func randomNet(tb testing.TB) netip.Prefix {
	b := random(tb)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 16 + b[0]%200, b[1], 0}), 24)
}

// randomPort lies below the ports that Linux gives to clients, and is free
// where named will listen.
func randomPort(tb testing.TB) uint16 {
	tb.Helper()
	for range 20 {
		b := random(tb)
		port := 10000 + binary.BigEndian.Uint16(b[:])%20000
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatal("resolvertest: no free port was found")
	return 0
}

func random(tb testing.TB) (b [2]byte) {
	tb.Helper()
	if _, err := rand.Read(b[:]); err != nil {
		tb.Fatal(err)
	}
	return b
}

// file is the path of a zone's file; zone names hold no path separators here.
func (t *Tree) file(z *zone, suffix string) string {
	return filepath.Join(t.dir, "zone-"+strings.TrimSuffix(z.Name, ".")+suffix)
}
