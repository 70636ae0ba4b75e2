package backup_test

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
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
