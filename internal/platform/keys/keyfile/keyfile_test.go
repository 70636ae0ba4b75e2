package keyfile

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

func TestAKeyComesBackWithItsPassphraseOnly(t *testing.T) {
	key, err := keys.Generate(keys.P384)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root.key")
	if err := Write(path, key, secret.New("short")); !errors.Is(err, fault.Invalid) {
		t.Errorf("a short passphrase: %v", err)
	}
	if err := Write(path, key, secret.New("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	got, err := Read(path, secret.New("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
		t.Error("another key came back")
	}
	if _, err := Read(path, secret.New("wrong horse battery!")); !errors.Is(err, fault.Invalid) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if err := Write(path, key, secret.New("correct horse battery")); !errors.Is(err, fault.Conflict) {
		t.Errorf("an existing file: %v", err)
	}
}

func TestADamagedFileSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, secret.New("correct horse battery")); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}
