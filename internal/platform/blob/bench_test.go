package blob

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// The SDS row: hashed, encrypted and synced, beside the same bytes written to
// the same disk with one fsync.
func BenchmarkPut(b *testing.B) {
	for _, mb := range []int{1, 100} {
		body := make([]byte, mb<<20)
		rand.Read(body)
		b.Run(fmt.Sprintf("raw/%dMB", mb), func(b *testing.B) {
			dir := b.TempDir()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				rawWrite(b, filepath.Join(dir, "raw"), body)
			}
		})
		b.Run(fmt.Sprintf("files/%dMB", mb), func(b *testing.B) {
			s, _ := newFiles(b)
			benchPut(b, s, body)
		})
		b.Run(fmt.Sprintf("table/%dMB", mb), func(b *testing.B) {
			db := storetest.Open(b, storetest.SQLite(b))
			benchPut(b, NewTable(db, vault(b, db), clock.System{}), body)
		})
	}
}

func rawWrite(b *testing.B, path string, body []byte) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(f, struct{ io.Reader }{bytes.NewReader(body)}); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), os.Remove(path)); err != nil {
		b.Fatal(err)
	}
}

func benchPut(b *testing.B, s *Store, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		info := put(b, s, body)
		b.StopTimer()
		if err := s.Delete(b.Context(), info.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkGet(b *testing.B) {
	body := make([]byte, 100<<20)
	rand.Read(body)
	s, _ := newFiles(b)
	id := put(b, s, body).ID
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Open(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		_ = r.Close()
	}
}
