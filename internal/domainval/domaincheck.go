package domainval

import (
	"context"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

const (
	checkEvery = time.Hour        // A191
	checkPause = 10 * time.Second // between two looks that people ask for
	checkTime  = 3 * time.Minute  // for one look by all methods
)

// domainMethods are those that cover sub-domains and need nobody's help.
var domainMethods = []Method{DNSTXT, PersistTXT}

// Validate looks at once whether a domain's random value is published (A185,
// A190). The domain comes back whatever was found: its state and result say it.
func (d *Desk) Validate(ctx context.Context, s access.Scope, id string) (Domain, error) {
	x, err := d.domain(d.db.View(ctx), s, access.DomainValidate, id)
	if err != nil {
		return x, err
	}
	now := d.clock.Now()
	if wait := x.Checked.Add(checkPause).Sub(now); wait > 0 && !x.Checked.IsZero() {
		return x, fault.TooManyf(wait, "domain.pause", "%s was looked at a moment ago.", x.Unicode).WithNext("Wait a few seconds; changes in the DNS take longer than that.")
	}
	if !x.tokenLives(now) && d.set.AccountURI == nil {
		return x, fault.Conflictf("domain.no_token", "%s has no random value that could be looked for.", x.Unicode).WithNext("Generate a new validation token and publish it.")
	}
	return d.checkDomain(ctx, x)
}

// checkDomain looks and writes down what was found.
func (d *Desk) checkDomain(ctx context.Context, x Domain) (Domain, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	now := d.clock.Now()
	n, err := ParseName(x.Name)
	if err != nil {
		return x, err
	}
	t := target{name: n, realm: x.Realm, client: x.Client, methods: domainMethods, public: !x.Private, wide: true}
	if d.set.AccountURI == nil {
		t.methods = []Method{DNSTXT}
	}
	if x.tokenLives(now) {
		t.token = x.Token
	}
	a := d.attempt(ctx, t)
	err = d.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return d.recordDomain(tx, x, t, a, now) })
	if err != nil {
		return x, err
	}
	return d.scanDomain(d.db.View(context.WithoutCancel(ctx)).QueryRow(`SELECT `+domainColumns+` FROM domainval_domains WHERE id = $1`, x.ID))
}

// recordDomain writes the outcome unless the domain has changed meanwhile: a
// token that was replaced while we looked shows nothing.
func (d *Desk) recordDomain(tx *store.Tx, x Domain, t target, a attempt, now time.Time) error {
	if !a.shown {
		d.log.Info("domain control not shown", "domain", x.Name, "id", x.ID, "text", a.text)
		changed, err := tx.Exec(`UPDATE domainval_domains SET result = $1, checked_at = $2 WHERE id = $3 AND token = $4`, a.text, store.Micros(now), x.ID, x.Token)
		if err != nil || changed == 0 || !worthKeeping(a, x.Result) {
			return err
		}
		_, err = d.keep(tx, a.evidence(t, x.ID, "", now), t.name)
		return err
	}
	e, err := d.keep(tx, a.evidence(t, x.ID, "", now), t.name)
	if err != nil {
		return err
	}
	used, next := store.Micros(x.TokenUsed), int64(0)
	if a.method == DNSTXT {
		used = store.Micros(now) // single use
	}
	if a.method == PersistTXT {
		next = store.Micros(now.Add(Reuse(PersistTXT, ForServer, now) / 2)) // the record stays: look again in good time
	}
	changed, err := tx.Exec(`UPDATE domainval_domains SET evidence = $1, method = $2, public = $3, validated_at = $4, token_used_at = $5, result = $6, checked_at = $4, next_check_at = $7
		WHERE id = $8 AND token = $9`, e.ID, string(a.method), e.Public, store.Micros(now), used, a.text, next, x.ID, x.Token)
	if err != nil {
		return err
	}
	if changed == 0 {
		return fault.Conflictf("domain.changed", "The random value of %s was replaced while we looked.", x.Unicode).WithNext("Publish the new value and validate again.")
	}
	if err := d.noteDomain(tx, x, "domain.validate", audit.OK, map[string]string{"method": string(a.method), "evidence": e.ID, "section": e.Section}); err != nil {
		return err
	}
	return d.settle(tx, e)
}

// worthKeeping tells whether a refusal is evidence: what several perspectives
// were asked always is (TLS BR 5.4.1), the same old answer of the hourly look
// is not.
func worthKeeping(a attempt, before string) bool {
	return a.detail.Corroboration != nil || a.text != before
}
