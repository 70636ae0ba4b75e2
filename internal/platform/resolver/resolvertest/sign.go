package resolvertest

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// write makes a zone's file, signed if it shall be. Children are written before
// their parents, which take their DS records.
func (t *Tree) write(tb testing.TB, z *zone) {
	tb.Helper()
	z.serial++
	text := t.text(z)
	if z.Serve != nil && z.Sign == Unsigned {
		return
	}
	if z.Sign != Unsigned {
		text = t.sign(tb, z, text)
	}
	if z.After != nil {
		text = rewrite(tb, z, text)
	}
	if err := os.WriteFile(t.file(z, ""), text, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// text is the zone before signing.
func (t *Tree) text(z *zone) []byte {
	var b bytes.Buffer
	ttl := z.TTL
	if ttl == 0 {
		ttl = 300
	}
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL %d\n@ SOA %s hostmaster.%s %d 3600 600 86400 %d\n",
		z.Name, ttl, nsName(z, 0), strings.TrimPrefix(z.Name, "."), z.serial, ttl)
	t.delegate(&b, z)
	for _, child := range t.zones {
		if child.parent != z {
			continue
		}
		t.delegate(&b, child)
		for _, ds := range handed(child) {
			fmt.Fprintln(&b, ds.String())
		}
	}
	for line := range strings.Lines(z.Records) {
		fmt.Fprintln(&b, strings.TrimSpace(line))
	}
	return b.Bytes()
}

// delegate writes NS and address records: the same in parent and child.
func (t *Tree) delegate(b *bytes.Buffer, z *zone) {
	for i, addr := range z.all() {
		fmt.Fprintf(b, "%s NS %s\n%s A %s\n", z.Name, nsName(z, i), nsName(z, i), addr)
	}
	for _, name := range z.NS {
		fmt.Fprintf(b, "%s NS %s\n", z.Name, name)
	}
}

// all is the addresses that NS records of a zone lead to.
func (z *zone) all() []netip.Addr {
	if z.Only {
		return slices.Concat(z.dead, z.lame)
	}
	return slices.Concat(z.own, z.dead, z.lame)
}

func nsName(z *zone, i int) string {
	return fmt.Sprintf("ns%d.%s", i+1, strings.TrimPrefix(z.Name, "."))
}

// handed is what a zone hands to its parent.
func handed(z *zone) []*dns.DS {
	switch {
	case z.NoDS:
		return nil
	case z.DS != nil:
		return z.DS(z.ds)
	}
	return z.ds
}

func (t *Tree) sign(tb testing.TB, z *zone, text []byte) []byte {
	tb.Helper()
	keys := t.file(z, ".keys")
	if z.ds == nil {
		z.ds = keygen(tb, z, keys)
	}
	from, until := z.NotBefore, z.NotAfter
	if from.IsZero() {
		from = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if until.IsZero() {
		until = time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	in, out := t.file(z, ".in"), t.file(z, ".signed")
	if err := os.WriteFile(in, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	args := []string{"-q", "-P", "-S", "-K", keys, "-d", keys, "-o", z.Name, "-O", "full", "-f", out, "-s", stamp(from), "-e", stamp(until)}
	if z.NSEC3 {
		args = append(args, "-3", "-", "-H", strconv.Itoa(z.Iterations))
	}
	if z.OptOut {
		args = append(args, "-A")
	}
	command(tb, "dnssec-signzone", append(args, in)...)
	signed, err := os.ReadFile(out) //nolint:gosec // a file of this test
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

func stamp(t time.Time) string { return t.UTC().Format("20060102150405") }

// keygen makes a key-signing and a zone-signing key and returns the DS of the
// first.
func keygen(tb testing.TB, z *zone, dir string) []*dns.DS {
	tb.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	args := []string{"-q", "-K", dir, "-a", z.Sign}
	if strings.HasPrefix(z.Sign, "RSA") {
		args = append(args, "-b", "2048")
	}
	command(tb, "dnssec-keygen", append(args, z.Name)...)
	base := strings.TrimSpace(command(tb, "dnssec-keygen", append(args, "-f", "KSK", z.Name)...))
	text, err := os.ReadFile(filepath.Join(dir, base+".key")) //nolint:gosec // a file of this test
	if err != nil {
		tb.Fatal(err)
	}
	rr, err := dns.NewRR(string(text))
	if err != nil {
		tb.Fatal(err)
	}
	key, ok := rr.(*dns.DNSKEY)
	if !ok {
		tb.Fatalf("%s holds %v, no key", base, rr)
	}
	return []*dns.DS{key.ToDS(dns.SHA256)}
}

// rewrite applies the zone's After to a zone file.
func rewrite(tb testing.TB, z *zone, text []byte) []byte {
	tb.Helper()
	var records []dns.RR
	p := dns.NewZoneParser(bytes.NewReader(text), z.Name, "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		records = append(records, rr)
	}
	if err := p.Err(); err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	for _, rr := range z.After(records) {
		fmt.Fprintln(&b, rr.String())
	}
	return b.Bytes()
}

// command runs a program of BIND and returns its output; failure ends the test.
func command(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("%s is missing; install Debian's bind9 and bind9-utils: %v", name, err)
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(tb.Context(), path, args...) //nolint:gosec // names and arguments are the tests' own
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs.Bytes())
	}
	return string(out)
}
