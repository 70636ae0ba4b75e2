// Package egress is the only door out: every connection that the product opens
// to another machine is dialled under a [Policy].
//
// The policy is applied to the address that is about to be connected to, after
// name resolution, so a name that changes its answer between check and use
// (DNS rebinding) gains nothing. Addresses off the public internet are refused
// unless the configuration allows their range; see [Class] for what those are.
// Proxies from the environment are not used, because a proxy would connect to
// addresses that nobody checked.
//
// Use [Policy.Client] for HTTP and [Policy.Dialer] for everything else, such as
// SMTP. Refusals are faults with the code "egress.refused" that name the
// setting that would allow the connection.
package egress

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// Defaults of a [Policy] whose fields are zero.
const (
	DefaultTimeout = 10 * time.Second
	DefaultMaxBody = 4 << 20
)

// A Policy says where connections may go. The zero Policy allows HTTPS to
// public addresses on every port. Policies are values: copy one and change it
// to make an exception.
type Policy struct {
	Allow     []netip.Prefix // ranges off the public internet that are allowed, such as 10.0.0.0/8
	Deny      []netip.Prefix // ranges that are refused even if public or allowed
	Ports     []uint16       // destination ports; empty allows every port
	PlainHTTP bool           // lets [Policy.Client] speak HTTP without TLS
	Timeout   time.Duration  // for a whole HTTP exchange, and for one connection; zero is [DefaultTimeout]
	MaxBody   int64          // of one HTTP response after decompression, in bytes; zero is [DefaultMaxBody]
}

// Check tells whether a connection to the address is allowed. It returns a
// fault of kind Forbidden with code "egress.refused" otherwise.
func (p Policy) Check(to netip.AddrPort) error {
	if len(p.Ports) > 0 && !slices.Contains(p.Ports, to.Port()) {
		return refused("Connections to port %d are not allowed.", to.Port()).
			WithNext("Add the port to egress.ports in the configuration if the destination is trusted.")
	}
	addr := to.Addr().Unmap().WithZone("")
	inner, carries := embedded(addr)
	if contains(p.Deny, addr) || carries && contains(p.Deny, inner) {
		return refused("Address %s is in a range that egress.deny names.", addr).
			WithNext("Remove the range from egress.deny in the configuration if the destination is trusted.")
	}
	class := Class(addr)
	if class == public || contains(p.Allow, addr) || carries && contains(p.Allow, inner) {
		return nil
	}
	return refused("Address %s is not on the public internet (%s).", addr, class).
		WithNext("Add its range to egress.allow in the configuration, for example %q, if the destination is trusted.", netip.PrefixFrom(addr, addr.BitLen()))
}

// Dialer returns a dialer that checks every address just before it connects,
// including each address that a name resolves to. It serves TCP and UDP; other
// networks, such as unix sockets, are refused.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: p.timeout(), KeepAlive: 30 * time.Second, ControlContext: p.control}
}

// control runs between socket creation and connect, once per resolved address.
func (p Policy) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") && !strings.HasPrefix(network, "udp") {
		return refused("Connections over %q are not allowed.", network)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return refused("Address %q is not an IP address and port.", address).WithCause(err)
	}
	return p.Check(to)
}

func (p Policy) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return DefaultTimeout
}

func (p Policy) maxBody() int64 {
	if p.MaxBody > 0 {
		return p.MaxBody
	}
	return DefaultMaxBody
}

func refused(format string, args ...any) *fault.Fault {
	return fault.Forbiddenf("egress.refused", format, args...)
}

func contains(ranges []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(addr) })
}
