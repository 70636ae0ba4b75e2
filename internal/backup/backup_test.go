package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/backup"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// N36: a backup is encrypted, and what is restored from it works as the
// original did, on either engine.
func TestABackupBringsAnInstallationIntoEitherEngine(t *testing.T) {
	engines := map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres}
	for _, c := range []struct{ from, to, documents string }{
		{"sqlite", "sqlite", backup.InFiles},
		{"sqlite", "postgres", backup.InFiles},
		{"postgres", "sqlite", backup.InFiles},
		{"sqlite", "postgres", backup.InTable},
		{"postgres", "postgres", backup.InTable},
	} {
		t.Run(c.from+" to "+c.to+" with documents in the "+c.documents, func(t *testing.T) {
			x := found(t, engines[c.from](t), c.documents)
			x.live(t, 20)
			file := write(t, x.source())
			c1, err := backup.Verify(t.Context(), bytes.NewReader(file), nil, identity)
			if err != nil {
				t.Fatal(err)
			}
			y := x.empty(t, engines[c.to](t))
			c2, err := backup.Restore(t.Context(), bytes.NewReader(file), y.target(), identity)
			if err != nil {
				t.Fatal(err)
			}
			if c1.TotalRows() == 0 || c1.TotalRows() != c2.TotalRows() || c1.Version != "1.2.3" || string(c1.Engine) != c.from || c1.MasterKey {
				t.Fatalf("verified %+v\nrestored %+v", c1, c2)
			}
			if files := c2.Blobs; (c.documents == backup.InFiles) != (files == 20) {
				t.Fatalf("%d document files", files)
			}
			storetest.Same(t, x.db, y.db)
			if _, err := backup.Restore(t.Context(), bytes.NewReader(file), y.target(), identity); fault.Of(err).Code != "load.not_empty" {
				t.Fatalf("restored twice: %v", err)
			}
			y.holds(t, 20)
		})
	}
}

func TestEveryTableTravels(t *testing.T) {
	db := storetest.Open(t, storetest.SQLite(t))
	storetest.Fill(t, db, 2000)
	file := write(t, backup.Source{DB: db, Version: "1", Clock: clock.System{}})
	to := (&installation{}).empty(t, storetest.Postgres(t))
	c, err := backup.Restore(t.Context(), bytes.NewReader(file), to.target(), identity)
	if err != nil || c.TotalRows() != int64(2000*len(c.Rows)) {
		t.Fatalf("%v, %+v", err, c.Summary)
	}
	storetest.Same(t, db, to.db)
}

func TestAFlippedByteAnywhereIsFound(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InFiles)
	x.live(t, 2)
	file := write(t, x.source())
	step := max(1, len(file)/200)
	for at := 0; at < len(file); at++ {
		if at > 300 && at < len(file)-20 && at%step != 0 {
			continue // the header and the end byte by byte, the rest in samples
		}
		file[at] ^= 0x20
		if err := verify(t, file); !errors.Is(err, fault.Invalid) {
			t.Fatalf("byte %d of %d: %v", at, len(file), err)
		}
		file[at] ^= 0x20
	}
	if err := verify(t, file); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	isCode(t, verify(t, append(file[:len(file):len(file)], 'x')), "backup.damaged")
}

func TestATruncatedFileIsFound(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InFiles)
	x.live(t, 40) // several of age's chunks of 64 KiB
	file := write(t, x.source())
	if len(file) < 2*65536 {
		t.Fatalf("the backup has only %d bytes", len(file))
	}
	for _, n := range []int{0, 1, 100, 200, 216, 300, 65536, 65536 + 216 + 16, len(file) / 2, len(file) - 1} {
		isCode(t, verify(t, file[:n]), "backup.truncated", "backup.damaged", "backup.unknown")
	}
	isCode(t, verify(t, file[:len(file)/2]), "backup.truncated", "backup.damaged")
	isCode(t, verify(t, file[:10]), "backup.unknown")
}

func TestOnlyTheRightPassphraseOpens(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InTable)
	right, wrong := passphrase(t, "correct horse battery"), passphrase(t, "correct horse batterz")
	to, err := backup.Passphrase(text("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	to.(*age.ScryptRecipient).SetWorkFactor(10) // the test need not be slow to guess
	var b bytes.Buffer
	if _, _, err := backup.Write(t.Context(), &b, x.source(), to); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Verify(t.Context(), bytes.NewReader(b.Bytes()), nil, right); err != nil {
		t.Fatal(err)
	}
	for _, id := range []age.Identity{wrong, identity} {
		_, err = backup.Verify(t.Context(), bytes.NewReader(b.Bytes()), nil, id)
		isCode(t, err, "backup.key")
	}
	_, err = backup.Passphrase(text("short"))
	isCode(t, err, "backup.passphrase_short")
	_, err = backup.OpenPassphrase(text(""))
	isCode(t, err, "backup.passphrase_missing")
	_, err = backup.ParseRecipients([]string{"age1nonsense"})
	isCode(t, err, "backup.recipient")
	_, err = backup.ParseIdentities(strings.NewReader("AGE-SECRET-KEY-NONSENSE"))
	isCode(t, err, "backup.identity")
	if strings.Contains(err.Error(), "NONSENSE") {
		t.Fatal("the fault quotes the private key")
	}
}

func TestTheMasterKeyIsInTheFileOnlyWhenAskedFor(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InFiles)
	x.live(t, 3)
	key, err := os.ReadFile(x.master)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range members(t, write(t, x.source())) {
		if name == "master.key" || bytes.Contains(b, bytes.TrimSpace(key)) || bytes.Contains(b, []byte("a sealed secret")) {
			t.Fatalf("a secret is in %s", name)
		}
	}
	src := x.source()
	src.MasterKey = key
	file := write(t, src)

	y := x.empty(t, storetest.SQLite(t))
	y.master = filepath.Join(t.TempDir(), "master.key")
	target := y.target()
	target.MasterKey = y.master
	if err := os.WriteFile(y.master, []byte("another key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = backup.Restore(t.Context(), bytes.NewReader(file), target, identity)
	isCode(t, err, "backup.master_key")
	if err := os.Remove(y.master); err != nil {
		t.Fatal(err)
	}
	if c, err := backup.Restore(t.Context(), bytes.NewReader(file), target, identity); err != nil || !c.MasterKey {
		t.Fatalf("%+v, %v", c, err)
	}
	if info, err := os.Stat(y.master); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	y.holds(t, 3)
}

func passphrase(t *testing.T, s string) age.Identity {
	t.Helper()
	id, err := backup.OpenPassphrase(text(s))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Everything that a row refers to is there, whatever was stored and deleted
// while the backup was made.
func TestEveryRowHasItsBlobAlthoughOthersComeAndGo(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		x := found(t, url, backup.InFiles)
		x.live(t, 60)
		src, n := x.source(), 0
		var last int64
		src.Progress = func(members, _ int64) {
			if members == last || n == 50 {
				return
			}
			last = members
			x.document(t, fmt.Sprintf("doc-new-%04d", n))
			x.remove(t, fmt.Sprintf("doc-%04d", n))
			n++
		}
		file := write(t, src)
		if n != 50 {
			t.Fatalf("only %d changes happened meanwhile", n)
		}
		for range 10 {
			if _, err := x.log.Sequence(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		y := x.empty(t, storetest.SQLite(t))
		if _, err := backup.Restore(t.Context(), bytes.NewReader(file), y.target(), identity); err != nil {
			t.Fatal(err)
		}
		y.holds(t, 60)
	})
}
