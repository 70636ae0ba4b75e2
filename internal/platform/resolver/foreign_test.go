package resolver_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sealwright/sealwright/internal/platform/resolver"
	"github.com/sealwright/sealwright/internal/platform/resolver/resolvertest"
)

// Two other validating resolvers judge every name of the forest as we do.
func TestOthersJudgeAlike(t *testing.T) {
	tree := resolvertest.Start(t, forest()...)
	others := map[string]netip.AddrPort{"unbound": unbound(t, tree), "named": named(t, tree)}
	compared := 0
	for name, at := range others {
		for _, v := range verdicts() {
			if v.differs || v.costly && name == "named" {
				continue
			}
			want := v.security.String()
			if v.kind != 0 {
				want = "failure"
			}
			if got := opinion(t, at, v); got != want {
				t.Errorf("%s says of %s %s: %s; we say %s", name, v.name, dns.Type(v.typ), got, want)
			}
			compared++
		}
	}
	t.Logf("%d verdicts were compared", compared)
}

// opinion is what another resolver thinks of a name: secure, insecure, or
// failure. It also compares what there is.
func opinion(t *testing.T, at netip.AddrPort, v verdict) string {
	t.Helper()
	q := new(dns.Msg).SetQuestion(v.name, v.typ)
	q.SetEdns0(4096, false)
	q.AuthenticatedData = true
	// Not over TCP at once: unbound closes connections that it lets wait.
	c := &dns.Client{Timeout: 30 * time.Second}
	m, _, err := c.ExchangeContext(t.Context(), q, at.String())
	if err == nil && m.Truncated {
		c.Net = "tcp"
		m, _, err = c.ExchangeContext(t.Context(), q, at.String())
	}
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	if m.Rcode == dns.RcodeServerFailure {
		return "failure"
	}
	if records := countType(m.Answer, v.typ); m.Rcode == dns.RcodeNameError != v.missing || records != v.records {
		t.Errorf("%s %s: others find %d records, %s", v.name, dns.Type(v.typ), records, dns.RcodeToString[m.Rcode])
	}
	if m.AuthenticatedData {
		return resolver.Secure.String()
	}
	return resolver.Insecure.String()
}

func countType(section []dns.RR, typ uint16) (n int) {
	for _, rr := range section {
		if rr.Header().Rrtype == typ {
			n++
		}
	}
	return n
}

// unbound resolves in the tree. It always asks port 53, unless it is told where
// each zone is served; what it validates stays the same.
func unbound(t *testing.T, tree *resolvertest.Tree) netip.AddrPort {
	t.Helper()
	dir, at := t.TempDir(), freePort(t)
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	interface: 127.0.0.1
	port: %d
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	do-ip6: no
	num-threads: 1
	do-not-query-localhost: no
	local-zone: "test." nodefault
	module-config: "validator iterator"
	trust-anchor: %q
	val-sig-skew-min: 0
	val-sig-skew-max: 0
	val-nsec3-keysize-iterations: "1024 100 2048 100 4096 100"
remote-control:
	control-enable: no
`, at.Port(), dir, strings.ReplaceAll(tree.Anchors[0].String(), "\t", " "))
	for _, zone := range tree.Zones() {
		if len(tree.Addresses(zone)) == 0 {
			continue
		}
		fmt.Fprintf(&b, "stub-zone:\n\tname: %q\n\tstub-prime: no\n", zone)
		for _, a := range tree.Addresses(zone) {
			fmt.Fprintf(&b, "\tstub-addr: %s@%d\n", a, tree.Port)
		}
	}
	program(t, at, "unbound", "-d", "-c", write(t, dir, "unbound.conf", b.String()))
	return at
}

// named resolves in the tree, from the root's servers down.
func named(t *testing.T, tree *resolvertest.Tree) netip.AddrPort {
	t.Helper()
	dir, at := t.TempDir(), freePort(t)
	var hints strings.Builder
	for i, a := range tree.Hints {
		fmt.Fprintf(&hints, ". 3600 NS ns%d.\nns%d. 3600 A %s\n", i+1, i+1, a)
	}
	ds := tree.Anchors[0]
	conf := fmt.Sprintf(`options {
	directory %q; pid-file none; session-keyfile none; lock-file none;
	port %d; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
	recursion yes; dnssec-validation yes; empty-zones-enable no; resolver-query-timeout 10000;
};
controls {};
trust-anchors { "." static-ds %d %d %d %q; };
zone "." { type hint; file %q; };
`, dir, tree.Port, at.Port(), ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest, write(t, dir, "hints", hints.String()))
	program(t, at, "named", "-g", "-n", "1", "-c", write(t, dir, "named.conf", conf))
	return at
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing is lost
	return netip.MustParseAddrPort(l.Addr().String())
}

// program runs a server until the test ends, and waits until it accepts.
func program(t *testing.T, at netip.AddrPort, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing; install Debian's bind9 and unbound: %v", name, err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, tail(out.String(), 4000))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", at.String()); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not accept connections", name)
		}
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
