package pickup

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
)

const (
	badLinks  = 30               // links that do not exist, per address
	badWindow = 10 * time.Minute // within this time
	maxKnown  = 10_000           // addresses remembered; a megabyte at most
)

// A limiter counts links that do not exist, per address. Guessing a link is
// hopeless anyway (256 bits); this keeps the attempts out of the database.
type limiter struct {
	clock clock.Clock
	mu    sync.Mutex
	since time.Time // of the younger generation
	young map[string]*tally
	old   map[string]*tally
}

type tally struct {
	n     int
	since time.Time
}

func newLimiter(c clock.Clock) *limiter {
	return &limiter{clock: c, young: map[string]*tally{}}
}

// wait is how long an address has to pause; zero lets it go on.
func (l *limiter) wait(address string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, now := l.find(subscriber(address)), l.clock.Now()
	if t == nil || t.n < badLinks {
		return 0
	}
	return max(0, t.since.Add(badWindow).Sub(now))
}

// count notes a link that does not exist.
func (l *limiter) count(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, key := l.clock.Now(), subscriber(address)
	if len(l.young) >= maxKnown/2 || now.Sub(l.since) > badWindow {
		// Counters live through one generation after their own, so that a flood
		// of addresses forgets the oldest first and memory stays bounded.
		l.old, l.young, l.since = l.young, map[string]*tally{}, now
	}
	t := l.find(key)
	if t == nil || now.Sub(t.since) >= badWindow {
		t = &tally{since: now}
	}
	t.n++
	l.young[key] = t
}

func (l *limiter) find(key string) *tally {
	if t := l.young[key]; t != nil {
		return t
	}
	return l.old[key]
}

// subscriber is what one line gets: an IPv4 address or an IPv6 /64.
func subscriber(address string) string {
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
