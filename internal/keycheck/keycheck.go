// Package keycheck decides whether a public key may be certified, and keeps the list
// of keys that may not (TLS BR 4.9.1.1, 6.1.1.3; requirement A109).
//
// [Registry.Check] is the question that the order engine asks: kind, size, exponent,
// the known failures of key generators (package goodkey), Debian's weak keys, blocked
// keys, and keys that another client uses. It does not ask for the proof of
// possession: package csr refuses requests without one.
//
// A key is blocked by hand ([Registry.Add]), from a file ([Registry.Import]), by the
// platform itself ([Registry.Block]), or by anybody who proves that it is compromised:
// with the private key itself ([Registry.Compromised]) or with its signature over a
// challenge ([Registry.Prove]). The private key is looked at and forgotten. The caller
// revokes the certificates of the key, by the hash that it gets back.
//
// The list belongs to the installation, not to a client: a key that is known to
// strangers is known to them everywhere.
package keycheck

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/pki/goodkey"
)

// maxSPKI is the largest SubjectPublicKeyInfo that is looked at, in octets: that of an
// RSA key of 16,384 bits takes 2,086.
const maxSPKI = 4 << 10

// Owners tells whose a key is; the order engine is one.
type Owners interface {
	// Owner lists the clients that hold, or held, certificates for the key with that
	// SHA-256 of its SubjectPublicKeyInfo, in lower-case hex.
	Owner(q store.Queryer, spkiHash string) (clients []string, err error)
}

// Auditor records acts.
type Auditor interface {
	Append(tx *store.Tx, e audit.Entry) error
}

// A Registry knows the keys that are not certified. Build it with [New]; its methods
// may be called from any goroutine.
type Registry struct {
	db     *store.DB
	audit  Auditor
	clock  clock.Clock
	weak   *goodkey.WeakKeys
	owners Owners

	empty atomic.Int64 // Unix nanoseconds until when nothing is known to be blocked
}

// emptyLife is how long a node believes that no key at all is blocked, which
// spares most installations a look-up for each certificate.
const emptyLife = time.Second

// New opens the registry. weak may be nil where no list is configured (see
// [LoadWeakKeys]), and owners where nobody asks for unique keys.
func New(db *store.DB, log Auditor, c clock.Clock, weak *goodkey.WeakKeys, owners Owners) *Registry {
	return &Registry{db: db, audit: log, clock: c, weak: weak, owners: owners}
}

// Check returns nil for a key that may be certified for the client, else a fault:
//
//   - Invalid "key.unsupported" and "key.too_large" for what is no key that we know;
//   - Invalid "key." and a [goodkey.Code], such as "key.key_too_small";
//   - Invalid "key.debian_weak" and "key.blocked" for keys that others know;
//   - Conflict "key.reused" when unique is set and another client has used the key.
//
// spki is the SubjectPublicKeyInfo as it will stand in the certificate, pub the same
// key, read; with a nil pub it is read here. Cheap checks come first, and no key
// costs more than the policy's largest one. It runs in the caller's transaction or
// view, so that a key blocked a moment ago is seen.
func (r *Registry) Check(ctx context.Context, q store.Queryer, spki []byte, pub crypto.PublicKey, policy goodkey.Policy, unique bool, client string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(spki) > maxSPKI {
		return fault.Invalidf("key.too_large", "The public key has %d octets; at most %d are read.", len(spki), maxSPKI).WithNext("Generate a new key, such as RSA with 3,072 bits or P-256.").WithField("csr")
	}
	if pub == nil {
		var err error
		if pub, err = x509.ParsePKIXPublicKey(spki); err != nil {
			return fault.Invalidf("key.unsupported", "The public key cannot be read.").WithNext("Generate a new key, such as RSA with 3,072 bits or P-256.").WithField("csr").WithCause(err)
		}
	}
	if err := policy.Check(pub); err != nil {
		return refusal(err)
	}
	if r.weak.Contains(pub) {
		return errWeakList()
	}
	hash := HashOf(spki)
	if err := r.checkBlocked(q, hash, pub); err != nil {
		return err
	}
	if unique {
		return r.checkOwner(q, hash, client)
	}
	return nil
}

