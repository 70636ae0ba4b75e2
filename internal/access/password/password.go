// Package password hashes passwords with argon2id (RFC 9106) and says which
// passwords are too weak to accept.
//
// A [Hasher] is shared by the whole process: each evaluation takes 19 MiB and
// some 40 ms of a core, and the hasher lets no more run at once than there are
// cores, so that a flood of guesses costs waiting instead of memory.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/sealwright/sealwright/internal/platform/secret"
)

// Params are the cost of argon2id.
type Params struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// Recommended is 19 MiB, two passes, one lane.
var Recommended = Params{MemoryKiB: 19 << 10, Time: 2, Threads: 1}

const saltSize, keySize = 16, 32

// A Hasher hashes and verifies passwords. Its methods may be called from any
// goroutine.
type Hasher struct {
	params Params
	slots  chan struct{}
	work   atomic.Uint64
	decoy  string
}

// NewHasher returns a hasher that runs one evaluation per core at a time.
func NewHasher(p Params) *Hasher {
	h := &Hasher{params: p, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	var salt [saltSize]byte
	var key [keySize]byte
	rand.Read(salt[:])
	rand.Read(key[:])
	h.decoy = encode(p, salt[:], key[:])
	return h
}

// Work counts the evaluations since the hasher was made.
func (h *Hasher) Work() uint64 { return h.work.Load() }

// Hash returns the password's hash in the PHC string format, with a new salt.
// The only error is that of a context that ends while waiting.
func (h *Hasher) Hash(ctx context.Context, p secret.Text) (string, error) {
	var salt [saltSize]byte
	rand.Read(salt[:])
	key, err := h.evaluate(ctx, h.params, p, salt[:])
	if err != nil {
		return "", err
	}
	return encode(h.params, salt[:], key), nil
}

// Verify tells whether p is the password behind the hash. An empty hash stands
// for an account that does not exist or has no password: the same work is done
// and the answer is no.
func (h *Hasher) Verify(ctx context.Context, hash string, p secret.Text) (bool, error) {
	known := hash != ""
	if !known {
		hash = h.decoy
	}
	params, salt, want, err := decode(hash)
	if err != nil {
		return false, err
	}
	got, err := h.evaluate(ctx, params, p, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// Outdated tells whether a hash was made at another cost than today's and
// should be made anew at the next occasion.
func (h *Hasher) Outdated(hash string) bool {
	params, _, _, err := decode(hash)
	return err != nil || params != h.params
}

func (h *Hasher) evaluate(ctx context.Context, params Params, p secret.Text, salt []byte) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	h.work.Add(1)
	return argon2.IDKey(normal(p), salt, params.Time, params.MemoryKiB, params.Threads, keySize), nil
}

// normal makes the same password typed on different keyboards the same bytes
// (NIST SP 800-63B, section 5.1.1.2).
func normal(p secret.Text) []byte { return norm.NFKC.Bytes([]byte(p.Reveal())) }

func encode(p Params, salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Threads, b.EncodeToString(salt), b.EncodeToString(key))
}

// decode reads what encode wrote. Costs beyond those limits are refused: a row
// that was tampered with must not take the machine down.
func decode(hash string) (p Params, salt, key []byte, err error) {
	const maxMemory, maxTime = 1 << 20, 64
	part := strings.Split(hash, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, fmt.Errorf("password hash: unknown form")
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Time, &p.Threads); err != nil {
		return p, nil, nil, fmt.Errorf("password hash: parameters: %w", err)
	}
	if p.MemoryKiB == 0 || p.MemoryKiB > maxMemory || p.Time == 0 || p.Time > maxTime || p.Threads == 0 {
		return p, nil, nil, fmt.Errorf("password hash: parameters out of range")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(part[4]); err != nil {
		return p, nil, nil, fmt.Errorf("password hash: salt: %w", err)
	}
	if key, err = base64.RawStdEncoding.DecodeString(part[5]); err != nil || len(key) != keySize {
		return p, nil, nil, fmt.Errorf("password hash: key has %d bytes", len(key))
	}
	return p, salt, key, nil
}
