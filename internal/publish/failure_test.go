package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// N of DESIGN's rule 5: internal addresses are reached only when the publisher
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

var errCrash = errors.New("crash")

// crash lets the n-th update from now on fail, with or without its effect, and
// all after it: the process is gone. It tells whether that came about.
func crash(db *store.DB, n int, does bool) (happened func() bool) {
	var mu sync.Mutex
	dead := false
	db.Interpose(func(update func() error) error {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return errCrash
		}
		if n--; n >= 0 {
			return update()
		}
		dead = true
		if does {
			if err := update(); err != nil {
				return err
			}
		}
		return errCrash
	})
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return dead
	}
}

// The fault table: a crash at each commit, with the commit persisted or not, of
// publishing and of removing. Another node finishes, once, with nothing left.
func TestACrashAtAnyCommitIsFinishedByAnotherNode(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		p := f.create(f.directory(dir))
		cases, round := 0, 0
		for _, does := range []bool{false, true} {
			for step, more := 0, true; more; step++ {
				round++
				order, mail := fmt.Sprintf("ord-%d", round), fmt.Sprintf("%s%d@example.org", db.Engine(), round)
				entry := "mail=" + mail + "," + publishtest.People
				it := f.enqueue(f.item(order, mail, p.ID))
				work := func() {
					t.Helper()
					happened := crash(db, step, does)
					err := f.queue.Drain(t.Context())
					db.Interpose(nil)
					more = happened()
					if !more && err != nil {
						t.Fatal(err)
					}
					if more {
						cases++
					}
					f.clock.Advance(2 * time.Minute) // past the lease
					f.node = f.newNode(nil)
					f.drain()
				}
				work()
				f.wantState(order, publish.Published)
				if values, _ := dir.Certificates(entry, attribute); len(values) != 1 || values[0] != string(it.Certificate) {
					t.Fatalf("step %d: %d values", step, len(values))
				}
				f.remove(order)
				work()
				f.wantState(order, publish.Removed)
				if _, exists := dir.Certificates(entry, attribute); exists {
					t.Fatalf("step %d: the entry is still there", step)
				}
				f.wantHistory(order, publish.Queued, publish.Done, publish.RemovalQueued, publish.Gone)
			}
		}
		if cases < 12 {
			t.Fatalf("only %d crashes came about", cases)
		}
		var left int64
		f.must(db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM publish_entries`).Scan(&left))
		if left != 0 {
			t.Fatalf("%d entries are remembered that are gone", left)
		}
	})
}

// Two nodes share the publishers and do each thing once.
func TestTwoNodesDoEachThingOnce(t *testing.T) {
	dir := publishtest.StartDirectory(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.OnDone, f.OnRemoved = nil, nil
		second := f.newNode(nil)
		second.OnDone, second.OnRemoved = nil, nil
		one, two := f.create(f.directory(dir)), f.create(f.files("{serial}"))
		both := func() {
			t.Helper()
			var wg sync.WaitGroup
			for _, n := range []*node{f.node, second} {
				wg.Go(func() {
					if err := n.queue.Drain(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			f.drain()
		}
		const n = 30
		for i := range n {
			f.enqueue(f.item(fmt.Sprintf("ord-%d", i), fmt.Sprintf("%s%d@example.org", db.Engine(), i/2), one.ID, two.ID))
		}
		both()
		values := 0
		for _, v := range dir.Find(publishtest.People, "(userCertificate;binary=*)", attribute) {
			values += len(v)
		}
		files, _ := filepath.Glob(filepath.Join(f.base, "*"))
		if values != n || len(files) != n {
			t.Fatalf("%d values and %d files of %d", values, len(files), n)
		}
		for i := range n {
			f.remove(fmt.Sprintf("ord-%d", i))
		}
		both()
		if left := dir.Find(publishtest.People, "(mail="+string(db.Engine())+"*)", attribute); len(left) != 0 {
			t.Fatalf("left in the directory: %d", len(left))
		}
		if files, _ = filepath.Glob(filepath.Join(f.base, "*")); len(files) != 0 {
			t.Fatalf("left in the folder: %d", len(files))
		}
		var events int
		f.must(db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM publish_events WHERE event IN ('published', 'removed')`).Scan(&events))
		if events != 4*n {
			t.Fatalf("%d outcomes, want %d", events, 4*n)
		}
	})
}

// An order that cannot take the news gets it later, once.
func TestAnOrderThatCannotBeToldIsToldLater(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	p := f.create(f.files("{serial}"))
	hook, refuse := f.OnDone, true
	f.OnDone = func(tx *store.Tx, order, publisher string, ok bool, detail string) error {
		if refuse {
			return errCrash
		}
		return hook(tx, order, publisher, ok, detail)
	}
	f.enqueue(f.item("ord-1", "", p.ID))
	f.drain()
	f.wantState("ord-1", publish.Waiting)
	refuse = false
	f.later(2 * time.Minute)
	f.wantState("ord-1", publish.Published)
	f.wantHistory("ord-1", publish.Queued, publish.Done)
	if !slices.Equal(f.told, []string{"ord-1 published"}) {
		t.Fatalf("told %q", f.told)
	}
}

// When the template changes after an attempt, the place that the attempt may
// have reached is cleared.
func TestAPlaceThatWasTriedIsClearedWhenTheTemplateChanges(t *testing.T) {
	f := newFixture(t, storetest.Open(t, storetest.SQLite(t)))
	p := f.create(f.files("old-{order}"))
	f.enqueue(f.item("ord-1", "", p.ID))
	// The file is written, and the outcome is lost.
	hook := f.OnDone
	f.OnDone = func(*store.Tx, string, string, bool, string) error { return errCrash }
	f.drain()
	f.OnDone = hook
	if files, _ := filepath.Glob(filepath.Join(f.base, "*")); len(files) != 1 || filepath.Base(files[0]) != "old-ord-1" {
		t.Fatalf("%q", files)
	}
	_, err := f.Update(t.Context(), system, p.ID, f.files("new-{order}"))
	f.must(err)
	f.drain()
	f.wantState("ord-1", publish.Published)
	if files, _ := filepath.Glob(filepath.Join(f.base, "*")); len(files) != 1 || filepath.Base(files[0]) != "new-ord-1" {
		t.Fatalf("%q", files)
	}
}
