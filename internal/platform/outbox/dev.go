package outbox

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
)

// Dev is the [Transport] of development mode for all channels: it keeps what
// was delivered in memory, with the secrets, for people and tests to look at.
// It never leaves the machine and must not be configured anywhere else.
type Dev struct {
	clock clock.Clock
	mu    sync.Mutex
	ring  []DevMessage
	next  int // where the next message goes
	total int
}

// A DevMessage is a message that development mode delivered.
type DevMessage struct {
	Envelope
	DeliveredAt time.Time
}

// A DevFilter narrows the list; empty fields match everything.
type DevFilter struct {
	Channel  Channel
	To       string // part of the recipient, in any case
	ObjectID string
	Limit    int // zero: all that are kept
}

// NewDev keeps the latest size messages, 1000 when size is zero.
func NewDev(c clock.Clock, size int) *Dev {
	if size <= 0 {
		size = 1000
	}
	return &Dev{clock: c, ring: make([]DevMessage, 0, size)}
}

// Deliver implements [Transport].
func (d *Dev) Deliver(_ context.Context, e Envelope) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := DevMessage{Envelope: e, DeliveredAt: d.clock.Now()}
	if len(d.ring) < cap(d.ring) {
		d.ring = append(d.ring, m)
	} else {
		d.ring[d.next] = m
	}
	d.next = (d.next + 1) % cap(d.ring)
	d.total++
	return nil
}

// List gives the kept messages, newest first.
func (d *Dev) List(f DevFilter) []DevMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []DevMessage
	for i := range d.ring {
		m := d.ring[(d.next-1-i+2*cap(d.ring))%cap(d.ring)]
		if f.matches(m.Envelope) {
			out = append(out, m)
			if len(out) == f.Limit {
				break
			}
		}
	}
	return out
}

func (f DevFilter) matches(e Envelope) bool {
	return (f.Channel == "" || e.Channel == f.Channel) && (f.ObjectID == "" || e.ObjectID == f.ObjectID) &&
		strings.Contains(strings.ToLower(e.To), strings.ToLower(f.To))
}

// Get gives one kept message.
func (d *Dev) Get(id string) (DevMessage, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.ring {
		if m.ID == id {
			return m, true
		}
	}
	return DevMessage{}, false
}

// Total counts the deliveries since the start, those no longer kept included.
func (d *Dev) Total() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}
