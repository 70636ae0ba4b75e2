package access

import (
	"context"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Ten codes of 24 characters. They carry 138 bits, so that a plain hash is
// enough to keep them.
const (
	recoveryCodes  = 10
	recoveryLength = 24
	recoveryGroup  = 6
)

// NewRecoveryCodes replaces all recovery codes; they are shown once. It needs a
// proof of identity within ten minutes.
func (d *Directory) NewRecoveryCodes(ctx context.Context, s Session) ([]secret.Text, error) {
	if err := s.RequireRecent(d.Clock.Now(), recentProof); err != nil {
		return nil, err
	}
	var codes []secret.Text
	err := d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) (err error) {
		if codes, err = replaceCodes(tx, s.Operator.ID); err != nil {
			return err
		}
		return d.note(tx, "operator.recovery_codes", "operator", s.Operator.ID, place{})
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// VerifyRecoveryCode completes a sign-in whose second factor is lost. Each code
// works once. Blanks and dashes do not matter.
func (d *Directory) VerifyRecoveryCode(ctx context.Context, s Session, code string) (Login, error) {
	hash := secret.Hash(ungroup(code))
	return d.trySecond(ctx, s, "recovery", func(tx *store.Tx) (bool, error) {
		n, err := tx.Exec(`DELETE FROM access_recovery_codes WHERE hash = $1 AND operator_id = $2`, hash, s.Operator.ID)
		return n == 1, err
	})
}

func replaceCodes(tx *store.Tx, operator string) ([]secret.Text, error) {
	if _, err := tx.Exec(`DELETE FROM access_recovery_codes WHERE operator_id = $1`, operator); err != nil {
		return nil, err
	}
	codes := make([]secret.Text, recoveryCodes)
	for i := range codes {
		code := secret.NewPassword(recoveryLength).Reveal()
		if _, err := tx.Exec(`INSERT INTO access_recovery_codes (hash, operator_id) VALUES ($1, $2)`, secret.Hash(code), operator); err != nil {
			return nil, err
		}
		codes[i] = secret.New(group(code))
	}
	return codes, nil
}

func group(code string) string {
	var parts []string
	for ; len(code) > recoveryGroup; code = code[recoveryGroup:] {
		parts = append(parts, code[:recoveryGroup])
	}
	return strings.Join(append(parts, code), "-")
}

func ungroup(code string) string {
	return strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code))
}
