package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// Prefixes of references.
const (
	softPrefix = "soft:"
	hsmPrefix  = "hsm:"
)

// A Key describes a key pair by its public half.
type Key struct {
	Ref       string // "soft:key-…" or "hsm:LABEL"
	Label     string
	Algorithm Algorithm
	Public    crypto.PublicKey
}

// A Token holds keys that never leave it; package remote has one.
type Token interface {
	// Signer opens the key with this label.
	Signer(ctx context.Context, label string) (crypto.Signer, error)
}

// HSMRef is the reference of the key with this label in the PKCS#11 token.
func HSMRef(label string) string { return hsmPrefix + label }

type openKey struct {
	key    Key
	signer crypto.Signer
}

// maxOpen bounds the keys held open. Authorities have a handful; keys of
// certificates that are handed over are used once.
const maxOpen = 1024

// Generate makes a software key and stores it in tx. On SQLite a transaction
// holds the only writer: take RSA keys from a [Pool] before it and use Import.
func (v *Vault) Generate(tx *store.Tx, alg Algorithm, label string) (Key, error) {
	signer, err := Generate(alg)
	if err != nil {
		return Key{}, err
	}
	return v.Import(tx, signer, label)
}

// Import stores an *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey in
// tx, as sealed PKCS#8 (RFC 5958). The label is for people and need not be unique.
func (v *Vault) Import(tx *store.Tx, signer crypto.Signer, label string) (Key, error) {
	alg, err := AlgorithmOf(signer.Public())
	if err != nil {
		return Key{}, err
	}
	id := ident.New("key")
	key := Key{Ref: softPrefix + id, Label: label, Algorithm: alg, Public: signer.Public()}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return Key{}, fault.Invalidf("keys.not_software", "The key %q cannot be imported: its private half is not in memory.", label).WithCause(err)
	}
	defer clear(private)
	public, err := x509.MarshalPKIXPublicKey(key.Public)
	if err != nil {
		return Key{}, fault.Wrap(err, "encode public key")
	}
	sealed, err := v.Seal(keyPurpose(id), private)
	if err != nil {
		return Key{}, err
	}
	if _, err := tx.Exec(`INSERT INTO keys (id, label, algorithm, public, sealed, created_at) VALUES ($1,$2,$3,$4,$5,$6)`,
		id, label, string(alg), public, sealed, store.Micros(v.clock.Now())); err != nil {
		return Key{}, fault.Wrap(err, "store key")
	}
	return key, nil
}

func keyPurpose(id string) string { return "keys/" + id }

// Signer opens the private key behind a reference. A software key comes back as
// *rsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey, so a caller that
// passes a nil rand gets deterministic ECDSA (RFC 6979). The key is opened once
// and kept; the result may be used from any goroutine. A reference that leads
// nowhere gives NotFound ("keys.unknown"); a token that does not answer gives
// Unavailable ("keys.hsm_unavailable").
func (v *Vault) Signer(ctx context.Context, ref string) (crypto.Signer, error) {
	k, err := v.open(ctx, ref)
	return k.signer, err
}

// Key describes the key behind a reference. Errors are those of [Vault.Signer].
func (v *Vault) Key(ctx context.Context, ref string) (Key, error) {
	k, err := v.open(ctx, ref)
	return k.key, err
}

func (v *Vault) open(ctx context.Context, ref string) (openKey, error) {
	v.mu.RLock()
	k, ok := v.signers[ref]
	v.mu.RUnlock()
	if ok {
		return k, nil
	}
	var err error
	if label, ok := strings.CutPrefix(ref, hsmPrefix); ok {
		k, err = v.openToken(ctx, label)
	} else if id, ok := strings.CutPrefix(ref, softPrefix); ok {
		k, err = v.openSoft(ctx, id)
	} else {
		err = fault.Invalidf("keys.reference", "The key reference %q begins with neither %q nor %q.", ref, softPrefix, hsmPrefix)
	}
	if err != nil {
		return openKey{}, err
	}
	return v.keep(ref, k), nil
}

// keep remembers an open key. Of two goroutines that opened it at once, both
// get the first one's.
func (v *Vault) keep(ref string, k openKey) openKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	if have, ok := v.signers[ref]; ok {
		return have
	}
	if len(v.signers) >= maxOpen {
		for other := range v.signers { // any one: map order is random
			delete(v.signers, other)
			break
		}
	}
	v.signers[ref] = k
	return k
}

func (v *Vault) openToken(ctx context.Context, label string) (openKey, error) {
	if v.token == nil {
		return openKey{}, fault.Unavailablef(nil, "keys.hsm_not_configured", "The key %q is in a hardware token, and none is configured.", label).
			WithNext("Set the socket of sealwright-signer in the configuration.")
	}
	s, err := v.token.Signer(ctx, label)
	if err != nil {
		return openKey{}, err
	}
	alg, err := AlgorithmOf(s.Public())
	if err != nil {
		return openKey{}, err
	}
	return openKey{Key{Ref: HSMRef(label), Label: label, Algorithm: alg, Public: s.Public()}, s}, nil
}

func (v *Vault) openSoft(ctx context.Context, id string) (openKey, error) {
	k := Key{Ref: softPrefix + id}
	var alg string
	var sealed []byte
	err := v.db.View(ctx).QueryRow(`SELECT label, algorithm, sealed FROM keys WHERE id=$1`, id).Scan(&k.Label, &alg, &sealed)
	if errors.Is(err, store.ErrNotFound) {
		return openKey{}, fault.NotFoundf("keys.unknown", "There is no key %s; it may have been destroyed.", k.Ref)
	}
	if err != nil {
		return openKey{}, fault.Wrap(err, "read key")
	}
	private, err := v.Open(keyPurpose(id), sealed)
	if err != nil {
		return openKey{}, err
	}
	defer clear(private)
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return openKey{}, fault.Wrap(err, "parse key "+k.Ref)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return openKey{}, fault.New(fault.Internal, "keys.type", "The key %s is of the type %T and cannot sign.", k.Ref, parsed)
	}
	k.Algorithm, k.Public = Algorithm(alg), signer.Public()
	return openKey{k, signer}, nil
}

// Destroy deletes a software key for good. It is not an error if the key is
// gone already. Another node that holds it open forgets it when it restarts;
// whether a key may still be used is for the object that owns it to say. Keys
// in a token are destroyed with the token's own tools.
func (v *Vault) Destroy(tx *store.Tx, ref string) error {
	id, ok := strings.CutPrefix(ref, softPrefix)
	if !ok {
		return fault.Invalidf("keys.reference", "The key %q is not a software key.", ref).WithNext("Destroy it with the tools of the token.")
	}
	if _, err := tx.Exec(`DELETE FROM keys WHERE id=$1`, id); err != nil {
		return fault.Wrap(err, "destroy key")
	}
	tx.AfterCommit(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.signers, ref)
	})
	return nil
}
