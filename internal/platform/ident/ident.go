// Package ident makes identifiers. They are UUIDs of version 7 (RFC 9562): the
// leading time keeps inserts local in an index, and 74 random bits keep two
// nodes apart without talking to each other.
package ident

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/google/uuid"
)

// New returns prefix + "-" + a UUID, such as "ord-0198…". An empty prefix gives the bare UUID.
func New(prefix string) string {
	id := uuid.Must(uuid.NewV7()).String()
	if prefix == "" {
		return id
	}
	return prefix + "-" + id
}

const documentLetters = "0123456789abcdefghijklmnopqrstuvwxyz"

// Document returns an id of the old document services: the day as DDMMYYYY and
// 50 random characters of base 36, together 58 (257 random bits).
func Document(now time.Time) string {
	var b [8 + 50]byte
	copy(b[:], now.UTC().Format("02012006"))
	fillBase36(b[8:])
	return string(b[:])
}

var pool = sync.Pool{New: func() any { return new([128]byte) }}

// fillBase36 draws uniformly by rejecting bytes of 252 and more (252 = 7·36).
func fillBase36(dst []byte) {
	buf := pool.Get().(*[128]byte)
	defer pool.Put(buf)
	for i := 0; i < len(dst); {
		rand.Read(buf[:])
		for _, c := range buf {
			if c < 252 && i < len(dst) {
				dst[i] = documentLetters[c%36]
				i++
			}
		}
	}
}

// Correlation returns 16 hex characters that tie a request's log lines, audit
// entries and error message together: the time in seconds, which keeps inserts
// into an index local, and 32 random bits.
func Correlation() string {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:4], uint32(time.Now().Unix()))
	rand.Read(b[4:])
	return hex.EncodeToString(b[:])
}
