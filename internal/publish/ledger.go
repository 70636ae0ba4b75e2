package publish

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// ledger keeps the directory entries that were made for certificates of one
// publisher.
type ledger struct {
	p         *Publishing
	publisher string
}

// Made implements [place.Ledger].
func (l ledger) Made(ctx context.Context, entry string) (map[string][]string, bool, error) {
	var text string
	err := l.p.o.DB.View(ctx).QueryRow(`SELECT attributes FROM publish_entries WHERE publisher = $1 AND entry_key = $2`, l.publisher, strings.ToLower(entry)).Scan(&text)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var attributes map[string][]string
	err = json.Unmarshal([]byte(text), &attributes)
	return attributes, err == nil, err
}

// Note implements [place.Ledger].
func (l ledger) Note(ctx context.Context, entry string, attributes map[string][]string) error {
	text, err := json.Marshal(attributes)
	if err != nil {
		return err
	}
	return l.p.o.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO publish_entries (publisher, entry_key, attributes, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (publisher, entry_key) DO UPDATE SET attributes = excluded.attributes`, l.publisher, strings.ToLower(entry), string(text), store.Micros(l.p.now()))
		return err
	})
}

// Forget implements [place.Ledger].
func (l ledger) Forget(ctx context.Context, entry string) error {
	return l.p.o.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM publish_entries WHERE publisher = $1 AND entry_key = $2`, l.publisher, strings.ToLower(entry))
		return err
	})
}
