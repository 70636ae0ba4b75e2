package document_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/document"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/platform/store/storetest"
)

// plainSealer lets the blobs be without a vault.
type plainSealer struct{}

func (plainSealer) Seal(_ string, p []byte) ([]byte, error) { return bytes.Clone(p), nil }
func (plainSealer) Open(_ string, p []byte) ([]byte, error) { return bytes.Clone(p), nil }

type world struct {
	db    *store.DB
	dir   string
	blobs *blob.Store
	audit *audit.Log
	clock *clock.Fake
	docs  *document.Store
}

const maxSize = 1 << 20

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{db: db, dir: t.TempDir(), clock: clock.NewFake(time.Now())}
	var err error
	if w.blobs, err = blob.NewFiles(w.dir, plainSealer{}); err != nil {
		t.Fatal(err)
	}
	w.audit = audit.New(db, w.clock, nil, "log.example.com/audit")
	w.docs = document.New(db, w.blobs, w.audit, w.clock, settings)
	return w
}

var settings = document.Settings{Life: func(t time.Time) time.Time { return t.AddDate(0, 0, 30) }, MaxSize: maxSize}

var (
	demo  = access.Service{ID: "svc-demo", Realm: access.Preprod, Client: "cli-1", Name: "demo"}
	other = access.Service{ID: "svc-other", Realm: access.Preprod, Client: "cli-1", Name: "other"}
)

func scope(v access.Service) access.Scope {
	return access.ForService(v, access.DocumentRead, access.DocumentWrite)
}

