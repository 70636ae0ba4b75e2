package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sealwright/sealwright/internal/access/password"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// VerifyServicePassword checks what an old client sends with each call and
// returns the service and a scope of document.read and document.write on that
// service alone. An unknown or closed service and a wrong password are the same
// Unauthenticated fault after the same work. Wrong passwords from one address
// for one service make that pair wait; nobody can lock a service out for others.
//
// The row is read on every call, so a changed password or a closed service
// counts at once. The slow hash is spared for a minute after it agreed: the
// memory of that is keyed by the stored hash.
func (d *Directory) VerifyServicePassword(ctx context.Context, realm Realm, name string, p secret.Text, o Origin) (Service, Scope, error) {
	v, hash, err := d.serviceHash(ctx, realm, name)
	if err != nil {
		return Service{}, Scope{}, err
	}
	mac := d.verified.mac(v.ID, hash, p)
	if hash != "" && d.verified.has(mac, d.Clock.Now()) {
		return v, serviceScope(v), nil
	}
	// Calls that come at once with the same password are one try: counted each,
	// a client's first burst would lock itself out.
	_, err, _ = d.verifying.Do(string(mac[:])+o.Address, func() (any, error) {
		return nil, d.verifySlowly(context.WithoutCancel(ctx), v, realm, name, hash, mac, p, o)
	})
	if err != nil {
		return Service{}, Scope{}, err
	}
	return v, serviceScope(v), nil
}

// verifySlowly makes one counted try with the slow hash.
func (d *Directory) verifySlowly(ctx context.Context, v Service, realm Realm, name, hash string, mac [32]byte, p secret.Text, o Origin) error {
	if hash != "" && d.verified.has(mac, d.Clock.Now()) {
		return nil // another flight has just landed
	}
	ts := []throttle{
		d.accountThrottle("service", string(realm)+"/"+name+" "+o.Address),
		d.addressThrottle("service", o.Address),
	}
	if err := d.admit(ctx, ts...); err != nil {
		return err
	}
	ok, err := d.Hasher.Verify(ctx, hash, p)
	if err != nil {
		return err
	}
	if err := d.settle(ctx, v, ok, ts); err != nil {
		return err
	}
	d.verified.add(mac, d.Clock.Now())
	return nil
}

// ServiceScope is what VerifyServicePassword gives for a service that is known
// by other means, such as its client certificate (N9). It is Unauthenticated
// when the service does not exist or is closed.
func (d *Directory) ServiceScope(ctx context.Context, id string) (Service, Scope, error) {
	v, err := scanService(d.view(ctx).QueryRow(`SELECT `+serviceColumns+` FROM access_services WHERE id = $1`, id))
	if err = found(err); err != nil && fault.Of(err).Kind != fault.NotFound {
		return Service{}, Scope{}, err
	}
	if err != nil || v.Status != Active {
		return Service{}, Scope{}, fault.Unauthenticatedf("service.closed", "The service does not exist or is closed.")
	}
	return v, serviceScope(v), nil
}

func serviceScope(v Service) Scope { return ForService(v, DocumentRead, DocumentWrite) }

// serviceHash reads an active service with its password hash. For one that is
// unknown or closed the hash is empty, which no password matches.
func (d *Directory) serviceHash(ctx context.Context, realm Realm, name string) (v Service, hash string, err error) {
	var id, client, profile string
	var created int64
	err = d.view(ctx).QueryRow(`SELECT id, client_id, profile, password_hash, created_at FROM access_services WHERE realm = $1 AND name = $2 AND status = 'active'`,
		string(realm), fold(name)).Scan(&id, &client, &profile, &hash, &created)
	if err = found(err); fault.Of(err).Kind == fault.NotFound {
		return Service{Realm: realm}, "", nil
	}
	v = Service{
		ID: id, Realm: realm, Client: client, Name: fold(name), Profile: profile, Status: Active,
		HasPassword: hash != "", Created: store.Time(created),
	}
	return v, hash, err
}

// settle closes a try: a right one is taken off the counts, a wrong one is
// recorded. Both cost one transaction.
func (d *Directory) settle(ctx context.Context, v Service, ok bool, ts []throttle) error {
	err := d.DB.Update(ctx, func(tx *store.Tx) error {
		if ok {
			if err := ts[0].forgive(tx); err != nil {
				return err
			}
			return ts[1].refund(tx)
		}
		return d.Audit.Append(tx, audit.Entry{
			Action: "service.login", ObjectKind: "service", ObjectID: v.ID,
			Realm: string(v.Realm), Client: v.Client, Service: v.ID, Result: audit.Refused,
		})
	})
	if err != nil || ok {
		return err
	}
	return fault.Unauthenticatedf("service.login", "The service name or the password is wrong.").
		WithNext("Check both, and that they belong to this environment.")
}

// checkPassword is the policy for every password.
func checkPassword(p secret.Text, known ...string) error { return password.Check(p, known...) }

// passwordCache remembers which passwords agreed with which stored hashes, as
// keyed hashes under a key that never leaves the process.
type passwordCache struct {
	key  [32]byte
	mu   sync.Mutex
	seen map[[32]byte]time.Time
}

const (
	verifiedLife = time.Minute
	maxVerified  = 10_000
)

// mac binds service, stored hash and password. The lengths of the first two
// keep the parts apart.
func (c *passwordCache) mac(service, hash string, p secret.Text) (sum [32]byte) {
	h := hmac.New(sha256.New, c.key[:])
	h.Write([]byte{byte(len(service)), byte(len(hash) >> 8), byte(len(hash))})
	h.Write([]byte(service + hash + p.Reveal()))
	h.Sum(sum[:0])
	return sum
}

func (c *passwordCache) has(mac [32]byte, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.seen[mac]
	return ok && now.Sub(at) < verifiedLife && !now.Before(at)
}

func (c *passwordCache) add(mac [32]byte, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= maxVerified {
		for m, at := range c.seen {
			if now.Sub(at) >= verifiedLife {
				delete(c.seen, m)
			}
		}
	}
	if c.seen == nil || len(c.seen) >= maxVerified {
		c.seen = map[[32]byte]time.Time{}
	}
	c.seen[mac] = now
}
