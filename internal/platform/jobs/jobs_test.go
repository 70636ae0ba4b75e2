package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

var (
	start   = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	quiet   = slog.New(slog.NewTextHandler(io.Discard, nil))
	errBoom = errors.New("boom")
)

// recorder is a handler that notes what it was given.
type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, s)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func (r *recorder) handle(_ context.Context, j jobs.Job) error {
	var text string
	if err := j.Decode(&text); err != nil {
		return err
	}
	r.note(text)
	return nil
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, want) {
		t.Fatalf("ran %v, want %v", got, want)
	}
}

func enqueue(t *testing.T, db *store.DB, q *jobs.Queue, kind, key, args string, at time.Time) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return q.Enqueue(tx, kind, key, args, at) }); err != nil {
		t.Fatal(err)
	}
}

func drain(t *testing.T, q *jobs.Queue) {
	t.Helper()
	if err := q.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// only gives the one job of a kind.
func only(t *testing.T, db *store.DB, q *jobs.Queue, kind string) jobs.Row {
	t.Helper()
	list, _, err := q.List(db.View(t.Context()), jobs.Filter{Kind: kind}, store.Page{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d jobs of kind %s, error %v", len(list), kind, err)
	}
	return list[0]
}

func TestAJobRunsOnceWhenItIsDueAndOnlyIfItsTransactionCommits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		q, r := jobs.New(db, c, quiet, jobs.Options{}), &recorder{}
		q.Handle("k", r.handle, jobs.KindOptions{})
		enqueue(t, db, q, "k", "", "now", time.Time{})
		enqueue(t, db, q, "k", "", "later", start.Add(time.Hour))
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			return errors.Join(q.Enqueue(tx, "k", "", "never", time.Time{}), errBoom)
		})
		if !errors.Is(err, errBoom) {
			t.Fatal(err)
		}
		drain(t, q)
		r.want(t, "now")
		c.Advance(time.Hour - time.Microsecond)
		drain(t, q)
		r.want(t)
		c.Advance(time.Microsecond)
		drain(t, q)
		drain(t, q)
		r.want(t, "later")
	})
}

func TestTheSameWorkWaitsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		q, r := jobs.New(db, c, quiet, jobs.Options{}), &recorder{}
		again := true
		q.Handle("k", func(ctx context.Context, j jobs.Job) error {
			if again { // a job that runs does not stand in for one that is asked for now
				again = false
				enqueue(t, db, q, "k", "a", "anew", time.Time{})
			}
			return r.handle(ctx, j)
		}, jobs.KindOptions{})
		enqueue(t, db, q, "k", "a", "first", start.Add(2*time.Hour))
		enqueue(t, db, q, "k", "a", "second", start.Add(3*time.Hour))
		if row := only(t, db, q, "k"); !row.DueAt.Equal(start.Add(2 * time.Hour)) {
			t.Fatalf("the job moved back to %v", row.DueAt)
		}
		enqueue(t, db, q, "k", "a", "third", start.Add(time.Hour))
		enqueue(t, db, q, "other", "a", "other", start)
		c.Advance(time.Hour)
		drain(t, q)
		r.want(t, "first", "anew")
	})
}

func TestAFailingJobIsRepeatedWithGrowingPausesAndThenFails(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		q, runs := jobs.New(db, c, quiet, jobs.Options{}), 0
		q.Handle("k", func(context.Context, jobs.Job) error {
			runs++
			if runs == 2 {
				panic("defect")
			}
			return errBoom
		}, jobs.KindOptions{MaxAttempts: 4, Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute }})
		enqueue(t, db, q, "k", "", "x", time.Time{})
		for attempt := 1; attempt <= 4; attempt++ {
			drain(t, q)
			if row := only(t, db, q, "k"); runs != attempt || row.Attempts != attempt || row.LastError == "" {
				t.Fatalf("after attempt %d: %d runs, %+v", attempt, runs, row)
			}
			c.Advance(time.Duration(attempt)*time.Minute - time.Second)
			drain(t, q)
			if runs != attempt {
				t.Fatal("the job ran before its pause was over")
			}
			c.Advance(time.Second)
		}
		row := only(t, db, q, "k")
		if row.State != jobs.Failed || row.LastError != "boom" {
			t.Fatalf("%+v", row)
		}
		c.Advance(24 * time.Hour)
		drain(t, q)
		if runs != 4 {
			t.Fatal("a failed job ran again by itself")
		}
		// By hand it gets all its attempts again.
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return q.Retry(tx, row.ID) }); err != nil {
			t.Fatal(err)
		}
		drain(t, q)
		if row := only(t, db, q, "k"); runs != 5 || row.State != jobs.Waiting || row.Attempts != 1 {
			t.Fatalf("%d runs, %+v", runs, row)
		}
		if s := q.Stats(); !slices.Contains(s, jobs.Stats{Kind: "k", Failed: 1, Retried: 4, Busy: busy(s, "k")}) {
			t.Fatalf("%+v", s)
		}
	})
}

