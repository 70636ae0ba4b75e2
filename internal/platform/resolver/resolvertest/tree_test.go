package resolvertest_test

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

func ask(t *testing.T, tree *resolvertest.Tree, at netip.Addr, name string, typ uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, typ)
	q.SetEdns0(1232, true)
	reply, _, err := new(dns.Client).ExchangeContext(t.Context(), q, netip.AddrPortFrom(at, tree.Port).String())
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestParentsReferAndChildrenAnswer(t *testing.T) {
	tree := resolvertest.Start(t,
		resolvertest.Zone{Name: "test.", Sign: resolvertest.Ed25519, NSEC3: true},
		resolvertest.Zone{Name: "good.test.", Sign: resolvertest.RSASHA256, Records: `www A 192.0.2.1`},
		resolvertest.Zone{Name: "plain.test.", Records: `www A 192.0.2.2`},
		resolvertest.Zone{Name: "own.test.", Serve: func(w dns.ResponseWriter, r *dns.Msg) {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(r, dns.RcodeServerFailure))
		}})

	if m := ask(t, tree, tree.Hints[0], "www.good.test.", dns.TypeA); len(m.Answer) != 0 || len(m.Ns) == 0 || m.Authoritative {
		t.Errorf("the root does not refer: %v", m)
	}
	if m := ask(t, tree, tree.Server("test."), "good.test.", dns.TypeDS); len(m.Answer) != 2 {
		t.Errorf("the parent holds no signed DS: %v", m)
	}
	if m := ask(t, tree, tree.Server("good.test."), "www.good.test.", dns.TypeA); len(m.Answer) != 2 {
		t.Errorf("the child gives no signed answer: %v", m)
	}
	if m := ask(t, tree, tree.Server("plain.test."), "www.plain.test.", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("the unsigned child does not answer: %v", m)
	}
	if m := ask(t, tree, tree.Server("own.test."), "own.test.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("the handler does not answer: %v", m)
	}

	tree.Update(t, "good.test.", "www A 192.0.2.9")
	m := ask(t, tree, tree.Server("good.test."), "www.good.test.", dns.TypeA)
	if a, ok := m.Answer[0].(*dns.A); !ok || a.A.String() != "192.0.2.9" {
		t.Errorf("the update is not served: %v", m)
	}
}
