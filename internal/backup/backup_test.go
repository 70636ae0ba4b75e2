package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/backup"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/keys"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// An installation is a database, a directory of blobs and a master key, with
// the parts of the platform that a restore could break.
type installation struct {
	db     *store.DB
	blobs  string // empty: in the table
	master string // file
	vault  *keys.Vault
	log    *audit.Log
	store  *blob.Store
}

// found makes an installation; open opens one that was restored.
func found(t *testing.T, url, kind string) *installation {
	t.Helper()
	x := &installation{db: storetest.Open(t, url), master: filepath.Join(t.TempDir(), "master.key")}
	if kind == backup.InFiles {
		x.blobs = filepath.Join(t.TempDir(), "blobs")
	}
	if _, err := keys.NewMasterFile(x.master); err != nil {
		t.Fatal(err)
	}
	x.openVault(t)
	if err := x.db.Update(t.Context(), func(tx *store.Tx) error {
		k, err := x.vault.Generate(tx, keys.Ed25519, "audit log")
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO settings (name, value) VALUES ('audit.key', $1)`, k.Ref)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	x.openRest(t)
	return x
}

func (x *installation) openVault(t *testing.T) {
	t.Helper()
	master, err := keys.MasterFile(x.master)
	if err != nil {
		t.Fatal(err)
	}
	if x.vault, err = keys.Open(t.Context(), x.db, master, clock.System{}); err != nil {
		t.Fatal(err)
	}
}

func (x *installation) openRest(t *testing.T) {
	t.Helper()
	var ref string
	if err := x.db.View(t.Context()).QueryRow(`SELECT value FROM settings WHERE name = 'audit.key'`).Scan(&ref); err != nil {
		t.Fatal(err)
	}
	var signer crypto.Signer
	signer, err := x.vault.Signer(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	x.log = audit.New(x.db, clock.System{}, signer, "log.example.com/audit")
	x.store = blob.NewTable(x.db, x.vault, clock.System{})
	if x.blobs != "" {
		if x.store, err = blob.NewFiles(x.blobs, x.vault); err != nil {
			t.Fatal(err)
		}
	}
}

// live puts something everywhere.
func (x *installation) live(t *testing.T, n int) {
	t.Helper()
	secret, err := x.vault.Seal("test", []byte("a sealed secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := x.db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO settings (name, value) VALUES ('sealed', $1)`, fmt.Sprintf("%x", secret))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		x.document(t, fmt.Sprintf("doc-%04d", i))
	}
	for {
		n, err := x.log.Sequence(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// document stores a blob of some size, then its row, as the domains do.
func (x *installation) document(t *testing.T, name string) {
	t.Helper()
	info, err := x.store.Put(t.Context(), strings.NewReader(content(name)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO settings (name, value) VALUES ($1, $2)`, name, info.ID)
		if err != nil {
			return err
		}
		return x.log.Append(tx, audit.Entry{Action: "document.store", ObjectKind: "document", ObjectID: name})
	}); err != nil {
		t.Fatal(err)
	}
}

// remove deletes the row, then the blob, as the domains do.
func (x *installation) remove(t *testing.T, name string) {
	t.Helper()
	var id string
	if err := x.db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.QueryRow(`SELECT value FROM settings WHERE name = $1`, name).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM settings WHERE name = $1`, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := x.store.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func content(name string) string { return strings.Repeat(name+" ", 3+len(name)*int(name[len(name)-1])) }

// holds opens a restored installation and looks at everything that live made.
func (x *installation) holds(t *testing.T, atLeast int) {
	t.Helper()
	x.openVault(t)
	x.openRest(t)
	report, err := x.log.Verify(t.Context(), audit.Options{})
	if err != nil || !report.OK() || report.Size == 0 {
		t.Fatalf("the audit log does not hold: %v, %v", err, report)
	}
	var text string
	if err := x.db.View(t.Context()).QueryRow(`SELECT value FROM settings WHERE name = 'sealed'`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	if _, err := fmt.Sscanf(text, "%x", &sealed); err != nil {
		t.Fatal(err)
	}
	if plain, err := x.vault.Open("test", sealed); err != nil || string(plain) != "a sealed secret" {
		t.Fatalf("the secret opens as %q, %v", plain, err)
	}
	rows, err := x.db.View(t.Context()).Query(`SELECT name, value FROM settings WHERE name LIKE 'doc-%'`)
	docs, err := store.Collect(rows, err, func(r *store.Rows) (d [2]string, err error) { err = r.Scan(&d[0], &d[1]); return d, err })
	if err != nil || len(docs) < atLeast {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	for _, d := range docs {
		r, err := x.store.Open(t.Context(), d[1])
		if err != nil {
			t.Fatalf("%s: %v", d[0], err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != content(d[0]) {
			t.Fatalf("%s differs (%v)", d[0], err)
		}
		_ = r.Close()
	}
}

func (x *installation) source() backup.Source {
	return backup.Source{DB: x.db, Blobs: x.blobs, Version: "1.2.3", Clock: clock.System{}}
}

// empty is a place to restore x into.
func (x *installation) empty(t *testing.T, url string) *installation {
	t.Helper()
	db, err := store.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	y := &installation{db: db, master: x.master}
	if x.blobs != "" {
		y.blobs = filepath.Join(t.TempDir(), "restored")
	}
	return y
}

func (x *installation) target() backup.Target { return backup.Target{DB: x.db, Blobs: x.blobs} }

var identity = func() *age.X25519Identity {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err) // the system has no random numbers
	}
	return id
}()

func write(t *testing.T, src backup.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, _, err := backup.Write(t.Context(), &b, src, identity.Recipient()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func verify(t *testing.T, file []byte) error {
	t.Helper()
	_, err := backup.Verify(t.Context(), bytes.NewReader(file), nil, identity)
	return err
}

func isCode(t *testing.T, err error, codes ...string) {
	t.Helper()
	if err == nil || !slices.Contains(codes, fault.Of(err).Code) {
		t.Fatalf("got %v, want %v", err, codes)
	}
}

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

// The hashes inside find what was changed by somebody who can encrypt.
func TestAMemberThatWasChangedInsideIsFound(t *testing.T) {
	x := found(t, storetest.SQLite(t), backup.InFiles)
	x.live(t, 3)
	file := write(t, x.source())
	same := edit(t, file, func(name string, b []byte) (string, []byte) { return name, b })
	if err := verify(t, same); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	first := func(prefix string, change func(string, []byte) (string, []byte)) func(string, []byte) (string, []byte) {
		done := false
		return func(name string, b []byte) (string, []byte) {
			if done || !strings.HasPrefix(name, prefix) {
				return name, b
			}
			done = true
			return change(name, b)
		}
	}
	drop := func(string, []byte) (string, []byte) { return "", nil }
	flip := func(name string, b []byte) (string, []byte) {
		b[len(b)/2] ^= 1
		return name, b
	}
	for name, change := range map[string]func(string, []byte) (string, []byte){
		"a document is missing":       first("blobs/", drop),
		"a document was changed":      first("blobs/", flip),
		"a document has another name": first("blobs/", func(_ string, b []byte) (string, []byte) { return "blobs/a/a/aaaaaaaaaaaaaaaaaaaaaaaaaa", b }),
		"a document leaves its place": first("blobs/", func(_ string, b []byte) (string, []byte) { return "blobs/../../../etc/passwd", b }),
		"the rows are missing":        first("database/", drop),
		"a row was changed": first("database/", func(n string, b []byte) (string, []byte) {
			return n, bytes.Replace(b, []byte("doc-0001"), []byte("doc-0009"), 1)
		}),
		"the sums are missing":   first("sums/", drop),
		"the sums were changed":  first("sums/", flip),
		"the summary is missing": first("summary", drop),
		"the summary counts otherwise": first("summary", func(n string, b []byte) (string, []byte) {
			return n, bytes.Replace(b, []byte(`"blobs": 3`), []byte(`"blobs": 4`), 1)
		}),
		"the manifest says another day": first("manifest", func(n string, b []byte) (string, []byte) {
			return n, bytes.Replace(b, []byte(`"made": "2`), []byte(`"made": "1`), 1)
		}),
		"a member is unknown": first("sums/", func(_ string, b []byte) (string, []byte) { return "extra", b }),
	} {
		t.Run(name, func(t *testing.T) {
			changed := edit(t, file, change)
			isCode(t, verify(t, changed), "backup.damaged", "dump.damaged")
			y := x.empty(t, storetest.SQLite(t))
			_, err := backup.Restore(t.Context(), bytes.NewReader(changed), y.target(), identity)
			isCode(t, err, "backup.damaged", "dump.damaged")
			if err := y.db.CheckEmpty(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// decrypted opens a backup as far as the tar.
func decrypted(t *testing.T, file []byte) *gzip.Reader {
	t.Helper()
	plain, err := age.Decrypt(bytes.NewReader(file), identity)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(plain)
	if err != nil {
		t.Fatal(err)
	}
	return zip
}

func members(t *testing.T, file []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	edit(t, file, func(name string, b []byte) (string, []byte) {
		out[name] = bytes.Clone(b)
		return name, b
	})
	return out
}

// edit changes the members of a backup and encrypts it again; an empty name drops one.
func edit(t *testing.T, file []byte, change func(string, []byte) (string, []byte)) []byte {
	t.Helper()
	var out bytes.Buffer
	sealed, err := age.Encrypt(&out, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(sealed)
	to, from := tar.NewWriter(zip), tar.NewReader(decrypted(t, file))
	for {
		head, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		name, b := change(head.Name, b)
		if name == "" {
			continue
		}
		if err := to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(b)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(to.Close(), zip.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
