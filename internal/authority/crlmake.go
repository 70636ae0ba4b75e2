package authority

import (
	"context"
	"errors"
	"io"
	"math/big"
	"os"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/crl"
)

const (
	// deltaLife is how long a delta list holds, in which a new full list has long
	// brought another.
	deltaLife = 48 * time.Hour
	maxCRL    = 2 << 30
	// crlsKept is how many earlier lists stay readable, for downloads under way.
	crlsKept = 3
	// crlLease is how long a node may take for a list before others try: far more
	// than ten million entries need. The number decides who is first all the same.
	crlLease = 2 * time.Minute
	// busy is the code of the Conflict when another node makes the list.
	busy = "crl.busy"
)

// ProduceCRL publishes a new full list of an authority now.
func (a *Authorities) ProduceCRL(ctx context.Context, id string) (CRL, error) {
	return a.ProduceList(ctx, Scope{Authority: id})
}

// ProduceList publishes a new list of a scope now. While another node is making
// one, it is a Conflict. A delta list needs a full one; a shard that never was is
// Invalid.
func (a *Authorities) ProduceList(ctx context.Context, s Scope) (CRL, error) {
	x, err := a.Get(ctx, s.Authority)
	if err != nil {
		return CRL{}, err
	}
	return a.produce(ctx, x, s)
}

// ProduceLastCRL publishes the last list of an authority that is closed: it
// holds for ever, and no other follows.
func (a *Authorities) ProduceLastCRL(ctx context.Context, id string) (CRL, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return CRL{}, err
	}
	if x.Status != StatusClosed {
		return CRL{}, fault.Conflictf("crl.not_closed", "The authority %q is %s; its last list is made when it is closed.", id, x.Status)
	}
	p, err := a.policy(ctx, id)
	if err != nil {
		return CRL{}, err
	}
	var last CRL
	for shard := p.Published; shard >= 0; shard-- {
		if last, err = a.produceUntil(ctx, x, Scope{Authority: id, Shard: shard}, forever); err != nil {
			return CRL{}, err
		}
	}
	return last, nil
}

func (a *Authorities) produce(ctx context.Context, x *Authority, s Scope) (CRL, error) {
	return a.produceUntil(ctx, x, s, time.Time{})
}

// produceUntil makes a list that holds until then, or for as long as the policy
// says.
func (a *Authorities) produceUntil(ctx context.Context, x *Authority, s Scope, until time.Time) (CRL, error) {
	p, err := a.policy(ctx, x.ID)
	if err != nil {
		return CRL{}, err
	}
	if x.KeyRef == "" || s.Shard < 0 || s.Shard > p.Published {
		return CRL{}, fault.Invalidf("crl.scope", "The authority %q does not make this list here.", x.ID)
	}
	release, err := a.lease(ctx, s)
	if err != nil {
		return CRL{}, err
	}
	defer release()
	j := &crlJob{Authorities: a, x: x, policy: p, until: until}
	if err := j.begin(ctx, s); err != nil {
		return CRL{}, err
	}
	info, err := j.write(ctx)
	if err != nil && j.follows {
		j.follows = false // perhaps the list before is damaged
		info, err = j.write(ctx)
	}
	if err != nil {
		return CRL{}, err
	}
	j.list.blob, j.list.Size = info.ID, info.Size
	if err := a.publishCRL(ctx, x, j.list); err != nil {
		return CRL{}, err
	}
	return j.list, nil
}

// lease keeps other nodes from making the same list, and a list of the same
// scope, meanwhile.
func (a *Authorities) lease(ctx context.Context, s Scope) (release func(), err error) {
	holder, now := ident.New("crl"), a.clock.Now()
	err = a.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO crl_leases (authority, shard, holder, until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (authority, shard) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE crl_leases.until < $5`,
			s.Authority, s.Shard, holder, store.Micros(now.Add(crlLease)), store.Micros(now))
		if err == nil && n == 0 {
			err = fault.Conflictf(busy, "A revocation list of %q is being made already.", s.Authority).WithNext("Wait for it.")
		}
		return err
	})
	return func() {
		// What stays behind when the database is gone ends by itself.
		_ = a.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM crl_leases WHERE authority = $1 AND shard = $2 AND holder = $3`, s.Authority, s.Shard, holder)
			return err
		})
	}, err
}

// A crlJob is one list in the making.
type crlJob struct {
	*Authorities
	x      *Authority
	policy stored
	until  time.Time // zero: by the policy
	list   CRL
	full   CRL // the full list of the scope before this one
	// follows has the list made of the one before it and what changed since.
	follows bool
}

