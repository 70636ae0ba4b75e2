package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func vault(t testing.TB, db *store.DB) *keys.Vault {
	t.Helper()
	m, err := keys.NewMasterFile(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := keys.Open(t.Context(), db, m, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newFiles(t testing.TB) (*Store, *files) {
	t.Helper()
	s, err := NewFiles(t.TempDir(), vault(t, storetest.Open(t, storetest.SQLite(t))))
	if err != nil {
		t.Fatal(err)
	}
	return s, s.backend.(*files)
}

// each runs a test on files and on the table of both engines.
func each(t *testing.T, fn func(t *testing.T, s *Store)) {
	t.Run("files", func(t *testing.T) {
		s, _ := newFiles(t)
		fn(t, s)
	})
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fn(t, NewTable(db, vault(t, db), clock.NewFake(start)))
	})
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func put(t testing.TB, s *Store, b []byte) Info {
	t.Helper()
	info, err := s.Put(t.Context(), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(s *Store, id string) ([]byte, error) {
	r, err := s.Open(context.Background(), id)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// stored counts what a store holds, finished or not.
func stored(t testing.TB, s *Store) int {
	t.Helper()
	if b, ok := s.backend.(*table); ok {
		var blobs, rows int
		q := b.db.View(t.Context())
		if err := errors.Join(q.QueryRow(`SELECT COUNT(*) FROM blobs`).Scan(&blobs), q.QueryRow(`SELECT COUNT(DISTINCT id) FROM blob_rows`).Scan(&rows)); err != nil {
			t.Fatal(err)
		}
		return max(blobs, rows)
	}
	n := 0
	if err := filepath.WalkDir(s.backend.(*files).dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBytesComeBackAtEveryBorder(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		borders := []int{0, chunkSize, 2 * chunkSize, batchChunks * chunkSize, 4 * batchChunks * chunkSize, 5 * batchChunks * chunkSize}
		all := noise(borders[len(borders)-1] + 2)
		for _, border := range borders {
			for _, n := range []int{border - 1, border, border + 1} {
				if n < 0 {
					continue
				}
				info := put(t, s, all[:n])
				if info.Size != int64(n) || info.SHA256 != sha256.Sum256(all[:n]) {
					t.Errorf("%d bytes: info says %d bytes, SHA-256 %x", n, info.Size, info.SHA256)
				}
				if got, err := get(s, info.ID); err != nil || !bytes.Equal(got, all[:n]) {
					t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
				}
			}
		}
	})
}

func TestAnyPartCanBeReadInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		want := noise(5*chunkSize*batchChunks/2 + 17)
		r, err := s.Open(t.Context(), put(t, s, want).ID)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rapid.Check(t, func(rt *rapid.T) {
			from := rapid.IntRange(0, len(want)+10).Draw(rt, "from")
			n := rapid.IntRange(0, 3*chunkSize).Draw(rt, "n")
			if _, err := r.Seek(int64(from-len(want)), io.SeekEnd); err != nil {
				rt.Fatal(err)
			}
			got, err := io.ReadAll(io.LimitReader(r, int64(n)))
			from = min(from, len(want))
			if end := min(from+n, len(want)); err != nil || !bytes.Equal(got, want[from:end]) {
				rt.Fatalf("%d bytes from %d: %d bytes, %v", n, from, len(got), err)
			}
		})
	})
}

func TestOddReadersAreReadToTheirEnd(t *testing.T) {
	s, _ := newFiles(t)
	want := noise(chunkSize + 5)
	for name, r := range map[string]io.Reader{
		"one byte at a time":     iotest.OneByteReader(bytes.NewReader(want)),
		"half of what was asked": iotest.HalfReader(bytes.NewReader(want)),
		"end with the last data": iotest.DataErrReader(bytes.NewReader(want)),
	} {
		info, err := s.Put(t.Context(), r, int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := get(s, info.ID); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// The way SDS serves documents: HTTP ranges.
func TestHTTPRangesAreServed(t *testing.T) {
	s, _ := newFiles(t)
	want := noise(3 * chunkSize)
	id := put(t, s, want).ID
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r, err := s.Open(q.Context(), id)
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		http.ServeContent(w, q, "", time.Time{}, r)
	}))
	defer srv.Close()
	for _, c := range []struct {
		header   string
		from, to int
		status   int
	}{
		{"", 0, len(want), 200},
		{fmt.Sprintf("bytes=%d-%d", chunkSize-1, chunkSize), chunkSize - 1, chunkSize + 1, 206},
		{"bytes=-7", len(want) - 7, len(want), 206},
	} {
		q, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if c.header != "" {
			q.Header.Set("Range", c.header)
		}
		resp, err := srv.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != c.status || !bytes.Equal(got, want[c.from:c.to]) {
			t.Errorf("%q: status %d, %d bytes, %v", c.header, resp.StatusCode, len(got), err)
		}
		_ = resp.Body.Close()
	}
}

func TestADeletedBlobIsGoneAndDeletingAgainIsFine(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		id := put(t, s, noise(9*batchChunks*chunkSize)).ID
		kept := put(t, s, noise(10)).ID
		for range 2 {
			if err := s.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := get(s, id); fault.Of(err).Code != "blob.unknown" {
			t.Errorf("%v", err)
		}
		if _, err := get(s, kept); err != nil {
			t.Errorf("the other blob: %v", err)
		}
		if n := stored(t, s); n != 1 {
			t.Errorf("%d are stored, want 1", n)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				body := noise(i * 100_000)
				info, err := s.Put(t.Context(), bytes.NewReader(body), 1<<40)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := get(s, info.ID); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
	})
}
