// Package timestamp runs time-stamping units (RFC 3161; requirements A34, A36):
// their keys and certificates, serial numbers, the watch over the clock, and the
// stamps themselves.
//
// An administrator makes a unit with [Units.Create]; from then on [Units.Stamp]
// answers requests to it. A stamp costs a signature and some microseconds, and
// nothing is written to the database for it.
//
// # Serial numbers
//
// No two tokens of an installation have the same serial number, whatever unit and
// node made them. A node reserves a block of numbers in one transaction and
// counts through it in memory. When it ends or crashes, the rest of its block is
// skipped. The counter never lags behind the clock (256 numbers to the
// microsecond), so that a database restored from an older copy does not give out
// numbers for a second time.
//
// # Time
//
// A stamp is refused with timeNotAvailable while the clock is behind a time that
// was seen before, or may be off by more than the unit's accuracy leaves room
// for: the resolution of its times is taken off first, because they are cut off,
// not rounded. How far the clock may be off is told by [Options.Offset]; the rule
// of the trade (EN 319 421) is to compare with UTC at least daily.
//
// # Ordering
//
// RFC 3161 lets a unit promise that its tokens can be ordered by their time alone.
// Such a unit gives each token a later time than the one before, and one node at
// a time stamps for it: the node holds a lease on the times up to a moment, and
// another one takes over with later times once that moment is surely past.
//
// # Usage
//
// Stamps and refusals are counted in memory, per realm and day, and written by
// [Units.Sweep]; a crash loses what was counted since.
package timestamp

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// An Issuer issues the certificate of a unit.
type Issuer interface {
	// Issue returns a certificate for the public key (a SubjectPublicKeyInfo), in
	// DER, and the certificates above it without the root. Its extended key usage
	// must be critical and timeStamping alone, its key usage digitalSignature.
	Issue(ctx context.Context, spki []byte, p Profile) (certificate []byte, chain [][]byte, err error)
}

// A Profile says whose certificate is to be issued.
type Profile struct {
	Realm, Unit        string
	Name, Org, Country string // subject: common name, organisation, two letters or empty
	Years              int    // life of the certificate
}

// Options are what [New] needs.
type Options struct {
	DB     *store.DB
	Vault  *keys.Vault
	Audit  *audit.Log
	Clock  clock.Clock
	Guard  *clock.Guard
	Issuer Issuer
	// Offset tells how far the clock may be from UTC, and whether that is known at
	// all; see [KernelOffset]. Nil trusts the clock as long as the guard does.
	Offset func() (offset time.Duration, known bool)
}

// Units is the domain. Its methods may be called from any goroutine.
type Units struct {
	Options
	node    string // names this process among the nodes
	serials serials
	usage   usage
	latest  atomic.Int64 // the latest time of a stamp, in microseconds

	mu    sync.RWMutex
	cache map[string]*open
}

// New opens the domain.
func New(o Options) *Units {
	if o.Offset == nil {
		o.Offset = func() (time.Duration, bool) { return 0, true }
	}
	return &Units{Options: o, node: ident.New("node"), cache: map[string]*open{}}
}

// Sweep writes the usage counted since the last time. Run it every ten seconds
// or so, and at the end.
func (u *Units) Sweep(ctx context.Context) error {
	return fault.Wrap(u.flush(ctx), "write the usage of time-stamps")
}

// Close ends this node's part: the usage is written, and ordered units are free
// for another node at once. Call it when no more requests come in.
func (u *Units) Close(ctx context.Context) error {
	if err := u.release(ctx); err != nil {
		return err
	}
	return u.Sweep(ctx)
}
