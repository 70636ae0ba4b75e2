package housetest

import (
	"context"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/store"
)

// invariants are what no row may contradict once the sweeps have run: each
// query counts what must not be there.
var invariants = map[string]string{
	"orders that are still being worked on":                     `SELECT COUNT(*) FROM wscert_orders WHERE lease > 0 OR state IN ('KEY_VALIDATION', 'ISSUE')`,
	"certificates that hang between intent and record":          `SELECT COUNT(*) FROM certificates WHERE status = 'intent'`,
	"issued orders without their valid certificate":             `SELECT COUNT(*) FROM wscert_orders o WHERE o.state = 'ISSUED' AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.order_id = o.id AND c.status = 'valid')`,
	"valid certificates without an issued order":                `SELECT COUNT(*) FROM certificates c WHERE c.kind = 'ws-ssl' AND c.status = 'valid' AND NOT EXISTS (SELECT 1 FROM wscert_orders o WHERE o.id = c.order_id AND o.state = 'ISSUED')`,
	"orders with more than one valid certificate":               `SELECT COUNT(*) FROM (SELECT order_id FROM certificates WHERE status = 'valid' AND kind = 'ws-ssl' GROUP BY order_id HAVING COUNT(*) > 1) AS twice`,
	"serial numbers that occur twice":                           `SELECT COUNT(*) FROM (SELECT serial FROM certificates GROUP BY serial HAVING COUNT(*) > 1) AS twice`,
	"orders that keep a key they need no more":                  `SELECT COUNT(*) FROM wscert_orders WHERE sealed_key IS NOT NULL AND state <> 'ISSUE'`,
	"passwords sent for files that were not delivered":          `SELECT COUNT(*) FROM outbox m WHERE m.dkey LIKE 'handover-password/%' AND NOT EXISTS (SELECT 1 FROM handovers h WHERE 'handover-password/' || h.id = m.dkey AND h.state = 'delivered')`,
	"delivered key files without their password":                `SELECT COUNT(*) FROM handovers h WHERE h.kind = 'pkcs12' AND h.state = 'delivered' AND NOT EXISTS (SELECT 1 FROM outbox m WHERE 'handover-password/' || h.id = m.dkey)`,
	"delivered files that are still here":                       `SELECT COUNT(*) FROM handovers WHERE state IN ('delivered', 'closed') AND (file IS NOT NULL OR password IS NOT NULL)`,
	"deliveries without an order":                               `SELECT COUNT(*) FROM handovers h WHERE NOT EXISTS (SELECT 1 FROM wscert_orders o WHERE o.id = h.order_id AND o.handover = h.id)`,
	"deliveries and orders that disagree on the delivery":       `SELECT COUNT(*) FROM handovers h JOIN wscert_orders o ON o.handover = h.id WHERE (h.state = 'delivered') <> (o.delivered_at > 0)`,
	"revoked certificates missing from the list of revocations": `SELECT COUNT(*) FROM certificates c WHERE c.status = 'revoked' AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.authority = c.authority AND r.serial = c.serial)`,
	"revocations of certificates that are not revoked":          `SELECT COUNT(*) FROM revocations r WHERE NOT r.released AND NOT EXISTS (SELECT 1 FROM certificates c WHERE r.authority = c.authority AND r.serial = c.serial AND c.status = 'revoked')`,
	"issued orders without an audit entry":                      `SELECT COUNT(*) FROM wscert_orders o WHERE o.state = 'ISSUED' AND NOT EXISTS (SELECT 1 FROM audit_entries a WHERE a.object_id = o.id AND a.action = 'order.issue')`,
	"API client certificates that were never finished":          `SELECT COUNT(*) FROM api_certificates WHERE status = 'pending'`,
	"API client certificates that disagree with the register":   `SELECT COUNT(*) FROM api_certificates a JOIN certificates c ON c.authority = a.authority AND c.order_id = a.id WHERE (a.status = 'deleted') <> (c.status = 'revoked')`,
	"erased messages that keep their secret":                    `SELECT COUNT(*) FROM outbox WHERE state NOT IN ('waiting', 'sending') AND LENGTH(secret) > 0`,
	"documents without an audit entry":                          `SELECT COUNT(*) FROM documents d WHERE NOT EXISTS (SELECT 1 FROM audit_entries a WHERE a.object_id = d.id AND a.action = 'document.create')`,
}

// Invariants holds a database against what must be true at rest. Run the sweeps
// first, with a clock that is past every lease.
func Invariants(tb testing.TB, db *store.DB) {
	tb.Helper()
	for what, query := range invariants {
		if n := Count(tb, db, query); n != 0 {
			tb.Errorf("%d %s", n, what)
		}
	}
}

// Count runs a counting query.
func Count(tb testing.TB, db *store.DB, query string, args ...any) int64 {
	tb.Helper()
	var n int64
	if err := db.View(context.Background()).QueryRow(query, args...).Scan(&n); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return n
}
