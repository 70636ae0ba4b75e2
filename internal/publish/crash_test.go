package publish_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/internal/publish"
	"github.com/sealwright/sealwright/internal/publish/publishtest"
)

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
