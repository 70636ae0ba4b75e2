package order

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

const columns = `o.id, o.realm, o.client, o.product, o.product_version, o.product_name, o.state, o.origin, o.cn, o.subject, o.authority, o.serial,
	o.not_before, o.not_after, o.revoked_at, o.reason, o.owner, o.creator, o.creator_name, o.predecessor, o.successor, o.problem, o.version, o.due, o.created_at, o.updated_at`

const workColumns = `w.request, w.csr, w.spki, w.sealed_key, w.jobs, w.evidence`

type scanner interface{ Scan(...any) error }

// scanRow reads what lists show.
func scanRow(r scanner) (*Order, error) { return scan(r) }

// scanWhole reads the order with all that belongs to it.
func scanWhole(r scanner) (*Order, error) {
	var request, jobs, evidence string
	var csr, spki, key []byte
	o, err := scan(r, &request, &csr, &spki, &key, &jobs, &evidence)
	if err != nil {
		return nil, err
	}
	o.csr, o.spki, o.sealedKey = csr, spki, key
	for text, into := range map[string]any{request: &o.Request, jobs: &o.Jobs, evidence: &o.Evidence} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func scan(r scanner, more ...any) (*Order, error) {
	var o Order
	var from, to, revoked, due, created, updated, reason int64
	err := r.Scan(append([]any{
		&o.ID, &o.Realm, &o.Client, &o.Product, &o.ProductVersion, &o.ProductName, &o.State, &o.Origin, &o.CommonName, &o.Subject, &o.Authority, &o.Serial,
		&from, &to, &revoked, &reason, &o.Owner, &o.Creator, &o.CreatorName, &o.Predecessor, &o.Successor, &o.Problem, &o.version, &due, &created, &updated,
	}, more...)...)
	o.NotBefore, o.NotAfter, o.RevokedAt, o.Reason = store.Time(from), store.Time(to), store.Time(revoked), authority.Reason(reason)
	o.due, o.Created, o.Updated = store.Time(due), store.Time(created), store.Time(updated)
	return &o, err
}

// texts are the parts of an order that are stored as JSON. They are made before
// the transaction, which on SQLite all others wait for.
type texts struct{ request, jobs, evidence string }

func encode(o *Order) texts {
	// These types hold strings, numbers and times and always encode.
	a, _ := json.Marshal(o.Request)
	b, _ := json.Marshal(o.Jobs)
	c, _ := json.Marshal(o.Evidence)
	return texts{string(a), string(b), string(c)}
}

// insert writes a new order with the names that it is found by.
func insert(tx *store.Tx, o *Order, t texts, names []string) error {
	if _, err := tx.Exec(`INSERT INTO orders (id, realm, client, product, product_version, product_name, state, origin, cn, subject, authority, serial, not_before, not_after,
			owner, creator, creator_name, predecessor, problem, version, due, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1, $20, $21, $21)`,
		o.ID, string(o.Realm), o.Client, o.Product, o.ProductVersion, o.ProductName, string(o.State), string(o.Origin), o.CommonName, o.Subject, o.Authority, o.Serial,
		store.Micros(o.NotBefore), store.Micros(o.NotAfter), o.Owner, o.Creator, o.CreatorName, o.Predecessor, o.Problem, store.Micros(o.due), store.Micros(o.Created)); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO order_work (id, request, csr, spki, sealed_key, jobs, evidence) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		o.ID, t.request, o.csr, o.spki, o.sealedKey, t.jobs, t.evidence); err != nil {
		return err
	}
	tx.AfterCommit(func() { o.version = 1 })
	return enterNames(tx, o, names)
}

// enterNames makes an order findable. Names are bytes to the database, so that
// it compares them alike whatever its collation.
func enterNames(tx *store.Tx, o *Order, names []string) error {
	for _, name := range searchNames(names) {
		if _, err := tx.Exec(`INSERT INTO order_names (name, order_id, client) VALUES ($1, $2, $3) ON CONFLICT (name, order_id) DO NOTHING`, []byte(name), o.ID, o.Client); err != nil {
			return err
		}
	}
	return nil
}

func dropNames(tx *store.Tx, id string, names []string) error {
	for _, name := range searchNames(names) {
		if _, err := tx.Exec(`DELETE FROM order_names WHERE name = $1 AND order_id = $2`, []byte(name), id); err != nil {
			return err
		}
	}
	return nil
}

// maxNames bounds what one order adds to the index of names.
const maxNames = 400

// searchNames adds the domains above each name, so that the order is found by
// any of them; the last label alone finds nothing in particular.
func searchNames(names []string) []string {
	var all []string
	for _, n := range names {
		n = strings.ToLower(n)
		all = append(all, n)
		_, domain, mail := strings.Cut(n, "@")
		if !mail {
			domain = strings.TrimPrefix(n, "*.")
		} else {
			all = append(all, domain)
		}
		if strings.ContainsAny(domain, " ,=/:") {
			continue
		}
		for _, rest, ok := strings.Cut(domain, "."); ok && strings.Contains(rest, "."); _, rest, ok = strings.Cut(rest, ".") {
			all = append(all, rest)
		}
		all = append(all, domain)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxNames)]
}

// save writes the order if nobody changed it since it was read: the
// compare-and-set that every step ends in.
func save(tx *store.Tx, o *Order, t texts, now time.Time) error {
	n, err := tx.Exec(`UPDATE orders SET state = $1, cn = $2, subject = $3, authority = $4, serial = $5, not_before = $6, not_after = $7, revoked_at = $8, reason = $9,
			owner = $10, successor = $11, problem = $12, version = version + 1, due = $13, updated_at = $14 WHERE id = $15 AND version = $16`,
		string(o.State), o.CommonName, o.Subject, o.Authority, o.Serial, store.Micros(o.NotBefore), store.Micros(o.NotAfter), store.Micros(o.RevokedAt), int64(o.Reason),
		o.Owner, o.Successor, o.Problem, store.Micros(o.due), store.Micros(now), o.ID, o.version)
	if err != nil {
		return err
	}
	if n != 1 {
		return errStale(o.ID)
	}
	if _, err := tx.Exec(`UPDATE order_work SET request = $1, csr = $2, spki = $3, sealed_key = $4, jobs = $5, evidence = $6 WHERE id = $7`,
		t.request, o.csr, o.spki, o.sealedKey, t.jobs, t.evidence, o.ID); err != nil {
		return err
	}
	version := o.version + 1
	tx.AfterCommit(func() { o.version = version })
	o.Updated = now
	return nil
}

func errStale(id string) error {
	return fault.Conflictf("order.changed", "The order %s was changed by somebody else at the same moment.", id).WithNext("Look at it again.")
}
