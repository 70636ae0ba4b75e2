package authority

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Policy says how an authority tells the state of its certificates: how often
// it publishes lists and for how long they and OCSP answers hold. Authorities
// without one of their own follow [DefaultPolicy].
type Policy struct {
	CRLLife  time.Duration // of a list, thisUpdate to nextUpdate
	CRLEvery time.Duration // a new full list at the latest after this
	// CRLPause is the least time between two full lists that are made because of
	// a revocation. Zero: with each run of the schedule that finds one.
	CRLPause time.Duration
	// Deltas adds delta lists, which are made at once where full ones pause.
	Deltas bool
	// Shards is how many lists share the certificates issued from now on; 0 has
	// each of them name the full list. Shards that were in use stay published.
	Shards int64
	// KeepExpired keeps expired certificates on the lists, which say so with
	// expiredCertsOnCRL (qualified certificates: ETSI EN 319 411-2).
	KeepExpired bool

	// AllowHold permits suspension, which TLS BR 4.9.13 and S/MIME BR forbid.
	AllowHold bool
	// Backdate writes the moment of a key's compromise, where known, as the date
	// of revocation, as TLS BR 7.2.2 wants it; else it is an invalidity date.
	Backdate bool

	OCSPLife time.Duration // of an answer; it is signed anew after half of it
	// OCSPArchive is how long after its end a certificate's state is told, which
	// answers say with an archive cutoff (RFC 6960, 4.4.4). Zero: not said.
	OCSPArchive time.Duration
	// UnknownRevoked answers "revoked" for serial numbers that were never used,
	// with the marks of RFC 6960, 2.2. False: "unknown". It is never "good".
	UnknownRevoked bool
}

// DefaultPolicy is that of TLS BR 4.9.7 and 4.9.10 for authorities whose
// certificates name an OCSP responder.
func DefaultPolicy() Policy {
	return Policy{CRLLife: 7 * day, CRLEvery: day, OCSPLife: day}
}

const (
	day = 24 * time.Hour
	// maxShards bounds the lists that are signed anew each day.
	maxShards = 4096
	// rootLife is how long a list of a root may hold (TLS BR 4.9.7).
	rootLife = 366 * day
)

// check holds a policy to the rules (contracts, pki-rules rows 19 and 20).
func (p Policy) check(kind string) error {
	life, every := 10*day, 7*day
	if kind == Root {
		life, every = rootLife, rootLife
	}
	refuse := func(field, format string, args ...any) error {
		return fault.Invalidf("validity."+field, format, args...).WithField(field)
	}
	switch {
	case p.CRLLife < time.Hour || p.CRLLife > life:
		return refuse("crl_life", "A revocation list of this authority holds from an hour to %v, not %v.", life, p.CRLLife)
	case p.CRLEvery < time.Minute || p.CRLEvery > every || p.CRLEvery > p.CRLLife*9/10:
		return refuse("crl_every", "A new revocation list comes at the latest after %v, and well before the last one ends, not after %v.", every, p.CRLEvery)
	case p.CRLPause < 0 || p.CRLPause > day || p.CRLPause > p.CRLEvery:
		return refuse("crl_pause", "A revocation is on the full list within 24 hours, and at the latest with the next; a pause of %v is too long.", p.CRLPause)
	case p.Shards < 0 || p.Shards > maxShards || p.Shards > 0 && kind == Root:
		return refuse("shards", "The list is in at most %d shards, that of a root in none.", maxShards)
	case p.OCSPLife < 8*time.Hour || p.OCSPLife > 8*day:
		return refuse("ocsp_life", "An OCSP answer holds from 8 hours to 8 days, not %v; it is renewed after half of that, which may be 4 days at most.", p.OCSPLife)
	case p.OCSPArchive < 0 || p.OCSPArchive > 100*366*day:
		return refuse("ocsp_archive", "The state of a certificate is told for up to 100 years after its end.")
	}
	return nil
}

// A Scope is what a revocation list covers.
type Scope struct {
	Authority string
	Shard     int64 // 0: the full list, of all certificates; from 1: those that name this shard
	Delta     bool  // the changes since the last list that is not a delta
}

