package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/tsp"
)

// A Spec describes a unit to be made.
type Spec struct {
	ID         string // [a-z0-9-], 2 to 40 characters; part of its URL, never changed
	Realm      access.Realm
	Name, Org  string         // common name and organisation
	Country    string         // two letters; empty for none
	Policies   []string       // at least one, dotted
	Accuracy   time.Duration  // zero: one second, what EN 319 422 asks for at least
	Resolution time.Duration  // a second, or a power of ten down to a microsecond; zero: a millisecond
	Ordering   bool           // see the package comment
	Qualified  bool           // stamps claim to be qualified ones (EN 319 422, clause 9.1)
	Key        keys.Algorithm // of a new software key
	HSMLabel   string         // or a key in the hardware token, used for nothing else
	Years      int            // life of the certificate, 1 to 15
}

var validID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,39}$`)

// limits of what a spec may say.
const (
	maxPolicies = 16
	maxAccuracy = time.Minute
	maxYears    = 15
)

func (s *Spec) check() error {
	if s.Accuracy == 0 {
		s.Accuracy = time.Second
	}
	if s.Resolution == 0 {
		s.Resolution = time.Millisecond
	}
	if _, err := access.ParseRealm(string(s.Realm)); err != nil {
		return err
	}
	switch {
	case !validID.MatchString(s.ID):
		return fault.Invalidf("timestamp.id", "The id %q must be 2 to 40 characters of a-z, 0-9 and dash.", s.ID).WithField("id")
	case strings.TrimSpace(s.Name) == "" || strings.TrimSpace(s.Org) == "" || len(s.Name) > 64 || len(s.Org) > 64:
		return fault.Invalidf("timestamp.name", "A unit needs a name and an organisation, each of at most 64 characters.").WithField("name")
	case len(s.Policies) == 0 || len(s.Policies) > maxPolicies:
		return fault.Invalidf("timestamp.policy", "A unit has 1 to %d policies.", maxPolicies).WithField("policies")
	case s.Resolution != time.Second && s.Resolution != time.Millisecond && s.Resolution != time.Microsecond:
		return fault.Invalidf("timestamp.resolution", "The resolution of times is a second, a millisecond or a microsecond.").WithField("resolution")
	case s.Accuracy%time.Microsecond != 0 || s.Accuracy > maxAccuracy || s.Accuracy <= s.Resolution:
		return fault.Invalidf("timestamp.accuracy", "The accuracy must be more than the resolution of %s and at most %s.", s.Resolution, maxAccuracy).
			WithField("accuracy").WithNext("Times are cut off to the resolution; what is left of the accuracy is for the clock.")
	case s.Years < 1 || s.Years > maxYears:
		return fault.Invalidf("timestamp.years", "The certificate of a unit lives 1 to %d years.", maxYears).WithField("years")
	case (s.HSMLabel == "") == (s.Key == ""):
		return fault.Invalidf("timestamp.key", "A unit needs either a new key or one in the hardware token.").WithField("key")
	}
	for _, p := range s.Policies {
		if _, err := parseOID(p); err != nil {
			return err
		}
	}
	return nil
}

// Create makes a unit: its key first, then, through the issuer, its certificate.
// A unit whose certificate is not issued is removed again; if that is cut short
// by a crash, it stays pending and can be retired.
func (u *Units) Create(ctx context.Context, s access.Scope, spec Spec) (Unit, error) {
	if err := spec.check(); err != nil {
		return Unit{}, err
	}
	if err := s.Require(access.AuthorityWrite, spec.Realm, ""); err != nil {
		return Unit{}, err
	}
	x := Unit{
		ID: spec.ID, Realm: string(spec.Realm), Name: spec.Name, Policies: spec.Policies, Accuracy: spec.Accuracy, Resolution: spec.Resolution,
		Ordering: spec.Ordering, Qualified: spec.Qualified, Status: Pending, Created: u.Clock.Now(),
	}
	public, err := u.begin(ctx, spec, &x)
	if err != nil {
		return Unit{}, err
	}
	if err := u.certify(ctx, spec, &x, public); err != nil {
		return Unit{}, errors.Join(err, u.giveUp(ctx, x))
	}
	return x, nil
}

// begin stores the unit with its key. An RSA key takes long to make, so that is
// done before the transaction.
func (u *Units) begin(ctx context.Context, spec Spec, x *Unit) (crypto.PublicKey, error) {
	var made crypto.Signer
	var public crypto.PublicKey
	if spec.HSMLabel != "" {
		key, err := u.Vault.Key(ctx, keys.HSMRef(spec.HSMLabel))
		if err != nil {
			return nil, err
		}
		x.KeyRef, x.Algorithm, public = key.Ref, key.Algorithm, key.Public
	} else {
		var err error
		if made, err = keys.Generate(spec.Key); err != nil {
			return nil, err
		}
		x.Algorithm, public = spec.Key, made.Public()
	}
	return public, u.DB.Update(ctx, func(tx *store.Tx) error {
		if made != nil {
			key, err := u.Vault.Import(tx, made, "time-stamping unit "+x.ID)
			if err != nil {
				return err
			}
			x.KeyRef = key.Ref
		}
		return u.insert(tx, x)
	})
}

func (u *Units) insert(tx *store.Tx, x *Unit) error {
	n, err := tx.Exec(`INSERT INTO timestamp_units (id, realm, name, policies, accuracy_us, resolution_us, ordering, qualified, algorithm, key_ref, der, chain, status, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13) ON CONFLICT DO NOTHING`,
		x.ID, x.Realm, x.Name, strings.Join(x.Policies, " "), x.Accuracy.Microseconds(), x.Resolution.Microseconds(), x.Ordering, x.Qualified,
		string(x.Algorithm), x.KeyRef, []byte{}, x.Status, store.Micros(x.Created))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Conflictf("timestamp.exists", "There is a time-stamping unit %q already.", x.ID).WithNext("Choose another id.").WithField("id")
	}
	return u.note(tx, x, "timestamp.create", audit.OK, map[string]string{
		"name": x.Name, "policies": strings.Join(x.Policies, " "), "accuracy": x.Accuracy.String(), "algorithm": string(x.Algorithm),
	})
}

// certify has the certificate issued, checks it and makes the unit active.
func (u *Units) certify(ctx context.Context, spec Spec, x *Unit, public crypto.PublicKey) error {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	profile := Profile{Realm: x.Realm, Unit: x.ID, Name: spec.Name, Org: spec.Org, Country: spec.Country, Years: spec.Years}
	if x.DER, x.Chain, err = u.Issuer.Issue(ctx, spki, profile); err != nil {
		return err
	}
	if err := u.fits(x, spki); err != nil {
		return err
	}
	if _, err := u.stamper(ctx, x); err != nil {
		return err
	}
	x.Status = Active
	return u.DB.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE timestamp_units SET der = $1, chain = $2, status = 'active' WHERE id = $3 AND status = 'pending' AND key_ref = $4`,
			x.DER, bytes.Join(x.Chain, nil), x.ID, x.KeyRef)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("timestamp.retired", "The time-stamping unit %q was retired while it was made.", x.ID)
		}
		return u.note(tx, x, "timestamp.activate", audit.OK, map[string]string{
			"serial": x.Certificate.SerialNumber.Text(16), "ends": x.Certificate.NotAfter.UTC().Format(time.DateOnly),
		})
	})
}