func busy(all []jobs.Stats, kind string) time.Duration {
	for _, s := range all {
		if s.Kind == kind {
			return s.Busy
		}
	}
	return 0
}

func TestWhatRepeatingDoesNotMendFailsAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := jobs.New(db, clock.NewFake(start), quiet, jobs.Options{})
		q.Handle("k", func(context.Context, jobs.Job) error {
			return fmt.Errorf("outer: %w", jobs.Permanent(errBoom))
		}, jobs.KindOptions{})
		q.Handle("args", (&recorder{}).handle, jobs.KindOptions{})
		enqueue(t, db, q, "k", "", "x", time.Time{})
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return q.Enqueue(tx, "args", "", 7, time.Time{}) }); err != nil {
			t.Fatal(err)
		}
		drain(t, q)
		for _, kind := range []string{"k", "args"} {
			if row := only(t, db, q, kind); row.State != jobs.Failed || row.Attempts != 1 {
				t.Fatalf("%+v", row)
			}
		}
	})
}

func TestWorkAskedForAnewTakesThePlaceOfARetry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		q, r := jobs.New(db, c, quiet, jobs.Options{}), &recorder{}
		q.Handle("k", func(ctx context.Context, j jobs.Job) error {
			_ = r.handle(ctx, j)
			if string(j.Args) == `"old"` {
				enqueue(t, db, q, "k", "a", "new", start.Add(time.Hour))
				return errBoom
			}
			return nil
		}, jobs.KindOptions{})
		enqueue(t, db, q, "k", "a", "old", time.Time{})
		drain(t, q)
		c.Advance(time.Hour)
		drain(t, q)
		r.want(t, "old", "new")
		list, _, err := q.List(db.View(t.Context()), jobs.Filter{Kind: "k", State: jobs.Finished}, store.Page{})
		if err != nil || len(list) != 2 || list[1].LastError == "" {
			t.Fatalf("%+v, %v", list, err)
		}
	})
}

// die ends the goroutine as a killed process would: nothing after it runs, and
// no outcome is recorded.
func die() { runtime.Goexit() }

// drainAndDie runs Drain where a handler may die.
func drainAndDie(t *testing.T, q *jobs.Queue) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = q.Drain(context.WithoutCancel(t.Context()))
	}()
	<-done
}

func TestTheJobOfADeadNodeIsTakenOverAfterItsLease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		dead, alive, r := jobs.New(db, c, quiet, jobs.Options{}), jobs.New(db, c, quiet, jobs.Options{}), &recorder{}
		dead.Handle("k", func(context.Context, jobs.Job) error { die(); return nil }, jobs.KindOptions{})
		alive.Handle("k", r.handle, jobs.KindOptions{})
		enqueue(t, db, dead, "k", "", "x", time.Time{})
		drainAndDie(t, dead)
		c.Advance(time.Minute - time.Second)
		drain(t, alive)
		r.want(t)
		if row := only(t, db, alive, "k"); row.State != jobs.Running {
			t.Fatalf("%+v", row)
		}
		c.Advance(time.Second)
		drain(t, alive)
		r.want(t, "x")
		if row := only(t, db, alive, "k"); row.State != jobs.Finished || row.Attempts != 2 {
			t.Fatalf("%+v", row)
		}
	})
}

func TestAJobThatKillsItsNodesDoesNotDoSoForEver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		runs := 0
		for range 5 {
			q := jobs.New(db, c, quiet, jobs.Options{})
			q.Handle("k", func(context.Context, jobs.Job) error { runs++; die(); return nil }, jobs.KindOptions{MaxAttempts: 3})
			if runs == 0 {
				enqueue(t, db, q, "k", "", "x", time.Time{})
			}
			drainAndDie(t, q)
			c.Advance(time.Minute)
		}
		q := jobs.New(db, c, quiet, jobs.Options{})
		if row := only(t, db, q, "k"); runs != 3 || row.State != jobs.Failed {
			t.Fatalf("%d runs, %+v", runs, row)
		}
	})
}

