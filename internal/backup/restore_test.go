package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/backup"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func TestARestoreThatIsCutOffLeavesNothingAndCanBeRepeated(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		x := found(t, storetest.SQLite(t), backup.InFiles)
		x.live(t, 40)
		src := x.source()
		src.MasterKey = []byte("the key\n")
		file := write(t, src)
		y := x.empty(t, url)
		target := y.target()
		target.MasterKey = filepath.Join(t.TempDir(), "master.key")
		for _, n := range []int{len(file) / 2, len(file) - 1} {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := backup.Restore(ctx, bytes.NewReader(file[:n]), target, identity)
			isCode(t, err, "backup.truncated", "backup.damaged")
			// Somebody stops it.
			target.Progress = func(_, bytes int64) {
				if bytes > 100_000 {
					cancel()
				}
			}
			if _, err = backup.Restore(ctx, bytes.NewReader(file), target, identity); !errors.Is(err, context.Canceled) {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			cancel()
			target.Progress = nil
			if err := y.db.CheckEmpty(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(y.blobs, "?", "?", "*")); len(left) > 0 {
				t.Fatalf("documents are left: %v", left)
			}
			if _, err := os.Stat(target.MasterKey); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("the master key is left: %v", err)
			}
		}
		crashed(t, y.blobs)
		if _, err := backup.Restore(t.Context(), bytes.NewReader(file), target, identity); err != nil {
			t.Fatal(err)
		}
		y.holds(t, 40)
	})
}

// crashed leaves a directory as a restore does that lost its power.
func crashed(t *testing.T, dir string) {
	t.Helper()
	raw := blob.OpenRaw(dir)
	if err := raw.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := raw.Write("abcdefghijklmnopqrstuvwxyz", strings.NewReader("half a document")); err != nil {
		t.Fatal(err)
	}
}

func TestARestoreRefusesWhatDoesNotFit(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InFiles)
	x.live(t, 3)
	file := write(t, x.source())
	restore := func(y *installation, file []byte) error {
		_, err := backup.Restore(t.Context(), bytes.NewReader(file), y.target(), identity)
		return err
	}
	t.Run("documents in the directory", func(t *testing.T) {
		y := x.empty(t, storetest.SQLite(t))
		y.blobs = x.blobs
		isCode(t, restore(y, file), "blob.not_empty")
		x.holds(t, 3)
	})
	t.Run("documents kept elsewhere", func(t *testing.T) {
		y := x.empty(t, storetest.SQLite(t))
		y.blobs = ""
		isCode(t, restore(y, file), "backup.documents")
	})
	t.Run("a newer schema", func(t *testing.T) {
		schema := fmt.Sprintf(`"schema": %d`, store.NewestSchema())
		newer := edit(t, file, func(name string, b []byte) (string, []byte) {
			return name, bytes.Replace(b, []byte(schema), []byte(`"schema": 99999`), 1)
		})
		err := restore(x.empty(t, storetest.SQLite(t)), newer)
		isCode(t, err, "backup.newer")
		if f := fault.Of(err); !strings.Contains(f.Next, "1.2.3") {
			t.Fatalf("it does not say what to install: %+v", f)
		}
	})
	t.Run("a newer format", func(t *testing.T) {
		isCode(t, verify(t, edit(t, file, func(name string, b []byte) (string, []byte) {
			return name, bytes.Replace(b, []byte(`"format": 1`), []byte(`"format": 2`), 1)
		})), "backup.newer")
	})
	t.Run("another product's file", func(t *testing.T) {
		var b bytes.Buffer
		w, err := age.Encrypt(&b, identity.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "hello")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		isCode(t, verify(t, b.Bytes()), "backup.damaged")
		isCode(t, verify(t, []byte("PGDMP...")), "backup.unknown")
	})
	t.Run("an empty database to back up", func(t *testing.T) {
		y := x.empty(t, storetest.SQLite(t))
		_, _, err := backup.Write(t.Context(), io.Discard, y.source(), identity.Recipient())
		isCode(t, err, "backup.empty")
	})
}