// refusal turns a key's fault into ours.
func refusal(err error) error {
	var bad *goodkey.Error
	if !errors.As(err, &bad) {
		return fault.Wrap(err, "check a key")
	}
	return fault.Invalidf("key."+string(bad.Code), "%s", bad.Text).WithField("csr")
}

func errWeakList() error {
	return fault.Invalidf("key.debian_weak", "The key is one of those that Debian's faulty OpenSSL made from 2006 to 2008 (CVE-2008-0166), or on another list of keys that are known to everybody.").
		WithNext("Generate a new key on a system that is up to date.").WithField("csr")
}

// Known returns a fault for a key that others know: a weak one of the lists, or a
// blocked one. The key's own faults are not looked for. The first key that is ever
// blocked is noticed by this node at once and by others within a second.
func (r *Registry) Known(ctx context.Context, spki []byte, pub crypto.PublicKey) error {
	if r.weak.Contains(pub) {
		return errWeakList()
	}
	now, view := r.clock.Now(), r.db.View(ctx)
	if now.UnixNano() < r.empty.Load() {
		return nil
	}
	var any int64
	if err := view.QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM keycheck_blocked LIMIT 1) entry`).Scan(&any); err != nil {
		return fault.Wrap(err, "look for blocked keys")
	}
	if any == 0 {
		r.empty.Store(now.Add(emptyLife).UnixNano())
		return nil
	}
	return r.checkBlocked(view, HashOf(spki), pub)
}

func (r *Registry) checkBlocked(q store.Queryer, hash string, pub crypto.PublicKey) error {
	var reason Reason
	err := q.QueryRow(`SELECT reason FROM keycheck_blocked WHERE spki = $1 UNION ALL SELECT reason FROM keycheck_blocked WHERE number = $2 AND number <> '' LIMIT 1`,
		hash, numberOf(pub)).Scan(&reason)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fault.Wrap(err, "look for a blocked key")
	}
	return fault.Invalidf("key.blocked", "The key is blocked: %s.", reason.words()).
		WithNext("Generate a new key, and replace this one wherever it is in use.").WithField("csr")
}

// checkOwner says nothing of who the other is.
func (r *Registry) checkOwner(q store.Queryer, hash, client string) error {
	if r.owners == nil {
		return fault.New(fault.Internal, "key.owners", "Nobody can tell who uses the key.")
	}
	owners, err := r.owners.Owner(q, hash)
	if err != nil {
		return fault.Wrap(err, "look for users of a key")
	}
	for _, o := range owners {
		if o != client {
			return fault.Conflictf("key.reused", "The key is or was used by somebody else.").
				WithNext("Generate a new key for each certificate, and keep it to yourself.").WithField("csr")
		}
	}
	return nil
}

// HashOf is how a key is named in the list and to the engine: the SHA-256 of its
// SubjectPublicKeyInfo, in lower-case hex.
func HashOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// parseHash reads a hash as people write it, with capitals or colons.
func parseHash(text string) (string, error) {
	hash := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if b, err := hex.DecodeString(hash); err != nil || len(b) != sha256.Size {
		return "", fault.Invalidf("key.hash", "That is not the SHA-256 hash of a public key.").
			WithNext("Give the 64 hexadecimal digits of the SHA-256 of the SubjectPublicKeyInfo in DER.").WithField("hash")
	}
	return hash, nil
}

// numberOf is the key's [goodkey.Fingerprint] as the list keeps it, or empty.
func numberOf(pub crypto.PublicKey) string {
	sum, ok := goodkey.Fingerprint(pub)
	if !ok {
		return ""
	}
	return hex.EncodeToString(sum[:])
}
