package blob

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

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
