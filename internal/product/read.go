package product

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Current is the current version of a product, for those who already know that
// the caller may have it: the order engine. NotFound says that there is none.
func (s *Products) Current(ctx context.Context, id string) (*Product, error) {
	var version int
	var retired bool
	err := s.db.View(ctx).QueryRow(`SELECT current, retired FROM products WHERE id = $1`, id).Scan(&version, &retired)
	if errors.Is(err, store.ErrNotFound) {
		return nil, access.NotFound()
	}
	if err != nil {
		return nil, err
	}
	p, err := s.At(ctx, id, version)
	if err != nil || !retired {
		return p, err
	}
	out := *p
	out.Retired = true
	return &out, nil
}

// At is one version of a product, as an order holds it; it says nothing on
// whether the product is retired. Versions never change, so they are remembered.
func (s *Products) At(ctx context.Context, id string, version int) (*Product, error) {
	key := id + "/" + strconv.Itoa(version)
	if p := s.cache.get(key); p != nil {
		return p, nil
	}
	var body string
	err := s.db.View(ctx).QueryRow(`SELECT body FROM product_versions WHERE product_id = $1 AND version = $2`, id, version).Scan(&body)
	if errors.Is(err, store.ErrNotFound) {
		return nil, access.NotFound()
	}
	if err != nil {
		return nil, err
	}
	p, err := Parse(JSON, []byte(body))
	if err != nil {
		return nil, fault.Wrap(err, "read product "+key)
	}
	s.cache.put(key, p)
	return p, nil
}

// Get is the current version, for a caller who may read the product
// (product.read) or order it (certificate.order).
func (s *Products) Get(ctx context.Context, sc access.Scope, id string) (*Product, error) {
	return s.find(ctx, sc, access.ProductRead, id)
}

