package timestamp

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// blockSize is how many serial numbers a node reserves at once: a commit for
// every some seconds of full load.
const blockSize = 1 << 16

// perMicro is how many serial numbers belong to each microsecond of the clock. A
// block takes up those of 256 microseconds: unless blocks are reserved faster
// than that, each begins where the clock is. 63 bits last until the year 3111.
const perMicro = 1 << 8

// serials hands out the numbers of the block in use.
type serials struct {
	mu    sync.Mutex // held while a block is reserved
	block atomic.Pointer[block]
}

// A block is the numbers from next up to, and without, end.
type block struct {
	next atomic.Int64
	end  int64
}

// serial returns a number that no other token of the installation has.
func (u *Units) serial(ctx context.Context) (uint64, error) {
	s := &u.serials
	for {
		b := s.block.Load()
		if b != nil {
			if n := b.next.Add(1) - 1; n < b.end {
				return uint64(n), nil
			}
		}
		if err := u.reserve(ctx, b); err != nil {
			return 0, err
		}
	}
}

// reserve replaces the block that was used up. Of those who find it so, one asks
// the database and the others wait for that.
func (u *Units) reserve(ctx context.Context, used *block) error {
	s := &u.serials
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block.Load() != used {
		return nil
	}
	// From the commit on the numbers belong to this node; after a crash nobody
	// uses them. A commit whose outcome is unknown counts as one that happened.
	var end int64
	floor := store.Micros(u.Clock.Now()) * perMicro
	err := u.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`UPDATE timestamp_serials SET next_serial = CASE WHEN next_serial < $1 THEN $1 ELSE next_serial END + $2
			WHERE id = 1 RETURNING next_serial`, floor, int64(blockSize)).Scan(&end)
	})
	if err != nil {
		return fault.Wrap(err, "reserve serial numbers of time-stamps")
	}
	b := &block{end: end}
	b.next.Store(end - blockSize)
	s.block.Store(b)
	return nil
}
