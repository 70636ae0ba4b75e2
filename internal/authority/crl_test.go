package authority_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/crl"
)

// list reads the current list of a scope, verified.
func (f *fixture) list(s authority.Scope) (*crl.CRL, map[string]crl.Entry, authority.CRL) {
	f.t.Helper()
	s.Authority = "clients"
	c, err := f.ca.CurrentList(f.t.Context(), s)
	f.check(err)
	r, err := f.ca.OpenCRL(f.t.Context(), c)
	f.check(err)
	defer r.Close()
	der, err := io.ReadAll(r)
	f.check(err)
	list, err := crl.Parse(der)
	f.check(err)
	x, err := f.ca.Get(f.t.Context(), "clients")
	f.check(err)
	f.check(list.Verify(x.Certificate))
	entries := map[string]crl.Entry{}
	for e, err := range list.Entries() {
		f.check(err)
		entries[string(e.Serial)] = e
	}
	if int64(len(entries)) != c.Entries || int64(len(der)) != c.Size {
		f.t.Errorf("%d entries in %d octets; the table says %d in %d", len(entries), len(der), c.Entries, c.Size)
	}
	return list, entries, c
}

func (f *fixture) produceDue() {
	f.t.Helper()
	f.check(f.ca.ProduceDueCRLs(f.t.Context()))
}

// openssl runs a command on files that are named after the keys of a map.
func openssl(t *testing.T, files map[string][]byte, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	return string(out), err
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (f *fixture) der(c authority.CRL) []byte {
	f.t.Helper()
	r, err := f.ca.OpenCRL(f.t.Context(), c)
	f.check(err)
	defer r.Close()
	der, err := io.ReadAll(r)
	f.check(err)
	return der
}

// Row 20: sharded, with a critical IDP that says what the certificates say. OpenSSL
// takes a shard for its own certificates and for no others.
func TestEachCertificateNamesItsShard(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.clock.Set(time.Now()) // OpenSSL judges by the real clock
		early := f.issue()
		f.policy(func(p *authority.Policy) { p.Shards = 2 })
		byShard := map[int64]*authority.Certificate{}
		for len(byShard) < 2 {
			c := f.issue()
			byShard[f.record(c).Shard] = c
		}
		if f.record(early).Shard != 0 || byShard[1] == nil || byShard[2] == nil {
			t.Fatalf("shards %d and %v", f.record(early).Shard, byShard)
		}
		f.produceDue()
		leaf, err := x509.ParseCertificate(byShard[1].DER)
		f.check(err)
		if len(leaf.CRLDistributionPoints) != 1 || leaf.CRLDistributionPoints[0] != "http://pki.example.com/crl/clients/1.crl" {
			t.Errorf("the certificate names %v", leaf.CRLDistributionPoints)
		}
		lists := map[int64]authority.CRL{}
		for shard := range int64(3) {
			list, entries, c := f.list(authority.Scope{Shard: shard})
			lists[shard] = c
			if len(entries) != 0 || (shard == 0) != (list.IDP == nil) {
				t.Errorf("shard %d: %d entries, scope %+v", shard, len(entries), list.IDP)
			}
			if shard > 0 && (!list.IDP.OnlyUserCerts || list.IDP.URIs[0] != fmt.Sprintf("http://pki.example.com/crl/clients/%d.crl", shard)) {
				t.Errorf("shard %d: scope %+v", shard, list.IDP)
			}
		}
		f.clock.Advance(time.Second)
		f.check(f.revoke(byShard[1]))
		f.produceDue()
		// The revocation is on its shard at once; the other shard is left alone, and
		// the full list has it with the next.
		for shard, want := range map[int64]struct{ entries, newer int64 }{0: {0, 0}, 1: {1, 1}, 2: {0, 0}} {
			_, entries, c := f.list(authority.Scope{Shard: shard})
			if int64(len(entries)) != want.entries || c.Number != lists[shard].Number+want.newer {
				t.Errorf("shard %d: list %d with %d entries", shard, c.Number, len(entries))
			}
			lists[shard] = c
		}
		x, err := f.ca.Get(t.Context(), "clients")
		f.check(err)
		root, err := f.ca.Get(t.Context(), "root")
		f.check(err)
		verify := func(c *authority.Certificate, list authority.CRL) string {
			out, _ := openssl(t, map[string][]byte{
				"root.pem": pemOf("CERTIFICATE", root.DER), "ca.pem": pemOf("CERTIFICATE", x.DER), "leaf.pem": pemOf("CERTIFICATE", c.DER), "list.pem": pemOf("X509 CRL", f.der(list)),
			}, "openssl", "verify", "-crl_check", "-CAfile", "root.pem", "-untrusted", "ca.pem", "-CRLfile", "list.pem", "leaf.pem")
			return out
		}
		for _, k := range []struct {
			what string
			c    *authority.Certificate
			list authority.CRL
			want string
		}{
			{"revoked, by its shard", byShard[1], lists[1], "certificate revoked"},
			{"good, by its shard", byShard[2], lists[2], "leaf.pem: OK"},
			{"by another shard", byShard[2], lists[1], "different CRL scope"},
			{"older than shards, by the full list", early, lists[0], "leaf.pem: OK"},
			{"older than shards, by a shard", early, lists[1], "different CRL scope"},
		} {
			if out := verify(k.c, k.list); !strings.Contains(out, k.want) {
				t.Errorf("%s: %s", k.what, out)
			}
		}
		// Shards that were in use stay; the full list has everything after a day.
		f.policy(func(p *authority.Policy) { p.Shards = 0 })
		f.clock.Advance(25 * time.Hour)
		f.produceDue()
		if _, entries, c := f.list(authority.Scope{}); len(entries) != 1 || c.Number != lists[0].Number+1 {
			t.Errorf("the full list %d has %d entries", c.Number, len(entries))
		}
		if _, entries, c := f.list(authority.Scope{Shard: 1}); len(entries) != 1 || c.Number != lists[1].Number+1 {
			t.Errorf("the first shard's list %d has %d entries", c.Number, len(entries))
		}
		if f.record(f.issue()).Shard != 0 {
			t.Error("a certificate that is issued without shards is in one")
		}
	})
}

