package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func TestAScheduleRunsOncePerIntervalAcrossNodesAndRestarts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, runs := clock.NewFake(start), 0
		node := func() *jobs.Queue {
			q := jobs.New(db, c, quiet, jobs.Options{})
			q.Every("tick", time.Hour, func(context.Context, jobs.Job) error { runs++; return nil })
			return q
		}
		a, b := node(), node()
		for _, step := range []struct {
			name    string
			advance time.Duration
			want    int
		}{
			{"a new schedule runs at once", 0, 1},
			{"not again before the hour is full", 30*time.Minute - time.Microsecond, 1},
			{"on the hour", time.Microsecond, 2},
			{"hours that nobody was up are not made up for", 5*time.Hour + 10*time.Minute, 3},
			{"and the next run is on the hour again", 50 * time.Minute, 4},
		} {
			c.Advance(step.advance)
			drain(t, a)
			drain(t, b)
			a = node() // a restart in between changes nothing
			if runs != step.want {
				t.Fatalf("%s: %d runs, want %d", step.name, runs, step.want)
			}
		}
	})
}

func TestAScheduleCanBeRunByHandAndShowsItsState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, runs, fail := clock.NewFake(start), 0, false
		q := jobs.New(db, c, quiet, jobs.Options{})
		q.Every("tick", 24*time.Hour, func(context.Context, jobs.Job) error {
			runs++
			if fail {
				return errBoom
			}
			return nil
		})
		drain(t, q)
		c.Advance(time.Minute)
		now := func() error {
			return db.Update(t.Context(), func(tx *store.Tx) error { return q.RunNow(tx, jobs.ScheduleID("tick")) })
		}
		if err := now(); err != nil {
			t.Fatal(err)
		}
		drain(t, q)
		row, err := q.Get(db.View(t.Context()), jobs.ScheduleID("tick"))
		midnight := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
		if err != nil || runs != 2 || !row.DueAt.Equal(midnight) || !row.DoneAt.Equal(c.Now()) || row.Every != 24*time.Hour || row.State != jobs.Waiting {
			t.Fatalf("%d runs, %+v, %v", runs, row, err)
		}
		// A run that fails is repeated within the interval, without giving up.
		fail = true
		c.Set(midnight)
		for range 30 {
			drain(t, q)
			c.Advance(20 * time.Minute)
		}
		if row, err = q.Get(db.View(t.Context()), jobs.ScheduleID("tick")); err != nil || runs != 32 || row.LastError != "boom" || row.State != jobs.Waiting {
			t.Fatalf("%d runs, %+v, %v", runs, row, err)
		}
		fail = false
		drain(t, q)
		if row, err = q.Get(db.View(t.Context()), jobs.ScheduleID("tick")); err != nil || row.LastError != "" || row.Attempts != 0 || !row.DueAt.Equal(midnight.Add(24*time.Hour)) {
			t.Fatalf("%+v, %v", row, err)
		}
	})
}

func TestAShorterIntervalTakesEffectAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c, runs := clock.NewFake(start), 0
		tick := func(context.Context, jobs.Job) error { runs++; return nil }
		before, after := jobs.New(db, c, quiet, jobs.Options{}), jobs.New(db, c, quiet, jobs.Options{})
		before.Every("tick", 24*time.Hour, tick)
		after.Every("tick", time.Hour, tick)
		drain(t, before)
		drain(t, after)
		c.Advance(30 * time.Minute)
		drain(t, after)
		if runs != 2 {
			t.Fatalf("%d runs, want one per node's interval", runs)
		}
	})
}

func TestJobsAreListedByPageAndSweptWhenOld(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		q := jobs.New(db, c, quiet, jobs.Options{Keep: 24 * time.Hour})
		q.Handle("good", func(context.Context, jobs.Job) error { return nil }, jobs.KindOptions{})
		q.Handle("bad", func(context.Context, jobs.Job) error { return jobs.Permanent(errBoom) }, jobs.KindOptions{})
		for range 7 {
			enqueue(t, db, q, "good", "", "x", time.Time{})
			enqueue(t, db, q, "bad", "", "x", time.Time{})
		}
		enqueue(t, db, q, "elsewhere", "", "x", time.Time{})
		drain(t, q)
		view := db.View(t.Context())
		page, seen, pages := store.Page{Limit: 3}, map[string]bool{}, 0
		for {
			list, next, err := q.List(view, jobs.Filter{Kind: "good", State: jobs.Finished}, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range list {
				if seen[row.ID] || row.Kind != "good" {
					t.Fatalf("%+v", row)
				}
				seen[row.ID] = true
			}
			pages++
			if page.Cursor = next; next == "" {
				break
			}
		}
		if len(seen) != 7 || pages != 3 {
			t.Fatalf("%d jobs on %d pages", len(seen), pages)
		}
		if _, _, err := q.List(view, jobs.Filter{State: "odd"}, store.Page{}); fault.Of(err).Code != "job.state" {
			t.Fatal(err)
		}
		backlog, err := q.Backlog(view)
		if err != nil || len(backlog) != 1 || backlog[0] != (jobs.Backlog{Kind: "elsewhere", Count: 1, Oldest: start}) {
			t.Fatalf("%+v, %v", backlog, err)
		}
		count := func(state string) int {
			list, _, err := q.List(view, jobs.Filter{State: state}, store.Page{})
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		c.Advance(24*time.Hour + time.Microsecond)
		drain(t, q) // the sweep is a schedule like any other
		if count(jobs.Finished) != 0 || count(jobs.Failed) != 7 {
			t.Fatalf("%d done and %d failed jobs after a day", count(jobs.Finished), count(jobs.Failed))
		}
		c.Advance(9 * 24 * time.Hour)
		drain(t, q)
		if count(jobs.Failed) != 0 || count(jobs.Waiting) != 2 {
			t.Fatalf("%d failed and %d waiting jobs after ten days", count(jobs.Failed), count(jobs.Waiting))
		}
	})
}

func TestActsByHandNeedTheRightState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		q := jobs.New(db, clock.NewFake(start), quiet, jobs.Options{})
		q.Handle("bad", func(context.Context, jobs.Job) error { return jobs.Permanent(errBoom) }, jobs.KindOptions{})
		enqueue(t, db, q, "bad", "a", "x", time.Time{})
		drain(t, q)
		failed := only(t, db, q, "bad").ID
		for _, c := range []struct {
			name, id, code string
			act            func(*store.Tx, string) error
		}{
			{"running a failed job now", failed, "job.state", q.RunNow},
			{"retrying a schedule", jobs.ScheduleID("jobs.sweep"), "job.state", q.Retry},
			{"running what does not exist", "job-x", "job.not_found", q.RunNow},
			{"retrying what does not exist", "job-x", "job.not_found", q.Retry},
		} {
			if err := db.Update(t.Context(), func(tx *store.Tx) error { return c.act(tx, c.id) }); fault.Of(err).Code != c.code {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		enqueue(t, db, q, "bad", "a", "x", start.Add(time.Hour))
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return q.Retry(tx, failed) }); fault.Of(err).Code != "job.replaced" {
			t.Errorf("retrying replaced work: %v", err)
		}
	})
}
