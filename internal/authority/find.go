package authority

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Filter picks certificates; what is set must all hold. Whether the caller may
// see them is the caller's affair: set Realm and Client by its scope.
type Filter struct {
	Authority string // id; empty for all
	Realm     string
	Client    string
	Service   string
	Kind      string
	Statuses  []string // empty for all but intents and voided ones
	// IssuedFrom and IssuedTo bound when a certificate was issued, which its
	// serial number says: from, and before.
	IssuedFrom, IssuedTo time.Time
	ValidAt              time.Time // not yet expired then
}

// findPage bounds one read, so that no reader holds on to the database.
const findPage = 500

// Find yields the certificates that a filter picks, by authority and in the
// order of issuing, without end of what it can hold: it reads a few hundred at a
// time. Certificates that are issued meanwhile may be among them.
func (a *Authorities) Find(ctx context.Context, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		ids := []string{f.Authority}
		if f.Authority == "" {
			list, err := a.List(ctx)
			if err != nil {
				yield(Record{}, err)
				return
			}
			ids = ids[:0]
			for _, x := range list {
				ids = append(ids, x.ID)
			}
		}
		for _, id := range ids {
			if !a.findIn(ctx, id, f, yield) {
				return
			}
		}
	}
}

func (a *Authorities) findIn(ctx context.Context, id string, f Filter, yield func(Record, error) bool) bool {
	where, args := f.where(id)
	query := fmt.Sprintf(`SELECT %s FROM certificates WHERE %s ORDER BY serial LIMIT %d`, recordColumns, where, findPage)
	for {
		rows, err := a.db.View(ctx).Query(query, args...)
		page, err := store.Collect(rows, err, func(r *store.Rows) (Record, error) { return scanRecord(r) })
		if err != nil {
			yield(Record{}, err)
			return false
		}
		for _, r := range page {
			if !yield(r, nil) {
				return false
			}
		}
		if len(page) < findPage {
			return true
		}
		args[1] = page[len(page)-1].Serial
	}
}

// where builds the condition; its second argument is the serial number to go on
// from.
func (f Filter) where(id string) (string, []any) {
	args := []any{id, []byte{}}
	parts := []string{"authority = $1", "serial > $2"}
	add := func(format string, arg any) {
		args = append(args, arg)
		parts = append(parts, fmt.Sprintf(format, len(args)))
	}
	if !f.IssuedFrom.IsZero() {
		args[1] = serialAt(f.IssuedFrom) // shorter than, and so before, those of that moment
	}
	if !f.IssuedTo.IsZero() {
		add("serial < $%d", serialAt(f.IssuedTo))
	}
	for _, c := range []struct{ column, value string }{{"realm", f.Realm}, {"client", f.Client}, {"service", f.Service}, {"kind", f.Kind}} {
		if c.value != "" {
			add(c.column+" = $%d", c.value)
		}
	}
	if !f.ValidAt.IsZero() {
		add("not_after >= $%d", store.Micros(f.ValidAt))
	}
	statuses := f.Statuses
	if len(statuses) == 0 {
		statuses = []string{CertValid, CertRevoked}
	}
	marks := make([]string, len(statuses))
	for i, s := range statuses {
		args = append(args, s)
		marks[i] = fmt.Sprintf("$%d", len(args))
	}
	parts = append(parts, "status IN ("+strings.Join(marks, ", ")+")")
	return strings.Join(parts, " AND "), args
}

// serialAt is how the serial numbers of a moment begin (see tbs.NewSerial).
func serialAt(t time.Time) []byte {
	ms := min(max(t.UnixMilli(), 1<<40), 1<<47-1)
	return []byte{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
}

// A Tally says what a revocation of many did.
type Tally struct {
	Revoked int64 // by this call
	Already int64 // were revoked before
}

// bulk is how many certificates are revoked in one transaction: few enough that
// other writers hardly notice it.
const bulk = 100

// WithdrawAll revokes every certificate that a filter and then pick, if given,
// choose. It commits as it goes: after an error or a crash, call it again, and
// it goes on with what is left.
func (a *Authorities) WithdrawAll(ctx context.Context, f Filter, pick func(Record) bool, w Withdrawal) (Tally, error) {
	if len(f.Statuses) == 0 {
		f.Statuses = []string{CertValid}
		if w.Reason == KeyCompromise {
			f.Statuses = append(f.Statuses, CertRevoked) // the reason is put right
		}
	}
	return a.withdrawEach(ctx, func(yield func(Record, error) bool) {
		for r, err := range a.Find(ctx, f) {
			if err == nil && pick != nil && !pick(r) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}, w)
}

func (a *Authorities) withdrawEach(ctx context.Context, records iter.Seq2[Record, error], w Withdrawal) (Tally, error) {
	var done Tally
	batch := make([]Record, 0, bulk)
	for r, err := range records {
		if err != nil {
			return done, err
		}
		if batch = append(batch, r); len(batch) == bulk {
			if err := a.withdrawBatch(ctx, batch, w, &done); err != nil {
				return done, err
			}
			batch = batch[:0]
		}
	}
	return done, a.withdrawBatch(ctx, batch, w, &done)
}

func (a *Authorities) withdrawBatch(ctx context.Context, batch []Record, w Withdrawal, done *Tally) error {
	if len(batch) == 0 {
		return nil
	}
	var now Tally
	err := a.db.Update(ctx, func(tx *store.Tx) error {
		now = Tally{}
		for _, r := range batch {
			err := a.Withdraw(tx, r.Authority, r.Serial, w)
			switch {
			case errors.Is(err, fault.Conflict):
				now.Already++
			case err != nil:
				return err
			default:
				now.Revoked++
			}
		}
		return nil
	})
	if err == nil {
		done.Revoked, done.Already = done.Revoked+now.Revoked, done.Already+now.Already
	}
	return err
}
