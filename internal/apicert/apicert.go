// Package apicert issues client certificates that take the place of an API
// token (requirements D1 to D18): the caller shows the certificate in mutual
// TLS and has the rights of its owner.
//
// A certificate is created with a nickname, an end date, an encryption and a
// signature hash. The password is shown once, by [Desk.Create]; the file is
// given once, by [Desk.Download]. Neither can be had again.
package apicert

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/authority"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/dn"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

// Realm is the realm of the authority that issues these certificates: they
// belong to the installation, not to an environment.
const Realm = "platform"

// Kind marks these certificates among the authority's.
const Kind = "api"

// FileName is what the downloaded file is called.
const FileName = "Certificate_pkcs12.p12"

// States of a certificate.
const (
	Active   = "active"
	Disabled = "disabled"
	Deleted  = "deleted" // revoked; kept for the audit
	pending  = "pending" // being made
)

// Fields are what the form asks for.
type Fields struct {
	Nickname   string         // letters, digits, spaces, dashes, underscores; unique for the owner (D9)
	Ends       time.Time      // not after the owner's API token (D10); cannot be changed later (D5)
	Encryption pkcs12.Profile // AES-256 by default (D12)
	Hash       crypto.Hash    // of the certificate's signature; SHA-256 by default (D13)
}

// A Certificate is an API client certificate of an owner.
type Certificate struct {
	ID         string
	Owner      string
	Nickname   string
	Encryption pkcs12.Profile
	Hash       string
	Status     string
	Authority  string
	Serial     string
	Ends       time.Time
	Fetched    time.Time // zero while the file can be downloaded
	CreatedBy  string
	Created    time.Time
}

// Expired tells whether the certificate is past its end.
func (c Certificate) Expired(now time.Time) bool { return !now.Before(c.Ends) }

// A Desk creates and manages API client certificates.
type Desk struct {
	DB        *store.DB
	Authority *authority.Authorities
	Vault     *keys.Vault
	Audit     *audit.Log
	Clock     clock.Clock
}

var validNickname = regexp.MustCompile(`^[A-Za-z0-9 _-]{1,60}$`)

const purposeFile = "apicert.file"

// maxYears bounds a certificate whose owner's token has no end.
const maxYears = 5

func (d *Desk) check(q store.Queryer, s access.Scope, owner string, f *Fields) (access.Owner, error) {
	o, err := access.CredentialOwner(q, s, owner, access.APICertOwn, true)
	if err != nil {
		return o, err
	}
	now := d.Clock.Now()
	f.Nickname = strings.TrimSpace(f.Nickname)
	if f.Encryption == "" {
		f.Encryption = pkcs12.Modern
	}
	if f.Hash == 0 {
		f.Hash = crypto.SHA256
	}
	f.Ends = f.Ends.UTC().Truncate(time.Second)
	switch {
	case !o.Active:
		return o, fault.Conflictf("apicert.owner", "%s is not active.", o.Name)
	case !validNickname.MatchString(f.Nickname):
		return o, fault.Invalidf("apicert.nickname", "A nickname has 1 to 60 letters, digits, spaces, dashes and underscores.").WithField("nickname")
	case !f.Ends.After(now):
		return o, fault.Invalidf("apicert.ends", "The end date must lie ahead.").WithField("ends")
	case f.Ends.After(now.AddDate(maxYears, 0, 0)):
		return o, fault.Invalidf("apicert.ends", "An API client certificate lives at most %d years.", maxYears).WithField("ends")
	case f.Encryption != pkcs12.Modern && f.Encryption != pkcs12.Legacy:
		return o, fault.Invalidf("apicert.encryption", "There is no encryption %q.", string(f.Encryption)).WithField("encryption")
	case f.Hash != crypto.SHA256 && f.Hash != crypto.SHA384 && f.Hash != crypto.SHA512:
		return o, fault.Invalidf("apicert.hash", "The signature hash is SHA-256, SHA-384 or SHA-512.").WithField("hash")
	case !o.Ends.IsZero() && f.Ends.After(o.Ends):
		return o, fault.Invalidf("apicert.ends", "The certificate cannot outlive the account, which ends on %s.", o.Ends.Format(time.DateOnly)).
			WithField("ends").WithNext("Choose an earlier date, or extend the account first.")
	}
	end, limited, err := access.LatestTokenEnd(q, owner)
	if errors.Is(err, fault.Conflict) { // no token at all: nothing to outlive
		limited, err = false, nil
	}
	if err != nil {
		return o, err
	}
	if limited && f.Ends.After(end) {
		return o, fault.Invalidf("apicert.ends", "The certificate cannot outlive the API token, which ends on %s.", end.Format(time.DateOnly)).
			WithField("ends").WithNext("Choose an earlier date, or change or remove the token's end date first.")
	}
	return o, nil
}

