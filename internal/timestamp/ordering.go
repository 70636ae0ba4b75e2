package timestamp

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// leaseTime is how long a node may stamp for an ordered unit before it asks
// again, and how long the unit rests when that node crashes.
const leaseTime = 5 * time.Second

// ordered returns a time for the next token of an ordered unit: now, or the first
// that is later than every token before, if that is within the unit's accuracy.
func (u *Units) ordered(ctx context.Context, x *open, now time.Time, room time.Duration) (time.Time, error) {
	o := x.order
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.next(now, x.Resolution)
	if !at.Before(o.held) || o.held.Sub(at) < leaseTime/2 {
		if err := u.hold(ctx, x, now); err != nil && !at.Before(o.held) {
			return at, err
		}
		at = o.next(now, x.Resolution)
	}
	if at.Sub(now) > room || !at.Before(o.held) {
		return at, fault.Unavailablef(nil, "timestamp.order", "The unit %q was asked for more stamps than it has times for.", x.ID).
			WithNext("Make an ordered unit with a resolution of a microsecond.")
	}
	o.last = at
	return at, nil
}

// next is now at the unit's resolution, or the time after the latest token.
func (o *order) next(now time.Time, resolution time.Duration) time.Time {
	at := now.Truncate(resolution)
	if !at.After(o.last) {
		return o.last.Add(resolution)
	}
	return at
}

// hold makes this node the one that stamps for an ordered unit, or extends that.
// The times of one holder are all before held_until and those of the next are not,
// so the order does not depend on how well their clocks agree. The next holder
// waits until held_until is past by twice the accuracy: by then the clock of the
// one before is past it as well.
func (u *Units) hold(ctx context.Context, x *open, now time.Time) error {
	var from, until time.Time
	mine := false
	err := u.DB.Update(ctx, func(tx *store.Tx) error {
		var holder, status string
		var held int64
		if err := tx.QueryRow(`SELECT holder, held_until, status FROM timestamp_units WHERE id = $1`, x.ID).Scan(&holder, &held, &status); err != nil {
			return err
		}
		from, mine = store.Time(held), holder == u.node
		if status != Active || !mine && holder != "" && now.Before(from.Add(2*x.Accuracy)) {
			return fault.Unavailablef(nil, "timestamp.held", "Another node stamps for the unit %q, whose stamps are ordered.", x.ID).
				WithNext("Send requests for ordered units to one node.")
		}
		until = now.Add(leaseTime)
		if until.Before(from) {
			until = from
		}
		n, err := tx.Exec(`UPDATE timestamp_units SET holder = $1, held_until = $2 WHERE id = $3 AND holder = $4 AND held_until = $5`,
			u.node, store.Micros(until), x.ID, holder, held)
		if err == nil && n == 0 {
			err = fault.Unavailablef(nil, "timestamp.held", "Another node has just begun to stamp for the unit %q, whose stamps are ordered.", x.ID)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !mine && x.order.last.Before(from) {
		x.order.last = from
	}
	x.order.held = until
	return nil
}

// release gives up the ordered units that this node holds: another may go on from
// the latest token, without waiting for the lease to end.
func (u *Units) release(ctx context.Context) error {
	u.mu.RLock()
	list := make([]*open, 0, len(u.cache))
	for _, x := range u.cache {
		list = append(list, x)
	}
	u.mu.RUnlock()
	for _, x := range list {
		if err := u.releaseOne(ctx, x); err != nil {
			return fault.Wrap(err, "release unit "+x.ID)
		}
	}
	return nil
}

func (u *Units) releaseOne(ctx context.Context, x *open) error {
	o := x.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held.IsZero() {
		return nil
	}
	err := u.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE timestamp_units SET holder = '', held_until = $1 WHERE id = $2 AND holder = $3`, store.Micros(o.last), x.ID, u.node)
		return err
	})
	if err == nil {
		o.held = time.Time{}
	}
	return err
}
