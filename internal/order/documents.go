package order

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sealwright/sealwright/internal/access"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/ident"
	"github.com/sealwright/sealwright/internal/platform/store"
	"github.com/sealwright/sealwright/internal/product"
)

// A Paper is a document that comes with an order, such as an extract of a
// register or a signed form (A156).
type Paper struct {
	Name string
	Data []byte // PDF, JPEG or PNG, as the product takes
}

// A Document is a stored paper.
type Document struct {
	ID     string // "doc-" and a UUID
	Name   string
	Type   string // media type, from its content
	Size   int64
	SHA256 string
	Author string
	At     time.Time

	blob string
}

// Limits of papers.
const (
	maxPapers = 20
	maxPaper  = 10 << 20
)

// checkPapers says whether a product takes these papers, and whether it misses any.
func checkPapers(p *product.Product, papers []Paper) error {
	rule := p.Definition.Rules.Documents
	if len(papers) == 0 {
		if rule.Required && rule.OnRegister {
			return fault.Invalidf("order.documents_missing", "The product %q asks for documents with the order.", p.Name).WithField("documents")
		}
		return nil
	}
	if len(papers) > maxPapers {
		return fault.Invalidf("order.documents", "An order takes at most %d documents.", maxPapers).WithField("documents")
	}
	for _, paper := range papers {
		if err := checkPaper(rule, paper); err != nil {
			return err
		}
	}
	return nil
}

func checkPaper(rule product.Documents, p Paper) error {
	name := strings.TrimSpace(p.Name)
	if name == "" || len(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.Invalidf("order.document_name", "A document needs a name of 1 to 200 bytes without control characters.").WithField("documents")
	}
	if len(p.Data) == 0 || len(p.Data) > maxPaper {
		return fault.Invalidf("order.document_size", "The document %q has %d bytes; it must have 1 to %d.", name, len(p.Data), maxPaper).WithField("documents")
	}
	var taken []string
	if rule.PDF {
		taken = append(taken, "application/pdf")
	}
	if rule.Images {
		taken = append(taken, "image/jpeg", "image/png")
	}
	if kind := http.DetectContentType(p.Data); !slices.Contains(taken, kind) {
		return fault.Invalidf("order.document_type", "The document %q is %s; the product takes %s.", name, kind, orNone(taken)).WithField("documents")
	}
	return nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "no documents"
	}
	return strings.Join(list, ", ")
}

// storePapers writes the bytes ahead of the transaction that names them; what no
// row names in the end is swept.
func (e *Engine) storePapers(ctx context.Context, by string, papers []Paper) ([]Document, error) {
	var out []Document
	for _, p := range papers {
		info, err := e.Blobs.Put(ctx, bytes.NewReader(p.Data), maxPaper)
		if err != nil {
			return nil, err
		}
		out = append(out, Document{
			ID: ident.New("doc"), Name: strings.TrimSpace(p.Name), Type: http.DetectContentType(p.Data), Size: info.Size, SHA256: hex.EncodeToString(info.SHA256[:]),
			Author: by, At: e.Clock.Now(), blob: info.ID,
		})
	}
	return out, nil
}

func enterDocuments(tx *store.Tx, order string, list []Document) error {
	for _, d := range list {
		if _, err := tx.Exec(`INSERT INTO order_documents (id, order_id, name, type, blob, size, sha256, author, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			d.ID, order, d.Name, d.Type, d.blob, d.Size, d.SHA256, d.Author, store.Micros(d.At)); err != nil {
			return err
		}
	}
	return nil
}

// AddDocument adds a paper to an order. An order that waits for its papers goes on.
func (e *Engine) AddDocument(ctx context.Context, s access.Scope, id string, p Paper) (Document, error) {
	w, err := e.loadFor(ctx, s, access.CertificateOrder, id)
	if err != nil {
		return Document{}, err
	}
	have, err := e.Documents(ctx, w.Order)
	if err != nil {
		return Document{}, err
	}
	if len(have) >= maxPapers {
		return Document{}, fault.Conflictf("order.documents", "The order %s has %d documents, as many as it can.", w.CommonName, len(have))
	}
	if err := checkPaper(w.product.Definition.Rules.Documents, p); err != nil {
		return Document{}, err
	}
	list, err := e.storePapers(ctx, s.Principal().Name, []Paper{p})
	if err != nil {
		return Document{}, err
	}
	return list[0], e.DB.Update(ctx, func(tx *store.Tx) error {
		if err := enterDocuments(tx, id, list); err != nil {
			return err
		}
		if err := e.Wake(tx, id); err != nil {
			return err
		}
		return e.record(tx, w.Order, "order.document", map[string]string{"name": list[0].Name, "sha256": list[0].SHA256})
	})
}

const documentColumns = `id, name, type, blob, size, sha256, author, at`

func scanDocument(r scanner) (d Document, err error) {
	var at int64
	err = r.Scan(&d.ID, &d.Name, &d.Type, &d.blob, &d.Size, &d.SHA256, &d.Author, &at)
	d.At = store.Time(at)
	return d, err
}

// Documents lists the papers of an order, the oldest first.
func (e *Engine) Documents(ctx context.Context, o *Order) ([]Document, error) {
	rows, err := e.DB.View(ctx).Query(`SELECT `+documentColumns+` FROM order_documents WHERE order_id = $1 ORDER BY id`, o.ID)
	return store.Collect(rows, err, func(r *store.Rows) (Document, error) { return scanDocument(r) })
}

// OpenDocument reads a paper of an order that the caller may see. Close it.
func (e *Engine) OpenDocument(ctx context.Context, s access.Scope, order, id string) (Document, io.ReadCloser, error) {
	o, err := e.Get(ctx, s, order)
	if err != nil {
		return Document{}, nil, err
	}
	d, err := scanDocument(e.DB.View(ctx).QueryRow(`SELECT `+documentColumns+` FROM order_documents WHERE order_id = $1 AND id = $2`, o.ID, id))
	if errors.Is(err, store.ErrNotFound) {
		return d, nil, access.NotFound()
	}
	if err != nil {
		return d, nil, err
	}
	r, err := e.Blobs.Open(ctx, d.blob)
	return d, r, err
}

// needsDocuments tells whether the product wants papers that are not there yet.
func (e *Engine) needsDocuments(ctx context.Context, w *work) (bool, error) {
	if !w.product.Definition.Rules.Documents.Required {
		return false, nil
	}
	if len(w.extras.documents) > 0 {
		return false, nil
	}
	list, err := e.Documents(ctx, w.Order)
	return len(list) == 0, err
}

// InUse tells which of these blobs orders name.
func (e *Engine) InUse(ctx context.Context, blobs []string) (map[string]bool, error) {
	used := map[string]bool{}
	for part := range slices.Chunk(blobs, 256) {
		marks, args := make([]string, len(part)), make([]any, len(part))
		for i, id := range part {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), id
		}
		rows, err := e.DB.View(ctx).Query(`SELECT blob FROM order_documents WHERE blob IN (`+strings.Join(marks, ", ")+`)`, args...)
		found, err := store.Collect(rows, err, func(r *store.Rows) (id string, err error) { return id, r.Scan(&id) })
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			used[id] = true
		}
	}
	return used, nil
}
