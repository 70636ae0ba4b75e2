package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

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
