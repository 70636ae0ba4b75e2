package keys

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"sync"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Vault seals secrets and holds software keys. Its methods may be called from
// any goroutine. Its memory holds the data key until the process ends.
type Vault struct {
	db    *store.DB
	clock clock.Clock
	token Token
	seal  *sealer
	key   []byte // the data key, for Rotate

	mu      sync.RWMutex
	signers map[string]openKey
}

// An Option changes how a Vault is opened.
type Option func(*Vault)

// WithToken gives the vault the PKCS#11 token behind "hsm:" references.
func WithToken(t Token) Option { return func(v *Vault) { v.token = t } }

// masterRow is the id of the only row of master_keys; a second data key would
// get another.
const masterRow = "data-key-1"

// Open opens the vault in db, and creates it when the database is new. A
// different master key, passphrase or kind of master than the one that sealed
// the database gives a fault of kind Invalid ("keys.master_wrong",
// "keys.master_kind"); a damaged row gives "keys.master_damaged".
func Open(ctx context.Context, db *store.DB, master Master, clock clock.Clock, opts ...Option) (*Vault, error) {
	v := &Vault{db: db, clock: clock, signers: map[string]openKey{}}
	for _, o := range opts {
		o(v)
	}
	row, err := readMaster(db.View(ctx))
	if errors.Is(err, store.ErrNotFound) {
		row, err = v.create(ctx, master)
	}
	if err != nil {
		return nil, fault.Wrap(err, "open vault")
	}
	if v.key, err = row.unwrap(master); err != nil {
		return nil, err
	}
	v.seal, err = newSealer(v.key)
	return v, err
}

// Seal encrypts a small secret. The purpose says what it is and to whom it
// belongs ("handover.password/ord-…"); Open succeeds with the same purpose
// only, so a sealed value cannot be moved to another place. The result is 41
// bytes longer than the plaintext. It costs about a microsecond.
func (v *Vault) Seal(purpose string, plaintext []byte) ([]byte, error) {
	return v.seal.seal(purpose, plaintext)
}

// Open decrypts what [Vault.Seal] returned. A value that was changed or sealed
// for another purpose gives an internal fault with the code "keys.sealed".
func (v *Vault) Open(purpose string, sealed []byte) ([]byte, error) {
	p, err := v.seal.open(purpose, sealed)
	if err != nil {
		return nil, fault.New(fault.Internal, "keys.sealed", "A stored secret (%s) cannot be opened.", purpose).
			WithNext("Restore the row from a backup, or make the secret anew.").WithCause(err)
	}
	return p, nil
}

// Rotate wraps the data key under another master. What was sealed stays as it
// is; nodes that run keep working, and their next start needs the new master.
func (v *Vault) Rotate(ctx context.Context, master Master) error {
	old, err := readMaster(v.db.View(ctx))
	if err != nil {
		return fault.Wrap(err, "rotate master key")
	}
	row, err := wrap(master, v.key)
	if err != nil {
		return err
	}
	var changed int64
	err = v.db.Update(ctx, func(tx *store.Tx) (err error) {
		changed, err = tx.Exec(`UPDATE master_keys SET kdf=$1, wrapped=$2, check_value=$3, rotated_at=$4 WHERE id=$5 AND wrapped=$6`,
			row.kdf, row.wrapped, row.check, store.Micros(v.clock.Now()), masterRow, old.wrapped)
		return err
	})
	if err == nil && changed != 1 {
		return fault.Conflictf("keys.rotated", "The master key was changed by somebody else at the same moment; it is now theirs.").
			WithNext("Find out which master key is in force, then rotate again.")
	}
	return fault.Wrap(err, "rotate master key")
}

type wrappedKey struct {
	kdf            string
	wrapped, check []byte
}

func readMaster(q store.Queryer) (wrappedKey, error) {
	var w wrappedKey
	err := q.QueryRow(`SELECT kdf, wrapped, check_value FROM master_keys WHERE id=$1`, masterRow).Scan(&w.kdf, &w.wrapped, &w.check)
	return w, err
}

// create stores a new data key. Of two nodes that start at once, the second
// finds and uses the first one's.
func (v *Vault) create(ctx context.Context, master Master) (wrappedKey, error) {
	key := make([]byte, masterSize)
	rand.Read(key)
	row, err := wrap(master, key)
	if err != nil {
		return row, err
	}
	err = v.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO master_keys (id, kdf, wrapped, check_value, created_at) VALUES ($1,$2,$3,$4,$5) ON CONFLICT DO NOTHING`,
			masterRow, row.kdf, row.wrapped, row.check, store.Micros(v.clock.Now()))
		return err
	})
	if err != nil {
		return row, err
	}
	return readMaster(v.db.View(ctx))
}

const wrapPurpose = "master_keys/" + masterRow

func wrap(master Master, key []byte) (wrappedKey, error) {
	w := wrappedKey{kdf: master.newDerivation()}
	kek, err := master.wrappingKey(w.kdf)
	if err != nil {
		return w, err
	}
	s, err := newSealer(kek)
	if err != nil {
		return w, err
	}
	w.check = checkValue(kek)
	w.wrapped, err = s.seal(wrapPurpose, key)
	return w, err
}

func (w wrappedKey) unwrap(master Master) ([]byte, error) {
	kek, err := master.wrappingKey(w.kdf)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(checkValue(kek), w.check) != 1 {
		what := "master key"
		if w.kdf != "" {
			what = "passphrase"
		}
		return nil, fault.Invalidf("keys.master_wrong", "This is not the %s that the database was sealed under.", what).
			WithNext("Give the one that belongs to this database or backup.")
	}
	s, err := newSealer(kek)
	if err != nil {
		return nil, err
	}
	key, err := s.open(wrapPurpose, w.wrapped)
	if err != nil || len(key) != masterSize {
		return nil, fault.New(fault.Internal, "keys.master_damaged", "The master key is right, but the data key in the database is damaged.").
			WithNext("Restore the table master_keys from a backup.").WithCause(err)
	}
	return key, nil
}
