package authority

import (
	"context"
	"errors"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/crl"
)

// States of a certificate. One on hold is revoked, with the reason
// [CertificateHold].
const (
	CertIntent  = "intent"
	CertValid   = "valid"
	CertRevoked = "revoked"
	CertVoid    = "void" // an intent that was given up before anything was signed
)

// A Record is what is known of a certificate.
type Record struct {
	Authority, Realm, Client, Service, Kind, OrderID, CommonName, Status string

	Serial    []byte
	DER       []byte
	NotBefore time.Time
	NotAfter  time.Time
	RevokedAt time.Time
	Reason    Reason
	Shard     int64 // of the revocation list that it names
}

const recordColumns = `authority, serial, realm, client, service, kind, order_id, cn, status, der, not_before, not_after, revoked_at, reason, shard`

func scanRecord(rows interface{ Scan(...any) error }) (r Record, err error) {
	var from, to, at int64
	err = rows.Scan(&r.Authority, &r.Serial, &r.Realm, &r.Client, &r.Service, &r.Kind, &r.OrderID, &r.CommonName, &r.Status, &r.DER, &from, &to, &at, &r.Reason, &r.Shard)
	r.NotBefore, r.NotAfter, r.RevokedAt = store.Time(from), store.Time(to), store.Time(at)
	return r, err
}

// Lookup reads a certificate's live state: there is no cache, so that a
// withdrawal on one node is known to all at once (N29). An unknown serial
// number is [store.ErrNotFound].
func (a *Authorities) Lookup(q store.Queryer, authority string, serial []byte) (Record, error) {
	return scanRecord(q.QueryRow(`SELECT `+recordColumns+` FROM certificates WHERE authority = $1 AND serial = $2`, authority, serial))
}

// OrderOf finds the order behind a serial number, whichever authority issued
// it; empty if there is none. There are few authorities, so each is asked: the
// CROSS JOIN keeps SQLite from going through the certificates instead.
func (a *Authorities) OrderOf(ctx context.Context, serial []byte) (string, error) {
	var id string
	err := a.db.View(ctx).QueryRow(`SELECT c.order_id FROM authorities a CROSS JOIN certificates c WHERE c.authority = a.id AND c.serial = $1 AND c.order_id <> '' LIMIT 1`, serial).Scan(&id)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return id, err
}

// A Withdrawal says why a certificate is revoked.
type Withdrawal struct {
	By     Role // in which capacity; decides which reasons may be given
	Reason Reason
	// Since is from when the key was not to be trusted, where that is known and
	// the reason is [KeyCompromise].
	Since time.Time
	Why   string // for the audit log
}

// Revoke is [Authorities.Withdraw] by an operator or by the product itself.
func (a *Authorities) Revoke(tx *store.Tx, authority string, serial []byte, reason Reason) error {
	return a.Withdraw(tx, authority, serial, Withdrawal{By: RoleOperator, Reason: reason})
}

// Withdraw revokes a certificate, or suspends it with [CertificateHold]. It
// holds from the commit on: every service asks for the state of a certificate
// at each request, OCSP answers change at once on this node and within a second
// on the others, lists with the next run of [Authorities.ProduceDueCRLs].
//
// A certificate that is revoked already is a Conflict, except that hold can
// become any other reason, and any reason key compromise (TLS BR 7.2.2).
func (a *Authorities) Withdraw(tx *store.Tx, authority string, serial []byte, w Withdrawal) error {
	r, err := a.Lookup(tx, authority, serial)
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFoundf("certificate.unknown", "There is no certificate with the serial number %s.", SerialText(serial))
	}
	if err != nil {
		return err
	}
	now := a.clock.Now()
	next, invalidity, err := decide(tx, r, w, now)
	if err != nil {
		return err
	}
	entry, err := crl.AppendEntry(nil, serial, next.RevokedAt, int(next.Reason), invalidity)
	if err != nil {
		return err
	}
	if err := a.change(tx, r, next, entry, now); err != nil {
		return err
	}
	action := "certificate.revoke"
	if next.Reason == CertificateHold {
		action = "certificate.hold"
	}
	return a.audit.Append(tx, auditOf(r, action, map[string]string{"reason": next.Reason.String(), "why": w.Why, "by": string(w.By), "before": was(r)}))
}

// decide says what a certificate becomes, or why it may not.
func decide(tx *store.Tx, r Record, w Withdrawal, now time.Time) (next Record, invalidity time.Time, err error) {
	if err := checkReason(w.By, w.Reason, r.Kind); err != nil {
		return r, invalidity, err
	}
	next = r
	next.Status, next.Reason = CertRevoked, w.Reason
	switch {
	case r.Status == CertValid, r.Status == CertIntent && w.Reason != CertificateHold:
		next.RevokedAt = now
	case r.Status == CertRevoked && r.Reason == CertificateHold && w.Reason != CertificateHold: // not good since the hold
	case r.Status == CertRevoked && r.Reason != KeyCompromise && w.Reason == KeyCompromise:
	default:
		return r, invalidity, fault.Conflictf("certificate.revoked", "The certificate %s is %s already.", SerialText(r.Serial), r.Status)
	}
	if w.Reason != CertificateHold && (w.Reason != KeyCompromise || w.Since.IsZero()) {
		return next, invalidity, nil
	}
	policy, err := readPolicy(tx, r.Authority)
	switch {
	case err != nil:
		return r, invalidity, err
	case w.Reason == CertificateHold && !policy.AllowHold:
		return r, invalidity, fault.Invalidf("revocation.hold", "Certificates of the authority %q cannot be suspended.", r.Authority).WithField("reason").WithNext("Revoke it for good, with another reason.")
	case w.Reason == CertificateHold:
		return next, invalidity, nil
	case w.Since.After(now):
		return r, invalidity, fault.Invalidf("revocation.since", "A key cannot be compromised since a moment that is to come.").WithField("since")
	}
	since := w.Since
	if since.Before(r.NotBefore) {
		since = r.NotBefore
	}
	if !policy.Backdate {
		return next, since, nil
	}
	if since.Before(next.RevokedAt) {
		next.RevokedAt = since
	}
	return next, invalidity, nil
}

