package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// secrets is the sealed form of what a publisher signs in with.
type secrets struct {
	Password string `json:"password,omitempty"`
	Key      string `json:"key,omitempty"`
}

func purpose(id string) string { return "publish.secret/" + id }

// seal gives the sealed secrets, empty when there are none.
func (p *Publishing) seal(id string, f Fields) ([]byte, error) {
	if f.Password.Empty() && f.Key.Empty() {
		return []byte{}, nil
	}
	plain, err := json.Marshal(secrets{f.Password.Reveal(), f.Key.Reveal()})
	if err != nil {
		return nil, err
	}
	return p.o.Sealer.Seal(purpose(id), plain)
}

func (p *Publishing) unseal(id string, sealed []byte) (password, key secret.Text, err error) {
	if len(sealed) == 0 {
		return password, key, nil
	}
	plain, err := p.o.Sealer.Open(purpose(id), sealed)
	if err != nil {
		return password, key, fault.Wrap(err, "open the publisher's secret")
	}
	var s secrets
	err = json.Unmarshal(plain, &s)
	return secret.New(s.Password), secret.New(s.Key), fault.Wrap(err, "read the publisher's secret")
}

// allowed checks that s may have a publisher with those settings there.
func allowed(s access.Scope, realm access.Realm, client string, set Settings, internal []string) error {
	if err := s.Require(access.SettingsWrite, realm, client); err != nil {
		return err
	}
	if sensitive(set, internal) && !s.Allows(access.SettingsWrite, "", "") {
		return fault.Forbiddenf("publisher.sensitive", "A publisher that reaches internal addresses, writes files or goes without TLS is for administrators of the whole installation.").
			WithNext("Ask such an administrator to set it up.")
	}
	return nil
}

// Create adds a publisher, enabled. It needs settings.write on the client, or
// on the realm when client is empty, and on the installation for a publisher
// that writes files, reaches internal addresses or goes without TLS.
func (p *Publishing) Create(ctx context.Context, s access.Scope, realm access.Realm, client string, f Fields) (Publisher, error) {
	if _, err := access.ParseRealm(string(realm)); err != nil {
		return Publisher{}, err
	}
	if err := allowed(s, realm, client, f.Settings, f.Internal); err != nil {
		return Publisher{}, err
	}
	if err := p.check(&f); err != nil {
		return Publisher{}, err
	}
	if f.Settings.needsSecret() && f.Password.Empty() && f.Key.Empty() {
		return Publisher{}, noSecret()
	}
	now := p.now()
	row := Publisher{
		ID: ident.New("pub"), Realm: realm, Client: client, Name: f.Name, Kind: f.Settings.Kind(), Settings: f.Settings, Internal: f.Internal,
		GiveUp: f.GiveUp, Enabled: true, Created: now, Changed: now,
	}
	sealed, err := p.seal(row.ID, f)
	if err != nil {
		return Publisher{}, err
	}
	row.HasSecret = len(sealed) > 0
	set, ranges, err := encode(f)
	if err != nil {
		return Publisher{}, err
	}
	err = p.update(ctx, s, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO publish_publishers (id, realm, client, name, name_key, kind, settings, secret, internal, give_up, enabled, created_at, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, TRUE, $11, $11) ON CONFLICT DO NOTHING`,
			row.ID, string(realm), client, row.Name, fold(row.Name), string(row.Kind), set, sealed, ranges, row.GiveUp.Microseconds(), store.Micros(now))
		if err != nil {
			return err
		}
		if n == 0 {
			return nameTaken(row.Name)
		}
		return p.note(tx, row, "publisher.create", "kind", string(row.Kind))
	})
	if err != nil {
		return Publisher{}, err
	}
	return row, nil
}

// Update changes a publisher. It needs what Create needs, for what the
// publisher was as well as for what it becomes. The kind stays. A new address
// or account needs its secret anew: the stored one is for the old one only.
// Objects already published stay where they are and are looked for there when
// they are taken away, at the new address.
func (p *Publishing) Update(ctx context.Context, s access.Scope, id string, f Fields) (Publisher, error) {
	old, err := p.Get(ctx, s, id)
	if err != nil {
		return Publisher{}, err
	}
	if err := allowed(s, old.Realm, old.Client, f.Settings, f.Internal); err != nil {
		return Publisher{}, err
	}
	if err := p.check(&f); err != nil {
		return Publisher{}, err
	}
	given := !f.Password.Empty() || !f.Key.Empty()
	sealed, err := p.seal(id, f)
	if err != nil {
		return Publisher{}, err
	}
	set, ranges, err := encode(f)
	if err != nil {
		return Publisher{}, err
	}
	var row Publisher
	err = p.update(ctx, s, func(tx *store.Tx) error {
		was, stored, err := p.find(tx, id)
		if err != nil {
			return err
		}
		if err := allowed(s, was.Realm, was.Client, was.Settings, was.Internal); err != nil {
			return err
		}
		keep := sealed
		switch {
		case was.Kind != f.Settings.Kind():
			return invalid("kind", "A publisher keeps its kind; this one is %s.", was.Kind).WithNext("Make another publisher.")
		case given || !f.Settings.needsSecret():
		case was.Settings.audience() != f.Settings.audience() || len(stored) == 0:
			return noSecret()
		default:
			keep = stored
		}
		var other string
		err = tx.QueryRow(`SELECT id FROM publish_publishers WHERE realm = $1 AND client = $2 AND name_key = $3 AND deleted_at = 0 AND id <> $4`,
			string(was.Realm), was.Client, fold(f.Name), id).Scan(&other)
		if err == nil {
			return nameTaken(f.Name)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		now := p.now()
		row = was
		row.Name, row.Settings, row.Internal, row.GiveUp, row.Changed, row.HasSecret = f.Name, f.Settings, f.Internal, f.GiveUp, now, len(keep) > 0
		row.Failures, row.PausedUntil, row.LastError = 0, time.Time{}, ""
		// What waited for the old settings is tried at once with the new ones.
		if _, err := tx.Exec(`UPDATE publish_publishers SET name = $2, name_key = $3, settings = $4, secret = $5, internal = $6, give_up = $7, changed_at = $8,
			failures = 0, paused_until = 0, last_error = '' WHERE id = $1`,
			id, f.Name, fold(f.Name), set, keep, ranges, f.GiveUp.Microseconds(), store.Micros(now)); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE publish_items SET due_at = $2 WHERE publisher = $1 AND state IN ('waiting', 'removing') AND due_at > $2`, id, store.Micros(now)); err != nil {
			return err
		}
		p.wake(tx)
		return p.note(tx, row, "publisher.update", "secret", fmt.Sprint(given))
	})
	if errors.Is(err, store.ErrExists) { // somebody took the name at the same moment
		err = nameTaken(f.Name)
	}
	return row, err
}

