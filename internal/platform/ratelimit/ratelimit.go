// Package ratelimit makes callers pause who fail again and again. It counts in
// memory of bounded size: what must survive a restart or be known to all nodes
// is counted in the database instead.
package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxCounted bounds each of the two generations of counters, about 1.5 MB
// together. When the younger is full the older is forgotten, so that a flood of
// keys forgets the oldest first.
const maxCounted = 10_000

// A Counter counts failures by key: a burst is free, then one more per interval.
// Its methods may be called from any goroutine.
type Counter struct {
	every time.Duration
	burst int
	seed  maphash.Seed // keys are kept as hashes under a seed of this process

	mu         sync.Mutex
	young, old map[uint64]*rate.Limiter
}

// New makes a counter.
func New(every time.Duration, burst int) *Counter {
	return &Counter{every: every, burst: burst, seed: maphash.MakeSeed(), young: map[uint64]*rate.Limiter{}}
}

// Wait is how long a key has to pause; zero lets it go on.
func (c *Counter) Wait(key string, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young)+len(c.old) == 0 {
		return 0
	}
	r := c.find(maphash.String(c.seed, key))
	if r == nil {
		return 0
	}
	have := r.TokensAt(now)
	if have >= 1 {
		return 0
	}
	return time.Duration((1 - have) * float64(c.every))
}

// Failed counts a failure.
func (c *Counter) Failed(key string, now time.Time) {
	k := maphash.String(c.seed, key)
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(k)
	if r == nil {
		r = rate.NewLimiter(rate.Every(c.every), c.burst)
	}
	if c.young[k] == nil {
		if len(c.young) >= maxCounted {
			c.old, c.young = c.young, make(map[uint64]*rate.Limiter, maxCounted)
		}
		c.young[k] = r
	}
	r.AllowN(now, 1)
}

func (c *Counter) find(key uint64) *rate.Limiter {
	if r := c.young[key]; r != nil {
		return r
	}
	return c.old[key]
}

// Subscriber is what one line gets, the unit in which addresses are counted: an
// IPv4 address or an IPv6 /64. Text that is no address stands for itself.
func Subscriber(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
