package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/jobs"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/publish/fact"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// source has the queue claim publishers with something to do. The lease is the
// publisher's: one connection at a time, and no two writers at one place.
type source struct{ p *Publishing }

// duePublishers are those that may be worked on now: one probe of an index each.
const duePublishers = `FROM publish_publishers p WHERE p.enabled AND p.deleted_at = 0 AND p.lease_until <= $1 AND p.paused_until <= $1
	AND EXISTS (SELECT 1 FROM publish_items i WHERE i.publisher = p.id AND i.state IN ('waiting', 'removing') AND i.due_at <= $1)`

// Due implements [jobs.Source].
func (s source) Due(q store.Queryer, lanes []string, now time.Time) ([]string, error) {
	var found int
	err := q.QueryRow(`SELECT 1 `+duePublishers+` LIMIT 1`, store.Micros(now)).Scan(&found)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return lanes, err
}

// Claim implements [jobs.Source]. Publishers take turns.
func (s source) Claim(tx *store.Tx, _ string, n int, now, until time.Time) ([]jobs.Task, error) {
	rows, err := tx.Query(`WITH due AS (SELECT p.id `+duePublishers+` ORDER BY p.lease_until, p.id LIMIT $2 + 0`+tx.SkipLocked()+`)
		UPDATE publish_publishers SET lease = lease + 1, lease_until = $3 WHERE id IN (SELECT id FROM due)
		RETURNING `+publisherColumns+`, lease`, store.Micros(now), n, store.Micros(until))
	return store.Collect(rows, err, func(r *store.Rows) (jobs.Task, error) {
		t := &run{p: s.p}
		var err error
		t.pub, t.sealed, err = scanPublisher(r, &t.lease)
		return t, err
	})
}

// A run is one lease of one publisher.
type run struct {
	p      *Publishing
	pub    Publisher
	sealed []byte
	lease  int64
	link   place.Link
}

