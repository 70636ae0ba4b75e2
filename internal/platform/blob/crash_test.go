package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealwright/sealwright/internal/platform/fault"
)

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
