package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// maxPasskeys bounds the passkeys of one operator.
const maxPasskeys = 20

// newPasskeys sets up WebAuthn (W3C Web Authentication, level 3) for the host
// of the pages. Attestation is not asked for: any authenticator will do.
func newPasskeys(host string, origins []string) (*webauthn.WebAuthn, error) {
	w, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Sealwright", RPOrigins: origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("access: passkeys for host %q: %w", host, err)
	}
	return w, nil
}

// holder presents an operator to the library.
type holder struct {
	Operator
	credentials []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return []byte(h.ID) }
func (h holder) WebAuthnName() string                       { return h.Email }
func (h holder) WebAuthnDisplayName() string                { return h.Name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

func readHolder(q store.Queryer, operator string) (holder, error) {
	o, err := readOperator(q, operator)
	if err != nil {
		return holder{}, err
	}
	rows, err := q.Query(`SELECT data FROM access_passkeys WHERE operator_id = $1 ORDER BY id`, operator)
	list, err := store.Collect(rows, err, func(r *store.Rows) (c webauthn.Credential, err error) {
		var text string
		if err := r.Scan(&text); err != nil {
			return c, err
		}
		return c, json.Unmarshal([]byte(text), &c)
	})
	return holder{o, list}, err
}

// BeginPasskey starts the registration of a passkey for whoever has the
// session: while setting up the first factor, or after a recent proof.
func (d *Directory) BeginPasskey(ctx context.Context, s Session) (Ceremony, error) {
	if err := d.mayEnrol(s); err != nil {
		return Ceremony{}, err
	}
	h, err := readHolder(d.view(ctx), s.Operator.ID)
	if err != nil {
		return Ceremony{}, err
	}
	if len(h.credentials) >= maxPasskeys {
		return Ceremony{}, fault.TooManyf(0, "passkey.limit", "There are already %d passkeys.", len(h.credentials)).WithNext("Remove one first.")
	}
	exclude := webauthn.WithExclusions(webauthn.Credentials(h.credentials).CredentialDescriptors())
	options, data, err := d.passkeys.BeginRegistration(h, exclude)
	if err != nil {
		return Ceremony{}, err
	}
	return d.beginCeremony(ctx, registering, s.ID, options, data)
}

// FinishPasskey stores the passkey that the browser made. response is the
// JSON of the PublicKeyCredential.
func (d *Directory) FinishPasskey(ctx context.Context, s Session, ceremony, name string, response []byte) (Enrolled, error) {
	var f form
	if name = f.name("name", name); f.err != nil {
		return Enrolled{}, f.err
	}
	if err := d.mayEnrol(s); err != nil {
		return Enrolled{}, err
	}
	data, err := d.takeCeremony(ctx, registering, s.ID, ceremony)
	if err != nil {
		return Enrolled{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Enrolled{}, refusedPasskey(err)
	}
	credential, err := d.passkeys.CreateCredential(holder{Operator: s.Operator}, data, parsed)
	if err != nil {
		return Enrolled{}, refusedPasskey(err)
	}
	text, err := json.Marshal(credential)
	if err != nil {
		return Enrolled{}, err
	}
	var e Enrolled
	err = d.DB.Update(actingAs(ctx, s.principal()), func(tx *store.Tx) (err error) {
		n, err := tx.Exec(`INSERT INTO access_passkeys (id, operator_id, credential_id, name, data, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			ident.New("pky"), s.Operator.ID, credentialID(credential.ID), name, string(text), store.Micros(d.Clock.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Conflictf("passkey.exists", "That passkey is already registered.")
		}
		e, err = d.enrolled(tx, s, "passkey")
		return err
	})
	if err != nil {
		return Enrolled{}, err
	}
	return e, nil
}

func credentialID(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// RemovePasskey forgets a passkey. It needs a proof within ten minutes and
// refuses when it is the last second factor.
func (d *Directory) RemovePasskey(ctx context.Context, s Session, id string) error {
	return d.removeFactor(ctx, s, "passkey", `DELETE FROM access_passkeys WHERE id = $1 AND operator_id = $2`, id, s.Operator.ID)
}

// BeginPasskeyCheck asks for one of the operator's passkeys: as the second
// factor after the password, or as a fresh proof.
func (d *Directory) BeginPasskeyCheck(ctx context.Context, s Session) (Ceremony, error) {
	if s.ID == "" || s.Stage == NeedsEnrolment {
		return Ceremony{}, notSignedIn()
	}
	h, err := readHolder(d.view(ctx), s.Operator.ID)
	if err != nil {
		return Ceremony{}, err
	}
	if len(h.credentials) == 0 {
		return Ceremony{}, fault.Conflictf("passkey.none", "There is no passkey for this account.").WithNext("Use another second factor.")
	}
	options, data, err := d.passkeys.BeginLogin(h)
	if err != nil {
		return Ceremony{}, err
	}
	return d.beginCeremony(ctx, checking, s.ID, options, data)
}

// FinishPasskeyCheck proves the operator by passkey, as VerifyTOTP does by code.
func (d *Directory) FinishPasskeyCheck(ctx context.Context, s Session, ceremony string, response []byte) (Login, error) {
	data, err := d.takeCeremony(ctx, checking, s.ID, ceremony)
	if err != nil {
		return Login{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Login{}, refusedPasskey(err)
	}
	return d.trySecond(ctx, s, "passkey", func(tx *store.Tx) (bool, error) {
		h, err := readHolder(tx, s.Operator.ID)
		if err != nil {
			return false, err
		}
		credential, err := d.passkeys.ValidateLogin(h, data, parsed)
		if err != nil {
			return false, nil //nolint:nilerr // a bad signature is a wrong try, not a failure of ours
		}
		return d.usedPasskey(tx, credential)
	})
}

// BeginPasskeyLogin starts a sign-in by passkey alone. It tells nothing about
// accounts: the authenticator finds the one that it has.
func (d *Directory) BeginPasskeyLogin(ctx context.Context) (Ceremony, error) {
	options, data, err := d.passkeys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Ceremony{}, err
	}
	return d.beginCeremony(ctx, signingIn, "", options, data)
}

// FinishPasskeyLogin signs in by passkey alone. The authenticator must have
// verified its user (a finger, a PIN), so it is two factors in one and no
// password is asked for; an account that waits after wrong passwords can still
// be entered this way.
func (d *Directory) FinishPasskeyLogin(ctx context.Context, ceremony string, response []byte, o Origin) (Login, error) {
	data, err := d.takeCeremony(ctx, signingIn, "", ceremony)
	if err != nil {
		return Login{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Login{}, refusedPasskey(err)
	}
	address := d.addressThrottle("login", o.Address)
	if err := d.admit(ctx, address); err != nil {
		return Login{}, err
	}
	var login Login
	var refused error
	err = d.DB.Update(ctx, func(tx *store.Tx) error {
		login, refused = Login{}, nil
		var h holder
		user := func(_, handle []byte) (webauthn.User, error) {
			var err error
			h, err = readHolder(tx, cleanText(string(handle)))
			return h, err
		}
		_, credential, err := d.passkeys.ValidatePasskeyLogin(user, data, parsed)
		good := err == nil && h.Status == Active
		if good {
			if good, err = d.usedPasskey(tx, credential); err != nil {
				return err
			}
		}
		if !good {
			if errors.Is(err, fault.Unavailable) {
				return err
			}
			refused = refusedPasskey(err)
			return d.Audit.Append(tx, audit.Entry{Action: "operator.passkey", ObjectKind: "operator", ObjectID: h.ID, Result: audit.Refused})
		}
		if err := address.refund(tx); err != nil {
			return err
		}
		if err := d.noteSelf(tx, h.Operator, "operator.passkey", audit.OK); err != nil {
			return err
		}
		login, err = d.signedIn(tx, h.Operator, o)
		return err
	})
	return login, errors.Join(err, refused)
}

// usedPasskey stores the credential's new counter. A counter that went
// backwards means that somebody copied the key (section 6.1.1): the passkey is
// refused. A key without a counter always has zero.
func (d *Directory) usedPasskey(tx *store.Tx, c *webauthn.Credential) (bool, error) {
	if c.Authenticator.CloneWarning {
		return false, nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(`UPDATE access_passkeys SET data = $2, last_used_at = $3 WHERE credential_id = $1`, credentialID(c.ID), string(text), store.Micros(d.Clock.Now()))
	return n == 1, err
}

func refusedPasskey(cause error) error {
	return fault.Unauthenticatedf("passkey.refused", "The passkey was not accepted.").
		WithNext("Try again, or sign in another way.").WithCause(cause)
}
