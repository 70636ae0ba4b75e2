package resolver

import (
	"container/list"
	"sync"
	"time"
)

// An lru keeps the entries used last, each until its time. It may be used from
// any goroutine.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	order *list.List // of *entry[K, V]; the last used in front
	items map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	expires time.Time
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: limit, order: list.New(), items: map[K]*list.Element{}}
}

// get finds an entry that is good after now.
func (c *lru[K, V]) get(key K, now time.Time) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none V
	item, ok := c.items[key]
	if !ok {
		return none, false
	}
	e := item.Value.(*entry[K, V]) //nolint:forcetypeassert // the list holds nothing else
	if !now.Before(e.expires) {
		c.remove(item)
		return none, false
	}
	c.order.MoveToFront(item)
	return e.value, true
}

// put adds or replaces an entry and forgets the one unused for longest when
// there are too many.
func (c *lru[K, V]) put(key K, value V, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if item, ok := c.items[key]; ok {
		c.remove(item)
	}
	c.items[key] = c.order.PushFront(&entry[K, V]{key, value, expires})
	if len(c.items) > c.limit {
		c.remove(c.order.Back())
	}
}

// drop forgets an entry.
func (c *lru[K, V]) drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if item, ok := c.items[key]; ok {
		c.remove(item)
	}
}

func (c *lru[K, V]) remove(item *list.Element) {
	c.order.Remove(item)
	delete(c.items, item.Value.(*entry[K, V]).key) //nolint:forcetypeassert // the list holds nothing else
}
