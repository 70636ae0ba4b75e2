package domainval

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A DomainStatus is the state of a client's domain, in the words of the RA
// interface.
type DomainStatus string

// The states of a client's domain.
const (
	DomainPending      DomainStatus = "PENDING"       // a random value waits to be published
	DomainValid        DomainStatus = "VALID"         // it covers orders
	DomainExpired      DomainStatus = "EXPIRED"       // it was valid and is no more
	DomainNotValidated DomainStatus = "NOT_VALIDATED" // it never was valid and has no live random value
)

// A Domain is a base domain that a client validates ahead of orders (A182).
type Domain struct {
	ID      string // cld-…
	Realm   access.Realm
	Client  string
	Name    string // A-labels
	Unicode string
	Private bool // not a name for public trust
	Trusted bool // valid on an administrator's word, for private trust only

	Token        string // random value; empty when it was deleted
	Value        string // what to publish: prefix and token
	TokenCreated time.Time
	TokenExpires time.Time
	TokenUsed    time.Time // when it showed control; it shows it once

	Method     Method    // by which control was shown last
	Validated  time.Time // when; zero if never
	ValidUntil time.Time // how long that serves for server certificates
	Evidence   string

	Result    string // of the last look, for people
	Checked   time.Time
	NextCheck time.Time // zero when no look is planned
	CreatedBy string
	Created   time.Time

	public bool // how the evidence was got
}

// Status is the domain's state at a time.
func (x Domain) Status(now time.Time) DomainStatus {
	switch {
	case x.Trusted, now.Before(x.ValidUntil):
		return DomainValid
	case x.tokenLives(now):
		return DomainPending
	case !x.Validated.IsZero():
		return DomainExpired
	}
	return DomainNotValidated
}

func (x Domain) tokenLives(now time.Time) bool {
	return x.Token != "" && x.TokenUsed.IsZero() && now.Before(x.TokenExpires)
}

// Limits of the list of one request.
const maxAdd = 100

// Add registers domains of a client and gives each a random value (A51, A183,
// A184). One that is there already is returned as it is. With private, names
// that no publicly trusted certificate may hold are taken too. Either all names
// are registered or none.
func (d *Desk) Add(ctx context.Context, s access.Scope, realm access.Realm, client string, names []string, private bool) ([]Domain, error) {
	if err := s.Require(access.DomainValidate, realm, client); err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) > maxAdd {
		return nil, fault.Invalidf("domain.count", "Give 1 to %d domains at a time; these are %d.", maxAdd, len(names)).WithField("domain")
	}
	parsed := make([]Name, len(names))
	for i, text := range names {
		n, err := parseBase(text, private)
		if err != nil {
			return nil, err
		}
		parsed[i] = n
	}
	var out []Domain
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		out = nil
		for _, n := range parsed {
			x, err := d.add(tx, s, realm, client, n)
			if err != nil {
				return err
			}
			out = append(out, x)
		}
		return nil
	})
	return out, err
}

func parseBase(text string, private bool) (Name, error) {
	n, err := ParseName(text)
	switch {
	case err != nil:
		return n, err
	case n.IP.IsValid():
		return n, fault.Invalidf("domain.address", "%s is an IP address; only domains are validated ahead of orders.", n).WithField("domain")
	case n.Wildcard:
		return n, fault.Invalidf("domain.wildcard", "%s is a wildcard.", n).WithNext("Register %s: it covers all names below it, wildcards too.", n.ASCII).WithField("domain")
	case private:
		return n, nil
	}
	return n, n.CheckPublic()
}

func (d *Desk) add(tx *store.Tx, s access.Scope, realm access.Realm, client string, n Name) (Domain, error) {
	now := d.clock.Now()
	x := Domain{
		ID: ident.New("cld"), Realm: realm, Client: client, Name: n.ASCII, Unicode: n.Unicode(), Private: n.CheckPublic() != nil,
		Token: newToken(), TokenCreated: now, TokenExpires: now.Add(TokenLife), NextCheck: now.Add(checkEvery), CreatedBy: s.Principal().ID, Created: now,
	}
	added, err := tx.Exec(`INSERT INTO domainval_domains (id, realm, client, domain, unicode, private, trusted, token, token_created, token_expires, token_used_at,
			evidence, method, public, validated_at, result, checked_at, next_check_at, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $8, $9, 0, '', '', FALSE, 0, '', 0, $10, $11, $8) ON CONFLICT DO NOTHING`,
		x.ID, string(realm), client, x.Name, x.Unicode, x.Private, x.Token, store.Micros(now), store.Micros(x.TokenExpires), store.Micros(x.NextCheck), x.CreatedBy)
	if err != nil {
		return x, err
	}
	if added == 0 {
		return d.scanDomain(tx.QueryRow(`SELECT `+domainColumns+` FROM domainval_domains WHERE realm = $1 AND client = $2 AND domain = $3`, string(realm), client, n.ASCII))
	}
	x.Value = d.value(x.Token)
	return x, d.noteDomain(tx, x, "domain.add", audit.OK, nil)
}

const domainColumns = `id, realm, client, domain, unicode, private, trusted, token, token_created, token_expires, token_used_at, evidence, method, public, validated_at, result, checked_at, next_check_at, created_by, created_at`