// fits checks what the issuer returned: RFC 3161, section 2.3, and the key.
func (u *Units) fits(x *Unit, spki []byte) (err error) {
	if x.Certificate, err = x509.ParseCertificate(x.DER); err != nil {
		return fault.Wrap(err, "certificate for unit "+x.ID)
	}
	if err := tsp.CheckUnit(x.Certificate); err != nil {
		return fault.Conflictf("timestamp.certificate", "The certificate for %q is not one for a time-stamping unit.", x.ID).WithCause(err).
			WithNext("Have it issued with the critical extended key usage timeStamping, alone.")
	}
	if !bytes.Equal(x.Certificate.RawSubjectPublicKeyInfo, spki) {
		return fault.Conflictf("timestamp.certificate", "The certificate for %q is for another key.", x.ID)
	}
	if !u.Clock.Now().Before(x.Certificate.NotAfter) {
		return fault.Conflictf("timestamp.certificate", "The certificate for %q has expired already.", x.ID)
	}
	return nil
}

// giveUp removes a unit that got no certificate, and its key.
func (u *Units) giveUp(ctx context.Context, x Unit) error {
	return u.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM timestamp_units WHERE id = $1 AND status = 'pending' AND key_ref = $2`, x.ID, x.KeyRef)
		if err != nil || n == 0 {
			return err
		}
		if err := u.destroy(tx, x.KeyRef); err != nil {
			return err
		}
		return u.note(tx, &x, "timestamp.create", audit.Failed, nil)
	})
}

// Retire ends a unit for good. Its software key is destroyed, so that it cannot
// stamp again (EN 319 421); a key in the hardware token is destroyed with the
// token's own tools. All nodes stop within a second. Tokens stay valid.
func (u *Units) Retire(ctx context.Context, s access.Scope, id string) error {
	x, err := u.Get(ctx, s, id)
	if err != nil {
		return err
	}
	if err := s.Require(access.AuthorityWrite, access.Realm(x.Realm), ""); err != nil {
		return err
	}
	return u.DB.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE timestamp_units SET status = 'retired', retired_at = $1 WHERE id = $2 AND status <> 'retired'`, store.Micros(u.Clock.Now()), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("timestamp.retired", "The time-stamping unit %q is retired already.", id)
		}
		if err := u.destroy(tx, x.KeyRef); err != nil {
			return err
		}
		tx.AfterCommit(func() { u.forget(id) })
		return u.note(tx, &x, "timestamp.retire", audit.OK, map[string]string{"name": x.Name})
	})
}

// destroy deletes a software key.
func (u *Units) destroy(tx *store.Tx, ref string) error {
	if strings.HasPrefix(ref, keys.HSMRef("")) {
		return nil
	}
	return u.Vault.Destroy(tx, ref)
}

// forget has the row read again at the next request.
func (u *Units) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.cache[id]; known != nil {
		u.cache[id] = &open{Unit: known.Unit, order: known.order}
	}
}

func (u *Units) note(tx *store.Tx, x *Unit, action string, result audit.Result, detail map[string]string) error {
	return u.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "timestamp", ObjectID: x.ID, Realm: x.Realm, Result: result, Detail: detail})
}
