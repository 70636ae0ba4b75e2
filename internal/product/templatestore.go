package product

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

var templateName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,79}$`)

// SaveTemplate stores a template as the next version of its name. Names of the
// program's own templates are taken. It needs product.write in the whole
// installation, for a template is of no realm.
func (s *Products) SaveTemplate(ctx context.Context, sc access.Scope, t *Template) (*Template, error) {
	if err := sc.Require(access.ProductWrite, "", ""); err != nil {
		return nil, err
	}
	if !templateName.MatchString(t.Name) {
		return nil, fault.Invalidf("template.name", "A template's name has up to 80 small letters, digits, dots and hyphens.").WithField("name")
	}
	if _, err := ReadyTemplate(t.Name); err == nil {
		return nil, fault.Conflictf("template.own", "The template %q comes with the program and cannot be changed.", t.Name).WithNext("Save yours under another name.").WithField("name")
	}
	next := t.clone()
	if err := next.Definition.normalise(); err != nil {
		return nil, err
	}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		var newest int
		if err := tx.QueryRow(`SELECT COALESCE(MAX(version), 0) FROM product_templates WHERE name = $1`, next.Name).Scan(&newest); err != nil {
			return err
		}
		next.Version = newest + 1
		body, err := json.Marshal(next)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO product_templates (name, version, body, author, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			next.Name, next.Version, string(body), sc.Principal().ID, store.Micros(s.clock.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("template.changed", "The template %q was changed by somebody else meanwhile.", next.Name)
		}
		return s.audit.Append(tx, audit.Entry{Action: "template.save", ObjectKind: "template", ObjectID: next.Name, Detail: map[string]string{"version": strconv.Itoa(next.Version)}})
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// Template finds a template by name; version 0 is the newest. Templates hold
// nothing secret; it needs product.read somewhere.
func (s *Products) Template(ctx context.Context, sc access.Scope, name string, version int) (*Template, error) {
	if err := sc.RequireAnywhere(access.ProductRead); err != nil {
		return nil, err
	}
	if t, err := ReadyTemplate(name); err == nil && (version == 0 || version == t.Version) {
		return t, nil
	}
	query, args := `SELECT body FROM product_templates WHERE name = $1 AND version = $2`, []any{name, version}
	if version == 0 {
		query, args = `SELECT body FROM product_templates WHERE name = $1 ORDER BY version DESC LIMIT 1`, args[:1]
	}
	var body string
	err := s.db.View(ctx).QueryRow(query, args...).Scan(&body)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.NotFoundf("template.unknown", "There is no template %q of that version.", name)
	}
	if err != nil {
		return nil, err
	}
	return ParseTemplate(JSON, []byte(body))
}

// maxTemplates bounds the list of an installation's own templates.
const maxTemplates = 500

// Templates lists the newest version of every template: the program's own, then
// the installation's, each by name.
func (s *Products) Templates(ctx context.Context, sc access.Scope) ([]*Template, error) {
	if err := sc.RequireAnywhere(access.ProductRead); err != nil {
		return nil, err
	}
	out, err := Ready()
	if err != nil {
		return nil, err
	}
	rows, err := s.db.View(ctx).Query(`SELECT t.body FROM product_templates t WHERE t.version = (SELECT MAX(n.version) FROM product_templates n WHERE n.name = t.name)
		ORDER BY t.name LIMIT $1 + 0`, maxTemplates)
	own, err := store.Collect(rows, err, func(r *store.Rows) (*Template, error) {
		var body string
		if err := r.Scan(&body); err != nil {
			return nil, err
		}
		return ParseTemplate(JSON, []byte(body))
	})
	if err != nil {
		return nil, err
	}
	return append(out, own...), nil
}