// Renew implements [jobs.Task].
func (r *run) Renew(tx *store.Tx, until time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE publish_publishers SET lease_until = $1 WHERE id = $2 AND lease = $3`, store.Micros(until), r.pub.ID, r.lease)
	return n == 1, err
}

const (
	batchSize = 50
	runLimit  = time.Minute // after which other publishers get their turn
)

// Run implements [jobs.Task].
func (r *run) Run(ctx context.Context) {
	err := r.work(ctx)
	if err != nil && ctx.Err() != nil {
		err = nil // interrupted: others go on at once
	}
	if err := r.release(ctx, err); err != nil {
		r.p.o.Log.Error("the end of work at a publisher could not be recorded; it goes on when the lease ends", "publisher", r.pub.ID, "error", err)
	}
}

// work goes through what is due. It returns an error when the publisher should
// be left alone for a while.
func (r *run) work(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			r.p.o.Log.Error("publishing panicked", "publisher", r.pub.ID, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	d, broken := r.p.destination(r.pub.Settings)
	if broken == nil {
		r.link, broken = r.p.link(r.pub, r.sealed)
	}
	var session place.Session
	defer func() {
		if session != nil {
			session.Close()
		}
	}()
	for start := time.Now(); ctx.Err() == nil && time.Since(start) < runLimit; {
		batch, err := r.take(ctx, d, broken)
		if err != nil || len(batch) == 0 {
			return err
		}
		for i, it := range batch {
			if ctx.Err() != nil || time.Since(start) >= runLimit {
				return nil
			}
			if session == nil && it.fault == nil && broken == nil {
				session, broken = d.Open(ctx, r.link)
			}
			if broken != nil {
				return r.unreachable(ctx, batch[i:], broken)
			}
			changed, err := r.one(ctx, session, d, it)
			if err != nil && ctx.Err() != nil {
				return r.abandon(ctx, d, it) // interrupted; it does not count as an attempt
			}
			if err := r.record(ctx, d, it, changed, err); err != nil {
				return err
			}
			if place.IsUnreachable(err) {
				return err
			}
		}
	}
	return nil
}

// unreachable records one failed attempt for each item of a batch.
func (r *run) unreachable(ctx context.Context, batch []*item, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	for _, it := range batch {
		if err := r.record(ctx, nil, it, false, place.Unreachable(cause)); err != nil {
			return err
		}
	}
	return cause
}

// item is what is to be done for one object.
type item struct {
	id, object, client string
	kind               place.Kind
	realm              access.Realm
	der, issuer        []byte
	extra              string
	state              State
	place, key         string
	version            int64
	attempts           int
	giveUp, queued     int64
	facts              fact.Set
	former             string // where an earlier attempt may have put it, before the settings changed
	fault              error  // why it cannot be done at all
}

func (it *item) body() place.Object { return place.Object{Kind: it.kind, DER: it.der, Facts: it.facts} }

// take reads a batch and writes down where each object will go, before anything
// is done: whoever comes after a crash knows where to look.
func (r *run) take(ctx context.Context, d place.Destination, broken error) ([]*item, error) {
	var batch []*item
	err := r.p.o.DB.Update(ctx, func(tx *store.Tx) error {
		batch = nil
		rows, err := tx.Query(`SELECT i.id, i.object, i.client, i.kind, i.realm, i.der, i.issuer, i.extra, i.state, i.place, i.place_key, i.version, i.attempts, i.give_up_at, i.queued_at
			FROM publish_items i JOIN publish_publishers p ON p.id = i.publisher
			WHERE i.publisher = $1 AND i.state IN ('waiting', 'removing') AND i.due_at <= $2 AND p.lease = $3 AND p.enabled AND p.deleted_at = 0
			ORDER BY i.due_at, i.id LIMIT $4 + 0`, r.pub.ID, store.Micros(r.p.now()), r.lease, batchSize)
		found, err := store.Collect(rows, err, func(r *store.Rows) (*item, error) {
			it := &item{}
			return it, r.Scan(&it.id, &it.object, &it.client, &it.kind, &it.realm, &it.der, &it.issuer, &it.extra, &it.state, &it.place, &it.key, &it.version,
				&it.attempts, &it.giveUp, &it.queued)
		})
		if err != nil {
			return err
		}
		for _, it := range found {
			if broken == nil && it.state == Waiting {
				it.locate(d)
			}
			if it.key == "" && it.place != "" { // just found
				it.key = placeKey(it.place)
				n, err := tx.Exec(`UPDATE publish_items SET place = $3, place_key = $4 WHERE id = $1 AND version = $2`, it.id, it.version, it.place, it.key)
				if err != nil {
					return err
				}
				if n == 0 {
					continue // not wanted any more, since a moment
				}
			}
			batch = append(batch, it)
		}
		return nil
	})
	return batch, fault.Wrap(err, "take what is to be published")
}

// locate finds out where the object goes.
func (it *item) locate(d place.Destination) {
	if it.facts, it.fault = it.read(); it.fault != nil {
		return
	}
	at, err := d.Place(it.body())
	switch {
	case err != nil:
		it.fault = err
	case it.place == "":
		it.place = at
	case it.place != at:
		it.former, it.place, it.key = it.place, at, placeKey(at)
	}
}

func (it *item) read() (fact.Set, error) {
	der, order := it.der, it.object
	if it.kind == place.CRL {
		der = it.issuer
	}
	facts, err := fact.Of(der)
	if err != nil {
		return nil, err
	}
	var fields map[string]string
	if it.extra != "" {
		if err := json.Unmarshal([]byte(it.extra), &fields); err != nil {
			return nil, err
		}
	}
	if it.kind != place.Certificate {
		order = ""
	}
	facts.Add(order, fields)
	return facts, nil
}

// one does what is wanted for one object. It is idempotent.
func (r *run) one(ctx context.Context, s place.Session, d place.Destination, it *item) (bool, error) {
	switch {
	case it.fault != nil:
		return false, it.fault
	case it.state == Removing && it.place == "":
		return false, nil // it never was anywhere
	case it.state == Removing:
		return s.Remove(ctx, it.place, it.body())
	}
	if it.former != "" {
		if err := r.move(ctx, s, it); err != nil {
			return false, err
		}
	}
	if d.Exclusive(it.kind) {
		newer, err := r.newer(ctx, it)
		if err != nil {
			return false, err
		}
		if newer {
			it.state = Replaced
			return false, nil
		}
	}
	return s.Put(ctx, it.place, it.body())
}

// move clears the former place and then writes the new one down; a crash in
// between clears it again. A former place that does not exist or cannot be
// written was no place: the settings were changed for a reason.
func (r *run) move(ctx context.Context, s place.Session, it *item) error {
	if _, err := s.Remove(ctx, it.former, it.body()); place.IsUnreachable(err) {
		return err
	}
	return r.p.o.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE publish_items SET place = $3, place_key = $4 WHERE id = $1 AND version = $2`, it.id, it.version, it.place, it.key)
		return err
	})
}

// newer tells whether an object that was queued later stands at the place
// already, and must not be overwritten by a late attempt.
func (r *run) newer(ctx context.Context, it *item) (bool, error) {
	var found int
	err := r.p.o.DB.View(ctx).QueryRow(`SELECT 1 FROM publish_items WHERE publisher = $1 AND place_key = $2 AND state = 'published' AND id <> $3 AND (queued_at, id) > ($4, $3) LIMIT 1`,
		r.pub.ID, it.key, it.id, it.queued).Scan(&found)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
