// Package ct holds the data structures of Certificate Transparency, version 1
// (RFC 6962): signed certificate timestamps and their lists, log entries and
// Merkle tree leaves, signed tree heads, and proofs. Everything is a pure
// function over bytes.
//
// A client that submits to logs makes an [Entry] with [PrecertEntry] or
// [CertificateEntry], reads the log's key with [ParseKey] and checks what the
// log answers with [Key.VerifySCT]. A log signs with a [Signer] and proves with
// [ProveInclusion] and [ProveConsistency]; an auditor checks with
// [VerifyInclusion] and [VerifyConsistency]. The JSON of the log's HTTP
// interface (section 4) is in messages.go.
//
// Timestamps are milliseconds since 1970-01-01 UTC without leap seconds, as on
// the wire; see [Millis]. Values from 2^63 on are refused.
//
// Pre-certificates signed by a separate precertificate signing certificate
// (section 3.1) are not supported; public CAs may not use them any more.
package ct

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// Wire constants that occur in several structures.
const (
	v1                              = 0 // Version
	signatureTypeTimestamp          = 0 // SignatureType certificate_timestamp
	signatureTypeTree               = 1 // SignatureType tree_hash
	leafTypeTimestampedEntry        = 0 // MerkleLeafType timestamped_entry
	maxVector16                     = 1<<16 - 1
	hashSHA256                      = 4 // HashAlgorithm of TLS 1.2 (RFC 5246, section 7.4.1.4.1)
	signatureRSA             uint8  = 1 // SignatureAlgorithm of TLS 1.2
	signatureECDSA           uint8  = 3
	oidSCTList               string = "\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02" // tag and length included
	oidPoison                string = "\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"
)

// A Hash is SHA-256 over a leaf or a node of a log's tree (section 2.1).
type Hash = tlog.Hash

// A LogID names a log: SHA-256 over its public key as SubjectPublicKeyInfo
// (section 3.2).
type LogID [sha256.Size]byte

// LogIDOf is the id of the log with this public key, DER SubjectPublicKeyInfo.
func LogIDOf(spki []byte) LogID { return sha256.Sum256(spki) }

// String is the id in base64, as log lists write it.
func (id LogID) String() string { return base64.StdEncoding.EncodeToString(id[:]) }

// Millis is t as RFC 6962 writes times.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// Time is the inverse of [Millis], in UTC.
func Time(millis int64) time.Time { return time.UnixMilli(millis).UTC() }

// readTimestamp reads an uint64 that has room in an int64: 292 million years.
func readTimestamp(s *cryptobyte.String, out *int64) bool {
	var u uint64
	if !s.ReadUint64(&u) || u > math.MaxInt64 {
		return false
	}
	*out = int64(u)
	return true
}

func checkTimestamp(t int64) error {
	if t < 0 {
		return errors.New("ct: a time before 1970 cannot be written")
	}
	return nil
}
