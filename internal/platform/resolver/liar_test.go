package resolver_test

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

// A liar answers for an unsigned zone: with the truth, or the lie that the first
// label of the name asks for.
type liar struct{ queries atomic.Int64 }

const truth = "192.0.2.77"

func (l *liar) serve(w dns.ResponseWriter, q *dns.Msg) {
	l.queries.Add(1)
	name := strings.ToLower(q.Question[0].Name)
	label, _, _ := strings.Cut(name, ".")
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	udp := w.RemoteAddr().Network() == "udp"
	if q.Question[0].Qtype == dns.TypeA {
		m.Answer = rrs(q.Question[0].Name + " 60 A " + truth)
	} else {
		m.Ns = rrs("liar.test. 60 SOA ns1 host 1 1 1 1 60")
	}
	if lie, ok := lies[label]; ok && (udp || !onlyOverUDP[label]) {
		lie(w, q, m)
		return
	}
	_ = w.WriteMsg(m)
}

// onlyOverUDP lies end when the resolver asks over TCP.
var onlyOverUDP = map[string]bool{"wrongid": true, "wrongname": true, "lowercase": true, "garbage": true, "flood": true, "noresponse": true}

var lies = map[string]func(w dns.ResponseWriter, q, m *dns.Msg){
	"wrongid": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Id++
		_ = w.WriteMsg(m)
	},
	"wrongname": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Question[0].Name = "other.liar.test."
		_ = w.WriteMsg(m)
	},
	"lowercase": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Question[0].Name = strings.ToLower(m.Question[0].Name)
		_ = w.WriteMsg(m)
	},
	"noresponse": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Response = false
		_ = w.WriteMsg(m)
	},
	"garbage": func(w dns.ResponseWriter, _, m *dns.Msg) {
		wire, _ := m.Pack()
		_, _ = w.Write(append(wire[:len(wire)-6], 0xff, 0xff))
	},
	"flood": func(w dns.ResponseWriter, _, m *dns.Msg) {
		for range 40 {
			m.Id++
			_ = w.WriteMsg(m)
		}
	},
	"truncated": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Truncated, m.Answer = true, nil
		_ = w.WriteMsg(m)
	},
	"noauthority": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Authoritative, m.RecursionAvailable = false, true
		_ = w.WriteMsg(m)
	},
	"adbit": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.AuthenticatedData = true
		_ = w.WriteMsg(m)
	},
	"upward": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Authoritative, m.Answer = false, nil
		m.Ns = rrs(". 60 NS ns1.liar.test.")
		_ = w.WriteMsg(m)
	},
	"sideways": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Authoritative, m.Answer = false, nil
		m.Ns = rrs("plain.test. 60 NS ns1.liar.test.")
		_ = w.WriteMsg(m)
	},
	"poison": func(w dns.ResponseWriter, _, m *dns.Msg) {
		m.Answer = append(m.Answer, rrs("www.plain.test. 60 A 203.0.113.66")...)
		m.Ns = rrs("plain.test. 60 NS ns1.liar.test.", "liar.test. 60 NS ns1.liar.test.")
		m.Extra = rrs("www.plain.test. 60 A 203.0.113.66", "ns1.plain.test. 60 A 203.0.113.66")
		_ = w.WriteMsg(m)
	},
	"led": func(w dns.ResponseWriter, q, m *dns.Msg) {
		m.Answer = rrs(q.Question[0].Name+" 60 CNAME www.plain.test.", "www.plain.test. 60 A 203.0.113.66")
		_ = w.WriteMsg(m)
	},
	"twice": func(w dns.ResponseWriter, q, m *dns.Msg) {
		m.Answer = rrs(q.Question[0].Name+" 60 CNAME a.test.", q.Question[0].Name+" 60 CNAME b.test.")
		_ = w.WriteMsg(m)
	},
	"noedns": func(w dns.ResponseWriter, q, m *dns.Msg) {
		if q.IsEdns0() != nil {
			m = new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
		}
		_ = w.WriteMsg(m)
	},
	"below": func(w dns.ResponseWriter, _, m *dns.Msg) { // for NS only; its children are truthful
		_ = w.WriteMsg(m.SetRcode(m, dns.RcodeNameError))
	},
	"nsrefused": func(w dns.ResponseWriter, _, m *dns.Msg) {
		_ = w.WriteMsg(m.SetRcode(m, dns.RcodeRefused))
	},
	"many": func(w dns.ResponseWriter, q, m *dns.Msg) { // NXNSAttack
		m.Authoritative, m.Answer, m.Ns = false, nil, nil
		for i := range 60 {
			m.Ns = append(m.Ns, rrs(fmt.Sprintf("%s 0 NS ns%d.many.liar.test.", strings.ToLower(q.Question[0].Name), i))...)
		}
		_ = w.WriteMsg(m)
	},
	"silent": func(dns.ResponseWriter, *dns.Msg, *dns.Msg) {},
}