func (d *Desk) scanDomain(r interface{ Scan(...any) error }) (Domain, error) {
	var x Domain
	var made, ends, used, validated, checked, next, created int64
	err := r.Scan(&x.ID, &x.Realm, &x.Client, &x.Name, &x.Unicode, &x.Private, &x.Trusted, &x.Token, &made, &ends, &used,
		&x.Evidence, &x.Method, &x.public, &validated, &x.Result, &checked, &next, &x.CreatedBy, &created)
	x.TokenCreated, x.TokenExpires, x.TokenUsed = store.Time(made), store.Time(ends), store.Time(used)
	x.Validated, x.Checked, x.NextCheck, x.Created = store.Time(validated), store.Time(checked), store.Time(next), store.Time(created)
	if x.Token != "" {
		x.Value = d.value(x.Token)
	}
	if !x.Validated.IsZero() {
		x.ValidUntil = ValidUntil(x.Method, ForServer, x.public, x.Validated)
	}
	return x, err
}

// Get gives one domain.
func (d *Desk) Get(ctx context.Context, s access.Scope, id string) (Domain, error) {
	return d.domain(d.db.View(ctx), s, access.DomainRead, id)
}

func (d *Desk) domain(q store.Queryer, s access.Scope, p access.Permission, id string) (Domain, error) {
	x, err := d.scanDomain(q.QueryRow(`SELECT `+domainColumns+` FROM domainval_domains WHERE id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return x, access.NotFound()
	}
	if err != nil {
		return x, err
	}
	return x, s.Require(p, x.Realm, x.Client)
}

// change runs fn on a domain that the caller may change, in a transaction.
func (d *Desk) change(ctx context.Context, s access.Scope, p access.Permission, id string, fn func(tx *store.Tx, x *Domain) error) (Domain, error) {
	var x Domain
	err := d.db.Update(ctx, func(tx *store.Tx) error {
		var err error
		if x, err = d.domain(tx, s, p, id); err != nil {
			return err
		}
		return fn(tx, &x)
	})
	return x, err
}

// NewToken replaces a domain's random value (A186). A validation that holds is
// not touched: the new value is for the next one.
func (d *Desk) NewToken(ctx context.Context, s access.Scope, id string) (Domain, error) {
	return d.change(ctx, s, access.DomainValidate, id, func(tx *store.Tx, x *Domain) error {
		now := d.clock.Now()
		x.Token, x.TokenCreated, x.TokenExpires, x.TokenUsed, x.NextCheck = newToken(), now, now.Add(TokenLife), time.Time{}, now.Add(checkEvery)
		x.Value, x.Result = d.value(x.Token), ""
		_, err := tx.Exec(`UPDATE domainval_domains SET token = $1, token_created = $2, token_expires = $3, token_used_at = 0, next_check_at = $4, result = '' WHERE id = $5`,
			x.Token, store.Micros(now), store.Micros(x.TokenExpires), store.Micros(x.NextCheck), x.ID)
		if err != nil {
			return err
		}
		return d.noteDomain(tx, *x, "domain.token", audit.OK, nil)
	})
}

// DeleteToken takes a domain's random value away, so that no look can find it.
func (d *Desk) DeleteToken(ctx context.Context, s access.Scope, id string) (Domain, error) {
	return d.change(ctx, s, access.DomainValidate, id, func(tx *store.Tx, x *Domain) error {
		x.Token, x.Value, x.NextCheck = "", "", time.Time{}
		if _, err := tx.Exec(`UPDATE domainval_domains SET token = '', next_check_at = 0 WHERE id = $1`, x.ID); err != nil {
			return err
		}
		return d.noteDomain(tx, *x, "domain.token_delete", audit.OK, nil)
	})
}

// Delete removes a domain. What was shown for it no longer serves new orders.
func (d *Desk) Delete(ctx context.Context, s access.Scope, id string) error {
	_, err := d.change(ctx, s, access.DomainValidate, id, func(tx *store.Tx, x *Domain) error {
		if err := d.withdraw(tx, x.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM domainval_domains WHERE id = $1`, x.ID); err != nil {
			return err
		}
		return d.noteDomain(tx, *x, "domain.delete", audit.OK, nil)
	})
	return err
}

// Trust makes a domain valid on an administrator's word, or ends that. It
// serves certificates that are not publicly trusted only, and needs the
// permission to change the client itself (client.write).
func (d *Desk) Trust(ctx context.Context, s access.Scope, id string, trusted bool) (Domain, error) {
	return d.change(ctx, s, access.ClientWrite, id, func(tx *store.Tx, x *Domain) error {
		if x.Trusted == trusted {
			return nil
		}
		x.Trusted = trusted
		if _, err := tx.Exec(`UPDATE domainval_domains SET trusted = $1 WHERE id = $2`, trusted, x.ID); err != nil {
			return err
		}
		if !trusted {
			if _, err := tx.Exec(`UPDATE domainval_evidence SET withdrawn_at = $1 WHERE source = $2 AND method = $3 AND withdrawn_at = 0`, store.Micros(d.clock.Now()), x.ID, string(Trusted)); err != nil {
				return err
			}
			return d.noteDomain(tx, *x, "domain.distrust", audit.OK, nil)
		}
		e, err := d.keep(tx, Evidence{
			Realm: x.Realm, Client: x.Client, Source: x.ID, Name: x.Name, Method: Trusted, Subtree: true, Shown: true, Obtained: d.clock.Now(),
			Detail: Detail{Text: "Trusted on the word of " + s.Principal().Name + "."},
		}, Name{ASCII: x.Name})
		if err != nil {
			return err
		}
		if err := d.settle(tx, e); err != nil {
			return err
		}
		return d.noteDomain(tx, *x, "domain.trust", audit.OK, nil)
	})
}

func (d *Desk) noteDomain(tx *store.Tx, x Domain, action string, result audit.Result, detail map[string]string) error {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["domain"] = x.Name
	return d.audit.Append(tx, audit.Entry{Action: action, ObjectKind: "domain", ObjectID: x.ID, Realm: string(x.Realm), Client: x.Client, Result: result, Detail: detail})
}
