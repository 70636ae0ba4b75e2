package sds_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert"
	"github.com/sealwright/sealwright/internal/endpoint/clientcert/certtest"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// BenchmarkSDS measures uploads and downloads over TLS, eight callers at once
// with 1 MB and two with 100 MB, beside a bare server that does only what
// cannot be left out: hash, AES-256-GCM, fsync, rename. "mutual" is production,
// with a client certificate that is checked live at each request.
func BenchmarkSDS(b *testing.B) {
	w := newBench(b, storetest.Open(b, storetest.SQLite(b)))
	v := clientcert.New(w.Authorities, w.DB, w.Audit, w.Clock, nil)
	cert := w.Issue(b, w.demo[access.Production], certtest.Order{})
	bare := certtest.Serve(b, v, string(access.Preprod), newBare(b))
	targets := []struct {
		name, url string
		client    *http.Client
	}{
		{"bare", bare.URL, bare.Client(b, nil)},
		{"product", w.server[access.Preprod].URL, w.server[access.Preprod].Client(b, nil)},
		{"mutual", w.server[access.Production].URL, w.server[access.Production].Client(b, &cert)},
	}
	for _, size := range []int{1 << 20, 100 << 20} {
		content := make([]byte, size)
		rand.Read(content)
		callers := 4 // times GOMAXPROCS
		if size > 1<<20 {
			callers = 1
		}
		for _, t := range targets {
			t.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
			var last atomic.Value
			put := func() {
				a, err := call(t.client, "POST", t.url+"/doc/demo/sds", bytes.NewReader(content))
				if err != nil {
					b.Error(err)
				}
				last.Store(a)
			}
			b.Run(fmt.Sprintf("put/%dMB/%s", size>>20, t.name), func(b *testing.B) { parallel(b, size, callers, put) })
			put()
			b.Run(fmt.Sprintf("get/%dMB/%s", size>>20, t.name), func(b *testing.B) {
				url := t.url + "/doc/demo/sds/" + last.Load().(string)
				parallel(b, size, callers, func() {
					if _, err := call(t.client, "GET", url, nil); err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
}

func parallel(b *testing.B, size, callers int, fn func()) {
	b.SetBytes(int64(size))
	b.SetParallelism(callers)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			fn()
		}
	})
}

// call returns the first bytes of the answer and reads the rest.
func call(c *http.Client, method, url string, body io.Reader) (string, error) {
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		return "", err
	}
	r.SetBasicAuth("demo", certtest.Password)
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return "", errors.New(resp.Status)
	}
	head := make([]byte, 58)
	if _, err := io.ReadFull(resp.Body, head); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return string(head), err
}

// newBare is the reference: no database, no authentication, no audit.
func newBare(b *testing.B) http.Handler {
	dir := b.TempDir()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	var count atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /doc/demo/sds", func(w http.ResponseWriter, r *http.Request) {
		id := fmt.Sprintf("%058d", count.Add(1))
		if err := bareWrite(aead, dir, id, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, id)
	})
	mux.HandleFunc("GET /doc/demo/sds/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := bareRead(aead, filepath.Join(dir, r.PathValue("id")), w); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	return mux
}

const bareChunk = 64 << 10

func bareWrite(aead cipher.AEAD, dir, id string, in io.Reader) error {
	f, err := os.Create(filepath.Join(dir, id+".tmp"))
	if err != nil {
		return err
	}
	defer f.Close()
	out, hash, buf := bufio.NewWriterSize(f, 256<<10), sha256.New(), make([]byte, bareChunk+aead.Overhead())
	for n := uint64(0); ; n++ {
		k, err := io.ReadFull(in, buf[:bareChunk])
		if k > 0 {
			hash.Write(buf[:k])
			if _, err := out.Write(aead.Seal(buf[:0], bareNonce(n), buf[:k], nil)); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(out.Flush(), f.Sync(), os.Rename(f.Name(), filepath.Join(dir, id))); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func bareRead(aead cipher.AEAD, path string, w http.ResponseWriter) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	cell := int64(bareChunk + aead.Overhead())
	w.Header().Set("Content-Length", fmt.Sprint(info.Size()-(info.Size()+cell-1)/cell*int64(aead.Overhead())))
	buf := make([]byte, cell)
	for n := uint64(0); ; n++ {
		k, err := io.ReadFull(f, buf)
		if err == io.EOF {
			return nil
		}
		plain, bad := aead.Open(buf[:0], bareNonce(n), buf[:k], nil)
		if bad != nil {
			return bad
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
	}
}

func bareNonce(n uint64) []byte {
	var b [12]byte
	binary.BigEndian.PutUint64(b[4:], n)
	return b[:]
}
