package external

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/external/bundle"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

const (
	watchBatch   = 100 // servers in one run
	watchers     = 4   // looked at at once
	watchLease   = 15 * time.Minute
	checkEvery   = 24 * time.Hour
	recheckEvery = time.Hour          // after a failure, and near the end
	nearEnd      = 7 * 24 * time.Hour // before the end of validity
)

// Watch looks at the servers whose turn it is: once a day, and once an hour when there
// was no answer or the certificate ends within a week. One run takes up to 100
// servers, four at a time. It is to be called about once a minute, by any number of
// nodes; what a node took up and did not finish is due again after a quarter of an
// hour.
func (r *Registry) Watch(ctx context.Context) error {
	due, err := r.claim(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	todo := make(chan *Certificate)
	failures := make([]error, watchers)
	for i := range watchers {
		wg.Go(func() {
			for c := range todo {
				failures[i] = errors.Join(failures[i], r.check(ctx, access.System("external"), c, false))
			}
		})
	}
	for _, c := range due {
		todo <- c
	}
	close(todo)
	wg.Wait()
	return errors.Join(failures...)
}

// claim takes due certificates for this node, by compare-and-set on the time at which
// they are due.
func (r *Registry) claim(ctx context.Context) ([]*Certificate, error) {
	now := r.Clock.Now()
	rows, err := r.DB.View(ctx).Query(`SELECT `+columns+` FROM external_certificates c WHERE c.check_due > 0 AND c.check_due <= $1 ORDER BY c.check_due, c.id LIMIT $2 + 0`,
		store.Micros(now), watchBatch)
	due, err := store.Collect(rows, err, func(row *store.Rows) (*Certificate, error) { return scan(row) })
	if err != nil || len(due) == 0 {
		return nil, err
	}
	var mine []*Certificate
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		mine = nil
		for _, c := range due {
			n, err := tx.Exec(`UPDATE external_certificates SET check_due = $1 WHERE id = $2 AND check_due = $3`, store.Micros(now.Add(watchLease)), c.ID, store.Micros(c.Check.Due))
			if err != nil {
				return err
			}
			if n == 1 {
				mine = append(mine, c)
			}
		}
		return nil
	})
	return mine, err
}

// Probe looks at the server of a certificate now and keeps what came of it: see
// [Certificate.Check]. That there is no answer is a result and no error. It needs
// certificate.order.
func (r *Registry) Probe(ctx context.Context, s access.Scope, id string) (*Certificate, error) {
	c, err := r.withAddress(ctx, s, id)
	if err != nil {
		return nil, err
	}
	if err := r.check(ctx, s, c, true); err != nil {
		return nil, err
	}
	return r.get(r.DB.View(ctx), access.System("external"), access.CertificateSearch, id)
}

func (r *Registry) withAddress(ctx context.Context, s access.Scope, id string) (*Certificate, error) {
	c, err := r.get(r.DB.View(ctx), s, access.CertificateOrder, id)
	if err == nil && c.Address == "" {
		return nil, fault.Conflictf("external.no_address", "No server is known for the certificate %s.", c.Title()).WithNext("Enter the address of the server that uses it.")
	}
	return c, err
}

// check looks and writes what it found, unless the certificate got another address
// meanwhile. Looks of the schedule go into the audit log when they find a change.
func (r *Registry) check(ctx context.Context, s access.Scope, c *Certificate, asked bool) error {
	seen, err := r.look(ctx, c.Address)
	if ctx.Err() != nil {
		return ctx.Err() // we were stopped; that says nothing about the server
	}
	found := r.judge(c, seen.facts, err)
	return r.update(ctx, s, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE external_certificates SET check_due = $1, check_state = $2, checked_at = $3, seen_at = $4, shown = $5, shown_end = $6, problem = $7 WHERE id = $8 AND address = $9`,
			store.Micros(found.Due), string(found.State), store.Micros(found.At), store.Micros(found.Seen), found.Shown, store.Micros(found.ShownEnd), found.Problem, c.ID, c.Address)
		if err != nil || n == 0 || !asked && found.State == c.Check.State && found.Shown == c.Check.Shown {
			return err
		}
		return r.record(tx, "external.check", c, "address", c.Address, "state", string(found.State), "shown", found.Shown, "problem", found.Problem)
	})
}

// judge compares what a server shows, or why it shows nothing, with what it should.
func (r *Registry) judge(c *Certificate, shown *bundle.Certificate, err error) Check {
	now := r.Clock.Now()
	found := c.Check
	found.At, found.Problem = now, ""
	if err != nil {
		f := fault.Of(err)
		found.State, found.Problem, found.Due = Failed, strings.TrimSpace(f.Message+" "+f.Next), now.Add(recheckEvery)
		return found
	}
	found.Shown, found.ShownEnd = shown.SHA256, shown.NotAfter
	switch {
	case shown.SHA256 == c.SHA256:
		found.State, found.Seen = Same, now
		if c.Expired(now) {
			found.Problem = "The server shows this certificate, which expired on " + c.NotAfter.Format("2 January 2006") + "."
		}
	case shown.Identity() == c.identity && shown.NotAfter.After(c.NotAfter):
		found.State, found.Problem = Newer, shows("a newer certificate for the same names", shown)
	default:
		found.State, found.Problem = Other, shows("another certificate", shown)
	}
	found.Due = now.Add(checkEvery)
	if left := c.NotAfter.Sub(now); found.State == Same && left > 0 && left < nearEnd {
		found.Due = now.Add(recheckEvery)
	}
	return found
}
