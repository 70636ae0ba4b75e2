package access

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ratelimit"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// The delays after too many wrong tries: the first one, doubled by each further
// wrong try up to the longest. Tries are forgotten a day after the last.
const (
	firstDelay  = 30 * time.Second
	longestWait = time.Hour
	forgetAfter = 24 * time.Hour
)

// A throttle counts wrong tries at one thing. Its id is a hash, because what
// people type into a login is sometimes their password.
type throttle struct {
	id    string
	limit int64
}

func (d *Directory) accountThrottle(kind, account string) throttle {
	return throttle{kind + ":" + secret.Hash(account), d.AccountFailures}
}

// addressThrottle counts per IPv4 address or IPv6 /64, which is what one
// subscriber gets. Without an address all callers share one count.
func (d *Directory) addressThrottle(kind, address string) throttle {
	return throttle{kind + "-from:" + secret.Hash(ratelimit.Subscriber(address)), d.AddressFailures}
}

// admit lets a try go on, or says how long to wait. The try is counted as wrong
// before anything is checked, so that a thousand guesses at once are counted as
// a thousand and a crash forgives nothing; [forgive] takes it back. The counts
// are in the database and hold on every node and after a restart.
func (d *Directory) admit(ctx context.Context, ts ...throttle) error {
	now := d.Clock.Now()
	return d.DB.Update(ctx, func(tx *store.Tx) error {
		for _, t := range ts {
			wait, err := t.count(tx, now)
			if err != nil {
				return err
			}
			if wait > 0 {
				return fault.TooManyf(wait, "login.wait", "There were too many wrong tries.").
					WithNext("Wait %s and try again.", wait.Round(time.Second))
			}
		}
		return nil
	})
}

// count adds a wrong try, or returns how long the earlier ones still weigh.
func (t throttle) count(tx *store.Tx, now time.Time) (wait time.Duration, err error) {
	// The insert takes the row's lock, so that two tries at once both count.
	if _, err := tx.Exec(`INSERT INTO access_throttles (id, failures, last_at, locked_until) VALUES ($1, 0, $2, 0)
		ON CONFLICT (id) DO UPDATE SET failures = access_throttles.failures`, t.id, store.Micros(now)); err != nil {
		return 0, err
	}
	var failures, last, locked int64
	if err := tx.QueryRow(`SELECT failures, last_at, locked_until FROM access_throttles WHERE id = $1`, t.id).Scan(&failures, &last, &locked); err != nil {
		return 0, err
	}
	if until := store.Time(locked); now.Before(until) {
		return until.Sub(now), nil
	}
	if now.Sub(store.Time(last)) >= forgetAfter {
		failures = 0
	}
	failures++
	var until time.Time
	if failures >= t.limit {
		until = now.Add(delay(failures - t.limit))
	}
	_, err = tx.Exec(`UPDATE access_throttles SET failures = $2, last_at = $3, locked_until = $4 WHERE id = $1`,
		t.id, failures, store.Micros(now), store.Micros(until))
	return 0, err
}

func delay(beyond int64) time.Duration {
	if beyond > 10 {
		return longestWait
	}
	return min(firstDelay<<beyond, longestWait)
}

// forgive forgets the wrong tries at an account after a right one.
func (t throttle) forgive(tx *store.Tx) error {
	_, err := tx.Exec(`DELETE FROM access_throttles WHERE id = $1`, t.id)
	return err
}

// refund takes back this one try only: a right password for one account must
// not let an address go on guessing at others.
func (t throttle) refund(tx *store.Tx) error {
	_, err := tx.Exec(`UPDATE access_throttles SET failures = failures - 1, locked_until = 0 WHERE id = $1 AND failures > 0`, t.id)
	return err
}
