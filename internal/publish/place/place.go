// Package place is what all destinations of published objects have in common:
// a [Destination] knows where an object goes, and opens a [Session] that puts
// it there and takes it away again.
//
// Put and Remove are idempotent: an object that is there already, or gone
// already, is a success, because an attempt whose answer was lost is repeated.
// Neither touches what others have put in the same place.
package place

import (
	"context"
	"errors"
	"net"

	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/publish/fact"
)

// A Kind says what is published.
type Kind string

// The kinds of objects.
const (
	Certificate Kind = "certificate" // an end entity's
	Authority   Kind = "ca"          // the certificate of an authority
	CRL         Kind = "crl"
)

// An Object is what goes to a destination.
type Object struct {
	Kind  Kind
	DER   []byte
	Facts fact.Set // of the certificate; for a CRL those of its issuer
}

// A Destination is a directory, a folder or a server, from settings that were
// checked.
type Destination interface {
	// Takes tells whether the settings have a place for objects of the kind.
	Takes(Kind) bool
	// Place says where the object goes, in a form that Put and Remove take.
	// An error is about this object and stays when repeated.
	Place(Object) (string, error)
	// Exclusive tells whether a place holds one object only, so that another
	// one put there takes the place of the first.
	Exclusive(Kind) bool
	// Open connects. Errors are Unreachable.
	Open(context.Context, Link) (Session, error)
}

// A Link is what a destination needs to reach its server.
type Link struct {
	Dialer   *net.Dialer // the only way out
	Password secret.Text
	Key      secret.Text // a private key, in PEM
	Ledger   Ledger      // for directories
}

// A Session is an open connection. It is used by one goroutine; when the
// context of Open or of a call ends, it is closed. Errors are Unreachable, or
// about the one object and its place.
type Session interface {
	// Put stores the object and makes sure that it is there; changed is false
	// when it was there before.
	Put(ctx context.Context, at string, o Object) (changed bool, err error)
	// Remove takes the object away; changed is false when it was gone before.
	Remove(ctx context.Context, at string, o Object) (changed bool, err error)
	// Probe tries what Put needs without leaving anything behind.
	Probe(ctx context.Context) error
	Close()
}

// A Ledger remembers which directory entries were made for a certificate, and
// with which attributes. It survives a restart.
type Ledger interface {
	Made(ctx context.Context, entry string) (attributes map[string][]string, ok bool, err error)
	// Note is durable when it returns, before the entry is made.
	Note(ctx context.Context, entry string, attributes map[string][]string) error
	Forget(ctx context.Context, entry string) error
}

type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// Unreachable marks an error that concerns the destination as a whole, so that
// other objects need not be tried for now. Unreachable(nil) is nil.
func Unreachable(err error) error {
	if err == nil {
		return nil
	}
	return unreachable{err}
}

// IsUnreachable tells whether err was marked by [Unreachable].
func IsUnreachable(err error) bool {
	var u unreachable
	return errors.As(err, &u)
}
