package access

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/sync/singleflight"

	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Sealer encrypts small secrets for the database. The purpose binds a sealed
// value to its place: what was sealed for one opens for no other.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// A Recorder appends to the audit log within the transaction.
type Recorder interface {
	Append(tx *store.Tx, e audit.Entry) error
}

// An Inviter sends an invitation; the outbox does it within the transaction.
type Inviter interface {
	Invite(tx *store.Tx, i Invitation) error
}

// Options are what a [Directory] stands on and the limits that an installation
// may set. A zero limit takes the default that is named beside it.
type Options struct {
	DB      *store.DB
	Clock   clock.Clock
	Audit   Recorder
	Sealer  Sealer
	Hasher  *password.Hasher
	Inviter Inviter // may be nil: the caller hands the link over

	Host    string   // relying party id of passkeys: the host name of the pages
	Origins []string // where the pages live, such as https://ra.example.com

	IdleTimeout     time.Duration // 30 minutes
	SessionTimeout  time.Duration // 12 hours
	InvitationLife  time.Duration // 72 hours
	WithoutSecond   bool          // lets operators sign in with a password alone: development only
	AccountFailures int64         // 5: wrong tries per account before it waits
	AddressFailures int64         // 20: wrong tries per address, which many people may share
}

// A Directory is the access domain. Its methods may be called from any
// goroutine.
type Directory struct {
	Options
	passkeys  *webauthn.WebAuthn
	used      usage
	rights    rightsCache
	tokens    tokenCache
	verified  passwordCache
	verifying singleflight.Group
}

// New checks the options and returns the directory.
func New(o Options) (*Directory, error) {
	if o.DB == nil || o.Clock == nil || o.Audit == nil || o.Sealer == nil || o.Hasher == nil {
		return nil, errors.New("access: an option is missing")
	}
	setDefault(&o.IdleTimeout, 30*time.Minute)
	setDefault(&o.SessionTimeout, 12*time.Hour)
	setDefault(&o.InvitationLife, 72*time.Hour)
	setDefault(&o.AccountFailures, 5)
	setDefault(&o.AddressFailures, 20)
	w, err := newPasskeys(o.Host, o.Origins)
	if err != nil {
		return nil, err
	}
	d := &Directory{Options: o, passkeys: w}
	rand.Read(d.verified.key[:])
	return d, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// view reads outside any transaction.
func (d *Directory) view(ctx context.Context) store.View { return d.DB.View(ctx) }
