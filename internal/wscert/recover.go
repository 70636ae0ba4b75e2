package wscert

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/handover"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/outbox"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// sweepBatch bounds one run of a sweep; the schedule comes again.
const sweepBatch = 100

// Sweep takes up orders whose lease has run out: their node died, or they wait
// for a key that could not be used. It is run by a schedule on every node.
func (e *Engine) Sweep(ctx context.Context) error {
	err := e.each(ctx, `SELECT id FROM wscert_orders WHERE lease > 0 AND lease <= $1 ORDER BY lease LIMIT $2 + 0`, e.resume)
	return errors.Join(err, e.revokeOrphans(ctx))
}

// each runs fn over the orders that a query finds due, one after the other, and
// goes on past errors.
func (e *Engine) each(ctx context.Context, query string, fn func(ctx context.Context, o *Order) error) error {
	rows, err := e.db.View(ctx).Query(query, store.Micros(e.clock.Now()), sweepBatch)
	ids, err := store.Collect(rows, err, func(r *store.Rows) (id string, err error) { return id, r.Scan(&id) })
	if err != nil {
		return err
	}
	var failed error
	for _, id := range ids {
		o, err := e.get(ctx, id)
		if err == nil {
			err = fn(ctx, o)
		}
		if err != nil && !errors.Is(err, fault.Conflict) { // a conflict means that another node was quicker
			failed = errors.Join(failed, fmt.Errorf("order %s: %w", id, err))
		}
	}
	return failed
}

// resume takes an order in state Issue to its end. Taking the lease is a
// compare-and-set, so that one worker does it.
func (e *Engine) resume(ctx context.Context, o *Order) error {
	if o.State != Issue {
		return nil
	}
	if err := e.db.Update(ctx, func(tx *store.Tx) error {
		now := e.clock.Now()
		o.lease = now.Add(e.settings.Lease)
		return save(tx, o, now)
	}); err != nil {
		return err
	}
	serial, err := hex.DecodeString(o.Serial)
	if err != nil {
		return err
	}
	st := &step{Order: o}
	st.intent, err = e.ca.Reopen(ctx, o.Authority, serial)
	switch {
	case errors.Is(err, authority.ErrPossiblyIssued):
		return e.restart(ctx, o, serial)
	case errors.Is(err, store.ErrNotFound):
		return e.fail(ctx, o, "the certificate's record is missing")
	case err != nil:
		return e.postpone(ctx, o, err)
	}
	if o.Mode == Generate {
		if st.key, err = e.openKey(o.sealedKey); err != nil {
			return e.fail(ctx, o, "the certificate's key cannot be opened")
		}
	}
	return e.finish(ctx, st)
}

func (e *Engine) openKey(sealed []byte) (crypto.Signer, error) {
	private, err := e.vault.Open(purposeKey, sealed)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// restart revokes a certificate that may have been signed and takes a new
// serial number, both in one transaction.
func (e *Engine) restart(ctx context.Context, o *Order, serial []byte) error {
	client, err := access.FindClient(e.db.View(ctx), access.System("order"), o.Client)
	if err != nil {
		return err
	}
	was := o.Authority
	o.note("ISSUE", "RETRY", e.clock.Now(), "", "serial number "+o.Serial+" may have been signed; revoked and replaced")
	st, err := e.prepare(ctx, o, client)
	if err != nil {
		return e.postpone(ctx, o, err)
	}
	if err := e.db.Update(ctx, func(tx *store.Tx) error {
		if err := e.ca.Revoke(tx, was, serial, authority.Superseded); err != nil {
			return err
		}
		if err := e.ca.Hold(tx, st.intent); err != nil {
			return err
		}
		return save(tx, o, e.clock.Now())
	}); err != nil {
		return err
	}
	return e.finish(ctx, st)
}

// ExpireUnclaimed ends orders whose recipient did not come in time: the file is
// erased and the certificate revoked.
func (e *Engine) ExpireUnclaimed(ctx context.Context) error {
	return e.each(ctx, `SELECT id FROM wscert_orders WHERE claim_by > 0 AND claim_by <= $1 ORDER BY claim_by LIMIT $2 + 0`, e.expire)
}

func (e *Engine) expire(ctx context.Context, o *Order) error {
	const why = "not fetched in time"
	d, err := e.desk.Of(e.db.View(ctx), o.Handover)
	if err != nil {
		return err
	}
	if d.State == handover.Delivered {
		return fault.Conflictf("order.delivered", "The file was fetched.")
	}
	if o.State == PendingCSR {
		return e.fail(ctx, o, why)
	}
	before := *o
	return e.db.Update(ctx, func(tx *store.Tx) error {
		*o = before
		o.History = slices.Clone(before.History)
		return e.withdraw(tx, o, authority.CessationOfOperation, "", why)
	})
}

func (e *Engine) tellWithdrawn(tx *store.Tx, o *Order, why string) error {
	if o.Recipient.Email == "" {
		return nil
	}
	subject, body := withdrawnText(o, why)
	_, err := e.outbox.Send(tx, outbox.Message{
		Channel: outbox.Email, Realm: string(o.Realm), Client: o.Client, Service: o.Service, ObjectKind: "order", ObjectID: o.ID,
		To: o.Recipient.Email, Subject: subject, Body: body, Key: "withdrawn/" + o.ID,
	})
	return err
}
