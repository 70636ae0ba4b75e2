// Package backup puts an installation into one encrypted file and brings it
// back, into either database engine.
//
// [Write] runs beside the server: it takes the rows of one moment and every
// blob that they refer to. [Restore] fills an empty installation; [Verify] only
// checks. All three go through the file once, in constant memory.
//
// # File
//
// The file is an age file (age-encryption.org/v1) around a gzip'd tar, so that
// it can be opened without this program: age -d FILE | tar xz. The members are,
// in this order:
//
//	manifest.json            what this is: version, time, engine, schema
//	master.key               only when asked for
//	blobs/a/b/ID             documents, as encrypted as on disk
//	database/000001.jsonl …  one dump in parts; see store.DB.Dump
//	blobs/a/b/ID             documents that came during the dump
//	sums/000001.txt …        in between: SHA-256 of the members since the last,
//	                         as sha256sum -c reads them
//	summary.json             counts, the last member
//
// Private keys and other secrets in it are sealed under the master key. Unless
// that is in the file too, whoever decrypts the file reads names and orders, but
// has no key.
//
// # Limits
//
// The rows are those of one moment. A blob that was both stored and deleted
// while Write ran can be missing although its row is there: the document that
// its owner had deleted.
//
// A passphrase shows that a backup was made by somebody who knows it. A file for
// recipients can be made by anybody who knows their public keys: know where it
// comes from before you restore it.
package backup

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"time"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/platform/clock"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

const (
	product = "sealwright"
	format  = 1
)

// Where an installation keeps its documents.
const (
	InFiles = "files"
	InTable = "table"
)

// A Manifest says what a backup is.
type Manifest struct {
	Product   string       `json:"product"`
	Format    int          `json:"format"`
	Version   string       `json:"version"` // of the program that made it
	Made      time.Time    `json:"made"`
	Engine    store.Engine `json:"engine"`
	Schema    int64        `json:"schema"`
	Documents string       `json:"documents"` // InFiles or InTable
	MasterKey bool         `json:"master_key"`
}

// A Summary says what is in a backup.
type Summary struct {
	Rows      map[string]int64 `json:"rows"`       // by table
	Database  string           `json:"database"`   // SHA-256 of the dump, in hex
	Blobs     int64            `json:"blobs"`      // files
	BlobBytes int64            `json:"blob_bytes"` //
	Members   int64            `json:"members"`    // before this one
}

// TotalRows is the number of rows in all tables.
func (s Summary) TotalRows() int64 { return store.DumpReport{Rows: s.Rows}.Total() }

// A Progress is told what has been done, often.
type Progress func(members, bytes int64)

// A Source is the installation to back up.
type Source struct {
	DB        *store.DB
	Blobs     string // directory of the blob files; empty when they are in the database
	MasterKey []byte // to be included; normally nil
	Version   string // of the program
	Clock     clock.Clock
	Progress  Progress // may be nil
}

// Write writes a backup for the recipients to w. When it returns an error, what
// was written is of no use. A recipient of [Passphrase] must be the only one.
func Write(ctx context.Context, w io.Writer, src Source, to ...age.Recipient) (Manifest, Summary, error) {
	m := Manifest{
		Product: product, Format: format, Version: src.Version, Made: src.Clock.Now(), Engine: src.DB.Engine(),
		Documents: InFiles, MasterKey: src.MasterKey != nil,
	}
	if src.Blobs == "" {
		m.Documents = InTable
	}
	var err error
	if m.Schema, err = src.DB.Schema(ctx); err != nil {
		return m, Summary{}, err
	}
	if m.Schema == 0 {
		return m, Summary{}, fault.Conflictf("backup.empty", "The database is empty: there is nothing to back up.")
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return m, Summary{}, fault.Wrap(err, "encrypt")
	}
	zip, err := gzip.NewWriterLevel(sealed, gzip.BestSpeed) // most of it is random
	if err != nil {
		return m, Summary{}, err
	}
	a := &archive{ctx: ctx, tar: tar.NewWriter(zip), made: m.Made, progress: src.Progress}
	if err := a.fill(src, m); err != nil {
		return m, Summary{}, err
	}
	return m, a.summary, errors.Join(a.tar.Close(), zip.Close(), sealed.Close())
}
