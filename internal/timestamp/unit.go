package timestamp

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/tsp"
)

// States of a unit.
const (
	Pending = "pending" // has no certificate yet, or its creation was cut short
	Active  = "active"
	Retired = "retired" // never stamps again; its key is destroyed
)

// A Unit is a time-stamping unit as it stands in the store.
type Unit struct {
	ID         string // short and speaking, such as "production-tsu-1"; part of its URL
	Realm      string
	Name       string   // common name
	Policies   []string // dotted; the first is used when a request names none
	Accuracy   time.Duration
	Resolution time.Duration
	Ordering   bool
	Qualified  bool
	Algorithm  keys.Algorithm
	KeyRef     string
	DER        []byte   // certificate; empty while pending
	Chain      [][]byte // certificates above it
	Status     string
	Created    time.Time
	Retired    time.Time // zero while it is not

	Certificate *x509.Certificate // parsed DER; nil while pending
}

const columns = `id, realm, name, policies, accuracy_us, resolution_us, ordering, qualified, algorithm, key_ref, der, chain, status, created_at, retired_at`

func scan(rows interface{ Scan(...any) error }) (Unit, error) {
	var x Unit
	var policies string
	var accuracy, resolution, created, retired int64
	var chain []byte
	err := rows.Scan(&x.ID, &x.Realm, &x.Name, &policies, &accuracy, &resolution, &x.Ordering, &x.Qualified, &x.Algorithm, &x.KeyRef,
		&x.DER, &chain, &x.Status, &created, &retired)
	if err != nil {
		return x, err
	}
	x.Policies = strings.Fields(policies)
	x.Accuracy, x.Resolution = time.Duration(accuracy)*time.Microsecond, time.Duration(resolution)*time.Microsecond
	x.Created, x.Retired = store.Time(created), store.Time(retired)
	if len(x.DER) == 0 {
		return x, nil
	}
	if x.Certificate, err = x509.ParseCertificate(x.DER); err != nil {
		return x, fault.Wrap(err, "certificate of unit "+x.ID)
	}
	above, err := x509.ParseCertificates(chain)
	for _, c := range above {
		x.Chain = append(x.Chain, c.Raw)
	}
	return x, fault.Wrap(err, "chain of unit "+x.ID)
}

// List returns the units that the caller may see, by realm and age. There are
// never many.
func (u *Units) List(ctx context.Context, s access.Scope) ([]Unit, error) {
	cond, args := s.Filter(access.AuthorityRead, "realm", "", nil)
	rows, err := u.DB.View(ctx).Query(`SELECT `+columns+` FROM timestamp_units WHERE `+cond+` ORDER BY realm, created_at, id`, args...)
	return store.Collect(rows, err, func(r *store.Rows) (Unit, error) { return scan(r) })
}

// Get returns a unit that the caller may see.
func (u *Units) Get(ctx context.Context, s access.Scope, id string) (Unit, error) {
	x, err := u.read(ctx, id)
	if err != nil {
		return x, err
	}
	if err := s.Require(access.AuthorityRead, access.Realm(x.Realm), ""); err != nil {
		return Unit{}, err
	}
	return x, nil
}

func (u *Units) read(ctx context.Context, id string) (Unit, error) {
	x, err := scan(u.DB.View(ctx).QueryRow(`SELECT `+columns+` FROM timestamp_units WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return x, access.NotFound()
	}
	return x, err
}

// An open unit is ready to stamp.
type open struct {
	Unit
	until   time.Time // when the row is read again
	stamper *tsp.Stamper
	order   *order
}

// order is the state of an ordered unit in this node; see ordering.go. It lives
// as long as the process, whatever becomes of the row.
type order struct {
	mu   sync.Mutex
	last time.Time // of the latest token
	held time.Time // tokens must be earlier; zero when another node stamps
}

// cacheLife bounds how long a node goes on with a unit that another has retired.
const cacheLife = time.Second

func (u *Units) open(ctx context.Context, id string) (*open, error) {
	now := u.Clock.Now()
	u.mu.RLock()
	known := u.cache[id]
	u.mu.RUnlock()
	if known != nil && now.Before(known.until) && known.until.Sub(now) <= cacheLife {
		return known, nil
	}
	x, err := u.read(ctx, id)
	if err != nil {
		return nil, err
	}
	fresh := &open{Unit: x, until: now.Add(cacheLife), order: &order{}}
	if known != nil {
		fresh.order = known.order
	}
	switch {
	case x.Status != Active:
	case known != nil && known.stamper != nil && slices.Equal(known.DER, x.DER):
		fresh.stamper = known.stamper
	default:
		if fresh.stamper, err = u.stamper(ctx, &x); err != nil {
			return nil, err
		}
	}
	return u.keep(id, fresh), nil
}

// keep puts a unit into the cache. The state of its order stays one and the same
// even if two callers open it at once.
func (u *Units) keep(id string, fresh *open) *open {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.cache[id]; known != nil {
		fresh.order = known.order
	}
	u.cache[id] = fresh
	return fresh
}

// stamper prepares what all stamps of a unit share.
func (u *Units) stamper(ctx context.Context, x *Unit) (*tsp.Stamper, error) {
	signer, err := u.Vault.Signer(ctx, x.KeyRef)
	if err != nil {
		return nil, err
	}
	unit := tsp.Unit{
		Key: signer, Certificate: x.Certificate, Chain: x.Chain,
		Accuracy: x.Accuracy, Resolution: x.Resolution, Ordering: x.Ordering, Qualified: x.Qualified,
	}
	for _, p := range x.Policies {
		id, err := parseOID(p)
		if err != nil {
			return nil, err
		}
		unit.Policies = append(unit.Policies, id)
	}
	s, err := tsp.NewStamper(unit)
	return s, fault.Wrap(err, "prepare unit "+x.ID)
}

func parseOID(text string) (asn1.ObjectIdentifier, error) {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || part != strconv.FormatUint(n, 10) {
			return nil, badOID(text)
		}
		id = append(id, int(n))
	}
	if len(id) < 3 || len(id) > 32 || id[0] > 2 || id[0] < 2 && id[1] > 39 {
		return nil, badOID(text)
	}
	return id, nil
}

func badOID(text string) error {
	return fault.Invalidf("timestamp.policy", "%q is not an object identifier.", text).
		WithNext("Write it as numbers with dots, such as 0.4.0.2023.1.1.").WithField("policies")
}