func (w *world) put(t *testing.T, v access.Service, text string) document.Document {
	t.Helper()
	d, err := w.docs.Put(t.Context(), scope(v), v, "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) rows(t *testing.T) (n int64) {
	t.Helper()
	if err := w.db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM documents`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// files counts the blobs, whole and half.
func (w *world) files(t *testing.T) (n int64) {
	t.Helper()
	err := filepath.WalkDir(w.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) actions(t *testing.T) map[string]int {
	t.Helper()
	list, _, err := w.audit.List(w.db.View(t.Context()), audit.Filter{Action: "document.", AllClients: true}, store.Page{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, e := range list {
		n[e.Entry.Action]++
	}
	return n
}

func isCode(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if !errors.Is(err, kind) || fault.Of(err).Code != code {
		t.Errorf("error %v; want kind %v, code %s", err, kind, code)
	}
}

func TestADocumentComesBackAsItWasSent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		content := make([]byte, 300_000)
		rand.Read(content)
		for _, contentType := range []string{"application/pdf", "text/plain;charset=utf8", "TEXT/Plain ; charset=\"iso8859-1\"", ""} {
			d, err := w.docs.Put(t.Context(), scope(demo), demo, contentType, bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if len(d.ID) != 58 || !strings.HasPrefix(d.ID, w.clock.Now().Format("02012006")) {
				t.Errorf("id %q", d.ID)
			}
			got, r, err := w.docs.Open(t.Context(), scope(demo), demo, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			back, err := io.ReadAll(r)
			if err != nil || r.Close() != nil || !bytes.Equal(back, content) {
				t.Errorf("%q: the content differs (%v)", contentType, err)
			}
			want := contentType
			if want == "" {
				want = document.DefaultContentType
			}
			if got.ContentType != want || got.Size != int64(len(content)) || got.SHA256 != sha256.Sum256(content) || got != d {
				t.Errorf("%q came back as %+v, stored was %+v", contentType, got, d)
			}
		}
		if n := w.actions(t)["document.create"]; n != 4 {
			t.Errorf("%d audit entries", n)
		}
	})
}

// N9: access is limited to the data of one service.
func TestAnotherServicesDocumentDoesNotExist(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.put(t, demo, "secret")
		elsewhere := demo
		elsewhere.Realm = access.Production
		for _, c := range []struct {
			name  string
			scope access.Scope
			as    access.Service
			id    string
		}{
			{"an id that was never given out", scope(demo), demo, strings.Repeat("0", 58)},
			{"another service", scope(other), other, d.ID},
			{"another service that names the owner", scope(other), demo, d.ID},
			{"the owner's scope used for another service", scope(demo), other, d.ID},
			{"the same service in the other environment", scope(elsewhere), elsewhere, d.ID},
			{"an id that is a path", scope(demo), demo, "../../" + d.ID[6:]},
			{"an id with a NUL", scope(demo), demo, "\x00" + d.ID[1:]},
			{"an empty id", scope(demo), demo, ""},
		} {
			_, _, err := w.docs.Open(t.Context(), c.scope, c.as, c.id)
			isCode(t, err, fault.NotFound, "document.unknown")
			isCode(t, w.docs.Delete(t.Context(), c.scope, c.as, c.id), fault.NotFound, "document.unknown")
			if t.Failed() {
				t.Fatal(c.name)
			}
		}
		if _, err := w.docs.Put(t.Context(), scope(other), demo, "", strings.NewReader("x")); !errors.Is(err, fault.NotFound) {
			t.Errorf("a foreign service stored a document: %v", err)
		}
		if err := w.docs.Delete(t.Context(), access.ForService(demo, access.DocumentRead), demo, d.ID); !errors.Is(err, fault.Forbidden) {
			t.Errorf("deleted with the right to read only: %v", err)
		}
		if w.rows(t) != 1 || w.files(t) != 1 {
			t.Errorf("%d rows and %d files; want one each", w.rows(t), w.files(t))
		}
	})
}

func TestADeletedDocumentIsGoneWithItsBytes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.put(t, demo, "short-lived")
		if err := w.docs.Delete(t.Context(), scope(demo), demo, d.ID); err != nil {
			t.Fatal(err)
		}
		isCode(t, w.docs.Delete(t.Context(), scope(demo), demo, d.ID), fault.NotFound, "document.unknown")
		if w.rows(t) != 0 || w.files(t) != 0 || w.actions(t)["document.delete"] != 1 {
			t.Errorf("%d rows, %d files, audit %v", w.rows(t), w.files(t), w.actions(t))
		}
	})
}

func TestAFailedUploadLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		cut := iotest.ErrReader(io.ErrUnexpectedEOF)
		for _, c := range []struct {
			name        string
			contentType string
			body        io.Reader
			code        string
		}{
			{"cut off after one batch", "", io.MultiReader(bytes.NewReader(make([]byte, 600_000)), cut), "internal"},
			{"cut off at once", "", cut, "internal"},
			{"too large", "", bytes.NewReader(make([]byte, maxSize+1)), "blob.too_large"},
			{"a content type that no header can hold", "text/plain\r\nX-Evil: 1", strings.NewReader("x"), "document.content_type"},
			{"a content type that is not ASCII", "text/pl\xe6in", strings.NewReader("x"), "document.content_type"},
			{"a content type without end", strings.Repeat("a", 201), strings.NewReader("x"), "document.content_type"},
		} {
			_, err := w.docs.Put(t.Context(), scope(demo), demo, c.contentType, c.body)
			if err == nil || fault.Of(err).Code != c.code {
				t.Errorf("%s: %v; want %s", c.name, err, c.code)
			}
			if w.rows(t) != 0 || w.files(t) != 0 {
				t.Errorf("%s: %d rows and %d files remain", c.name, w.rows(t), w.files(t))
			}
		}
		if n := len(w.actions(t)); n != 0 {
			t.Errorf("%d audit entries for nothing", n)
		}
	})
}

// The bytes are durable before the row; when the row cannot be written they go again.
func TestBytesWithoutARowAreTakenBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		// The caller leaves when the last byte has been read.
		body := io.MultiReader(strings.NewReader("whole"), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }))
		if _, err := w.docs.Put(ctx, scope(demo), demo, "", body); !errors.Is(err, context.Canceled) {
			t.Errorf("Put gave %v", err)
		}
		if w.rows(t) != 0 || w.files(t) != 0 {
			t.Errorf("%d rows and %d files remain", w.rows(t), w.files(t))
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(`DROP TABLE documents`); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := w.docs.Put(t.Context(), scope(demo), demo, "", strings.NewReader("whole")); err == nil {
			t.Error("Put succeeded without a table")
		}
		if w.files(t) != 0 {
			t.Errorf("%d files remain", w.files(t))
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestExpiredDocumentsAreGoneAtOnceAndDeletedByTheSchedule(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.blobs = blob.NewTable(db, plainSealer{}, w.clock) // shares commits, where each file needs its own
		w.docs = document.New(db, w.blobs, w.audit, w.clock, settings)
		old := w.put(t, demo, "old")
		var uploads sync.WaitGroup
		for range 204 { // together more than one batch
			uploads.Go(func() {
				if _, err := w.docs.Put(t.Context(), scope(demo), demo, "", strings.NewReader("old")); err != nil {
					t.Error(err)
				}
			})
		}
		uploads.Wait()
		w.clock.Advance(24 * time.Hour)
		young := w.put(t, demo, "young")
		w.clock.Set(old.Expires.Add(-time.Microsecond))
		if _, r, err := w.docs.Open(t.Context(), scope(demo), demo, old.ID); err != nil {
			t.Errorf("before its time: %v", err)
		} else if err := r.Close(); err != nil {
			t.Error(err)
		}
		w.clock.Set(old.Expires)
		_, _, err := w.docs.Open(t.Context(), scope(demo), demo, old.ID)
		isCode(t, err, fault.NotFound, "document.unknown")
		if list, _, err := w.docs.List(t.Context(), scope(demo), document.Query{}); err != nil || len(list) != 1 || list[0] != young {
			t.Errorf("the list shows %d documents (%v)", len(list), err)
		}
		if err := w.docs.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		var blobs int
		if err := db.View(t.Context()).QueryRow(`SELECT COUNT(*) FROM blobs`).Scan(&blobs); err != nil {
			t.Fatal(err)
		}
		if w.rows(t) != 1 || blobs != 1 || w.actions(t)["document.expire"] != 205 {
			t.Errorf("%d rows, %d blobs, audit %v", w.rows(t), blobs, w.actions(t))
		}
		if _, r, err := w.docs.Open(t.Context(), scope(demo), demo, young.ID); err != nil {
			t.Errorf("the young one: %v", err)
		} else if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestASweepRemovesWhatACrashLeftAndNothingElse(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		kept := w.put(t, demo, "kept")
		if _, err := w.blobs.Put(t.Context(), strings.NewReader("its row never came"), maxSize); err != nil {
			t.Fatal(err)
		}
		n, err := w.blobs.Sweep(t.Context(), time.Now().Add(time.Hour), w.docs.InUse)
		if err != nil || n != 1 || w.files(t) != 1 {
			t.Errorf("swept %d (%v), %d files remain", n, err, w.files(t))
		}
		_, r, err := w.docs.Open(t.Context(), scope(demo), demo, kept.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestListsAreScopedAndPagedByKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		var want []string
		for i := range 7 {
			d := w.put(t, demo, "d")
			want = append([]string{d.ID}, want...)
			w.put(t, other, "o")
			if i%2 == 0 {
				w.clock.Advance(time.Second)
			}
		}
		seen := map[string]bool{}
		page := store.Page{Limit: 3}
		for {
			list, next, err := w.docs.List(t.Context(), scope(demo), document.Query{Page: page})
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range list {
				if d.Service != demo.ID || seen[d.ID] || i > 0 && list[i-1].Created.Before(d.Created) {
					t.Errorf("wrong entry %+v", d)
				}
				seen[d.ID] = true
			}
			if next == "" {
				break
			}
			page.Cursor = next
		}
		if len(seen) != len(want) {
			t.Errorf("%d of %d listed", len(seen), len(want))
		}
		all, _, err := w.docs.List(t.Context(), access.System("test"), document.Query{Realm: access.Preprod, Client: "cli-1", Service: other.ID})
		if err != nil || len(all) != 7 {
			t.Errorf("the other service has %d (%v)", len(all), err)
		}
		if none, _, err := w.docs.List(t.Context(), access.Scope{}, document.Query{}); err != nil || len(none) != 0 {
			t.Errorf("nobody sees %d (%v)", len(none), err)
		}
		_, _, err = w.docs.List(t.Context(), scope(demo), document.Query{Page: store.Page{Cursor: store.Key{ID: "x"}.Cursor()}})
		isCode(t, err, fault.Invalid, "page.cursor")
	})
}

func TestLostBytesAreAnInternalFault(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.put(t, demo, "to be lost")
		if _, err := w.blobs.Sweep(t.Context(), time.Now().Add(time.Hour), func(context.Context, []string) (map[string]bool, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		_, _, err := w.docs.Open(t.Context(), scope(demo), demo, d.ID)
		isCode(t, err, fault.Internal, "document.lost")
	})
}
