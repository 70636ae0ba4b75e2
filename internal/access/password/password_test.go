package password

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// cheap keeps the tests quick; the cost itself is measured by the benchmark.
var cheap = Params{MemoryKiB: 64, Time: 1, Threads: 1}

func TestVerifyAcceptsThePasswordAndNothingElse(t *testing.T) {
	h := NewHasher(cheap)
	hash, err := h.Hash(t.Context(), secret.New("Blåbærgrød på terrassen"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, password string
		want           bool
	}{
		{"the same text", "Blåbærgrød på terrassen", true},
		{"the same text typed with combining accents", "Bla\u030abærgrød pa\u030a terrassen", true},
		{"another case", "blåbærgrød på terrassen", false},
		{"a prefix", "Blåbærgrød", false},
		{"nothing", "", false},
	} {
		if got, err := h.Verify(t.Context(), hash, secret.New(c.password)); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestAnUnknownAccountCostsTheSameWork(t *testing.T) {
	h := NewHasher(cheap)
	hash, err := h.Hash(t.Context(), secret.New("some password"))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{hash, ""} {
		before := h.Work()
		if ok, err := h.Verify(t.Context(), of, secret.New("wrong password")); ok || err != nil {
			t.Fatalf("verify: %v, %v", ok, err)
		}
		if got := h.Work() - before; got != 1 {
			t.Errorf("hash %q took %d evaluations", of, got)
		}
	}
}

func TestHashesCarryTheirCostAndSalt(t *testing.T) {
	h := NewHasher(Recommended)
	a, errA := h.Hash(t.Context(), secret.New("x"))
	b, errB := h.Hash(t.Context(), secret.New("x"))
	if errA != nil || errB != nil || a == b {
		t.Fatalf("two hashes of one password: %v %v", errA, errB)
	}
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash starts %q", a[:40])
	}
	if h.Outdated(a) || !NewHasher(cheap).Outdated(a) {
		t.Error("a hash is outdated exactly when its cost differs")
	}
}

func TestVerifyStopsWaitingWithItsContext(t *testing.T) {
	h := NewHasher(cheap)
	for range cap(h.slots) {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Verify(ctx, "", secret.New("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, password string
		ok             bool
	}{
		{"four unrelated words", "lantern pickle orbit seven", true},
		{"twelve characters", "kV7pQ2xM9rTz", true},
		{"twelve letters outside ASCII", "жёлтыйчёртик", true},
		{"eleven characters", "kV7pQ2xM9rT", false},
		{"eleven letters of two bytes each", "жёлтыйчёрти", false},
		{"a common password with digits", "password1234", false},
		{"a common password with substitutions", "P@ssw0rd!!!!", false},
		{"a keyboard row", "qwertyuiop12", false},
		{"counting", "123456789012", false},
		{"one character", "aaaaaaaaaaaaaaa", false},
		{"one short pattern", "abababababab", false},
		{"the address of the owner", "desk@example.com!", false},
		{"the local part of the address", "my deskoperator pw", false},
		{"the name of the owner", "Desk Operator was here", false},
		{"257 characters", strings.Repeat("kV7pQ2xM9rTz", 22)[:257], false},
		{"bytes that are not text", "kV7pQ2xM9rTz\xff\xfe", false},
	} {
		err := Check(secret.New(c.password), "desk@example.com", "deskoperator@example.com", "Desk Operator")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (!errors.Is(err, fault.Invalid) || fault.Of(err).Field != "password" || strings.Contains(err.Error(), c.password)) {
			t.Errorf("%s: fault %v", c.name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$$")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, hash string) {
		p, salt, key, err := decode(hash)
		if err != nil {
			return
		}
		q, salt2, key2, err := decode(encode(p, salt, key))
		if err != nil || p != q || string(salt) != string(salt2) || string(key) != string(key2) {
			t.Fatalf("%q does not survive a round trip", hash)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := NewHasher(Recommended)
	hash, err := h.Hash(b.Context(), secret.New("x"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, err := h.Verify(b.Context(), hash, secret.New("x")); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
