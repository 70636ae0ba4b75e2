// Package secret holds values that must not be seen: a [Text] prints as
// "[redacted]" wherever it ends up, and a [Token] is random, handed out once
// and stored as its hash.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"math/big"
)

const redacted = "[redacted]"

// Text is a secret string. Only Reveal gives it away, which makes every place
// that does so easy to find.
type Text struct{ s string }

// New hides s.
func New(s string) Text { return Text{s} }

// Reveal gives the secret itself.
func (t Text) Reveal() string { return t.s }

// Empty tells whether there is no secret.
func (t Text) Empty() bool { return t.s == "" }

// Equal compares in constant time.
func (t Text) Equal(other string) bool {
	a, b := sha256.Sum256([]byte(t.s)), sha256.Sum256([]byte(other))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (Text) String() string               { return redacted }
func (Text) GoString() string             { return redacted }
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Text) LogValue() slog.Value         { return slog.StringValue(redacted) }

// UnmarshalText reads a secret from configuration.
func (t *Text) UnmarshalText(b []byte) error { t.s = string(b); return nil }

// NewToken returns 32 random bytes as 43 characters that are safe in URLs.
func NewToken() Text {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the process instead
	return Text{base64.RawURLEncoding.EncodeToString(b[:])}
}

// Hash is how a random token is stored: SHA-256 in lower-case hex. It suits
// tokens with at least 128 bits of entropy only; passwords and short codes
// need a slow or keyed hash.
func Hash(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

// NewCode returns n random decimal digits.
func NewCode(n int) Text { return Text{pick("0123456789", n)} }

// NewPassword returns n characters drawn from letters and digits without the
// ones that people confuse (0 O 1 l I). Twelve characters carry 69 bits.
func NewPassword(n int) Text {
	return Text{pick("23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", n)}
}

func pick(alphabet string, n int) string {
	out, size := make([]byte, n), big.NewInt(int64(len(alphabet)))
	for i := range out {
		k, err := rand.Int(rand.Reader, size)
		if err != nil {
			panic(err) // unreachable: crypto/rand.Reader does not fail
		}
		out[i] = alphabet[k.Int64()]
	}
	return string(out)
}
