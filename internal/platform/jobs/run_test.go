package jobs_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// run starts the queue; the returned function stops it and gives Run's error.
func run(t *testing.T, q *jobs.Queue) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	return sync.OnceValue(func() error { cancel(); return <-ended })
}

func TestARunningQueueStartsLocalJobsWithoutPolling(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := jobs.New(db, clock.System{}, quiet, jobs.Options{Poll: time.Hour})
		ran := make(chan string)
		q.Handle("k", func(_ context.Context, j jobs.Job) error { ran <- j.Key; return nil }, jobs.KindOptions{Concurrency: 2})
		stop := run(t, q)
		for i := range 20 { // more than run at once: the end of one makes room for the next
			enqueue(t, db, q, "k", fmt.Sprint(i), "x", time.Time{})
		}
		seen := map[string]bool{}
		for range 20 {
			seen[<-ran] = true
		}
		if err := stop(); err != nil || len(seen) != 20 {
			t.Fatalf("%d jobs, %v", len(seen), err)
		}
	})
}

func TestPollingFindsTheJobsOfOtherNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		here, there := jobs.New(db, clock.System{}, quiet, jobs.Options{Poll: 5 * time.Millisecond}), jobs.New(db, clock.System{}, quiet, jobs.Options{})
		ran := make(chan struct{})
		here.Handle("k", func(context.Context, jobs.Job) error { ran <- struct{}{}; return nil }, jobs.KindOptions{})
		stop := run(t, here)
		enqueue(t, db, there, "k", "", "x", time.Time{})
		<-ran
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if row := only(t, db, here, "k"); row.State != jobs.Finished {
			t.Fatalf("Run ended before the job did: %+v", row)
		}
	})
}

// idleSource has nothing to do and notes who asks.
type idleSource struct {
	asked  chan struct{}
	claims *atomic.Int64
}

func (s idleSource) Due(store.Queryer, []string, time.Time) ([]string, error) {
	s.asked <- struct{}{}
	return nil, nil
}

func (s idleSource) Claim(*store.Tx, string, int, time.Time, time.Time) ([]jobs.Task, error) {
	s.claims.Add(1)
	return nil, nil
}

func TestAnIdleQueueReadsOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := jobs.New(db, clock.System{}, quiet, jobs.Options{Poll: time.Millisecond})
		s := idleSource{make(chan struct{}), new(atomic.Int64)}
		q.Attach(s, "idle", 1)
		stop := run(t, q)
		for range 20 {
			<-s.asked
		}
		go func() {
			for range s.asked {
			}
		}()
		if err := stop(); err != nil || s.claims.Load() != 0 {
			t.Fatalf("%d claims without work, %v", s.claims.Load(), err)
		}
		close(s.asked)
	})
}

func TestStoppingWaitsForHandlersAndThenInterruptsThem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := jobs.New(db, clock.System{}, quiet, jobs.Options{Grace: 20 * time.Millisecond})
		began := make(chan struct{})
		q.Handle("k", func(ctx context.Context, _ jobs.Job) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}, jobs.KindOptions{})
		stop := run(t, q)
		enqueue(t, db, q, "k", "", "x", time.Time{})
		<-began
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if row := only(t, db, q, "k"); row.State != jobs.Waiting || row.Attempts != 0 {
			t.Fatalf("an interrupted job counts as tried: %+v", row)
		}
	})
	goleak.VerifyNone(t, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// The database goes away between the work and its outcome: the work is not
// repeated, the outcome is written when the database is back.
func TestAnOutcomeWaitsForADatabaseThatWentAway(t *testing.T) {
	server, err := storetest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	}()
	db, err := store.Open(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	q, runs := jobs.New(db, clock.NewFake(start), quiet, jobs.Options{}), 0
	back := make(chan error, 1)
	q.Handle("k", func(context.Context, jobs.Job) error {
		runs++
		if err := server.Down(); err != nil {
			t.Error(err)
		}
		go func() { back <- server.Up() }()
		return nil
	}, jobs.KindOptions{})
	enqueue(t, db, q, "k", "", "x", time.Time{})
	drain(t, q)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if row := only(t, db, q, "k"); runs != 1 || row.State != jobs.Finished {
		t.Fatalf("%d runs, %+v", runs, row)
	}
}

func TestBackoffGrowsToItsLimitWithAnAllowanceForChance(t *testing.T) {
	b := jobs.Exponential(2*time.Second, time.Minute)
	for attempt, base := range map[int]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 6: time.Minute, 60: time.Minute, 1 << 40: time.Minute} {
		for range 50 {
			if d := b(attempt); d < base || d > base+base/5 {
				t.Fatalf("attempt %d waits %s, want %s and up to a fifth more", attempt, d, base)
			}
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			db := storetest.Open(b, engine.url(b))
			q := jobs.New(db, clock.System{}, quiet, jobs.Options{})
			var wg sync.WaitGroup
			q.Handle("k", func(context.Context, jobs.Job) error { wg.Done(); return nil }, jobs.KindOptions{Concurrency: 32})
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- q.Run(ctx) }()
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					wg.Add(1)
					if err := db.Update(ctx, func(tx *store.Tx) error { return q.Enqueue(tx, "k", "", "x", time.Time{}) }); err != nil {
						b.Error(err)
					}
				}
			})
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
