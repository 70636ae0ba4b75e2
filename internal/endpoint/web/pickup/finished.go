package pickup

import (
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

const (
	doneLife = 30 * time.Minute // how long the browser that fetched a file may see what to do next
	maxDone  = 1000
)

// finished remembers which session fetched which delivery. The desk forgets a
// session when its file has been fetched, so that nothing can be fetched with
// it; this memory opens nothing but the page that says what to do next. On
// another node, or after a restart, that browser sees the page for everybody,
// which says the same in fewer words.
type finished struct {
	clock clock.Clock
	mu    sync.Mutex
	queue []delivered // the oldest first
}

type delivered struct {
	session, id string // the session is a hash
	until       time.Time
}

func newFinished(c clock.Clock) *finished { return &finished{clock: c} }

func (f *finished) add(session, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	for len(f.queue) > 0 && (len(f.queue) >= maxDone || now.After(f.queue[0].until)) {
		f.queue = f.queue[1:]
	}
	f.queue = append(f.queue, delivered{secret.Hash(session), id, now.Add(doneLife)})
}

func (f *finished) has(session, id string) bool {
	if session == "" {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now, hash := f.clock.Now(), secret.Hash(session)
	for _, d := range f.queue {
		if d.id == id && d.session == hash {
			return !now.After(d.until)
		}
	}
	return false
}
