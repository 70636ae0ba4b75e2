package caller

import (
	"time"

	"github.com/sealwright/sealwright/internal/platform/ratelimit"
)

// The limits. A credential that is refused again and again stops counting
// against its address, so that one forgotten program with a dead token does
// not shut out the others behind the same address; many different wrong
// credentials are guesses and do.
const (
	credentialBurst = 10
	credentialEvery = 6 * time.Second
	addressBurst    = 100
	addressEvery    = time.Second
)

// limits counts failed calls.
type limits struct{ credentials, addresses *ratelimit.Counter }

func newLimits() *limits {
	return &limits{ratelimit.New(credentialEvery, credentialBurst), ratelimit.New(addressEvery, addressBurst)}
}

// An attempt is one call before it is known whether it is refused.
type attempt struct {
	*limits
	credential, address string
	now                 time.Time
}

func (l *limits) attempt(credential, address string, now time.Time) attempt {
	return attempt{l, credential, ratelimit.Subscriber(address), now}
}

// wait is how long the credential or the address must pause; zero lets the
// call go on.
func (a attempt) wait() time.Duration {
	return max(a.credentials.Wait(a.credential, a.now), a.addresses.Wait(a.address, a.now))
}

// failed counts the attempt against credential and address.
func (a attempt) failed() {
	a.credentials.Failed(a.credential, a.now)
	a.addresses.Failed(a.address, a.now)
}