func TestALiveNodeKeepsItsLeaseAndALostOneEndsTheHandler(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		slow, other, r := jobs.New(db, c, quiet, jobs.Options{}), jobs.New(db, c, quiet, jobs.Options{}), &recorder{}
		began, ended := make(chan struct{}), make(chan error, 1)
		slow.Handle("k", func(ctx context.Context, j jobs.Job) error {
			close(began)
			<-ctx.Done()
			ended <- db.Update(t.Context(), func(tx *store.Tx) error { return j.Done(tx) })
			return ctx.Err()
		}, jobs.KindOptions{})
		other.Handle("k", r.handle, jobs.KindOptions{})
		enqueue(t, db, slow, "k", "", "x", time.Time{})
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			if err := slow.Drain(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		<-began
		for range 3 {
			c.Advance(40 * time.Second)
			if err := jobs.Renew(t.Context(), slow); err != nil {
				t.Fatal(err)
			}
			drain(t, other)
		}
		r.want(t)
		c.Advance(time.Minute)
		drain(t, other)
		r.want(t, "x")
		if err := jobs.Renew(t.Context(), slow); err != nil {
			t.Fatal(err)
		}
		if f := fault.Of(<-ended); f.Code != "job.lease_lost" {
			t.Fatalf("ending a lost job: %v", f)
		}
		<-finished
		if row := only(t, db, other, "k"); row.State != jobs.Finished || row.Attempts != 2 {
			t.Fatalf("the late outcome changed the job: %+v", row)
		}
	})
}

// A handler that ends its job in its own transaction has its effect exactly
// once: a death after the commit repeats nothing.
func TestAJobEndedInTheHandlersTransactionIsNotRepeated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		q := jobs.New(db, c, quiet, jobs.Options{})
		q.Handle("k", func(_ context.Context, j jobs.Job) error {
			if err := db.Update(t.Context(), func(tx *store.Tx) error {
				return errors.Join(q.Enqueue(tx, "effect", "", j.ID, start), j.Done(tx))
			}); err != nil {
				t.Error(err)
			}
			die()
			return nil
		}, jobs.KindOptions{})
		enqueue(t, db, q, "k", "", "x", time.Time{})
		drainAndDie(t, q)
		c.Advance(time.Hour)
		drainAndDie(t, q)
		only(t, db, q, "effect")
		if row := only(t, db, q, "k"); row.State != jobs.Finished || row.Attempts != 1 {
			t.Fatalf("%+v", row)
		}
	})
}

func TestTwoNodesShareTheWorkAndRunEachJobOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, c := &recorder{}, clock.NewFake(start)
		nodes := make([]*jobs.Queue, 2)
		for i := range nodes {
			nodes[i] = jobs.New(db, c, quiet, jobs.Options{Workers: 8})
			nodes[i].Handle("k", r.handle, jobs.KindOptions{Concurrency: 8})
		}
		var want []string
		for i := range 300 {
			text := fmt.Sprintf("%03d", i)
			want = append(want, text)
			enqueue(t, db, nodes[0], "k", text, text, time.Time{})
		}
		var wg sync.WaitGroup
		for _, q := range nodes {
			wg.Go(func() {
				if err := q.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		drain(t, nodes[0])
		got := r.take()
		slices.Sort(got)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%d runs of %d jobs", len(got), len(want))
		}
	})
}

// A worker must not take the waiting job between a caller's request for the
// same work and its commit: it would not see what the caller wants worked on.
func TestAJobAskedForAgainIsNotRunBeforeThatCommits(t *testing.T) {
	db := storetest.Open(t, storetest.Postgres(t)) // SQLite has one writer: nothing is in between
	q, r := jobs.New(db, clock.NewFake(start), quiet, jobs.Options{}), &recorder{}
	q.Handle("k", r.handle, jobs.KindOptions{})
	enqueue(t, db, q, "k", "a", "x", time.Time{})
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		if err := q.Enqueue(tx, "k", "a", "x", time.Time{}); err != nil {
			return err
		}
		drain(t, q)
		r.want(t)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	drain(t, q)
	r.want(t, "x")
}
