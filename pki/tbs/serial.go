package tbs

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// NewSerial makes a serial number of 16 octets: 48 bits of time in milliseconds
// and 80 random bits, more than the 64 that TLS BR 7.1.2.7 asks for. The time
// prefix keeps new certificates together in the database index; it is no secret,
// since the certificate says when it was issued.
//
// The time is held within 2004 and 6429, so that the number is always positive
// and has no leading zero octets: the slice is the number's only spelling.
//
// random is crypto/rand.Reader but in tests. If it fails NewSerial panics, as
// crypto/rand itself does: a CA without randomness must not go on.
func NewSerial(now time.Time, random io.Reader) []byte {
	milliseconds := min(max(now.UnixMilli(), 1<<40), 1<<47-1)
	serial := make([]byte, 16)
	binary.BigEndian.PutUint64(serial, uint64(milliseconds)<<16)
	if _, err := io.ReadFull(random, serial[6:]); err != nil {
		panic(fmt.Sprintf("tbs: no randomness for a serial number: %v", err))
	}
	return serial
}
