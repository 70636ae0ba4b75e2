package reference

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// Files is the smallest encrypting file server: it hashes and encrypts an
// upload as it comes, syncs it before it answers, and decrypts it on the way
// out. Every file has a key of its own, which is lost with the process.
//
//	POST /         201, the id
//	GET /{id}      200, the bytes
//	DELETE /{id}   204
type Files struct {
	dir  string
	aead cipher.AEAD
}

// NewFiles serves a directory.
func NewFiles(dir string) (*Files, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Files{dir, aead}, err
}

// ServeHTTP implements [http.Handler].
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := filepath.Join(f.dir, filepath.Base(r.URL.Path))
	var err error
	switch r.Method {
	case http.MethodPost:
		var id string
		if id, err = f.put(r.Body); err == nil {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, id) // the file is stored, whether or not the caller is still there
		}
	case http.MethodDelete:
		if err = os.Remove(path); err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		if err = f.get(path, w); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// chunk is how much is encrypted at a time.
const chunk = 64 << 10

// put writes prefix, chunks and nothing else; the prefix makes nonces unique
// per file.
func (f *Files) put(in io.Reader) (id string, err error) {
	prefix := make([]byte, 4)
	var name [16]byte
	rand.Read(prefix)
	rand.Read(name[:])
	id = hex.EncodeToString(name[:])
	file, err := os.Create(filepath.Join(f.dir, id+".tmp"))
	if err != nil {
		return "", err
	}
	defer file.Close()
	out, hash, buf := bufio.NewWriterSize(file, 256<<10), sha256.New(), make([]byte, chunk+f.aead.Overhead())
	_, _ = out.Write(prefix) // the error comes with Flush
	for n := uint64(0); ; n++ {
		k, err := io.ReadFull(in, buf[:chunk])
		if k > 0 {
			hash.Write(buf[:k])
			_, _ = out.Write(f.aead.Seal(buf[:0], nonce(prefix, n), buf[:k], nil)) // the error comes with Flush
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	hash.Sum(nil)
	if err := errors.Join(out.Flush(), file.Sync(), os.Rename(file.Name(), filepath.Join(f.dir, id))); err != nil {
		return "", err
	}
	return id, syncDir(f.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *Files) get(path string, w http.ResponseWriter) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	prefix := make([]byte, 4)
	if _, err := io.ReadFull(file, prefix); err != nil {
		return err
	}
	cell := int64(chunk + f.aead.Overhead())
	body := info.Size() - int64(len(prefix))
	w.Header().Set("Content-Length", strconv.FormatInt(body-(body+cell-1)/cell*int64(f.aead.Overhead()), 10))
	buf := make([]byte, cell)
	for n := uint64(0); ; n++ {
		k, err := io.ReadFull(file, buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		plain, err := f.aead.Open(buf[:0], nonce(prefix, n), buf[:k], nil)
		if err != nil {
			return err
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
	}
}

func nonce(prefix []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 12), prefix...), n)
}