// Create issues a certificate and returns it with the password of its file,
// which is not stored and cannot be shown again (D7).
func (d *Desk) Create(ctx context.Context, s access.Scope, owner string, f Fields) (Certificate, secret.Text, error) {
	o, err := d.check(d.DB.View(ctx), s, owner, &f)
	if err != nil {
		return Certificate{}, secret.Text{}, err
	}
	key, err := keys.Generate(keys.P256)
	if err != nil {
		return Certificate{}, secret.Text{}, err
	}
	c := Certificate{
		ID: ident.New("apc"), Owner: owner, Nickname: f.Nickname, Encryption: f.Encryption, Hash: f.Hash.String(),
		Status: pending, Ends: f.Ends, CreatedBy: s.Principal().Name, Created: d.Clock.Now(),
	}
	intent, err := d.plan(ctx, o, &c, f, key)
	if err != nil {
		return Certificate{}, secret.Text{}, err
	}
	if err := d.DB.Update(ctx, func(tx *store.Tx) error { return d.begin(tx, &c, intent) }); err != nil {
		return Certificate{}, secret.Text{}, err
	}
	signed, err := d.Authority.Sign(ctx, intent)
	if err != nil {
		return Certificate{}, secret.Text{}, errors.Join(err, d.giveUp(ctx, c))
	}
	file, password, err := d.keyFile(ctx, c, f, key, signed)
	if err != nil {
		return Certificate{}, secret.Text{}, errors.Join(err, d.giveUp(ctx, c))
	}
	err = d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := d.Authority.Record(tx, signed); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE api_certificates SET status = 'active', file = $1 WHERE id = $2 AND status = 'pending'`, file, c.ID); err != nil {
			return err
		}
		return d.note(tx, c, "apicert.create", map[string]string{"nickname": c.Nickname, "serial": c.Serial, "ends": c.Ends.Format(time.DateOnly), "encryption": string(c.Encryption), "hash": c.Hash})
	})
	if err != nil {
		return Certificate{}, secret.Text{}, err
	}
	c.Status = Active
	return c, password, nil
}

func (d *Desk) plan(ctx context.Context, o access.Owner, c *Certificate, f Fields, key crypto.Signer) (*authority.Intent, error) {
	issuer, err := d.Authority.For(ctx, Realm, authority.ClientAuth)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	subject, err := dn.Name{
		{Type: dn.O, Value: "API client"}, {Type: dn.OU, Value: string(o.Kind)}, {Type: dn.CN, Value: f.Nickname}, {Type: dn.UID, Value: o.ID},
	}.DER()
	if err != nil {
		return nil, err
	}
	intent, err := d.Authority.Plan(ctx, issuer.ID, authority.Draft{
		Subject: subject, SPKI: spki, KeyUsage: x509.KeyUsageDigitalSignature, Hash: f.Hash,
		Validity: func(time.Time) time.Time { return f.Ends },
		Kind:     Kind, OrderID: c.ID, CommonName: f.Nickname,
	})
	if err != nil {
		return nil, err
	}
	c.Authority, c.Serial = intent.Authority, authority.SerialText(intent.Serial)
	return intent, nil
}

func (d *Desk) begin(tx *store.Tx, c *Certificate, intent *authority.Intent) error {
	var taken int64
	nick := strings.ToLower(c.Nickname)
	if err := tx.QueryRow(`SELECT COUNT(*) FROM api_certificates WHERE owner = $1 AND nick_key = $2 AND status <> 'deleted'`, c.Owner, nick).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return errNickname(c.Nickname)
	}
	if err := d.Authority.Hold(tx, intent); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO api_certificates (id, owner, nickname, nick_key, encryption, hash, status, authority, serial, ends_at, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $11)`,
		c.ID, c.Owner, c.Nickname, nick, string(c.Encryption), c.Hash, c.Authority, c.Serial, store.Micros(c.Ends), c.CreatedBy, store.Micros(c.Created))
	if errors.Is(err, store.ErrExists) {
		return errNickname(c.Nickname)
	}
	return err
}

func errNickname(name string) error {
	return fault.Conflictf("apicert.nickname_taken", "There is a certificate with the nickname %q already.", name).WithField("nickname").WithNext("Choose another nickname.")
}

func (d *Desk) keyFile(ctx context.Context, c Certificate, f Fields, key crypto.Signer, signed *authority.Certificate) (sealed []byte, password secret.Text, err error) {
	leaf, err := x509.ParseCertificate(signed.DER)
	if err != nil {
		return nil, password, err
	}
	chain, err := d.Authority.ChainCertificates(ctx, c.Authority)
	if err != nil {
		return nil, password, err
	}
	password = secret.NewPassword(16)
	file, err := pkcs12.Encode(f.Encryption, key, leaf, chain, password.Reveal(), c.Nickname)
	if err != nil {
		return nil, password, err
	}
	sealed, err = d.Vault.Seal(purposeFile, file)
	return sealed, password, err
}

// giveUp ends a certificate that could not be finished: nobody has its
// password, so it is revoked, and its nickname is free again.
func (d *Desk) giveUp(ctx context.Context, c Certificate) error {
	return d.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return d.end(tx, c, "apicert.fail") })
}

func (d *Desk) end(tx *store.Tx, c Certificate, action string) error {
	n, err := tx.Exec(`UPDATE api_certificates SET status = 'deleted', file = NULL WHERE id = $1 AND status <> 'deleted'`, c.ID)
	if err != nil || n == 0 {
		return err
	}
	serial, err := hex.DecodeString(c.Serial)
	if err != nil {
		return err
	}
	if err := d.Authority.Revoke(tx, c.Authority, serial, authority.CessationOfOperation); err != nil && !errors.Is(err, fault.Conflict) {
		return err
	}
	return d.note(tx, c, action, map[string]string{"nickname": c.Nickname, "serial": c.Serial})
}

func (d *Desk) note(tx *store.Tx, c Certificate, action string, detail map[string]string) error {
	return d.Audit.Append(tx, audit.Entry{Action: action, ObjectKind: "apicert", ObjectID: c.ID, Result: audit.OK, Detail: detail})
}
