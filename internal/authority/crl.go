package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"math/big"
	"os"
	"slices"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/crl"
	"github.com/sealwright/sealwright/pki/tbs"
)

// The clock of CRLs (contracts, pki-rules row 20): a new list at the latest
// after crlEvery, valid for crlLife, and within crlDelay of a revocation.
const (
	crlLife  = 7 * 24 * time.Hour
	crlEvery = 24 * time.Hour
	crlDelay = time.Minute
	maxCRL   = 2 << 30
)

// A CRL is a published revocation list.
type CRL struct {
	Authority  string
	Number     int64
	Size       int64
	Entries    int64
	ThisUpdate time.Time
	NextUpdate time.Time
	blob       string
	cutoff     int64
}

// InUse tells which of the blobs are published lists, for the sweep of what
// crashes left behind.
func (a *Authorities) InUse(ctx context.Context, ids []string) (map[string]bool, error) {
	rows, err := a.db.View(ctx).Query(`SELECT blob FROM crls`) // a few for each authority
	list, err := store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) })
	used := make(map[string]bool, len(list))
	for _, id := range list {
		used[id] = slices.Contains(ids, id)
	}
	return used, err
}

// CurrentCRL is the latest list of an authority.
func (a *Authorities) CurrentCRL(ctx context.Context, id string) (CRL, error) {
	c := CRL{Authority: id}
	var this, next int64
	err := a.db.View(ctx).QueryRow(`SELECT number, blob, size, entries, cutoff, this_update, next_update FROM crls WHERE authority = $1 ORDER BY number DESC LIMIT 1`, id).
		Scan(&c.Number, &c.blob, &c.Size, &c.Entries, &c.cutoff, &this, &next)
	c.ThisUpdate, c.NextUpdate = store.Time(this), store.Time(next)
	if errors.Is(err, store.ErrNotFound) {
		return c, fault.NotFoundf("crl.none", "The authority %q has not published a revocation list.", id)
	}
	return c, err
}

// OpenCRL opens the DER of a list that CurrentCRL returned.
func (a *Authorities) OpenCRL(ctx context.Context, c CRL) (io.ReadSeekCloser, error) {
	return a.blobs.Open(ctx, c.blob)
}

