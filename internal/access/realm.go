package access

import "github.com/sealwright/sealwright/internal/platform/fault"

// A Realm is an environment with authorities, hosts and data of its own. The
// set is fixed.
type Realm string

// The realms.
const (
	Preprod    Realm = "preprod"    // for integrators: no client certificates needed, test users
	Production Realm = "production" // the real thing: mutual TLS on every web service
)

// Realms lists both, the one for testing first.
func Realms() []Realm { return []Realm{Preprod, Production} }

// Valid tells whether r is one of the realms.
func (r Realm) Valid() bool { return r == Preprod || r == Production }

// ParseRealm reads a realm's name.
func ParseRealm(name string) (Realm, error) {
	if r := Realm(name); r.Valid() {
		return r, nil
	}
	return "", fault.Invalidf("realm.unknown", "There is no environment %q.", name).
		WithNext("Use %s or %s.", Preprod, Production).WithField("realm")
}
