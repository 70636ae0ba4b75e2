package apicert

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/pkcs12"
)

const columns = `id, owner, nickname, encryption, hash, status, authority, serial, ends_at, fetched_at, created_by, created_at`

func scan(r interface{ Scan(...any) error }) (Certificate, error) {
	var c Certificate
	var encryption string
	var ends, fetched, created int64
	err := r.Scan(&c.ID, &c.Owner, &c.Nickname, &encryption, &c.Hash, &c.Status, &c.Authority, &c.Serial, &ends, &fetched, &c.CreatedBy, &created)
	c.Encryption = pkcs12.Profile(encryption)
	c.Ends, c.Fetched, c.Created = store.Time(ends), store.Time(fetched), store.Time(created)
	return c, err
}

// maxListed bounds the list of one owner, which people keep short by deleting.
const maxListed = 500

// List returns an owner's certificates, newest first, without deleted ones.
func (d *Desk) List(ctx context.Context, s access.Scope, owner string) ([]Certificate, error) {
	q := d.DB.View(ctx)
	if _, err := access.CredentialOwner(q, s, owner, access.APICertOwn, false); err != nil {
		return nil, err
	}
	rows, err := q.Query(`SELECT `+columns+` FROM api_certificates WHERE owner = $1 AND status IN ('active', 'disabled') ORDER BY created_at DESC, id DESC LIMIT $2`, owner, maxListed)
	return store.Collect(rows, err, func(r *store.Rows) (Certificate, error) { return scan(r) })
}

// Get returns a certificate whose owner the caller may act for.
func (d *Desk) Get(ctx context.Context, s access.Scope, id string) (Certificate, error) {
	return d.get(d.DB.View(ctx), s, id, false)
}

func (d *Desk) get(q store.Queryer, s access.Scope, id string, write bool) (Certificate, error) {
	c, err := scan(q.QueryRow(`SELECT `+columns+` FROM api_certificates WHERE id = $1 AND status IN ('active', 'disabled')`, id))
	if errors.Is(err, store.ErrNotFound) {
		return c, access.NotFound()
	}
	if err != nil {
		return c, err
	}
	_, err = access.CredentialOwner(q, s, c.Owner, access.APICertOwn, write)
	return c, err
}

// Download gives the encrypted file once and erases it here (D4, D16).
func (d *Desk) Download(ctx context.Context, s access.Scope, id string) (Certificate, []byte, error) {
	var c Certificate
	var file []byte
	err := d.DB.Update(ctx, func(tx *store.Tx) error {
		var err error
		if c, err = d.get(tx, s, id, true); err != nil {
			return err
		}
		var sealed []byte
		if err := tx.QueryRow(`SELECT file FROM api_certificates WHERE id = $1`, id).Scan(&sealed); err != nil {
			return err
		}
		if len(sealed) == 0 {
			return errFetched(c)
		}
		if file, err = d.Vault.Open(purposeFile, sealed); err != nil {
			return err
		}
		c.Fetched = d.Clock.Now()
		n, err := tx.Exec(`UPDATE api_certificates SET file = NULL, fetched_at = $1 WHERE id = $2 AND fetched_at = 0`, store.Micros(c.Fetched), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return errFetched(c)
		}
		return d.note(tx, c, "apicert.download", map[string]string{"nickname": c.Nickname})
	})
	if err != nil {
		return c, nil, err
	}
	return c, file, nil
}

func errFetched(c Certificate) error {
	return fault.Gonef("apicert.fetched", "The file of %q has been downloaded already; it can be had once.", c.Nickname).WithNext("If it is lost, create a new certificate.")
}

// SetEnabled turns a certificate off and on again. It works at once.
func (d *Desk) SetEnabled(ctx context.Context, s access.Scope, id string, enabled bool) error {
	status, action := Disabled, "apicert.disable"
	if enabled {
		status, action = Active, "apicert.enable"
	}
	return d.DB.Update(ctx, func(tx *store.Tx) error {
		c, err := d.get(tx, s, id, true)
		if err != nil || c.Status == status {
			return err
		}
		if _, err := tx.Exec(`UPDATE api_certificates SET status = $1 WHERE id = $2 AND status IN ('active', 'disabled')`, status, id); err != nil {
			return err
		}
		return d.note(tx, c, action, map[string]string{"nickname": c.Nickname})
	})
}

// Delete revokes a certificate for good.
func (d *Desk) Delete(ctx context.Context, s access.Scope, id string) error {
	return d.DB.Update(ctx, func(tx *store.Tx) error {
		c, err := d.get(tx, s, id, true)
		if err != nil {
			return err
		}
		return d.end(tx, c, "apicert.delete")
	})
}

// Owner finds whose rights a caller has who showed the certificate with this
// serial number. The certificate itself has been verified by the caller of
// this function; here its state and the end of the owner's token count.
func (d *Desk) Owner(ctx context.Context, authorityID, serial string) (string, Certificate, error) {
	q := d.DB.View(ctx)
	c, err := scan(q.QueryRow(`SELECT `+columns+` FROM api_certificates WHERE authority = $1 AND serial = $2`, authorityID, serial))
	if errors.Is(err, store.ErrNotFound) {
		return "", c, fault.Unauthenticatedf("apicert.unknown", "This certificate is not an API client certificate.")
	}
	if err != nil {
		return "", c, err
	}
	switch {
	case c.Status == Disabled:
		return "", c, fault.Unauthenticatedf("apicert.disabled", "The API client certificate %q is disabled.", c.Nickname).WithNext("Enable it on the page of your details.")
	case c.Status != Active:
		return "", c, fault.Unauthenticatedf("apicert.deleted", "The API client certificate %q has been deleted.", c.Nickname).WithNext("Create a new one.")
	case c.Expired(d.Clock.Now()):
		return "", c, fault.Unauthenticatedf("apicert.expired", "The API client certificate %q ended on %s.", c.Nickname, c.Ends.Format(time.DateOnly)).WithNext("Create a new one.")
	}
	return c.Owner, c, nil
}

// Sweep ends certificates whose making was cut short by a crash.
func (d *Desk) Sweep(ctx context.Context) error {
	rows, err := d.DB.View(ctx).Query(`SELECT `+columns+` FROM api_certificates WHERE status = 'pending' AND created_at < $1 LIMIT 100`, store.Micros(d.Clock.Now().Add(-10*time.Minute)))
	list, err := store.Collect(rows, err, func(r *store.Rows) (Certificate, error) { return scan(r) })
	for _, c := range list {
		err = errors.Join(err, d.giveUp(ctx, c))
	}
	return err
}
