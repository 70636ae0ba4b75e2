package egress

import "net/netip"

// reserved lists what is not the public internet, from the IANA special-purpose
// address registries (RFC 6890) and two cloud services that answer on public
// addresses. IPv6 outside 2000::/3 needs no row: it is refused as a whole.
var reserved = []struct {
	prefix netip.Prefix
	class  string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},
	{netip.MustParsePrefix("169.254.169.254/32"), "cloud metadata"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignment"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("2001::/32"), "Teredo tunnel"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignment"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

var (
	globalV6  = netip.MustParsePrefix("2000::/3")
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056, section 2
	isatapA   = [4]byte{0x00, 0x00, 0x5e, 0xfe}       // RFC 5214, section 6.1
	isatapB   = [4]byte{0x02, 0x00, 0x5e, 0xfe}       // the same with the universal bit
	compatV6  = netip.MustParsePrefix("::/96")        // RFC 4291, section 2.5.5.1
)

// public is the class of an address that anyone may reach.
const public = ""

// Class names the kind of address that keeps addr off the public internet:
// "private", "loopback", "link-local", "cloud metadata" and so on. It is empty
// for a public address. An IPv6 address that carries an IPv4 address (mapped,
// 6to4, NAT64, ISATAP) has the class of the address inside.
func Class(addr netip.Addr) string {
	if !addr.IsValid() {
		return "invalid"
	}
	addr = addr.Unmap().WithZone("")
	for _, r := range reserved {
		if r.prefix.Contains(addr) {
			return r.class
		}
	}
	if inner, ok := embedded(addr); ok {
		if class := Class(inner); class != public || nat64.Contains(addr) || sixToFour.Contains(addr) {
			return class
		}
	}
	if addr.Is6() && !globalV6.Contains(addr) {
		return "reserved"
	}
	return public
}

// embedded extracts the IPv4 address that a packet to addr ends up at when a
// translator or tunnel stands on the way.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatV6.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case [4]byte(b[8:12]) == isatapA, [4]byte(b[8:12]) == isatapB:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	}
	return netip.Addr{}, false
}
