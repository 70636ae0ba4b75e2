package resolver_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

func failure(t *testing.T, err error) *resolver.Failure {
	t.Helper()
	f, ok := errors.AsType[*resolver.Failure](err)
	if !ok {
		t.Fatalf("no failure but: %v", err)
	}
	return f
}

// The whole forest, each name with a resolver of its own and all with one.
func TestForest(t *testing.T) {
	tree := resolvertest.Start(t, forest()...)
	shared := with(tree)
	for _, v := range verdicts() {
		t.Run(dns.TypeToString[v.typ]+" "+v.name, func(t *testing.T) {
			v.check(t, with(tree))
			v.check(t, shared)
			v.check(t, shared)
		})
	}
}

func (v verdict) check(t *testing.T, r *resolver.Resolver) {
	t.Helper()
	a, err := r.Lookup(t.Context(), v.name, v.typ)
	if v.kind != 0 {
		if f := failure(t, err); f.Kind != v.kind {
			t.Errorf("failed otherwise: %v", f)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	owner := v.owner
	if owner == "" {
		owner = v.name
	}
	if a.Security != v.security || a.Exists == v.missing || len(a.Records) != v.records || a.Owner != owner || len(a.Servers) == 0 {
		t.Errorf("got %+v", a)
	}
	for _, rr := range a.Records {
		if !strings.EqualFold(rr.Header().Name, owner) || rr.Header().Rrtype != v.typ {
			t.Errorf("got a record of another name or type: %v", rr)
		}
	}
}

// ask puts a question to one server, as a resolver would.
func ask(t *testing.T, tree *resolvertest.Tree, at netip.Addr, name string, typ uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(name, typ)
	q.SetEdns0(4096, true)
	c := &dns.Client{Net: "tcp"}
	m, _, err := c.ExchangeContext(t.Context(), q, netip.AddrPortFrom(at, tree.Port).String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
