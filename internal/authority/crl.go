package authority

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A CRL is a published revocation list.
type CRL struct {
	Scope
	Number     int64
	Base       int64 // of a delta list: the number of the full list that it goes with
	Size       int64
	Entries    int64
	ThisUpdate time.Time
	NextUpdate time.Time
	blob       string
	seq        int64 // the last change that is on it
}

const crlColumns = `authority, shard, number, base, blob, size, entries, seq, this_update, next_update`

func scanCRL(rows interface{ Scan(...any) error }) (c CRL, err error) {
	var this, next int64
	err = rows.Scan(&c.Authority, &c.Shard, &c.Number, &c.Base, &c.blob, &c.Size, &c.Entries, &c.seq, &this, &next)
	c.Delta, c.ThisUpdate, c.NextUpdate = c.Base > 0, store.Time(this), store.Time(next)
	return c, err
}

// CurrentCRL is the latest full list of an authority.
func (a *Authorities) CurrentCRL(ctx context.Context, id string) (CRL, error) {
	return a.CurrentList(ctx, Scope{Authority: id})
}

// CurrentList is the latest list of a scope; NotFound if there is none.
func (a *Authorities) CurrentList(ctx context.Context, s Scope) (CRL, error) {
	return currentList(a.db.View(ctx), s)
}

func currentList(q store.Queryer, s Scope) (CRL, error) {
	kind := "base = 0"
	if s.Delta {
		kind = "base > 0"
	}
	c, err := scanCRL(q.QueryRow(`SELECT `+crlColumns+` FROM crls WHERE authority = $1 AND shard = $2 AND `+kind+` ORDER BY number DESC LIMIT 1`, s.Authority, s.Shard))
	if errors.Is(err, store.ErrNotFound) {
		return CRL{Scope: s}, fault.NotFoundf("crl.none", "The authority %q has not published this revocation list.", s.Authority)
	}
	return c, err
}

// Lists are the current lists of an authority, full ones and deltas, by shard.
func (a *Authorities) Lists(ctx context.Context, id string) ([]CRL, error) {
	rows, err := a.db.View(ctx).Query(`SELECT `+crlColumns+` FROM crls WHERE authority = $1 ORDER BY shard, number DESC`, id) // a few for each shard
	all, err := store.Collect(rows, err, func(r *store.Rows) (CRL, error) { return scanCRL(r) })
	seen := make(map[Scope]bool, len(all))
	return slices.DeleteFunc(all, func(c CRL) bool {
		older := seen[c.Scope]
		seen[c.Scope] = true
		return older
	}), err
}

// OpenCRL opens the DER of a list.
func (a *Authorities) OpenCRL(ctx context.Context, c CRL) (io.ReadSeekCloser, error) {
	return a.blobs.Open(ctx, c.blob)
}

// InUse tells which of the blobs are published lists, for the sweep of what
// crashes left behind.
func (a *Authorities) InUse(ctx context.Context, ids []string) (map[string]bool, error) {
	rows, err := a.db.View(ctx).Query(`SELECT blob FROM crls`) // a few for each shard of each authority
	list, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	used := make(map[string]bool, len(list))
	for _, id := range list {
		used[id] = slices.Contains(ids, id)
	}
	return used, err
}

// ProduceDueCRLs publishes every list that is due: there is none yet, there is a
// change that it lacks, or it is old. It is run by a schedule on any node, which
// decides how soon a revocation is on a list. A list that another node is making
// is left to it.
func (a *Authorities) ProduceDueCRLs(ctx context.Context) error {
	list, err := a.List(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, x := range list {
		if x.KeyRef == "" || x.Certificate == nil || a.clock.Now().After(x.Certificate.NotAfter) {
			continue
		}
		failed = errors.Join(failed, fault.Wrap(a.produceDue(ctx, x), "crl of "+x.ID))
	}
	return failed
}

func (a *Authorities) produceDue(ctx context.Context, x *Authority) error {
	for _, deltas := range []bool{false, true} { // each delta list goes with the full list before it
		due, err := a.due(ctx, x.ID, deltas)
		if err != nil {
			return err
		}
		for _, s := range due {
			if _, err := a.produce(ctx, x, s); err != nil && fault.Of(err).Code != busy {
				return err
			}
		}
	}
	return nil
}

// due tells which full lists, or which delta lists, of an authority are due.
func (a *Authorities) due(ctx context.Context, id string, deltas bool) (due []Scope, err error) {
	p, err := a.policy(ctx, id)
	if err != nil || deltas && !p.Deltas {
		return nil, err
	}
	lists, err := a.Lists(ctx, id)
	if err != nil {
		return nil, err
	}
	current := make(map[Scope]CRL, len(lists))
	for _, c := range lists {
		current[c.Scope] = c
	}
	changes, err := a.changes(ctx, id)
	if err != nil {
		return nil, err
	}
	now := a.clock.Now()
	for shard := range p.Published + 1 {
		s := Scope{Authority: id, Shard: shard, Delta: deltas}
		c, published := current[s]
		age, news := now.Sub(c.ThisUpdate), changes.of(shard, p.Published) > c.seq
		full := current[Scope{Authority: id, Shard: shard}]
		older := p.changed.Sub(c.ThisUpdate) >= time.Second // than the policy, with which a list may say other things
		switch {
		case full.last():
		case !published, older, news && (deltas || age >= p.CRLPause):
			due = append(due, s)
		case !deltas && age >= p.CRLEvery, deltas && (c.Base != full.Number || age >= deltaLife/2):
			due = append(due, s)
		}
	}
	return due, nil
}

// changes are the numbers of an authority's last changes, by shard.
type changes map[int64]int64

func (a *Authorities) changes(ctx context.Context, id string) (changes, error) {
	return readChanges(a.db.View(ctx), id)
}

func readChanges(q store.Queryer, id string) (changes, error) {
	rows, err := q.Query(`SELECT shard, seq FROM revocation_counters WHERE authority = $1`, id)
	type counter struct{ shard, seq int64 }
	list, err := store.Collect(rows, err, func(r *store.Rows) (c counter, err error) { return c, r.Scan(&c.shard, &c.seq) })
	m := make(changes, len(list))
	for _, c := range list {
		m[c.shard] = c.seq
	}
	return m, err
}

// of is the last change that brings a new list of a shard at once. The full list
// of an authority with shards is made at once only for certificates without one;
// the others are on it with the next.
func (c changes) of(shard, published int64) int64 {
	if shard == 0 && published == 0 {
		return c[wholeAuthority]
	}
	return c[shard]
}

// forever is the nextUpdate of the last list of an authority (RFC 5280, 4.1.2.5;
// ETSI EN 319 411-2 asks for it).
var forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func (c CRL) last() bool { return c.NextUpdate.Equal(forever) }
