package resolvertest

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// loopback is the address that named listens on.
var loopback = netip.MustParseAddr("127.0.0.1")

// handle serves one address by a function.
func (t *Tree) handle(tb testing.TB, addr netip.Addr, serve func(dns.ResponseWriter, *dns.Msg)) {
	tb.Helper()
	conn, stream := t.listen(tb, addr)
	for _, s := range []*dns.Server{{PacketConn: conn, Handler: dns.HandlerFunc(serve)}, {Listener: stream, Handler: dns.HandlerFunc(serve)}} {
		started := make(chan struct{})
		done := make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { done <- s.ActivateAndServe() }()
		<-started
		tb.Cleanup(func() {
			_ = s.Shutdown()
			<-done
		})
	}
}

// listen binds an address of the tree for both transports.
func (t *Tree) listen(tb testing.TB, addr netip.Addr) (*net.UDPConn, *net.TCPListener) {
	tb.Helper()
	at := netip.AddrPortFrom(addr, t.Port)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		tb.Fatal(err)
	}
	stream, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = conn.Close()
		_ = stream.Close()
	})
	return conn, stream
}

// relayTime is how long named may take for one answer.
const relayTime = 5 * time.Second

// relay passes what arrives at an address on to named, calling from that
// address, and the answers back, changed by forge if that is given.
func (t *Tree) relay(tb testing.TB, addr netip.Addr, forge func(*dns.Msg, bool) *dns.Msg) {
	tb.Helper()
	conn, stream := t.listen(tb, addr)
	ask := func(query []byte, network string) []byte {
		reply := t.inside(addr, query, network)
		if forge == nil || reply == nil {
			return reply
		}
		m := new(dns.Msg)
		if m.Unpack(reply) != nil {
			return nil
		}
		if m = forge(m, network == "tcp"); m == nil {
			return nil
		}
		reply, _ = m.Pack()
		return reply
	}
	go func() {
		packet := make([]byte, dns.MaxMsgSize)
		for {
			n, client, err := conn.ReadFromUDPAddrPort(packet)
			if err != nil {
				return
			}
			query := bytes.Clone(packet[:n])
			go func() {
				if reply := ask(query, "udp"); reply != nil {
					_, _ = conn.WriteToUDPAddrPort(reply, client)
				}
			}()
		}
	}()
	go func() {
		for {
			client, err := stream.AcceptTCP()
			if err != nil {
				return
			}
			go relayStream(client, func(query []byte) []byte { return ask(query, "tcp") })
		}
	}()
}

// relayStream answers the queries of a TCP connection until it ends.
func relayStream(client *net.TCPConn, ask func([]byte) []byte) {
	defer client.Close() //nolint:errcheck // nothing is lost
	_ = client.SetDeadline(time.Now().Add(relayTime))
	c := &dns.Conn{Conn: client}
	query := make([]byte, dns.MaxMsgSize)
	for {
		n, err := c.Read(query)
		if err != nil {
			return
		}
		if reply := ask(query[:n]); reply != nil {
			_, _ = c.Write(reply)
		}
	}
}

// inside asks named, from an address by which it knows the view.
func (t *Tree) inside(from netip.Addr, query []byte, network string) []byte {
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: relayTime}
	if network == "tcp" {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.Dial(network, netip.AddrPortFrom(loopback, t.inner).String())
	if err != nil {
		return nil
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	_ = conn.SetDeadline(time.Now().Add(relayTime))
	c := &dns.Conn{Conn: conn}
	if _, err := c.Write(query); err != nil {
		return nil
	}
	reply := make([]byte, dns.MaxMsgSize)
	n, err := c.Read(reply)
	if err != nil {
		return nil
	}
	return reply[:n]
}
