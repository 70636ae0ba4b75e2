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
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/platform/blob"
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

// An archive is a backup being written.
type archive struct {
	ctx      context.Context
	tar      *tar.Writer
	made     time.Time
	progress Progress
	bytes    int64

	sums    bytes.Buffer // of the members since the last sums
	sumsN   int
	summary Summary
}

func (a *archive) fill(src Source, m Manifest) error {
	if err := a.json("manifest.json", m); err != nil {
		return err
	}
	if m.MasterKey {
		if err := a.member("master.key", int64(len(src.MasterKey)), bytes.NewReader(src.MasterKey)); err != nil {
			return err
		}
	}
	if err := a.state(src, m); err != nil {
		return err
	}
	if err := a.flushSums(); err != nil {
		return err
	}
	return a.json("summary.json", a.summary)
}

// recent is how long before its start a backup takes blobs for new: more than
// clocks of machines and file servers differ.
const recent = time.Hour

// state writes the blobs, the rows, and then the blobs that came meanwhile.
//
// A blob is durable before the row that refers to it, and deleted only after
// that row. So a blob of a row in the dump was either there when the first round
// came to it, and is in the backup even if it was deleted since, or it is new.
// Copying the blobs only after the dump would lose those whose documents expire
// during the backup, which takes hours for a large installation.
func (a *archive) state(src Source, m Manifest) error {
	begin, written := a.made.Add(-recent), map[string]bool{}
	first := func(string, time.Time) bool { return true }
	copied := func(id string, changed time.Time) {
		if changed.After(begin) {
			written[id] = true
		}
	}
	if err := a.blobs(src.Blobs, first, copied); err != nil {
		return err
	}
	if err := a.database(src.DB, m); err != nil {
		return err
	}
	second := func(id string, changed time.Time) bool { return changed.After(begin) && !written[id] }
	return a.blobs(src.Blobs, second, func(string, time.Time) {})
}

func (a *archive) blobs(dir string, want func(string, time.Time) bool, copied func(string, time.Time)) error {
	if dir == "" {
		return nil
	}
	return blob.OpenRaw(dir).Each(a.ctx, want, func(f blob.RawFile) error {
		if err := a.member(blobName(f.ID), f.Size, f); err != nil {
			return err
		}
		copied(f.ID, f.Changed)
		a.summary.Blobs++
		a.summary.BlobBytes += f.Size
		return nil
	})
}

func blobName(id string) string { return "blobs/" + id[:1] + "/" + id[1:2] + "/" + id }

func (a *archive) database(db *store.DB, m Manifest) error {
	p := &parts{archive: a, hash: sha256.New()}
	report, err := db.Dump(a.ctx, p)
	if err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	if report.Schema != m.Schema {
		return fault.Conflictf("backup.migrated", "The database was migrated while it was being backed up.").WithNext("Make the backup again.")
	}
	a.summary.Rows, a.summary.Database = report.Rows, hex.EncodeToString(p.hash.Sum(nil))
	return nil
}

// partSize is the size of the parts that the dump is cut into: a tar member
// needs its size beforehand, and the rows must not touch the disk in clear.
const partSize = 4 << 20

// parts writes a dump as members.
type parts struct {
	archive *archive
	buf     []byte
	n       int
	hash    hash.Hash
}

func (p *parts) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	if len(p.buf) >= partSize {
		return len(b), p.flush()
	}
	return len(b), nil
}

func (p *parts) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	p.n++
	p.hash.Write(p.buf)
	err := p.archive.member(fmt.Sprintf("database/%06d.jsonl", p.n), int64(len(p.buf)), bytes.NewReader(p.buf))
	p.buf = p.buf[:0]
	return err
}

func (a *archive) json(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return a.member(name, int64(len(b)), bytes.NewReader(b))
}

// sumsSize bounds the sums that wait to be written, and the memory that they take.
const sumsSize = 1 << 20

// member writes a file of the archive and notes its hash.
func (a *archive) member(name string, size int64, r io.Reader) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	head := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.made, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(head); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(a.tar, sum, meter{a}), r, size); err != nil {
		return fault.Wrap(err, "write "+name)
	}
	if name == "summary.json" {
		return nil
	}
	a.summary.Members++
	writeSum(&a.sums, name, sum)
	if a.sums.Len() >= sumsSize {
		return a.flushSums()
	}
	return nil
}

func writeSum(w io.Writer, name string, sum hash.Hash) {
	fmt.Fprintf(w, "%x  %s\n", sum.Sum(nil), name)
}

// flushSums writes the sums that wait. The sum of the sums themselves is the
// first of the next.
func (a *archive) flushSums() error {
	if a.sums.Len() == 0 {
		return nil
	}
	a.sumsN++
	text := bytes.Clone(a.sums.Bytes())
	a.sums.Reset()
	return a.member(sumsName(a.sumsN), int64(len(text)), bytes.NewReader(text))
}

func sumsName(n int) string { return fmt.Sprintf("sums/%06d.txt", n) }

// meter counts what goes by.
type meter struct{ a *archive }

func (m meter) Write(p []byte) (int, error) {
	m.a.bytes += int64(len(p))
	if m.a.progress != nil {
		m.a.progress(m.a.summary.Members, m.a.bytes)
	}
	return len(p), nil
}
