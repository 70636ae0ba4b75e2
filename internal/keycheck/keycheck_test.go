package keycheck_test

import (
	"context"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealwright/sealwright/internal/keycheck"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
	"github.com/sealwright/sealwright/pki/csr"
	"github.com/sealwright/sealwright/pki/goodkey"
)

// A109: every request of the corpus is refused for its own reason, by the parser or
// by the check, and the good ones are not; none costs more than a moment.
func TestHostileRequestsAreRefused(t *testing.T) {
	weak, err := keycheck.LoadWeakKeys([]string{weakList(t)})
	if err != nil {
		t.Fatal(err)
	}
	strict := goodkey.Default()
	strict.Composite = true
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	keys := keycheck.New(w.db, nil, w.clock, weak, nil)
	for name, want := range map[string]string{
		"good-rsa3072":   "",
		"good-p256":      "",
		"rsa1024":        "key.key_too_small",
		"rsa2052":        "key.modulus_length",
		"exponent3":      "key.weak_exponent",
		"p224":           "unsupported_key",
		"secp256k1":      "unsupported_key",
		"brainpool":      "unsupported_key",
		"explicit-curve": "unsupported_key",
		"ed448":          "unsupported_key",
		"ed25519":        "key.key_type_not_allowed",
		"fermat":         "key.close_primes",
		"roca":           "key.roca",
		"small-factor":   "key.small_factor",
		"prime-modulus":  "key.prime_modulus",
		"debian-weak":    "key.debian_weak",
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			r, err := csr.Parse(file(t, name+".csr"))
			if err == nil {
				err = keys.Check(t.Context(), w.db.View(t.Context()), r.SPKI, r.PublicKey, strict, false, "cli-1")
				if err != nil {
					got = fault.Of(err).Code
				}
			} else {
				got = string(err.(*csr.Error).Code)
			}
			if got != want {
				t.Errorf("got %q (%v), want %q", got, err, want)
			}
		})
	}
}

// weakList is a directory as Debian's package lays it out, with one line of which the
// last 80 bits are those of sha1sum over "openssl rsa -modulus" of the corpus' key.
func weakList(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"blacklist.RSA-2048": "# a list\n00006aa0ce2cd60e6660\n49d96fae9bfc0e84bba3\n",
		"blacklist.RSA-1024": "# another\nffff1f5a2b9f01d6a6aa\n",
		".hidden":            "no list at all",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Bare keys that are huge or nonsense cost next to nothing: fifty of them take less
// than a second even where tests crowd the machine.
func TestHostileKeysCostLittle(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	files, err := filepath.Glob("testdata/*.der")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v %v", files, err)
	}
	start := time.Now()
	for range 50 / len(files) {
		for _, f := range files {
			err := w.ask(file(t, filepath.Base(f)), nil, true, "cli-1")
			if code := fault.Of(err).Code; err == nil || !strings.HasPrefix(code, "key.") {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("the keys took %s", took)
	}
}

func TestAMissingOrDamagedListStopsTheStart(t *testing.T) {
	dir := weakList(t)
	bad := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(bad, []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{{bad}, {dir, bad}, {filepath.Join(dir, "none")}} {
		if _, err := keycheck.LoadWeakKeys(paths); err == nil || fault.Of(err).Code != "key.weak_list" || fault.Of(err).Next == "" {
			t.Errorf("%v: %v", paths, err)
		}
	}
	if weak, err := keycheck.LoadWeakKeys([]string{dir, filepath.Join(dir, "blacklist.RSA-2048")}); err != nil || weak.Len() != 3 {
		t.Errorf("%d keys, %v", weak.Len(), err)
	}
	if weak, err := keycheck.LoadWeakKeys(nil); err != nil || weak.Len() != 0 {
		t.Errorf("%d keys, %v", weak.Len(), err)
	}
}

// A109: a blocked key is refused in the very transaction that blocks it, whatever form
// it comes in.
func TestBlockedKeysAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		r := request(t, "good-rsa3072.csr")
		w.check(w.ask(r.SPKI, r.PublicKey, false, "cli-1"))
		w.update(func(tx *store.Tx) error {
			if _, err := w.keys.Block(tx, keycheck.Blocked{SPKI: keycheck.HashOf(r.SPKI), Reason: keycheck.Compromised, Source: "acme"}); err != nil {
				return err
			}
			refused(t, w.keys.Check(tx.Context(), tx, r.SPKI, r.PublicKey, goodkey.Default(), false, "cli-1"), "key.blocked")
			return nil
		})
		refused(t, w.ask(r.SPKI, nil, false, "cli-1"), "key.blocked")
		p := request(t, "good-p256.csr")
		w.check(w.ask(p.SPKI, p.PublicKey, false, "cli-1"))
	})
}

