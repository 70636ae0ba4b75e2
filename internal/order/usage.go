package order

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// usageShards spreads the counters of a day, so that nodes do not wait for one
// row on PostgreSQL.
const usageShards = 8

// count adds one to what a client used of a product today (A27).
func (e *Engine) count(tx *store.Tx, o *Order, event string) error {
	shard := 0
	if e.DB.Engine() == store.Postgres {
		shard = rand.IntN(usageShards)
	}
	_, err := tx.Exec(`INSERT INTO order_usage (day, client, product, event, realm, shard, n) VALUES ($1, $2, $3, $4, $5, $6, 1)
		ON CONFLICT (day, client, product, event, shard) DO UPDATE SET n = order_usage.n + 1`,
		dayOf(e.Clock.Now()), o.Client, o.Product, event, string(o.Realm), shard)
	return err
}

func dayOf(t time.Time) int64 { return t.Unix() / int64((24 * time.Hour).Seconds()) }

// A Usage is what a client used of a product on a day.
type Usage struct {
	Day             time.Time
	Realm           access.Realm
	Client, Product string
	Event           string // "issued", "revoked" or "failed"
	Count           int64
}

// Usage adds up what was used from one day up to and including another.
func (e *Engine) Usage(ctx context.Context, s access.Scope, from, to time.Time) ([]Usage, error) {
	cond, args := s.Filter(access.CertificateSearch, "realm", "client", []any{dayOf(from), dayOf(to)})
	rows, err := e.DB.View(ctx).Query(`SELECT day, realm, client, product, event, SUM(n) FROM order_usage WHERE day >= $1 AND day <= $2 AND `+cond+`
		GROUP BY day, realm, client, product, event ORDER BY day, client, product, event`, args...)
	return store.Collect(rows, err, func(r *store.Rows) (u Usage, err error) {
		var day int64
		err = r.Scan(&day, &u.Realm, &u.Client, &u.Product, &u.Event, &u.Count)
		u.Day = time.Unix(day*int64((24*time.Hour).Seconds()), 0).UTC()
		return u, err
	})
}
