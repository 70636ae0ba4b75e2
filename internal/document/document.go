// Package document keeps the temporary documents of services: what a web
// service uploads before it asks for a signature, and what it fetches
// afterwards (contracts, document-services section 2).
//
// A document is a row here and a blob in package blob. The blob is durable
// before the row is written, and the row is deleted before the blob: after a
// crash there may be a blob without a row, which a sweep removes ([Store.InUse]),
// but never a row without a blob.
//
// A document belongs to one service. To every other service it does not exist:
// the answer is the same NotFound as for an id that was never given out (N9).
package document

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/audit"
	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Document describes stored bytes.
type Document struct {
	ID          string // 58 characters: the day and 50 of base 36
	Realm       access.Realm
	Client      string
	Service     string // id
	ContentType string // as it was sent, byte for byte
	Size        int64
	SHA256      [32]byte
	Created     time.Time
	Expires     time.Time // from then on it does not exist

	blob string
}

// DefaultContentType is that of a document that came without one.
const DefaultContentType = "application/octet-stream"

const maxContentType = 200

// Settings are what an installation may choose.
type Settings struct {
	Life    func(created time.Time) time.Time // when a document expires
	MaxSize int64                             // bytes
}

// A Store is the domain. Build it with [New]; its methods may be called from
// any goroutine.
type Store struct {
	db       *store.DB
	blobs    *blob.Store
	audit    *audit.Log
	clock    clock.Clock
	settings Settings
}

// New opens the domain.
func New(db *store.DB, blobs *blob.Store, log *audit.Log, c clock.Clock, s Settings) *Store {
	return &Store{db: db, blobs: blobs, audit: log, clock: c, settings: s}
}

// MaxSize is the largest document in bytes, so that an endpoint can refuse a
// larger one before it reads it.
func (s *Store) MaxSize() int64 { return s.settings.MaxSize }

// Put stores what r gives as a document of service v and returns when it
// survives a power cut. It needs document.write. Memory is constant. Faults are
// those of [blob.Store.Put] and "document.content_type"; an error of r is
// returned wrapped. After any of them there is no document.
func (s *Store) Put(ctx context.Context, sc access.Scope, v access.Service, contentType string, r io.Reader) (Document, error) {
	if err := sc.RequireService(access.DocumentWrite, v.Realm, v.Client, v.ID); err != nil {
		return Document{}, hide(err)
	}
	if contentType == "" {
		contentType = DefaultContentType
	}
	if err := checkContentType(contentType); err != nil {
		return Document{}, err
	}
	info, err := s.blobs.Put(ctx, r, s.settings.MaxSize)
	if err != nil {
		return Document{}, err
	}
	now := s.clock.Now()
	d := Document{
		ID: ident.Document(now), Realm: v.Realm, Client: v.Client, Service: v.ID, ContentType: contentType,
		Size: info.Size, SHA256: info.SHA256, Created: now, Expires: s.settings.Life(now), blob: info.ID,
	}
	// The bytes are durable. Until the row commits, a crash leaves a blob that
	// nobody refers to; from then on, a document.
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return s.insert(tx, d) }); err != nil {
		return Document{}, s.takeBack(ctx, d, err)
	}
	return d, nil
}

