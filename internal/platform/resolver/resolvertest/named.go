package resolvertest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience bounds how long a server may take to start or to reload.
const patience = 20 * time.Second

// run starts named and the handlers, and waits until every zone is served.
func (t *Tree) run(tb testing.TB) {
	tb.Helper()
	for _, z := range t.zones {
		switch {
		case z.Serve != nil:
			for _, addr := range z.own {
				t.handle(tb, addr, z.Serve)
			}
		case z.With == "":
			for _, addr := range z.own {
				t.relay(tb, addr, z.Forge)
			}
		}
		for _, addr := range z.lame {
			t.relay(tb, addr, nil)
		}
	}
	path, err := exec.LookPath("named")
	if err != nil {
		tb.Fatalf("named is missing; install Debian's bind9: %v", err)
	}
	conf, logs := filepath.Join(t.dir, "named.conf"), filepath.Join(t.dir, "named.log")
	if err := os.WriteFile(conf, []byte(t.config()), 0o600); err != nil {
		tb.Fatal(err)
	}
	out, err := os.Create(logs) //nolint:gosec // a file of this test
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // named holds its own copy
	t.named = exec.Command(path, "-g", "-n", "1", "-c", conf)
	t.named.Stdout, t.named.Stderr = out, out
	if err := t.named.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = t.named.Process.Kill()
		_ = t.named.Wait()
	})
	for _, z := range t.zones {
		t.await(tb, z)
	}
}

// config gives each server a view that holds its zones only. Named listens on
// addresses of interfaces only, so it has one, and knows the server meant from
// the address that its [Tree.relay] calls from.
func (t *Tree) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `options {
	directory %q; pid-file none; session-keyfile none; lock-file none;
	listen-on port %d { %s; }; listen-on-v6 { none; };
	recursion no; notify no; dnssec-validation no; empty-zones-enable no; max-cache-size 2m; tcp-clients 50;
};
controls {};
`, t.dir, t.inner, loopback)
	for i, z := range t.zones {
		if z.With != "" || z.Serve != nil || len(z.own) == 0 {
			continue
		}
		fmt.Fprintf(&b, "view \"v%d\" {\n\tmatch-clients { %s };\n", i, list(z.own))
		for _, held := range t.zones {
			if held == z || held.With == z.Name {
				fmt.Fprintf(&b, "\tzone %q { type primary; file %q; check-names ignore; };\n", held.Name, t.file(held, ""))
			}
		}
		fmt.Fprintln(&b, "};")
	}
	// Who matches none of the above is a lame server.
	fmt.Fprintln(&b, "view \"lame\" { match-clients { any; }; };")
	return b.String()
}

func list(addrs []netip.Addr) string {
	var b strings.Builder
	for _, a := range addrs {
		fmt.Fprintf(&b, "%s; ", a)
	}
	return b.String()
}

// reload makes named read its files again.
func (t *Tree) reload(tb testing.TB, z *zone) {
	tb.Helper()
	if err := t.named.Process.Signal(syscall.SIGHUP); err != nil {
		tb.Fatal(err)
	}
	t.await(tb, z)
}

// await polls a zone's servers until they give the serial number just written.
func (t *Tree) await(tb testing.TB, z *zone) {
	tb.Helper()
	if z.Serve != nil {
		return
	}
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, addr := range z.own {
		for !t.serves(ctx, z, addr) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				logs, _ := os.ReadFile(filepath.Join(t.dir, "named.log")) //nolint:gosec // a file of this test
				tb.Fatalf("%s does not serve %s:\n%s", addr, z.Name, logs)
			}
		}
	}
}

func (t *Tree) serves(ctx context.Context, z *zone, addr netip.Addr) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	q := new(dns.Msg).SetQuestion(z.Name, dns.TypeSOA)
	reply, _, err := new(dns.Client).ExchangeContext(ctx, q, netip.AddrPortFrom(addr, t.Port).String())
	if err != nil || len(reply.Answer) == 0 {
		return false
	}
	soa, ok := reply.Answer[0].(*dns.SOA)
	return ok && soa.Serial == z.serial
}
