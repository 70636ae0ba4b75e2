package blob

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

const (
	keySize   = 32
	chunkSize = 64 << 10            // plaintext
	tagSize   = 16                  //
	cellSize  = chunkSize + tagSize // ciphertext of a full chunk

	// A batch is what moves between goroutines, to the disk and into one row of
	// the table: four chunks.
	batchChunks = 4
	batchSize   = batchChunks * cellSize
)

var errDamaged = errors.New("ciphertext does not authenticate")

// A stream is the cipher of one blob.
type stream struct{ aead cipher.AEAD }

func newStream(key []byte) (stream, error) {
	if len(key) != keySize {
		return stream{}, errDamaged
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return stream{}, err
	}
	aead, err := cipher.NewGCM(block)
	return stream{aead}, err
}

// nonce is the chunk's number (11 bytes, of which 8 are ever used) and 1 for
// the last chunk. The key is used for one blob only, so nonces never repeat.
func nonce(chunk int64, last bool) (n [12]byte) {
	binary.BigEndian.PutUint64(n[3:11], uint64(chunk))
	if last {
		n[11] = 1
	}
	return n
}

// seal encrypts a chunk in place; p needs room for the tag.
func (s stream) seal(p []byte, chunk int64, last bool) []byte {
	n := nonce(chunk, last)
	return s.aead.Seal(p[:0], n[:], p, nil)
}

// open decrypts a chunk in place.
func (s stream) open(p []byte, chunk int64, last bool) ([]byte, error) {
	n := nonce(chunk, last)
	out, err := s.aead.Open(p[:0], n[:], p, nil)
	if err != nil {
		return nil, errDamaged
	}
	return out, nil
}

// layout tells the chunks and the plaintext size of a body. The last chunk is
// empty only in an empty blob, so a size has one layout.
func layout(body int64) (chunks, size int64, err error) {
	if body < tagSize {
		return 0, 0, errDamaged
	}
	chunks = (body + cellSize - 1) / cellSize
	if last := body - (chunks-1)*cellSize; last < tagSize || last == tagSize && chunks > 1 {
		return 0, 0, errDamaged
	}
	return chunks, body - chunks*tagSize, nil
}
