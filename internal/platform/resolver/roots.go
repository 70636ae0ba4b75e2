package resolver

import (
	"net/netip"

	"github.com/miekg/dns"
)

// rootServers are the IANA root servers as of July 2024
// (https://www.internic.net/domain/named.root). They change once in years, one
// at a time; any that still answers is enough.
func rootServers() []netip.Addr {
	var out []netip.Addr
	for _, s := range [...]string{
		"198.41.0.4", "170.247.170.2", "192.33.4.12", "199.7.91.13", "192.203.230.10",
		"192.5.5.241", "192.112.36.4", "198.97.190.53", "192.36.148.17", "192.58.128.30",
		"193.0.14.129", "199.7.83.42", "202.12.27.33",
		"2001:503:ba3e::2:30", "2801:1b8:10::b", "2001:500:2::c", "2001:500:2d::d", "2001:500:a8::e",
		"2001:500:2f::f", "2001:500:12::d0d", "2001:500:1::53", "2001:7fe::53", "2001:503:c27::2:30",
		"2001:7fd::1", "2001:500:9f::42", "2001:dc3::35",
	} {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// rootAnchors are the root's key-signing keys of 2017 and 2024
// (https://data.iana.org/root-anchors/root-anchors.xml). The second signs from
// October 2026 on.
func rootAnchors() []*dns.DS {
	anchor := func(tag uint16, digest string) *dns.DS {
		return &dns.DS{
			Hdr:    dns.RR_Header{Name: ".", Rrtype: dns.TypeDS, Class: dns.ClassINET},
			KeyTag: tag, Algorithm: dns.RSASHA256, DigestType: dns.SHA256, Digest: digest,
		}
	}
	return []*dns.DS{
		anchor(20326, "e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d"),
		anchor(38696, "683d2d0acb8c9b712a1948b27f741219298d0a450d612c483af444a4c0fb2b16"),
	}
}
