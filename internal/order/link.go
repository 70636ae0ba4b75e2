package order

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A purpose is what a link in a message is good for.
type purpose string

const (
	purposePIN    purpose = "pin"    // choose the PIN of a key file
	purposeFetch  purpose = "fetch"  // fetch the key file
	purposeCSR    purpose = "csr"    // bring the request of a renewal
	purposeRevoke purpose = "revoke" // revoke without an account
)

// linkLife is how long a link waits that asks the holder for something.
const linkLife = 30 * 24 * time.Hour

// link stores a token by its hash and gives the address that carries it.
func (e *Engine) link(tx *store.Tx, o *Order, p purpose, token secret.Text, until time.Time) (string, error) {
	_, err := tx.Exec(`INSERT INTO order_links (hash, order_id, purpose, expires_at) VALUES ($1, $2, $3, $4)`, secret.Hash(token.Reveal()), o.ID, string(p), store.Micros(until))
	return e.Settings.Base + "/self-service/" + string(p) + "/" + token.Reveal(), err
}

// openLink finds the order behind a link that has not been used.
func (e *Engine) openLink(ctx context.Context, p purpose, token string) (order string, err error) {
	var ends, used int64
	err = e.DB.View(ctx).QueryRow(`SELECT order_id, expires_at, used_at FROM order_links WHERE hash = $1 AND purpose = $2`, secret.Hash(token), string(p)).Scan(&order, &ends, &used)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", fault.NotFoundf("order.link", "This link is not known here.").WithNext("Copy the whole address from the latest message.")
	case err != nil:
		return "", err
	case used > 0:
		return "", fault.Gonef("order.link_used", "This link was used on %s.", store.Time(used).UTC().Format(time.DateOnly))
	case e.Clock.Now().After(store.Time(ends)):
		return "", fault.Gonef("order.link_ended", "This link ended on %s.", store.Time(ends).UTC().Format(time.DateOnly))
	}
	return order, nil
}

// useLink ends a link. Of two that use it at once, one gets a conflict.
func (e *Engine) useLink(tx *store.Tx, token string) error {
	n, err := tx.Exec(`UPDATE order_links SET used_at = $1 WHERE hash = $2 AND used_at = 0`, store.Micros(e.Clock.Now()), secret.Hash(token))
	if err == nil && n != 1 {
		err = fault.Conflictf("order.link_used", "This link was used at the same moment.")
	}
	return err
}

// ByLink is the order behind a link, for the page that it opens. The token is
// the permission.
func (e *Engine) ByLink(ctx context.Context, p, token string) (*Order, error) {
	id, err := e.openLink(ctx, purpose(p), token)
	if err != nil {
		return nil, err
	}
	return e.get(ctx, id)
}
