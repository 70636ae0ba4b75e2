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
	"maps"
	"path"
	"strings"

	"filippo.io/age"

	"github.com/sealwright/sealwright/internal/platform/blob"
	"github.com/sealwright/sealwright/internal/platform/fault"
	"github.com/sealwright/sealwright/internal/platform/store"
)

// A Contents is what a whole backup holds.
type Contents struct {
	Manifest
	Summary
}

// Verify reads a backup to its end and checks every byte of it: the encryption,
// the hash of each member, and that each record of the dump can be read and
// counted. Faults, all Invalid: "backup.key" for a wrong passphrase or identity,
// "backup.truncated", "backup.damaged", "backup.unknown" for what is no backup,
// "backup.newer" for one of a newer format.
func Verify(ctx context.Context, r io.Reader, progress Progress, with ...age.Identity) (Contents, error) {
	return read(ctx, r, checker{}, progress, with)
}

// A receiver takes the parts of a backup as they come.
type receiver interface {
	// manifest is called first and may refuse the backup.
	manifest(ctx context.Context, m Manifest) error
	masterKey(key []byte) error
	blob(id string, r io.Reader) error
	// database reads the dump to its end; it runs beside the others. Before it
	// keeps anything it asks confirm, which is when all the rest was received.
	database(ctx context.Context, r io.Reader, confirm func(store.DumpReport) error) error
}

// A checker receives a backup for nothing.
type checker struct{}

func (checker) manifest(context.Context, Manifest) error { return nil }
func (checker) masterKey([]byte) error                   { return nil }

