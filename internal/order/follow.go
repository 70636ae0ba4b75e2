package order

import (
	"errors"

	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Follow keeps an order in step with its certificate when somebody else than the
// engine revokes or releases it, such as everything with a compromised key. It is
// called in that transaction (authority.Authorities.OnChange). For our own
// revocations, which write the order first, there is nothing left to do.
func (e *Engine) Follow(tx *store.Tx, c authority.Record) error {
	if c.Kind != kind {
		return nil
	}
	o, err := scanWhole(tx.QueryRow(`SELECT `+columns+`, `+workColumns+` FROM orders o JOIN order_work w ON w.id = o.id
		WHERE o.id = $1 AND o.serial = $2 AND o.state IN ('ISSUED', 'REVOKED')`, c.OrderID, authority.SerialText(c.Serial)))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	state := Issued
	if c.Status == authority.CertRevoked {
		state = Revoked
	}
	if o.State == state && o.Reason == c.Reason {
		return nil
	}
	now, first := e.Clock.Now(), o.State == Issued
	o.State, o.Reason, o.RevokedAt = state, c.Reason, c.RevokedAt
	o.did(JobRevoke, now, "by the authority, reason "+c.Reason.String())
	if err := save(tx, o, encode(o), now); err != nil {
		return err
	}
	if state == Revoked {
		if e.Publisher != nil {
			if err := e.Publisher.QueueRemoval(tx, o.ID, "revoked"); err != nil {
				return err
			}
		}
		if c.Reason != authority.CertificateHold { // that may be released
			if err := e.eraseFiles(tx, o.ID); err != nil {
				return err
			}
		}
		if first {
			if err := e.count(tx, o, "revoked"); err != nil {
				return err
			}
		}
		if err := lapseOpen(tx, o.ID, actRevoke); err != nil {
			return err
		}
	}
	return e.record(tx, o, "order.follow", map[string]string{"state": string(state), "reason": c.Reason.String()})
}
