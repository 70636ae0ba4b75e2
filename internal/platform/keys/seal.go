package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
)

// Sealed form, version 1: one byte 1, 24 random bytes of nonce, AES-256-GCM
// ciphertext and tag. Each item has a key of its own, derived from the data key
// and the first half of the nonce as XAES-256-GCM does (C2SP), so no number of
// items wears the data key out; the second half is GCM's 96-bit nonce.
const (
	sealVersion  = 1
	nonceSize    = 24
	tagSize      = 16
	sealOverhead = 1 + nonceSize + tagSize
)

var errSealed = errors.New("sealed value was changed, or belongs elsewhere")

// A sealer is AES-256 under a data key, ready to derive the keys of items.
type sealer struct {
	block cipher.Block
	sub   [aes.BlockSize]byte // CMAC's first subkey (NIST SP 800-38B, section 6.1)
}

func newSealer(key []byte) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	s := &sealer{block: block}
	block.Encrypt(s.sub[:], s.sub[:])
	var carry byte
	for i := len(s.sub) - 1; i >= 0; i-- {
		b := s.sub[i]
		s.sub[i] = b<<1 | carry
		carry = b >> 7
	}
	s.sub[len(s.sub)-1] ^= carry * 0b10000111
	return s, nil
}

// item is the cipher of one item: its key is the counter-mode CMAC derivation
// (NIST SP 800-108r1, section 4.1) over the first twelve bytes of its nonce.
func (s *sealer) item(nonce []byte) (cipher.AEAD, error) {
	var key [32]byte
	for i := range 2 {
		half := key[16*i : 16*(i+1)]
		copy(half, []byte{0, byte(i + 1), 'X', 0})
		copy(half[4:], nonce[:12])
		subtle.XORBytes(half, half, s.sub[:])
		s.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (s *sealer) seal(purpose string, plaintext []byte) ([]byte, error) {
	out := make([]byte, 1+nonceSize, sealOverhead+len(plaintext))
	out[0] = sealVersion
	nonce := out[1:]
	rand.Read(nonce)
	aead, err := s.item(nonce)
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, nonce[12:], plaintext, additional(purpose)), nil
}

func (s *sealer) open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || sealed[0] != sealVersion {
		return nil, errSealed
	}
	nonce := sealed[1 : 1+nonceSize]
	aead, err := s.item(nonce)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nonce[12:], sealed[1+nonceSize:], additional(purpose))
	if err != nil {
		return nil, errSealed
	}
	return plaintext, nil
}

func additional(purpose string) []byte { return []byte("sealwright seal v1\x00" + purpose) }
