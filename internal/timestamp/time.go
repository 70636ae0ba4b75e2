package timestamp

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// noTime marks errors that a caller is told as timeNotAvailable.
type noTime struct{ error }

// Unwrap gives the fault inside.
func (n noTime) Unwrap() error { return n.error }

// time is the time for a token of a unit, if it is known well enough.
func (u *Units) time(ctx context.Context, x *open) (time.Time, error) {
	now, err := u.Guard.SigningTime()
	if err != nil {
		return now, noTime{err}
	}
	// Cutting off a time to the resolution makes it wrong by up to that much.
	room := x.Accuracy - x.Resolution
	offset, known := u.Offset()
	if !known {
		return now, noTime{fault.Unavailablef(nil, "timestamp.unsynchronised", "The clock is not known to be synchronised with UTC; nothing is stamped.").
			WithNext("Check the machine's time synchronisation.")}
	}
	if offset.Abs() > room {
		return now, noTime{fault.Unavailablef(nil, "timestamp.inaccurate", "The clock may be off by %s, where the unit %q has room for %s; nothing is stamped.", offset.Abs(), x.ID, room).
			WithNext("Check the machine's time synchronisation.")}
	}
	// The guard forgives steps of some seconds; the accuracy of a unit may not.
	if latest := store.Time(u.latest.Load()); now.Before(latest.Add(-room)) {
		return now, noTime{fault.Unavailablef(nil, "timestamp.backwards", "The clock shows %s but a stamp was given at %s.",
			now.Format(time.RFC3339Nano), latest.Format(time.RFC3339Nano)).WithNext("Check the machine's time synchronisation.")}
	}
	u.advance(store.Micros(now))
	if x.Ordering {
		return u.ordered(ctx, x, now, room)
	}
	return now, nil
}

// advance raises latest to now.
func (u *Units) advance(now int64) {
	for {
		latest := u.latest.Load()
		if now <= latest || u.latest.CompareAndSwap(latest, now) {
			return
		}
	}
}
