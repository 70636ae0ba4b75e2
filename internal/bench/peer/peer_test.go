package peer

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

// A token is a JWS (RFC 7515) whose signature the configured key verifies, for
// one name and one use.
func TestTokensVerifyUnderTheConfiguredKey(t *testing.T) {
	c := &CA{url: "https://127.0.0.1:1", trust: x509.NewCertPool()}
	if err := c.found(t.TempDir(), "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Tokens([]string{"a.example", "b.example"})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i, token := range tokens {
		part := strings.Split(token, ".")
		claims, signature := decode(t, part[1]), decode(t, part[2])
		digest := sha256.Sum256([]byte(part[0] + "." + part[1]))
		if !ecdsa.Verify(&c.key.PublicKey, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			t.Errorf("token %d does not verify", i)
		}
		var v struct{ Iss, Aud, Sub, Jti string }
		if err := json.Unmarshal(claims, &v); err != nil {
			t.Fatal(err)
		}
		if v.Sub != []string{"a.example", "b.example"}[i] || v.Aud != c.url+"/1.0/sign" || v.Iss != provisioner || ids[v.Jti] {
			t.Errorf("token %d says %+v", i, v)
		}
		ids[v.Jti] = true
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