// RFC 5280, 5.2.4: a delta list says what changed since the full list that it
// names, also that a hold has ended.
func TestDeltaListsSayWhatChanged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.policy(func(p *authority.Policy) { p.Deltas, p.AllowHold, p.CRLPause = true, true, time.Hour })
		hold := authority.Withdrawal{By: authority.RoleOperator, Reason: authority.CertificateHold}
		old, held, revoked, brief := f.issue(), f.issue(), f.issue(), f.issue()
		f.check(f.revoke(old))
		f.check(f.withdraw(held, hold))
		f.produceDue()
		full, entries, published := f.list(authority.Scope{})
		if len(entries) != 2 || len(full.Freshest) != 1 || full.Freshest[0] != "http://pki.example.com/crl/clients/delta.crl" {
			t.Errorf("the full list has %d entries and names %v", len(entries), full.Freshest)
		}
		delta, entries, first := f.list(authority.Scope{Delta: true})
		if len(entries) != 0 || delta.DeltaBase.Int64() != published.Number || first.Number <= published.Number || len(delta.Freshest) != 0 {
			t.Errorf("the first delta list %d over %v has %d entries", first.Number, delta.DeltaBase, len(entries))
		}
		f.clock.Advance(time.Minute)
		f.check(f.revoke(revoked))
		f.check(f.release(held))
		f.check(f.withdraw(brief, hold))
		f.check(f.release(brief))
		f.produceDue()
		delta, entries, second := f.list(authority.Scope{Delta: true})
		want := map[string]int{string(revoked.Serial): crl.KeyCompromise, string(held.Serial): crl.RemoveFromCRL, string(brief.Serial): crl.RemoveFromCRL}
		if len(entries) != len(want) || delta.DeltaBase.Int64() != published.Number || second.Number <= first.Number {
			t.Errorf("the second delta list %d over %v has %d entries", second.Number, delta.DeltaBase, len(entries))
		}
		for serial, reason := range want {
			if entries[serial].Reason != reason {
				t.Errorf("%x: reason %d, want %d", serial, entries[serial].Reason, reason)
			}
		}
		if _, _, c := f.list(authority.Scope{}); c.Number != published.Number {
			t.Error("a full list was made within the pause")
		}
		f.produceDue()
		if _, _, c := f.list(authority.Scope{Delta: true}); c.Number != second.Number {
			t.Error("a delta list was made although nothing had happened")
		}
		f.clock.Advance(time.Hour)
		f.produceDue()
		_, entries, next := f.list(authority.Scope{})
		if len(entries) != 2 || entries[string(revoked.Serial)].Reason != crl.KeyCompromise || next.Number <= second.Number {
			t.Errorf("the next full list %d has %d entries", next.Number, len(entries))
		}
		delta, entries, third := f.list(authority.Scope{Delta: true})
		if len(entries) != 0 || delta.DeltaBase.Int64() != next.Number || third.Number <= next.Number {
			t.Errorf("the delta list over %v has %d entries", delta.DeltaBase, len(entries))
		}
		f.verifiesAbroad(t, next, third)
	})
}