// For is the current version of a product that a client may use: its own or a
// shared one of its realm. Anything else does not exist for it.
func (s *Products) For(ctx context.Context, realm access.Realm, client, id string) (*Product, error) {
	p, err := s.Current(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.Realm != realm || p.Client != "" && p.Client != client {
		return nil, access.NotFound()
	}
	return p, nil
}

// find is the current version under the caller's rights. Who may order may read.
func (s *Products) find(ctx context.Context, sc access.Scope, need access.Permission, id string) (*Product, error) {
	p, err := s.Current(ctx, id)
	if err != nil {
		return nil, err
	}
	if need == access.ProductRead && sc.Allows(access.CertificateOrder, p.Realm, p.Client) {
		return p, nil
	}
	if err := sc.Require(need, p.Realm, p.Client); err != nil {
		return nil, err
	}
	return p, nil
}

// Version is one version, for a caller who may read the product.
func (s *Products) Version(ctx context.Context, sc access.Scope, id string, version int) (*Product, error) {
	if _, err := s.find(ctx, sc, access.ProductRead, id); err != nil {
		return nil, err
	}
	return s.At(ctx, id, version)
}

// Versions lists the versions of a product, the newest first, at most 500.
func (s *Products) Versions(ctx context.Context, sc access.Scope, id string) ([]VersionInfo, error) {
	if _, err := s.find(ctx, sc, access.ProductRead, id); err != nil {
		return nil, err
	}
	rows, err := s.db.View(ctx).Query(`SELECT version, author, note, created_at FROM product_versions WHERE product_id = $1 ORDER BY version DESC LIMIT 500`, id)
	return store.Collect(rows, err, func(r *store.Rows) (v VersionInfo, err error) {
		var at int64
		err = r.Scan(&v.Version, &v.Author, &v.Note, &at)
		v.Created = store.Time(at)
		return v, err
	})
}

// A Query selects products; the zero Query selects all that the caller may read.
type Query struct {
	Realm access.Realm
	// Clients asks for what these clients of Realm may order: their own products
	// and the shared ones. Without it, shared products show to those who have the
	// right in the whole realm.
	Clients   []string
	Authority string
	Search    string            // words in name, description, id, kind or template
	Retired   bool              // retired ones as well
	Right     access.Permission // which the caller needs; empty: product.read
	Page      store.Page
}

// List gives the current versions, by name, a page at a time, and the cursor of
// the next page, which is empty on the last (A71).
func (s *Products) List(ctx context.Context, sc access.Scope, q Query) (list []*Product, next string, err error) {
	if q.Right == "" {
		q.Right = access.ProductRead
	}
	st := statement{}
	if err := st.scope(sc, q); err != nil {
		return nil, "", err
	}
	st.filter(q)
	if err := st.after(q.Page); err != nil {
		return nil, "", err
	}
	size := q.Page.Size()
	rows, err := s.db.View(ctx).Query(`SELECT p.sort, p.retired, v.body FROM products p JOIN product_versions v ON v.product_id = p.id AND v.version = p.current
		WHERE `+strings.Join(st.conds, " AND ")+` ORDER BY p.sort, p.id LIMIT `+st.arg(size+1)+` + 0`, st.args...)
	var last string
	list, err = store.Collect(rows, err, func(r *store.Rows) (*Product, error) {
		var sort, body string
		var retired bool
		if err := r.Scan(&sort, &retired, &body); err != nil {
			return nil, err
		}
		p, err := Parse(JSON, []byte(body))
		if err != nil {
			return nil, err
		}
		p.Retired = retired
		return p, nil
	})
	if err != nil || len(list) <= size {
		return list, "", err
	}
	list = list[:size]
	last = fold(list[size-1].Name) + "\x00" + list[size-1].ID
	return list, store.Key{ID: last}.Cursor(), nil
}

// statement builds a list's conditions.
type statement struct {
	conds []string
	args  []any
}

func (st *statement) arg(v any) string {
	st.args = append(st.args, v)
	return "$" + strconv.Itoa(len(st.args))
}

// scope keeps the list to what the caller may see. The clients of a query were
// checked one by one, so the shared products of the realm may show, too.
func (st *statement) scope(sc access.Scope, q Query) error {
	if len(q.Clients) == 0 {
		var cond string
		cond, st.args = sc.Filter(q.Right, "p.realm", "p.client", st.args)
		st.conds = append(st.conds, cond)
		if q.Realm != "" {
			st.conds = append(st.conds, "p.realm = "+st.arg(string(q.Realm)))
		}
		return nil
	}
	clients := []string{st.arg("")}
	for _, c := range slices.Compact(slices.Sorted(slices.Values(q.Clients))) {
		if err := sc.Require(q.Right, q.Realm, c); err != nil {
			return err
		}
		clients = append(clients, st.arg(c))
	}
	st.conds = append(st.conds, "p.realm = "+st.arg(string(q.Realm)), "p.client IN ("+strings.Join(clients, ", ")+")")
	return nil
}

func (st *statement) filter(q Query) {
	if q.Authority != "" {
		st.conds = append(st.conds, "p.authority = "+st.arg(q.Authority))
	}
	if !q.Retired {
		st.conds = append(st.conds, "p.retired = FALSE")
	}
	for _, word := range strings.Fields(fold(q.Search)) {
		pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
		st.conds = append(st.conds, `p.search LIKE `+st.arg(pattern)+` ESCAPE '\'`)
	}
}

func (st *statement) after(page store.Page) error {
	key, ok, err := page.Key()
	if err != nil || !ok {
		return err
	}
	sort, id, found := strings.Cut(key.ID, "\x00")
	if !found || strings.Contains(id, "\x00") {
		return fault.Invalidf("page.cursor", "The page cursor belongs to another list.").WithNext("Start from the first page.").WithField("cursor")
	}
	st.conds = append(st.conds, "(p.sort, p.id) > ("+st.arg(sort)+", "+st.arg(id)+")")
	return nil
}

// cache remembers prepared versions. When it is full it begins anew: the
// products of an installation fit many times over.
type cache struct {
	mu  sync.RWMutex
	all map[string]*Product
}

const cacheSize = 2000

func (c *cache) get(key string) *Product {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.all[key]
}

func (c *cache) put(key string, p *Product) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= cacheSize {
		c.all = map[string]*Product{}
	}
	c.all[key] = p
}
