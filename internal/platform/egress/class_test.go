package egress_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/egress"
)

func TestClassKnowsEveryFormOfAddress(t *testing.T) {
	cases := []struct{ name, addr, class string }{
		{"a public IPv4 address", "9.9.9.9", ""},
		{"the address below 10/8", "9.255.255.255", ""},
		{"the address above 10/8", "11.0.0.0", ""},
		{"the address above 172.16/12", "172.32.0.0", ""},
		{"the address below carrier-grade NAT", "100.63.255.255", ""},
		{"the address above carrier-grade NAT", "100.128.0.0", ""},
		{"a public IPv6 address", "2620:fe::fe", ""},
		{"this network", "0.0.0.0", "this network"},
		{"the first private range", "10.255.255.255", "private"},
		{"the second private range", "172.31.255.255", "private"},
		{"the third private range", "192.168.0.1", "private"},
		{"carrier-grade NAT", "100.64.0.1", "carrier-grade NAT"},
		{"loopback", "127.0.0.1", "loopback"},
		{"the far end of loopback", "127.255.255.254", "loopback"},
		{"link-local", "169.254.1.1", "link-local"},
		{"the common metadata service", "169.254.169.254", "cloud metadata"},
		{"a metadata service on a public address", "168.63.129.16", "cloud metadata"},
		{"documentation", "192.0.2.1", "documentation"},
		{"benchmarking", "198.19.255.255", "benchmarking"},
		{"multicast", "224.0.0.1", "multicast"},
		{"broadcast", "255.255.255.255", "reserved"},
		{"the unspecified IPv6 address", "::", "unspecified"},
		{"IPv6 loopback", "::1", "loopback"},
		{"a unique local address", "fd00:ec2::254", "private"},
		{"IPv6 link-local", "fe80::1", "link-local"},
		{"IPv6 link-local with a zone", "fe80::1%lo", "link-local"},
		{"IPv6 site-local", "fec0::1", "site-local"},
		{"IPv6 multicast", "ff02::1", "multicast"},
		{"IPv6 documentation", "2001:db8::1", "documentation"},
		{"a Teredo address", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo tunnel"},
		{"the discard prefix", "100::1", "reserved"},
		{"the local NAT64 prefix", "64:ff9b:1::a00:1", "reserved"},
		{"a segment routing address", "5f00::1", "reserved"},
		{"a mapped public address", "::ffff:9.9.9.9", ""},
		{"a mapped private address", "::ffff:10.0.0.1", "private"},
		{"a mapped loopback address", "::ffff:7f00:1", "loopback"},
		{"a mapped metadata address", "::ffff:169.254.169.254", "cloud metadata"},
		{"a compatible private address", "::10.0.0.1", "private"},
		{"a compatible public address", "::9.9.9.9", "reserved"},
		{"NAT64 of a public address", "64:ff9b::909:909", ""},
		{"NAT64 of a private address", "64:ff9b::a00:1", "private"},
		{"NAT64 of the metadata address", "64:ff9b::a9fe:a9fe", "cloud metadata"},
		{"6to4 of a public address", "2002:909:909::1", ""},
		{"6to4 of a private address", "2002:c0a8:1::1", "private"},
		{"6to4 of loopback", "2002:7f00:1::", "loopback"},
		{"ISATAP of a private address", "2620:fe::5efe:10.0.0.1", "private"},
		{"ISATAP with the universal bit", "2620:fe::200:5efe:127.0.0.1", "loopback"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := egress.Class(netip.MustParseAddr(c.addr)); got != c.class {
				t.Errorf("Class(%s) = %q, want %q", c.addr, got, c.class)
			}
		})
	}
	if egress.Class(netip.Addr{}) == "" {
		t.Error("the invalid address counts as public")
	}
}

func TestAllowAndDenyReachTheAddressInside(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	nine := []netip.Prefix{netip.MustParsePrefix("9.0.0.0/8")}
	cases := []struct {
		name   string
		policy egress.Policy
		to     string
		ok     bool
	}{
		{"nothing private by default", egress.Policy{}, "10.0.0.1:443", false},
		{"an allowed range", egress.Policy{Allow: ten}, "10.0.0.1:443", true},
		{"an allowed range, mapped", egress.Policy{Allow: ten}, "[::ffff:10.0.0.1]:443", true},
		{"an allowed range through NAT64", egress.Policy{Allow: ten}, "[64:ff9b::a00:1]:443", true},
		{"another range than the allowed", egress.Policy{Allow: ten}, "192.168.0.1:443", false},
		{"deny beats allow", egress.Policy{Allow: ten, Deny: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}, "10.1.2.3:443", false},
		{"a denied public range", egress.Policy{Deny: nine}, "9.9.9.9:443", false},
		{"a denied public range, mapped", egress.Policy{Deny: nine}, "[::ffff:9.9.9.9]:443", false},
		{"a denied public range through 6to4", egress.Policy{Deny: nine}, "[2002:909:909::1]:443", false},
		{"a zone does not hide link-local", egress.Policy{}, "[fe80::1%lo]:443", false},
		{"an allowed link-local range with a zone", egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("fe80::/10")}}, "[fe80::1%lo]:443", true},
		{"a port on the list", egress.Policy{Ports: []uint16{443, 8443}}, "9.9.9.9:8443", true},
		{"a port off the list", egress.Policy{Ports: []uint16{443}}, "9.9.9.9:22", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.policy.Check(netip.MustParseAddrPort(c.to))
			if (err == nil) != c.ok {
				t.Fatalf("Check(%s) = %v", c.to, err)
			}
			if err != nil {
				wantRefused(t, err)
			}
		})
	}
}

// FuzzClass holds the classifier against what net/netip knows by itself, for
// every address and for every IPv4 address wrapped in IPv6.
func FuzzClass(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "9.9.9.9", "169.254.169.254", "::1", "fe80::1", "2620:fe::fe", "64:ff9b::a00:1", "2002:7f00:1::", "::ffff:10.0.0.1"} {
		f.Add(netip.MustParseAddr(s).AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		class := egress.Class(addr)
		bare := addr.Unmap()
		if class == "" && (!bare.IsGlobalUnicast() || bare.IsPrivate() || bare.IsLoopback() || bare.IsLinkLocalUnicast() ||
			bare.IsMulticast() || bare.IsUnspecified() || bare.IsInterfaceLocalMulticast()) {
			t.Fatalf("%s counts as public", addr)
		}
		if egress.Class(bare.WithZone("eth0")) != class {
			t.Fatalf("a zone changes the class of %s", addr)
		}
		if !bare.Is4() {
			return
		}
		for _, wrapped := range wrap(bare) {
			if got := egress.Class(wrapped); got != class {
				t.Fatalf("%s inside %s has class %q, alone %q", bare, wrapped, got, class)
			}
		}
	})
}

// wrap puts an IPv4 address into its mapped, NAT64 and 6to4 forms.
func wrap(v4 netip.Addr) []netip.Addr {
	four := v4.As4()
	mapped := [16]byte{10: 0xff, 11: 0xff}
	nat64 := [16]byte{1: 0x64, 2: 0xff, 3: 0x9b}
	copy(mapped[12:], four[:])
	copy(nat64[12:], four[:])
	sixToFour := [16]byte{0: 0x20, 1: 0x02, 15: 1}
	binary.BigEndian.PutUint32(sixToFour[2:], binary.BigEndian.Uint32(four[:]))
	return []netip.Addr{netip.AddrFrom16(mapped), netip.AddrFrom16(nat64), netip.AddrFrom16(sixToFour)}
}
