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

// A Reason is a CRL reason code (RFC 5280, section 5.3.1).
type Reason int

// The reasons that may be given. Hold is forbidden (contracts, pki-rules row 20).
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	PrivilegeWithdrawn   Reason = 9
)

var reasonNames = map[Reason]string{
	Unspecified: "unspecified", KeyCompromise: "keyCompromise", AffiliationChanged: "affiliationChanged",
	Superseded: "superseded", CessationOfOperation: "cessationOfOperation", PrivilegeWithdrawn: "privilegeWithdrawn",
}

func (r Reason) String() string { return reasonNames[r] }

// ParseReason reads the RFC 5280 name of a reason; empty means unspecified.
func ParseReason(s string) (Reason, error) {
	if s == "" {
		return Unspecified, nil
	}
	for r, name := range reasonNames {
		if name == s {
			return r, nil
		}
	}
	return 0, fault.Invalidf("revocation.reason", "%q is not a reason for revocation.", s).WithField("reason").
		WithNext("Use unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn.")
}

// States of a certificate.
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
}

// Lookup reads a certificate's live state: there is no cache, so that a
// withdrawal on one node is known to all at once (N29). An unknown serial
// number is [store.ErrNotFound].
func (a *Authorities) Lookup(q store.Queryer, authority string, serial []byte) (Record, error) {
	r := Record{Authority: authority, Serial: serial}
	var from, to, at int64
	err := q.QueryRow(`SELECT realm, client, service, kind, order_id, cn, status, der, not_before, not_after, revoked_at, reason
		FROM certificates WHERE authority = $1 AND serial = $2`, authority, serial).
		Scan(&r.Realm, &r.Client, &r.Service, &r.Kind, &r.OrderID, &r.CommonName, &r.Status, &r.DER, &from, &to, &at, &r.Reason)
	r.NotBefore, r.NotAfter, r.RevokedAt = store.Time(from), store.Time(to), store.Time(at)
	return r, err
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

// Revoke withdraws a certificate for good. It holds from the commit on: every
// service asks for the state of a certificate at each request. A certificate
// that is revoked already is a conflict.
func (a *Authorities) Revoke(tx *store.Tx, authority string, serial []byte, reason Reason) error {
	if _, ok := reasonNames[reason]; !ok {
		return fault.Invalidf("revocation.reason", "The reason code %d may not be used.", reason).WithField("reason")
	}
	r, err := a.Lookup(tx, authority, serial)
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFoundf("certificate.unknown", "There is no certificate with the serial number %s.", SerialText(serial))
	}
	if err != nil {
		return err
	}
	now := a.clock.Now()
	n, err := tx.Exec(`UPDATE certificates SET status = 'revoked', revoked_at = $1, reason = $2 WHERE authority = $3 AND serial = $4 AND status IN ('valid', 'intent')`,
		store.Micros(now), int64(reason), authority, serial)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Conflictf("certificate.revoked", "The certificate %s is %s already.", SerialText(serial), r.Status)
	}
	entry, err := crl.AppendEntry(nil, serial, now, int(reason), time.Time{})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO revocations (authority, serial, entry, revoked_at, not_after) VALUES ($1, $2, $3, $4, $5)`,
		authority, serial, entry, store.Micros(now), store.Micros(r.NotAfter)); err != nil {
		return err
	}
	return a.audit.Append(tx, audit.Entry{
		Action: "certificate.revoke", ObjectKind: "certificate", ObjectID: authority + "/" + SerialText(serial),
		Realm: r.Realm, Client: r.Client, Service: r.Service, Result: audit.OK,
		Detail: map[string]string{"reason": reason.String(), "cn": r.CommonName, "order": r.OrderID},
	})
}

// Void gives up an intent under which nothing can have been signed.
func (a *Authorities) Void(tx *store.Tx, authority string, serial []byte) error {
	_, err := tx.Exec(`UPDATE certificates SET status = 'void' WHERE authority = $1 AND serial = $2 AND status = 'intent'`, authority, serial)
	return err
}
