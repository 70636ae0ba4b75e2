package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// placeKey is the form of a place under which two are the same.
func placeKey(at string) string { return strings.ToLower(at) }

// held is the condition that the row is as it was taken, and the lease still ours.
const held = ` WHERE id = $1 AND version = $2 AND state IN ('waiting', 'removing') AND EXISTS (SELECT 1 FROM publish_publishers WHERE id = $3 AND lease = $4)`

// record writes down how an attempt ended: state, history, audit and what the
// order hears, in one transaction.
func (r *run) record(ctx context.Context, d place.Destination, it *item, changed bool, cause error) error {
	err := r.p.o.Queue.Settle(ctx, func(tx *store.Tx) error {
		switch {
		case cause != nil:
			return r.failed(tx, it, cause)
		case it.state == Removing:
			return r.removed(tx, it, changed)
		case it.state == Replaced:
			return r.superseded(tx, it)
		}
		return r.published(tx, d, it, changed)
	})
	return fault.Wrap(err, "record the outcome of publishing")
}

func (r *run) set(tx *store.Tx, it *item, change string, args ...any) (bool, error) {
	n, err := tx.Exec(`UPDATE publish_items SET attempts = attempts + 1, `+change+held, append([]any{it.id, it.version, r.pub.ID, r.lease}, args...)...)
	return n == 1, err
}

func (r *run) published(tx *store.Tx, d place.Destination, it *item, changed bool) error {
	exclusive := d.Exclusive(it.kind)
	ok, err := r.set(tx, it, `state = 'published', last_error = '', done_at = $5`, store.Micros(r.p.now()))
	if err != nil {
		return err
	}
	if !ok {
		return r.repairPut(tx, it, exclusive)
	}
	if exclusive {
		if err := r.displace(tx, it); err != nil {
			return err
		}
	}
	detail := "at " + it.place
	if !changed {
		detail = "it was there already, " + detail
	}
	return r.tell(tx, it, Done, "publish.done", true, detail)
}

