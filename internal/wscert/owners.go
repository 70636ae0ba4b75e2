package wscert

import (
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// ownerLife is how long a service that was closed may still be ordered for. What
// is withdrawn or disabled for safety's sake is never cached: certificates,
// tokens, rights and authorised persons are read each time.
const ownerLife = time.Second

// maxOwners bounds the cache; beyond it services are read each time.
const maxOwners = 10_000

// owners remembers services with their clients for a moment: orders come in
// bursts for few of them.
type owners struct {
	mu sync.Mutex
	m  map[ownerKey]owner
}

type ownerKey struct {
	realm access.Realm
	name  string
}

type owner struct {
	service access.Service
	client  access.Client
	until   time.Time
}

// find reads a service and its client. The caller checks its own right to order
// for them.
func (o *owners) find(q store.Queryer, realm access.Realm, name string, now time.Time) (access.Service, access.Client, error) {
	key := ownerKey{realm, name}
	o.mu.Lock()
	x, ok := o.m[key]
	o.mu.Unlock()
	if ok && now.Before(x.until) {
		return x.service, x.client, nil
	}
	service, client, err := access.FindServiceAndClient(q, access.System("order"), realm, name)
	if err != nil {
		return service, client, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.m == nil || len(o.m) >= maxOwners {
		o.m = map[ownerKey]owner{}
	}
	o.m[key] = owner{service, client, now.Add(ownerLife)}
	return service, client, nil
}
