package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	udpSize    = 1232 // fits every path without fragments (RFC 9715)
	strays     = 16   // packets that answer something else, before TCP is used
)

// A query is a packed question.
type query struct {
	question
	wire []byte
}

// newQuery packs a question with a random id. With edns it asks for DNSSEC
// records, which a reply without EDNS never holds.
func newQuery(q question, edns bool) (query, error) {
	m := new(dns.Msg).SetQuestion(q.name, q.typ)
	m.RecursionDesired = false
	if edns {
		m.SetEdns0(udpSize, true)
	}
	wire, err := m.Pack()
	return query{q, wire}, err
}

// mixed is the query with each letter of the name in random case: bits that one
// who answers without having seen the query has to guess.
func (q query) mixed() query {
	wire := append([]byte(nil), q.wire...)
	noise := make([]byte, q.end())
	_, _ = rand.Read(noise) // never fails
	for i := headerSize; i < q.end()-4; i++ {
		if c := wire[i] | 0x20; 'a' <= c && c <= 'z' {
			wire[i] ^= noise[i] & 0x20
		}
	}
	return query{q.question, wire}
}

// end is where the question section ends.
func (q query) end() int {
	i := headerSize
	for q.wire[i] != 0 {
		i += 1 + int(q.wire[i])
	}
	return i + 5
}

// answeredBy tells whether a packet is a reply to this very query.
func (q query) answeredBy(reply []byte) bool {
	const response, opcode = 0x80, 0x78
	return len(reply) >= q.end() &&
		[2]byte(reply) == [2]byte(q.wire) &&
		reply[2]&response != 0 && reply[2]&opcode == 0 &&
		binary.BigEndian.Uint16(reply[4:]) == 1 &&
		string(reply[headerSize:q.end()]) == string(q.wire[headerSize:q.end()])
}

// exchange sends a query over UDP or TCP and gives the reply, which belongs to
// the query but is not looked at any further.
func (r *Resolver) exchange(ctx context.Context, to netip.Addr, q query, tcp bool) (*dns.Msg, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	at := netip.AddrPortFrom(to, r.port).String()
	var wire []byte
	var err error
	if tcp {
		wire, err = exchangeTCP(ctx, at, q)
	} else {
		wire, err = exchangeUDP(ctx, at, q.mixed())
	}
	switch {
	case errors.Is(err, errStrays):
		return nil, fail(Malformed, "What came back does not belong to the query.")
	case err != nil:
		return nil, fail(Timeout, "No reply came.")
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, fail(Malformed, "The reply cannot be decoded.")
	}
	return m, nil
}

// errStrays reports packets that are no reply to the query.
var errStrays = errors.New("stray packets")

func exchangeUDP(ctx context.Context, at string, q query) ([]byte, error) {
	conn, err := dialUDP(ctx, at)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	defer closeWhenDone(ctx, conn)()
	if _, err := conn.Write(q.wire); err != nil {
		return nil, err
	}
	// Strays are passed over: a forger must not be able to end the wait for the
	// true reply. Many of them are a reason to use TCP.
	packet := make([]byte, 4*udpSize)
	for seen := 0; ; seen++ {
		n, err := conn.Read(packet)
		switch {
		case err != nil && seen > 0, seen == strays:
			return nil, errStrays
		case err != nil:
			return nil, err
		case q.answeredBy(packet[:n]):
			return packet[:n], nil
		}
	}
}

// dialUDP uses a random source port of the whole unprivileged range, and the
// kernel's choice when that is taken several times.
func dialUDP(ctx context.Context, at string) (net.Conn, error) {
	for range 4 {
		var b [2]byte
		_, _ = rand.Read(b[:]) // never fails
		if port := binary.BigEndian.Uint16(b[:]); port >= 1024 {
			d := net.Dialer{LocalAddr: &net.UDPAddr{Port: int(port)}}
			if conn, err := d.DialContext(ctx, "udp", at); err == nil {
				return conn, nil
			}
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, "udp", at)
}

func exchangeTCP(ctx context.Context, at string, q query) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	defer closeWhenDone(ctx, conn)()
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(q.wire))) //nolint:gosec // a query is short
	if _, err := conn.Write(append(framed, q.wire...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	reply := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return nil, err
	}
	if !q.answeredBy(reply) {
		return nil, errStrays
	}
	return reply, nil
}

// closeWhenDone ends reads on a connection when ctx ends, until its result is
// called.
func closeWhenDone(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}
