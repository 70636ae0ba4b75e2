package timestamp

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Usage is what a realm's units did on one day.
type Usage struct {
	Realm    string
	Day      string // YYYY-MM-DD, UTC
	Granted  int64
	Rejected int64
}

type usageKey struct{ realm, day string }

func compareKeys(a, b usageKey) int {
	return cmp.Or(cmp.Compare(a.realm, b.realm), cmp.Compare(a.day, b.day))
}

type tally struct{ granted, rejected int64 }

// usage is what was counted since the last flush.
type usage struct {
	flushing sync.Mutex // one flush at a time
	mu       sync.Mutex
	counts   map[usageKey]tally
	day      string
	dayEnds  time.Time
}

// count counts one answer.
func (u *Units) count(realm string, granted bool) {
	now, c := u.Clock.Now(), &u.usage
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.dayEnds) || c.dayEnds.Sub(now) > 24*time.Hour {
		start := now.Truncate(24 * time.Hour)
		c.day, c.dayEnds = start.Format(time.DateOnly), start.Add(24*time.Hour)
	}
	if c.counts == nil {
		c.counts = map[usageKey]tally{}
	}
	key := usageKey{realm, c.day}
	t := c.counts[key]
	if granted {
		t.granted++
	} else {
		t.rejected++
	}
	c.counts[key] = t
}

// flush adds the counts to the table. What cannot be written is kept for the next
// time; if the outcome of a commit is unknown, it may be counted twice.
func (u *Units) flush(ctx context.Context) error {
	c := &u.usage
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	counts := c.counts
	c.counts = nil
	c.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	err := u.DB.Update(ctx, func(tx *store.Tx) error {
		// In the same order on every node, so that two do not wait for each other.
		for _, k := range slices.SortedFunc(maps.Keys(counts), compareKeys) {
			t := counts[k]
			if _, err := tx.Exec(`INSERT INTO timestamp_usage (realm, day, granted, rejected) VALUES ($1, $2, $3, $4)
				ON CONFLICT (realm, day) DO UPDATE SET granted = timestamp_usage.granted + excluded.granted, rejected = timestamp_usage.rejected + excluded.rejected`,
				k.realm, k.day, t.granted, t.rejected); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.merge(counts)
	}
	return err
}

func (c *usage) merge(counts map[usageKey]tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[usageKey]tally{}
	}
	for k, t := range counts {
		now := c.counts[k]
		c.counts[k] = tally{now.granted + t.granted, now.rejected + t.rejected}
	}
}

// Usage returns what a realm's units did on the days from first to last, both
// included; days without a request are missing. Counts are as of the last Sweep.
func (u *Units) Usage(ctx context.Context, s access.Scope, realm access.Realm, first, last time.Time) ([]Usage, error) {
	if err := s.Require(access.AuthorityRead, realm, ""); err != nil {
		return nil, err
	}
	rows, err := u.DB.View(ctx).Query(`SELECT realm, day, granted, rejected FROM timestamp_usage WHERE realm = $1 AND day >= $2 AND day <= $3 ORDER BY day`,
		string(realm), first.UTC().Format(time.DateOnly), last.UTC().Format(time.DateOnly))
	return store.Collect(rows, err, func(r *store.Rows) (x Usage, err error) {
		return x, r.Scan(&x.Realm, &x.Day, &x.Granted, &x.Rejected)
	})
}