// displace marks what stood at the place before.
func (r *run) displace(tx *store.Tx, it *item) error {
	rows, err := tx.Query(`UPDATE publish_items SET state = 'replaced', version = version + 1, done_at = $4 WHERE publisher = $1 AND place_key = $2 AND state = 'published' AND id <> $3
		RETURNING object, kind`, r.pub.ID, it.key, it.id, store.Micros(r.p.now()))
	type gone struct{ object, kind string }
	list, err := store.Collect(rows, err, func(rows *store.Rows) (g gone, err error) { return g, rows.Scan(&g.object, &g.kind) })
	if err != nil {
		return err
	}
	for _, g := range list {
		if err := r.p.event(tx, g.object, g.kind, r.pub.ID, Superseded, "by "+it.object); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) superseded(tx *store.Tx, it *item) error {
	ok, err := r.set(tx, it, `state = 'replaced', last_error = '', done_at = $5`, store.Micros(r.p.now()))
	if err != nil || !ok {
		return err
	}
	return r.tell(tx, it, Superseded, "publish.done", true, "a newer object is at "+it.place)
}

func (r *run) removed(tx *store.Tx, it *item, changed bool) error {
	ok, err := r.set(tx, it, `state = 'removed', last_error = '', done_at = $5`, store.Micros(r.p.now()))
	if err != nil {
		return err
	}
	if !ok {
		return r.repairRemove(tx, it)
	}
	detail := "from " + it.place
	if !changed {
		detail = "it was gone already " + detail
	}
	return r.tell(tx, it, Gone, "publish.removed", true, detail)
}

// failed sets the next attempt, or gives up.
func (r *run) failed(tx *store.Tx, it *item, cause error) error {
	now, why := r.p.now(), reason(cause, r.link)
	if !permanent(cause) && store.Micros(now) < it.giveUp {
		wait := r.p.o.Backoff.Wait(it.attempts+1, nil)
		if place.IsUnreachable(cause) {
			wait = r.p.o.Pause.Wait(it.attempts+1, nil)
		}
		due := min(store.Micros(now.Add(wait)), it.giveUp)
		ok, err := r.set(tx, it, `due_at = $5, last_error = $6`, due, why)
		if err != nil || !ok {
			return err
		}
		return r.p.event(tx, it.object, string(it.kind), r.pub.ID, Attempt, why)
	}
	state := Failed
	action := "publish.failed"
	if it.state == Removing {
		state, action = Stuck, "publish.stuck"
	}
	ok, err := r.set(tx, it, `state = $5, last_error = $6, done_at = $7`, string(state), why, store.Micros(now))
	if err != nil || !ok {
		return err
	}
	r.p.o.Log.Error("publishing was given up", "publisher", r.pub.ID, "object", it.object, "kind", it.kind, "state", state, "reason", why)
	return r.tell(tx, it, GaveUp, action, false, why)
}

// permanent tells whether repeating cannot help: the certificate lacks what the
// template asks for, or is too large.
func permanent(err error) bool {
	var missing fact.Missing
	return errors.As(err, &missing) || errors.Is(err, fault.Invalid) && !place.IsUnreachable(err)
}

// tell writes history and audit, and lets the order know.
func (r *run) tell(tx *store.Tx, it *item, e EventKind, action string, ok bool, detail string) error {
	if err := r.p.event(tx, it.object, string(it.kind), r.pub.ID, e, detail); err != nil {
		return err
	}
	if it.kind != place.Certificate {
		return nil // the audit log has the making of CRLs
	}
	result := audit.OK
	if !ok {
		result = audit.Failed
	}
	if err := r.p.audited(tx, action, it.object, it.realm, it.client, result, map[string]string{"publisher": r.pub.ID, "detail": detail}); err != nil {
		return err
	}
	hook := r.p.OnDone
	if it.state == Removing {
		hook = r.p.OnRemoved
	}
	if hook == nil {
		return nil
	}
	return fault.Wrap(hook(tx, it.object, r.pub.ID, ok, detail), "tell the order")
}

// abandon ends an attempt that was interrupted and whose effect is not known.
// With the lease, this node or the next goes on with it; without, somebody else
// may have finished meanwhile, and the late write may have undone that.
func (r *run) abandon(ctx context.Context, d place.Destination, it *item) error {
	err := r.p.o.Queue.Settle(ctx, func(tx *store.Tx) error {
		var lease int64
		err := tx.QueryRow(`SELECT lease FROM publish_publishers WHERE id = $1`, r.pub.ID).Scan(&lease)
		switch {
		case err != nil || lease == r.lease:
			return err
		case it.state == Removing:
			return r.repairRemove(tx, it)
		}
		return r.repairPut(tx, it, d.Exclusive(it.kind))
	})
	return fault.Wrap(err, "leave an attempt at publishing")
}

// repairPut is for an object that was stored by a node whose lease was gone, or
// for a wish that had changed meanwhile: what rests now, and may have been
// undone by the late write, is done once more.
func (r *run) repairPut(tx *store.Tx, it *item, exclusive bool) error {
	now := store.Micros(r.p.now())
	n, err := tx.Exec(`UPDATE publish_items SET state = 'removing', version = version + 1, due_at = $2, place = $3, place_key = $4 WHERE id = $1 AND state = 'removed'`, it.id, now, it.place, it.key)
	if err != nil {
		return err
	}
	if exclusive {
		more, err := tx.Exec(`UPDATE publish_items SET state = 'waiting', version = version + 1, due_at = $4 WHERE publisher = $1 AND place_key = $2 AND state = 'published' AND id <> $3`,
			r.pub.ID, it.key, it.id, now)
		if err != nil {
			return err
		}
		n += more
	}
	return r.repaired(tx, n, it)
}

// repairRemove is the same for an object that was taken away too late.
func (r *run) repairRemove(tx *store.Tx, it *item) error {
	n, err := tx.Exec(`UPDATE publish_items SET state = 'waiting', version = version + 1, due_at = $2 WHERE id = $1 AND state = 'published'`, it.id, store.Micros(r.p.now()))
	if err != nil {
		return err
	}
	return r.repaired(tx, n, it)
}

func (r *run) repaired(tx *store.Tx, n int64, it *item) error {
	if n == 0 {
		return nil
	}
	r.p.wake(tx)
	return r.p.event(tx, it.object, string(it.kind), r.pub.ID, Attempt, "a node wrote after its lease had ended; what is wanted is checked once more")
}

// release ends the lease. A publisher that did not answer is left alone for a
// while; the objects that were tried become due at about the same time.
func (r *run) release(ctx context.Context, cause error) error {
	now, failures, paused, why := r.p.now(), 0, int64(0), ""
	if cause != nil {
		failures, why = r.pub.Failures+1, reason(cause, r.link)
		paused = store.Micros(now.Add(r.p.o.Pause.Wait(failures, nil)))
		r.p.o.Log.Warn("a publisher did not answer", "publisher", r.pub.ID, "failures", failures, "reason", why)
	}
	return r.p.o.Queue.Settle(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE publish_publishers SET lease_until = $3, failures = $4, paused_until = $5, last_error = $6 WHERE id = $1 AND lease = $2`,
			r.pub.ID, r.lease, store.Micros(now), failures, paused, why)
		if err == nil && n == 1 && cause == nil {
			r.p.wake(tx) // there may be more to do
		}
		if err == nil && n == 0 {
			err = fmt.Errorf("publisher %s: %w", r.pub.ID, errLate)
		}
		return err
	})
}
