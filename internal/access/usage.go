package access

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// usage collects when tokens and sessions were last used, so that requests
// only read. A crash loses at most the last minute.
type usage struct {
	mu       sync.Mutex
	tokens   map[string]int64
	sessions map[string]int64
}

// usageStep is how exact the times of last use are, in microseconds.
const usageStep = int64(time.Minute / time.Microsecond)

// token notes a use at now, unless the row's own time is recent enough.
func (u *usage) token(id string, stored, now int64) {
	if now-stored < usageStep {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tokens == nil {
		u.tokens = map[string]int64{}
	}
	u.tokens[id] = now
}

// session is token for sessions; lastSeen is the later of the row's time and
// what this node has not written yet.
func (u *usage) session(id string, now int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sessions == nil {
		u.sessions = map[string]int64{}
	}
	u.sessions[id] = now
}

func (u *usage) lastSeen(id string, stored int64) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return max(stored, u.sessions[id])
}

func (u *usage) take() (tokens, sessions map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	tokens, sessions = u.tokens, u.sessions
	u.tokens, u.sessions = nil, nil
	return tokens, sessions
}

// Flush writes the times of last use that are due. What it cannot write is
// lost; the next use brings it again.
func (d *Directory) Flush(ctx context.Context) error {
	tokens, sessions := d.used.take()
	if len(tokens)+len(sessions) == 0 {
		return nil
	}
	return d.DB.Update(ctx, func(tx *store.Tx) error {
		for id, at := range tokens {
			if _, err := tx.Exec(`UPDATE access_tokens SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2`, id, at); err != nil {
				return err
			}
		}
		for id, at := range sessions {
			if _, err := tx.Exec(`UPDATE access_sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2`, id, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// Sweep deletes what has expired: sessions, ceremonies, invitations and the
// counts of wrong tries that are forgotten.
func (d *Directory) Sweep(ctx context.Context) error {
	now := d.Clock.Now()
	return d.DB.Update(ctx, func(tx *store.Tx) error {
		for _, del := range []struct {
			sql    string
			before time.Time
		}{
			{`DELETE FROM access_sessions WHERE expires_at <= $1`, now},
			{`DELETE FROM access_ceremonies WHERE expires_at <= $1`, now},
			{`DELETE FROM access_invitations WHERE expires_at <= $1`, now},
			{`DELETE FROM access_throttles WHERE last_at <= $1`, now.Add(-forgetAfter)},
		} {
			if _, err := tx.Exec(del.sql, store.Micros(del.before)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Run calls [Directory.Flush] every half minute and [Directory.Sweep] every ten
// minutes until ctx ends, and then flushes once more.
func (d *Directory) Run(ctx context.Context) {
	flush, sweep := time.NewTicker(30*time.Second), time.NewTicker(10*time.Minute)
	defer flush.Stop()
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := d.Flush(last); err != nil {
				slog.WarnContext(last, "times of last use were not written", "error", err)
			}
			return
		case <-flush.C:
			err = d.Flush(ctx)
		case <-sweep.C:
			err = d.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "upkeep of access failed; it is tried again", "error", err)
		}
	}
}