// verifiesAbroad shows a full and a delta list to OpenSSL and GnuTLS.
func (f *fixture) verifiesAbroad(t *testing.T, full, delta authority.CRL) {
	t.Helper()
	x, err := f.ca.Get(t.Context(), "clients")
	f.check(err)
	files := map[string][]byte{"ca.pem": pemOf("CERTIFICATE", x.DER), "full.der": f.der(full), "delta.der": f.der(delta)}
	for name, k := range map[string]struct {
		number int64
		wants  []string
	}{
		"full":  {full.Number, []string{"X509v3 Freshest CRL", "Key Compromise"}},
		"delta": {delta.Number, []string{fmt.Sprintf("X509v3 Delta CRL Indicator: critical\n                %X", full.Number)}},
	} {
		out, err := openssl(t, files, "openssl", "crl", "-inform", "DER", "-in", name+".der", "-CAfile", "ca.pem", "-verify", "-text", "-noout")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range append(k.wants, "verify OK") {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q: %s", name, want, out)
			}
		}
		out, err = openssl(t, files, "certtool", "--crl-info", "--inder", "--infile", name+".der")
		if err != nil || !strings.Contains(out, fmt.Sprintf("CRL Number (not critical): %02x", k.number)) {
			t.Errorf("certtool on %s: %v %s", name, err, out)
		}
	}
}

// A revocation whose transaction was begun before a list and ends after it is on
// the next: the order of commits counts, not the clock.
func TestARevocationThatCommitsLateIsNotForgotten(t *testing.T) {
	url := storetest.Postgres(t)
	f := newFixture(t, storetest.Open(t, url))
	c := f.issue()
	n := f.node(url)
	f.produceDue()
	inside, proceed, done := make(chan struct{}), make(chan struct{}), make(chan error)
	var once sync.Once
	go func() {
		done <- n.db.Update(t.Context(), func(tx *store.Tx) error {
			err := n.ca.Withdraw(tx, c.Authority, c.Serial, authority.Withdrawal{By: authority.RoleOperator, Reason: authority.Superseded})
			once.Do(func() { close(inside); <-proceed })
			return err
		})
	}()
	<-inside
	f.clock.Advance(25 * time.Hour) // a list is due, whatever happens
	f.produceDue()
	if _, entries, _ := f.list(authority.Scope{}); len(entries) != 0 {
		t.Fatal("a revocation that is not committed is on the list")
	}
	close(proceed)
	f.check(<-done)
	f.produceDue()
	if _, entries, _ := f.list(authority.Scope{}); len(entries) != 1 {
		t.Error("the revocation was forgotten")
	}
}

