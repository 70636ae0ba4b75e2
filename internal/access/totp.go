package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Codes follow RFC 6238 with what every authenticator app supports: SHA-1, six
// digits, steps of 30 seconds. One step either way is accepted (section 5.2).
const (
	totpStep = 30 * time.Second
	totpSkew = 1
)

// A TOTPEnrolment is a new secret for an authenticator app.
type TOTPEnrolment struct {
	Secret secret.Text // base32, for typing
	URL    secret.Text // otpauth://…, for a QR code
}

func totpPurpose(operator string) string { return "access/totp/" + operator }

// BeginTOTP makes a secret and keeps it sealed until [Directory.ConfirmTOTP]
// shows that the app has it; an earlier unconfirmed one is forgotten. It is a
// Conflict when the operator has one in use.
func (d *Directory) BeginTOTP(ctx context.Context, s Session) (TOTPEnrolment, error) {
	if err := d.mayEnrol(s); err != nil {
		return TOTPEnrolment{}, err
	}
	var raw [20]byte // the size of SHA-1's output (RFC 4226, section 4)
	rand.Read(raw[:])
	key := base32.StdEncoding.EncodeToString(raw[:])
	sealed, err := d.Sealer.Seal(totpPurpose(s.Operator.ID), []byte(key))
	if err != nil {
		return TOTPEnrolment{}, err
	}
	err = d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO access_totp (operator_id, sealed) VALUES ($1, $2)
			ON CONFLICT (operator_id) DO UPDATE SET sealed = excluded.sealed, last_step = 0 WHERE access_totp.confirmed_at = 0`, s.Operator.ID, sealed)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("totp.exists", "An authenticator app is already set up.").WithNext("Remove it first.")
		}
		return nil
	})
	if err != nil {
		return TOTPEnrolment{}, err
	}
	return TOTPEnrolment{Secret: secret.New(key), URL: secret.New(d.totpURL(s.Operator, key))}, nil
}

// totpURL writes the key URI that authenticator apps read.
func (d *Directory) totpURL(o Operator, key string) string {
	issuer := "Sealwright " + d.Host
	label := url.PathEscape(issuer + ":" + o.Email)
	return "otpauth://totp/" + label + "?secret=" + key + "&issuer=" + url.PathEscape(issuer) + "&algorithm=SHA1&digits=6&period=30"
}

// ConfirmTOTP puts the app's secret to use after its first right code.
func (d *Directory) ConfirmTOTP(ctx context.Context, s Session, code string) (Enrolled, error) {
	if err := d.mayEnrol(s); err != nil {
		return Enrolled{}, err
	}
	tries := d.accountThrottle("enrol", s.ID)
	if err := d.admit(ctx, tries); err != nil {
		return Enrolled{}, err
	}
	var e Enrolled
	err := d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) error {
		ok, err := d.useTOTP(tx, s.Operator.ID, false, code)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Invalidf("totp.wrong", "The code does not match the app.").
				WithNext("Check the telephone's clock and enter the code it shows now.").WithField("code")
		}
		if _, err := tx.Exec(`UPDATE access_totp SET confirmed_at = $2 WHERE operator_id = $1`, s.Operator.ID, store.Micros(d.Clock.Now())); err != nil {
			return err
		}
		if err := tries.forgive(tx); err != nil {
			return err
		}
		e, err = d.enrolled(tx, s, "totp")
		return err
	})
	if err != nil {
		return Enrolled{}, err
	}
	return e, nil
}

// VerifyTOTP proves the operator by a code. At the second-factor stage it
// completes the sign-in and returns the new session; later it renews the proof
// and returns nothing new.
func (d *Directory) VerifyTOTP(ctx context.Context, s Session, code string) (Login, error) {
	return d.trySecond(ctx, s, "totp", func(tx *store.Tx) (bool, error) { return d.useTOTP(tx, s.Operator.ID, true, code) })
}

// RemoveTOTP forgets the authenticator app. It needs a proof within ten minutes
// and refuses when it is the last second factor.
func (d *Directory) RemoveTOTP(ctx context.Context, s Session) error {
	return d.removeFactor(ctx, s, "totp", `DELETE FROM access_totp WHERE operator_id = $1 AND confirmed_at > 0`, s.Operator.ID)
}

// useTOTP checks a code and uses it up: the step must be later than that of any
// code accepted before (RFC 6238, section 5.2), also when two arrive at once.
func (d *Directory) useTOTP(tx *store.Tx, operator string, confirmed bool, code string) (bool, error) {
	var sealed []byte
	err := tx.QueryRow(`SELECT sealed FROM access_totp WHERE operator_id = $1 AND (confirmed_at > 0) = $2`, operator, confirmed).Scan(&sealed)
	if err = found(err); fault.Of(err).Kind == fault.NotFound {
		return false, nil
	} else if err != nil {
		return false, err
	}
	key, err := d.Sealer.Open(totpPurpose(operator), sealed)
	if err != nil {
		return false, fault.Wrap(err, "open the secret of an authenticator app")
	}
	step, ok, err := matchTOTP(string(key), strings.ReplaceAll(code, " ", ""), d.Clock.Now())
	if err != nil || !ok {
		return false, err
	}
	n, err := tx.Exec(`UPDATE access_totp SET last_step = $2 WHERE operator_id = $1 AND last_step < $2`, operator, step)
	return n == 1, err
}

// matchTOTP finds the time step that a code belongs to. It looks at all of them
// whatever it finds.
func matchTOTP(key, code string, now time.Time) (step int64, ok bool, err error) {
	current := now.Unix() / int64(totpStep/time.Second)
	for at := current - totpSkew; at <= current+totpSkew; at++ {
		want, err := hotp.GenerateCodeCustom(key, uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, false, fault.Wrap(err, "compute a time-based code")
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok, nil
}
