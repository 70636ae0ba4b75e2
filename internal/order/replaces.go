package order

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Replaces tells whether a client has a certificate of ours for all of these
// names that ends later: an imported one needs no more reminders then (A67).
func (e *Engine) Replaces(ctx context.Context, realm access.Realm, client string, names []string, end time.Time) (bool, error) {
	if len(names) == 0 || len(names) > maxNames {
		return false, nil
	}
	args := []any{string(realm), client, store.Micros(end)}
	marks := make([]string, len(names))
	for i, name := range names {
		args = append(args, strings.ToLower(name))
		marks[i] = fmt.Sprintf("$%d", len(args))
	}
	var n int64
	err := e.DB.View(ctx).QueryRow(fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT n.order_id FROM order_names n JOIN orders o ON o.id = n.order_id
		WHERE n.name IN (%s) AND o.realm = $1 AND o.client = $2 AND o.state = 'ISSUED' AND o.not_after > $3 GROUP BY n.order_id HAVING COUNT(*) = %d) whole`,
		strings.Join(marks, ", "), len(names)), args...).Scan(&n)
	return n > 0, err
}
