package publish_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

// A directory that is down costs nothing but time: attempts with pauses, each
// in the history, and everything goes once it is up.
func TestADirectoryThatIsDownIsTriedAgain(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.directory(dir))
		dir.Down()
		mail := func(i int) string { return fmt.Sprintf("%s%d@example.org", db.Engine(), i) }
		var items []publish.Item
		for i := range 3 {
			items = append(items, f.enqueue(f.item(fmt.Sprintf("ord-%d", i), mail(i), p.ID)))
		}
		f.drain()
		f.drain() // nothing is tried before its time
		f.wantHistory("ord-0", publish.Queued, publish.Attempt)
		row, err := f.Get(t.Context(), system, p.ID)
		f.must(err)
		if row.Failures != 1 || row.LastError == "" || !row.PausedUntil.Equal(f.clock.Now().Add(time.Minute)) {
			t.Fatalf("%+v", row)
		}
		f.later(time.Minute)
		f.wantHistory("ord-2", publish.Queued, publish.Attempt, publish.Attempt)
		dir.Up()
		f.later(2 * time.Minute)
		for i, it := range items {
			f.wantState(it.OrderID, publish.Published)
			if !dir.Holds("mail="+mail(i)+","+publishtest.People, attribute, it.Certificate) {
				t.Fatalf("order %d is not in the directory", i)
			}
		}
		if row, err = f.Get(t.Context(), system, p.ID); err != nil || row.Failures != 0 || row.LastError != "" {
			t.Fatalf("%+v, %v", row, err)
		}
	})
}

func TestWhatIsGivenUpCanBeSentAgain(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.directory(dir)) // two hours
		ra := f.operator("ra", access.RoleRAOperator, realm, f.north.ID)
		dir.Down()
		it := f.enqueue(f.item("ord-1", string(db.Engine())+"@example.org", p.ID))
		giveUp := func(want publish.State) {
			t.Helper()
			for range 40 {
				f.later(10 * time.Minute)
				if f.state("ord-1") == want {
					return
				}
			}
			t.Fatalf("still %s", f.state("ord-1"))
		}
		giveUp(publish.Failed)
		if events := f.history("ord-1"); events[len(events)-1] != publish.GaveUp || f.audited("publish.failed") != 1 || !slices.Equal(f.told, []string{"ord-1 failed"}) {
			t.Fatalf("%q, told %q", events, f.told)
		}
		f.later(24 * time.Hour) // nothing more by itself
		f.wantState("ord-1", publish.Failed)
		dir.Up()
		f.must(f.Resend(t.Context(), ra, realm, f.north.ID, "ord-1"))
		f.drain()
		f.later(time.Hour)
		f.wantState("ord-1", publish.Published)
		entry := "mail=" + string(db.Engine()) + "@example.org," + publishtest.People
		if !dir.Holds(entry, attribute, it.Certificate) {
			t.Fatal("not in the directory")
		}
		// The same for taking it away.
		dir.Down()
		f.remove("ord-1")
		giveUp(publish.Stuck)
		if sum, _, err := f.Status(t.Context(), system, realm, f.north.ID, "ord-1"); err != nil || sum != publish.GivenUp {
			t.Fatal(sum, err)
		}
		dir.Up()
		f.must(f.Resend(t.Context(), ra, realm, f.north.ID, "ord-1"))
		f.later(time.Hour)
		f.wantState("ord-1", publish.Removed)
		if dir.Holds(entry, attribute, it.Certificate) {
			t.Fatal("still in the directory")
		}
		if !slices.Equal(f.told, []string{"ord-1 failed", "ord-1 published", "ord-1 stuck", "ord-1 removed"}) {
			t.Fatalf("told %q", f.told)
		}
	})
}

// One entry that is refused does not hold up the others.
func TestOneRefusedEntryDoesNotHoldUpOthers(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		fields := f.directory(dir)
		fields.Settings.LDAP.Certificates.DN = "mail={mail},{field.place},dc=example,dc=org"
		if _, err := f.Create(t.Context(), system, realm, "", fields); err == nil {
			t.Fatal("a fact stands for a whole part of a name")
		}
		fields.Settings.LDAP.Certificates.DN = "mail={mail},ou={field.place},dc=example,dc=org"
		p := f.create(fields)
		for i, place := range []string{"closed", "people", "nowhere", "people"} {
			it := f.item(fmt.Sprintf("ord-%d", i), fmt.Sprintf("%s%d@example.org", db.Engine(), i), p.ID)
			it.Facts = map[string]string{"place": place}
			f.enqueue(it)
		}
		f.drain()
		for order, want := range map[string]publish.State{"ord-0": publish.Waiting, "ord-1": publish.Published, "ord-2": publish.Waiting, "ord-3": publish.Published} {
			f.wantState(order, want)
		}
		_, list, err := f.Status(t.Context(), system, realm, f.north.ID, "ord-0")
		f.must(err)
		if !strings.Contains(list[0].LastError, "(50)") || list[0].Next.IsZero() {
			t.Fatalf("%+v", list[0])
		}
		// Somebody makes the entry above; the next attempt succeeds.
		dir.Modify("dn: ou=nowhere," + publishtest.Base + "\nchangetype: add\nobjectClass: organizationalUnit\nou: nowhere\n")
		f.later(time.Minute)
		f.wantState("ord-2", publish.Published)
		f.remove("ord-2")
		f.drain()
		dir.Modify("dn: ou=nowhere," + publishtest.Base + "\nchangetype: delete\n")
	})
}

// A server that connects and says nothing holds up nobody but itself.
func TestAHangingPublisherHoldsUpNobodyElse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	hanging := f.directory(&publishtest.Directory{CA: f.ca, TLSPort: l.Addr().(*net.TCPAddr).Port})
	hanging.Settings.LDAP.Timeout = 1
	a, b := f.create(hanging), f.create(f.files("{serial}"))
	f.enqueue(f.item("ord-1", "x@example.org", a.ID, b.ID))
	f.drain()
	_, list, err := f.Status(t.Context(), system, realm, f.north.ID, "ord-1")
	f.must(err)
	if list[0].State != publish.Waiting || list[0].LastError == "" || list[1].State != publish.Published {
		t.Fatalf("%+v", list)
	}
}

// Internal addresses are reached only when the publisher
// says so, whatever the installation allows for other purposes.
func TestAnInternalAddressMustBeAllowedForThePublisher(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	fields := f.directory(dir)
	fields.Internal = nil
	p := f.create(fields)
	f.enqueue(f.item("ord-1", "x@example.org", p.ID))
	f.drain()
	_, list, err := f.Status(t.Context(), system, realm, f.north.ID, "ord-1")
	f.must(err)
	if list[0].State != publish.Waiting || !strings.Contains(list[0].LastError, "internal addresses") {
		t.Fatalf("%+v", list[0])
	}
	if _, err := f.Update(t.Context(), system, p.ID, f.directory(dir)); err != nil {
		t.Fatal(err)
	}
	f.drain() // at once: a change of the settings ends the pause
	f.wantState("ord-1", publish.Published)
}
