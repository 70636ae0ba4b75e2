package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func testSealer(t testing.TB) *sealer {
	s, err := newSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The vectors of C2SP's XAES-256-GCM specification.
func TestItemsAreSealedAsXAES256GCMPrescribes(t *testing.T) {
	for _, c := range []struct {
		key  byte
		add  string
		want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		s, err := newSealer(bytes.Repeat([]byte{c.key}, 32))
		if err != nil {
			t.Fatal(err)
		}
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		aead, err := s.item(nonce)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(aead.Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte(c.add))); got != c.want {
			t.Errorf("key %d: %s, want %s", c.key, got, c.want)
		}
	}
}

func TestWhatIsSealedOpensAndNothingElseDoes(t *testing.T) {
	s := testSealer(t)
	rapid.Check(t, func(r *rapid.T) {
		purpose, plain := rapid.String().Draw(r, "purpose"), rapid.SliceOf(rapid.Byte()).Draw(r, "plain")
		sealed, err := s.seal(purpose, plain)
		if err != nil {
			r.Fatal(err)
		}
		if got, err := s.open(purpose, sealed); err != nil || !bytes.Equal(got, plain) {
			r.Fatalf("%x, %v", got, err)
		}
		if _, err := s.open(purpose+"x", sealed); err == nil {
			r.Fatal("opened for another purpose")
		}
		bad := bytes.Clone(sealed)
		bad[rapid.IntRange(0, len(bad)-1).Draw(r, "at")] ^= byte(1 << rapid.IntRange(0, 7).Draw(r, "bit"))
		if _, err := s.open(purpose, bad); err == nil {
			r.Fatal("a changed value was opened")
		}
		if _, err := s.open(purpose, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(r, "cut")]); err == nil {
			r.Fatal("a shortened value was opened")
		}
	})
}

func FuzzOpenSealed(f *testing.F) {
	s := testSealer(f)
	// Not from seal: each process of the fuzzer must have the same.
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	aead, err := s.item(nonce)
	if err != nil {
		f.Fatal(err)
	}
	good := aead.Seal(append([]byte{sealVersion}, nonce...), nonce[12:], []byte("secret"), additional("p"))
	f.Add(good)
	f.Add([]byte{})
	f.Add(good[:sealOverhead])
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := s.open("p", b); err == nil && !bytes.Equal(b, good) {
			t.Errorf("%x opened to %x", b, p)
		}
	})
}

