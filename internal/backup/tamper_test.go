package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/backup"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

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
		})
	}
	// The very last member decides, when all rows are in the transaction.
	late := edit(t, file, first("summary", func(n string, b []byte) (string, []byte) {
		return n, bytes.Replace(b, []byte(`"settings": 5`), []byte(`"settings": 6`), 1)
	}))
	y := x.empty(t, storetest.Postgres(t))
	_, err := backup.Restore(t.Context(), bytes.NewReader(late), y.target(), identity)
	isCode(t, err, "backup.damaged")
	if err := y.db.CheckEmpty(t.Context()); err != nil {
		t.Fatal(err)
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