// List is the address of a revocation list.
func (u URLs) List(s Scope) string {
	switch {
	case s.Shard == 0 && !s.Delta:
		return u.CRL(s.Authority)
	case s.Shard == 0:
		return u.Base + "/crl/" + s.Authority + "/delta.crl"
	case s.Delta:
		return u.Base + "/crl/" + s.Authority + "/" + strconv.FormatInt(s.Shard, 10) + "-delta.crl"
	}
	return u.Base + "/crl/" + s.Authority + "/" + strconv.FormatInt(s.Shard, 10) + ".crl"
}

// validity is what a node remembers of policies and OCSP answers. Its zero
// value is ready.
type validity struct {
	mu       sync.RWMutex
	policies map[string]remembered // by authority
	ocsp     respondents
	presign  presigner
}

type remembered struct {
	policy stored
	until  time.Time
}

// stored is a policy as the table has it.
type stored struct {
	Policy
	Published int64 // the most shards there ever were
	revision  int64
	changed   time.Time
}

// Policy is how an authority tells the state of its certificates.
func (a *Authorities) Policy(ctx context.Context, id string) (Policy, error) {
	p, err := a.policy(ctx, id)
	return p.Policy, err
}

// policy remembers what it reads for as long as authorities are remembered.
func (a *Authorities) policy(ctx context.Context, id string) (stored, error) {
	v := &a.validity
	v.mu.RLock()
	r, ok := v.policies[id]
	v.mu.RUnlock()
	if ok && a.clock.Now().Before(r.until) {
		return r.policy, nil
	}
	p, err := readPolicy(a.db.View(ctx), id)
	if err != nil {
		return p, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.policies == nil {
		v.policies = map[string]remembered{}
	}
	v.policies[id] = remembered{p, a.clock.Now().Add(cacheLife)}
	return p, nil
}

func readPolicy(q store.Queryer, id string) (stored, error) {
	p := stored{Policy: DefaultPolicy()}
	var text string
	var changed int64
	err := q.QueryRow(`SELECT policy, revision, changed_at FROM validity_policies WHERE authority = $1`, id).Scan(&text, &p.revision, &changed)
	if errors.Is(err, store.ErrNotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.changed = store.Time(changed)
	return p, json.Unmarshal([]byte(text), &p)
}

// SetPolicy changes how an authority tells the state of its certificates. What
// breaks the rules is Invalid; somebody else's change meanwhile a Conflict.
func (a *Authorities) SetPolicy(ctx context.Context, id string, p Policy) error {
	x, err := a.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := p.check(x.Kind); err != nil {
		return err
	}
	err = a.db.Update(ctx, func(tx *store.Tx) error {
		was, err := readPolicy(tx, id)
		if err != nil {
			return err
		}
		now := stored{Policy: p, Published: max(was.Published, p.Shards)}
		text, err := json.Marshal(now)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO validity_policies (authority, policy, revision, changed_at) VALUES ($1, $2, 1, $3)
			ON CONFLICT (authority) DO UPDATE SET policy = excluded.policy, revision = validity_policies.revision + 1, changed_at = excluded.changed_at
			WHERE validity_policies.revision = $4`, id, string(text), store.Micros(a.clock.Now()), was.revision)
		if err != nil {
			return err
		}
		if err := conflictUnless(n == 1); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{
			Action: "authority.validity", ObjectKind: "authority", ObjectID: id, Realm: x.Realm, Result: audit.OK,
			Detail: map[string]string{"policy": string(text)},
		})
	})
	v := &a.validity
	v.mu.Lock()
	delete(v.policies, id)
	v.mu.Unlock()
	return err
}

// shardFor is the list that a new certificate names: any, but one that its
// serial number decides.
func (a *Authorities) shardFor(ctx context.Context, x *Authority, serial []byte) (int64, error) {
	p, err := a.policy(ctx, x.ID)
	if err != nil || p.Shards == 0 {
		return 0, err
	}
	return 1 + int64(binary.BigEndian.Uint32(serial[len(serial)-4:]))%p.Shards, nil
}
