package order

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// extras are what a new order brings beside the certificate.
type extras struct {
	tags       []string
	recipients []Recipient
	comment    string
	documents  []Document
}

func (e *Engine) enterExtras(tx *store.Tx, w *work) error {
	if err := enterTags(tx, w.ID, w.extras.tags); err != nil {
		return err
	}
	if _, err := enterRecipients(tx, w.ID, w.extras.recipients); err != nil {
		return err
	}
	if err := enterDocuments(tx, w.ID, w.extras.documents); err != nil {
		return err
	}
	if w.extras.comment == "" {
		return nil
	}
	return e.comment(tx, w.ID, w.Creator, w.CreatorName, w.extras.comment)
}

func enterTags(tx *store.Tx, id string, tags []string) error {
	for _, t := range tags {
		if _, err := tx.Exec(`INSERT INTO order_tags (tag, order_id) VALUES ($1, $2) ON CONFLICT (tag, order_id) DO NOTHING`, t, id); err != nil {
			return err
		}
	}
	return nil
}

// Tags lists the tags of orders, by order.
func (e *Engine) Tags(ctx context.Context, orders ...string) (map[string][]string, error) {
	out := map[string][]string{}
	if len(orders) == 0 {
		return out, nil
	}
	var q query
	in(&q, "order_id", orders)
	rows, err := e.DB.View(ctx).Query(`SELECT order_id, tag FROM order_tags WHERE `+q.conds[0]+` ORDER BY order_id, tag`, q.args...)
	_, err = store.Collect(rows, err, func(r *store.Rows) (struct{}, error) {
		var id, tag string
		err := r.Scan(&id, &tag)
		out[id] = append(out[id], tag)
		return struct{}{}, err
	})
	return out, err
}

// SetTags replaces the tags of an order.
func (e *Engine) SetTags(ctx context.Context, s access.Scope, id string, tags []string) error {
	w, err := e.loadFor(ctx, s, access.CertificateAnnotate, id)
	if err != nil {
		return err
	}
	r := Request{Tags: slices.Clone(tags)}
	if err := r.check(w.product); err != nil {
		return err
	}
	return e.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM order_tags WHERE order_id = $1`, id); err != nil {
			return err
		}
		if err := enterTags(tx, id, r.Tags); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.tags", map[string]string{"tags": strings.Join(r.Tags, ", ")})
	})
}

// A Comment is what somebody noted on an order (A98, A174).
type Comment struct {
	ID, Author, Name, Text string
	At                     time.Time
}

// AddComment notes something on an order, for other operators to see.
func (e *Engine) AddComment(ctx context.Context, s access.Scope, id, text string) error {
	w, err := e.loadFor(ctx, s, access.CertificateAnnotate, id)
	if err != nil {
		return err
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > maxComment {
		return fault.Invalidf("order.comment", "A comment has 1 to %d bytes.", maxComment).WithField("comment")
	}
	me := s.Principal()
	return e.DB.Update(ctx, func(tx *store.Tx) error {
		if err := e.comment(tx, id, me.ID, me.Name, text); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.comment", nil)
	})
}

func (e *Engine) comment(tx *store.Tx, id, author, name, text string) error {
	_, err := tx.Exec(`INSERT INTO order_comments (id, order_id, author, name, text, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		ident.New("com"), id, author, name, text, store.Micros(e.Clock.Now()))
	return err
}

// Comments lists what was noted on an order, the oldest first.
func (e *Engine) Comments(ctx context.Context, o *Order) ([]Comment, error) {
	rows, err := e.DB.View(ctx).Query(`SELECT id, author, name, text, at FROM order_comments WHERE order_id = $1 ORDER BY id LIMIT 1000`, o.ID)
	return store.Collect(rows, err, func(r *store.Rows) (c Comment, err error) {
		var at int64
		err = r.Scan(&c.ID, &c.Author, &c.Name, &c.Text, &at)
		c.At = store.Time(at)
		return c, err
	})
}

// enterRecipients adds people to be told, and returns those who were not there.
func enterRecipients(tx *store.Tx, id string, list []Recipient) (added []Recipient, err error) {
	for _, r := range list {
		n, err := tx.Exec(`INSERT INTO order_recipients (order_id, kind, email, language) VALUES ($1, $2, $3, $4) ON CONFLICT (order_id, kind, email) DO NOTHING`, id, r.Kind, r.Email, r.Language)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			added = append(added, r)
		}
	}
	return added, nil
}

func (e *Engine) recipients(q store.Queryer, id, kind string) ([]Recipient, error) {
	rows, err := q.Query(`SELECT kind, email, language FROM order_recipients WHERE order_id = $1 AND ($2 = '' OR kind = $2) ORDER BY kind, email`, id, kind)
	return store.Collect(rows, err, func(r *store.Rows) (x Recipient, err error) { return x, r.Scan(&x.Kind, &x.Email, &x.Language) })
}