func (s *Store) insert(tx *store.Tx, d Document) error {
	if _, err := tx.Exec(`INSERT INTO documents (id, realm, client, service, content_type, size, sha256, blob, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		d.ID, string(d.Realm), d.Client, d.Service, d.ContentType, d.Size, d.SHA256[:], d.blob, store.Micros(d.Created), store.Micros(d.Expires)); err != nil {
		return err
	}
	return s.audit.Append(tx, d.entry("document.create", "size", strconv.FormatInt(d.Size, 10), "expires", d.Expires.Format(time.RFC3339)))
}

// takeBack removes the blob of a document that did not come to be. When the
// outcome of the commit is unknown the blob stays: the row may be there.
func (s *Store) takeBack(ctx context.Context, d Document, cause error) error {
	if fault.Of(cause).Code == "store.unknown" {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(cause, s.blobs.Delete(ctx, d.blob))
}

// Open finds a document of service v and opens its bytes; close them. It needs
// document.read.
func (s *Store) Open(ctx context.Context, sc access.Scope, v access.Service, id string) (Document, io.ReadSeekCloser, error) {
	d, err := s.find(s.db.View(ctx), sc, access.DocumentRead, v, id)
	if err != nil {
		return Document{}, nil, err
	}
	r, err := s.blobs.Open(ctx, d.blob)
	if errors.Is(err, fault.NotFound) {
		return Document{}, nil, s.missing(ctx, d, err)
	}
	if err != nil {
		return Document{}, nil, err
	}
	return d, r, nil
}

// missing tells a document that was deleted this moment from one whose bytes
// were lost.
func (s *Store) missing(ctx context.Context, d Document, cause error) error {
	if _, err := read(s.db.View(ctx), d.ID); errors.Is(err, store.ErrNotFound) {
		return unknown()
	}
	return fault.New(fault.Internal, "document.lost", "The bytes of the document %s are missing.", d.ID).
		WithNext("Restore them from a backup.").WithCause(cause)
}

// Delete removes a document of service v for good. It needs document.write.
func (s *Store) Delete(ctx context.Context, sc access.Scope, v access.Service, id string) error {
	var d Document
	err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if d, err = s.find(tx, sc, access.DocumentWrite, v, id); err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM documents WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 { // on PostgreSQL somebody else may have been quicker
			return unknown()
		}
		return s.audit.Append(tx, d.entry("document.delete"))
	})
	if err != nil {
		return err
	}
	s.forget(ctx, d.blob)
	return nil
}

// find reads a document that is v's and that has not expired.
func (s *Store) find(q store.Queryer, sc access.Scope, p access.Permission, v access.Service, id string) (Document, error) {
	if !validID(id) {
		return Document{}, unknown()
	}
	d, err := read(q, id)
	if errors.Is(err, store.ErrNotFound) {
		return Document{}, unknown()
	}
	if err != nil {
		return Document{}, err
	}
	if d.Service != v.ID || d.Realm != v.Realm || !s.clock.Now().Before(d.Expires) {
		return Document{}, unknown()
	}
	return d, hide(sc.RequireService(p, d.Realm, d.Client, d.Service))
}

const columns = `id, realm, client, service, content_type, size, sha256, blob, created_at, expires_at`

func read(q store.Queryer, id string) (Document, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM documents WHERE id = $1`, id))
}

func scan(r interface{ Scan(...any) error }) (d Document, err error) {
	var sum []byte
	var created, expires int64
	err = r.Scan(&d.ID, &d.Realm, &d.Client, &d.Service, &d.ContentType, &d.Size, &sum, &d.blob, &created, &expires)
	d.Created, d.Expires = store.Time(created), store.Time(expires)
	copy(d.SHA256[:], sum)
	return d, err
}

// entry is an audit entry about d; detail lists pairs of key and value.
func (d Document) entry(action string, detail ...string) audit.Entry {
	e := audit.Entry{Action: action, ObjectKind: "document", ObjectID: d.ID, Realm: string(d.Realm), Client: d.Client, Service: d.Service}
	for i := 0; i+1 < len(detail); i += 2 {
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail[detail[i]] = detail[i+1]
	}
	return e
}

// unknown is the one answer for a document that does not exist, no longer
// exists, or is somebody else's.
func unknown() error {
	return fault.NotFoundf("document.unknown", "This service has no document with that id.").
		WithNext("Check the id; the document may also have been deleted or have expired.")
}

// hide keeps the answer for somebody else's document the same as [unknown].
func hide(err error) error {
	if errors.Is(err, fault.NotFound) {
		return unknown()
	}
	return err
}

// validID keeps what cannot be an id away from the database.
func validID(id string) bool {
	if len(id) != idLength {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

const idLength = 58

// checkContentType accepts what can be sent back in a header exactly as it
// came. It is not parsed: clients compare the text, not its meaning.
func checkContentType(s string) error {
	if len(s) > maxContentType {
		return fault.Invalidf("document.content_type", "The content type has %d characters; the limit is %d.", len(s), maxContentType).WithField("Content-Type")
	}
	for _, c := range []byte(s) {
		if (c < ' ' && c != '\t') || c > '~' {
			return fault.Invalidf("document.content_type", "The content type holds a character that is not printable ASCII.").WithField("Content-Type")
		}
	}
	return nil
}
