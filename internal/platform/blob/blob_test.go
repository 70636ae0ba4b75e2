package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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

func TestAFailedUploadLeavesNothing(t *testing.T) {
	cut := errors.New("connection reset")
	each(t, func(t *testing.T, s *Store) {
		for _, n := range []int{0, 10, 3 * batchChunks * chunkSize, 12 * batchChunks * chunkSize} {
			body := noise(n)
			for _, c := range []struct {
				name  string
				r     io.Reader
				limit int64
				want  error
			}{
				{"the sender goes away", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(cut)), 1 << 40, cut},
				{"the body is cut off", io.MultiReader(bytes.NewReader(body), iotest.ErrReader(io.ErrUnexpectedEOF)), 1 << 40, io.ErrUnexpectedEOF},
				{"too large by one byte", bytes.NewReader(append(body, 1)), int64(n), fault.TooLarge},
			} {
				if _, err := s.Put(t.Context(), c.r, c.limit); !errors.Is(err, c.want) {
					t.Errorf("%s after %d bytes: %v", c.name, n, err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := s.Put(ctx, io.MultiReader(bytes.NewReader(body), endOf{cancel}), 1<<40); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled after %d bytes: %v", n, err)
			}
		}
		if n := stored(t, s); n != 0 {
			t.Errorf("%d blobs are left", n)
		}
	})
}

// endOf cancels a request at its last byte.
type endOf struct{ cancel func() }

func (e endOf) Read([]byte) (int, error) { e.cancel(); return 0, io.EOF }

// A disk that is full from some byte on, or that fails to sync.
type smallDisk struct {
	file
	room    int
	syncErr error
}

func (d *smallDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, syscall.ENOSPC
	}
	return d.file.Write(p)
}

func (d *smallDisk) Sync() error { return errors.Join(d.syncErr, d.file.Sync()) }

func TestAFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	s, f := newFiles(t)
	body := noise(3 * batchChunks * chunkSize)
	for _, c := range []struct {
		name    string
		room    int
		syncErr error
		code    string
	}{
		{"full at the first byte", 0, nil, "blob.full"},
		{"full half-way", len(body) / 2, nil, "blob.full"},
		{"full at the end", len(body), nil, "blob.full"},
		{"full when synced", 1 << 30, syscall.ENOSPC, "blob.full"},
		{"over quota when synced", 1 << 30, syscall.EDQUOT, "blob.full"},
		{"broken when synced", 1 << 30, syscall.EIO, "blob.failed"},
	} {
		f.makeFile = func(path string) (file, error) {
			out, err := createFile(path)
			return &smallDisk{out, c.room, c.syncErr}, err
		}
		_, err := s.Put(t.Context(), bytes.NewReader(body), 1<<40)
		if got := fault.Of(err); got.Code != c.code || got.Kind != fault.Unavailable {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := stored(t, s); n != 0 {
			t.Errorf("%s: %d files are left", c.name, n)
		}
	}
}

func TestEveryChangedRegionIsNoticed(t *testing.T) {
	s, f := newFiles(t)
	body := noise(2*chunkSize + 100)
	path := func(id string) string { return f.path(id) }
	original := put(t, s, body)
	other := put(t, s, body)
	good, err := os.ReadFile(path(original.ID))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(path(other.ID))
	if err != nil {
		t.Fatal(err)
	}
	_, begin, err := readHeader(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	b := int(begin)
	flip := func(at int) []byte { c := bytes.Clone(good); c[at] ^= 1; return c }
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"the magic", flip(0)},
		{"the length of the header", flip(5)},
		{"the sealed key", flip(20)},
		{"the first chunk", flip(b)},
		{"a tag", flip(b + chunkSize)},
		{"the second chunk", flip(b + cellSize + 9)},
		{"the last byte", flip(len(good) - 1)},
		{"one byte less", good[:len(good)-1]},
		{"one byte more", append(bytes.Clone(good), 0)},
		{"a chunk less", good[:b+2*cellSize]},
		{"two chunks less", good[:b+cellSize]},
		{"no chunk", good[:b]},
		{"half a header", good[:b/2]},
		{"nothing", nil},
		{"another chunk at the end", append(bytes.Clone(good), good[b:b+cellSize]...)},
		{"chunks in another order", append(append(append(bytes.Clone(good[:b]), good[b+cellSize:b+2*cellSize]...), good[b:b+cellSize]...), good[b+2*cellSize:]...)},
		{"another blob as a whole", foreign},
		{"another blob's body", append(bytes.Clone(good[:b]), foreign[b:]...)},
	} {
		if err := os.WriteFile(path(original.ID), c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := get(s, original.ID); fault.Of(err).Code != "blob.damaged" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if bytes.Contains(good, body[:32]) {
		t.Error("the file holds plaintext")
	}
}

func TestChangedRowsAreNoticed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := NewTable(db, vault(t, db), clock.NewFake(start))
		for _, change := range []string{
			`UPDATE blob_rows SET data=(SELECT data FROM blob_rows WHERE id=$1 AND seq=0) WHERE id=$1 AND seq=1`,
			`UPDATE blobs SET size=size-1 WHERE id=$1`,
			`UPDATE blobs SET header=(SELECT data FROM blob_rows WHERE id=$1 AND seq=2) WHERE id=$1`,
			`DELETE FROM blob_rows WHERE id=$1 AND seq=1`,
		} {
			id := put(t, s, noise(2*batchChunks*chunkSize+5)).ID
			if err := db.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(change, id); return err }); err != nil {
				t.Fatal(err)
			}
			if _, err := get(s, id); fault.Of(err).Code != "blob.damaged" {
				t.Errorf("%s: %v", change, err)
			}
		}
	})
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

