package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, db *store.DB, m Master, opts ...Option) *Vault {
	t.Helper()
	v, err := Open(t.Context(), db, m, clock.NewFake(start), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testMaster(fill string) Master {
	m, err := parseMaster([]byte(strings.Repeat(fill+"a5", 16)))
	if err != nil {
		panic(err)
	}
	return m
}

func sign(t testing.TB, s crypto.Signer) []byte {
	t.Helper()
	message := []byte("sample")
	digest, opts := message, crypto.SignerOpts(crypto.Hash(0))
	if _, ed := s.Public().(ed25519.PublicKey); !ed {
		d := sha256.Sum256(message)
		digest, opts = d[:], crypto.SHA256
	}
	sig, err := s.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func verify(public crypto.PublicKey, sig []byte) bool {
	d := sha256.Sum256([]byte("sample"))
	switch p := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, d[:], sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(p, d[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(p, []byte("sample"), sig)
	}
	return false
}

func TestKeysOfEveryAlgorithmSurviveARestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		v := open(t, db, testMaster("0f"))
		for _, alg := range Algorithms() {
			signer, err := Generate(alg) // outside: RSA would hold the writer
			if err != nil {
				t.Fatal(err)
			}
			var key Key
			if err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
				key, err = v.Import(tx, signer, "label of "+string(alg))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			again := open(t, db, testMaster("0f")) // a second process
			got, err := again.Signer(t.Context(), key.Ref)
			if err != nil {
				t.Fatal(err)
			}
			if !verify(key.Public, sign(t, got)) {
				t.Errorf("%s: the signature of the stored key does not verify", alg)
			}
			described, err := again.Key(t.Context(), key.Ref)
			if err != nil || described.Algorithm != alg || described.Label != "label of "+string(alg) {
				t.Errorf("%s: described as %+v, %v", alg, described, err)
			}
		}
	})
}

// A25: the end of a key's life.
func TestADestroyedKeyIsGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		v := open(t, db, testMaster("0f"))
		var key Key
		if err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
			key, err = v.Generate(tx, P256, "short-lived")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Signer(t.Context(), key.Ref); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time changes nothing
			if err := db.Update(t.Context(), func(tx *store.Tx) error { return v.Destroy(tx, key.Ref) }); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := v.Signer(t.Context(), key.Ref); fault.Of(err).Code != "keys.unknown" {
			t.Errorf("after Destroy: %v", err)
		}
	})
}

func TestAStoredKeyIsNotInClearAndCannotBeSwapped(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	v := open(t, db, testMaster("0f"))
	var a, b Key
	if err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
		if a, err = v.Generate(tx, Ed25519, "a"); err != nil {
			return err
		}
		if b, err = v.Generate(tx, Ed25519, "b"); err != nil {
			return err
		}
		// Whoever can write the database puts their key in the place of another.
		_, err = tx.Exec(`UPDATE keys SET sealed=(SELECT sealed FROM keys WHERE id=$1) WHERE id=$2`, strings.TrimPrefix(b.Ref, "soft:"), strings.TrimPrefix(a.Ref, "soft:"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Signer(t.Context(), a.Ref); fault.Of(err).Code != "keys.sealed" {
		t.Errorf("a swapped key was opened: %v", err)
	}
	signer, err := v.Signer(t.Context(), b.Ref)
	if err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	if err := db.View(t.Context()).QueryRow(`SELECT sealed FROM keys WHERE id=$1`, strings.TrimPrefix(b.Ref, "soft:")).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), string(signer.(ed25519.PrivateKey).Seed())) {
		t.Error("the seed is in the database in clear")
	}
}

func TestWrongReferencesSayWhy(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	v := open(t, db, testMaster("0f"))
	for _, c := range []struct{ ref, code string }{
		{"soft:key-none", "keys.unknown"},
		{"hsm:root", "keys.hsm_not_configured"},
		{"file:/etc/passwd", "keys.reference"},
		{"", "keys.reference"},
	} {
		if _, err := v.Signer(t.Context(), c.ref); fault.Of(err).Code != c.code {
			t.Errorf("%q: %v, want %s", c.ref, err, c.code)
		}
	}
}

func TestConcurrentCallersGetOneSigner(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	v := open(t, db, testMaster("0f"))
	var key Key
	if err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
		key, err = v.Generate(tx, P384, "shared")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := make([]crypto.Signer, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			s, err := v.Signer(t.Context(), key.Ref)
			if err != nil {
				t.Error(err)
			}
			got[i] = s
		})
	}
	wg.Wait()
	for _, s := range got {
		if s != got[0] {
			t.Fatal("the key was opened more than once")
		}
	}
}

// RFC 6979, appendix A.2.5, SHA-256, message "sample": order recovery repeats a
// signature to the same bytes by passing no random source.
func TestANilRandGivesTheDeterministicSignature(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	v := open(t, db, testMaster("0f"))
	d, _ := hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	var key Key
	if err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
		key, err = v.Import(tx, private, "rfc6979")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	signer, err := v.Signer(t.Context(), key.Ref)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("sample"))
	sig, err := signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := new(big.Int).SetString("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716", 16)
	if !strings.Contains(hex.EncodeToString(sig), hex.EncodeToString(r.Bytes())) {
		t.Errorf("the signature %x does not hold the r of RFC 6979", sig)
	}
}

func TestUnsupportedKeysAreRefused(t *testing.T) {
	for _, name := range []string{"", "rsa1024", "p224", "dsa"} {
		if _, err := ParseAlgorithm(name); fault.Of(err).Code != "keys.algorithm" {
			t.Errorf("%q: %v", name, err)
		}
	}
	if a, err := ParseAlgorithm("P256"); a != P256 || err != nil {
		t.Errorf("P256: %v, %v", a, err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AlgorithmOf(weak.Public()); fault.Of(err).Code != "keys.algorithm" {
		t.Errorf("P-224: %v", err)
	}
}

func TestThePoolFillsInTheBackgroundAndNeverGivesAKeyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Stock{RSA2048, 2}, Stock{P256, 9})
		synctest.Wait()
		seen := map[string]bool{}
		for range 4 { // two ready ones and two made while waiting or refilled
			k, err := p.Get(t.Context(), RSA2048)
			if err != nil {
				t.Fatal(err)
			}
			seen[k.Public().(*rsa.PublicKey).N.String()] = true
		}
		if len(seen) != 4 {
			t.Errorf("%d different keys of 4", len(seen))
		}
		time.Sleep(time.Hour) // of the bubble: rests pass at once
		synctest.Wait()
		if n := len(p.ready[RSA2048]); n != 2 {
			t.Errorf("%d ready, want 2", n)
		}
		if len(p.ready) != 1 {
			t.Error("a key that is quick to make was stocked")
		}
		p.Close()
		p.Close()
		if k, err := p.Get(t.Context(), P256); err != nil || k.Public().(*ecdsa.PublicKey).Curve != elliptic.P256() {
			t.Errorf("after Close: %v, %v", k, err)
		}
	})
}
