package external

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Filter narrows a list; what is set must all hold.
type Filter struct {
	Realm   access.Realm
	Clients []string
	// Search finds a fingerprint, a serial number in any spelling, an id, or the
	// beginning of any part of a name: an attribute of the subject, an alternative
	// name, or a domain above one.
	Search         string
	EndFrom, EndBy time.Time // of the end of validity: from, and before
	State          State     // what the server was last found to show; Unchecked is any
	Noted          bool      // only those with notes
	Newest         bool      // the latest import first, instead of the soonest end
}

// List gives a page of the certificates that the caller may see, and the cursor of the
// next page, empty at the end. It goes by the end of validity, the soonest first, or
// by the time of import. A cursor holds for the same filter only.
func (r *Registry) List(ctx context.Context, s access.Scope, f Filter, p store.Page) ([]*Certificate, string, error) {
	after, resume, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	var q query
	cond, args := s.Filter(access.CertificateSearch, "c.realm", "c.client", nil)
	q.conds, q.args = append(q.conds, cond), args
	q.filter(f)
	by := "c.not_after, c.id"
	if f.Newest {
		by = "c.id DESC"
	}
	switch {
	case resume && f.Newest:
		q.add("c.id < $%d", after.ID)
	case resume:
		q.add("(c.not_after, c.id) > ($%d, $%d)", after.Sort, after.ID)
	}
	size := p.Size()
	q.args = append(q.args, size+1)
	rows, err := r.DB.View(ctx).Query(fmt.Sprintf(`SELECT %s FROM external_certificates c WHERE %s ORDER BY %s LIMIT $%d + 0`,
		columns, strings.Join(q.conds, " AND "), by, len(q.args)), q.args...)
	found, err := store.Collect(rows, err, func(row *store.Rows) (*Certificate, error) { return scan(row) })
	if err != nil || len(found) <= size {
		return found, "", err
	}
	last := found[size-1]
	return found[:size], store.Key{Sort: store.Micros(last.NotAfter), ID: last.ID}.Cursor(), nil
}

// query collects conditions with their arguments.
type query struct {
	conds []string
	args  []any
}

// add adds a condition that has a %d for the number of each argument.
func (q *query) add(cond string, args ...any) {
	numbers := make([]any, len(args))
	for i := range args {
		numbers[i] = len(q.args) + i + 1
	}
	q.args = append(q.args, args...)
	q.conds = append(q.conds, fmt.Sprintf(cond, numbers...))
}

func (q *query) filter(f Filter) {
	if f.Realm != "" {
		q.add("c.realm = $%d", string(f.Realm))
	}
	if len(f.Clients) > 0 {
		q.in("c.client", f.Clients)
	}
	if !f.EndFrom.IsZero() {
		q.add("c.not_after >= $%d", store.Micros(f.EndFrom))
	}
	if !f.EndBy.IsZero() {
		q.add("c.not_after < $%d", store.Micros(f.EndBy))
	}
	if f.State != Unchecked {
		q.add("c.check_state = $%d", string(f.State))
	}
	if f.Noted {
		q.conds = append(q.conds, "c.notes <> '[]'")
	}
	q.search(f.Search)
}

func (q *query) in(column string, values []string) {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	q.add(column+" IN ("+strings.TrimSuffix(strings.Repeat("$%d, ", len(values)), ", ")+")", args...)
}

// Get reads one certificate.
func (r *Registry) Get(ctx context.Context, s access.Scope, id string) (*Certificate, error) {
	return r.get(r.DB.View(ctx), s, access.CertificateSearch, id)
}

// get reads a certificate on which s may do p.
func (r *Registry) get(q store.Queryer, s access.Scope, p access.Permission, id string) (*Certificate, error) {
	c, err := scan(q.QueryRow(`SELECT `+columns+` FROM external_certificates c WHERE c.id = $1`, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, access.NotFound()
	}
	if err != nil {
		return nil, err
	}
	if err := s.Require(p, c.Realm, c.Client); err != nil {
		return nil, err
	}
	return c, nil
}

// Download gives the certificate and those above it that came with it, its issuer
// next, in DER. It needs certificate.download.
func (r *Registry) Download(ctx context.Context, s access.Scope, id string) ([][]byte, error) {
	if _, err := r.get(r.DB.View(ctx), s, access.CertificateDownload, id); err != nil {
		return nil, err
	}
	rows, err := r.DB.View(ctx).Query(`SELECT der FROM external_ders WHERE certificate = $1 ORDER BY place`, id)
	ders, err := store.Collect(rows, err, func(row *store.Rows) (der []byte, err error) { return der, row.Scan(&der) })
	if err == nil && len(ders) == 0 {
		err = access.NotFound() // deleted in this moment
	}
	return ders, err
}