// Who holds one key holds its relatives: the same modulus with another exponent, the
// negative of a point.
func TestRelativesOfABlockedKeyAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		private, pub := testKey(t, "RSA")
		_, err := w.keys.Compromised(t.Context(), private, "", nil)
		w.check(err)
		key := pub.(*rsa.PublicKey)
		relative := &rsa.PublicKey{N: key.N, E: 65539}
		refused(t, w.ask(spkiOf(t, relative), relative, false, "cli-1"), "key.blocked")

		private, pub = testKey(t, "EC")
		_, err = w.keys.Compromised(t.Context(), private, "", nil)
		w.check(err)
		refused(t, w.ask(negative(t, spkiOf(t, pub)), nil, false, "cli-1"), "key.blocked")
	})
}

// negative gives the key of the point with the other y-coordinate on P-256.
func negative(t *testing.T, spki []byte) []byte {
	t.Helper()
	out := slices.Clone(spki)
	y := out[len(out)-32:]
	new(big.Int).Sub(elliptic.P256().Params().P, new(big.Int).SetBytes(y)).FillBytes(y)
	if _, err := x509.ParsePKIXPublicKey(out); err != nil {
		t.Fatal(err)
	}
	return out
}

// "Reuse across clients": a client may go on with its own key, nobody else may take it.
func TestAKeyOfAnotherClientIsRefused(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	r := request(t, "good-p256.csr")
	hash := keycheck.HashOf(r.SPKI)
	for _, test := range []struct {
		name   string
		owners []string
		unique bool
		code   string
	}{
		{"a new key", nil, true, ""},
		{"one's own key", []string{"cli-1"}, true, ""},
		{"somebody else's key", []string{"cli-2"}, true, "key.reused"},
		{"a key of both", []string{"cli-1", "cli-2"}, true, "key.reused"},
		{"where the product allows it", []string{"cli-2"}, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.owners[hash] = test.owners
			err := w.ask(r.SPKI, r.PublicKey, test.unique, "cli-1")
			switch {
			case test.code == "" && err != nil:
				t.Error(err)
			case test.code != "":
				refused(t, err, test.code)
				if text := fault.Of(err).Message + fault.Of(err).Next; strings.Contains(text, "cli-2") {
					t.Errorf("the fault tells who: %s", text)
				}
			}
		})
	}
	if err := keycheck.New(w.db, nil, w.clock, nil, nil).Check(t.Context(), w.db.View(t.Context()), r.SPKI, r.PublicKey, goodkey.Default(), true, "cli-1"); err == nil {
		t.Error("nobody knows the owners, and the key is taken to be new")
	}
}

func TestACallThatWasGivenUpIsNotAnswered(t *testing.T) {
	w := newWorld(t, storetest.Open(t, storetest.SQLite(t)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := request(t, "good-p256.csr")
	if err := w.keys.Check(ctx, w.db.View(t.Context()), r.SPKI, r.PublicKey, goodkey.Default(), false, "cli-1"); err == nil {
		t.Error("checked")
	}
}

func BenchmarkCheck(b *testing.B) {
	db := storetest.Open(b, storetest.SQLite(b))
	keys := keycheck.New(db, nil, nil, nil, owners{})
	for _, name := range []string{"good-p256.csr", "good-rsa3072.csr"} {
		r := request(b, name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := keys.Check(b.Context(), db.View(b.Context()), r.SPKI, r.PublicKey, goodkey.Default(), true, "cli-1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