func TestOnlyTheRightMasterOpensTheVault(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		right, _ := MasterPassphrase(secret.New("correct horse battery"))
		wrong, _ := MasterPassphrase(secret.New("correct horse buttery"))
		sealed, err := open(t, db, right).Seal("p", []byte("kept"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, db, right).Open("p", sealed); err != nil || string(got) != "kept" {
			t.Errorf("%q, %v", got, err)
		}
		for name, c := range map[string]struct {
			master Master
			code   string
		}{
			"another passphrase":  {wrong, "keys.master_wrong"},
			"a key instead":       {testMaster("0f"), "keys.master_kind"},
			"nothing":             {Master{}, "keys.master_missing"},
			"a key of five bytes": {Master{key: []byte("short")}, "keys.master_missing"},
		} {
			_, err := Open(t.Context(), db, c.master, clock.System{})
			if fault.Of(err).Code != c.code {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE master_keys SET wrapped=$1`, []byte("damaged"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), db, right, clock.System{}); fault.Of(err).Code != "keys.master_damaged" {
			t.Errorf("damaged row: %v", err)
		}
	})
}

func TestRotationKeepsWhatIsSealedAndLocksTheOldMasterOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		old, next := testMaster("0f"), testMaster("1e")
		v := open(t, db, old)
		sealed, err := v.Seal("p", []byte("kept"))
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Rotate(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, db, next).Open("p", sealed); err != nil || string(got) != "kept" {
			t.Errorf("under the new master: %q, %v", got, err)
		}
		if got, err := v.Open("p", sealed); err != nil || string(got) != "kept" {
			t.Errorf("a node that runs: %q, %v", got, err)
		}
		if _, err := Open(t.Context(), db, old, clock.System{}); fault.Of(err).Code != "keys.master_wrong" {
			t.Errorf("the old master: %v", err)
		}
	})
}

func TestNodesThatStartAtOnceAgreeOnOneDataKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		vaults := make([]*Vault, 8)
		var wg sync.WaitGroup
		for i := range vaults {
			wg.Go(func() {
				v, err := Open(t.Context(), db, testMaster("0f"), clock.System{})
				if err != nil {
					t.Error(err)
				}
				vaults[i] = v
			})
		}
		wg.Wait()
		for _, v := range vaults[1:] {
			if v == nil || !bytes.Equal(v.key, vaults[0].key) {
				t.Fatal("two data keys")
			}
		}
	})
}

func TestMasterFilesAreReadStrictly(t *testing.T) {
	raw := []byte("0123456789abcdefghijklmnopqrstuv")
	for _, c := range []struct {
		name string
		body []byte
		mode os.FileMode
		code string
	}{
		{"32 raw bytes", raw, 0o600, ""},
		{"64 hexadecimal digits", []byte(hex.EncodeToString(raw)), 0o400, ""},
		{"hexadecimal with a line end", []byte(hex.EncodeToString(raw) + "\r\n"), 0o600, ""},
		{"readable by the group", raw, 0o640, "keys.master_readable"},
		{"readable by others", raw, 0o604, "keys.master_readable"},
		{"empty", nil, 0o600, "keys.master_format"},
		{"too short", raw[:31], 0o600, "keys.master_format"},
		{"too long", bytes.Repeat(raw, 8), 0o600, "keys.master_format"},
		{"zeros", make([]byte, 32), 0o600, "keys.master_format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "master.key")
			if err := os.WriteFile(path, c.body, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			m, err := MasterFile(path)
			if c.code == "" {
				if err != nil || !bytes.Equal(m.key, raw) {
					t.Errorf("%v", err)
				}
			} else if fault.Of(err).Code != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v %s", m, m, m, m), "0123456789") {
				t.Error("the master prints its key")
			}
		})
	}
	if _, err := MasterFile(filepath.Join(t.TempDir(), "none")); fault.Of(err).Code != "keys.master_missing" {
		t.Errorf("missing: %v", err)
	}
	if _, err := MasterFile(t.TempDir()); fault.Of(err).Code != "keys.master_file" {
		t.Errorf("directory: %v", err)
	}
}

func TestANewMasterFileIsPrivateAndNeverReplacesOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	made, err := NewMasterFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	read, err := MasterFile(path)
	if err != nil || !bytes.Equal(read.key, made.key) {
		t.Errorf("read back: %v", err)
	}
	if _, err := NewMasterFile(path); fault.Of(err).Code != "keys.master_exists" {
		t.Errorf("a second one: %v", err)
	}
}

func TestTheEnvironmentHoldsHexadecimalOnly(t *testing.T) {
	t.Setenv("TEST_MASTER", strings.Repeat("0f1e", 16))
	if _, err := MasterEnv("TEST_MASTER"); err != nil {
		t.Error(err)
	}
	t.Setenv("TEST_MASTER", "a passphrase of thirty-two bytes")
	if _, err := MasterEnv("TEST_MASTER"); fault.Of(err).Code != "keys.master_format" {
		t.Errorf("%v", err)
	}
	if _, err := MasterEnv("TEST_MASTER_UNSET"); fault.Of(err).Code != "keys.master_missing" {
		t.Errorf("%v", err)
	}
	if _, err := MasterPassphrase(secret.New("short")); fault.Of(err).Code != "keys.passphrase_short" {
		t.Errorf("%v", err)
	}
}

func BenchmarkSeal(b *testing.B) {
	s := testSealer(b)
	plain := []byte("a one-time password")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.seal("handover.password/ord-0198", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := testSealer(b)
	sealed, err := s.seal("p", []byte("a one-time password"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.open("p", sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSigner(b *testing.B) {
	db := storetest.Open(b, storetest.SQLite(b))
	v := open(b, db, testMaster("0f"))
	var key Key
	if err := db.Update(context.Background(), func(tx *store.Tx) (err error) {
		key, err = v.Generate(tx, P256, "bench")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := v.Signer(b.Context(), key.Ref); err != nil {
			b.Fatal(err)
		}
	}
}
