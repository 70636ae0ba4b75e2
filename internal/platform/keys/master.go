package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

const masterSize = 32

// A Master is the key above all keys: it wraps the data key in the database
// and is kept nowhere but where the operator put it. Losing it loses every
// sealed secret. The zero Master is refused by [Open].
type Master struct {
	key        []byte // 32 bytes, unless there is a passphrase
	passphrase secret.Text
}

// String hides the key wherever a Master ends up.
func (Master) String() string { return "[redacted]" }

// GoString hides the key from %#v.
func (Master) GoString() string { return "[redacted]" }

// MasterFile reads a master key file: 32 raw bytes, or 64 hexadecimal digits
// with or without a line end. A file that its group or others can read is
// refused, because whoever reads it holds every key.
func MasterFile(path string) (Master, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Master{}, fault.Invalidf("keys.master_missing", "There is no master key file %s.", path).WithNext("Restore it from your backup; only a new installation makes a new one.").WithCause(err)
	}
	if err != nil {
		return Master{}, fault.Invalidf("keys.master_file", "The master key file %s cannot be opened.", path).WithCause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Master{}, fault.Wrap(err, "master key file")
	}
	if !info.Mode().IsRegular() {
		return Master{}, fault.Invalidf("keys.master_file", "The master key file %s is not a regular file.", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Master{}, fault.Invalidf("keys.master_readable", "The master key file %s is open to others (mode %04o).", path, info.Mode().Perm()).WithNext("Run: chmod 600 %s", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 128))
	if err != nil {
		return Master{}, fault.Wrap(err, "master key file")
	}
	m, err := parseMaster(b)
	if err != nil {
		return Master{}, fault.Invalidf("keys.master_format", "The master key file %s %s.", path, err)
	}
	return m, nil
}

// MasterEnv reads 64 hexadecimal digits from an environment variable.
func MasterEnv(name string) (Master, error) {
	v, ok := os.LookupEnv(name)
	if !ok {
		return Master{}, fault.Invalidf("keys.master_missing", "The environment variable %s with the master key is not set.", name)
	}
	if len(v) == masterSize {
		v = "" // the raw form is for files; here it would be a passphrase in disguise
	}
	m, err := parseMaster([]byte(v))
	if err != nil {
		return Master{}, fault.Invalidf("keys.master_format", "The environment variable %s does not hold 64 hexadecimal digits.", name)
	}
	return m, nil
}

// ParseMaster reads 64 hexadecimal digits, as a master key file holds them.
func ParseMaster(key secret.Text) (Master, error) {
	m, err := parseMaster([]byte(key.Reveal()))
	if err != nil {
		return Master{}, fault.Invalidf("keys.master_format", "The master key %s.", err)
	}
	return m, nil
}

// MinPassphrase is the least number of bytes of a passphrase.
const MinPassphrase = 12

// MasterPassphrase derives the master key from a passphrase when a [Vault] is
// opened: argon2id (RFC 9106) with a salt from the database, about 0.1 s and
// 64 MiB once.
func MasterPassphrase(p secret.Text) (Master, error) {
	if len(p.Reveal()) < MinPassphrase {
		return Master{}, fault.Invalidf("keys.passphrase_short", "The master passphrase has fewer than %d characters.", MinPassphrase)
	}
	return Master{passphrase: p}, nil
}

// NewMasterFile creates a master key file with mode 0600 for a new
// installation and never overwrites one.
func NewMasterFile(path string) (Master, error) {
	key := make([]byte, masterSize)
	rand.Read(key) // never fails: crypto/rand aborts the process instead
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return Master{}, fault.Conflictf("keys.master_exists", "The master key file %s exists already.", path).WithNext("Keep it: what it sealed opens with nothing else.")
	}
	if err != nil {
		return Master{}, fault.Invalidf("keys.master_file", "The master key file %s cannot be created.", path).WithCause(err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// A database that outlives its master key after a power cut would be lost.
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return Master{}, fault.Wrap(errors.Join(err, os.Remove(path)), "write master key file")
	}
	return Master{key: key}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func parseMaster(b []byte) (Master, error) {
	if len(b) != masterSize {
		text := bytes.TrimRight(b, "\r\n")
		decoded := make([]byte, hex.DecodedLen(len(text)))
		if _, err := hex.Decode(decoded, text); err != nil || len(decoded) != masterSize {
			return Master{}, errors.New("holds neither 32 bytes nor 64 hexadecimal digits")
		}
		b = decoded
	}
	if bytes.Count(b, b[:1]) == len(b) {
		return Master{}, errors.New("holds one byte value only; that is no key")
	}
	return Master{key: b}, nil
}

// derivation is the parameter row of a passphrase: argon2id with RFC 9106's
// second recommended option. It is stored, so that it can grow later.
type derivation struct {
	Name    string `json:"name"`
	Passes  uint32 `json:"passes"`
	KiB     uint32 `json:"kib"`
	Threads uint8  `json:"threads"`
	Salt    []byte `json:"salt"`
}

// newDerivation is the text of a fresh parameter row; empty for a master that
// needs none.
func (m Master) newDerivation() string {
	if m.passphrase.Empty() {
		return ""
	}
	d := derivation{Name: "argon2id", Passes: 3, KiB: 64 << 10, Threads: 4, Salt: make([]byte, 16)}
	rand.Read(d.Salt)
	b, _ := json.Marshal(d) // numbers and bytes always encode
	return string(b)
}

// wrappingKey is the 32-byte key-encryption key, given the parameter row.
func (m Master) wrappingKey(kdf string) ([]byte, error) {
	switch {
	case m.passphrase.Empty() && len(m.key) != masterSize:
		return nil, fault.Invalidf("keys.master_missing", "No master key was given.")
	case m.passphrase.Empty() && kdf != "":
		return nil, fault.Invalidf("keys.master_kind", "The database is sealed under a passphrase, but a master key was given.")
	case m.passphrase.Empty():
		return m.key, nil
	case kdf == "":
		return nil, fault.Invalidf("keys.master_kind", "The database is sealed under a master key, but a passphrase was given.")
	}
	var d derivation
	if err := json.Unmarshal([]byte(kdf), &d); err != nil {
		return nil, fmt.Errorf("parameters of the passphrase: %w", err)
	}
	// Bounds, so that a changed row cannot ask for all memory or panic argon2.
	if d.Name != "argon2id" || d.Passes < 1 || d.Passes > 64 || d.KiB < 8<<10 || d.KiB > 1<<20 || d.Threads < 1 || len(d.Salt) < 16 {
		return nil, errors.New("parameters of the passphrase are out of bounds")
	}
	return argon2.IDKey([]byte(m.passphrase.Reveal()), d.Salt, d.Passes, d.KiB, d.Threads, masterSize), nil
}

// checkValue tells a wrong master key from a damaged row. It reveals nothing of
// a random key, and of a passphrase no more than the wrapped key beside it.
func checkValue(wrappingKey []byte) []byte {
	h := hmac.New(sha256.New, wrappingKey)
	h.Write([]byte("sealwright master key check v1"))
	return h.Sum(nil)[:8]
}