// Recipients lists the additional recipients of an order (A99, A169).
func (e *Engine) Recipients(ctx context.Context, o *Order) ([]Recipient, error) {
	return e.recipients(e.DB.View(ctx), o.ID, "")
}

// AddRecipients adds people to be told and returns those who were not there yet.
func (e *Engine) AddRecipients(ctx context.Context, s access.Scope, id string, list []Recipient) (added []Recipient, err error) {
	w, err := e.loadFor(ctx, s, access.CertificateAnnotate, id)
	if err != nil {
		return nil, err
	}
	have, err := e.Recipients(ctx, w.Order)
	if err != nil {
		return nil, err
	}
	if len(have)+len(list) > maxRecipients {
		return nil, fault.Invalidf("order.recipients", "An order has at most %d additional recipients.", maxRecipients).WithField("recipients")
	}
	for i := range list {
		if err := list[i].check(w.product); err != nil {
			return nil, err
		}
	}
	err = e.DB.Update(ctx, func(tx *store.Tx) error {
		var err error
		if added, err = enterRecipients(tx, id, list); err != nil || len(added) == 0 {
			return err
		}
		return e.record(tx, w.Order, "order.recipients.add", addresses(added))
	})
	return added, err
}

// RemoveRecipients removes people and returns those who were there.
func (e *Engine) RemoveRecipients(ctx context.Context, s access.Scope, id string, list []Recipient) (removed []Recipient, err error) {
	w, err := e.loadFor(ctx, s, access.CertificateAnnotate, id)
	if err != nil {
		return nil, err
	}
	err = e.DB.Update(ctx, func(tx *store.Tx) error {
		removed = nil
		for _, r := range list {
			n, err := tx.Exec(`DELETE FROM order_recipients WHERE order_id = $1 AND kind = $2 AND email = $3`, id, r.Kind, r.Email)
			if err != nil {
				return err
			}
			if n > 0 {
				removed = append(removed, r)
			}
		}
		if len(removed) == 0 {
			return nil
		}
		return e.record(tx, w.Order, "order.recipients.remove", addresses(removed))
	})
	return removed, err
}

func addresses(list []Recipient) map[string]string {
	var all []string
	for _, r := range list {
		all = append(all, r.Kind+" "+r.Email)
	}
	return map[string]string{"recipients": strings.Join(all, ", ")}
}

// SetOwner says who looks after a certificate.
func (e *Engine) SetOwner(ctx context.Context, s access.Scope, id, owner string) (*Order, error) {
	w, err := e.loadFor(ctx, s, access.CertificateAnnotate, id)
	if err != nil {
		return nil, err
	}
	if err := (&Request{Owner: owner}).check(w.product); err != nil {
		return nil, err
	}
	was := w.Owner
	w.Owner = strings.TrimSpace(owner)
	return w.Order, e.commit(ctx, w, func(tx *store.Tx) error {
		return e.record(tx, w.Order, "order.owner", map[string]string{"was": was, "is": w.Owner})
	})
}

// keyTag is by what a key is looked up: collisions are settled by the key itself.
func keyTag(spki []byte) []byte {
	sum := sha256.Sum256(spki)
	return sum[:16]
}

func enterKey(tx *store.Tx, o *Order) error {
	_, err := tx.Exec(`INSERT INTO order_keys (spki, order_id, client) VALUES ($1, $2, $3) ON CONFLICT (spki, order_id) DO NOTHING`, keyTag(o.spki), o.ID, o.Client)
	return err
}

// orderOfKey is an order with a certificate for the key, other than one.
func (e *Engine) orderOfKey(q store.Queryer, spki []byte, other string) (id string, err error) {
	err = q.QueryRow(`SELECT k.order_id FROM order_keys k JOIN orders o ON o.id = k.order_id WHERE k.spki = $1 AND k.order_id <> $2 AND o.serial <> '' LIMIT 1`, keyTag(spki), other).Scan(&id)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return id, err
}

// Owner names the clients that hold certificates for a key, by the SHA-256 of
// its SPKI in hex: the question that package keycheck asks.
func (e *Engine) Owner(q store.Queryer, spkiHash string) ([]string, error) {
	hash, err := hex.DecodeString(spkiHash)
	if err != nil || len(hash) != sha256.Size {
		return nil, fmt.Errorf("%q is not a SHA-256", spkiHash)
	}
	rows, err := q.Query(`SELECT DISTINCT client FROM order_keys WHERE spki = $1 ORDER BY client LIMIT 10`, hash[:16])
	return store.Collect(rows, err, func(r *store.Rows) (c string, err error) { return c, r.Scan(&c) })
}
