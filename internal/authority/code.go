package authority

import (
	"context"
	"errors"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// codeLength gives a revocation code 139 bits: nobody guesses one, so that
// guesses need not be counted, and its plain hash suffices.
const codeLength = 24

// NewRevocationCode gives a certificate a code with which whoever holds it can
// revoke it, once, without signing in. Only its hash is kept; an earlier code of
// the certificate is void.
func (a *Authorities) NewRevocationCode(tx *store.Tx, authority string, serial []byte) (secret.Text, error) {
	code := secret.NewPassword(codeLength)
	_, err := tx.Exec(`INSERT INTO revocation_codes (authority, serial, hash, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (authority, serial) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at`,
		authority, serial, secret.Hash(code.Reveal()), store.Micros(a.clock.Now()))
	return code, err
}

// ByCode finds the certificate that a revocation code revokes, to be shown
// before it is. An unknown or used code is NotFound.
func (a *Authorities) ByCode(ctx context.Context, code secret.Text) (Record, error) {
	return a.byCode(a.db.View(ctx), code)
}

func (a *Authorities) byCode(q store.Queryer, code secret.Text) (Record, error) {
	var authority string
	var serial []byte
	err := q.QueryRow(`SELECT authority, serial FROM revocation_codes WHERE hash = $1`, secret.Hash(code.Reveal())).Scan(&authority, &serial)
	if errors.Is(err, store.ErrNotFound) {
		return Record{}, fault.NotFoundf("revocation.code", "This revocation code is unknown or was used.").WithField("code").WithNext("Ask your registration authority to revoke the certificate.")
	}
	if err != nil {
		return Record{}, err
	}
	return a.Lookup(q, authority, serial)
}

// WithdrawByCode revokes the certificate of a revocation code, which is then
// used up. A wrong code is written to the audit log and NotFound.
func (a *Authorities) WithdrawByCode(ctx context.Context, code secret.Text, reason Reason) (Record, error) {
	var r Record
	err := a.db.Update(ctx, func(tx *store.Tx) (err error) {
		if r, err = a.byCode(tx, code); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM revocation_codes WHERE authority = $1 AND serial = $2`, r.Authority, r.Serial); err != nil {
			return err
		}
		return a.Withdraw(tx, r.Authority, r.Serial, Withdrawal{By: RoleSubscriber, Reason: reason, Why: "revocation code"})
	})
	if errors.Is(err, fault.NotFound) {
		err = errors.Join(err, a.audit.Record(ctx, audit.Entry{Action: "certificate.revoke", Result: audit.Refused, Detail: map[string]string{"why": "wrong revocation code"}}))
	}
	return r, err
}