func rrs(lines ...string) (out []dns.RR) {
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		out = append(out, rr)
	}
	return out
}

// chain gives each name an alias that nobody has asked for yet.
func (l *liar) chain(w dns.ResponseWriter, q *dns.Msg) {
	n := l.queries.Add(1)
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	if q.Question[0].Qtype == dns.TypeA {
		m.Answer = rrs(fmt.Sprintf("%s 60 CNAME x%d.chain.test.", q.Question[0].Name, n))
	}
	_ = w.WriteMsg(m)
}

// maze refers every name to servers under a sibling that does so again.
func (l *liar) maze(w dns.ResponseWriter, q *dns.Msg) {
	n := l.queries.Add(1)
	m := new(dns.Msg).SetReply(q)
	name := strings.ToLower(q.Question[0].Name)
	labels := dns.SplitDomainName(name)
	at := strings.Join(labels[len(labels)-3:], ".") + "."
	for i := range 20 {
		m.Ns = append(m.Ns, rrs(fmt.Sprintf("%s 0 NS a.x%d-%d.maze.test.", at, n, i))...)
	}
	_ = w.WriteMsg(m)
}

func TestLiars(t *testing.T) {
	var honest, chain, maze liar
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: "test.", Sign: resolvertest.ECDSA},
		resolvertest.Zone{Name: "plain.test.", Records: "www A 192.0.2.1"},
		resolvertest.Zone{Name: "liar.test.", Serve: honest.serve},
		resolvertest.Zone{Name: "chain.test.", Serve: chain.chain},
		resolvertest.Zone{Name: "maze.test.", Serve: maze.maze})
	r := with(tree, func(o *resolver.Options) { o.Timeout, o.Attempts = time.Second/2, 1 })

	for _, name := range []string{"wrongid", "wrongname", "lowercase", "garbage", "flood", "noresponse", "adbit", "noedns", "x.below", "x.nsrefused", "x.silent", "poison"} {
		t.Run("the truth comes out for "+name, func(t *testing.T) {
			a, err := r.Lookup(t.Context(), name+".liar.test", dns.TypeA)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Records) != 1 || address(a.Records[0]) != truth || a.Security != resolver.Insecure {
				t.Errorf("got %+v", a)
			}
		})
	}
	for name, kind := range map[string]resolver.Kind{
		"truncated": resolver.Malformed, "twice": resolver.Malformed, "noauthority": resolver.Lame,
		"upward": resolver.Lame, "sideways": resolver.Lame, "silent": resolver.Timeout,
	} {
		t.Run("no answer is made of "+name, func(t *testing.T) {
			a, err := r.Lookup(t.Context(), name+".liar.test", dns.TypeA)
			if err == nil {
				t.Fatalf("got %+v", a)
			}
			if f := failure(t, err); f.Kind != kind || f.ZoneSecurity != resolver.Insecure || f.Zone != "liar.test." {
				t.Errorf("failed otherwise: %+v", f)
			}
		})
	}
	t.Run("other zones' records are not believed", func(t *testing.T) {
		a, err := r.Lookup(t.Context(), "led.liar.test", dns.TypeA)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Records) != 1 || address(a.Records[0]) != "192.0.2.1" || a.Owner != "www.plain.test." {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("endless aliases end", func(t *testing.T) {
		_, err := r.Lookup(t.Context(), "a.chain.test", dns.TypeA)
		if f := failure(t, err); f.Kind != resolver.Limit {
			t.Errorf("failed otherwise: %v", f)
		}
		if n := chain.queries.Load(); n > 20 {
			t.Errorf("%d queries were sent", n)
		}
	})
	t.Run("a maze of delegations ends", func(t *testing.T) {
		start := time.Now()
		_, err := r.Lookup(t.Context(), "a.maze.test", dns.TypeA)
		if f := failure(t, err); f.Kind != resolver.Limit {
			t.Errorf("failed otherwise: %v", f)
		}
		if n := maze.queries.Load(); n > 200 || time.Since(start) > 5*time.Second {
			t.Errorf("%d queries were sent in %s", n, time.Since(start))
		}
	})
	t.Run("a storm of name servers is no storm of queries", func(t *testing.T) {
		before := honest.queries.Load()
		_, err := r.Lookup(t.Context(), "many.liar.test", dns.TypeA)
		failure(t, err)
		if n := honest.queries.Load() - before; n > 200 {
			t.Errorf("%d queries were sent", n)
		}
	})
}

func address(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return net.IP.String(rr.A)
	case *dns.AAAA:
		return net.IP.String(rr.AAAA)
	}
	return rr.String()
}
