package transparency

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/sealwright/sealwright/pki/ct"
)

// Constants of the memory.
const (
	tripAfter   = 3                // failures in a row until a log is avoided
	coolDown    = 30 * time.Second // for how long, doubled with each further failure …
	maxCoolDown = 10 * time.Minute // … up to this
	lieCoolDown = time.Hour        // for a log that signed wrongly
	probeTime   = 10 * time.Second // how long one caller has to find out whether a log is back
)

// A memory of how logs behaved, in this process. It decides whom to ask first;
// an avoided log is still asked when the policy cannot be met without it.
type memory struct {
	mu   sync.Mutex
	logs map[ct.LogID]*health
}

type health struct {
	failures  int           // in a row
	avoid     time.Time     // until then, unless needed
	notBefore time.Time     // as the log asked (Retry-After): not even then
	latency   time.Duration // smoothed; zero before the first answer
	rejected  bool          // its last word was that it does not want what it got
}

func newMemory() *memory { return &memory{logs: map[ct.LogID]*health{}} }

// of needs the lock.
func (m *memory) of(k *known) *health {
	h := m.logs[k.key.ID()]
	if h == nil {
		h = &health{}
		m.logs[k.key.ID()] = h
	}
	return h
}

// rank orders logs, best first: those that work before those that rejected
// something before those that are avoided, then by how fast they answer. A log
// never asked comes first, so that it is tried.
func (m *memory) rank(logs []*known, now time.Time) []*known {
	m.mu.Lock()
	defer m.mu.Unlock()
	class := func(k *known) int {
		switch h := m.of(k); {
		case h.avoid.After(now):
			return 2
		case h.rejected:
			return 1
		}
		return 0
	}
	out := slices.Clone(logs)
	slices.SortStableFunc(out, func(a, b *known) int {
		return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(m.of(a).latency, m.of(b).latency))
	})
	return out
}

// notBefore is when a log wants to be asked again.
func (m *memory) notBefore(k *known) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(k).notBefore
}

// asked notes that a log is about to be asked. If it was avoided and its time
// is over, others keep avoiding it until this caller knows more.
func (m *memory) asked(k *known, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.of(k); h.failures >= tripAfter && !h.avoid.After(now) {
		h.avoid = now.Add(probeTime)
	}
}

// learned notes how an attempt ended.
func (m *memory) learned(k *known, outcome Outcome, latency time.Duration, notBefore, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.of(k)
	switch {
	case outcome == OK:
		*h = health{latency: smooth(h.latency, latency)}
	case outcome == Rejected:
		h.rejected, h.failures, h.avoid = true, 0, time.Time{}
	case outcome.lie():
		h.failures, h.avoid = max(h.failures, tripAfter), now.Add(lieCoolDown)
	case outcome == Unneeded:
	default:
		h.failures++
		h.notBefore = notBefore
		if outcome == Slow {
			h.latency = smooth(h.latency, latency)
		}
		if over := h.failures - tripAfter; over >= 0 {
			h.avoid = now.Add(min(coolDown<<min(over, 8), maxCoolDown))
		}
	}
}

func smooth(old, latest time.Duration) time.Duration {
	if old == 0 {
		return max(latest, 1)
	}
	return (3*old + latest) / 4
}
