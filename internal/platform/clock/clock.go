// Package clock is the one place that knows what time it is.
//
// Everything that stores, signs or compares a time takes a [Clock]. Times are
// UTC and truncated to microseconds, the resolution of the store.
package clock

import (
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Clock tells the time. Its methods may be called from any goroutine.
type Clock interface {
	// Now is the current time in UTC, truncated to microseconds.
	Now() time.Time
}

// System is the machine's clock.
type System struct{}

// Now implements [Clock].
func (System) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// A Fake is a clock that moves only when told to.
type Fake struct {
	mu  sync.Mutex
	now time.Time
}

// NewFake starts a fake clock at t.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC().Truncate(time.Microsecond)} }

// Now implements [Clock].
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Advance moves the clock by d, which may be negative.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// Set moves the clock to t.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t.UTC().Truncate(time.Microsecond)
}

// Tolerance is how far a clock may step back before a [Guard] refuses to sign.
// Time daemons slew smaller corrections instead of stepping.
const Tolerance = 2 * time.Second

// A Guard refuses to give a time for signing once the clock has run backwards:
// a certificate or time-stamp would claim a moment that is already past.
type Guard struct {
	clock Clock
	mu    sync.Mutex
	last  time.Time
}

// NewGuard watches c; since is the latest time known from durable state (zero
// when there is none), so that a restart does not forget.
func NewGuard(c Clock, since time.Time) *Guard { return &Guard{clock: c, last: since} }

// SigningTime is the time to put into a signature, or a fault of kind
// Unavailable while the clock is behind the latest time seen.
func (g *Guard) SigningTime() (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	if now.Before(g.last.Add(-Tolerance)) {
		return time.Time{}, fault.Unavailablef(nil, "clock.backwards",
			"The clock shows %s but %s was seen before; nothing is signed until it catches up.",
			now.Format(time.RFC3339), g.last.Format(time.RFC3339)).WithNext("Check the machine's time synchronisation.")
	}
	if now.After(g.last) {
		g.last = now
	}
	return now, nil
}