// Release ends a hold: the certificate is valid again, leaves the next full
// list, and is on delta lists as removed.
func (a *Authorities) Release(tx *store.Tx, authority string, serial []byte, why string) error {
	r, err := a.Lookup(tx, authority, serial)
	if errors.Is(err, store.ErrNotFound) || err == nil && (r.Status != CertRevoked || r.Reason != CertificateHold) {
		return fault.Conflictf("certificate.not_held", "The certificate %s is not on hold.", SerialText(serial))
	}
	if err != nil {
		return err
	}
	now := a.clock.Now()
	next := r
	next.Status, next.Reason, next.RevokedAt = CertValid, Unspecified, time.Time{}
	entry, err := crl.AppendEntry(nil, serial, now, int(RemoveFromCRL), time.Time{})
	if err != nil {
		return err
	}
	if err := a.change(tx, r, next, entry, now); err != nil {
		return err
	}
	return a.audit.Append(tx, auditOf(r, "certificate.release", map[string]string{"why": why}))
}

// change writes the new state of a certificate, its entry, and the number of the
// change. The counter's row is locked until the commit: the numbers of an
// authority are in the order of their commits, so that whoever has read up to
// one has missed none before it.
func (a *Authorities) change(tx *store.Tx, r, next Record, entry []byte, now time.Time) error {
	n, err := tx.Exec(`UPDATE certificates SET status = $1, revoked_at = $2, reason = $3 WHERE authority = $4 AND serial = $5 AND status = $6 AND reason = $7`,
		next.Status, store.Micros(next.RevokedAt), int64(next.Reason), r.Authority, r.Serial, r.Status, int64(r.Reason))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Conflictf("certificate.changed", "The certificate %s was changed by somebody else.", SerialText(r.Serial)).WithNext("Look at it again.")
	}
	seq, err := count(tx, r.Authority, r.Shard)
	if err != nil {
		return err
	}
	released := next.Status != CertRevoked
	until := store.Micros(r.NotAfter)
	if now.After(r.NotAfter) {
		until = store.Micros(now) // it is to stand on a list all the same
	}
	n, err = tx.Exec(`UPDATE revocations SET seq = $1, released = $2, not_after = $3, entry = $4 WHERE authority = $5 AND shard = $6 AND serial = $7`,
		seq, released, until, entry, r.Authority, r.Shard, r.Serial)
	if err == nil && n == 0 {
		_, err = tx.Exec(`INSERT INTO revocations (authority, shard, serial, seq, released, not_after, entry) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			r.Authority, r.Shard, r.Serial, seq, released, until, entry)
	}
	tx.AfterCommit(func() { a.validity.ocsp.forget(r.Authority, r.Serial) })
	if err != nil || a.OnChange == nil {
		return err
	}
	return a.OnChange(tx, next)
}

// wholeAuthority is the shard under which all changes of an authority count.
const wholeAuthority = -1

func count(tx *store.Tx, authority string, shard int64) (seq int64, err error) {
	const next = `INSERT INTO revocation_counters (authority, shard, seq) VALUES ($1, $2, 1)
		ON CONFLICT (authority, shard) DO UPDATE SET seq = revocation_counters.seq + 1 RETURNING seq`
	if err := tx.QueryRow(next, authority, int64(wholeAuthority)).Scan(&seq); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO revocation_counters (authority, shard, seq) VALUES ($1, $2, $3)
		ON CONFLICT (authority, shard) DO UPDATE SET seq = excluded.seq`, authority, shard, seq)
	return seq, err
}

// Void gives up an intent under which nothing can have been signed.
func (a *Authorities) Void(tx *store.Tx, authority string, serial []byte) error {
	_, err := tx.Exec(`UPDATE certificates SET status = 'void' WHERE authority = $1 AND serial = $2 AND status = 'intent'`, authority, serial)
	return err
}

func was(r Record) string {
	if r.Status == CertRevoked {
		return r.Reason.String()
	}
	return r.Status
}

func auditOf(r Record, action string, detail map[string]string) audit.Entry {
	for k, v := range detail {
		if v == "" {
			delete(detail, k)
		}
	}
	detail["cn"], detail["order"] = r.CommonName, r.OrderID
	return audit.Entry{
		Action: action, ObjectKind: "certificate", ObjectID: r.Authority + "/" + SerialText(r.Serial),
		Realm: r.Realm, Client: r.Client, Service: r.Service, Result: audit.OK, Detail: detail,
	}
}
