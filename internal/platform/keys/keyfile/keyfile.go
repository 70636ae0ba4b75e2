// Package keyfile keeps one private key in a file of its own, encrypted under a
// passphrase: the key of an offline root.
//
// The file is an age file with scrypt (filippo.io/age, armoured), so that it can
// be opened without this product, and holds the key as PKCS#8 PEM.
package keyfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/secret"
)

// MinPassphrase is the least number of characters of a passphrase.
const MinPassphrase = 12

// maxFile bounds what Read takes in.
const maxFile = 1 << 20

// Write creates the file with mode 0600; it never overwrites one.
func Write(path string, key crypto.Signer, passphrase secret.Text) error {
	if len(passphrase.Reveal()) < MinPassphrase {
		return fault.Invalidf("keyfile.passphrase_short", "The passphrase has fewer than %d characters.", MinPassphrase)
	}
	sealed, err := seal(key, passphrase)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fault.Conflictf("keyfile.exists", "The key file %s exists already.", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(sealed)
	return errors.Join(err, f.Sync(), f.Close())
}

func seal(key crypto.Signer, passphrase secret.Text) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	to, err := age.NewScryptRecipient(passphrase.Reveal())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, to)
	if err != nil {
		return nil, err
	}
	err = pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = errors.Join(err, w.Close(), armored.Close())
	return out.Bytes(), err
}

// Read opens the file. A wrong passphrase is a fault of kind Invalid.
func Read(path string, passphrase secret.Text) (crypto.Signer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	from, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(armor.NewReader(io.LimitReader(f, maxFile)), from)
	if err != nil {
		return nil, fault.Invalidf("keyfile.passphrase", "The key file %s does not open with this passphrase.", path).WithCause(err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, fault.Invalidf("keyfile.damaged", "The key file %s is damaged.", path).WithCause(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fault.Invalidf("keyfile.damaged", "The key file %s holds no key.", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fault.Invalidf("keyfile.damaged", "The key in %s cannot be read.", path).WithCause(err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key in %s is a %T and cannot sign", path, key)
	}
	return signer, nil
}
