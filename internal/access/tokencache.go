package access

import (
	"sync"
	"time"
)

// A knownToken is a token with its owner as the database had them a moment ago.
type knownToken struct {
	id, name        string
	enabled         bool
	ends, used      int64 // Unix microseconds, as stored
	owner           Principal
	status          Status
	ownerEnds       int64
	grants          []grant
	rememberedUntil time.Time
}

const (
	tokenLife      = time.Second
	maxKnownTokens = 10_000
)

// tokenCache spares the database a query for each call of a busy client. It is
// emptied by every change that this node makes; the generation keeps a reading
// from before a change out of the cache after it.
type tokenCache struct {
	mu         sync.Mutex
	generation uint64
	m          map[string]*knownToken // by the token's hash
}

func (c *tokenCache) get(hash string, now time.Time) (t *knownToken, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t = c.m[hash]; t != nil && !now.Before(t.rememberedUntil) {
		t = nil
	}
	return t, c.generation
}

func (c *tokenCache) put(hash string, t *knownToken, now time.Time, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if c.m == nil || len(c.m) >= maxKnownTokens {
		c.m = map[string]*knownToken{}
	}
	t.rememberedUntil = now.Add(tokenLife)
	c.m[hash] = t
}

func (c *tokenCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.m)
}