// Two nodes: numbers grow, no number is used twice, and one list is made at a time.
func TestTwoNodesMakeOneSequenceOfLists(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, storetest.Open(t, url))
		nodes := []*fixture{f, f.node(url)}
		var mu sync.Mutex
		seen := map[int64]bool{}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c, err := nodes[i%2].ca.ProduceCRL(t.Context(), "clients")
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, fault.Conflict):
				case err != nil:
					t.Error(err)
				case seen[c.Number]:
					t.Errorf("the number %d twice", c.Number)
				default:
					seen[c.Number] = true
				}
			})
		}
		wg.Wait()
		for n := range int64(len(seen)) {
			if !seen[n+1] {
				t.Errorf("numbers %v", seen)
			}
		}
		if len(seen) == 0 {
			t.Error("nobody made a list")
		}
	})
}

// The first list of a day is made from the table, those after it from the one
// before: both say the same, whatever was revoked, suspended, released or put
// right between them.
func TestAListThatFollowsAnotherIsAsGoodAsOneMadeAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.policy(func(p *authority.Policy) { p.AllowHold, p.Shards = true, 2 })
		hold := authority.Withdrawal{By: authority.RoleOperator, Reason: authority.CertificateHold}
		var all []*authority.Certificate
		for range 12 {
			all = append(all, f.issue())
		}
		f.check(f.revoke(all[0]))
		f.check(f.withdraw(all[1], hold))
		f.check(f.withdraw(all[2], hold))
		f.check(f.withdraw(all[3], authority.Withdrawal{By: authority.RoleOperator, Reason: authority.Superseded}))
		state := func(shard int64) string {
			_, entries, c := f.list(authority.Scope{Shard: shard})
			text := ""
			for i, x := range all {
				if e, ok := entries[string(x.Serial)]; ok {
					text += fmt.Sprintf("%d: %d %v %v\n", i, e.Reason, e.At, e.Invalidity)
				}
			}
			if int64(strings.Count(text, "\n")) != c.Entries {
				t.Errorf("shard %d: %d entries, of which ours are\n%s", shard, c.Entries, text)
			}
			return text
		}
		produceAll := func() (text string) {
			for shard := range int64(3) {
				_, err := f.ca.ProduceList(t.Context(), authority.Scope{Authority: "clients", Shard: shard})
				f.check(err)
				text += state(shard)
			}
			return text
		}
		first := produceAll()
		f.clock.Advance(time.Minute)
		f.check(f.release(all[1]))
		f.check(f.withdraw(all[2], authority.Withdrawal{By: authority.RoleOperator, Reason: authority.KeyCompromise, Since: noon}))
		f.check(f.withdraw(all[3], authority.Withdrawal{By: authority.RoleOperator, Reason: authority.KeyCompromise}))
		f.check(f.revoke(all[4]))
		f.check(f.withdraw(all[5], hold))
		f.check(f.release(all[5]))
		second := produceAll()
		f.clock.Advance(time.Minute)
		f.check(f.withdraw(all[1], hold))
		f.check(f.revoke(all[6]))
		third := produceAll()
		f.clock.Advance(24 * time.Hour)
		anew := produceAll()
		if first == second || second == third || third != anew {
			t.Errorf("first\n%ssecond\n%sthird\n%sanew\n%s", first, second, third, anew)
		}
	})
}

// A list that cannot be read is no reason not to make the next.
func TestADamagedListIsNotFollowed(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.check(f.revoke(f.issue()))
	f.produceDue()
	f.check(filepath.WalkDir(filepath.Join(f.dir, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Remove(path)
		}
		return err
	}))
	f.clock.Advance(time.Minute)
	f.check(f.revoke(f.issue()))
	f.produceDue()
	if _, entries, c := f.list(authority.Scope{}); len(entries) != 2 || c.Number != 2 {
		t.Errorf("list %d has %d entries", c.Number, len(entries))
	}
}

func TestALeaseThatACrashLeftBehindEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.check(db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO crl_leases (authority, shard, holder, until) VALUES ('clients', 0, 'dead', $1)`, store.Micros(f.clock.Now().Add(2*time.Minute)))
			return err
		}))
		f.produceDue() // leaves that list to the other
		if _, err := f.ca.CurrentCRL(t.Context(), "clients"); !errors.Is(err, fault.NotFound) {
			t.Errorf("made although another node is at it: %v", err)
		}
		if _, err := f.ca.ProduceCRL(t.Context(), "clients"); !errors.Is(err, fault.Conflict) {
			t.Errorf("by hand: %v", err)
		}
		f.clock.Advance(3 * time.Minute)
		f.produceDue()
		if _, err := f.ca.CurrentCRL(t.Context(), "clients"); err != nil {
			t.Error(err)
		}
	})
}

func TestListsPauseAfterARevocation(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.policy(func(p *authority.Policy) { p.CRLPause = time.Hour })
	f.produceDue()
	f.check(f.revoke(f.issue()))
	f.clock.Advance(time.Hour - time.Second)
	f.produceDue()
	if _, _, c := f.list(authority.Scope{}); c.Number != 1 {
		t.Errorf("list %d within the pause", c.Number)
	}
	f.clock.Advance(time.Second)
	f.produceDue()
	if _, entries, c := f.list(authority.Scope{}); c.Number != 2 || len(entries) != 1 {
		t.Errorf("list %d with %d entries after the pause", c.Number, len(entries))
	}
}

// What expired long ago is deleted, but never while it is on a list; a policy for
// qualified certificates keeps it, and says so (ETSI EN 319 411-2).
func TestEntriesGoLongAfterTheirCertificatesExpired(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		rows := func() (n int) {
			f.check(db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM revocations`).Scan(&n))
			return n
		}
		c := f.issue()
		f.check(f.revoke(c))
		f.produceDue()
		f.clock.Advance(380 * 24 * time.Hour)
		for range 3 {
			f.produceDue()
			f.clock.Advance(25 * time.Hour)
		}
		f.check(f.ca.SweepRevocations(t.Context()))
		if _, entries, _ := f.list(authority.Scope{}); len(entries) != 0 || rows() != 1 {
			t.Errorf("two weeks after the end: %d on the list, %d kept", len(entries), rows())
		}
		f.policy(func(p *authority.Policy) { p.KeepExpired = true })
		f.clock.Advance(100 * 24 * time.Hour)
		f.check(f.ca.SweepRevocations(t.Context()))
		f.produceDue()
		x, err := f.ca.Get(t.Context(), "clients")
		f.check(err)
		if list, entries, _ := f.list(authority.Scope{}); len(entries) != 1 || !list.ExpiredCertsOnCRL.Equal(x.Certificate.NotBefore) {
			t.Errorf("%d entries since %v", len(entries), list.ExpiredCertsOnCRL)
		}
		f.policy(func(p *authority.Policy) { p.KeepExpired = false })
		f.clock.Advance(25 * time.Hour)
		f.check(f.ca.SweepRevocations(t.Context()))
		f.produceDue()
		if rows() != 0 || f.record(c).Status != authority.CertRevoked {
			t.Errorf("%d rows; the certificate is %s", rows(), f.record(c).Status)
		}
	})
}

// A certificate that is revoked after its expiry is on one list all the same.
func TestALateRevocationIsPublishedOnce(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	c := f.issue()
	f.clock.Advance(370 * 24 * time.Hour)
	f.produceDue()
	f.clock.Advance(time.Hour)
	f.check(f.revoke(c))
	for _, want := range []int{1, 1, 0} {
		f.produceDue()
		if _, entries, _ := f.list(authority.Scope{}); len(entries) != want {
			t.Errorf("%d entries, want %d", len(entries), want)
		}
		f.clock.Advance(25 * time.Hour)
	}
}

