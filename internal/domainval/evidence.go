package domainval

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Evidence is one finding, for or against (rule 6). It is kept for good.
type Evidence struct {
	ID           string
	Realm        access.Realm
	Client       string
	Source       string // the domain, validation or mail that it was got for
	Order        string
	Name         string // what control was shown over: a domain, an address, a mailbox
	Method       Method
	Subtree      bool   // it covers the names below
	Section      string // clause of the rules
	Rules        string // their version, such as "TLS BR 2.2.6, S/MIME BR 1.0.10"
	Shown        bool   // false: a refusal
	Public       bool   // got under the rules of public trust
	Corroborated bool   // by a quorum of remote perspectives
	Obtained     time.Time
	Withdrawn    time.Time
	Detail       Detail
}

// usable tells whether evidence serves for a name at a time. It depends on the
// evidence, today's rules and settings only, and not on which methods a product
// offers: what was shown was shown.
func (d *Desk) usable(e Evidence, n Name, p Purpose, public bool, now time.Time) bool {
	r, ok := ruleOf(e.Method)
	switch {
	case !ok, !e.Shown, !e.Withdrawn.IsZero():
		return false
	case Allowed(e.Method, n, public, now) != nil, !covers(e.Name, e.Subtree, n):
		return false
	case public && !e.Public, public && d.set.RequireMPIC && r.network && !e.Corroborated:
		return false
	}
	return now.Before(ValidUntil(e.Method, p, public, e.Obtained)) && !e.Obtained.After(now)
}

const evidenceColumns = `id, realm, client, source, order_id, name, method, subtree, section, rules, shown, public, corroborated, obtained_at, withdrawn_at`

func scanEvidence(r interface{ Scan(...any) error }, extra ...any) (Evidence, error) {
	var e Evidence
	var obtained, withdrawn int64
	dest := []any{&e.ID, &e.Realm, &e.Client, &e.Source, &e.Order, &e.Name, &e.Method, &e.Subtree, &e.Section, &e.Rules, &e.Shown, &e.Public, &e.Corroborated, &obtained, &withdrawn}
	err := r.Scan(append(dest, extra...)...)
	e.Obtained, e.Withdrawn = store.Time(obtained), store.Time(withdrawn)
	return e, err
}

// keep writes evidence and returns it with its id.
func (d *Desk) keep(tx *store.Tx, e Evidence, n Name) (Evidence, error) {
	e.ID, e.Section, e.Rules = ident.New("dve"), Section(e.Method, n.IP.IsValid()), RuleVersion(e.Obtained)
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return e, err
	}
	_, err = tx.Exec(`INSERT INTO domainval_evidence (`+evidenceColumns+`, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15)`,
		e.ID, string(e.Realm), e.Client, e.Source, e.Order, e.Name, string(e.Method), e.Subtree, e.Section, e.Rules, e.Shown, e.Public, e.Corroborated, store.Micros(e.Obtained), string(detail))
	return e, err
}

// evidence is what an attempt leaves behind.
func (a attempt) evidence(t target, source, order string, now time.Time) Evidence {
	r, _ := ruleOf(a.method)
	name := a.at
	if name == "" {
		name = t.name.ASCII
	}
	return Evidence{
		Realm: t.realm, Client: t.client, Source: source, Order: order, Name: name, Method: a.method, Subtree: r.subtree && !a.narrow,
		Shown: a.shown, Public: t.public, Corroborated: a.detail.Corroboration != nil && a.detail.Corroboration.Met, Obtained: now, Detail: a.detail,
	}
}

// withdraw ends the use of all evidence that was got for a source.
func (d *Desk) withdraw(tx *store.Tx, source string) error {
	_, err := tx.Exec(`UPDATE domainval_evidence SET withdrawn_at = $1 WHERE source = $2 AND withdrawn_at = 0`, store.Micros(d.clock.Now()), source)
	return err
}

// longest is the longest that any evidence is relied on, and a day.
const longest = 399 * day

// maxEvidence bounds how many rows are read for one order.
const maxEvidence = 5000

// find gives for each name the evidence that lasts longest, if there is any, in
// one query. Trusted domains last until they are withdrawn.
func (d *Desk) find(q store.Queryer, realm access.Realm, client string, names []Name, p Purpose, public bool) (map[Name]Evidence, error) {
	now := d.clock.Now()
	wanted := map[string]bool{}
	for _, n := range names {
		for _, a := range n.Authorities() {
			wanted[a] = true
		}
	}
	args := []any{string(realm), client, store.Micros(now.Add(-longest)), string(Trusted)}
	var list []string
	for a := range wanted {
		args = append(args, a)
		list = append(list, "$"+strconv.Itoa(len(args)))
	}
	if len(list) == 0 {
		return nil, nil
	}
	rows, err := q.Query(`SELECT `+evidenceColumns+` FROM domainval_evidence WHERE realm = $1 AND client = $2 AND (obtained_at > $3 OR method = $4)
		AND shown AND withdrawn_at = 0 AND name IN (`+strings.Join(list, ", ")+`) ORDER BY obtained_at DESC LIMIT `+strconv.Itoa(maxEvidence), args...)
	found, err := store.Collect(rows, err, func(r *store.Rows) (Evidence, error) { return scanEvidence(r) })
	if err != nil {
		return nil, err
	}
	best := map[Name]Evidence{}
	for _, n := range names {
		for _, e := range found {
			if !d.usable(e, n, p, public, now) {
				continue
			}
			if b, ok := best[n]; !ok || ValidUntil(e.Method, p, public, e.Obtained).After(ValidUntil(b.Method, p, public, b.Obtained)) {
				best[n] = e
			}
		}
	}
	return best, nil
}

// EvidenceOf gives what was seen for a domain, validation or mail, newest first,
// at most 100 findings.
func (d *Desk) EvidenceOf(ctx context.Context, s access.Scope, realm access.Realm, client, source string) ([]Evidence, error) {
	if err := s.Require(access.DomainRead, realm, client); err != nil {
		return nil, err
	}
	rows, err := d.db.View(ctx).Query(`SELECT `+evidenceColumns+`, detail FROM domainval_evidence WHERE source = $1 AND realm = $2 AND client = $3 ORDER BY obtained_at DESC, id DESC LIMIT 100`, source, string(realm), client)
	return store.Collect(rows, err, scanDetailed)
}

// EvidenceOfOrder gives what an order rests on and what was got for it, oldest
// first: for the engine and the auditor, who have checked the right to see it.
func (d *Desk) EvidenceOfOrder(q store.Queryer, order string) ([]Evidence, error) {
	rows, err := q.Query(`SELECT `+evidenceColumns+`, detail FROM domainval_evidence WHERE order_id = $1 OR id IN
		(SELECT evidence FROM domainval_validations WHERE order_id = $1 UNION SELECT evidence FROM domainval_mails WHERE order_id = $1) ORDER BY obtained_at, id LIMIT 1000`, order)
	return store.Collect(rows, err, scanDetailed)
}

func scanDetailed(r *store.Rows) (Evidence, error) {
	var detail string
	e, err := scanEvidence(r, &detail)
	if err == nil {
		err = json.Unmarshal([]byte(detail), &e.Detail)
	}
	return e, err
}
