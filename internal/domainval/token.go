package domainval

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

const (
	tokenLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	tokenLength  = 27 // 160 bits; rule 4 asks for 112
)

// newToken draws a random value. It is published by its nature, so it is no
// secret; that nobody can foresee it is what counts.
func newToken() string {
	out := make([]byte, 0, tokenLength)
	var buf [64]byte
	for {
		rand.Read(buf[:]) // never fails: crypto/rand aborts the process instead
		for _, c := range buf {
			if c >= 4*byte(len(tokenLetters)) {
				continue // would favour some letters
			}
			if out = append(out, tokenLetters[c%byte(len(tokenLetters))]); len(out) == tokenLength {
				return string(out)
			}
		}
	}
}

// fileName is where the file with a random value lies. It is made of the value
// by a hash, because the value itself must not stand in the request (TLS BR
// 3.2.2.4.18).
func fileName(token string) string {
	h := sha256.Sum256([]byte("file name for " + token))
	return hex.EncodeToString(h[:10]) + ".txt"
}

const wellKnown = "/.well-known/pki-validation/"

// same compares in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
