// Package pkcs12 writes key files (PKCS #12, RFC 7292): a private key, its
// certificate and the chain, encrypted under a password.
//
// [Encode] takes a [Profile]: [Modern] unless the file is meant for an importer
// that cannot read it. One encoding costs about 65 ms of CPU with
// Modern (3 ms with Legacy), nearly all of it in key derivation, so callers bound
// how many run at once.
package pkcs12

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

// A Profile is how a file is encrypted and authenticated.
type Profile string

const (
	// Modern encrypts key and certificates with AES-256-CBC (PBES2, PBKDF2 with
	// HMAC-SHA-256, 100,000 iterations) and authenticates with HMAC-SHA-256. Read
	// by OpenSSL 1.1.1, Java 12 and Windows Server 2019, and what came later.
	Modern Profile = "modern"

	// Legacy encrypts with triple DES and authenticates with HMAC-SHA-1, 2048
	// iterations: weak, for old importers only (Windows Server 2012 R2 and 2016,
	// older macOS keychains and Android, some appliances), and only with a long
	// random password.
	Legacy Profile = "legacy"
)

// String is the label under which people choose the profile.
func (p Profile) String() string {
	switch p {
	case Modern:
		return "AES-256/SHA-256"
	case Legacy:
		return "legacy 3DES/SHA-1, for old importers"
	}
	return fmt.Sprintf("unknown profile %q", string(p))
}

// The iteration counts. OpenSSL uses 2048 in its own legacy files.
const (
	modernIterations = 100_000
	legacyIterations = 2048
)

func (p Profile) encoder() (*gopkcs12.Encoder, error) {
	switch p {
	case Modern:
		return gopkcs12.Modern2023.WithIterations(modernIterations), nil
	case Legacy:
		return gopkcs12.LegacyDES.WithIterations(legacyIterations), nil
	}
	return nil, fmt.Errorf("pkcs12: unknown profile %q; use %q or %q", string(p), Modern, Legacy)
}

// Encode makes a key file of key, its certificate cert and the certificates that
// lead from it to the root, in that order.
//
// password must be printable ASCII: importers disagree on how anything else is
// encoded. friendlyName, which importers show as the name or alias of the entry,
// may be empty, else up to 255 characters of the Basic Multilingual Plane. A key
// that does not belong to cert is an error.
func Encode(profile Profile, key crypto.PrivateKey, cert *x509.Certificate, chain []*x509.Certificate, password, friendlyName string) ([]byte, error) {
	encoder, err := profile.encoder()
	if err != nil {
		return nil, err
	}
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	name, err := bmpString(friendlyName)
	if err != nil {
		return nil, err
	}
	if err := checkPair(key, cert); err != nil {
		return nil, err
	}
	pfx, err := encoder.Encode(key, cert, chain, password)
	if err != nil {
		return nil, fmt.Errorf("pkcs12: encode: %w", err)
	}
	if len(name) == 0 {
		return pfx, nil
	}
	return addFriendlyName(pfx, name, password)
}

// Decode reads a key file that [Encode] or a similar tool made: one key, its
// certificate first, then the chain.
func Decode(pfx []byte, password string) (crypto.PrivateKey, *x509.Certificate, []*x509.Certificate, error) {
	key, cert, chain, err := gopkcs12.DecodeChain(pfx, password)
	if errors.Is(err, gopkcs12.ErrIncorrectPassword) {
		return nil, nil, nil, ErrPassword
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("pkcs12: decode: %w", err)
	}
	return key, cert, chain, nil
}

// ErrPassword is what [Decode] returns for a wrong password (or a damaged file,
// which cannot be told apart).
var ErrPassword = errors.New("pkcs12: the password is wrong")

func checkPassword(password string) error {
	if password == "" {
		return errors.New("pkcs12: the password is empty")
	}
	for i := 0; i < len(password); i++ {
		if password[i] < ' ' || password[i] > '~' {
			return errors.New("pkcs12: the password must consist of printable ASCII characters")
		}
	}
	return nil
}

func checkPair(key crypto.PrivateKey, cert *x509.Certificate) error {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return fmt.Errorf("pkcs12: a key of type %T cannot be written", key)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return errors.New("pkcs12: the key does not belong to the certificate")
	}
	return nil
}
