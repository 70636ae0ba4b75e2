package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/bench/reference"
	"github.com/sealwright/sealwright/internal/house"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/wscert"
	"github.com/sealwright/sealwright/pki/tbs"
)

// A mould is what one real order left in the database, from which any number
// of others are made: rows with the content and size of real ones, whose
// certificates parse but for their signature.
type mould struct {
	order, certificate, audit cast
	id, cn, serial            string
	raw                       []byte // serial number
	auditID                   int    // column
}

// A cast is one row of a table.
type cast struct {
	insert  string
	columns []string
	values  []any
	changes []int // columns that are different in every order
}

// newMould has the product issue a certificate and takes the rows.
func newMould(ctx context.Context, h *house.House) (*mould, error) {
	r, err := newRequest("mould.bench.example")
	if err != nil {
		return nil, err
	}
	o, err := h.WSCerts.Create(ctx, access.System("bench"), wscert.Request{Realm: access.Production, Service: "demo", ShortName: "mould 0", Mode: wscert.Direct, CSR: r.pem})
	if err != nil {
		return nil, err
	}
	m := &mould{id: o.ID, cn: o.CommonName, serial: o.Serial}
	if m.raw, err = hex.DecodeString(o.Serial); err != nil {
		return nil, err
	}
	q := h.DB.View(ctx)
	for _, x := range []struct {
		into          *cast
		table, column string
	}{{&m.order, "wscert_orders", "id"}, {&m.certificate, "certificates", "order_id"}, {&m.audit, "audit_entries", "object_id"}} {
		if *x.into, err = newCast(q, x.table, x.column, o.ID); err != nil {
			return nil, fmt.Errorf("%s: %w", x.table, err)
		}
		x.into.find(m.differs)
	}
	m.auditID = slices.Index(m.audit.columns, "id")
	i := slices.Index(m.audit.columns, "leaf")
	m.audit.values[i] = nil // the sequencer may have been quick
	return m, nil
}

func newCast(q store.Queryer, table, column, value string) (cast, error) {
	rows, err := q.Query(`SELECT * FROM `+table+` WHERE `+column+` = $1 LIMIT 1`, value)
	if err != nil {
		return cast{}, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return cast{}, err
	}
	c := cast{columns: names, values: make([]any, len(names))}
	into := make([]any, len(names))
	for i := range into {
		into[i] = &c.values[i]
	}
	if !rows.Next() {
		return cast{}, errors.Join(store.ErrNotFound, rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		return cast{}, err
	}
	numbers := make([]string, len(names))
	for i := range numbers {
		numbers[i] = fmt.Sprintf("$%d", i+1)
	}
	c.insert = `INSERT INTO ` + table + ` (` + strings.Join(names, ", ") + `) VALUES (` + strings.Join(numbers, ", ") + `)`
	return c, rows.Err()
}

// pour gives the row with the changeable values replaced by fn.
func (c cast) pour(fn func(v any) any) reference.Statement {
	args := slices.Clone(c.values)
	for _, i := range c.changes {
		args[i] = fn(args[i])
	}
	return reference.Statement{SQL: c.insert, Args: args}
}

// find notes which columns hold what is different in every order.
func (c *cast) find(differs func(v any) bool) {
	for i, v := range c.values {
		if differs(v) {
			c.changes = append(c.changes, i)
		}
	}
}

// differs tells whether a value holds the id, name or serial number.
func (m *mould) differs(v any) bool {
	switch x := v.(type) {
	case string:
		return strings.Contains(x, m.id) || strings.Contains(x, m.cn) || strings.Contains(x, m.serial)
	case []byte:
		return bytes.Contains(x, m.raw) || bytes.Contains(x, []byte(m.cn))
	}
	return false
}

// next makes the rows of one more order, whose certificate carries a number of
// its own, and returns the certificate's serial number.
func (m *mould) next(n int64, now time.Time, withAudit bool) (rows []reference.Statement, serial string) {
	id, cn, raw := ident.New("ord"), fmt.Sprintf("demo-ws-ssl-app-%d", n), tbs.NewSerial(now, rand.Reader)
	serial = hex.EncodeToString(raw)
	replace := strings.NewReplacer(m.id, id, m.cn, cn, m.serial, serial)
	change := func(v any) any {
		switch x := v.(type) {
		case string:
			return replace.Replace(x)
		case []byte:
			// The name's length may change, so the certificate around it does not: its
			// encoding would no longer be right.
			if i := bytes.Index(x, m.raw); i >= 0 {
				return append(append(append(make([]byte, 0, len(x)), x[:i]...), raw...), x[i+len(raw):]...)
			}
			return bytes.Replace(x, []byte(m.cn), []byte(cn), 1)
		}
		return v
	}
	rows = append(rows, m.certificate.pour(change), m.order.pour(change))
	if withAudit {
		row := m.audit.pour(change)
		row.Args[m.auditID] = ident.New("aud")
		rows = append(rows, row)
	}
	return rows, serial
}

// batch is how many orders share a transaction while a database is filled.
const batch = 5000

// samples is how many serial numbers and ids are remembered, spread over all.
const samples = 1000

// A stock tells what a database was filled with.
type stock struct {
	count   int64
	serials []string
	ids     []string
}

// fill makes orders with their certificates until there are want. Audit entries
// are left out: their tree cannot be made from raw rows.
func (st *stock) fill(ctx context.Context, db *store.DB, m *mould, want int64) error {
	for st.count < want {
		n := min(batch, want-st.count)
		serials, ids := []string(nil), []string(nil)
		err := db.Update(ctx, func(tx *store.Tx) error {
			serials, ids = nil, nil
			now := time.Now()
			for i := range n {
				rows, serial := m.next(st.count+i+1, now, false)
				for _, r := range rows {
					if _, err := tx.Exec(r.SQL, r.Args...); err != nil {
						return err
					}
				}
				if (st.count+i)%max(1, want/samples) == 0 {
					serials = append(serials, serial)
					ids = append(ids, m.idOf(rows))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		st.count += n
		st.serials, st.ids = append(st.serials, serials...), append(st.ids, ids...)
	}
	if db.Engine() == store.Postgres { // as its own maintenance would do a moment later
		return db.Raw(ctx, "ANALYZE")
	}
	return nil
}

// idOf is the id in an order's row.
func (m *mould) idOf(rows []reference.Statement) string {
	return rows[1].Args[slices.Index(m.order.columns, "id")].(string)
}

// copyFile copies a database that is closed.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Close())
}
