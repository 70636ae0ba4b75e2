package backup_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/backup"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/secret"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

func text(s string) secret.Text { return secret.New(s) }

func TestAnOutputHasItsNameOnlyWhenComplete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "one.backup")
	begin := func() *backup.Output {
		o, err := backup.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(o, "all of it"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("the name is there already: %v", err)
		}
		return o
	}
	if err := begin().Abort(); err != nil {
		t.Fatal(err)
	}
	late := begin()
	if err := begin().Commit(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 9 {
		t.Fatalf("%v, %v", info, err)
	}
	isCode(t, late.Commit(), "backup.exists")
	_, err = backup.Create(path)
	isCode(t, err, "backup.exists")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

// The content is what other programs read: GNU tar, gzip and sha256sum.
func TestOtherProgramsReadWhatIsInside(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InFiles)
	x.live(t, 5)
	dir := t.TempDir()
	unpack := exec.Command("tar", "-xz", "-C", dir)
	plain, err := io.ReadAll(decrypted(t, write(t, x.source())))
	if err != nil {
		t.Fatal(err)
	}
	zip := exec.Command("gzip", "-c")
	zip.Stdin = bytes.NewReader(plain)
	packed, err := zip.Output()
	if err != nil {
		t.Fatal(err)
	}
	unpack.Stdin = bytes.NewReader(packed)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	check := exec.Command("sh", "-c", "cat sums/*.txt | sha256sum -c --strict")
	check.Dir = dir
	out, err := check.CombinedOutput()
	if n := strings.Count(string(out), ": OK"); err != nil || n < 7 {
		t.Fatalf("sha256sum: %v: %s", err, out)
	}
	parts, err := filepath.Glob(filepath.Join(dir, "database", "*.jsonl"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("%v, %v", parts, err)
	}
	dump, err := os.Open(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	defer dump.Close()
	if _, err := store.CheckDump(dump); err != nil {
		t.Fatal(err)
	}
}

// The parts of a dump are cut anywhere, also within a row.
func TestALargeDatabaseTravelsInParts(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		for i := range 40 {
			if _, err := tx.Exec(`INSERT INTO blob_rows (id, seq, data) VALUES ('x', $1, $2)`, i, bytes.Repeat([]byte{byte(i)}, 256<<10)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	file := write(t, backup.Source{DB: db, Version: "1", Clock: clock.System{}})
	if m := members(t, file); m["database/000003.jsonl"] == nil {
		t.Fatal("the database is not in parts")
	}
	to := (&installation{}).empty(t, storetest.SQLite(t))
	if _, err := backup.Restore(t.Context(), bytes.NewReader(file), to.target(), identity); err != nil {
		t.Fatal(err)
	}
	storetest.Same(t, db, to.db)
}
