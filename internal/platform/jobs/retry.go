package jobs

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// permanent marks an error that a repetition would not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that repeating the work would not mend: the job
// fails at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether an error inside err was marked by [Permanent].
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

// A Backoff gives the wait after a failed attempt; the first has number 1.
type Backoff func(attempt int) time.Duration

// Exponential doubles the wait from base after each attempt, up to limit, and
// adds up to a fifth at random, so that what failed together does not return
// together.
func Exponential(base, limit time.Duration) Backoff {
	return func(attempt int) time.Duration {
		d := base
		for i := 1; i < attempt && d < limit; i++ {
			d *= 2
		}
		d = min(d, limit)
		return d + rand.N(d/5+1)
	}
}

// Wait is the time until the next attempt: that of the back-off, or longer when
// the error is a fault that says when to come back.
func (b Backoff) Wait(attempt int, err error) time.Duration {
	d := b(attempt)
	var f *fault.Fault
	if errors.As(err, &f) && f.RetryAfter > d {
		return f.RetryAfter
	}
	return d
}