func TestTheLastListHoldsForEver(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	f.policy(func(p *authority.Policy) { p.Shards = 1 })
	f.check(f.revoke(f.issue()))
	f.produceDue()
	if _, err := f.ca.ProduceLastCRL(t.Context(), "clients"); !errors.Is(err, fault.Conflict) {
		t.Errorf("of an open authority: %v", err)
	}
	f.check(f.ca.Close(t.Context(), "clients", authority.CessationOfOperation))
	_, err := f.ca.ProduceLastCRL(t.Context(), "clients")
	f.check(err)
	for shard := range int64(2) {
		list, entries, _ := f.list(authority.Scope{Shard: shard})
		if list.NextUpdate.Format(time.RFC3339) != "9999-12-31T23:59:59Z" || len(entries) != 1 {
			t.Errorf("shard %d: until %v, %d entries", shard, list.NextUpdate, len(entries))
		}
	}
	_, _, last := f.list(authority.Scope{})
	f.clock.Advance(30 * 24 * time.Hour)
	f.produceDue()
	if _, _, c := f.list(authority.Scope{}); c.Number != last.Number {
		t.Error("another list after the last")
	}
}

func TestOldListsAreDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.policy(func(p *authority.Policy) { p.Deltas = true })
		_, err := f.ca.ProduceCRL(t.Context(), "clients")
		f.check(err)
		_, _, first := f.list(authority.Scope{})
		for range 6 {
			f.clock.Advance(time.Minute)
			for _, delta := range []bool{true, false} {
				_, err := f.ca.ProduceList(t.Context(), authority.Scope{Authority: "clients", Delta: delta})
				f.check(err)
			}
		}
		for kind, query := range map[string]string{"full": `SELECT COUNT(*) FROM crls WHERE base = 0`, "delta": `SELECT COUNT(*) FROM crls WHERE base > 0`} {
			var n int
			f.check(db.View(t.Context()).QueryRow(query).Scan(&n))
			if n != 4 {
				t.Errorf("%d %s lists are kept", n, kind)
			}
		}
		if _, err := f.ca.OpenCRL(t.Context(), first); !errors.Is(err, fault.NotFound) {
			t.Errorf("the first list: %v", err)
		}
		lists, err := f.ca.Lists(t.Context(), "clients")
		f.check(err)
		if len(lists) != 2 {
			t.Errorf("%d current lists", len(lists))
		}
	})
}

func TestListsThatAreNotOursAreRefused(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	for _, s := range []authority.Scope{{Authority: "clients", Shard: 1}, {Authority: "clients", Shard: -1}} {
		if _, err := f.ca.ProduceList(t.Context(), s); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if _, err := f.ca.ProduceList(t.Context(), authority.Scope{Authority: "clients", Delta: true}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a delta list without a full one: %v", err)
	}
	f.policy(func(p *authority.Policy) { p.Deltas, p.Shards = true, 1 })
	f.produceDue()
	for name, s := range map[string]authority.Scope{"a delta list": {Delta: true}, "a shard": {Shard: 1}} {
		_, _, c := f.list(s)
		if _, err := f.ca.ImportCRL(t.Context(), "clients", f.der(c)); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, full := f.list(authority.Scope{})
	der := f.der(full)
	if _, err := f.ca.ImportCRL(t.Context(), "clients", der); !errors.Is(err, fault.Conflict) {
		t.Errorf("a number that was used: %v", err)
	}
	if _, err := f.ca.ImportCRL(t.Context(), "root", der); !errors.Is(err, fault.Invalid) {
		t.Errorf("another authority's: %v", err)
	}
	if _, err := f.ca.ImportCRL(t.Context(), "clients", bytes.Repeat([]byte{0x30}, 9)); !errors.Is(err, fault.Invalid) {
		t.Errorf("nonsense: %v", err)
	}
}
