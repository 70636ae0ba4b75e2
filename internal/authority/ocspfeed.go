package authority

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// What other nodes and programs revoke is known here within a second, without a
// query for each request and without a program of its own in the background:
// the first request after feedEvery reads what changed since, by its number, and
// forgets the answers about it. Nobody is answered from memory while the last
// reading is older than feedLate; when the database is gone, nobody at all.
const (
	feedEvery   = 300 * time.Millisecond
	feedLate    = 800 * time.Millisecond
	feedTimeout = 2 * time.Second
	feedPage    = 1000
	// feedMost is how many changes are worth reading; beyond, all is forgotten.
	feedMost = 20_000
)

type feed struct {
	mu   sync.Mutex
	read atomic.Int64     // when the last complete reading began, Unix microseconds; 0: never
	seen map[string]int64 // the last change of each authority
}

func (f *feed) age(now time.Time) time.Duration {
	last := f.read.Load()
	age := now.Sub(store.Time(last))
	if last == 0 || age < 0 { // the clock was set back
		return math.MaxInt64
	}
	return age
}

// follow makes sure that what is remembered is at most feedLate old.
func (a *Authorities) follow(ctx context.Context, now time.Time) error {
	f := &a.validity.ocsp.feed
	if f.age(now) < feedEvery {
		return nil
	}
	if !f.mu.TryLock() { // somebody is reading
		if f.age(now) < feedLate {
			return nil
		}
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	if f.age(now) < feedEvery {
		return nil
	}
	// One caller reads for all: that it goes away must not fail the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedTimeout)
	defer cancel()
	if err := a.readFeed(ctx, f); err != nil {
		return err
	}
	f.read.Store(store.Micros(now))
	return nil
}

func (a *Authorities) readFeed(ctx context.Context, f *feed) error {
	view := a.db.View(ctx)
	rows, err := view.Query(`SELECT authority, seq FROM revocation_counters WHERE shard = $1`, int64(wholeAuthority))
	type counter struct {
		authority string
		seq       int64
	}
	counters, err := store.Collect(rows, err, func(r *store.Rows) (c counter, err error) { return c, r.Scan(&c.authority, &c.seq) })
	if err != nil {
		return err
	}
	first := f.seen == nil
	if first {
		f.seen = map[string]int64{} // nothing is remembered yet
	}
	for _, c := range counters {
		behind := c.seq - f.seen[c.authority]
		switch {
		case first || behind <= 0:
		case behind > feedMost:
			a.validity.ocsp.answers.reset()
		default:
			if err := a.readChanged(view, c.authority, f.seen[c.authority]); err != nil {
				return err
			}
		}
		f.seen[c.authority] = max(c.seq, f.seen[c.authority])
	}
	return nil
}

func (a *Authorities) readChanged(view store.View, authority string, since int64) error {
	type change struct {
		seq    int64
		serial []byte
	}
	for {
		rows, err := view.Query(`SELECT seq, serial FROM revocations WHERE authority = $1 AND seq > $2 ORDER BY seq LIMIT $3 + 0`, authority, since, int64(feedPage))
		page, err := store.Collect(rows, err, func(r *store.Rows) (c change, err error) { return c, r.Scan(&c.seq, &c.serial) })
		if err != nil {
			return err
		}
		for _, c := range page {
			a.validity.ocsp.forget(authority, c.serial)
			since = c.seq
		}
		if len(page) < feedPage {
			return nil
		}
	}
}
