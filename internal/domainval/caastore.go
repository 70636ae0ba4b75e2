package domainval

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// caaKnown finds permissions that still live, in one query.
func (d *Desk) caaKnown(ctx context.Context, questions []caaQuestion, now time.Time) (map[string]CAAResult, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	args := []any{store.Micros(now), string(CAAPermitted)}
	var list []string
	for _, q := range questions {
		args = append(args, q.key)
		list = append(list, "$"+strconv.Itoa(len(args)))
	}
	rows, err := d.db.View(ctx).Query(`SELECT `+caaColumns+`, question FROM domainval_caa WHERE valid_until > $1 AND outcome = $2 AND source = '' AND question IN (`+strings.Join(list, ", ")+`) ORDER BY checked_at DESC LIMIT 1000`, args...)
	known := map[string]CAAResult{}
	_, err = store.Collect(rows, err, func(r *store.Rows) (string, error) {
		var key string
		c, err := scanCAA(r, &key)
		if _, newer := known[key]; !newer && !c.Checked.After(now) {
			known[key] = c
		}
		return key, err
	})
	return known, err
}

const caaColumns = `id, name, outcome, why, source, checked_at, until, valid_until, detail`

func scanCAA(r interface{ Scan(...any) error }, extra ...any) (CAAResult, error) {
	var c CAAResult
	var checked, until, fresh int64
	var detail string
	if err := r.Scan(append([]any{&c.ID, &c.Name, &c.Outcome, &c.Why, &c.Source, &checked, &until, &fresh, &detail}, extra...)...); err != nil {
		return c, err
	}
	c.Checked, c.Until, c.fresh = store.Time(checked), store.Time(until), store.Time(fresh)
	return c, json.Unmarshal([]byte(detail), &c.Detail)
}

// keepCAA writes one row for each name, and an audit entry for each refusal
// (TLS BR 4.2.2.1: issuances that a record prevented are documented).
func (d *Desk) keepCAA(ctx context.Context, order string, r CAARequest, questions []caaQuestion, results []CAAResult) error {
	return d.db.Update(ctx, func(tx *store.Tx) error {
		for i := range results {
			c := &results[i]
			c.ID = ident.New("caa")
			detail, err := json.Marshal(c.Detail)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO domainval_caa (`+caaColumns+`, order_id, realm, client, question) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
				c.ID, c.Name, string(c.Outcome), c.Why, c.Source, store.Micros(c.Checked), store.Micros(c.Until), store.Micros(c.fresh), string(detail), order, string(r.Realm), r.Client, questions[i].key); err != nil {
				return err
			}
			if c.Outcome == CAAPermitted {
				continue
			}
			d.log.Info("CAA does not permit", "name", c.Name, "order", order, "outcome", string(c.Outcome), "why", c.Why)
			if err := d.audit.Append(tx, audit.Entry{
				Action: "caa.check", ObjectKind: "order", ObjectID: order, Realm: string(r.Realm), Client: r.Client, Result: audit.Refused,
				Detail: map[string]string{"name": c.Name, "outcome": string(c.Outcome), "why": c.Why, "iodef": strings.Join(c.Detail.Decision.Iodef, " ")},
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// CAAOfOrder gives the CAA checks of an order, oldest first: for the engine and
// the auditor, who have checked the right to see it.
func (d *Desk) CAAOfOrder(q store.Queryer, order string) ([]CAAResult, error) {
	rows, err := q.Query(`SELECT `+caaColumns+` FROM domainval_caa WHERE order_id = $1 ORDER BY checked_at, id LIMIT 1000`, order)
	return store.Collect(rows, err, func(r *store.Rows) (CAAResult, error) { return scanCAA(r) })
}
