package product

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Products keeps products and templates. Build it with [New]; its methods may be
// called from any goroutine. Products that it gives out are shared: do not change
// them, but make a new one with [Parse] or by copying.
type Products struct {
	db    *store.DB
	audit *audit.Log
	clock clock.Clock
	cache cache
}

// New opens the domain.
func New(db *store.DB, log *audit.Log, c clock.Clock) *Products {
	return &Products{db: db, audit: log, clock: c}
}

// A VersionInfo tells of one version.
type VersionInfo struct {
	Version int
	Author  string // who wrote it
	Note    string
	Created time.Time
}

// Create stores a product as version 1, under its own id if that is free and
// well-formed, or under a new one. It needs product.write for the client, or for
// the realm when the product is shared. Errors that [Product.Lint] finds come
// back as a [*Refusal]; warnings do not stand in the way.
func (s *Products) Create(ctx context.Context, sc access.Scope, p *Product, note string) (*Product, error) {
	if err := sc.Require(access.ProductWrite, p.Realm, p.Client); err != nil {
		return nil, err
	}
	next, err := s.ready(p)
	if err != nil {
		return nil, err
	}
	if next.ID == "" {
		next.ID = ident.New("pma")
	} else if !validID.MatchString(next.ID) {
		return nil, fault.Invalidf("product.id", "%q is not the id of a product.", shorten(next.ID)).WithField("id")
	}
	next.Version = 1
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		now := store.Micros(s.clock.Now())
		n, err := tx.Exec(`INSERT INTO products (id, realm, client, authority, kind, sort, search, current, retired, created_at, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 1, FALSE, $8, $8) ON CONFLICT DO NOTHING`,
			next.ID, string(next.Realm), next.Client, next.Authority, string(next.Definition.Kind), fold(next.Name), searchText(next), now)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("product.exists", "There is a product %s already.", next.ID)
		}
		return s.insertVersion(tx, sc, next, note, "product.create")
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// Change stores a new version of a product and makes it current. base is the
// version that the change was made from: when another came between, the answer is
// a Conflict and nothing changes. A product stays in its realm and with its
// client.
func (s *Products) Change(ctx context.Context, sc access.Scope, id string, base int, p *Product, note string) (*Product, error) {
	old, err := s.find(ctx, sc, access.ProductWrite, id)
	if err != nil {
		return nil, err
	}
	if p.Realm != old.Realm || p.Client != old.Client {
		return nil, fault.Invalidf("product.moved", "The product %q cannot go to another realm or client.", old.Name).WithNext("Create a new product there.").WithField("client")
	}
	next, err := s.ready(p)
	if err != nil {
		return nil, err
	}
	next.ID, next.Version, next.Retired = id, base+1, old.Retired
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE products SET current = $1, authority = $2, kind = $3, sort = $4, search = $5, changed_at = $6 WHERE id = $7 AND current = $8`,
			next.Version, next.Authority, string(next.Definition.Kind), fold(next.Name), searchText(next), store.Micros(s.clock.Now()), id, base)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("product.changed", "The product %q was changed by somebody else meanwhile.", old.Name).WithNext("Look at its current version and change that.")
		}
		return s.insertVersion(tx, sc, next, note, "product.change")
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// Import reads an exported product and creates it, or changes it when there is
// one with its id. The version in the file says nothing.
func (s *Products) Import(ctx context.Context, sc access.Scope, f Format, file []byte) (*Product, error) {
	p, err := Parse(f, file)
	if err != nil {
		return nil, err
	}
	if p.ID != "" {
		old, err := s.Current(ctx, p.ID)
		switch {
		case err == nil:
			return s.Change(ctx, sc, p.ID, old.Version, p, "import")
		case !errors.Is(err, fault.NotFound):
			return nil, err
		}
	}
	return s.Create(ctx, sc, p, "import")
}

// Retire ends or resumes orders for a product. It needs product.write.
func (s *Products) Retire(ctx context.Context, sc access.Scope, id string, retired bool) error {
	p, err := s.find(ctx, sc, access.ProductWrite, id)
	if err != nil {
		return err
	}
	action := "product.resume"
	if retired {
		action = "product.retire"
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE products SET retired = $1, changed_at = $2 WHERE id = $3 AND retired <> $1`, retired, store.Micros(s.clock.Now()), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil // it is so already
		}
		return s.audit.Append(tx, entry(p, action))
	})
}

// ready is a product that may be stored: prepared anew, since the caller may have
// changed it, and without errors.
func (s *Products) ready(p *Product) (*Product, error) {
	body, err := p.Export(JSON)
	if err != nil {
		return nil, err
	}
	next, err := Parse(JSON, body)
	if err != nil {
		return nil, err
	}
	r := &Refusal{}
	for _, f := range next.Lint(s.clock.Now()) {
		if f.Severity == Error {
			r.Problems = append(r.Problems, fault.Invalidf("product."+f.Code, "%s: %s", f.Path, f.Text).WithField(f.Path))
		}
	}
	if len(r.Problems) > 0 {
		return nil, r
	}
	return next, nil
}

const maxNote = 1000

func (s *Products) insertVersion(tx *store.Tx, sc access.Scope, p *Product, note, action string) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if len(note) > maxNote {
		return fault.Invalidf("product.note", "The note has more than %d bytes.", maxNote).WithField("note")
	}
	if _, err := tx.Exec(`INSERT INTO product_versions (product_id, version, body, author, note, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		p.ID, p.Version, string(body), sc.Principal().ID, clean(note), store.Micros(s.clock.Now())); err != nil {
		return err
	}
	return s.audit.Append(tx, entry(p, action))
}

func entry(p *Product, action string) audit.Entry {
	return audit.Entry{
		Action: action, ObjectKind: "product", ObjectID: p.ID, Realm: string(p.Realm), Client: p.Client,
		Detail: map[string]string{"name": p.Name, "version": strconv.Itoa(p.Version), "authority": p.Authority},
	}
}

var validID = regexp.MustCompile(`^pma-[0-9a-f-]{36}$`)

// fold is text as searches compare it.
func fold(text string) string {
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(clean(text))))
}

// clean drops what PostgreSQL would refuse in a text.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

func searchText(p *Product) string {
	return fold(p.Name + "\n" + p.Description + "\n" + p.ID + "\n" + p.Template.Name + "\n" + string(p.Definition.Kind))
}