// begin reads the state that the list follows, in this order: the number of the
// last change first, so that every change up to it is on the list.
func (j *crlJob) begin(ctx context.Context, s Scope) (err error) {
	view := j.db.View(ctx)
	changes, err := j.changes(ctx, s.Authority)
	if err != nil {
		return err
	}
	if j.full, err = currentList(view, Scope{Authority: s.Authority, Shard: s.Shard}); err != nil && (!errors.Is(err, fault.NotFound) || s.Delta) {
		return err
	}
	delta, err := currentList(view, Scope{Authority: s.Authority, Shard: s.Shard, Delta: true})
	if err != nil && !errors.Is(err, fault.NotFound) {
		return err
	}
	now, err := j.guard.SigningTime()
	if err != nil {
		return err
	}
	c := CRL{Scope: s, Number: max(j.full.Number, delta.Number) + 1, ThisUpdate: now.Truncate(time.Second), seq: changes[wholeAuthority]}
	if c.NextUpdate = c.ThisUpdate.Add(j.policy.CRLLife); s.Delta {
		c.Base, c.NextUpdate = j.full.Number, c.ThisUpdate.Add(deltaLife)
	}
	if !j.until.IsZero() {
		c.NextUpdate = j.until
	}
	j.list = c
	j.follows = !s.Delta && j.full.Number > 0 && !j.firstOfDay() && !j.policy.changed.After(j.full.ThisUpdate) && c.seq-j.full.seq <= followMost
	return nil
}

// firstOfDay says when to begin anew.
func (j *crlJob) firstOfDay() bool {
	return j.list.ThisUpdate.Format(time.DateOnly) != j.full.ThisUpdate.Format(time.DateOnly)
}

// head is everything in the list but its entries.
func (j *crlJob) head() *crl.List {
	c := &j.list
	l := &crl.List{Issuer: j.x.Certificate.RawSubject, IssuerKeyID: j.x.Certificate.SubjectKeyId, Number: big.NewInt(c.Number), ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate}
	if c.Shard > 0 {
		// TLS BR 7.2.2.1: critical, with the address that stands in the certificates.
		l.IDP = &crl.DistributionPoint{URIs: []string{j.urls.List(Scope{Authority: c.Authority, Shard: c.Shard})}, OnlyUserCerts: true}
	}
	switch {
	case c.Delta:
		l.DeltaBase = big.NewInt(c.Base)
	case j.policy.Deltas:
		l.Freshest = []string{j.urls.List(Scope{Authority: c.Authority, Shard: c.Shard, Delta: true})}
	}
	if j.policy.KeepExpired {
		l.ExpiredCertsOnCRL = j.x.Certificate.NotBefore
	}
	return l
}

func (j *crlJob) write(ctx context.Context) (blob.Info, error) {
	signer, err := j.vault.Signer(ctx, j.x.KeyRef)
	if err != nil {
		return blob.Info{}, err
	}
	spool, err := os.CreateTemp("", "sealwright-crl-")
	if err != nil {
		return blob.Info{}, err
	}
	defer spool.Close()
	if err := os.Remove(spool.Name()); err != nil { // it lives on until it is closed, or the process ends
		return blob.Info{}, err
	}
	r, w := io.Pipe()
	go func() {
		_, err := crl.Write(w, j.head(), crl.Entries{Each: j.entries(ctx), Spool: spool}, j.x.algorithm, signer)
		w.CloseWithError(err)
	}()
	info, err := j.blobs.Put(ctx, r, maxCRL)
	_ = r.CloseWithError(err) // frees the writer when Put gave up early
	return info, err
}

// publishCRL makes a list the current one. Its number decides: of two nodes that
// made one at once, the second throws its away.
func (a *Authorities) publishCRL(ctx context.Context, x *Authority, c CRL) error {
	var old []string
	err := a.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO crls (`+crlColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			c.Authority, c.Shard, c.Number, c.Base, c.blob, c.Size, c.Entries, c.seq, store.Micros(c.ThisUpdate), store.Micros(c.NextUpdate))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf(busy, "Another revocation list of %q was published first.", x.ID)
		}
		if old, err = dropOld(tx, c); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{
			Action: "crl.publish", ObjectKind: "authority", ObjectID: x.ID, Realm: x.Realm, Result: audit.OK,
			Detail: map[string]string{
				"number": strconv.FormatInt(c.Number, 10), "entries": strconv.FormatInt(c.Entries, 10),
				"shard": strconv.FormatInt(c.Shard, 10), "base": strconv.FormatInt(c.Base, 10),
			},
		})
	})
	if err != nil {
		old = []string{c.blob}
	}
	for _, b := range old {
		err = errors.Join(err, a.blobs.Delete(ctx, b))
	}
	return err
}

// dropOld removes all but the last few lists of the same kind and returns their
// blobs.
func dropOld(tx *store.Tx, c CRL) ([]string, error) {
	const older = ` FROM crls WHERE authority = $1 AND shard = $2 AND (base > 0) = $3 AND number < (
		SELECT MIN(number) FROM (SELECT number FROM crls WHERE authority = $1 AND shard = $2 AND (base > 0) = $3 ORDER BY number DESC LIMIT $4 + 0) AS kept)`
	rows, err := tx.Query(`SELECT blob`+older, c.Authority, c.Shard, c.Delta, int64(crlsKept+1))
	old, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil || len(old) == 0 {
		return nil, err
	}
	_, err = tx.Exec(`DELETE`+older, c.Authority, c.Shard, c.Delta, int64(crlsKept+1))
	return old, err
}
