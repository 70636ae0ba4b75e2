package caller

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits. A credential that is refused again and again stops counting
// against its address, so that one forgotten program with a dead token does
// not shut out the others behind the same address; many different wrong
// credentials are guesses and do.
const (
	credentialBurst = 10
	credentialEvery = 6 * time.Second
	addressBurst    = 100
	addressEvery    = time.Second

	// maxCounted bounds each of the two generations of counters, about 3 MB all
	// in all. When the younger is full the older is forgotten.
	maxCounted = 10_000
)

// limits counts failed calls. Keys are hashes under a seed of this process.
type limits struct {
	seed        maphash.Seed
	mu          sync.Mutex
	young, old  map[uint64]*rate.Limiter
	everCounted bool
}

func newLimits() *limits {
	return &limits{seed: maphash.MakeSeed(), young: map[uint64]*rate.Limiter{}, old: map[uint64]*rate.Limiter{}}
}

// An attempt is one call before it is known whether it is refused.
type attempt struct {
	limits              *limits
	credential, address uint64
	now                 time.Time
}

func (l *limits) attempt(credential, address string, now time.Time) attempt {
	return attempt{l, maphash.String(l.seed, "c"+credential), maphash.String(l.seed, "a"+subscriber(address)), now}
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

// wait is how long the credential or the address must pause; zero lets the
// call go on.
func (a attempt) wait() time.Duration {
	l := a.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.everCounted {
		return 0
	}
	return max(pause(l.find(a.credential), a.now), pause(l.find(a.address), a.now))
}

// failed counts the attempt against credential and address.
func (a attempt) failed() {
	l := a.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	l.everCounted = true
	l.count(a.credential, credentialEvery, credentialBurst, a.now)
	l.count(a.address, addressEvery, addressBurst, a.now)
}

func pause(r *rate.Limiter, now time.Time) time.Duration {
	if r == nil {
		return 0
	}
	have := r.TokensAt(now)
	if have >= 1 {
		return 0
	}
	return time.Duration((1 - have) / float64(r.Limit()) * float64(time.Second))
}

func (l *limits) find(key uint64) *rate.Limiter {
	if r := l.young[key]; r != nil {
		return r
	}
	return l.old[key]
}

func (l *limits) count(key uint64, every time.Duration, burst int, now time.Time) {
	r := l.find(key)
	if r == nil {
		r = rate.NewLimiter(rate.Every(every), burst)
	}
	if l.young[key] == nil {
		if len(l.young) >= maxCounted {
			l.old, l.young = l.young, make(map[uint64]*rate.Limiter, maxCounted)
		}
		l.young[key] = r
	}
	r.AllowN(now, 1)
}
