package filedir_test

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sealwright/sealwright/internal/publish/filedir"
	"github.com/sealwright/sealwright/internal/publish/place"
)

// mount puts a file system in memory over the folder, where the test may.
func mount(t *testing.T, dir string, flags uintptr, options string) bool {
	t.Helper()
	if os.Getuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", flags, options) != nil {
		return false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return true
}

// small makes files of more than 64 KiB fail: a full disk where the test may
// make one, else the limit that a process can set for itself.
func small(t *testing.T, dir string) {
	t.Helper()
	if mount(t, dir, 0, "size=64k") {
		return
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
}

func TestAFullDiskLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	small(t, dir)
	_, s := open(t, dir, filedir.Settings{Directory: dir, Names: filedir.Names{Certificates: "{serial}"}})
	before, big := object([]byte("small"), nil), object(make([]byte, 200<<10), nil)
	if _, err := s.Put(t.Context(), "1", before); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(t.Context(), "1", big)
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EFBIG) || !place.IsUnreachable(err) {
		t.Fatalf("got %v", err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "1")); err != nil || string(raw) != "small" {
		t.Fatalf("the old file holds %d octets, %v", len(raw), err)
	}
	if list := files(t, dir); len(list) != 1 {
		t.Fatalf("left behind: %q", list)
	}
}

func TestAFolderThatTakesNoWritesIsUnreachable(t *testing.T) {
	dir := t.TempDir()
	if !mount(t, dir, syscall.MS_RDONLY, "") {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	_, s := open(t, dir, filedir.Settings{Directory: dir, Names: filedir.Names{Certificates: "a/{serial}"}})
	o := object([]byte("x"), nil)
	for name, err := range map[string]error{"put": second(s.Put(t.Context(), "a/1", o)), "probe": s.Probe(t.Context())} {
		if !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) || !place.IsUnreachable(err) {
			t.Fatalf("%s: got %v", name, err)
		}
	}
}

func second(_ bool, err error) error { return err }

// faulty fails at the n-th step, before or after doing it, as a crash would.
type faulty struct {
	filedir.FS
	left   int
	does   bool // the step happens and its answer is lost
	failed string
}

var errCrash = errors.New("crash")

func (f *faulty) step(name string, do func() error) error {
	f.left--
	if f.left < 0 {
		if f.failed != "" {
			return errCrash // dead since then
		}
		f.failed = name
		if f.does {
			_ = do()
		}
		return errCrash
	}
	return do()
}

func (f *faulty) Create(n string, d []byte) error {
	return f.step("create", func() error { return f.FS.Create(n, d) })
}

func (f *faulty) Rename(a, b string) error {
	return f.step("rename", func() error { return f.FS.Rename(a, b) })
}

func (f *faulty) Remove(n string) error {
	return f.step("remove", func() error { return f.FS.Remove(n) })
}

func (f *faulty) MkdirAll(n string) error {
	return f.step("mkdir", func() error { return f.FS.MkdirAll(n) })
}
func (f *faulty) Sync(n string) error { return f.step("sync", func() error { return f.FS.Sync(n) }) }

// disk is an FS on a real directory, for wrapping.
type disk struct{ root *os.Root }

func (d disk) Stat(n string) (int64, bool, error) {
	info, err := d.root.Lstat(n)
	if err != nil {
		return 0, false, err
	}
	return info.Size(), info.Mode().IsRegular(), nil
}
func (d disk) Read(n string, _ int64) ([]byte, error) { return d.root.ReadFile(n) }
func (d disk) Create(n string, b []byte) error {
	if _, err := d.root.Lstat(n); err == nil {
		return fs.ErrExist
	}
	return d.root.WriteFile(n, b, 0o644)
}
func (d disk) Rename(a, b string) error { return d.root.Rename(a, b) }
func (d disk) Remove(n string) error    { return d.root.Remove(n) }
func (d disk) MkdirAll(n string) error  { return d.root.MkdirAll(n, 0o755) }
func (d disk) Sync(string) error        { return nil }

// Whatever step a crash hits, readers see the old content or the new, and the
// next attempt completes it with nothing left over.
func TestACrashAtAnyStepLeavesOldOrNew(t *testing.T) {
	for _, does := range []bool{false, true} {
		for step := 0; ; step++ {
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			d := disk{root}
			if _, err := filedir.Put(d, "sub/x", []byte("old")); err != nil {
				t.Fatal(err)
			}
			f := &faulty{FS: d, left: step, does: does}
			_, err = filedir.Put(f, "sub/x", []byte("new"))
			if f.failed == "" {
				if err != nil || step < 4 {
					t.Fatalf("after %d steps: %v", step, err)
				}
				break
			}
			raw, readErr := os.ReadFile(filepath.Join(dir, "sub/x"))
			if readErr != nil || string(raw) != "old" && string(raw) != "new" {
				t.Fatalf("crash at %s: %q, %v", f.failed, raw, readErr)
			}
			if _, err := filedir.Put(d, "sub/x", []byte("new")); err != nil {
				t.Fatalf("after a crash at %s: %v", f.failed, err)
			}
			if list := files(t, dir); len(list) != 1 {
				t.Fatalf("after a crash at %s: %q", f.failed, list)
			}
			if _, err := filedir.Remove(d, "sub/x", []byte("new")); err != nil {
				t.Fatal(err)
			}
			if err := root.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
