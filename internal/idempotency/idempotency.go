// Package idempotency remembers which order a request made, so that a caller
// who does not know whether a request arrived can send it again: the second
// request with the same Idempotency-Key finds the first one's order.
//
// [New] makes the key of a request. [Keys.Find] looks before the work;
// [Keys.Save] writes the key in the transaction that creates the order, so that
// of many requests at once one creates it and the others get [ErrTaken], look
// again and find it. A key is remembered for [Life]; [Keys.Sweep] deletes older
// ones.
package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Life is how long a key is remembered.
const Life = 48 * time.Hour

// maxKey bounds what callers may send as a key.
const maxKey = 255

// A Key identifies one request of one caller.
type Key struct {
	principal, key, body string
}

// New makes the key of a request. Principal is the id of the caller; value is
// the header's value, 1 to 255 visible ASCII characters; content is what the
// request asks for, the operation included. A malformed value is a fault of
// kind Invalid with the code "idempotency.key".
func New(principal, value string, content []byte) (Key, error) {
	ok := len(value) >= 1 && len(value) <= maxKey
	for i := 0; ok && i < len(value); i++ {
		ok = value[i] > ' ' && value[i] <= '~'
	}
	if !ok {
		return Key{}, fault.Invalidf("idempotency.key", "The Idempotency-Key must have 1 to %d visible ASCII characters.", maxKey).
			WithField("Idempotency-Key").WithNext("Use a fresh UUID for each new request, and the same one when repeating it.")
	}
	return Key{principal, hash([]byte(value)), hash(content)}, nil
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// ErrTaken says that another request has used the key in the meantime. The
// caller's transaction is undone by it; look with Find.
var ErrTaken = errors.New("the idempotency key has just been used")

// Keys is the memory of keys.
type Keys struct {
	DB    *store.DB
	Clock clock.Clock
}

// Find returns the order that an earlier request with the key made; ok is false
// when there was none within [Life]. The same key with other content is a fault
// of kind Conflict with the code "idempotency.reused".
func (k *Keys) Find(ctx context.Context, key Key) (orderID string, ok bool, err error) {
	var body string
	err = k.DB.View(ctx).QueryRow(`SELECT body_hash, order_id FROM idempotency_keys WHERE principal = $1 AND key_hash = $2 AND created_at >= $3`,
		key.principal, key.key, k.oldest()).Scan(&body, &orderID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", false, nil
	case err != nil:
		return "", false, err
	case body != key.body:
		return "", false, fault.Conflictf("idempotency.reused", "The Idempotency-Key was used for another request, which made the order %s.", orderID).
			WithField("Idempotency-Key").WithNext("Use a fresh key for a new request.")
	}
	return orderID, true, nil
}

// Save remembers the key in the transaction that creates the order. It returns
// [ErrTaken] when another request was quicker; one in a transaction that is
// still open is waited for.
func (k *Keys) Save(tx *store.Tx, key Key, orderID string) error {
	n, err := tx.Exec(`INSERT INTO idempotency_keys (principal, key_hash, body_hash, order_id, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (principal, key_hash) DO UPDATE SET body_hash = excluded.body_hash, order_id = excluded.order_id, created_at = excluded.created_at
		WHERE idempotency_keys.created_at < $6`,
		key.principal, key.key, key.body, orderID, store.Micros(k.Clock.Now()), k.oldest())
	if err == nil && n == 0 {
		err = ErrTaken
	}
	return err
}

func (k *Keys) oldest() int64 { return store.Micros(k.Clock.Now().Add(-Life)) }

// sweepBatch is how many rows one transaction deletes: on SQLite everybody
// else waits meanwhile.
const sweepBatch = 1000

// Sweep deletes keys that are older than [Life]. A schedule runs it.
func (k *Keys) Sweep(ctx context.Context) error {
	for {
		var n int64
		err := k.DB.Update(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM idempotency_keys WHERE (principal, key_hash) IN
				(SELECT principal, key_hash FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)`, k.oldest(), sweepBatch)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