func TestIdsThatAreNotOursLeadNowhere(t *testing.T) {
	s, f := newFiles(t)
	victim := filepath.Join(filepath.Dir(f.dir), "victim")
	if err := os.WriteFile(victim, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "..", "../../victim", "../../../../../../../victim", strings.Repeat("a", 25), strings.Repeat("A", 26), "aa/" + strings.Repeat("a", 23), strings.Repeat("a", 25) + "\x00", strings.Repeat("1", 26)} {
		if _, err := s.Open(t.Context(), id); fault.Of(err).Code != "blob.unknown" {
			t.Errorf("open %q: %v", id, err)
		}
		if err := s.Delete(t.Context(), id); err != nil {
			t.Errorf("delete %q: %v", id, err)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if !validID(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// A crash is an upload whose process is gone: neither commit nor abort ran.
func crash(t testing.TB, s *Store) string {
	t.Helper()
	id := newID()
	up, err := s.backend.create(t.Context(), id, []byte("header"))
	if err != nil {
		t.Fatal(err)
	}
	for range rowsPerTx + 1 {
		if err := up.write(t.Context(), noise(batchSize)); err != nil {
			t.Fatal(err)
		}
	}
	if stored(t, s) == 0 {
		t.Fatal("the crash left nothing to sweep")
	}
	return id
}

func TestSweepRemovesWhatCrashesLeftAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		crashed := crash(t, s)
		used, orphan := put(t, s, noise(10)).ID, put(t, s, noise(2*batchChunks*chunkSize)).ID
		if _, err := get(s, crashed); fault.Of(err).Code != "blob.unknown" {
			t.Errorf("a half upload can be read: %v", err)
		}
		inUse := func(_ context.Context, ids []string) (map[string]bool, error) {
			return map[string]bool{used: true}, nil
		}
		now := start
		if _, ok := s.backend.(*files); ok {
			now = time.Now()
		}
		if n, err := s.Sweep(t.Context(), now.Add(-time.Hour), inUse); n != 0 || err != nil {
			t.Errorf("young ones: %d removed, %v", n, err)
		}
		if n, err := s.Sweep(t.Context(), now.Add(time.Hour), nil); n != 1 || err != nil {
			t.Errorf("uploads only: %d removed, %v", n, err)
		}
		if n, err := s.Sweep(t.Context(), now.Add(time.Hour), inUse); n != 1 || err != nil {
			t.Errorf("with orphans: %d removed, %v", n, err)
		}
		if _, err := get(s, used); err != nil {
			t.Errorf("the blob in use: %v", err)
		}
		if _, err := get(s, orphan); fault.Of(err).Code != "blob.unknown" {
			t.Errorf("the orphan: %v", err)
		}
		if n := stored(t, s); n != 1 {
			t.Errorf("%d are stored, want 1", n)
		}
	})
}

// Whoever pauses longer than the sweep's patience is told, and never told that
// a document was saved when it was not.
func TestAnUploadThatWasSweptDoesNotCommit(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		sweep := sweeping{t, s}
		body := io.MultiReader(bytes.NewReader(noise(16*batchChunks*chunkSize)), &sweep, bytes.NewReader(noise(9*batchChunks*chunkSize)))
		if _, err := s.Put(t.Context(), body, 1<<40); err == nil {
			t.Error("it was saved")
		}
		if n := stored(t, s); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

type sweeping struct {
	t *testing.T
	s *Store
}

func (s *sweeping) Read([]byte) (int, error) {
	if _, err := s.s.Sweep(s.t.Context(), time.Now().Add(10*365*24*time.Hour), nil); err != nil {
		s.t.Error(err)
	}
	return 0, io.EOF
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

func TestFilesArePrivate(t *testing.T) {
	s, f := newFiles(t)
	info, err := os.Stat(f.path(put(t, s, []byte("x")).ID))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add(encodeHeader([]byte("sealed key")))
	f.Add([]byte("swb1\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := readHeader(bytes.NewReader(b))
		if err == nil && (int(n) > len(b) || !bytes.Equal(encodeHeader(h), b[:n])) {
			t.Errorf("%x read as %x", b, h)
		}
	})
}

func FuzzLayout(f *testing.F) {
	f.Add(int64(16))
	f.Add(int64(cellSize))
	f.Fuzz(func(t *testing.T, body int64) {
		chunks, size, err := layout(body)
		if err != nil || body > 1<<50 {
			return
		}
		if want := max(1, (size+chunkSize-1)/chunkSize); chunks != want || size+chunks*tagSize != body {
			t.Errorf("%d: %d chunks, %d bytes", body, chunks, size)
		}
	})
}

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
