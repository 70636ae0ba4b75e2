package wscert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// issueDirect is the short way of an order whose request came with it: one
// commit for the intent, one for everything else. The order exists from the
// second on. A crash between the two leaves an intent without an order, which
// [Engine.Sweep] revokes: nobody was told of it.
func (e *Engine) issueDirect(ctx context.Context, s *step) (*Order, error) {
	if err := e.db.Update(ctx, func(tx *store.Tx) error { return e.ca.Hold(tx, s.intent) }); err != nil {
		return nil, err
	}
	cert, err := e.ca.Sign(ctx, s.intent)
	if err != nil {
		if placed := e.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return e.place(tx, s.Order) }); placed != nil {
			return nil, errors.Join(err, placed)
		}
		return s.Order, e.postpone(ctx, s.Order, err)
	}
	now := e.clock.Now()
	s.State, s.lease, s.Updated, s.der = Issued, time.Time{}, now, cert.DER
	s.note("ISSUE", "SUCCESS", now, "", "")
	if err := e.db.Update(ctx, func(tx *store.Tx) error {
		if err := e.ca.Record(tx, cert); err != nil {
			return err
		}
		if err := insert(tx, s.Order); err != nil {
			return err
		}
		return e.record(tx, s.Order, "order.issue", map[string]string{
			"cn": s.CommonName, "mode": string(s.Mode), "recipient": s.Recipient.ID, "serial": s.Serial, "authority": s.Authority,
		})
	}); err != nil {
		return nil, err
	}
	return s.Order, nil
}

// revokeOrphans ends intents that no order knows of: the crash came between
// the two commits of issueDirect. They may have been signed.
func (e *Engine) revokeOrphans(ctx context.Context) error {
	intents, err := e.ca.OpenIntents(ctx, kind, e.clock.Now().Add(-2*e.settings.Lease))
	if err != nil {
		return err
	}
	var failed error
	for _, i := range intents {
		err := e.db.Update(ctx, func(tx *store.Tx) error {
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM wscert_orders WHERE id = $1`, i.OrderID).Scan(&n); err != nil || n > 0 {
				return err
			}
			return e.ca.Revoke(tx, i.Authority, i.Serial, authority.CessationOfOperation)
		})
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("intent %s: %w", authority.SerialText(i.Serial), err))
		}
	}
	return failed
}