func (checker) blob(_ string, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (checker) database(_ context.Context, r io.Reader, confirm func(store.DumpReport) error) error {
	report, err := store.CheckDump(r)
	if err != nil {
		return err
	}
	return confirm(report)
}

// read goes through a backup and hands its parts to the receiver.
func read(ctx context.Context, r io.Reader, to receiver, progress Progress, with []age.Identity) (Contents, error) {
	plain, err := decrypt(r, with)
	if err != nil {
		return Contents{}, err
	}
	zip, err := gzip.NewReader(plain)
	if err != nil {
		return Contents{}, broken(err)
	}
	x := &extractor{ctx: ctx, to: to, tar: tar.NewReader(zip), progress: progress, hash: sha256.New()}
	if err := x.begin(); err != nil {
		return Contents{}, err
	}
	x.startDatabase()
	err = x.members()
	if err == nil {
		// What is left is the end of the tar, whose checksums are gzip's and age's.
		_, err = io.Copy(io.Discard, zip)
		err = broken(err)
	}
	err = x.finishDatabase(err)
	return x.contents, err
}

// An extractor is a backup being read.
type extractor struct {
	ctx      context.Context
	to       receiver
	tar      *tar.Reader
	progress Progress
	contents Contents

	seen  Summary   // what came by
	bytes int64     //
	hash  hash.Hash // of the dump
	sums  bytes.Buffer
	sumsN int
	parts int

	dump    *io.PipeWriter
	outcome chan error // of the database
}

// begin reads the manifest.
func (x *extractor) begin() error {
	name, r, err := x.next()
	if err != nil {
		return err
	}
	m := &x.contents.Manifest
	if name != "manifest.json" || json.NewDecoder(r).Decode(m) != nil || m.Product != product {
		return notBackup(nil)
	}
	if m.Format != format {
		return fault.Invalidf("backup.newer", "The backup was made by Sealwright %s and has format %d; this program reads format %d.", m.Version, m.Format, format).WithNext("Install Sealwright %s.", m.Version)
	}
	if err := r.close(); err != nil {
		return err
	}
	return x.to.manifest(x.ctx, *m)
}

func (x *extractor) startDatabase() {
	in, out := io.Pipe()
	x.dump, x.outcome = out, make(chan error, 1)
	go func() {
		err := x.to.database(x.ctx, in, x.confirm)
		in.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // nobody reads on
		x.outcome <- err
	}()
}

// finishDatabase lets the database come to its end, good or bad, and returns
// the first error. Closing the pipe orders all that was received before confirm.
func (x *extractor) finishDatabase(err error) error {
	x.dump.CloseWithError(err) // nil is the end of the dump
	outcome := <-x.outcome
	if err == nil || errors.Is(err, io.ErrClosedPipe) {
		return outcome
	}
	return err
}

// confirm compares what came by with what the summary says.
func (x *extractor) confirm(report store.DumpReport) error {
	x.seen.Rows, x.seen.Database = report.Rows, hex.EncodeToString(x.hash.Sum(nil))
	want, have := x.contents.Summary, x.seen
	if !maps.Equal(want.Rows, have.Rows) || want.Database != have.Database || want.Blobs != have.Blobs || want.BlobBytes != have.BlobBytes ||
		want.Members != have.Members || report.Schema != x.contents.Schema || report.Engine != x.contents.Engine {
		return damaged(errors.New("the summary counts otherwise"))
	}
	return nil
}

// members reads all members but the first.
func (x *extractor) members() error {
	for {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		name, r, err := x.next()
		if err != nil {
			return err
		}
		if name == "summary.json" {
			return x.finish(r)
		}
		if err := x.member(name, r); err != nil {
			return err
		}
		if err := r.close(); err != nil {
			return err
		}
	}
}

// small bounds the members that are read as a whole.
const small = sumsSize + 64<<10

func (x *extractor) member(name string, r *memberReader) error {
	dir, _, _ := strings.Cut(name, "/")
	switch dir {
	case "blobs":
		id := path.Base(name)
		if !blob.ValidID(id) || name != blobName(id) {
			return damaged(fmt.Errorf("member %q", name))
		}
		if err := x.to.blob(id, r); err != nil {
			return err
		}
		x.seen.Blobs++
		x.seen.BlobBytes += r.n
		return nil
	case "database":
		x.parts++
		if name != fmt.Sprintf("database/%06d.jsonl", x.parts) {
			return damaged(fmt.Errorf("member %q", name))
		}
		_, err := io.Copy(io.MultiWriter(x.hash, x.dump), r)
		return err
	}
	content, err := io.ReadAll(io.LimitReader(r, small))
	if err != nil {
		return err
	}
	switch {
	case name == "master.key" && x.contents.MasterKey:
		return x.to.masterKey(content)
	case name == sumsName(x.sumsN+1):
		if !bytes.Equal(content, x.sums.Bytes()) {
			return damaged(fmt.Errorf("a member before %s differs from its hash", name))
		}
		x.sumsN++
		x.sums.Reset()
		return nil
	}
	return damaged(fmt.Errorf("member %q", name))
}

// finish reads the summary and makes sure that nothing follows.
func (x *extractor) finish(r *memberReader) error {
	if err := json.NewDecoder(r).Decode(&x.contents.Summary); err != nil {
		return broken(err)
	}
	// All that is not covered by sums yet are the last sums themselves.
	if bytes.Count(x.sums.Bytes(), []byte("\n")) > 1 {
		return damaged(errors.New("members without hash"))
	}
	if _, err := x.tar.Next(); err != io.EOF {
		return broken(errors.Join(err, errors.New("something follows the summary")))
	}
	return nil
}

// next gives the next member; the end of the archive is an error.
func (x *extractor) next() (string, *memberReader, error) {
	head, err := x.tar.Next()
	if err == io.EOF {
		return "", nil, damaged(errors.New("the summary is missing"))
	}
	if err != nil {
		return "", nil, broken(err)
	}
	if head.Typeflag != tar.TypeReg {
		return "", nil, damaged(fmt.Errorf("member %q is no file", head.Name))
	}
	return head.Name, &memberReader{x: x, name: head.Name, sum: sha256.New()}, nil
}

// A memberReader reads a member and takes its hash.
type memberReader struct {
	x    *extractor
	name string
	sum  hash.Hash
	n    int64
}

func (r *memberReader) Read(p []byte) (int, error) {
	n, err := r.x.tar.Read(p)
	r.sum.Write(p[:n])
	r.n += int64(n)
	r.x.bytes += int64(n)
	if r.x.progress != nil {
		r.x.progress(r.x.seen.Members, r.x.bytes)
	}
	if err != nil && err != io.EOF {
		err = broken(err)
	}
	return n, err
}

// close reads what is left and notes the hash.
func (r *memberReader) close() error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	r.x.seen.Members++
	writeSum(&r.x.sums, r.name, r.sum)
	if r.x.sums.Len() > 2*sumsSize {
		return damaged(errors.New("members without hash"))
	}
	return nil
}