// ProduceDueCRLs publishes a list for each authority that needs one: none yet,
// a revocation since the last, or the last is old. It is run by a schedule on
// any node; two nodes at once waste a signature and publish one list.
func (a *Authorities) ProduceDueCRLs(ctx context.Context) error {
	list, err := a.List(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, x := range list {
		if x.KeyRef == "" || x.Certificate == nil {
			continue
		}
		due, err := a.crlDue(ctx, x.ID)
		if err == nil && due {
			_, err = a.ProduceCRL(ctx, x.ID)
		}
		failed = errors.Join(failed, fault.Wrap(err, "crl of "+x.ID))
	}
	return failed
}

func (a *Authorities) crlDue(ctx context.Context, id string) (bool, error) {
	last, err := a.CurrentCRL(ctx, id)
	if errors.Is(err, fault.NotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if now := a.clock.Now(); now.Sub(last.ThisUpdate) >= crlEvery {
		return true, nil
	}
	var n int64
	err = a.db.View(ctx).QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM revocations WHERE authority = $1 AND revoked_at > $2 LIMIT 1) AS later`, id, last.cutoff).Scan(&n)
	return n > 0, err
}

// ProduceCRL publishes a new list now. Entries of expired certificates are left
// out once they stood on a list after the expiry (RFC 5280, section 3.3).
func (a *Authorities) ProduceCRL(ctx context.Context, id string) (CRL, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return CRL{}, err
	}
	now, err := a.guard.SigningTime()
	if err != nil {
		return CRL{}, err
	}
	last, err := a.CurrentCRL(ctx, id)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return CRL{}, err
	}
	c := CRL{Authority: id, Number: last.Number + 1, ThisUpdate: now.Truncate(time.Second), cutoff: store.Micros(now)}
	c.NextUpdate = c.ThisUpdate.Add(crlLife)
	info, err := a.writeCRL(ctx, x, &c, store.Micros(last.ThisUpdate))
	if err != nil {
		return c, err
	}
	c.blob, c.Size = info.ID, info.Size
	return c, a.publishCRL(ctx, x, c)
}

func (a *Authorities) publishCRL(ctx context.Context, x *Authority, c CRL) error {
	var old []string
	err := a.db.Update(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT blob FROM crls WHERE authority = $1 AND number < $2`, c.Authority, c.Number-crlsKept)
		if old, err = store.Collect(rows, err, func(r *store.Rows) (s string, err error) { return s, r.Scan(&s) }); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO crls (authority, number, blob, size, entries, cutoff, this_update, next_update) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			c.Authority, c.Number, c.blob, c.Size, c.Entries, c.cutoff, store.Micros(c.ThisUpdate), store.Micros(c.NextUpdate)); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM crls WHERE authority = $1 AND number < $2`, c.Authority, c.Number-crlsKept); err != nil {
			return err
		}
		return a.audit.Append(tx, audit.Entry{
			Action: "crl.publish", ObjectKind: "authority", ObjectID: x.ID, Realm: x.Realm, Result: audit.OK,
			Detail: map[string]string{"number": big.NewInt(c.Number).String(), "entries": big.NewInt(c.Entries).String()},
		})
	})
	if err != nil {
		// Another node published this number, or the database refused: the bytes are of no use.
		old = []string{c.blob}
		if errors.Is(err, store.ErrExists) {
			err = nil
		}
	}
	for _, b := range old {
		err = errors.Join(err, a.blobs.Delete(ctx, b))
	}
	return err
}

// crlsKept is how many earlier lists stay readable, for downloads under way.
const crlsKept = 3

func (a *Authorities) writeCRL(ctx context.Context, x *Authority, c *CRL, lastUpdate int64) (blob.Info, error) {
	signer, err := a.vault.Signer(ctx, x.KeyRef)
	if err != nil {
		return blob.Info{}, err
	}
	spool, err := os.CreateTemp("", "sealwright-crl-")
	if err != nil {
		return blob.Info{}, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	list := &crl.List{Issuer: x.Certificate.RawSubject, IssuerKeyID: x.Certificate.SubjectKeyId, Number: big.NewInt(c.Number), ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate}
	entries := crl.Entries{Each: a.revoked(ctx, x.ID, c, lastUpdate), Spool: spool}
	r, w := io.Pipe()
	go func() {
		_, err := crl.Write(w, list, entries, x.algorithm, signer)
		w.CloseWithError(err)
	}()
	info, err := a.blobs.Put(ctx, r, maxCRL)
	_ = r.CloseWithError(err) // frees the writer when Put gave up early
	return info, err
}

// revoked yields the entries of a list in serial order and counts them. A
// revocation that commits while the list is being made makes the two passes
// differ; the list is then made again by the next run.
func (a *Authorities) revoked(ctx context.Context, id string, c *CRL, lastUpdate int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c.Entries = 0
		rows, err := a.db.View(ctx).Query(`SELECT entry FROM revocations WHERE authority = $1 AND revoked_at <= $2 AND not_after >= $3 ORDER BY serial`, id, c.cutoff, lastUpdate)
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		var entry []byte
		for rows.Next() {
			err := rows.Scan(&entry)
			c.Entries++
			if !yield(entry, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// OfflineCRL makes the list of an offline root, whose key is in the caller's
// hands, for [Authorities.ImportCRL]. The serial numbers are those of issuing
// authorities to be revoked; life is how long the list holds.
func OfflineCRL(root *x509.Certificate, key crypto.Signer, number int64, revoked [][]byte, now time.Time, life time.Duration) ([]byte, error) {
	alg, err := tbs.ForKey(key.Public())
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for _, serial := range revoked {
		e, err := crl.AppendEntry(nil, serial, now, int(CessationOfOperation), time.Time{})
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	var out bytes.Buffer
	list := &crl.List{Issuer: root.RawSubject, IssuerKeyID: root.SubjectKeyId, Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.Add(life)}
	_, err = crl.Write(&out, list, crl.Entries{Each: func(yield func([]byte, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}}, alg, key)
	return out.Bytes(), err
}

// ImportCRL publishes a list that an offline root has signed.
func (a *Authorities) ImportCRL(ctx context.Context, id string, der []byte) (CRL, error) {
	x, err := a.Get(ctx, id)
	if err != nil {
		return CRL{}, err
	}
	list, err := crl.Parse(der)
	if err != nil {
		return CRL{}, fault.Invalidf("crl.malformed", "The revocation list cannot be read: %v.", err)
	}
	if err := list.Verify(x.Certificate); err != nil {
		return CRL{}, fault.Invalidf("crl.issuer", "The revocation list was not signed by %q.", x.Name).WithCause(err)
	}
	last, err := a.CurrentCRL(ctx, id)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return CRL{}, err
	}
	if !list.Number.IsInt64() || list.Number.Int64() <= last.Number {
		return CRL{}, fault.Conflictf("crl.number", "The revocation list has the number %v; the one published has %d.", list.Number, last.Number).WithNext("Sign one with a higher number.")
	}
	c := CRL{Authority: id, Number: list.Number.Int64(), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, cutoff: store.Micros(list.ThisUpdate)}
	for _, err := range list.Entries() {
		if err != nil {
			return CRL{}, fault.Invalidf("crl.malformed", "The revocation list cannot be read: %v.", err)
		}
		c.Entries++
	}
	info, err := a.blobs.Put(ctx, bytes.NewReader(der), maxCRL)
	if err != nil {
		return CRL{}, err
	}
	c.blob, c.Size = info.ID, info.Size
	return c, a.publishCRL(ctx, x, c)
}
