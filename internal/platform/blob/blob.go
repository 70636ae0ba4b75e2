// Package blob keeps documents: streams of bytes of any size, encrypted at
// rest, in files ([NewFiles]) or in the database ([NewTable]).
//
// [Store.Put] reads a stream once, in constant memory (about 1 MiB), and
// returns when its bytes survive a power cut; after an error nothing is left
// behind but what [Store.Sweep] removes. [Store.Open] reads from any position.
// A change of any stored byte, a truncation, a reordering and a swap with
// another blob are noticed when the bytes are read, with one internal fault,
// "blob.damaged"; a blob whose length was changed does not open.
//
// Each blob has a random data key, sealed for it alone by the [Sealer]. Its
// bytes follow in chunks of 64 KiB under AES-256-GCM, in the STREAM
// construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online
// Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015): the
// nonce is the chunk's number and whether it is the last.
package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

// A Sealer seals small secrets for a purpose; keys.Vault is one.
type Sealer interface {
	Seal(purpose string, plaintext []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// A Store keeps blobs. Its methods may be called from any goroutine.
type Store struct {
	backend backend
	sealer  Sealer
}

// An Info describes a stored blob.
type Info struct {
	ID     string // 26 letters and digits, 130 random bits
	Size   int64
	SHA256 [32]byte // of the plaintext
}

// A backend keeps the encrypted stream of a blob: a header and a body.
type backend interface {
	// create begins a blob that nobody sees yet.
	create(ctx context.Context, id string, header []byte) (upload, error)
	// open gives a complete blob, or errNone.
	open(ctx context.Context, id string) (source, error)
	// remove deletes a blob for good; it is no error if there is none.
	remove(ctx context.Context, id string) error
	// sweep removes uploads untouched since before, and gives the ids of
	// complete blobs older than that to each, in batches.
	sweep(ctx context.Context, before time.Time, each func(ids []string) error) (removed int, err error)
}

// An upload is a blob being written, by one goroutine.
type upload interface {
	// write appends to the body: whole batches, but for the last.
	write(ctx context.Context, p []byte) error
	// commit makes the blob durable and visible.
	commit(ctx context.Context) error
	// abort leaves nothing behind; it may follow a failed commit.
	abort()
}

// A source is an open blob.
type source interface {
	header() []byte
	bodySize() int64
	// readBody fills p from an offset of the body.
	readBody(p []byte, off int64) error
	close() error
}

var errNone = errors.New("no such blob")

// newID is lower-case base32 without padding. It is random throughout: a
// document's id must not be guessed from another's.
func newID() string { return strings.ToLower(rand.Text()) }

const idLength = 26

// validID keeps anything but an id of ours away from file names.
func validID(id string) bool {
	if len(id) != idLength {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

func purpose(id string) string { return "blob/" + id }

// Put stores what r gives, at most limit bytes, and returns when it is durable.
// More than limit gives TooLarge ("blob.too_large"); a full disk gives
// Unavailable ("blob.full"); an error of r is returned wrapped. In each case the
// blob does not exist.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (Info, error) {
	id, key := newID(), make([]byte, keySize)
	rand.Read(key) // never fails: crypto/rand aborts the process instead
	sealed, err := s.sealer.Seal(purpose(id), key)
	if err != nil {
		return Info{}, fault.Wrap(err, "seal data key")
	}
	stream, err := newStream(key)
	if err != nil {
		return Info{}, err
	}
	w := &writer{ctx: ctx, in: r, limit: limit, stream: stream, hash: sha256.New()}
	// A blob of one batch is stored in one step; create is deferred until then,
	// so that a broken request does not touch the disk.
	if err := w.run(func() (upload, error) { return s.backend.create(ctx, id, sealed) }); err != nil {
		return Info{}, err
	}
	info := Info{ID: id, Size: w.size}
	w.hash.Sum(info.SHA256[:0])
	return info, nil
}

// Open opens a blob for reading and checks its size. An id that leads nowhere
// gives NotFound ("blob.unknown"). The context ends reading from the database.
// The reader is for one goroutine; close it.
func (s *Store) Open(ctx context.Context, id string) (*Reader, error) {
	if !validID(id) {
		return nil, unknown(id)
	}
	src, err := s.backend.open(ctx, id)
	if errors.Is(err, errNone) {
		return nil, unknown(id)
	}
	if err != nil {
		return nil, failed(err, "read")
	}
	r, err := newReader(s.sealer, id, src)
	if err != nil {
		return nil, errors.Join(err, src.close())
	}
	return r, nil
}

// Delete removes a blob for good. It is no error if there is none.
func (s *Store) Delete(ctx context.Context, id string) error {
	if !validID(id) {
		return nil
	}
	return failed(s.backend.remove(ctx, id), "delete")
}

// sweepBatch is how many ids InUse is asked about at once.
const sweepBatch = 256

// InUse tells which of the blobs somebody still refers to.
type InUse func(ctx context.Context, ids []string) (used map[string]bool, err error)

// Sweep removes what crashes left: uploads that nobody has written to since
// olderThan and, unless inUse is nil, complete blobs older than that which are
// not in use (their owner crashed between Put and its own commit). It returns
// how many were removed. Give a time that is longer ago than any pause in an
// upload and than any step between Put and the owner's commit: an hour or more.
func (s *Store) Sweep(ctx context.Context, olderThan time.Time, inUse InUse) (int, error) {
	orphans := 0
	each := func(ids []string) error {
		if inUse == nil {
			return nil
		}
		used, err := inUse(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !used[id] {
				if err := s.backend.remove(ctx, id); err != nil {
					return err
				}
				orphans++
			}
		}
		return nil
	}
	uploads, err := s.backend.sweep(ctx, olderThan, each)
	return uploads + orphans, failed(err, "sweep")
}

func unknown(id string) error {
	return fault.NotFoundf("blob.unknown", "There is no document %.64q.", id)
}

func damaged(id string, cause error) error {
	return fault.New(fault.Internal, "blob.damaged", "The stored document %s is damaged.", id).WithNext("Restore it from a backup.").WithCause(cause)
}

// failed turns an error of the disk into a fault. Faults, such as the store's,
// and ends of contexts stay as they are.
func failed(err error, doing string) error {
	var f *fault.Fault
	switch {
	case err == nil || errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fault.Unavailablef(err, "blob.full", "The disk that holds the documents is full; nothing was saved.").WithNext("Free some space and try again.")
	}
	return fault.Unavailablef(fmt.Errorf("%s: %w", doing, err), "blob.failed", "The disk that holds the documents does not work.").WithNext("Look into the log, then try again.")
}