// SetEnabled starts or stops a publisher; it needs settings.write. What is
// queued for a disabled one waits, and has all its time again when it starts.
func (p *Publishing) SetEnabled(ctx context.Context, s access.Scope, id string, enabled bool) error {
	return p.update(ctx, s, func(tx *store.Tx) error {
		row, _, err := p.find(tx, id)
		if err != nil {
			return err
		}
		if err := s.Require(access.SettingsWrite, row.Realm, row.Client); err != nil {
			return err
		}
		if row.Enabled == enabled {
			return nil
		}
		now := store.Micros(p.now())
		if _, err := tx.Exec(`UPDATE publish_publishers SET enabled = $2, paused_until = 0, failures = 0, last_error = '', changed_at = $3 WHERE id = $1`, id, enabled, now); err != nil {
			return err
		}
		action := "publisher.disable"
		if enabled {
			action = "publisher.enable"
			if _, err := tx.Exec(`UPDATE publish_items SET due_at = $2, give_up_at = $3 WHERE publisher = $1 AND state IN ('waiting', 'removing')`,
				id, now, now+row.GiveUp.Microseconds()); err != nil {
				return err
			}
			p.wake(tx)
		}
		return p.note(tx, row, action)
	})
}

// Delete removes a publisher; it needs settings.write. One that holds
// published objects, has work to do, or is named by a product is in use and
// stays (Conflict). Its history stays readable.
func (p *Publishing) Delete(ctx context.Context, s access.Scope, id string) error {
	return p.update(ctx, s, func(tx *store.Tx) error {
		row, _, err := p.find(tx, id)
		if err != nil {
			return err
		}
		if err := s.Require(access.SettingsWrite, row.Realm, row.Client); err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM publish_items WHERE publisher = $1 AND state IN ('waiting', 'removing', 'published', 'stuck')`, id).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fault.Conflictf("publisher.in_use", "The publisher %s is in use: %d objects are published through it or on their way.", row.Name, n).
				WithNext("Un-publish them first, or disable the publisher.")
		}
		if p.InUse != nil {
			who, err := p.InUse(tx, id)
			if err != nil {
				return err
			}
			if who != "" {
				return fault.Conflictf("publisher.in_use", "The publisher %s is in use by %s.", row.Name, who).WithNext("Take it out there first.")
			}
		}
		now := store.Micros(p.now())
		if _, err := tx.Exec(`UPDATE publish_publishers SET deleted_at = $2, changed_at = $2, enabled = FALSE, secret = $3 WHERE id = $1`, id, now, []byte{}); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM publish_entries WHERE publisher = $1`, id); err != nil {
			return err
		}
		return p.note(tx, row, "publisher.delete")
	})
}

// note writes the audit entry of a change; detail lists pairs without secrets.
func (p *Publishing) note(tx *store.Tx, row Publisher, action string, detail ...string) error {
	m := map[string]string{"name": row.Name}
	for i := 0; i+1 < len(detail); i += 2 {
		m[detail[i]] = detail[i+1]
	}
	return p.o.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "publisher", ObjectID: row.ID, Realm: string(row.Realm), Client: row.Client, Detail: m})
}

func encode(f Fields) (settings, ranges string, err error) {
	a, err := json.Marshal(f.Settings)
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(append([]string{}, f.Internal...))
	return string(a), string(b), err
}

func noSecret() error {
	return invalid("password", "The password or key is missing; a stored one is for the old address and account only.").WithNext("Give the secret that belongs to this address and account.")
}

func nameTaken(name string) error {
	return fault.Conflictf("publisher.exists", "There is already a publisher called %s.", name).WithField("name")
}

// fold is the form of a name under which it is ordered and compared.
func fold(name string) string { return strings.ToLower(name) }
